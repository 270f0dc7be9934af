//! `baton record`: this machine's scheduling, as a file.
//!
//! - `command`: the command that is recorded;
//! - `output`: the file that is written;
//! - `print`: progress, for people.

mod command;
mod output;
mod print;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use baton::{
    app::{Code, Failure, duration},
    kernel::{
        Signals,
        recorder::{RecordConfig, RecordError, Recorder},
    },
};
use baton_trace::{NameHider, Recording, Summary, WriteError};
use serde::Serialize;

use crate::summary;
use command::Running;
use output::Output;
use print::Progress;

/// Record this machine's scheduling: switches, wakeups with their wakers, migrations
///
/// Needs root and a kernel with BTF, 5.16 or later; any scheduler may run. Ends with the command, with the time, or
/// with Ctrl-C, and then says what the recording holds. With a command, exits as that does.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo baton record --for 10s
  sudo baton record -o build.rec -- make -j8
  baton vm --policy edf --out /tmp/run.rec:run.rec -- baton record -o /tmp/run.rec -- \\
    baton workload messaging")]
pub(crate) struct Args {
    /// The file to write; by default recording-DATE-TIME.rec here
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long, such as 30s, 5m or 2h; without, until the command's end or Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Put hashes in the place of tasks' names, by a random key that is kept nowhere
    #[arg(long)]
    hide_names: bool,
    /// Room for the events of each CPU that is online until they are written, and once more for those
    /// that all CPUs share, in KiB; taken as the next power of two
    #[arg(long, value_name = "KIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(4..=4096))]
    buffer: u32,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// A command to record
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    #[serde(flatten)]
    summary: &'a Summary,
    /// Exit status of the command.
    command_status: Option<u8>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.output.clone().unwrap_or_else(default_path);
    // Before any thread, so that all hold the signals back.
    let signals = Signals::take().map_err(Failure::from)?;
    Recorder::check().map_err(|error| failure(&path, error))?;
    let hider = args.hide_names.then(NameHider::random).transpose();
    let config = RecordConfig {
        hider: hider?,
        ring_bytes: args.buffer << 10,
        ..RecordConfig::new(concat!("baton ", env!("CARGO_PKG_VERSION")))
    };
    let cannot = |error| Failure::io("write", &path, &error);
    let (output, file) = Output::create(&path).map_err(cannot)?;
    let recorder = Recorder::start(config, file).map_err(|error| failure(&path, error))?;
    let mut command = Running::start(&args.command, &signals)?;
    if let Err(error) = output.keep() {
        if let Some(command) = &command {
            command.stop();
        }
        return Err(cannot(error).into());
    }
    let interrupted = record(args, recorder, command.as_ref(), &signals);
    // The command ends before this does, whatever became of the recording.
    let status = command.as_mut().map(|command| match interrupted {
        Ok(false) => command.wait(&signals),
        _ => command.stop(),
    });
    interrupted.map_err(|error| failure(&path, error))?;
    let mut recording = Recording::open(&path)?;
    let found = Summary::of(&mut recording)?;
    if args.json {
        let report = Report {
            file: &path,
            summary: &found,
            command_status: status,
        };
        outln!("{}", serde_json::to_string(&report)?);
    } else {
        summary::print(&path, &found);
    }
    Ok(ExitCode::from(status.unwrap_or(0)))
}

/// Records until the time, the command or a signal ends it; whether a signal did.
fn record(
    args: &Args,
    mut recorder: Recorder,
    command: Option<&Running>,
    signals: &Signals,
) -> Result<bool, RecordError> {
    let mut progress = Progress::new(args.json);
    let end = args.duration.map(|duration| Instant::now() + duration);
    let interrupted = loop {
        let mut pause = recorder.poll()?;
        progress.show(&recorder.progress());
        if let Some(end) = end {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            pause = pause.min(left);
        }
        // Less than a millisecond would be none.
        let pause = pause.max(Duration::from_millis(1));
        if signals.wait_or(pause, command.map(Running::ended)) {
            break true;
        }
        if command.is_some_and(Running::has_ended) {
            break false;
        }
    };
    progress.end();
    if let Some(why) = recorder.relay_unheard() {
        eprintln!("note: the relay that schedules this machine is not heard: {why}");
    }
    recorder.finish()?;
    Ok(interrupted)
}

fn failure(path: &Path, error: RecordError) -> Failure {
    let code = match &error {
        RecordError::NotRoot => Code::NoRoot,
        RecordError::NoBtf { .. } | RecordError::Machine(_) => Code::Machine,
        RecordError::Write(WriteError::Io(error)) => {
            let full = error.kind() == std::io::ErrorKind::StorageFull;
            let remedy = if full {
                "make room, or name a file elsewhere with -o; "
            } else {
                ""
            };
            let path = path.display();
            let kept = format!("what was recorded before can be read: baton trace info {path}");
            let message = format!("cannot write {path}: {error}; {remedy}{kept}");
            return Failure::new(Code::Io, message);
        }
        _ => Code::Failure,
    };
    Failure::new(code, error.to_string())
}

/// `recording-20261126-103045.rec`, in universal time.
fn default_path() -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs());
    let (year, month, day) = date_of(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("recording-{year}{month:02}{day:02}-{hour:02}{minute:02}{second:02}.rec").into()
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
const fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year + era * 400 + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::date_of;

    #[test]
    fn dates() {
        assert_eq!(date_of(0), (1970, 1, 1));
        assert_eq!(date_of(11_016), (2000, 2, 29));
        assert_eq!(date_of(20_783), (2026, 11, 26));
    }
}

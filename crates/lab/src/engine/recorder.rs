//! A recorder beside a run: a process that writes the machine's scheduling into a file, and the piece of
//! that file which a report shows.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use baton_trace::{Ending, Recording};
use nix::{
    sys::signal::{Signal, killpg},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use tempfile::TempDir;

use super::child::{bound_files, die_with_parent};
use crate::{
    charge::ATTACH_LIMIT,
    report::{Timeline, Window},
};

/// How much is shown: some ten frames of a game.
pub(super) const LENGTH_NS: u64 = 200_000_000;
/// A file of a recording grows no longer: the memory of a guest holds it. Some five million events.
const BYTES_MAX: u64 = 32 << 20;
/// How long the recorder may take to begin: it loads programs into the kernel, as schedulers do.
pub(super) const BEGIN_LIMIT: Duration = ATTACH_LIMIT;
/// And to end, once it is told to.
pub(super) const END_LIMIT: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A recorder at work. Dropping it kills it, and removes what it wrote.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    // Ends before its file's folder does.
    process: Process,
    folder: TempDir,
    said: File,
    stop: &'a AtomicBool,
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    gone: bool,
}

/// What a recorder wrote. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Recorded {
    folder: TempDir,
}

impl<'a> Recorder<'a> {
    /// Starts a recorder, a program with its first arguments, and waits until it records: until the file
    /// that is its last argument is there. Waits no longer once `stop` is set.
    pub(super) fn start(argv: &[OsString], stop: &'a AtomicBool) -> Result<Self, String> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err("this build of Baton cannot record".to_owned());
        };
        let failed = |error| format!("cannot start the recorder: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let said = tempfile::tempfile().map_err(failed)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(file_in(&folder))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(failed)?)
            // Ctrl-C is for who started it, who tells it when to end.
            .process_group(0);
        die_with_parent(&mut command);
        bound_files(&mut command, BYTES_MAX);
        let mut recorder = Self {
            process: Process {
                child: command.spawn().map_err(failed)?,
                gone: false,
            },
            folder,
            said,
            stop,
        };
        let begin = Instant::now();
        while !file_in(&recorder.folder).exists() {
            if let Some(status) = recorder.process.ended()? {
                return Err(recorder.why(status));
            }
            if stop.load(Ordering::Relaxed) {
                return Err("the recorder was stopped".to_owned());
            }
            if begin.elapsed() > BEGIN_LIMIT {
                let limit_s = BEGIN_LIMIT.as_secs();
                return Err(format!("the recorder did not begin within {limit_s} s"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(recorder)
    }

    /// Has the recorder end. One that does not in time, or was ended because its file is full, has
    /// written what can be read.
    pub(super) fn finish(mut self) -> Result<Recorded, String> {
        let _ = killpg(self.process.group(), Signal::SIGTERM);
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.process.ended()? {
                break Some(status);
            }
            if self.stop.load(Ordering::Relaxed) || begin.elapsed() > END_LIMIT {
                self.process.kill();
                break None;
            }
            thread::sleep(LOOK_INTERVAL);
        };
        let full = |status: &ExitStatus| status.signal() == Some(libc::SIGXFSZ);
        if let Some(status) = status.filter(|status| !status.success() && !full(status)) {
            return Err(self.why(status));
        }
        Ok(Recorded {
            folder: self.folder,
        })
    }

    /// Why it ended, by its own words.
    fn why(&mut self, status: ExitStatus) -> String {
        let mut bytes = Vec::new();
        let read = self.said.seek(SeekFrom::Start(0));
        let _ = read.and_then(|_| self.said.read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        // What comes after the error is its remedy, or a log.
        let error = text.lines().find_map(|line| line.strip_prefix("error: "));
        let last = || text.lines().rfind(|line| !line.trim().is_empty());
        match error.or_else(last) {
            Some(words) => format!("the recorder ended: {}", words.trim()),
            None => format!("the recorder ended with {status}"),
        }
    }
}

impl Process {
    fn group(&self) -> Pid {
        // The pid fits: it came from the kernel.
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        let status = self.child.try_wait();
        let status = status.map_err(|error| format!("cannot attend to the recorder: {error}"))?;
        self.gone |= status.is_some();
        Ok(status)
    }

    fn kill(&mut self) {
        if !self.gone {
            let _ = killpg(self.group(), Signal::SIGKILL);
            let _ = self.child.wait();
            self.gone = true;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Recorded {
    /// The middle of a run that ended at `end_ns` by the monotonic clock and worked for `wall_ns` until then;
    /// of a recording that was cut off before, its end.
    pub(super) fn piece(&self, end_ns: u64, wall_ns: u64) -> Result<Timeline, String> {
        let path = file_in(&self.folder);
        let begun_ns = open(&path)?.header().began_monotonic_ns;
        let window = middle(end_ns.saturating_sub(begun_ns), wall_ns);
        let (made, last_ns) = read(&path, window)?;
        let Some(last_ns) = last_ns else {
            return Ok(made);
        };
        let begin_ns = last_ns.saturating_sub(window.length_ns);
        Ok(read(&path, Window { begin_ns, ..window })?.0)
    }
}

/// The window in the middle of a run that ended at `end_ns` and took `wall_ns`.
fn middle(end_ns: u64, wall_ns: u64) -> Window {
    let length_ns = LENGTH_NS.min(wall_ns);
    let middle_ns = end_ns.saturating_sub(wall_ns / 2);
    Window {
        begin_ns: middle_ns.saturating_sub(length_ns / 2),
        length_ns,
    }
}

fn open(path: &Path) -> Result<Recording, String> {
    Recording::open(path).map_err(|error| error.to_string())
}

/// The piece in this window, and when the recording was cut off, if that was before the window's end.
fn read(path: &Path, window: Window) -> Result<(Timeline, Option<u64>), String> {
    let mut recording = open(path)?;
    let cpus = recording.header().cpus();
    let (mut failed, mut last_ns) = (None, 0);
    let events = recording.by_ref().map_while(|event| match event {
        Ok(event) => {
            last_ns = event.time_ns;
            Some(event)
        }
        Err(error) => {
            failed = Some(error.to_string());
            None
        }
    });
    let made = Timeline::of(events, cpus, window);
    if let Some(problem) = failed {
        return Err(problem);
    }
    let is_cut = matches!(recording.ending(), Some(Ending::Cut { .. }));
    Ok((made, is_cut.then_some(last_ns)))
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("run.rec")
}

/// The clock that recordings name their begin by.
pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| Duration::from(now).as_nanos() as u64)
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;

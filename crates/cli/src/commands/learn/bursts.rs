//! `baton learn bursts`: from nothing to a model and what it is worth, in one command.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use baton::app::{Code, Failure};

/// How long tasks compute between two sleeps
///
/// Records this machine's scheduling while it runs Baton's workloads one after the other, then does
/// what `baton train` does with the recordings. Needs root and a kernel with BTF; whatever schedules
/// this machine goes on doing so. In the folder are then the recordings, their samples
/// (`all.bursts`), the model (`bursts.json`) and the table (`report.txt`). Recordings of the same
/// length that are there already are kept, so the command can be stopped and goes on where it was.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sudo baton learn bursts --quick --out learned")]
pub(crate) struct Args {
    /// Ten seconds of each workload, and trees alone; else a minute, and networks too
    #[arg(long)]
    quick: bool,

    /// The folder for all that comes of it
    #[arg(long, default_value = "learned", value_name = "DIR")]
    out: PathBuf,
}

/// A name, and the workload.
const WORKLOADS: [(&str, &str); 8] = [
    ("messaging", "messaging"),
    ("pipe", "pipe+hogs"),
    ("frames", "frames+build"),
    ("build", "build"),
    ("requests", "requests+hogs"),
    ("audio", "audio+hogs"),
    ("game", "game+stream"),
    ("hogs", "hogs"),
];

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let seconds = if args.quick { "10" } else { "60" };
    let folder = args.out.join(format!("{seconds}s"));
    fs::create_dir_all(&folder).map_err(|error| Failure::io("make", &folder, &error))?;
    let mut recordings = Vec::new();
    for (number, (name, workload)) in WORKLOADS.iter().enumerate() {
        let path = folder.join(format!("{name}.rec"));
        let place = format!("[{}/{}]", number + 1, WORKLOADS.len());
        if path.exists() {
            eprintln!("{place} {workload}: {} is there", path.display());
        } else {
            eprintln!("{place} recording {workload}");
            record(&path, workload, seconds)?;
        }
        recordings.push(path);
    }
    eprintln!("learning");
    let mut all = vec!["--data".into(), args.out.join("all.bursts")];
    all.extend(["--output".into(), args.out.join("bursts.json")]);
    if !args.quick {
        let trainers = ["trees", "network", "reference"];
        all.extend(
            trainers
                .into_iter()
                .flat_map(|name| ["--trainer".into(), name.into()]),
        );
    }
    all.extend(recordings);
    learn(&all, &args.out.join("report.txt"))
}

/// What `timeout` gives when it killed the command.
const TIME_OVER: i32 = 137;

/// Records a workload, over and over until the time is over; a recording that was not ended is not there.
fn record(path: &Path, workload: &str, seconds: &str) -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let part = path.with_extension("part");
    let status = Command::new(&own)
        .args(["record", "--json", "-o"])
        .arg(&part)
        .args(["--", "timeout", "--signal=KILL", seconds])
        .args(["sh", "-c", r#"while :; do "$@" || exit 1; done"#, "sh"])
        .arg(&own)
        .args([
            "workload",
            workload,
            "--for",
            &format!("{seconds}s"),
            "--json",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.code() != Some(TIME_OVER) {
        let _ = fs::remove_file(&part);
        // It told why on standard error.
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let message = format!("recording {workload} failed: {status}");
        let code = code.filter(|code| *code != 0).unwrap_or(1);
        return Err(Failure::new(Code::Other("not-recorded", code), message).into());
    }
    fs::rename(&part, path).map_err(|error| Failure::io("write", path, &error))?;
    Ok(())
}

/// Trains, prints the table, and keeps it.
fn learn(arguments: &[PathBuf], report: &Path) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe()?;
    let part = report.with_extension("part");
    let file = File::create(&part).map_err(|error| Failure::io("write", &part, &error))?;
    let status = Command::new(own)
        .arg("train")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file)
        .status()?;
    let text = fs::read_to_string(&part).map_err(|error| Failure::io("read", &part, &error))?;
    // What an earlier run found stays where this one failed.
    let kept = if status.success() {
        fs::rename(&part, report)
    } else {
        fs::remove_file(&part)
    };
    kept.map_err(|error| Failure::io("write", report, &error))?;
    out!("{text}");
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}

//! What runs in a guest: the runs of an assignment, told as lines of JSON; and the process of one
//! run of our workloads, in a guest or on the host.

use std::{
    ffi::OsString, io::Write as _, process::ExitCode, sync::atomic::AtomicBool, time::Duration,
};

use anyhow::Context as _;
use baton_lab::engine::{Assignment, CellRun, Ended, Error, Local, Told};
use baton_workload::{Calibration, RunOptions, names, stop};

use crate::{needs, project};

/// Make the runs of an assignment on this machine
#[derive(clap::Args)]
#[command(after_help = "Example:\n  used by `baton lab run`")]
pub(super) struct Args {
    /// The assignment, as JSON
    assignment: String,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let assignment: Assignment =
        serde_json::from_str(&args.assignment).context("cannot read the assignment")?;
    let stop = stop::on_signals().context("cannot catch signals")?;
    let ended = local(stop, true)?.make(&assignment, &mut send)?;
    Ok(match ended {
        Ended::Stopped => ExitCode::from(130),
        _ => ExitCode::SUCCESS,
    })
}

/// Runs on this machine, by this program.
pub(super) fn local(stop: &AtomicBool, is_guest: bool) -> anyhow::Result<Local<'_>> {
    let own = project::own_path()?.into_os_string();
    let words = |words: &[&str]| {
        let words = words.iter().map(OsString::from);
        std::iter::once(own.clone()).chain(words).collect()
    };
    Ok(Local {
        cell: words(&["lab", "cell"]),
        record: if cfg!(feature = "kernel") {
            words(&["record", "-o"])
        } else {
            Vec::new()
        },
        calibrate: &Calibration::quietest,
        stop,
        hurry: stop::hurry(),
        is_guest,
    })
}

fn send(told: Told) -> Result<(), Error> {
    let os = |what| move |source| Error::Os { what, source };
    let mut text =
        serde_json::to_string(&told).map_err(|error| os("cannot tell of a run")(error.into()))?;
    text.push('\n');
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(os("cannot tell of a run"))
}

/// Run the workload that standard input tells of once, and print its report
#[derive(clap::Args)]
#[command(after_help = "Example:\n  used by `baton lab run`")]
pub(super) struct CellArgs {}

pub(super) fn execute_cell(_: &CellArgs) -> anyhow::Result<ExitCode> {
    let run: CellRun = serde_json::from_reader(std::io::stdin().lock())
        .context("cannot read the run, as JSON on standard input")?;
    // This thread only waits, but it has a name too.
    let name = names::task_name(names::MAIN, Some(&run.salt));
    let _ = nix::sys::prctl::set_name(&std::ffi::CString::new(name)?);
    let options = RunOptions {
        seed: run.seed,
        salt: Some(run.salt),
        calibration: Some(run.calibration),
        source: needs::source(&run.workload)?,
        stop: stop::on_signals().context("cannot catch signals")?,
        time_limit: Duration::try_from_secs_f64(run.limit_s).context("no time limit")?,
        ..RunOptions::default()
    };
    let report = baton_workload::run(&run.workload, &options)?;
    outln!("{}", serde_json::to_string(&report)?);
    Ok(ExitCode::SUCCESS)
}

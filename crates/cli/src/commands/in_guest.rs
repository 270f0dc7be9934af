//! `baton in-guest`: the guest's side of `baton vm --policy`. Takes charge of the
//! machine, runs the command, stops the policy, prints its report.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::Context as _;
use baton::app::{Code, Failure};

use baton_lab::charge::{Charge, Output};
use baton_workload::stop;

use crate::failures::fail;

/// Run a command under a policy, on this machine
#[derive(clap::Args)]
#[command(after_help = "Example:
  baton in-guest --program=/root/mine --argument=run -- uname -r")]
pub(crate) struct Args {
    /// The policy's program
    #[arg(long)]
    program: OsString,
    /// Its arguments; repeated
    #[arg(long = "argument", allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    // Signals go to the whole group: the command and the policy end by them, and this
    // process must outlive both to tell of it.
    let stop = stop::on_signals().context("cannot catch signals")?;
    let charge = Charge::take(&args.program, &args.arguments, Output::Report, stop)?;
    let (name, rest) = args.command.split_first().context("no command")?;
    let status = Command::new(name).args(rest).status();
    let ended = charge.stop(stop::hurry())?;
    if !ended.report.trim().is_empty() {
        eprintln!("{}", ended.report.trim_end());
    }
    let status = status.map_err(|error| {
        Failure::new(
            Code::Other("command-not-found", 127),
            format!("cannot run {name}: {error}"),
        )
    })?;
    match ended.problem {
        Some(problem) if status.success() => fail(Code::Other("policy-ended", 125), problem),
        Some(problem) => {
            eprintln!("{problem}");
            Ok(exit_code(status))
        }
        None => Ok(exit_code(status)),
    }
}

/// The command's status as a shell would give it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let number = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(
        number
            .and_then(|number| u8::try_from(number).ok())
            .unwrap_or(1),
    )
}

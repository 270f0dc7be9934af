//! The command line of a policy's program. The tool `baton` is made of the same
//! parts.
//!
//! - [`main()`]: what [`crate::main!`] calls;
//! - [`RunArgs`], [`run`] and [`switch`]: a policy on this machine's kernel;
//! - [`ReplayArgs`] and [`replay`]: a recorded run, again;
//! - [`Failure`]: why a command failed, for people and for programs;
//! - [`parse`]: arguments, with usage errors told like all others.

mod duration;
mod failure;
mod parse;
mod replay;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::Policy;

pub use duration::duration;
pub use failure::{Code, Failure, did_you_mean, wants_json};
pub use parse::parse;
pub use replay::{ReplayArgs, header, replay};
pub use run::{RunArgs, run, switch};

#[derive(Parser)]
#[command(after_help = "Examples:
  sudo PROGRAM run --for 30s --stats
  PROGRAM replay run.log
  baton vm --policy . -- baton workload pipe")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Schedule this machine by the policy until the time is over or Ctrl-C
    Run(RunArgs),
    /// Take over from the policy that schedules this machine, without detaching
    Switch(RunArgs),
    /// Feed a recorded run to the policy again and compare its decisions
    Replay(ReplayArgs),
}

/// Parses the arguments, does what they say and reports what went wrong.
#[must_use]
pub fn main<P: Policy>() -> ExitCode {
    let describe = |command: clap::Command| command.name(P::NAME).about(P::SUMMARY);
    let result = parse::<Args>(describe).and_then(|args| match &args.command {
        Command::Run(args) => run::<P>(args),
        Command::Switch(args) => switch::<P>(args),
        Command::Replay(args) => replay::<P>(args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(wants_json()),
    }
}

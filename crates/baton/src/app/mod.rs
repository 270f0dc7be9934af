//! The command line of a policy's program. The tool `baton` is made of the same
//! parts.
//!
//! - [`main()`]: what [`crate::main!`] calls;
//! - [`RunArgs`], [`run`] and [`switch`]: a policy on this machine's kernel;
//! - [`SimArgs`], [`sim()`] and [`simulate`]: a policy on a simulated machine;
//! - [`ReplayArgs`] and [`replay`]: a recorded run, again;
//! - [`model()`]: models of bursts;
//! - [`open_recording`]: recordings of a machine's scheduling;
//! - [`Failure`]: why a command failed, for people and for programs;
//! - [`parse`]: arguments, with usage errors told like all others;
//! - [`print`](print()) and [`printed`]: standard output, which may be closed.

/// As `print!`, by [`print`].
macro_rules! out {
    ($($text:tt)*) => {
        $crate::app::print(format_args!($($text)*))
    };
}

/// As `println!`, by [`print`].
macro_rules! outln {
    () => {
        $crate::app::print(format_args!("\n"))
    };
    ($($text:tt)*) => {
        $crate::app::print(format_args!("{}\n", format_args!($($text)*)))
    };
}

mod duration;
mod failure;
mod model;
mod output;
mod parse;
mod recording;
mod replay;
mod run;
mod sim;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::Policy;

pub use duration::duration;
pub use failure::{Code, Failure, did_you_mean, wants_json};
pub use model::model;
pub use output::{print, printed};
pub use parse::parse;
pub use recording::open_recording;
pub use replay::{ReplayArgs, header, replay};
pub use run::{RunArgs, mode, run, switch};
pub use sim::{SimArgs, sim, simulate};

#[derive(Parser)]
#[command(after_help = "Examples:
  sudo PROGRAM run --for 30s --stats
  sudo PROGRAM run --classes classes.toml
  PROGRAM sim --workload frames+hogs --machine laptop-hybrid
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
    /// Run the policy on a simulated machine, without root and without a kernel
    Sim(SimArgs),
    /// Feed a recorded run to the policy again and compare its decisions
    Replay(ReplayArgs),
}

/// Parses the arguments, does what they say and reports what went wrong.
#[must_use]
pub fn main<P: Policy>() -> ExitCode {
    let describe = |command: clap::Command| command.name(P::NAME).about(P::SUMMARY);
    let done = |()| ExitCode::SUCCESS;
    let result = parse::<Args>(describe).and_then(|args| match &args.command {
        Command::Run(args) => run::<P>(args).map(done),
        Command::Switch(args) => switch::<P>(args).map(done),
        Command::Sim(args) => sim::<P>(args),
        Command::Replay(args) => replay::<P>(args).map(done),
    });
    match result.and_then(|code| printed().map(|()| code)) {
        Ok(code) => code,
        Err(failure) => failure.report(wants_json()),
    }
}

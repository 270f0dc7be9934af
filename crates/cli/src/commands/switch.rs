//! `baton switch`: another policy, without detaching.

use std::process::ExitCode;

use baton::{
    Policy,
    app::{self, Failure, RunArgs},
};
use baton_policies::{Visitor, with_policy};

use super::policies;

/// Replace the policy that schedules this machine, without detaching
///
/// The running policy's process hands the relay over and ends; this one is in charge
/// from then on, until Ctrl-C. Tasks stay in the kernel's hands all the while, and what
/// waits for a decision is told to the new policy. A policy of one's own does the same:
/// `target/release/mine switch`.
#[derive(clap::Args)]
#[command(after_help = "Example:
  sudo baton run fifo &
  sudo baton switch edf --mode hint")]
pub(crate) struct Args {
    /// A policy; `baton policies` lists them
    policy: String,
    #[command(flatten)]
    run: RunArgs,
}

struct Switch<'a>(&'a RunArgs);

impl Visitor for Switch<'_> {
    type Output = Result<(), Failure>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        app::switch::<P>(self.0)
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let or = "or run a program of your own";
    with_policy(&args.policy, Switch(&args.run))
        .ok_or_else(|| policies::unknown(&args.policy, or))??;
    Ok(ExitCode::SUCCESS)
}

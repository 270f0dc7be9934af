//! `baton replay`: a recorded run, again.

use std::process::ExitCode;

use baton::{
    Policy,
    app::{self, Code, Failure, ReplayArgs},
};
use baton_policies::{Visitor, with_policy};

/// Feed a recorded run to its policy again and compare the decisions
///
/// The log names the policy. Nothing is scheduled; root is not needed. Exit status 1
/// means that the policy decided otherwise.
#[derive(clap::Args)]
#[command(after_help = "Example:
  baton vm --out /tmp/run.log -- baton run fifo --for 5s --log /tmp/run.log
  baton replay run.log")]
pub(crate) struct Args {
    #[command(flatten)]
    replay: ReplayArgs,
}

struct Replay<'a>(&'a ReplayArgs);

impl Visitor for Replay<'_> {
    type Output = Result<(), Failure>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        app::replay::<P>(self.0)
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let header = app::header(&args.replay.log)?;
    with_policy(&header.policy, Replay(&args.replay)).ok_or_else(|| {
        let message = format!(
            "{} is a log of the policy `{}`, which does not come with Baton: replay it with that \
             policy's own program",
            args.replay.log.display(),
            header.policy
        );
        Failure::new(Code::UnknownPolicy, message)
    })??;
    Ok(ExitCode::SUCCESS)
}

//! `baton run`: a policy on this machine.

use std::process::ExitCode;

use baton::{
    Policy,
    app::{self, Failure, RunArgs},
};
use baton_policies::{Visitor, with_policy};

use super::policies;

/// Schedule this machine by a policy (root, a kernel with sched_ext)
///
/// The policy is in charge until the time is over, Ctrl-C, or SIGTERM; then the
/// kernel's own scheduler is back. Whatever the policy does, no task leaves the
/// kernel's hands.
///
/// With --only the policy has the tasks of one cgroup. Each gets its former scheduling policy
/// back when it leaves the cgroup and at the end; nice values stay, real-time tasks are left
/// alone. The kernel ranks these tasks below all others: on a CPU where an ordinary task computes
/// without end they get about 5 % on kernels with a deadline server for SCHED_EXT (7.0), else
/// nothing, and after 30 s of that the kernel ends the policy. So give the cgroup CPUs of its own
/// (cpuset), or one that has time to spare. Tasks that are SCHED_EXT by other means are the
/// policy's too.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo baton run fifo --for 30s --stats
  sudo baton run edf --mode hint --guard 'p99_wakeup<5ms'
  sudo baton run priority --classes docs/classes.toml
  sudo baton run edf --only /batch      # a cgroup: also batch, /sys/fs/cgroup/batch
  sudo baton run edf --log run.log      # then: baton replay run.log")]
pub(crate) struct Args {
    /// A policy; `baton policies` lists them
    policy: String,
    #[command(flatten)]
    run: RunArgs,
}

struct Run<'a>(&'a RunArgs);

impl Visitor for Run<'_> {
    type Output = Result<(), Failure>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        app::run::<P>(self.0)
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let or = "or run a program of your own";
    with_policy(&args.policy, Run(&args.run))
        .ok_or_else(|| policies::unknown(&args.policy, or))??;
    Ok(ExitCode::SUCCESS)
}

//! `baton sim`: a policy or a baseline on a simulated machine.

use std::process::ExitCode;

use baton::app::{self, SimArgs};

use super::policies;

/// Run a policy on a simulated machine: any machine, the same outcome each time
///
/// Needs neither root nor a kernel. The workload is the same as for `baton workload`, played
/// by simulated tasks; the same seed gives the same digest.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton sim edf --workload frames+hogs --machine laptop-hybrid
  baton sim fifo --workload messaging --seed 7 --json
  baton sim edf --workload pipe --machine host     # this machine, as /sys describes it
  baton sim kernel --workload build                # the kernel's own scheduling, simulated
  baton sim eevdf --workload frames+hogs --trace run.pftrace   # for ui.perfetto.dev
  baton sim edf --workload build.rec --machine recorded        # what was recorded, under edf")]
pub(crate) struct Args {
    /// A policy, as `baton policies` lists them, or a baseline: kernel, cfs, bfs, oracle
    scheduler: String,
    #[command(flatten)]
    sim: SimArgs,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let name = args.scheduler.as_str();
    if !baton_sim::schedulers().any(|known| known == name) {
        let or = "or a baseline: kernel, cfs, bfs, oracle";
        return Err(policies::unknown(name, or).into());
    }
    Ok(app::simulate(&args.sim, |config, traced| {
        baton_sim::simulate(name, config, traced)
    })?)
}

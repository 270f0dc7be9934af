//! `baton chaos`: disturbs the scheduler in every way user space can. Hidden: it takes
//! CPUs off-line and forks in storms, so it belongs into a VM.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use baton::app::duration;
use baton_workload::chaos::{ChaosOptions, chaos};

/// Disturb the scheduler for a while; measure how long anyone had to wait
#[derive(clap::Args)]
#[command(after_help = "Example:
  baton vm --policy fifo -- baton chaos --for 60s --hotplug --json")]
pub(crate) struct Args {
    /// How long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "10s")]
    duration: Duration,
    /// Seed of all random sequences
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take CPUs offline and online too
    #[arg(long)]
    hotplug: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let options = ChaosOptions {
        seed: args.seed,
        duration: args.duration,
        hotplug: args.hotplug,
        stop: baton_workload::stop::on_signals().context("cannot catch signals")?,
        ..ChaosOptions::default()
    };
    let report = chaos(&options)?;
    if args.json {
        outln!("{}", serde_json::to_string(&report)?);
    } else {
        out!("{report}");
    }
    Ok(if report.complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(130)
    })
}

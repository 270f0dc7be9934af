//! The guest's side: measures cell by cell, and sends a line of JSON for each.

use std::{io::Write as _, process::ExitCode, sync::atomic::Ordering, time::Duration};

use anyhow::Context as _;
use baton_lab::charge::{Charge, Output};
use baton_workload::{Calibration, Report, RunOptions, Workload, stop};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BASELINE;
use crate::{needs, peers::Peer, project};

/// A scheduler that starves a workload cannot keep the others from being measured. The
/// longest one, `compile`, takes some 15 s on two emulated processors.
const CELL_LIMIT: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Rounds.
    pub(crate) runs: u32,
    /// The first of them that is to be measured: those before it were.
    pub(crate) first: u32,
    /// Seed of the order and of the workloads.
    pub(crate) seed: u64,
    /// Policies, beside the baseline.
    pub(crate) policies: Vec<String>,
    /// Schedulers of others.
    pub(crate) peers: Vec<Peer>,
    /// Workloads.
    pub(crate) workloads: Vec<Named>,
}

/// A workload as the user called it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    /// What it is called in the results.
    pub(crate) name: String,
    /// What is run.
    pub(crate) workload: Workload,
}

/// One line from the guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// A workload under a variant was measured.
    Cell {
        /// The round, from 0.
        round: u32,
        /// The policy, or the baseline.
        variant: String,
        /// The workload's index in the plan.
        workload: usize,
        /// What was measured.
        report: Report,
    },
    /// A policy has ended its round; this is the relay's report.
    Policy {
        /// The round, from 0.
        round: u32,
        /// The policy.
        variant: String,
        /// What its `run --json` printed.
        report: Value,
    },
    /// A round is over.
    Round {
        /// The round, from 0.
        round: u32,
    },
    /// Something could not be measured.
    Failed {
        /// The round, from 0.
        round: u32,
        /// The policy, or the baseline.
        variant: String,
        /// Why.
        problem: String,
    },
}

impl Line {
    /// The round that it is of.
    pub(crate) const fn round(&self) -> u32 {
        match self {
            Self::Cell { round, .. }
            | Self::Policy { round, .. }
            | Self::Round { round }
            | Self::Failed { round, .. } => *round,
        }
    }
}

impl Plan {
    /// The baseline, the policies and the peers.
    pub(crate) fn variants(&self) -> Vec<&str> {
        std::iter::once(BASELINE)
            .chain(self.policies.iter().map(String::as_str))
            .chain(self.peers.iter().map(|peer| peer.name.as_str()))
            .collect()
    }

    /// Puts a variant in charge; none for the baseline.
    fn charge(&self, variant: &str) -> anyhow::Result<Option<Charge>> {
        if variant == BASELINE {
            return Ok(None);
        }
        let stop = stop::on_signals()?;
        let Some(peer) = self.peers.iter().find(|peer| peer.name == variant) else {
            let own = project::own_path()?.into_os_string();
            let arguments = run_arguments(variant);
            return Ok(Some(Charge::take(&own, &arguments, Output::Report, stop)?));
        };
        let program = peer.path.as_os_str();
        Ok(Some(Charge::take(program, &[], Output::Aside, stop)?))
    }
}

/// Measure what the plan says, on this machine
#[derive(clap::Args)]
#[command(after_help = "Example:\n  used by `baton bench kernel`")]
pub(crate) struct Args {
    /// The plan, as JSON
    plan: String,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let plan: Plan = serde_json::from_str(&args.plan).context("cannot read the plan")?;
    let interrupted = stop::on_signals().context("cannot catch signals")?;
    // Once, before any policy: all cells mean the same by a load.
    let calibration = Calibration::quietest();
    let mut order = fastrand::Rng::with_seed(plan.seed);
    for round in 0..plan.runs {
        let mut variants = plan.variants();
        order.shuffle(&mut variants);
        let mut workloads: Vec<usize> = (0..plan.workloads.len()).collect();
        order.shuffle(&mut workloads);
        if round < plan.first {
            continue;
        }
        for variant in variants {
            if let Err(error) = measure(&plan, round, variant, &workloads, calibration) {
                let problem = format!("{error:#}");
                send(&Line::Failed {
                    round,
                    variant: variant.to_owned(),
                    problem,
                })?;
            }
            if interrupted.load(Ordering::Relaxed) {
                return Ok(ExitCode::from(130));
            }
        }
        send(&Line::Round { round })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All workloads of one round under one variant.
fn measure(
    plan: &Plan,
    round: u32,
    variant: &str,
    workloads: &[usize],
    calibration: Calibration,
) -> anyhow::Result<()> {
    let charge = plan.charge(variant)?;
    let measured = workloads
        .iter()
        .try_for_each(|&index| -> anyhow::Result<()> {
            let workload = &plan.workloads[index].workload;
            let options = RunOptions {
                source: needs::source(workload)?,
                seed: plan.seed.wrapping_add(u64::from(round)),
                calibration: Some(calibration),
                stop: stop::on_signals()?,
                time_limit: CELL_LIMIT,
                ..RunOptions::default()
            };
            let report = baton_workload::run(workload, &options)?;
            send(&Line::Cell {
                round,
                variant: variant.to_owned(),
                workload: index,
                report,
            })
        });
    if let Some(charge) = charge {
        let ended = charge.stop(stop::hurry())?;
        let variant = variant.to_owned();
        if let Ok(report) = serde_json::from_str(ended.report.trim()) {
            send(&Line::Policy {
                round,
                variant: variant.clone(),
                report,
            })?;
        }
        if let Some(problem) = ended.problem {
            send(&Line::Failed {
                round,
                variant,
                problem,
            })?;
        }
    }
    measured
}

/// `edf/hint/slice_ms=5` as arguments.
fn run_arguments(variant: &str) -> Vec<String> {
    let (policy, words) = words_of(variant);
    let more = words.map(|word| match word.contains('=') {
        true => format!("--set={word}"),
        false => format!("--mode={word}"),
    });
    ["run", policy, "--json"]
        .map(String::from)
        .into_iter()
        .chain(more)
        .collect()
}

/// A variant's policy, and the mode and parameters behind it.
pub(crate) fn words_of(variant: &str) -> (&str, std::str::Split<'_, char>) {
    let mut words = variant.split('/');
    (words.next().unwrap_or_default(), words)
}

fn send(line: &Line) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use super::run_arguments;

    #[test]
    fn variants() {
        assert_eq!(run_arguments("fifo"), ["run", "fifo", "--json"]);
        assert_eq!(
            run_arguments("edf/hint/slice_ms=5"),
            ["run", "edf", "--json", "--mode=hint", "--set=slice_ms=5"]
        );
    }
}

//! Makes an experiment's runs, one after the other, and writes each down.
//!
//! - [`run`] goes through the plan, leaves out what the journal has, and boots again what dies;
//! - [`Backend`] makes runs: [`Sim`] on simulated machines, [`Vm`] in a guest, [`Host`] here;
//! - `local` is what happens in the guest and on the host: a scheduler is started, a process
//!   measured, the scheduler stopped;
//! - [`record`] has each variant run once more, beside a `recorder`, for the report's timelines; of
//!   simulated runs, [`timelines`] makes them;
//! - [`Simulate`]: how policies that are not built in come to be simulated;
//! - [`Assignment`] is what a guest is told, [`Told`] what it answers.

mod child;
mod drive;
mod foreign;
mod host;
mod local;
mod recorded;
mod recorder;
mod sim;
mod timelines;
mod vm;

use std::time::Duration;

use baton_workload::Calibration;
use serde::{Deserialize, Serialize};

use crate::{
    Experiment,
    experiment::{Runs, Scheduler},
    journal::{self, Booted},
    plan::{Cell, Shape},
    report::Timeline,
    results::{Latency, Metric, Run, Status},
};

pub(crate) use child::{die_with_parent, without_capabilities};
pub use drive::run;
pub use foreign::{ByProgram, Foreign, Simulate};
pub use host::{Host, Refusal};
pub use local::{CellRun, Local};
pub use recorded::{missing_timelines, record, recorded_timelines};
pub use sim::Sim;
pub use timelines::timelines;
pub use vm::Vm;

/// Why an experiment does not go on. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The VM.
    #[error(transparent)]
    Vm(#[from] baton_vm::Error),
    /// The scheduler of the host or the guest.
    #[error(transparent)]
    Charge(#[from] crate::charge::Error),
    /// The machine cannot be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something with a process or a file.
    #[error("{what}: {source}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The guest says what makes no sense, or ends before its work does.
    #[error("the guest {0}; run the same command again to go on from here")]
    Guest(String),
    /// The experiment goes on elsewhere than it began.
    #[error(
        "the experiment began on {before}, and this is {now}: go on there, or begin anew with \
         another --out"
    )]
    Elsewhere {
        /// The kernel of the boots before.
        before: String,
        /// The kernel now.
        now: String,
    },
}

/// How a variant's scheduler is started where the runs are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program and its arguments; empty for the kernel's own scheduler.
    pub argv: Vec<String>,
    /// Whether it is a policy of Baton's, which prints its report as JSON.
    pub reports: bool,
    /// What runs the workload's command, which follows as its last arguments; empty for none.
    pub prefix: Vec<String>,
}

/// All that is needed to make runs, here or in a guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// The plan.
    pub shape: Shape,
    /// The first place in it that is to be made.
    pub from: usize,
    /// The one after the last.
    pub to: usize,
    /// Places of runs that are then made once more, recorded; their figures are thrown away.
    pub recordings: Vec<usize>,
    /// Warm-up runs of each workload before.
    pub warmup: u32,
    /// What one run may take, in seconds.
    pub run_limit_s: f64,
    /// What is left for all, in seconds.
    pub total_left_s: Option<f64>,
    /// The variants' schedulers.
    pub launches: Vec<Launch>,
    /// The variants' names.
    pub variants: Vec<String>,
    /// The workloads.
    pub works: Vec<Runs>,
    /// The workloads' names.
    pub workloads: Vec<String>,
    /// The capacity of a CPU, if it was measured at an earlier boot.
    pub calibration: Option<Calibration>,
}

/// What a backend says while it works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// The machine is there.
    Boot(Booted),
    /// A warm-up run is made.
    Warming {
        /// The workload's index.
        workload: usize,
    },
    /// The run at this place begins.
    Begin(usize),
    /// A run was made. Its boot is not known there, and 0.
    Run(Box<Outcome>),
    /// The run at this place is made once more, recorded.
    Recording(usize),
    /// It was, or could not be.
    Recorded(Box<Recording>),
    /// It ends because the limit of all runs is reached.
    Limit,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its place in the plan.
    pub position: usize,
    /// The run.
    pub run: Run,
    /// What its values are.
    pub metrics: Vec<Metric>,
}

/// What came of a run that was made once more, recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The place in the plan of the run that it is like.
    pub position: usize,
    /// The piece that is shown of it, which has no names of variant and workload yet; or why there is
    /// none.
    pub timeline: Result<Timeline, String>,
}

/// How a stretch of runs ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All were made.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// The limit of all runs was reached.
    Limit,
    /// The guest died; why.
    Died(String),
}

/// Receives what a backend says.
pub type Tell<'a> = &'a mut dyn FnMut(Told) -> Result<(), Error>;

/// What makes runs.
pub trait Backend {
    /// Makes the runs at these places of the plan, which rise; those of one boot, and without
    /// gaps, unless the backend is free of boots. Then the assignment's recordings, which free ones
    /// are not asked for.
    ///
    /// # Errors
    /// What keeps all further runs from being made. That one run failed is told as its outcome.
    fn make(
        &mut self,
        places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error>;

    /// Whether its runs need no boot and no order.
    fn is_free(&self) -> bool {
        false
    }
}

/// What a person may see of it.
#[derive(Clone, Debug)]
pub enum Seen<'a> {
    /// The machine was booted.
    Boot(&'a Booted),
    /// A warm-up run.
    Warming(&'a str),
    /// This run begins.
    Begin {
        /// The run.
        cell: Cell,
        /// How many were made before, in all sessions.
        made: usize,
    },
    /// This run was made.
    Made {
        /// The run.
        run: &'a Run,
        /// How many were made, in all sessions.
        made: usize,
        /// How many there are.
        all: usize,
    },
    /// This run is made once more, recorded.
    Recording(Cell),
    /// The guest died.
    Died(&'a str),
}

impl Experiment {
    /// What its plan is made of.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            runs: self.runs,
            boots: self.boots,
            variants: self.variants.len(),
            workloads: self.workloads.len(),
            seed: self.seed,
        }
    }

    /// What there is to do, all of it, with these ways to start the variants' schedulers.
    #[must_use]
    pub fn assignment(&self, launches: Vec<Launch>) -> Assignment {
        Assignment {
            shape: self.shape(),
            from: 0,
            to: self.shape().cells().len(),
            recordings: Vec::new(),
            warmup: self.warmup,
            run_limit_s: self.limits.run.as_secs_f64(),
            total_left_s: self.limits.total.map(|total| total.as_secs_f64()),
            launches,
            variants: self
                .variants
                .iter()
                .map(|variant| variant.name.clone())
                .collect(),
            works: self.workloads.iter().map(|work| work.run.clone()).collect(),
            workloads: self
                .workloads
                .iter()
                .map(|work| work.name.clone())
                .collect(),
            calibration: None,
        }
    }

    /// Whether any variant loads a scheduler.
    #[must_use]
    pub fn loads_schedulers(&self) -> bool {
        self.variants
            .iter()
            .any(|variant| variant.scheduler != Scheduler::Kernel)
    }
}

impl Assignment {
    /// What of a run that should be the one at this place of the plan, which has these cells, is
    /// another's.
    pub(crate) fn mismatch(
        &self,
        cells: &[Cell],
        position: usize,
        run: &Run,
        metrics: &[Metric],
    ) -> Option<String> {
        let Some(cell) = cells.get(position) else {
            return Some(format!("the plan has no run {position}"));
        };
        let (variant, workload) = (&self.variants[cell.variant], &self.workloads[cell.workload]);
        let planned = (cell.round, variant, workload);
        if (run.round, &run.variant, &run.workload) != planned {
            return Some(format!(
                "run {position} is round {} of `{workload}` under `{variant}`, and this is round {} of \
                 `{}` under `{}`",
                cell.round, run.round, run.workload, run.variant
            ));
        }
        let stray = metrics.iter().find(|metric| metric.workload != *workload)?;
        Some(format!(
            "run {position} is of `{workload}`, and its metric `{}` of `{}`",
            stray.name, stray.workload
        ))
    }

    /// A run that came to nothing.
    pub(crate) fn failed(&self, cell: &Cell, status: Status, problem: String) -> Run {
        Run {
            round: cell.round,
            boot: 0,
            variant: self.variants[cell.variant].clone(),
            workload: self.workloads[cell.workload].clone(),
            seed: self.shape.run_seed(cell.round),
            status,
            problem: Some(problem),
            values: Default::default(),
            latencies: Default::default(),
            cpu_s: None,
            wall_s: 0.0,
            counters: Default::default(),
        }
    }
}

/// Seconds as a duration; none for what is no length of time.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A workload's metric as results have it.
fn metric(workload: &str, metric: &baton_workload::Metric, first_part: &str) -> Metric {
    Metric {
        workload: workload.to_owned(),
        name: format!("{}.{}", metric.part, metric.name),
        unit: metric.unit.clone(),
        better: metric.better,
        primary: metric.primary && metric.part == first_part,
    }
}

/// Figures and distributions of one of our workloads, into a run.
fn fill(
    run: &mut Run,
    metrics: &[baton_workload::Metric],
    histograms: &[baton_workload::Quantiles],
) -> Vec<Metric> {
    let first_part = metrics.first().map_or("", |metric| metric.part.as_str());
    let described: Vec<Metric> = metrics
        .iter()
        .map(|of| metric(&run.workload, of, first_part))
        .collect();
    let values = metrics.iter().zip(&described);
    run.values = values
        .map(|(of, described)| (described.name.clone(), of.value))
        .collect();
    let latency = |quantiles: &baton_workload::Quantiles| {
        let name = format!("{}.{}", quantiles.part, quantiles.name);
        let latency = Latency {
            count: quantiles.count,
            points: quantiles.points.clone(),
        };
        (name, latency)
    };
    run.latencies = histograms.iter().map(latency).collect();
    described
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

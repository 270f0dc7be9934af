//! Whether a run can have done the work that it reports, by the CPU time that the kernel accounted to
//! the workload's tasks.
//!
//! A workload reports its own figures, and a variant may be anything: a command that replaces the
//! workload's program, kills its background, or loses what it should have computed. CPU time is
//! counted by the kernel, and work takes CPU time: how much, the baseline's runs tell. The rules
//! (docs/statistics.md has them with their evidence):
//!
//! 1. *Work for nothing*: of a metric in `units/s`, which counts computations, a run reports more per
//!    accounted CPU second than any run of the baseline did, by more than the limit.
//! 2. *Work left out*: a run has better figures than the baseline's median, with less CPU time than any of
//!    its runs, by more than the limit; where a workload lasts for a given time, with less of it for
//!    each second.
//! 3. *Time left out*: a run reports a time in which the CPUs cannot have spent what was accounted.
//!
//! The limit is a factor, times the one by which the baseline's own runs differ (from their 10 % to
//! their 90 % quantile): on a machine that has more to do, or in a VM whose time is taken away unseen,
//! the account itself is loose.

use baton_workload::{Better, Part, Workload};
use serde::{Deserialize, Serialize};

use crate::results::{Metric, Results, Run, Status};
use crate::{stats, table};

/// What is believed of CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How many times less CPU time for the same computation: a task alone on a core, at its highest
    /// frequency, against one that shares it.
    pub computing: f64,
    /// The same for workloads of messages, where honest schedulers differ much in what a wakeup costs, and
    /// for commands, of which nothing is known: this finds work that was not done at all.
    pub messages: f64,
    /// Which share of the baseline's CPU time may lie outside of the reported time, beyond what does in the
    /// baseline's own runs.
    pub outside: f64,
    /// Runs of the baseline without which nothing is refused.
    pub runs_min: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            computing: 2.0,
            messages: 20.0,
            outside: 0.25,
            runs_min: 3,
        }
    }
}

/// A run that is not believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its index among the runs of the results.
    pub run: usize,
    /// Its round.
    pub round: u32,
    /// Its variant.
    pub variant: String,
    /// Its workload.
    pub workload: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// What was found.
pub(crate) struct Audit {
    pub(crate) refused: Vec<Refusal>,
    pub(crate) notes: Vec<String>,
}

/// What the CPU time of a workload depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// The same computation in each run.
    Computation,
    /// The same messages in each run.
    Messages,
    /// A duration: so much in each second.
    Duration,
    /// A command: nothing is known.
    Unknown,
}

impl Demand {
    fn of(workload: &crate::results::Workload) -> Self {
        let Ok(ours) = workload.what.parse::<Workload>() else {
            return Self::Unknown;
        };
        // What is endless beside a first part takes CPU time as long as that lasts.
        let endless = |part: &Part| !part.is_bounded();
        match ours.parts() {
            parts if parts.iter().any(endless) => Self::Duration,
            [Part::Messaging(_) | Part::Pipe(_)] => Self::Messages,
            [Part::Build(_) | Part::Compile(_)] => Self::Computation,
            _ => Self::Duration,
        }
    }
}

/// What the baseline's runs of a workload show.
struct Reference<'a> {
    demand: Demand,
    runs: Vec<(&'a Run, f64)>,
    primary: Option<&'a Metric>,
    /// The median of the primary metric.
    middle: Option<f64>,
}

/// Looks at all runs that ended well, but the baseline's.
pub(crate) fn audit(results: &Results, limits: &Limits) -> Audit {
    let mut audit = Audit {
        refused: Vec::new(),
        notes: Vec::new(),
    };
    let Some(baseline) = results.variants.first() else {
        return audit;
    };
    for workload in &results.workloads {
        let metrics: Vec<&Metric> = of_workload(results, &workload.name);
        let ended_well = |run: &&Run| run.workload == workload.name && run.status == Status::Ok;
        let known = |run: &&Run| cpu_s(run).is_some();
        let reference = Reference::new(results, workload, &metrics, &baseline.name);
        let all = results.runs.iter().filter(ended_well).count();
        let accounted = results.runs.iter().filter(ended_well).filter(known).count();
        let name = &workload.name;
        if accounted < all {
            audit.notes.push(format!(
                "{name}: the CPU time of {} of {all} runs is not known; what they report is not checked against it.",
                all - accounted
            ));
        } else if all > 0 && reference.runs.len() < limits.runs_min {
            audit.notes.push(format!(
                "{name}: the baseline has {} runs whose CPU time is known, and {} are needed to check what the \
                 others report.",
                reference.runs.len(),
                limits.runs_min
            ));
        }
        if reference.runs.len() < limits.runs_min {
            continue;
        }
        let has_prefix = |name: &str| {
            let mut variants = results.variants.iter();
            variants.any(|variant| variant.name == name && variant.prefix)
        };
        let judged = |run: &Run| run.variant != baseline.name && ended_well(&run);
        for (index, run) in results
            .runs
            .iter()
            .enumerate()
            .filter(|(_, run)| judged(run))
        {
            // What a prefix does before and after the workload is none of the time that it reports.
            let cpus = Some(f64::from(results.environment.cpus));
            let cpus = cpus.filter(|_| !has_prefix(&run.variant));
            if let Some(reason) = reference.objection(run, &metrics, cpus, limits) {
                audit.refused.push(Refusal {
                    run: index,
                    round: run.round,
                    variant: run.variant.clone(),
                    workload: run.workload.clone(),
                    reason,
                });
            }
        }
    }
    audit
}

fn of_workload<'a>(results: &'a Results, workload: &str) -> Vec<&'a Metric> {
    let metrics = results.metrics.iter();
    metrics
        .filter(|metric| metric.workload == workload)
        .collect()
}

/// The accounted CPU time, if it is a duration.
fn cpu_s(run: &Run) -> Option<f64> {
    run.cpu_s.filter(|cpu_s| cpu_s.is_finite() && *cpu_s >= 0.0)
}

fn value(run: &Run, metric: &Metric) -> Option<f64> {
    let value = run.values.get(&metric.name).copied();
    value.filter(|value| value.is_finite())
}

impl<'a> Reference<'a> {
    fn new(
        results: &'a Results,
        workload: &crate::results::Workload,
        metrics: &[&'a Metric],
        baseline: &str,
    ) -> Self {
        let of_baseline = results.runs.iter().filter(|run| {
            run.workload == workload.name && run.variant == baseline && run.status == Status::Ok
        });
        let runs: Vec<(&Run, f64)> = of_baseline
            .filter_map(|run| Some((run, cpu_s(run)?)))
            .collect();
        let primary = metrics.iter().find(|metric| metric.primary).copied();
        let values = |metric: &Metric| -> Vec<f64> {
            runs.iter()
                .filter_map(|(run, _)| value(run, metric))
                .collect()
        };
        Self {
            demand: Demand::of(workload),
            primary,
            middle: primary.and_then(|metric| stats::median(&values(metric))),
            runs,
        }
    }

    /// Why a run is not believed. Without `cpus`, time may be left out.
    fn objection(
        &self,
        run: &Run,
        metrics: &[&Metric],
        cpus: Option<f64>,
        limits: &Limits,
    ) -> Option<String> {
        let cpu = cpu_s(run)?;
        let counted = metrics
            .iter()
            .filter(|metric| metric.unit == "units/s" && metric.better == Better::Higher);
        counted
            .filter_map(|metric| self.work_for_nothing(run, cpu, metric, limits))
            .next()
            .or_else(|| self.work_left_out(run, cpu, limits))
            .or_else(|| self.time_left_out(run, cpu, cpus?, limits))
    }

    fn work_for_nothing(
        &self,
        run: &Run,
        cpu: f64,
        metric: &Metric,
        limits: &Limits,
    ) -> Option<String> {
        let claim = |run: &Run, cpu: f64| Some(value(run, metric)? * run.wall_s / cpu);
        let claimed = claim(run, cpu).filter(|claimed| !claimed.is_nan())?;
        let of_baseline = self.runs.iter().filter_map(|(run, cpu)| claim(run, *cpu));
        let reach = Reach::of(of_baseline.collect())?;
        let limit = limits.computing * reach.variation;
        (claimed > 0.0 && claimed > reach.most * limit).then(|| {
            format!(
                "it reports {} of {} for each second of accounted CPU time, and no run of the baseline more \
                 than {}; up to {} times as much is believed",
                table::figure(claimed),
                metric.name,
                table::figure(reach.most),
                table::ratio(limit)
            )
        })
    }

    fn work_left_out(&self, run: &Run, cpu: f64, limits: &Limits) -> Option<String> {
        let metric = self.primary.filter(|metric| self.is_better(run, metric))?;
        let factor = match self.demand {
            Demand::Computation | Demand::Duration => limits.computing,
            Demand::Messages | Demand::Unknown => limits.messages,
        };
        let in_all = |_: &Run, cpu: f64| cpu;
        let each_second = |run: &Run, cpu: f64| cpu / run.wall_s;
        let falls_short = |measure: &dyn Fn(&Run, f64) -> f64| {
            let of_baseline = self.runs.iter().map(|(run, cpu)| measure(run, *cpu));
            let reach = Reach::of(of_baseline.collect())?;
            let (own, limit) = (measure(run, cpu), factor * reach.variation);
            (own * limit < reach.least).then_some((own, reach.least, limit))
        };
        let (unit, (own, least, limit)) = match self.demand {
            Demand::Duration => ("s in each second", falls_short(&each_second)?),
            // Both, for it may be either: one that does its work and ends, or one that lasts.
            Demand::Unknown => {
                falls_short(&each_second)?;
                ("s", falls_short(&in_all)?)
            }
            Demand::Computation | Demand::Messages => ("s", falls_short(&in_all)?),
        };
        Some(format!(
            "its {} is better than the baseline's median, with {} {unit} of accounted CPU time, and no run \
             of the baseline took less than {}; {} times less would be believed",
            metric.name,
            table::figure(own),
            table::figure(least),
            table::ratio(limit),
        ))
    }

    fn time_left_out(&self, run: &Run, cpu: f64, cpus: f64, limits: &Limits) -> Option<String> {
        let fixed = matches!(self.demand, Demand::Computation | Demand::Messages);
        let metric = self.primary.filter(|metric| {
            fixed
                && metric.unit == "s"
                && metric.better == Better::Lower
                && self.is_better(run, metric)
        })?;
        let outside = |run: &Run, cpu: f64| Some((cpu - value(run, metric)? * cpus).max(0.0));
        let of_baseline = self.runs.iter().filter_map(|(run, cpu)| outside(run, *cpu));
        let most = of_baseline.reduce(f64::max)?;
        let cpu_times: Vec<f64> = self.runs.iter().map(|(_, cpu)| *cpu).collect();
        let share = limits.outside * Reach::of(cpu_times.clone())?.variation;
        let own = outside(run, cpu)?;
        (own > most + share * stats::median(&cpu_times)?).then(|| {
            format!(
                "it reports {} = {} s on {cpus} CPUs, and {} s of CPU time were accounted: {} s too many, of the \
                 baseline's runs at most {}",
                metric.name,
                table::figure(value(run, metric).unwrap_or_default()),
                table::figure(cpu),
                table::figure(own),
                table::figure(most),
            )
        })
    }

    fn is_better(&self, run: &Run, metric: &Metric) -> bool {
        let (Some(value), Some(middle)) = (value(run, metric), self.middle) else {
            return false;
        };
        match metric.better {
            Better::Lower => value < middle,
            Better::Higher => value > middle,
        }
    }
}

/// How far a figure of the baseline's runs reaches.
struct Reach {
    least: f64,
    most: f64,
    /// The factor between its 10 % and 90 % quantiles.
    variation: f64,
}

impl Reach {
    /// None if there is no figure above 0.
    fn of(figures: Vec<f64>) -> Option<Self> {
        let usable: Vec<f64> = figures
            .into_iter()
            .filter(|figure| figure.is_finite() && *figure > 0.0)
            .collect();
        let at = |part| stats::quantile(&usable, part);
        Some(Self {
            least: at(0.0)?,
            most: at(1.0)?,
            variation: at(0.9)? / at(0.1)?,
        })
    }
}

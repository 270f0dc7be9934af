//! What a run found, as data and as tables for people.

use std::{borrow::Cow, fmt};

use baton_workload::{Durations, Metric, Quantiles, number, table};
use serde::{Deserialize, Serialize};

/// What a run of the simulator found. Equal runs give equal reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The policy or baseline.
    pub scheduler: String,
    /// How it acted: `decide` or `hint`; a baseline has no mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Cow<'static, str>>,
    /// The workload with what differs from its defaults.
    pub workload: String,
    /// The machine.
    pub machine: String,
    /// The seed of everything random.
    pub seed: u64,
    /// Whether the workload came to its end.
    pub complete: bool,
    /// Simulated time, seconds.
    pub sim_s: f64,
    /// Events of the simulation.
    pub events: u64,
    /// The hash over everything that happened, 16 hexadecimal digits.
    pub digest: String,
    /// The workload's own figures, part by part.
    pub metrics: Vec<Metric>,
    /// The histograms behind them.
    pub histograms: Vec<Quantiles>,
    /// Latencies of all tasks together, microseconds.
    pub latencies: Vec<Quantiles>,
    /// The longest that a task was runnable without a CPU.
    pub longest_wait: LongestWait,
    /// How far the CPU time of tasks that always wanted it was from their shares by weight; see
    /// `docs/simulator.md`. 0 is fair, 1 is the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_error: Option<f64>,
    /// Moves of tasks between CPUs, by how far.
    pub migrations: Migrations,
    /// Switches from one task to another.
    pub switches: u64,
    /// Wakeups.
    pub wakeups: u64,
    /// Tasks that were created.
    pub tasks: u32,
    /// What CPUs did.
    pub cpu_time: CpuTime,
    /// What they consumed.
    pub energy: Energy,
    /// What the scheduler counted.
    pub counters: Vec<CounterValue>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

/// The longest wait and whose it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LongestWait {
    /// Its length, milliseconds.
    pub ms: f64,
    /// The task.
    pub pid: u32,
    /// The task's name.
    pub name: String,
}

/// Moves by distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrations {
    /// To a sibling on the same core.
    pub core: u64,
    /// To another core behind the same last-level cache.
    pub llc: u64,
    /// To another last-level cache of the node.
    pub node: u64,
    /// To another node.
    pub remote: u64,
    /// What cold caches cost all together, microseconds.
    pub cold_us: u64,
}

/// Time of all CPUs together, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuTime {
    /// Running tasks.
    pub busy_s: f64,
    /// Running the policy's process.
    pub policy_s: f64,
    /// In the shallow idle state.
    pub idle_s: f64,
    /// In the deep idle state.
    pub deep_s: f64,
    /// Offline.
    pub offline_s: f64,
    /// Idle, whatever the state, while tasks waited.
    pub wasted_s: f64,
}

/// Energy by what CPUs did, joules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// Computing.
    pub busy_j: f64,
    /// In the shallow idle state.
    pub idle_j: f64,
    /// In the deep idle state.
    pub deep_j: f64,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterValue {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: u64,
}

/// The quantiles of one histogram.
pub(crate) fn quantiles(name: &str, durations: &Durations) -> Quantiles {
    Quantiles::of("all", name, durations)
}

impl Report {
    /// The figure that stands for the workload.
    pub fn primary(&self) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.primary)
    }

    /// The figure of this part and name.
    pub fn metric(&self, part: &str, name: &str) -> Option<&Metric> {
        let mut metrics = self.metrics.iter();
        metrics.find(|metric| metric.part == part && metric.name == name)
    }

    /// A counter of the scheduler's; 0 if it has none of this name.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let found = self.counters.iter().find(|counter| counter.name == name);
        found.map_or(0, |counter| counter.value)
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let row = |name: &str, value: f64, unit: &str| [name.into(), number(value), unit.into()];
        let (time, moved) = (&self.cpu_time, &self.migrations);
        let mut rows = vec![
            row("longest wait", self.longest_wait.ms, "ms"),
            row("context switches", self.switches as f64, ""),
            row("migrations, same core", moved.core as f64, ""),
            row("migrations, same LLC", moved.llc as f64, ""),
            row("migrations, same node", moved.node as f64, ""),
            row("migrations, other node", moved.remote as f64, ""),
            row("cold caches", moved.cold_us as f64 / 1e3, "ms"),
            row("CPUs busy", time.busy_s, "s"),
            row("policy's process", time.policy_s, "s"),
            row("CPUs idle", time.idle_s + time.deep_s, "s"),
            row("idle while work waited", time.wasted_s, "s"),
            row(
                "energy",
                self.energy.busy_j + self.energy.idle_j + self.energy.deep_j,
                "J",
            ),
        ];
        if let Some(error) = self.fairness_error {
            rows.insert(1, row("weighted fairness error", error, ""));
        }
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = self
            .mode
            .as_deref()
            .map_or(String::new(), |mode| format!(" ({mode})"));
        writeln!(
            f,
            "{}{mode}: {} on {}, seed {}\n{} s simulated in {} events, digest {}\n",
            self.scheduler,
            self.workload,
            self.machine,
            self.seed,
            number(self.sim_s),
            self.events,
            self.digest
        )?;
        let metrics: Vec<[String; 5]> = self
            .metrics
            .iter()
            .map(|metric| {
                let star = if metric.primary { "*" } else { "" };
                let value = number(metric.value);
                let texts = [&metric.part, star, &metric.name, &value, &metric.unit];
                texts.map(str::to_owned)
            })
            .collect();
        f.write_str(&table(&metrics, &[false, false, false, true, false]))?;
        let head = ["", "", "count", "p50", "p90", "p99", "p99.9", "max", ""];
        let mut rows = vec![head.map(str::to_owned)];
        for found in self.histograms.iter().chain(&self.latencies) {
            let figures = [found.p50, found.p90, found.p99, found.p999, found.max].map(number);
            let [p50, p90, p99, p999, max] = figures;
            let count = found.count.to_string();
            let (part, name, unit) = (found.part.clone(), found.name.clone(), found.unit.clone());
            rows.push([part, name, count, p50, p90, p99, p999, max, unit]);
        }
        let right = [false, false, true, true, true, true, true, true, false];
        write!(f, "\n{}\n", table(&rows, &right))?;
        f.write_str(&table(&self.rows(), &[false, true, false]))?;
        let counters: Vec<[String; 2]> = self
            .counters
            .iter()
            .filter(|counter| counter.value > 0)
            .map(|counter| [counter.name.to_string(), counter.value.to_string()])
            .collect();
        if !counters.is_empty() {
            write!(f, "\n{}", table(&counters, &[false, true]))?;
        }
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

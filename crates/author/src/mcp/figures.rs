//! What runs came to, in the form in which tools return it.

use std::collections::BTreeMap;

use baton_sim::Report;
use baton_trace::Summary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::{Code, Failure};

/// Names of tasks that are told of a trace, at most.
const TASKS_MAX: usize = 40;

/// A simulated run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Simulated {
    /// The policy or baseline.
    pub scheduler: String,
    /// The workload, with what differs from its defaults.
    pub workload: String,
    /// The described machine.
    pub machine: String,
    /// The seed.
    pub seed: u64,
    /// Whether the workload came to its end within 120 s of simulated time.
    pub complete: bool,
    /// Simulated time, seconds.
    pub sim_s: f64,
    /// The hash over everything that happened: equal runs have equal ones.
    pub digest: String,
    /// The workload's own figures, part by part.
    pub metrics: Vec<Metric>,
    /// The distributions behind them.
    pub histograms: Vec<Quantiles>,
    /// Latencies of all tasks together: `wakeup` from waking to running, `wait` from being able to run to
    /// running, `decision` from an event to the policy's decision.
    pub latencies: Vec<Quantiles>,
    /// The longest that a task was able to run and did not.
    pub longest_wait: LongestWait,
    /// How far the CPU time of tasks that always wanted it was from their shares by weight: 0 is fair, 1 is
    /// the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_error: Option<f64>,
    /// Moves of tasks between CPUs, by how far.
    pub migrations: Migrations,
    /// Switches from one task to another.
    pub switches: u64,
    /// Wakeups.
    pub wakeups: u64,
    /// What all CPUs did, together.
    pub cpu_time: CpuTime,
    /// Energy that they took, joules.
    pub energy_j: f64,
    /// What the scheduler counted.
    pub counters: BTreeMap<String, u64>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

/// A figure of a workload's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// The part, such as `pipe`.
    pub part: String,
    /// The name, such as `time_s`.
    pub name: String,
    /// The unit, such as `s`.
    pub unit: String,
    /// The value.
    pub value: f64,
    /// Which direction is better: `lower` or `higher`.
    pub better: String,
    /// Whether it stands for its part.
    pub primary: bool,
}

/// A distribution, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// The part, or `all`.
    pub part: String,
    /// What was measured.
    pub name: String,
    /// The unit of the values: `us`, microseconds.
    pub unit: String,
    /// How many values there are.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The greatest.
    pub max: f64,
}

/// The longest wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LongestWait {
    /// Its length, milliseconds.
    pub ms: f64,
    /// The task's name.
    pub name: String,
}

/// Moves of tasks between CPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Idle while tasks waited.
    pub wasted_s: f64,
}

impl Simulated {
    /// The figures of a report, which has them under the same names.
    pub(super) fn of(report: &Report) -> Result<Self, Failure> {
        let energy = &report.energy;
        let energy_j = energy.busy_j + energy.idle_j + energy.deep_j;
        let counters = report.counters.iter();
        let counters: BTreeMap<_, _> = counters
            .map(|counter| (counter.name.to_string(), counter.value))
            .collect();
        let mut value = serde_json::json!(report);
        value["energy_j"] = energy_j.into();
        value["counters"] = serde_json::json!(counters);
        serde_json::from_value(value).map_err(|error| {
            let message = format!("the report cannot be read: {error}");
            Failure::new(Code::Failure, message, "This is a defect of Baton.")
        })
    }
}

/// What happened, from a recording of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traced {
    /// What wrote the recording.
    pub writer: String,
    /// How long was recorded, milliseconds.
    pub duration_ms: f64,
    /// All events.
    pub events: u64,
    /// Events that were lost.
    pub lost: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// What ran where: each CPU.
    pub per_cpu: Vec<Cpu>,
    /// Who ran and who waited: tasks by name, those with most CPU time first, 40 at most.
    pub tasks: Vec<Tasks>,
}

/// What one CPU did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// Its number.
    pub cpu: u32,
    /// How long it ran tasks, milliseconds.
    pub busy_ms: f64,
    /// How often it went from one task to another.
    pub switches: u64,
}

/// Tasks of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tasks {
    /// The name; it says nothing to a policy.
    pub name: String,
    /// How many there were.
    pub tasks: u64,
    /// CPU time that they used, milliseconds.
    pub runtime_ms: f64,
    /// How often they came to run.
    pub runs: u64,
    /// How often they were woken.
    pub wakeups: u64,
    /// How long they were able to run and did not, milliseconds.
    pub wait_ms: f64,
    /// The longest of these waits, milliseconds.
    pub wait_max_ms: f64,
}

impl Traced {
    /// The same as a recording's summary.
    pub(super) fn of(summary: &Summary) -> Self {
        let ms = |ns: u64| ns as f64 / 1e6;
        let kinds = summary.kinds.list().into_iter();
        let kinds = kinds.filter(|(_, count)| *count > 0);
        Self {
            writer: summary.writer.clone(),
            duration_ms: ms(summary.duration_ns),
            events: summary.events,
            lost: summary.lost,
            kinds: kinds
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            per_cpu: summary
                .per_cpu
                .iter()
                .map(|cpu| Cpu {
                    cpu: cpu.cpu,
                    busy_ms: ms(cpu.busy_ns),
                    switches: cpu.switches,
                })
                .collect(),
            tasks: summary
                .tasks
                .iter()
                .take(TASKS_MAX)
                .map(|tasks| Tasks {
                    name: tasks.name.clone(),
                    tasks: tasks.tasks,
                    runtime_ms: ms(tasks.runtime_ns),
                    runs: tasks.runs,
                    wakeups: tasks.wakeups,
                    wait_ms: ms(tasks.wait_ns),
                    wait_max_ms: ms(tasks.wait_max_ns),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_machine::MachineFile;
    use baton_sim::Config;

    use super::*;

    #[test]
    fn a_report_has_all_figures() {
        let machine = MachineFile::find("2-cpu").unwrap();
        let config = Config::on(&machine, "pipe:rounds=50+hogs:count=2".parse().unwrap());
        let outcome = baton_sim::simulate("edf", &config, true).unwrap();
        let simulated = Simulated::of(&outcome.report).unwrap();
        assert_eq!(simulated.digest, outcome.report.digest);
        assert!(simulated.metrics.iter().any(|metric| metric.primary));
        assert!(simulated.energy_j > 0.0 && !simulated.counters.is_empty());
        let recording = outcome.trace.unwrap().recording("test", &config.machine);
        let recording = recording.unwrap();
        let mut recording = baton_trace::Recording::read_from(&recording[..], "test.rec").unwrap();
        let traced = Traced::of(&Summary::of(&mut recording).unwrap());
        assert_eq!(traced.per_cpu.len(), 2);
        assert!(traced.tasks.iter().any(|tasks| tasks.wait_ms > 0.0));
    }
}

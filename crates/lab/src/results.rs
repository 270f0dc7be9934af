//! `results.json`: everything that an experiment found. The raw values are kept; verdicts are
//! made of them anew by whoever reads them. `docs/results-schema.md` tells the fields and what is
//! promised of them; a test holds it against this file.

use std::collections::BTreeMap;

use baton_workload::Better;
use serde::{Deserialize, Deserializer, Serialize};

/// The number of this schema. Another one means that a field changed its meaning.
pub const SCHEMA: u32 = 1;

/// What an experiment found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The experiment's name.
    pub experiment: String,
    /// What it asks, in words.
    pub description: String,
    /// The experiment's file as it was run.
    pub source: String,
    /// Seed of the order, the workloads and the names of tasks.
    pub seed: u64,
    /// Runs of each cell that were planned.
    pub runs_planned: u32,
    /// Where it ran.
    pub environment: Environment,
    /// What was compared; the first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// What was run under each variant.
    pub workloads: Vec<Workload>,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// Run by run, in the order in which they ran.
    pub runs: Vec<Run>,
    /// What a reader must know: what was left out, and why.
    pub notes: Vec<String>,
    /// Begin of the first run, RFC 3339 in UTC.
    pub started: String,
    /// From the begin of the first run to the end of the last, interruptions left out, in seconds.
    pub wall_s: f64,
}

impl Results {
    /// The metrics, workload by workload, each one's primary metric first.
    pub fn metrics_in_order(&self) -> Vec<&Metric> {
        let of = |workload: &Workload, primary: bool| {
            let name = workload.name.clone();
            let metrics = self.metrics.iter();
            metrics.filter(move |metric| metric.workload == name && metric.primary == primary)
        };
        let workloads = self.workloads.iter();
        workloads
            .flat_map(|workload| of(workload, true).chain(of(workload, false)))
            .collect()
    }
}

/// Where an experiment ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `sim`, `vm` or `host`.
    pub backend: String,
    /// The kernel's release; of the simulator, empty.
    pub kernel: String,
    /// The machine's name, from the experiment.
    pub machine: String,
    /// Its CPUs.
    pub cpus: u32,
    /// The processor of the host.
    pub processor: String,
    /// `kvm` or `emulation`, in a VM.
    pub accelerator: Option<String>,
    /// Versions of what took part, by name: `baton`, `qemu`, and the programs of other schedulers that
    /// tell theirs.
    pub versions: BTreeMap<String, String>,
    /// The commit of Baton's source when it was built and whether that was changed; none where it was
    /// built without a repository.
    pub git: Option<Git>,
}

/// The state of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// Whether files differed from it.
    pub dirty: bool,
}

/// One of the things that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name in this experiment.
    pub name: String,
    /// What it is, in words: the policy with mode and parameters, or the command.
    pub what: String,
    /// Of an A/A check: the same thing as the variant of this name.
    pub same_as: Option<String>,
    /// Whether its workloads were run by another command, whose CPU time counts as theirs.
    #[serde(default)]
    pub prefix: bool,
}

/// What was run under each variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name in this experiment.
    pub name: String,
    /// What it is: the workload with all parameters, or the command.
    pub what: String,
}

/// What was measured of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The workload.
    pub workload: String,
    /// Its name within the workload, such as `pipe.time_s`.
    pub name: String,
    /// The unit, such as `s`.
    pub unit: String,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether it stands for the workload.
    pub primary: bool,
}

/// One run of one workload under one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The round, from 0: all cells are run once in each round.
    pub round: u32,
    /// The boot of the machine that it ran in, from 0; in the simulator, 0.
    pub boot: u32,
    /// The variant.
    pub variant: String,
    /// The workload.
    pub workload: String,
    /// The seed of the workload, the same for all variants of a round.
    pub seed: u64,
    /// How it ended.
    pub status: Status,
    /// Why, if not well.
    pub problem: Option<String>,
    /// Values by metric. Only those of runs that are [`Status::Ok`] are judged, and of those only
    /// finite ones. JSON has no others: they are written, and read, as `null`.
    #[serde(deserialize_with = "values_or_null")]
    pub values: BTreeMap<String, f64>,
    /// Latencies by name, such as `pipe.round_trip`.
    pub latencies: BTreeMap<String, Latency>,
    /// CPU time that the workload's tasks used by the kernel's account, in seconds, where it is known.
    pub cpu_s: Option<f64>,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Counters of the scheduler, where it has some.
    pub counters: BTreeMap<String, u64>,
}

/// `null` is what JSON makes of a value that is no number.
fn values_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    let number = |(name, value): (String, Option<f64>)| (name, value.unwrap_or(f64::NAN));
    Ok(values.into_iter().map(number).collect())
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To its end.
    Ok,
    /// The workload did not come to its end, or said nothing that could be read.
    Failed,
    /// The kernel threw the scheduler out, or it ended by itself.
    Ejected,
    /// The scheduler did not start.
    Unloadable,
    /// The time limit of the run.
    Timeout,
    /// The values are not believed: they and the accounted CPU time contradict each other.
    Refused,
}

impl Status {
    /// In a word.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Ejected => "ejected",
            Self::Unloadable => "unloadable",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
        }
    }
}

/// A distribution of latencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there are.
    pub count: u64,
    /// Points of the distribution: the share of values, from 0 to 1, that are at most so many
    /// microseconds; rising in both, from the least to the greatest.
    pub points: Vec<(f64, f64)>,
}

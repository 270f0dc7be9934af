//! What an experiment is: variants, workloads, a machine, and how often all of it is run.
//!
//! - [`Experiment::find`] reads one of `experiments/` by its name, or a file;
//! - `file` and, of its workloads, `works` turn a text into data, and tell each mistake with its line;
//! - `check` looks whether everything named in it exists, before anything is started;
//! - [`metric`] finds figures in what a command printed.

mod builtin;
mod check;
mod error;
mod file;
pub mod metric;
mod works;

use std::{path::Path, str::FromStr, time::Duration};

use baton_machine::MachineFile;
use baton_policy::Mode;
use baton_workload::Workload;
use serde::{Deserialize, Serialize};

pub use builtin::builtin_names;
pub use check::find_program;
pub use error::Error;
pub use metric::{Figure, Find};

/// Most runs of all cells together: results of more would be longer than [`crate::read`] takes.
const ALL_RUNS_MAX: u64 = 100_000;

/// Where the runs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// On a simulated machine.
    Sim,
    /// In VMs.
    Vm,
    /// On this machine.
    Host,
}

impl Backend {
    /// As it stands in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Vm => "vm",
            Self::Host => "host",
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = [Self::Sim, Self::Vm, Self::Host].into_iter();
        let found = all.find(|backend| backend.name() == text);
        found.ok_or_else(|| format!("`{text}` is no backend: write sim, vm or host"))
    }
}

/// An experiment, as it is asked for.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The file, as it was named; for what is said about mistakes.
    pub file: String,
    /// Its text.
    pub source: String,
    /// One word.
    pub name: String,
    /// What it asks, in words.
    pub description: String,
    /// Where the runs are made.
    pub backend: Backend,
    /// The machine that is simulated, or that the VM is; of the host, only a word in the results.
    pub machine: String,
    /// The kernel of the VM, as `baton vm --kernel` takes it.
    pub kernel: String,
    /// Runs of each workload under each variant; each round has one of each.
    pub runs: u32,
    /// Runs of each workload under the kernel's own scheduler at the begin of each boot, whose
    /// figures are thrown away. The simulator, which has nothing to warm, makes none.
    pub warmup: u32,
    /// VMs, one after the other, over which the rounds are spread.
    pub boots: u32,
    /// Seed of the order, the workloads and the names of tasks.
    pub seed: u64,
    /// What a run and all of them may take.
    pub limits: Limits,
    /// What is compared; the first is what the others are compared with.
    pub variants: Vec<Variant>,
    /// What is run under each variant.
    pub workloads: Vec<Work>,
    described: Described,
}

/// What an experiment's names stand for, once it was checked.
#[derive(Clone, Debug, Default)]
struct Described {
    machine: Option<MachineFile>,
    lines: Lines,
}

/// Lines of the file, for what is found wrong after it was read.
#[derive(Clone, Debug, Default)]
struct Lines {
    runs: usize,
    machine: usize,
    kernel: usize,
    boots: usize,
    variants: Vec<usize>,
    workloads: Vec<usize>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One run; 120 s unless told. In the simulator, simulated time.
    pub run: Duration,
    /// All runs together, interruptions left out; no limit unless told.
    pub total: Option<Duration>,
}

/// One of the things that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name in the experiment.
    pub name: String,
    /// What schedules.
    pub scheduler: Scheduler,
    /// A command, and its first arguments, that runs the workload's command, which follows as its
    /// last arguments, in its surroundings; empty for none.
    pub prefix: Vec<String>,
    /// Left out, with a note, where it cannot be had.
    pub optional: bool,
    /// Of an A/A check: the same thing as the variant of this name.
    pub same_as: Option<String>,
}

/// What schedules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// The kernel's own scheduler, nothing loaded.
    Kernel,
    /// A policy.
    Policy {
        /// The name of one of ours, the path of a policy's program, or of a policy project's
        /// directory.
        policy: String,
        /// How it acts.
        mode: Mode,
        /// Its parameters.
        params: Vec<(String, String)>,
        /// The file of its model, if not the one that comes with Baton.
        model: Option<String>,
    },
    /// A command that loads a scheduler and stays as long as it schedules.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The package of crates.io, and its version, that is built where the program is not on
        /// `PATH`.
        package: Option<(String, String)>,
    },
}

/// What is run under each variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Its name in the experiment.
    pub name: String,
    /// What is run.
    pub run: Runs,
    /// Files and programs that a VM needs for it beside the command's own, as `baton vm --pack`
    /// takes them.
    pub pack: Vec<String>,
}

/// What a workload is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Runs {
    /// One of ours.
    Ours(Workload),
    /// A command that prints figures.
    Command {
        /// The program and its arguments. `{seed}` stands for the run's seed.
        argv: Vec<String>,
        /// What to find in its output.
        figures: Vec<Figure>,
    },
}

impl Experiment {
    /// Finds an experiment by the name of a built-in one or by the path of a file. A name with a
    /// slash or ending in `.toml` is a path.
    ///
    /// # Errors
    /// There is no such experiment, or its file is unreadable or has a mistake.
    pub fn find(name_or_path: &str) -> Result<Self, Error> {
        if let Some((name, text)) = builtin::file(name_or_path) {
            return Self::parse(&format!("experiments/{name}.toml"), text);
        }
        let path = Path::new(name_or_path);
        if name_or_path.contains('/') || name_or_path.ends_with(".toml") || path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
                path: path.into(),
                source,
            })?;
            return Self::parse(name_or_path, &text);
        }
        Err(Error::Unknown {
            name: name_or_path.into(),
            known: builtin_names(),
        })
    }

    /// Reads an experiment's text; `file` names it in errors.
    ///
    /// # Errors
    /// The text has a mistake; the error names its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        file::parse(file, text)
    }

    /// The described machine; none of the host.
    #[must_use]
    pub const fn machine_file(&self) -> Option<&MachineFile> {
        self.described.machine.as_ref()
    }

    /// A mistake in this file, at a line of it.
    /// What is wrong if there are more runs, of all cells together, than there can be.
    fn excess(&self) -> Option<String> {
        let (variants, workloads) = (self.variants.len(), self.workloads.len());
        let all = u64::from(self.runs) * variants as u64 * workloads as u64;
        (all > ALL_RUNS_MAX).then(|| {
            format!(
                "{} runs of {variants} variants on {workloads} workloads are {all} in all, and there can be \
                 {ALL_RUNS_MAX}: ask for fewer, or share them out among several files",
                self.runs
            )
        })
    }

    fn mistake(&self, line: usize, problem: impl Into<String>) -> Error {
        Error::Malformed {
            file: self.file.clone(),
            line,
            problem: problem.into(),
        }
    }
}

impl Scheduler {
    /// What it is, in words: the policy with its mode and parameters, or the command.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Kernel => "the kernel's own scheduler".to_owned(),
            Self::Policy {
                policy,
                mode,
                params,
                model,
            } => {
                let model = model.iter().map(|model| format!(", model {model}"));
                let params = params
                    .iter()
                    .map(|(name, value)| format!(", {name}={value}"));
                format!(
                    "{policy}, mode {}{}",
                    mode.name(),
                    params.chain(model).collect::<String>()
                )
            }
            Self::Command { argv, .. } => argv.join(" "),
        }
    }
}

impl Variant {
    /// What it is, in words: the scheduler, and what stands around workloads.
    #[must_use]
    pub fn what(&self) -> String {
        let scheduler = self.scheduler.what();
        match &self.prefix[..] {
            [] => scheduler,
            prefix => format!("{scheduler}; workloads by {}", prefix.join(" ")),
        }
    }
}

impl Runs {
    /// What it is, in words: the workload with all parameters, or the command.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Ours(workload) => format!("{workload:#}"),
            Self::Command { argv, .. } => argv.join(" "),
        }
    }
}

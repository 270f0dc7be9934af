//! Whether what an experiment names can be had, looked at before anything is started.

use std::{env, path::Path};

use baton_machine::MachineFile;
use baton_model::ModelFile;
use baton_policies::{Visitor, with_policy};
use baton_policy::{Driver, Machine, Policy, Setup};
use baton_vm::KernelSpec;
use baton_workload::{Part, Workload};

use super::{Backend, Error, Experiment, Runs, Scheduler, Variant};

/// Makes a policy, to see whether it takes the mode and the parameters, and a model if one is named.
struct Check<'a>(&'a Setup<'a>, bool);

impl Visitor for Check<'_> {
    type Output = Result<(), String>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        if self.1 && !P::USES_MODEL {
            return Err(format!(
                "{} uses no model: leave it out, or run learned",
                P::NAME
            ));
        }
        let driver = Driver::<P>::new(self.0);
        driver.map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Experiment {
    /// Looks whether everything that it names exists and fits the backend, and leaves out variants
    /// that are optional and cannot be had; returns notes about these.
    ///
    /// # Errors
    /// A mistake, with its line.
    pub fn check(&mut self) -> Result<Vec<String>, Error> {
        let lines = self.described.lines.clone();
        // The command line may ask for more runs than the file does.
        if let Some(problem) = self.excess() {
            return Err(self.mistake(lines.runs, problem));
        }
        if self.boots > self.runs {
            let problem = format!(
                "boots = {} is more than the {} runs, and a round is not cut: lower it",
                self.boots, self.runs
            );
            return Err(self.mistake(lines.boots, problem));
        }
        self.described.machine = self.find_machine(lines.machine)?;
        if self.backend == Backend::Vm {
            let kernel = self.kernel.parse::<KernelSpec>();
            kernel.map_err(|error| self.mistake(lines.kernel, error.to_string()))?;
        }
        let machine = match &self.described.machine {
            Some(machine) => machine.machine(),
            None => Machine::uniform("host", cpus_here()),
        };
        for (work, &line) in self.workloads.iter().zip(&lines.workloads) {
            let simulated = self.backend == Backend::Sim;
            let problem = match &work.run {
                Runs::Ours(workload) if simulated => not_simulated(workload),
                Runs::Command { .. } if simulated => {
                    let problem =
                        "the simulator runs no commands: use backend = \"vm\" or \"host\"";
                    Some(problem.to_owned())
                }
                Runs::Command { argv, .. } => missing_program(&argv[0]),
                Runs::Ours(_) => None,
            };
            if let Some(problem) = problem {
                let problem = format!("{}: {problem}", work.name);
                return Err(self.mistake(line, problem));
            }
        }
        let mut notes = Vec::new();
        let mut left = Vec::new();
        for (variant, &line) in self.variants.iter().zip(&lines.variants) {
            match self.obstacle(variant, &machine) {
                None => left.push((variant.clone(), line)),
                Some(Obstacle::Absent(problem)) if variant.optional => {
                    notes.push(format!("{} is left out: {problem}", variant.name));
                }
                Some(Obstacle::Absent(problem) | Obstacle::Mistake(problem)) => {
                    let problem = format!("{}: {problem}", variant.name);
                    return Err(self.mistake(line, problem));
                }
            }
        }
        if self.variants[0].optional {
            let problem = "the first variant is what the others are compared with, and cannot be \
                           optional: put another one first";
            return Err(self.mistake(lines.variants[0], problem.to_owned()));
        }
        // The twin of a variant that was left out is, too.
        (self.variants, self.described.lines.variants) = left.into_iter().unzip();
        self.check_variants(&notes)?;
        Ok(notes)
    }

    /// Looks whether there is still something to compare after variants were left out, of which
    /// the notes tell: two, of which one may be the A/A check. An experiment may have a single
    /// variant, but not by accident.
    ///
    /// # Errors
    /// There is not.
    pub fn check_variants(&self, notes: &[String]) -> Result<(), Error> {
        if notes.is_empty() || self.variants.len() >= 2 {
            return Ok(());
        }
        let line = self.described.lines.variants.first().copied();
        let notes = notes.join("; ");
        let problem = format!("there are no two variants left to compare: {notes}");
        Err(self.mistake(line.unwrap_or_default(), problem))
    }

    fn find_machine(&self, line: usize) -> Result<Option<MachineFile>, Error> {
        if self.backend == Backend::Host {
            return Ok(None);
        }
        let machine = MachineFile::find(&self.machine);
        let machine = machine.map_err(|error| self.mistake(line, error.to_string()))?;
        match machine.vm_obstacle() {
            Some(obstacle) if self.backend == Backend::Vm => {
                let name = machine.name;
                let error = baton_vm::Error::NotAVm {
                    machine: name,
                    obstacle,
                };
                Err(self.mistake(line, error.to_string()))
            }
            _ => Ok(Some(machine)),
        }
    }

    fn obstacle(&self, variant: &Variant, machine: &Machine) -> Option<Obstacle> {
        if let Some(program) = variant.prefix.first() {
            if self.backend == Backend::Sim {
                let problem = "the simulator runs no commands, and so no prefix";
                return Some(Obstacle::Absent(problem.to_owned()));
            }
            if let Some(problem) = missing_program(program) {
                return Some(Obstacle::Absent(problem));
            }
        }
        match &variant.scheduler {
            Scheduler::Kernel => None,
            Scheduler::Policy {
                policy,
                mode,
                params,
                model,
            } => {
                if let Some(path) = model
                    && let Err(error) = ModelFile::read(path)
                {
                    return Some(Obstacle::Mistake(format!("{path}: {error}")));
                }
                let setup = Setup::with_params(machine, 1, params).with_mode(*mode);
                match with_policy(policy, Check(&setup, model.is_some())) {
                    Some(checked) => checked.err().map(Obstacle::Mistake),
                    // A program's own parameters are its own matter.
                    None if Path::new(policy).exists() => None,
                    None => Some(Obstacle::Mistake(unknown_policy(
                        policy,
                        ", or give the directory of a policy project",
                    ))),
                }
            }
            Scheduler::Command { .. } if self.backend == Backend::Sim => Some(Obstacle::Absent(
                "the simulator runs no commands".to_owned(),
            )),
            Scheduler::Command {
                package: Some(_), ..
            } => None,
            Scheduler::Command { argv, .. } => missing_program(&argv[0]).map(Obstacle::Absent),
        }
    }
}

/// Why a variant cannot be run.
enum Obstacle {
    /// What it names is not here.
    Absent(String),
    /// What it says is wrong everywhere.
    Mistake(String),
}

fn unknown_policy(name: &str, or: &str) -> String {
    let known: Vec<_> = baton_policies::list()
        .iter()
        .map(|policy| policy.name)
        .collect();
    format!(
        "there is no policy `{name}`: choose from {}{or}",
        known.join(", ")
    )
}

/// Why a workload cannot be simulated, if so.
fn not_simulated(workload: &Workload) -> Option<String> {
    let compiles = |part: &Part| matches!(part, Part::Compile(_));
    let compile = workload.parts().iter().find(|part| compiles(part))?;
    let kind = compile.kind().name;
    Some(baton_sim::Error::NotSimulated { kind }.to_string())
}

/// The complaint about a program that is not there.
fn missing_program(name: &str) -> Option<String> {
    match find_program(name) {
        Some(_) => None,
        None => Some(format!(
            "there is no program {name} here: install it, or give its path"
        )),
    }
}

/// The file that a command's first word names: itself if it has a slash, for `baton` this program, else
/// from `PATH`.
#[must_use]
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    if name.contains('/') {
        return Some(name.into()).filter(|path: &std::path::PathBuf| path.is_file());
    }
    if name == "baton" {
        return env::current_exe().ok();
    }
    let directories = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&directories).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_file())
}

fn cpus_here() -> u32 {
    let cpus = std::thread::available_parallelism();
    cpus.map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1))
}

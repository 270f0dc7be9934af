//! What an experiment names, found on this machine or built: programs of policies, schedulers of
//! others, what workloads need.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use baton_lab::{
    Experiment,
    engine::{self, Launch},
    environment::{told_version, version_of},
    experiment::{Backend, Runs, Scheduler, Variant, find_program},
};
use baton_vm::KernelSpec;
use baton_workload::Workload;

use crate::{
    commands::vm,
    failures::fail,
    needs, peers,
    project::{self, Program},
};

/// What was found.
#[derive(Clone)]
pub(super) struct Resolved {
    /// How each variant's scheduler is started.
    pub(super) launches: Vec<Launch>,
    /// Versions of what takes part.
    pub(super) versions: BTreeMap<String, String>,
    /// Programs that a VM needs.
    programs: Vec<PathBuf>,
}

/// Finds or builds what the variants name; leaves out optional ones that cannot be had, with a note.
pub(super) fn resolve(
    experiment: &mut Experiment,
    notes: &mut Vec<String>,
) -> anyhow::Result<Resolved> {
    let mut resolved = Resolved {
        launches: Vec::new(),
        versions: BTreeMap::new(),
        programs: Vec::new(),
    };
    if experiment.backend == Backend::Sim {
        build(experiment)?;
        return Ok(resolved);
    }
    let mut left = Vec::new();
    for variant in experiment.variants.drain(..) {
        match resolved.launch(&variant) {
            Ok(launch) => {
                resolved.launches.push(launch);
                left.push(variant);
            }
            Err(error) if variant.optional => {
                let problem = format!("{error:#}");
                let problem = problem.lines().next().unwrap_or_default();
                notes.push(format!("{} is left out: {problem}", variant.name));
            }
            Err(error) => return Err(error),
        }
    }
    experiment.variants = left;
    experiment.check_variants(notes)?;
    if experiment.backend == Backend::Vm
        && let Some(version) = version_of("qemu-system-x86_64", "version ")
    {
        resolved.versions.insert("qemu".to_owned(), version);
    }
    Ok(resolved)
}

/// Puts programs into the place of projects, and of nothing else.
fn build(experiment: &mut Experiment) -> anyhow::Result<()> {
    for variant in &mut experiment.variants {
        if let Scheduler::Policy { policy, .. } = &mut variant.scheduler
            && Path::new(policy).exists()
        {
            let program = project::program(policy)?.path;
            *policy = program.to_string_lossy().into_owned();
        }
    }
    Ok(())
}

/// The path of a program that is named.
fn found(name: &str) -> anyhow::Result<String> {
    match find_program(name) {
        Some(path) => Ok(std::path::absolute(path)?.to_string_lossy().into_owned()),
        None => {
            let message = format!("there is no program {name} here: install it");
            fail(baton::app::Code::Machine, message)
        }
    }
}

impl Resolved {
    fn launch(&mut self, variant: &Variant) -> anyhow::Result<Launch> {
        let (argv, reports) = self.scheduler(&variant.scheduler)?;
        let mut prefix = variant.prefix.clone();
        if let Some(program) = prefix.first_mut() {
            *program = found(program)?;
        }
        Ok(Launch {
            argv,
            reports,
            prefix,
        })
    }

    /// The scheduler's program and arguments, and whether it is one of ours that reports.
    fn scheduler(&mut self, scheduler: &Scheduler) -> anyhow::Result<(Vec<String>, bool)> {
        match scheduler {
            Scheduler::Kernel => Ok((Vec::new(), false)),
            Scheduler::Policy {
                policy,
                mode,
                params,
                model,
            } => {
                let Program { path, run } = project::program(policy)?;
                let mut argv = vec![path.to_string_lossy().into_owned()];
                argv.extend(run);
                argv.extend(["--json".to_owned(), "--seed={seed}".to_owned()]);
                argv.push(format!("--mode={}", mode.name()));
                argv.extend(
                    params
                        .iter()
                        .map(|(name, value)| format!("--set={name}={value}")),
                );
                if let Some(model) = model {
                    let model = std::path::absolute(model)?;
                    argv.push(format!("--model={}", model.display()));
                    self.programs.push(model);
                }
                if path != project::own_path()? {
                    self.programs.push(path);
                }
                Ok((argv, true))
            }
            Scheduler::Command { argv, package } => {
                let name = &argv[0];
                let program = match (find_program(name), package) {
                    (Some(path), _) => {
                        let file = path.file_name().unwrap_or_default().to_string_lossy();
                        if let Some(version) = told_version(&path) {
                            self.versions.insert(file.into_owned(), version);
                        }
                        found(name)?
                    }
                    (None, Some((package, version))) => {
                        let path = peers::program(name, package, version)?;
                        self.versions.insert(package.clone(), version.clone());
                        path.to_string_lossy().into_owned()
                    }
                    _ => found(name)?,
                };
                let mut argv = argv.clone();
                argv[0] = program;
                Ok((argv, false))
            }
        }
    }

    /// Guests for the experiment's runs.
    pub(super) fn vm(&self, experiment: &Experiment) -> anyhow::Result<engine::Vm> {
        let own = project::own_path()?;
        let mut guest = vm::guest(&own).kernel(experiment.kernel.parse::<KernelSpec>()?);
        if let Some(machine) = experiment.machine_file() {
            guest = guest.machine(machine.clone());
        }
        for program in &self.programs {
            guest = guest.pack(program, program);
        }
        let launches = self.launches.iter();
        let commands = launches.flat_map(|launch| [&launch.argv, &launch.prefix]);
        for command in commands.filter(|command| !command.is_empty()) {
            guest = guest.also(command.iter().cloned());
        }
        let mut ours: Vec<Workload> = Vec::new();
        for work in &experiment.workloads {
            match &work.run {
                Runs::Ours(workload) => ours.push(workload.clone()),
                Runs::Command { argv, .. } => guest = guest.also(argv.iter().cloned()),
            }
            guest = work
                .pack
                .iter()
                .fold(guest, |guest, text| guest.pack_arg(text));
        }
        guest = needs::pack(guest, &ours)?;
        let own = own.to_string_lossy().into_owned();
        Ok(engine::Vm::new(
            guest,
            vec![own, "lab".into(), "guest".into()],
        ))
    }
}

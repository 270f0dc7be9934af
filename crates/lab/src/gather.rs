//! A journal's runs, gathered as results.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    Experiment,
    experiment::Backend,
    journal::{Journal, Line, Session},
    results::{Environment, Metric, Results, SCHEMA, Variant, Workload},
};

const FILE: &str = "results.json";

/// What an experiment has found so far. `notes` are what its reader must know beside.
#[must_use]
pub fn gather(experiment: &Experiment, journal: &Journal, notes: &[String]) -> Results {
    let mut metrics: Vec<Metric> = Vec::new();
    for made in journal.made() {
        for metric in &made.metrics {
            let same =
                |other: &Metric| (&other.workload, &other.name) == (&metric.workload, &metric.name);
            if !metrics.iter().any(same) {
                metrics.push(metric.clone());
            }
        }
    }
    // Workload by workload, in the experiment's order; within one, as its report has them.
    let place = |metric: &Metric| {
        let mut workloads = experiment.workloads.iter();
        workloads.position(|work| work.name == metric.workload)
    };
    metrics.sort_by_key(place);
    let sessions: Vec<&Session> = sessions(journal).collect();
    let mut notes = notes.to_vec();
    notes.extend(changes(&sessions));
    notes.extend(deaths(journal));
    let planned = experiment.shape().cells().len();
    let made = journal.made_count();
    if made < planned {
        notes.push(format!("{made} of {planned} runs were made"));
    }
    Results {
        schema: SCHEMA,
        experiment: experiment.name.clone(),
        description: experiment.description.clone(),
        source: experiment.source.clone(),
        seed: experiment.seed,
        runs_planned: experiment.runs,
        environment: environment(experiment, journal, &sessions),
        variants: variants(experiment),
        workloads: workloads(experiment),
        metrics,
        runs: journal.made().map(|made| made.run.clone()).collect(),
        notes,
        started: sessions
            .first()
            .map_or(String::new(), |first| first.begun.clone()),
        wall_s: journal.wall_s(),
    }
}

fn sessions(journal: &Journal) -> impl Iterator<Item = &Session> {
    journal.lines().iter().filter_map(|line| match line {
        Line::Session(session) => Some(session),
        _ => None,
    })
}

/// What changed between the sessions, for a reader to judge.
fn changes(sessions: &[&Session]) -> Vec<String> {
    let mut notes = Vec::new();
    let differs = |of: &dyn Fn(&Session) -> String| {
        sessions.windows(2).any(|pair| of(pair[0]) != of(pair[1]))
    };
    if differs(&|session| session.build.clone()) {
        notes.push("Baton was built anew between runs".to_owned());
    }
    if differs(&|session| session.processor.clone()) {
        notes.push("the processor is not the same for all runs".to_owned());
    }
    notes
}

fn deaths(journal: &Journal) -> Option<String> {
    let died = |line: &&Line| matches!(line, Line::Died(_));
    match journal.lines().iter().filter(died).count() {
        0 => None,
        1 => Some("the guest's kernel died once, and its run was made again".to_owned()),
        times => Some(format!(
            "the guest's kernel died {times} times, and its runs were made again"
        )),
    }
}

fn environment(experiment: &Experiment, journal: &Journal, sessions: &[&Session]) -> Environment {
    let booted = journal.boots().next();
    let session = sessions.last();
    let machine = match experiment.backend {
        Backend::Host => "host".to_owned(),
        _ => experiment.machine_file().map_or_else(
            || experiment.machine.clone(),
            |machine| machine.name.clone(),
        ),
    };
    Environment {
        backend: experiment.backend.name().to_owned(),
        kernel: booted.map_or(String::new(), |booted| booted.kernel.clone()),
        machine,
        cpus: booted.map_or(0, |booted| booted.cpus),
        processor: session.map_or(String::new(), |session| session.processor.clone()),
        accelerator: booted.and_then(|booted| booted.accelerator.clone()),
        versions: session.map_or_else(Default::default, |session| session.versions.clone()),
        git: session.and_then(|session| session.git.clone()),
    }
}

fn variants(experiment: &Experiment) -> Vec<Variant> {
    let variants = experiment.variants.iter().map(|variant| Variant {
        name: variant.name.clone(),
        what: variant.what(),
        same_as: variant.same_as.clone(),
        prefix: !variant.prefix.is_empty(),
    });
    variants.collect()
}

fn workloads(experiment: &Experiment) -> Vec<Workload> {
    let workloads = experiment.workloads.iter().map(|work| Workload {
        name: work.name.clone(),
        what: work.run.what(),
    });
    workloads.collect()
}

/// Writes results into a directory; returns their path.
///
/// # Errors
/// They cannot be written.
pub fn write(directory: &Path, results: &Results) -> io::Result<PathBuf> {
    let mut bytes = serde_json::to_vec(results)?;
    bytes.push(b'\n');
    write_file(directory, FILE, &bytes)
}

/// Writes a file into a directory: all of it or, if that fails, nothing; returns its path.
///
/// # Errors
/// It cannot be written.
pub fn write_file(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = directory.join(name);
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    // A temporary file is its owner's alone; this one is for readers.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(path)
}

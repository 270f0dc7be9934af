//! Candidates as programs, compiled when they are first run and kept for a while.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use baton_trial::protocol::{Ask, Found, Play};
use tempfile::TempDir;

use super::{
    contained::Run,
    errors::{Code, Failure, workspace},
    job::Job,
};
use crate::{
    Checked, Checker, Compiler, Depth, Program, Stage, StageDone, Workshop, program::diagnostic,
    taken,
};

/// Programs that are kept; a program takes some megabytes.
const KEPT_MAX: usize = 32;
/// A simulated run ends after this in any case, nanoseconds of simulated time.
const LIMIT_NS: u64 = 120_000_000_000;

/// A program, and the folder that it lies in.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) program: Program,
    _folder: Arc<TempDir>,
}

/// Makes programs of candidates.
#[derive(Debug)]
pub(super) struct Programs {
    workshop: Workshop,
    scratch: PathBuf,
    made: Mutex<BTreeMap<u32, Made>>,
}

impl Programs {
    pub(super) fn new(workshop: Workshop, scratch: PathBuf) -> Self {
        Self {
            workshop,
            scratch,
            made: Mutex::default(),
        }
    }

    fn compiler(&self, job: &Job) -> Result<Compiler, Failure> {
        let mut see = || job.tell("making the library for candidates (minutes, the first time)");
        let compiler = self.workshop.compiler(job.stop_flag(), &mut see);
        compiler.map_err(|error| Failure::from(&*error))
    }

    /// Takes a candidate through its stages; what it does, the job tells.
    pub(super) fn check(
        &self,
        id: u32,
        text: &str,
        last: Stage,
        depth: Depth,
        job: &Job,
    ) -> Result<Checked, Failure> {
        let compiler = self.compiler(job)?;
        let folder = self.folder()?;
        let checker = Checker {
            compiler: &compiler,
            sandbox: self.workshop.sandbox(),
            machines: None,
            depth,
            taken: &taken(),
        };
        let mut see = |stage: Stage, done: Option<&StageDone>| {
            if done.is_none() {
                job.tell(stage.name());
            }
        };
        let checked = checker.check(text, last, folder.path(), job.stop_flag(), &mut see)?;
        // Only what passed the lint is linked.
        if let Some(program) = checked.program.clone() {
            self.keep(id, program, folder);
        }
        Ok(checked)
    }

    /// Keeps a program for the next question about it.
    fn keep(&self, id: u32, program: Program, folder: TempDir) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= KEPT_MAX && !made.contains_key(&id) {
            // Older candidates are asked for less often.
            made.pop_first();
        }
        made.entry(id).or_insert(Made {
            program,
            _folder: Arc::new(folder),
        });
    }

    /// A candidate's program, if it passes the stages before it is run.
    pub(super) fn program(&self, id: u32, text: &str, job: &Job) -> Result<Made, Failure> {
        let find = || {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.get(&id).cloned()
        };
        if let Some(made) = find() {
            return Ok(made);
        }
        let compiler = self.compiler(job)?;
        let folder = self.folder()?;
        let checker = Checker {
            compiler: &compiler,
            sandbox: self.workshop.sandbox(),
            machines: None,
            depth: Depth::quick(1),
            taken: &taken(),
        };
        let stop = job.stop_flag();
        let checked = checker.check(text, Stage::Lint, folder.path(), stop, &mut |_, _| {})?;
        if let Some(refused) = checked.refused() {
            return Err(Failure::refused(id, refused.diagnostics.first()));
        }
        job.tell("linking");
        match checker.link(folder.path(), stop)? {
            Ok(program) => self.keep(id, program, folder),
            Err(diagnostics) => return Err(Failure::refused(id, diagnostics.first())),
        }
        find().ok_or_else(|| Failure::refused(id, None))
    }

    fn folder(&self) -> Result<TempDir, Failure> {
        tempfile::tempdir_in(&self.scratch)
            .map_err(|error| workspace("make a temporary directory", &error))
    }
}

/// Simulates a candidate's program.
pub(super) fn play(
    made: &Made,
    run: &Run,
    params: &[(String, String)],
    wall: Duration,
    job: &Job,
) -> Result<baton_sim::Report, Failure> {
    let ask = Ask::Play(Play {
        workload: run.workload.clone(),
        machine: run.machine.clone(),
        machine_text: None,
        seed: run.seed,
        salt: None,
        limit_ns: LIMIT_NS,
        mode: baton_policy::Mode::Decide,
        params: params.to_vec(),
    });
    let stage = Stage::Benchmark;
    let help = "`check` tells what is wrong with a candidate, and where.";
    let failed = |message: String| Failure::new(Code::Refused, message, help);
    match made.program.ask(stage, ask, wall, job.stop_flag())? {
        Ok(Found::Report(report)) => Ok(*report),
        Ok(Found::Wrong(findings)) => {
            let first = findings.into_iter().next();
            let first = first.map(|finding| diagnostic(stage, finding).to_string());
            Err(failed(
                first.unwrap_or_else(|| "it has no report".to_owned()),
            ))
        }
        Err(diagnostic) => Err(failed(diagnostic.to_string())),
    }
}

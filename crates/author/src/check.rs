//! The stages of a candidate, in order, each within limits; the first that it does not pass ends it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use baton_sandbox::Sandbox;
use baton_trial::protocol::{Ask, Found};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Compiler, Diagnostic, Error, Program, Stage,
    error::file,
    program,
    source::{self, Source},
    vm::{self, Machines},
};

/// How thoroughly a candidate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Random runs with faults.
    pub random_runs: u64,
    /// Seed of the first of them.
    pub first_seed: u64,
    /// Seconds of disturbances in a VM; 0: no VM.
    pub vm_seconds: u32,
}

impl Depth {
    /// What a first look takes: seconds, and half a minute in a VM.
    #[must_use]
    pub const fn quick(first_seed: u64) -> Self {
        Self {
            random_runs: 300,
            first_seed,
            vm_seconds: 6,
        }
    }

    /// Before a policy is used.
    #[must_use]
    pub const fn thorough(first_seed: u64) -> Self {
        Self {
            random_runs: 3000,
            first_seed,
            vm_seconds: 60,
        }
    }
}

/// What came of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageDone {
    /// The stage.
    pub stage: Stage,
    /// Whether the candidate goes on.
    pub passed: bool,
    /// How long it took, seconds.
    pub took_s: f64,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a candidate went through.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The stages, up to the first that was not passed.
    pub stages: Vec<StageDone>,
    /// Its source, if it could be read.
    pub source: Option<Source>,
    /// Its program, if it came so far.
    pub program: Option<Program>,
}

impl Checked {
    /// Whether it passed all that it went through.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.stages.iter().all(|done| done.passed)
    }

    /// The stage that it did not pass.
    #[must_use]
    pub fn refused(&self) -> Option<&StageDone> {
        self.stages.iter().find(|done| !done.passed)
    }
}

/// Takes candidates through their stages.
pub struct Checker<'a> {
    /// Compiles them.
    pub compiler: &'a Compiler,
    /// What their programs run in.
    pub sandbox: &'a Sandbox,
    /// VMs; without, that stage is left out.
    pub machines: Option<&'a dyn Machines>,
    /// How thoroughly.
    pub depth: Depth,
    /// Names that a candidate cannot have; see [`taken`].
    pub taken: &'a [&'a str],
}

impl std::fmt::Debug for Checker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker")
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

impl Checker<'_> {
    /// Takes the text through all stages up to `last`, but the benchmark. What is made for it is written
    /// into the directory; `see` is told what begins and what is done.
    ///
    /// # Errors
    /// This machine cannot do it, or it was stopped. A candidate's mistakes are no error.
    pub fn check(
        &self,
        text: &str,
        last: Stage,
        directory: &Path,
        stop: &AtomicBool,
        see: &mut dyn FnMut(Stage, Option<&StageDone>),
    ) -> Result<Checked, Error> {
        let mut checked = Checked {
            stages: Vec::new(),
            source: None,
            program: None,
        };
        fs::create_dir_all(directory).map_err(file("make", directory))?;
        // Paths in messages and in files are whole.
        let directory = directory.canonicalize().map_err(file("find", directory))?;
        for stage in Stage::ALL.into_iter().filter(|stage| *stage <= last) {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            if stage == Stage::Benchmark || self.leaves_out(stage) {
                continue;
            }
            see(stage, None);
            let begin = Instant::now();
            let diagnostics = self.stage(stage, text, &directory, stop, &mut checked)?;
            let done = StageDone {
                stage,
                passed: diagnostics.is_empty(),
                took_s: begin.elapsed().as_secs_f64(),
                diagnostics,
            };
            see(stage, Some(&done));
            let passed = done.passed;
            checked.stages.push(done);
            if !passed {
                break;
            }
        }
        Ok(checked)
    }

    /// The program of what was compiled in this directory: for one that passed up to the lint alone.
    ///
    /// # Errors
    /// As [`Checker::check`].
    pub fn link(
        &self,
        directory: &Path,
        stop: &AtomicBool,
    ) -> Result<Result<Program, Vec<Diagnostic>>, Error> {
        let directory = directory.canonicalize().map_err(file("find", directory))?;
        let linked = self.compiler.link(&directory, stop)?;
        Ok(linked.map(|path| self.program(path)))
    }

    fn leaves_out(&self, stage: Stage) -> bool {
        stage == Stage::Vm && (self.machines.is_none() || self.depth.vm_seconds == 0)
    }

    fn stage(
        &self,
        stage: Stage,
        text: &str,
        directory: &Path,
        stop: &AtomicBool,
        checked: &mut Checked,
    ) -> Result<Vec<Diagnostic>, Error> {
        match stage {
            Stage::Parse => match source::parse(text, self.taken) {
                Ok(source) => checked.source = Some(source),
                Err(diagnostics) => return Ok(diagnostics),
            },
            Stage::Compile => {
                let compiled = self.compiler.compile(text, directory, stop)?;
                return Ok(compiled.err().unwrap_or_default());
            }
            Stage::Lint => {
                let source = checked.source.as_ref();
                return Ok(source.map(source::lint).unwrap_or_default());
            }
            Stage::Properties => {
                // What is refused before needs no program.
                match self.compiler.link(directory, stop)? {
                    Ok(path) => checked.program = Some(self.program(path)),
                    Err(diagnostics) => return Ok(diagnostics),
                }
                return self.ask(
                    checked,
                    stage,
                    Ask::Properties,
                    Duration::from_secs(60),
                    stop,
                );
            }
            Stage::Invariants => {
                let Depth {
                    random_runs: runs,
                    first_seed,
                    ..
                } = self.depth;
                let wall = Duration::from_secs(30 + runs / 5);
                let ask = Ask::Invariants { runs, first_seed };
                return self.ask(checked, stage, ask, wall, stop);
            }
            Stage::Vm => {
                if let (Some(machines), Some(program)) = (self.machines, &checked.program) {
                    let Depth {
                        vm_seconds,
                        first_seed,
                        ..
                    } = self.depth;
                    return vm::run(machines, program.path(), vm_seconds, first_seed, stop);
                }
            }
            Stage::Benchmark => {}
        }
        Ok(Vec::new())
    }

    fn program(&self, path: PathBuf) -> Program {
        Program::new(path, self.sandbox.clone())
    }

    fn ask(
        &self,
        checked: &Checked,
        stage: Stage,
        ask: Ask,
        wall: Duration,
        stop: &AtomicBool,
    ) -> Result<Vec<Diagnostic>, Error> {
        let Some(program) = &checked.program else {
            return Ok(Vec::new());
        };
        Ok(match program.ask(stage, ask, wall, stop)? {
            Ok(Found::Wrong(findings)) => findings
                .into_iter()
                .map(|finding| program::diagnostic(stage, finding))
                .collect(),
            Ok(Found::Report(_)) => vec![Diagnostic::new(
                stage,
                "tampered",
                "the policy's program answered another question than the one that it was asked",
            )],
            Err(diagnostic) => vec![diagnostic],
        })
    }
}

/// Names of Baton's own policies, by which a candidate that is kept would not be told from them.
#[must_use]
pub fn taken() -> Vec<&'static str> {
    let policies = baton_policies::list().iter();
    policies.map(|policy| policy.name).collect()
}

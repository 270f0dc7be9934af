//! Simulated runs, and what happened in them.

use std::{
    fs::File,
    io::{BufReader, Read},
    sync::Arc,
    time::Duration,
};

use baton_trace::{Recording, Summary};
use rmcp::{
    RoleServer,
    handler::server::wrapper::{Json, Parameters},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{aside, machine, workload};
use crate::mcp::{
    Server,
    call::{self, Called},
    contained::{RECORDING, Run},
    errors::{Code, Failure, workspace},
    figures::{Simulated, Traced},
    job::{Job, Weight},
    paths,
    policies::{self, Named},
    programs,
};

/// What a simulated run may take of real time; a candidate may have to be compiled before.
const RUN_WALL: Duration = Duration::from_secs(60);
const JOB_WALL: Duration = Duration::from_secs(1200);
/// Longest recording that is read.
const RECORDING_BYTES: u64 = 1 << 30;
/// Parameters of a policy, at most.
const PARAMS_MAX: usize = 32;

/// A run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulate {
    /// A built-in policy such as `edf`, a baseline such as `kernel`, a candidate's number such as `3`, or
    /// `accepted/NAME`.
    #[schemars(length(min = 1, max = 80))]
    pub policy: String,
    /// The workload, such as `frames:seconds=2+hogs:count=4`; `workloads` lists the kinds.
    #[schemars(length(min = 1, max = 1000))]
    pub workload: String,
    /// A described machine, as `machine` lists them; `2-cpu` where none is given.
    pub machine: Option<String>,
    /// Seed of everything random: equal seeds give equal runs; 1 where none is given.
    pub seed: Option<u64>,
    /// The policy's parameters, each as `name=value`; 32 at most.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub params: Vec<String>,
    /// Return after so many seconds, from 0 to 3600, with the job that goes on; without, at the end.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub wait_s: Option<f64>,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSummary {
    /// A built-in policy, a baseline, a candidate's number, or `accepted/NAME`; with `workload`.
    #[schemars(length(min = 1, max = 80))]
    pub policy: Option<String>,
    /// The workload to simulate.
    #[schemars(length(min = 1, max = 1000))]
    pub workload: Option<String>,
    /// A described machine; `2-cpu` where none is given.
    pub machine: Option<String>,
    /// Seed of everything random; 1 where none is given.
    pub seed: Option<u64>,
    /// A recording instead of a run: a file of the workspace, relative to it. Symbolic links are refused.
    #[schemars(length(min = 1, max = 400))]
    pub recording: Option<String>,
    /// Return after so many seconds, from 0 to 3600, with the job that goes on; without, at the end.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub wait_s: Option<f64>,
}

/// A trace in short.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TraceFound {
    /// Events and tasks, of a recording or of a run of a built-in policy; a candidate's run has none.
    pub trace: Option<Traced>,
    /// The run's figures; a recording has none.
    pub run: Option<Simulated>,
}

/// What is run.
enum What {
    BuiltIn(&'static str),
    Candidate(u32, String),
}

impl Server {
    fn what(&self, policy: &str) -> Result<What, Failure> {
        Ok(match policies::named(policy, &self.store)? {
            Named::BuiltIn(name) => What::BuiltIn(name),
            Named::Candidate(id) => What::Candidate(id, self.store.source(id)?),
        })
    }
}

#[tool_router(router = play_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// Run a policy, a baseline or a candidate once on a simulated machine, and return the figures. Equal arguments
    /// give equal figures. One run proves nothing: `compare` measures. Costs one evaluation.
    #[tool(annotations(
        title = "Simulate",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn simulate(
        &self,
        asked: Parameters<Simulate>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Called<Simulated>>, Failure> {
        let asked = asked.0;
        let wait = call::wait(asked.wait_s)?;
        let params = params(&asked.params)?;
        let run = run(&asked.workload, asked.machine.as_deref(), asked.seed)?;
        let this = self.clone();
        let what = aside(move || this.what(&asked.policy)).await?;
        let this = self.clone();
        let work = move |job: &Job| {
            let report = match what {
                What::BuiltIn(name) => {
                    job.tell("simulating");
                    let stop = job.stop_flag();
                    let given = &asked.params;
                    let contained = &this.contained;
                    contained.simulate(name, &run, given, None, RUN_WALL, stop)?
                }
                What::Candidate(id, text) => {
                    let made = this.programs.program(id, &text, job)?;
                    job.tell("simulating");
                    programs::play(&made, &run, &params, RUN_WALL, job)?
                }
            };
            Simulated::of(&report)
        };
        let job = self
            .jobs
            .start("simulate", Weight::One, 1, JOB_WALL, work)?;
        call::follow(&context, &job, wait).await
    }

    /// Tell what happened in a simulated run, or in a recording of the workspace: who ran, who waited, and on which
    /// CPU. A candidate's run gives figures and counters; a built-in policy's gives a trace too. Costs one evaluation.
    #[tool(annotations(
        title = "What happened",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn trace_summary(
        &self,
        asked: Parameters<TraceSummary>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Called<TraceFound>>, Failure> {
        let asked = asked.0;
        let wait = call::wait(asked.wait_s)?;
        let this = self.clone();
        let job = match (asked.recording, asked.policy, asked.workload) {
            (Some(path), None, None) => {
                let file = aside(move || {
                    paths::open_beneath(this.store.root(), &path, RECORDING_BYTES)
                        .map(|file| (file, path))
                });
                let (file, path) = file.await?;
                let work = move |job: &Job| {
                    job.tell("reading");
                    let trace = Some(read(file, &path, job)?);
                    Ok(TraceFound { trace, run: None })
                };
                let jobs = &self.jobs;
                jobs.start("trace_summary", Weight::One, 0, JOB_WALL, work)?
            }
            (None, Some(policy), Some(text)) => {
                let run = run(&text, asked.machine.as_deref(), asked.seed)?;
                let what = aside(move || this.what(&policy)).await?;
                self.trace(what, run)?
            }
            _ => {
                let expected = "given alone, or `policy` and `workload` without it";
                return Err(Failure::argument("recording", expected));
            }
        };
        call::follow(&context, &job, wait).await
    }
}

impl Server {
    fn trace(&self, what: What, run: Run) -> Result<Arc<Job>, Failure> {
        let this = self.clone();
        let work = move |job: &Job| {
            let name = match what {
                What::BuiltIn(name) => name,
                What::Candidate(id, text) => {
                    let made = this.programs.program(id, &text, job)?;
                    job.tell("simulating");
                    let report = programs::play(&made, &run, &[], RUN_WALL, job)?;
                    let run = Some(Simulated::of(&report)?);
                    return Ok(TraceFound { trace: None, run });
                }
            };
            job.tell("simulating");
            let folder = tempfile::tempdir_in(&this.scratch)
                .map_err(|error| workspace("make a temporary directory", &error))?;
            let (path, stop) = (folder.path(), job.stop_flag());
            let contained = &this.contained;
            let report = contained.simulate(name, &run, &[], Some(path), RUN_WALL, stop)?;
            job.tell("reading");
            let path = path.join(RECORDING);
            let file = File::open(&path).map_err(|error| workspace("read the trace", &error))?;
            Ok(TraceFound {
                trace: Some(read(file, RECORDING, job)?),
                run: Some(Simulated::of(&report)?),
            })
        };
        self.jobs
            .start("trace_summary", Weight::One, 1, JOB_WALL, work)
    }
}

fn run(text: &str, name: Option<&str>, seed: Option<u64>) -> Result<Run, Failure> {
    Ok(Run {
        workload: workload(text)?,
        machine: machine(name)?,
        seed: seed.unwrap_or(1),
    })
}

fn params(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let expected = "at most 32 texts of the form `name=value`, without white space";
    let bad = || Failure::argument("params", expected);
    if given.len() > PARAMS_MAX {
        return Err(bad());
    }
    let split = |text: &String| {
        let (name, value) = text.split_once('=')?;
        let is_word = |text: &str| {
            !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic())
        };
        (is_word(name) && is_word(value)).then(|| (name.to_owned(), value.to_owned()))
    };
    let split: Option<Vec<_>> = given.iter().map(split).collect();
    split.ok_or_else(bad)
}

/// A file whose reading ends when the job is stopped.
struct Reading<'a> {
    file: File,
    job: &'a Job,
}

impl Read for Reading<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self.job.is_stopped() {
            true => Err(std::io::Error::other("stopped")),
            false => self.file.read(bytes),
        }
    }
}

fn read(file: File, name: &str, job: &Job) -> Result<Traced, Failure> {
    let bad = |error: baton_trace::ReadError| {
        if job.is_stopped() {
            return Failure::cancelled();
        }
        let help = "`baton record` and `baton sim --trace FILE.rec` write recordings.";
        Failure::new(Code::BadRecording, error.to_string(), help)
    };
    let file = BufReader::new(Reading { file, job });
    let mut recording = Recording::read_from(file, name).map_err(bad)?;
    Ok(Traced::of(&Summary::of(&mut recording).map_err(bad)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_pairs() {
        let given = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let all: Vec<String> = given(&["slice_us=500", "by=model"]);
        assert_eq!(params(&all).unwrap()[1], ("by".into(), "model".into()));
        for text in ["", "x", "=1", "x=", "x=1 --trace /x", "x=\n"] {
            assert!(params(&given(&[text])).is_err(), "{text}");
        }
        assert!(params(&vec!["x=1".to_owned(); 33]).is_err());
    }
}

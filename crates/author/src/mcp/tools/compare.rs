//! A candidate beside another policy.

use std::time::{Duration, Instant};

use baton_lab::judge::Verdict;
use rmcp::{
    RoleServer,
    handler::server::wrapper::{Json, Parameters},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{aside, check::record, machine, reference::WORKLOADS, workload};
use crate::{
    Stage, StageDone,
    benchmark::{Benchmark, Measured, Start},
    ledger::{self, Record, candidate_directory},
    mcp::{
        Server,
        call::{self, Called},
        contained::Run,
        errors::Failure,
        job::{Job, Weight},
        policies::{self, Named},
        store::must_be_checked,
    },
};

const COMPARE_WALL: Duration = Duration::from_secs(3600);
/// What one run of a built-in policy may take of real time before it is compared with.
const FIRST_RUN_WALL: Duration = Duration::from_secs(5);
const WORKLOADS_MAX: usize = 16;
const RUNS_MAX: u32 = 100;
/// What is run for each round: what it starts from twice, for the A/A check, and the candidate.
const VARIANTS: u64 = 3;

/// A comparison.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The candidate's number; it passed `check`.
    #[schemars(range(min = 1))]
    pub id: u32,
    /// What it is compared with: a built-in policy, `kernel`, another candidate's number, or
    /// `accepted/NAME`; `edf` where none is given.
    #[schemars(length(min = 1, max = 80))]
    pub from: Option<String>,
    /// Workloads, 16 at most; those that `workloads` tells where none are given.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub workloads: Vec<String>,
    /// A described machine; `2-cpu` where none is given.
    pub machine: Option<String>,
    /// Rounds, from 1 to 100; 10 where none are given. With fewer than ten there are no verdicts.
    #[schemars(range(min = 1, max = 100))]
    pub runs: Option<u32>,
    /// Seed of the order and the workloads; 1 where none is given.
    pub seed: Option<u64>,
    /// Return after so many seconds, from 0 to 3600, with the job that goes on; without, at the end.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub wait_s: Option<f64>,
}

/// What came of a comparison.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// The candidate's number.
    pub id: u32,
    /// What it was compared with.
    pub from: String,
    /// What was run.
    pub workloads: Vec<String>,
    /// The machine.
    pub machine: String,
    /// Rounds.
    pub runs: u32,
    /// Runs that were taken from the budget.
    pub evaluations: u64,
    /// Whether it is better by the lab's verdicts, and nothing is worse.
    pub is_better: bool,
    /// The figures, and what keeps it from being better.
    pub measured: Measured,
    /// The folder with results.json and report.html, relative to the workspace.
    pub folder: String,
}

#[tool_router(router = compare_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// Measure a checked candidate beside another policy, simulated, in randomised rounds with an A/A check, and
    /// return the lab's verdicts. Costs 3 evaluations for each workload and round; takes from seconds to minutes.
    #[tool(annotations(
        title = "Compare",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = false,
        open_world_hint = false
    ))]
    async fn compare(
        &self,
        asked: Parameters<Compare>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Called<Compared>>, Failure> {
        let wait = call::wait(asked.0.wait_s)?;
        let comparison = Comparison::of(asked.0)?;
        let this = self.clone();
        let prepared = aside(move || {
            must_be_checked(&this.store.entry(comparison.id)?)?;
            let text = this.store.source(comparison.id)?;
            let start = match policies::named(&comparison.from, &this.store)? {
                Named::BuiltIn(name) => Beside::BuiltIn(name),
                Named::Candidate(id) => Beside::Candidate(id, this.store.source(id)?),
            };
            Ok((comparison, text, start))
        });
        let (comparison, text, start) = prepared.await?;
        let evaluations = comparison.evaluations();
        let this = self.clone();
        let work = move |job: &Job| this.measure(&comparison, &text, start, job);
        let jobs = &self.jobs;
        let job = jobs.start("compare", Weight::All, evaluations, COMPARE_WALL, work)?;
        call::follow(&context, &job, wait).await
    }
}

/// What a candidate is compared with, before it is compiled.
enum Beside {
    BuiltIn(&'static str),
    Candidate(u32, String),
}

/// A comparison whose arguments were looked at.
struct Comparison {
    id: u32,
    from: String,
    benchmark: Benchmark,
}

impl Comparison {
    fn of(asked: Compare) -> Result<Self, Failure> {
        if asked.workloads.len() > WORKLOADS_MAX {
            let expected = format!("at most {WORKLOADS_MAX}");
            return Err(Failure::argument("workloads", expected));
        }
        let runs = asked.runs.unwrap_or(10);
        if !(1..=RUNS_MAX).contains(&runs) {
            return Err(Failure::argument("runs", format!("from 1 to {RUNS_MAX}")));
        }
        let mut workloads = Vec::new();
        for text in &asked.workloads {
            let text = workload(text)?;
            if !workloads.contains(&text) {
                workloads.push(text);
            }
        }
        if workloads.is_empty() {
            workloads = WORKLOADS.map(str::to_owned).to_vec();
        }
        let from = asked.from.unwrap_or_else(|| "edf".to_owned());
        if from != "kernel" && policies::BASELINES.contains(&&*from) {
            return Err(policies::unknown(&from));
        }
        Ok(Self {
            id: asked.id,
            from,
            benchmark: Benchmark {
                workloads,
                machine: machine(asked.machine.as_deref())?,
                runs,
                seed: asked.seed.unwrap_or(1),
            },
        })
    }

    fn evaluations(&self) -> u64 {
        let workloads = self.benchmark.workloads.len() as u64;
        workloads * u64::from(self.benchmark.runs) * VARIANTS
    }
}

impl Server {
    fn measure(
        &self,
        comparison: &Comparison,
        text: &str,
        from: Beside,
        job: &Job,
    ) -> Result<Compared, Failure> {
        let Comparison { id, benchmark, .. } = comparison;
        let made = self.programs.program(*id, text, job)?;
        // A program's folder must stay until the end.
        let mut other = None;
        let start = match from {
            Beside::BuiltIn(name) => {
                self.try_out(name, benchmark, job)?;
                Start::BuiltIn(name.to_owned())
            }
            Beside::Candidate(id, text) => {
                let made = other.insert(self.programs.program(id, &text, job)?);
                Start::Program(made.program.clone())
            }
        };
        let evaluations = comparison.evaluations();
        job.tell(format!("{evaluations} simulated runs"));
        let begin = Instant::now();
        let candidate = Start::Program(made.program.clone());
        let name = format!("compare-{}", job.view().job);
        let folder = candidate_directory(self.store.root(), *id).join(&name);
        let measured = benchmark.measure(&start, &candidate, &folder, job.stop_flag())?;
        let took_s = begin.elapsed().as_secs_f64();
        if job.is_stopped() {
            // Its last runs may have failed of that.
            return Err(Failure::cancelled());
        }
        self.store.append(records(comparison, &measured, took_s))?;
        Ok(Compared {
            id: *id,
            from: comparison.from.clone(),
            workloads: benchmark.workloads.clone(),
            machine: benchmark.machine.clone(),
            runs: benchmark.runs,
            evaluations,
            is_better: measured.is_better(),
            measured,
            folder: format!("candidates/{id:04}/{name}"),
        })
    }

    /// Each workload once under a built-in policy, in a process that has limits: the lab runs those in this
    /// process, where what takes too long could not be stopped.
    fn try_out(&self, name: &str, benchmark: &Benchmark, job: &Job) -> Result<(), Failure> {
        for workload in &benchmark.workloads {
            job.tell(format!("trying {workload} out"));
            let run = Run {
                workload: workload.clone(),
                machine: benchmark.machine.clone(),
                seed: benchmark.seed,
            };
            let stop = job.stop_flag();
            let tried = self
                .contained
                .simulate(name, &run, &[], None, FIRST_RUN_WALL, stop);
            tried.map_err(|mut failure| {
                failure.message = format!("{workload}: {}", failure.message);
                failure
            })?;
        }
        Ok(())
    }
}

/// A comparison as the ledger has it. One that is not better refuses nothing: it may be on other workloads.
fn records(comparison: &Comparison, measured: &Measured, took_s: f64) -> Vec<Record> {
    let id = comparison.id;
    let cells = |wanted: Verdict| {
        let figures = measured.figures.iter();
        let cells = figures.filter(|figure| figure.verdict == wanted);
        cells
            .map(|figure| format!("{} of {}", figure.metric, figure.workload))
            .collect::<Vec<_>>()
    };
    let benchmark = &comparison.benchmark;
    let what = format!(
        "{} rounds beside {} on {}: {}",
        benchmark.runs,
        comparison.from,
        benchmark.machine,
        benchmark.workloads.join(", ")
    );
    let done = StageDone {
        stage: Stage::Benchmark,
        passed: measured.is_better(),
        took_s,
        diagnostics: measured.diagnostics.clone(),
    };
    vec![
        Record::Measured(ledger::Measured {
            id,
            what: what.clone(),
            better: cells(Verdict::Better).into(),
            worse: cells(Verdict::Worse).into(),
        }),
        record(id, &done),
        Record::Spent(ledger::Spent {
            what,
            wall_ms: 0,
            evaluations: comparison.evaluations(),
        }),
    ]
}

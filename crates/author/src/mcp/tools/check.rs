//! Candidates through the stages, up to a real kernel in a VM.

use std::time::Duration;

use rmcp::{
    RoleServer,
    handler::server::wrapper::{Json, Parameters},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aside;
use crate::{
    Depth, Stage, StageDone,
    ledger::{self, Record},
    mcp::{
        Server,
        call::{self, Called},
        errors::{Code, Failure},
        job::{Job, Weight},
        store::must_be_checked,
    },
    vm,
};

/// What a check may take, the making of the library included.
const CHECK_WALL: Duration = Duration::from_secs(1800);
const VM_WALL: Duration = Duration::from_secs(1200);
const VM_SECONDS_MAX: u32 = 120;

/// The stages that `check` can go up to.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// It is one file in the part of Rust that candidates may use.
    Parse,
    /// The compiler takes it.
    Compile,
    /// It does nothing that a policy must not do, or that would be too slow.
    Lint,
    /// Equal events give equal decisions; names mean nothing.
    Properties,
    /// In the simulator nothing breaks and nobody starves, whatever fails.
    #[default]
    Invariants,
}

impl From<Until> for Stage {
    fn from(until: Until) -> Self {
        match until {
            Until::Parse => Self::Parse,
            Until::Compile => Self::Compile,
            Until::Lint => Self::Lint,
            Until::Properties => Self::Properties,
            Until::Invariants => Self::Invariants,
        }
    }
}

/// A check.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The candidate's number.
    #[schemars(range(min = 1))]
    pub id: u32,
    /// The last stage; `invariants` where none is given. The first that is not passed ends it.
    #[serde(default)]
    pub until: Until,
    /// Ten times as many random runs.
    #[serde(default)]
    pub thorough: bool,
    /// Seed of the random runs; 1 where none is given.
    pub seed: Option<u64>,
    /// Return after so many seconds, from 0 to 3600, with the job that goes on; without, at the end.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub wait_s: Option<f64>,
}

/// What came of stages.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// The candidate's number.
    pub id: u32,
    /// Whether it passed all of them.
    pub passed: bool,
    /// The stages, up to the first that was not passed.
    pub stages: Vec<StageDone>,
}

/// A test on a real kernel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmTest {
    /// The candidate's number; it passed `check`.
    #[schemars(range(min = 1))]
    pub id: u32,
    /// Seconds of disturbances, from 1 to 120; 6 where none are given.
    #[schemars(range(min = 1, max = 120))]
    pub seconds: Option<u32>,
    /// Seed of the disturbances; 1 where none is given.
    pub seed: Option<u64>,
    /// Return after so many seconds, from 0 to 3600, with the job that goes on; without, at the end.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub wait_s: Option<f64>,
}

#[tool_router(router = check_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// Take a candidate through its stages: parse, compile, lint, properties, invariants. What is wrong comes as
    /// diagnostics with a code, a place and a remedy. Seconds; minutes when the library is made, the first time.
    #[tool(annotations(
        title = "Check a candidate",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = false,
        open_world_hint = false
    ))]
    async fn check(
        &self,
        asked: Parameters<Check>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Called<Checked>>, Failure> {
        let Check {
            id,
            until,
            thorough,
            seed,
            wait_s,
        } = asked.0;
        let wait = call::wait(wait_s)?;
        let this = self.clone();
        let text = aside(move || this.store.source(id)).await?;
        let depth = match thorough {
            true => Depth::thorough(seed.unwrap_or(1)),
            false => Depth::quick(seed.unwrap_or(1)),
        };
        let this = self.clone();
        let work = move |job: &Job| {
            let checked = this.programs.check(id, &text, until.into(), depth, job)?;
            this.judged(id, &checked.stages)?;
            let passed = checked.passed();
            Ok(Checked {
                id,
                passed,
                stages: checked.stages,
            })
        };
        let job = self.jobs.start("check", Weight::One, 0, CHECK_WALL, work)?;
        call::follow(&context, &job, wait).await
    }

    /// Run a checked candidate on a real kernel in a VM, while tasks fork, sleep, change their affinity and CPUs go
    /// off-line. Never on this machine's own kernel. A person must have allowed it (`--allow-vm`).
    #[tool(annotations(
        title = "Test in a VM",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = false,
        open_world_hint = false
    ))]
    async fn vm_test(
        &self,
        asked: Parameters<VmTest>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Called<Checked>>, Failure> {
        let VmTest {
            id,
            seconds,
            seed,
            wait_s,
        } = asked.0;
        let wait = call::wait(wait_s)?;
        let Some(vms) = self.vms.clone() else {
            return Err(Failure::new(
                Code::VmNotAllowed,
                "this server was started without VMs",
                "A person can start it again with --allow-vm; go on without this stage meanwhile.",
            ));
        };
        let seconds = seconds.unwrap_or(6);
        if !(1..=VM_SECONDS_MAX).contains(&seconds) {
            return Err(Failure::argument(
                "seconds",
                format!("from 1 to {VM_SECONDS_MAX}"),
            ));
        }
        let this = self.clone();
        let text = aside(move || {
            must_be_checked(&this.store.entry(id)?)?;
            this.store.source(id)
        });
        let text = text.await?;
        let this = self.clone();
        let work = move |job: &Job| {
            let made = this.programs.program(id, &text, job)?;
            job.tell("on a real kernel, in a VM");
            let begin = std::time::Instant::now();
            let (path, stop) = (made.program.path(), job.stop_flag());
            let seen = vms.disturb(path, seconds, seed.unwrap_or(1), stop)?;
            let diagnostics = vm::judge(&seen);
            let done = StageDone {
                stage: Stage::Vm,
                passed: diagnostics.is_empty(),
                took_s: begin.elapsed().as_secs_f64(),
                diagnostics,
            };
            this.judged(id, std::slice::from_ref(&done))?;
            Ok(Checked {
                id,
                passed: done.passed,
                stages: vec![done],
            })
        };
        let job = self.jobs.start("vm_test", Weight::Vm, 0, VM_WALL, work)?;
        call::follow(&context, &job, wait).await
    }
}

impl Server {
    /// Records what came of stages. One that was accepted stays so, whatever is found later: that is for a
    /// person to see.
    fn judged(&self, id: u32, stages: &[StageDone]) -> Result<(), Failure> {
        let is_accepted = self.store.entry(id)?.accepted.is_some();
        let mut records: Vec<Record> = stages.iter().map(|done| record(id, done)).collect();
        let failed = stages.iter().find(|done| !done.passed && !is_accepted);
        records.extend(failed.map(|done| refused(id, done)));
        self.store.append(records)
    }
}

/// A stage as the ledger has it.
pub(super) fn record(id: u32, done: &StageDone) -> Record {
    Record::StageDone(ledger::StageDone {
        id,
        stage: done.stage,
        passed: done.passed,
        took_ms: (done.took_s * 1000.0) as u64,
        diagnostics: done.diagnostics.clone(),
    })
}

fn refused(id: u32, done: &StageDone) -> Record {
    let first = done.diagnostics.first();
    Record::Refused(ledger::Refused {
        id,
        stage: done.stage,
        code: first.map_or(String::new(), |first| first.code.clone()),
        why: first.map_or(String::new(), |first| first.message.clone()),
    })
}

//! Why a candidate failed.

use std::fmt::Write as _;

use rmcp::{
    handler::server::wrapper::{Json, Parameters},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aside;
use crate::{
    Diagnostic, Stage,
    mcp::{Server, errors::Failure, store::lines_around},
};

/// Lines that are shown before and after a place.
const AROUND: u32 = 3;

/// Which candidate.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The candidate's number.
    #[schemars(range(min = 1))]
    pub id: u32,
}

/// Why a candidate failed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// The candidate's number.
    pub id: u32,
    /// The last stage that it did not pass; none, if it passed all that it went through.
    pub stage: Option<Stage>,
    /// What is wrong, each with its place in the source.
    pub problems: Vec<Problem>,
    /// What to do next.
    pub next: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What is wrong.
    #[serde(flatten)]
    pub diagnostic: Diagnostic,
    /// The lines around it, with numbers, `>` before the one that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<String>,
}

#[tool_router(router = explain_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// Tell why a candidate failed: the last stage that it did not pass, its diagnostics with the lines of source
    /// around them, and what to do.
    #[tool(annotations(
        title = "Explain a failure",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn explain_failure(
        &self,
        asked: Parameters<Explain>,
    ) -> Result<Json<Explained>, Failure> {
        let this = self.clone();
        aside(move || this.explain(asked.0.id).map(Json)).await
    }
}

impl Server {
    fn explain(&self, id: u32) -> Result<Explained, Failure> {
        let entry = self.store.entry(id)?;
        let text = self.store.source(id)?;
        // What was mended by another run of the same stage does not count.
        let failed = entry.stages.iter().enumerate().rev().find(|(index, done)| {
            let later = &entry.stages[index + 1..];
            !done.passed && !later.iter().any(|other| other.stage == done.stage)
        });
        let Some((_, failed)) = failed else {
            let next = match entry.stages.is_empty() {
                true => "It was not looked at: call `check`.",
                false => {
                    "It passed all that it went through: go on with the next stage, or `compare` it."
                }
            };
            return Ok(Explained {
                id,
                stage: None,
                problems: Vec::new(),
                next: next.to_owned(),
            });
        };
        let problems = failed.diagnostics.iter().map(|diagnostic| Problem {
            diagnostic: diagnostic.clone(),
            lines: diagnostic
                .line
                .map(|line| lines_around(&text, line, AROUND)),
        });
        Ok(Explained {
            id,
            stage: Some(failed.stage),
            problems: problems.collect(),
            next: next(failed.stage, id),
        })
    }
}

fn next(stage: Stage, id: u32) -> String {
    let mut text = match stage {
        Stage::Parse | Stage::Compile => "Mend the places that are told; `policy_api` has what there is.",
        Stage::Lint => "Do what is asked for in another way, as the rules of `policy_api` tell.",
        Stage::Properties => {
            "Decide by the events alone: no names, no ids, no order that changes from run to run."
        }
        Stage::Invariants => {
            "Think of tasks that end, CPUs that go and events that come late: nobody may starve, nothing panic."
        }
        Stage::Vm => "What the simulator let pass fails on a real kernel: be more careful with what may be gone.",
        Stage::Benchmark => {
            "Look at `trace_summary` of the workload that is worse, under both; limit what the change takes."
        }
    }
    .to_owned();
    let _ = write!(
        text,
        " Then `write_candidate` with `parent` {id}, and `check` again."
    );
    text
}

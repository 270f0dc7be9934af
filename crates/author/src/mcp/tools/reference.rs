//! What a writer of policies looks up: the rules, the API, workloads and figures.

use std::collections::BTreeMap;

use rmcp::{
    handler::server::wrapper::{Json, Parameters},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Nothing, aside};
use crate::{
    mcp::{Server, errors::Failure},
    prompt,
};

/// What is compared where nothing else is asked for.
pub(in crate::mcp) const WORKLOADS: [&str; 5] = [
    "frames:seconds=2+hogs",
    "pipe:rounds=2000+hogs",
    "requests:seconds=2+hogs",
    "messaging:loops=20",
    "build:units=60",
];

/// The policy API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Api {
    /// What every candidate must keep to, in Markdown. A tool takes the bare file, without a fence.
    pub rules: String,
    /// The API, in Markdown.
    pub api: String,
}

/// Workloads and what is measured.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Workloads {
    /// How a workload is written.
    pub syntax: String,
    /// The kinds of part.
    pub kinds: Vec<Kind>,
    /// Words for several parts.
    pub aliases: BTreeMap<String, String>,
    /// What `compare` takes where nothing else is asked for.
    pub compared_by_default: Vec<String>,
    /// What the figures of any simulated run mean.
    pub figures: BTreeMap<String, String>,
}

/// A kind of part.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// What it does, and what is measured.
    pub about: String,
    /// A workload with it.
    pub example: String,
    /// Whether it can be simulated.
    pub simulated: bool,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The value where none is given.
    pub default: String,
    /// The same, where the part runs beside others.
    pub default_combined: String,
    /// What it means, with its unit.
    pub about: String,
}

#[tool_router(router = reference_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// The rules for candidates and the policy API. Read it before the first `write_candidate`.
    #[tool(annotations(
        title = "The policy API",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn policy_api(&self, _: Parameters<Nothing>) -> Result<Json<Api>, Failure> {
        let api = || {
            Ok(Api {
                rules: prompt::rules().to_owned(),
                api: prompt::api(),
            })
        };
        aside(api).await.map(Json)
    }

    /// The kinds of workload with their parameters, and what the figures of a run mean.
    #[tool(annotations(
        title = "Workloads",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn workloads(&self, _: Parameters<Nothing>) -> Json<Workloads> {
        Json(workloads())
    }
}

fn workloads() -> Workloads {
    let kinds = baton_workload::list().iter().map(|kind| Kind {
        name: kind.name.to_owned(),
        about: kind.about.to_owned(),
        example: kind.example.to_owned(),
        simulated: kind.name != "compile",
        parameters: kind
            .parameters
            .iter()
            .map(|parameter| Parameter {
                name: parameter.name.to_owned(),
                default: parameter.default.to_owned(),
                default_combined: parameter.default_combined.to_owned(),
                about: parameter.about.to_owned(),
            })
            .collect(),
    });
    let figures = FIGURES.map(|(name, meaning)| (name.to_owned(), meaning.to_owned()));
    let aliases = baton_workload::aliases().iter();
    Workloads {
        syntax: "Parts joined by `+`, each a kind with parameters: `frames:seconds=2,load=0.4+hogs:count=4`. \
                 The first part is the one that is measured for the whole."
            .to_owned(),
        kinds: kinds.collect(),
        aliases: aliases
            .map(|alias| (alias.name.to_owned(), alias.to_string()))
            .collect(),
        compared_by_default: WORKLOADS.map(str::to_owned).to_vec(),
        figures: figures.into(),
    }
}

const FIGURES: [(&str, &str); 8] = [
    (
        "metrics",
        "The workload's own; the `primary` one of a part stands for it, `better` says in which direction.",
    ),
    (
        "latencies.wakeup",
        "From a task's waking to its running, microseconds; all tasks together.",
    ),
    (
        "latencies.wait",
        "From being able to run to running, microseconds; also after a preemption.",
    ),
    (
        "latencies.decision",
        "From an event to the policy's decision about it, microseconds.",
    ),
    (
        "longest_wait",
        "The longest that any task was able to run and did not, milliseconds; long ones are starving.",
    ),
    (
        "fairness_error",
        "How far CPU time was from the shares by weight of tasks that always wanted it: 0 fair, 1 worst.",
    ),
    (
        "cpu_time.wasted_s",
        "CPU time that was idle while tasks waited, seconds: what a better choice of CPUs could use.",
    ),
    (
        "migrations",
        "Moves between CPUs by how far; far ones cost caches (`cold_us`, microseconds).",
    ),
];

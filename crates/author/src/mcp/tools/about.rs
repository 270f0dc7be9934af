//! What there is: the machine, policies, their sources.

use std::{collections::BTreeMap, process::Stdio};

use rmcp::{
    handler::server::wrapper::{Json, Parameters},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Nothing, aside};
use crate::mcp::{
    Server,
    budget::Left,
    errors::{Code, Failure},
    policies::{self, BASELINES, Named},
    store::Store,
};

/// This machine and the described ones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Machines {
    /// What this machine can do: `run` policies itself, run them in a `vm`, `build` Baton.
    pub can: BTreeMap<String, bool>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// Machines that the simulator knows, for the argument `machine`.
    pub described: Vec<Described>,
    /// What this server may do.
    pub server: Allowed,
}

/// Something that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What it is for: `run`, `vm` or `build`.
    pub area: String,
    /// What it is.
    pub name: String,
    /// Whether it is there.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What a person can do if it is not.
    pub remedy: Option<String>,
}

/// A described machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its CPUs.
    pub cpus: u32,
    /// Its cores.
    pub cores: u32,
    /// Its last-level caches.
    pub llcs: u32,
}

/// What the server may do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Allowed {
    /// Whether there are tools that write into the workspace (`--write`).
    pub write: bool,
    /// Whether candidates may run in a VM (`--allow-vm`).
    pub vm: bool,
    /// What is left of its budgets.
    pub left: Left,
}

/// The policies that there are.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Policies {
    /// Policies that come with Baton.
    pub built_in: Vec<Policy>,
    /// Schedulers of the simulator's own, to be compared with; `kernel` is a model of the kernel's.
    pub baselines: Vec<String>,
    /// Candidates that were accepted in this workspace.
    pub accepted: Vec<AcceptedPolicy>,
    /// How many candidates there are; `ledger` lists them.
    pub candidates: usize,
}

/// A policy that comes with Baton.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    pub summary: String,
    /// Its parameters.
    pub params: Vec<Param>,
}

/// A parameter.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Param {
    /// Its name, the unit at its end.
    pub name: String,
    /// The value where none is given.
    pub default: String,
    /// What it does.
    pub meaning: String,
}

/// A candidate that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedPolicy {
    /// Its name, for `accepted/NAME`.
    pub name: String,
    /// The candidate.
    pub id: u32,
    /// Who accepted it.
    pub by: String,
}

/// What is to be read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadPolicy {
    /// A built-in policy such as `edf`, a candidate's number such as `3`, or `accepted/NAME`.
    #[schemars(length(min = 1, max = 80))]
    pub policy: String,
}

/// A policy's source.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// What was asked for.
    pub policy: String,
    /// Its files: its own first, then what it shares with others. A candidate is one file; a built-in
    /// policy can be several, and says `baton_policy` where a candidate says `baton`.
    pub files: Vec<SourceFile>,
}

/// A file of a source.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

#[tool_router(router = about_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// What this machine is and lacks, which described machines the simulator knows, and what this server may do.
    #[tool(annotations(
        title = "The machine",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn machine(&self, _: Parameters<Nothing>) -> Result<Json<Machines>, Failure> {
        let baton = self.contained.baton.clone();
        let (can, checks) = aside(move || doctor(&baton)).await?;
        let described = baton_machine::builtin_names()
            .into_iter()
            .filter_map(|name| {
                let file = baton_machine::MachineFile::find(name).ok()?;
                Some(Described {
                    name: name.to_owned(),
                    description: file.description.clone(),
                    cpus: file.cpu_count(),
                    cores: file.core_count(),
                    llcs: file.llc_count(),
                })
            });
        Ok(Json(Machines {
            can,
            checks,
            described: described.collect(),
            server: Allowed {
                write: self.write,
                vm: self.vms.is_some(),
                left: self.purse.left(),
            },
        }))
    }

    /// List the policies that come with Baton with their parameters, and those that were accepted in the workspace.
    #[tool(annotations(
        title = "Policies",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn policies(&self, _: Parameters<Nothing>) -> Result<Json<Policies>, Failure> {
        let store = self.store.clone();
        aside(move || list(&store)).await.map(Json)
    }

    /// Read the source of a policy: of a built-in one, a candidate or an accepted one.
    #[tool(annotations(
        title = "Read a policy",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn read_policy(&self, asked: Parameters<ReadPolicy>) -> Result<Json<Source>, Failure> {
        let store = self.store.clone();
        aside(move || read(&asked.0.policy, &store)).await.map(Json)
    }
}

/// What `baton doctor` says.
fn doctor(baton: &std::path::Path) -> Result<(BTreeMap<String, bool>, Vec<Check>), Failure> {
    #[derive(Deserialize)]
    struct Said {
        can: BTreeMap<String, bool>,
        checks: Vec<Check>,
    }
    let said = std::process::Command::new(baton)
        .args(["doctor", "--json"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| error.to_string())
        .and_then(|output| {
            serde_json::from_slice::<Said>(&output.stdout).map_err(|error| error.to_string())
        });
    match said {
        Ok(said) => Ok((said.can, said.checks)),
        Err(problem) => {
            let message = format!("`baton doctor` said nothing: {problem}");
            Err(Failure::new(Code::Machine, message, "Run it by hand."))
        }
    }
}

fn list(store: &Store) -> Result<Policies, Failure> {
    let view = store.view()?;
    let accepted = view.candidates.values().filter_map(|entry| {
        let accepted = entry.accepted.as_ref()?;
        Some(AcceptedPolicy {
            name: accepted.name.clone(),
            id: entry.candidate.id,
            by: accepted.by.clone(),
        })
    });
    let built_in = baton_policies::list().iter().map(|policy| Policy {
        name: policy.name.to_owned(),
        summary: policy.summary.to_owned(),
        params: policy
            .params
            .iter()
            .map(|param| Param {
                name: param.name.to_owned(),
                default: param.default.to_owned(),
                meaning: param.meaning.to_owned(),
            })
            .collect(),
    });
    Ok(Policies {
        built_in: built_in.collect(),
        baselines: BASELINES.map(str::to_owned).to_vec(),
        accepted: accepted.collect(),
        candidates: view.candidates.len(),
    })
}

fn read(policy: &str, store: &Store) -> Result<Source, Failure> {
    let file = |(name, text): &(&str, &str)| SourceFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    let files: Vec<SourceFile> = match policies::named(policy, store)? {
        Named::BuiltIn(name) => policies::sources(name).iter().map(file).collect(),
        Named::Candidate(id) => vec![file(&("policy.rs", &store.source(id)?))],
    };
    match files.is_empty() {
        false => Ok(Source {
            policy: policy.to_owned(),
            files,
        }),
        true => Err(Failure::new(
            Code::UnknownPolicy,
            format!("`{policy}` is a baseline of the simulator's and has no source as a policy"),
            "Read one of the built-in policies.",
        )),
    }
}

//! Candidates written and proposed.

use std::time::{SystemTime, UNIX_EPOCH};

use rmcp::{
    handler::server::wrapper::{Json, Parameters},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::aside;
use crate::{
    Stage,
    mcp::{
        Server,
        errors::{Code, Failure},
        store::{last_passed, must_be_checked},
    },
    source::SIZE_MAX,
};

/// Longest reason of a proposal, bytes.
const WHY_MAX: usize = 4000;

/// A candidate's text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteCandidate {
    /// The whole file, Rust, at most 65,536 bytes, as `policy_api` tells; no Markdown around it.
    #[schemars(length(min = 1, max = 65536))]
    pub text: String,
    /// The candidate that it is made from, if it is.
    #[schemars(range(min = 1))]
    pub parent: Option<u32>,
}

/// What became of the text.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// The candidate's number.
    pub id: u32,
    /// Whether it is new; an equal source, comments and white space aside, has the number that it had.
    pub is_new: bool,
}

/// A proposal.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Propose {
    /// The candidate's number.
    #[schemars(range(min = 1))]
    pub id: u32,
    /// What it does better and at which price, for the person who decides; at most 4000 bytes.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub why: String,
}

/// What became of a proposal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Proposed {
    /// The candidate's number.
    pub id: u32,
    /// What a person does to accept it. No tool can.
    pub accept_by: String,
}

#[tool_router(router = write_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// Store a policy's source as a candidate in the workspace, and return its number. Nothing is compiled: `check`
    /// does that.
    #[tool(annotations(
        title = "Write a candidate",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn write_candidate(
        &self,
        asked: Parameters<WriteCandidate>,
    ) -> Result<Json<Written>, Failure> {
        let WriteCandidate { text, parent } = asked.0;
        if text.len() > SIZE_MAX {
            return Err(Failure::new(
                Code::TooLong,
                format!("the text has {} bytes, more than {SIZE_MAX}", text.len()),
                "Leave out what the policy does not need.",
            ));
        }
        if text.trim().is_empty() {
            return Err(Failure::argument("text", "a policy's source"));
        }
        let this = self.clone();
        aside(move || {
            let take = || this.purse.take_candidate();
            let (id, is_new) = this.store.add(&text, parent, take)?;
            Ok(Json(Written { id, is_new }))
        })
        .await
    }

    /// Propose a candidate to a person: one that passed `check`, and that was better by its last `compare`. Nothing
    /// is accepted by it.
    #[tool(annotations(
        title = "Propose a candidate",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn propose(&self, asked: Parameters<Propose>) -> Result<Json<Proposed>, Failure> {
        let Propose { id, why } = asked.0;
        if why.len() > WHY_MAX {
            return Err(Failure::argument("why", format!("at most {WHY_MAX} bytes")));
        }
        let this = self.clone();
        aside(move || {
            let entry = this.store.entry(id)?;
            must_be_checked(&entry)?;
            if last_passed(&entry, Stage::Benchmark) != Some(true) {
                return Err(Failure::new(
                    Code::NotBetter,
                    format!("candidate {id} was not better in its last comparison"),
                    "`compare` it with at least ten runs; mend what `explain_failure` tells.",
                ));
            }
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let at_ms = since.unwrap_or_default().as_millis();
            let proposal = json!({
                "id": id,
                "at_ms": at_ms as u64,
                "why": why,
                "measured": entry.measured.last(),
            });
            this.store.propose(id, &format!("{proposal:#}\n"))?;
            let accept_by = format!("baton ledger accept {id}");
            Ok(Json(Proposed { id, accept_by }))
        })
        .await
    }
}

//! What was done: the ledger, and jobs.

use rmcp::{
    handler::server::wrapper::{Json, Parameters},
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::aside;
use crate::{
    ledger::{self, Entry, Totals},
    mcp::{Server, errors::Failure, job::JobView, store::Store},
};

/// Candidates that are listed at once.
const LISTED_MAX: usize = 200;

/// What of the ledger.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskLedger {
    /// A candidate's number, to be told all about it; without, candidates are listed.
    #[schemars(range(min = 1))]
    pub id: Option<u32>,
    /// List those after this number; 200 come at once.
    pub after: Option<u32>,
}

/// What the ledger says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// Candidates, by number.
    pub candidates: Vec<Line>,
    /// Whether there are more: ask again with `after`.
    pub more: bool,
    /// What was spent in the workspace, by all who worked there.
    pub spent: Spent,
    /// All about the candidate that was asked for, as a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A candidate in short.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Its number.
    pub id: u32,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it is made from.
    pub parent: Option<u32>,
    /// Who wrote it.
    pub author: String,
    /// Where it stands: `written`, `passed`, `refused`, `accepted`, `winner`.
    pub state: String,
    /// The last stage that it passed.
    pub passed: Option<crate::Stage>,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
    /// What comparisons came to.
    pub measured: Vec<String>,
    /// Whether it is proposed to a person.
    pub proposed: bool,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Runs in the lab.
    pub evaluations: u64,
    /// Time, seconds.
    pub wall_s: f64,
}

impl From<Totals> for Spent {
    fn from(totals: Totals) -> Self {
        Self {
            evaluations: totals.evaluations,
            wall_s: totals.wall_ms as f64 / 1e3,
        }
    }
}

/// Which job.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskJob {
    /// The job's id: eight hexadecimal digits, as a long tool returned it.
    #[schemars(length(equal = 8))]
    pub job: String,
}

#[tool_router(router = ledger_tools, vis = "pub(in crate::mcp)")]
impl Server {
    /// List the workspace's candidates, or tell all about one.
    #[tool(annotations(
        title = "The ledger",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn ledger(&self, asked: Parameters<AskLedger>) -> Result<Json<Listed>, Failure> {
        let store = self.store.clone();
        aside(move || listed(asked.0, &store).map(Json)).await
    }

    /// Tell how a job is: where it is, and its result or error once it has ended. Also for jobs whose call returned
    /// early or was cut off, and, with `--write`, for those of earlier runs of the server.
    #[tool(annotations(
        title = "A job",
        read_only_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn job(&self, asked: Parameters<AskJob>) -> Result<Json<JobView>, Failure> {
        let jobs = self.jobs.clone();
        aside(move || jobs.find(&asked.0.job).map(Json)).await
    }

    /// Stop a job. One that has ended stays as it is.
    #[tool(annotations(
        title = "Stop a job",
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    async fn cancel_job(&self, asked: Parameters<AskJob>) -> Result<Json<JobView>, Failure> {
        let Some(job) = self.jobs.own(&asked.0.job) else {
            return self.job(asked).await;
        };
        if !job.view().is_over() {
            job.stop(Failure::cancelled());
            let mut watch = job.watch();
            let wait = watch.wait_for(JobView::is_over);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), wait).await;
        }
        Ok(Json(job.view()))
    }
}

fn listed(asked: AskLedger, store: &Store) -> Result<Listed, Failure> {
    let view = store.view()?;
    let spent = Spent::from(view.totals);
    if let Some(id) = asked.id {
        let entry = view.candidates.get(&id);
        let entry = entry.ok_or_else(|| Failure::unknown_candidate(id))?;
        return Ok(Listed {
            candidates: vec![line(entry, store)],
            more: false,
            spent,
            text: ledger::show(&view, store.root(), id),
        });
    }
    let after = asked.after.unwrap_or(0).saturating_add(1);
    let mut entries = view.candidates.range(after..);
    let candidates = entries.by_ref().take(LISTED_MAX);
    Ok(Listed {
        candidates: candidates.map(|(_, entry)| line(entry, store)).collect(),
        more: entries.next().is_some(),
        spent,
        text: None,
    })
}

fn line(entry: &Entry, store: &Store) -> Line {
    let candidate = &entry.candidate;
    let refused = entry.refused.as_ref();
    Line {
        id: candidate.id,
        name: entry.name().map(str::to_owned),
        parent: candidate.parent,
        author: candidate.author.to_string(),
        state: entry.state.to_string(),
        passed: entry.passed(),
        refused: refused.map(|refused| format!("{} [{}]", refused.why, refused.code)),
        measured: entry
            .measured
            .iter()
            .map(|measured| {
                let (better, worse) = (&measured.better, &measured.worse);
                format!("{}; better: {better}; worse: {worse}", measured.what)
            })
            .collect(),
        proposed: store.is_proposed(candidate.id),
    }
}

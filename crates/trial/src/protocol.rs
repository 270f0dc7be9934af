//! What is asked of a candidate's program and what it answers: one JSON object each, on standard input
//! and standard output.

use baton_policy::Mode;
use baton_sim::Report;
use serde::{Deserialize, Serialize};

/// The argument with which the program takes a [`Request`]; with others it is a policy's program as any.
pub const ARGUMENT: &str = "trial";

/// The name of the candidate's file when it is compiled, by which places in it are known.
pub const SOURCE_FILE: &str = "policy.rs";

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Comes back in the answer. The candidate cannot know it: an answer with it is the harness's.
    pub nonce: String,
    /// The question.
    pub ask: Ask,
}

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Whether it behaves as a policy must, with nothing failing around it.
    Properties,
    /// Whether invariants hold in so many random runs with faults, the first with this seed.
    Invariants {
        /// How many.
        runs: u64,
        /// The seed of the first; the others follow.
        first_seed: u64,
    },
    /// One measured run.
    Play(Play),
}

/// A run to be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Play {
    /// The workload's text.
    pub workload: String,
    /// The machine's name.
    pub machine: String,
    /// The text of its file, if it is not built in.
    #[serde(default)]
    pub machine_text: Option<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// Hides the tasks' names.
    pub salt: Option<String>,
    /// The run ends after this, nanoseconds of simulated time.
    pub limit_ns: u64,
    /// How the policy acts.
    pub mode: Mode,
    /// Its parameters.
    pub params: Vec<(String, String)>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The request's.
    pub nonce: String,
    /// What was found.
    pub found: Found,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// What is wrong; nothing, if the list is empty.
    Wrong(Vec<Finding>),
    /// A measured run.
    Report(Box<Report>),
}

/// One thing that is wrong with a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of mistake it is, a stable word.
    pub code: String,
    /// What was seen, with figures, in a sentence.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Line and column in the candidate's source, from 1, where known.
    pub place: Option<(u32, u32)>,
}

impl Finding {
    /// Without a place.
    pub fn new(code: &str, message: impl Into<String>, help: &str) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            help: help.to_owned(),
            place: None,
        }
    }
}

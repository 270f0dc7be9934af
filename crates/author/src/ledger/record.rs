//! What a line of the ledger says.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Money;
use crate::{Diagnostic, Stage, chat::Usage};

/// A line: what happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When, milliseconds since 1970 in UTC.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub record: Record,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Record {
    /// A run began; its line's time is when. Comes before all else.
    Begun(Begun),
    /// The model was asked.
    Asked(Asked),
    /// There is a candidate.
    Candidate(Candidate),
    /// It went through a stage, with success or without.
    StageDone(StageDone),
    /// It was held against what it started from.
    Measured(Measured),
    /// It is good enough to be kept.
    Accepted(Accepted),
    /// It is not.
    Refused(Refused),
    /// It is the best so far.
    Winner {
        /// Which.
        id: u32,
    },
    /// Something else took time, or runs in the lab.
    Spent(Spent),
    /// The run came to its end.
    Ended {
        /// Why.
        why: String,
    },
}

/// The service that writes, without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceName {
    /// Its URL.
    pub url: String,
    /// The model.
    pub model: String,
}

impl From<&crate::chat::Service> for ServiceName {
    fn from(service: &crate::chat::Service) -> Self {
        Self {
            url: service.base_url().to_owned(),
            model: service.model.clone(),
        }
    }
}

/// The beginning of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// What the policy is to do, in the user's words.
    pub requirement: String,
    /// The policy that it starts from: its name or its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// All settings that the result depends on.
    pub settings: Value,
    /// Who writes; nobody where candidates come from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The candidate that comes of it, or would have.
    pub candidate: u32,
    /// The round, from 1.
    pub round: u32,
    /// Digest of the question; see [`super::text_digest`].
    pub prompt: String,
    /// Tokens.
    pub tokens: Usage,
    /// What they cost.
    pub cost: Money,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// Why there was no answer, if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Who wrote a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Author {
    /// A model of this name.
    Model(String),
    /// Baton itself, such as by moving a parameter.
    Tool,
    /// A person.
    Person,
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) => f.pad(&format!("model {name}")),
            Self::Tool => f.pad("tool"),
            Self::Person => f.pad("person"),
        }
    }
}

impl From<Author> for String {
    fn from(author: Author) -> Self {
        author.to_string()
    }
}

impl TryFrom<String> for Author {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.strip_prefix("model ")) {
            ("tool", _) => Ok(Self::Tool),
            ("person", _) => Ok(Self::Person),
            (_, Some(name)) => Ok(Self::Model(name.to_owned())),
            _ => Err(format!(
                "`{text}` is no author: `model NAME`, `tool` or `person`"
            )),
        }
    }
}

/// A candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its number: 1, and then one more than the last.
    pub id: u32,
    /// The candidate that it is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Digest of its source; see [`super::source_digest`].
    pub source: String,
    /// Who wrote it.
    pub author: Author,
    /// The name that it gives itself, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The end of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageDone {
    /// The candidate.
    pub id: u32,
    /// The stage.
    pub stage: Stage,
    /// Whether it may go on to the next.
    pub passed: bool,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// What was found. Not all of it need be reason to refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The candidate.
    pub id: u32,
    /// What was run, such as an experiment's name.
    pub what: String,
    /// Where it is better than what it started from.
    #[serde(default)]
    pub better: Value,
    /// Where it is worse.
    #[serde(default)]
    pub worse: Value,
}

/// Why one was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The candidate.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// By whom or what: `lab`, or `person`.
    pub by: String,
    /// Its file, relative to the workspace.
    pub file: String,
}

/// Why one was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The candidate.
    pub id: u32,
    /// The stage that it did not pass.
    pub stage: Stage,
    /// The code of the diagnostic that weighed most.
    pub code: String,
    /// Why, in a sentence.
    pub why: String,
}

/// What neither a question nor a stage took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// What on.
    pub what: String,
    /// Time, milliseconds; that of questions and stages stands with them.
    #[serde(default)]
    pub wall_ms: u64,
    /// Runs in the lab.
    #[serde(default)]
    pub evaluations: u64,
}

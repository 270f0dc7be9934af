//! Why a tool did not do what was asked, as data for a program.

use std::borrow::Cow;

use rmcp::{
    ErrorData,
    handler::server::tool::IntoCallToolResult,
    model::{CallToolResponse, CallToolResult},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Error, ledger::LedgerError};

/// What kind of failure it is. The names do not change from release to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// The arguments do not fit the tool's schema, or are out of their range.
    BadArguments,
    /// There is no such policy.
    UnknownPolicy,
    /// There is no such candidate.
    UnknownCandidate,
    /// There is no such job.
    UnknownJob,
    /// There is no such described machine.
    BadMachine,
    /// There is no such workload, not with these parameters, or not simulated.
    BadWorkload,
    /// A simulated run of this workload takes too long or too much memory.
    WorkloadTooLarge,
    /// A path that leads out of the workspace, over a symbolic link, or to no file.
    BadPath,
    /// A file that is no recording.
    BadRecording,
    /// The source is longer than a candidate's may be.
    TooLong,
    /// The candidate did not pass a stage that comes before.
    Refused,
    /// The candidate must be checked first.
    NotChecked,
    /// The candidate is not better by its last comparison.
    NotBetter,
    /// The server was started without VMs.
    VmNotAllowed,
    /// A budget of this server is used up.
    Budget,
    /// Too much waits already, or another process works in the workspace.
    Busy,
    /// It was stopped: by the client, by `cancel_job`, or with the server.
    Cancelled,
    /// It took longer than it may.
    TimeLimit,
    /// Programs cannot be contained on this machine, and so are not run.
    NoSandbox,
    /// The machine lacks something else.
    Machine,
    /// The workspace cannot be read or written.
    Workspace,
    /// Something failed that should not.
    Failure,
}

/// Why a tool did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind of failure it is: a stable word.
    pub code: Code,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    pub help: Cow<'static, str>,
    /// The job that failed, if it was one; `job` tells more of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl Failure {
    /// A failure with its remedy.
    pub fn new(code: Code, message: impl Into<String>, help: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            help: help.into(),
            job: None,
        }
    }

    /// An argument out of its range.
    pub fn argument(name: &str, expected: impl std::fmt::Display) -> Self {
        let message = format!("`{name}` must be {expected}");
        Self::new(
            Code::BadArguments,
            message,
            "Look at the tool's input schema.",
        )
    }

    /// It was stopped.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(
            Code::Cancelled,
            "it was stopped before its end",
            "Call the tool again if its result is wanted.",
        )
    }

    /// There is no candidate of this number.
    #[must_use]
    pub fn unknown_candidate(id: u32) -> Self {
        Self::new(
            Code::UnknownCandidate,
            format!("there is no candidate {id}"),
            "`ledger` lists them; `write_candidate` makes one.",
        )
    }

    /// A candidate that a stage refused.
    #[must_use]
    pub fn refused(id: u32, first: Option<&Diagnostic>) -> Self {
        let why = first.map_or(String::new(), |first| format!(": {first}"));
        Self::new(
            Code::Refused,
            format!("candidate {id} is refused before it can run{why}"),
            "`check` tells all that is wrong; write a candidate without it.",
        )
    }

    /// The same, with the job that failed.
    #[must_use]
    pub fn of_job(mut self, job: &str) -> Self {
        self.job = Some(job.to_owned());
        self
    }

    /// The answer to the client.
    #[must_use]
    pub fn result(&self) -> CallToolResult {
        CallToolResult::structured_error(serde_json::json!(self))
    }
}

impl IntoCallToolResult for Failure {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        Ok(self.result().into())
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (code, help) = match error {
            Error::Stopped => return Self::cancelled(),
            Error::Sandbox(_) => (Code::NoSandbox, "Ask the person who runs the server."),
            Error::NoSource { .. } | Error::NoRust { .. } | Error::Library(_) | Error::Vm(_) => {
                (Code::Machine, "`machine` tells what this machine lacks.")
            }
            Error::File { .. } => (Code::Workspace, "Ask the person who runs the server."),
            Error::Lab(_) | Error::Client(_) => {
                (Code::Failure, "Look at the workloads and the machine.")
            }
        };
        Self::new(code, error.to_string(), help)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let (code, help) = match &error {
            LedgerError::InUse { .. } => (Code::Busy, "Try again when that has ended."),
            _ => (Code::Workspace, "Ask the person who runs the server."),
        };
        Self::new(code, error.to_string(), help)
    }
}

/// A file of the workspace that cannot be read or written.
pub(super) fn workspace(what: &str, error: &std::io::Error) -> Failure {
    let message = format!("cannot {what}: {error}");
    Failure::new(
        Code::Workspace,
        message,
        "Ask the person who runs the server.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_data() {
        let failure = Failure::unknown_candidate(7).of_job("00c0ffee");
        let result = failure.result();
        assert_eq!(result.is_error, Some(true));
        let data = result.structured_content.unwrap();
        assert_eq!(data["code"], "unknown-candidate");
        assert_eq!(data["job"], "00c0ffee");
        assert!(data["help"].as_str().is_some_and(|help| !help.is_empty()));
        assert_eq!(serde_json::from_value::<Failure>(data).unwrap(), failure);
    }
}

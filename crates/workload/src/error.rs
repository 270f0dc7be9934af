//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a workload could not be read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no part.
    #[error("the workload is empty; name one of {known}, or several joined by `+`")]
    Empty {
        /// The kinds there are.
        known: String,
    },
    /// No kind of part has this name.
    #[error("there is no workload `{name}`; choose from {known}, or join several by `+`")]
    UnknownKind {
        /// What was written.
        name: String,
        /// The kinds there are.
        known: String,
    },
    /// A kind occurs twice in one workload.
    #[error("`{kind}` occurs twice; name it once and raise its numbers instead")]
    RepeatedKind {
        /// The kind.
        kind: &'static str,
    },
    /// The kind has no such parameter.
    #[error("`{kind}` has no parameter `{name}`; it has {known}")]
    UnknownParameter {
        /// The kind.
        kind: &'static str,
        /// What was written.
        name: String,
        /// The parameters there are.
        known: String,
    },
    /// A parameter is given twice.
    #[error("`{kind}` is given `{name}` twice; give it once")]
    RepeatedParameter {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        name: String,
    },
    /// A parameter's value cannot be used.
    #[error("`{kind}:{name}={value}` cannot be: {expected}")]
    BadValue {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        name: String,
        /// What was written.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A workload file cannot be read.
    #[error("cannot read workload file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A workload file has a mistake.
    #[error("{file}:{line}: {problem}")]
    Malformed {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there, with the remedy.
        problem: String,
    },
    /// The kernel refused something that the run needs.
    #[error("{part}: {what}: {source}; {remedy}")]
    Os {
        /// Which part of the workload.
        part: &'static str,
        /// What was tried.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The machine or the calling program lacks something that the workload needs.
    #[error("{part}: {what}; {remedy}")]
    Missing {
        /// Which part of the workload.
        part: &'static str,
        /// What there is not.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// A thread or process of the workload died or lost its partner.
    #[error("{part}: {what}; the figures of this run are void, run it again")]
    Worker {
        /// Which part of the workload.
        part: &'static str,
        /// What happened.
        what: String,
    },
}

/// What to do when the kernel refuses another thread or process.
#[cfg(feature = "real")]
pub(crate) const TOO_MANY_TASKS: &str =
    "use smaller numbers, or raise the limits (ulimit -u, pids.max)";
/// What to do when the kernel refuses another file descriptor.
#[cfg(feature = "real")]
pub(crate) const TOO_MANY_FILES: &str = "use smaller numbers, or raise the limit (ulimit -n)";

/// What to do when a directory for a run's files cannot be had.
#[cfg(feature = "real")]
pub(crate) const NO_SCRATCH: &str = "set TMPDIR to a writable directory with space";

#[cfg(feature = "real")]
impl Error {
    /// For `map_err` on a call to the kernel.
    pub(crate) fn os(
        part: &'static str,
        what: &'static str,
        remedy: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Os {
            part,
            what,
            remedy,
            source,
        }
    }

    /// Something that is not there.
    pub(crate) fn missing(
        part: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Missing {
            part,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A worker that failed.
    pub(crate) fn worker(part: &'static str, what: impl Into<String>) -> Self {
        Self::Worker {
            part,
            what: what.into(),
        }
    }
}

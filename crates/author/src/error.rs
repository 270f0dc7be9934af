//! Why nothing can be judged: of this machine or of what was asked, never of a candidate.

use std::path::PathBuf;

/// What is wrong, with its remedy. What is wrong with a candidate is a [`Diagnostic`](crate::Diagnostic).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Candidates are linked with libraries that are built from source.
    #[error(
        "Baton's source is not in {} any more, and candidates are linked with what is built from it: build \
         `baton` again from a checkout that stays", path.display()
    )]
    NoSource {
        /// Where it was.
        path: PathBuf,
    },
    /// Rust is not installed.
    #[error("cannot run {program}: {problem}; install Rust as https://rustup.rs tells")]
    NoRust {
        /// The program.
        program: String,
        /// Why.
        problem: String,
    },
    /// The library cannot be built.
    #[error("the library for candidates cannot be built: {0}")]
    Library(String),
    /// Candidates cannot be contained here, and so are not run.
    #[error(transparent)]
    Sandbox(#[from] baton_sandbox::Error),
    /// The lab.
    #[error("the lab: {0}")]
    Lab(String),
    /// The VM.
    #[error("no VM: {0}; `baton doctor` tells what this machine lacks")]
    Vm(String),
    /// A file.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A client of `baton mcp` that cannot be served.
    #[error("the client cannot be served: {0}")]
    Client(String),
    /// Somebody stopped it.
    #[error("stopped")]
    Stopped,
}

/// Turns an error of a file into one of ours.
pub(crate) fn file(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { what, path, source }
}

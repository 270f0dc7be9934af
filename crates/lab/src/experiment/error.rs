//! What can be wrong with an experiment.

use std::path::PathBuf;

/// Why an experiment cannot be run. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that could not be opened.
    #[error("cannot read the experiment {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with a mistake in it.
    #[error("{file}:{line}: {problem}")]
    Malformed {
        /// The file as it was named.
        file: String,
        /// The line of the mistake, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// A name that is neither a built-in experiment nor a file.
    #[error(
        "no experiment is called `{name}`: give the path of its file, or one of {}",
        known.join(", ")
    )]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names of the built-in ones.
        known: Vec<&'static str>,
    },
}

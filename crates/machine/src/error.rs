//! What can go wrong when a machine is read.

use std::path::PathBuf;

/// Why a machine could not be read. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tree at `root` is not a sysfs that lists CPUs.
    #[error(
        "{} does not list this machine's CPUs ({problem}); give the root of a sysfs tree, such as /sys",
        root.join("devices/system/cpu/possible").display()
    )]
    NotSys {
        /// The sysfs root that was given.
        root: PathBuf,
        /// What was wrong with the list.
        problem: String,
    },
    /// A machine file that could not be opened.
    #[error("cannot read machine file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A machine file with a mistake in it.
    #[error("{file}:{line}: {problem}")]
    Malformed {
        /// The file as it was named.
        file: String,
        /// The line of the mistake, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// A name that is neither a built-in machine nor a file.
    #[error(
        "no machine is called `{name}`: give the path of a machine file, or one of {}",
        known.join(", ")
    )]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names of the built-in machines.
        known: Vec<&'static str>,
    },
}

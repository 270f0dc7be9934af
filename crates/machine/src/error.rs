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

/// Why a file of task classes cannot be used. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// A file that could not be opened.
    #[error("cannot read the file of task classes {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file with a mistake in it, or one that does not fit the machine.
    #[error("{file}:{line}: {problem}")]
    Malformed {
        /// The file as it was named.
        file: String,
        /// The line of the mistake, from 1.
        line: usize,
        /// What is wrong and what to write instead.
        problem: String,
    },
}

/// Why a cgroup cannot be found. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// There is no hierarchy to look in.
    #[error(
        "no cgroup v2 is mounted, so there are no cgroups to name: mount it with `mount -t cgroup2 \
         none /sys/fs/cgroup`"
    )]
    NotMounted,
    /// The name of the root, or of nothing.
    #[error(
        "`{0}` is the whole hierarchy: name a cgroup below it, or leave the option out to schedule \
         every task"
    )]
    Whole(String),
    /// No such directory, or one that is no cgroup.
    #[error(
        "no cgroup `{name}`: {} does not exist; make it with mkdir, or name one that `systemd-cgls` \
         shows",
        directory.display()
    )]
    Missing {
        /// The name that was given.
        name: String,
        /// Where it would be.
        directory: PathBuf,
    },
    /// A cgroup whose list of tasks cannot be read.
    #[error("cannot read the tasks of the cgroup {}: {source}; run as root", directory.display())]
    Unreadable {
        /// Its directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

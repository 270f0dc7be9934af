//! What a contained program may see, and whether that can be had.

use crate::{Ended, Error, Limits, parent};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What a contained program may see and use. It begins with nothing: no file, no network, no
/// environment.
///
/// Always there are `/tmp`, of its own and empty; `/proc`, of its own processes; and in `/dev`
/// `null`, `zero`, `full`, `random` and `urandom`.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub(crate) program: Option<PathBuf>,
    pub(crate) reads: Vec<(PathBuf, Option<PathBuf>)>,
    pub(crate) writes: Vec<PathBuf>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) dir: PathBuf,
    pub(crate) limits: Limits,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// A sandbox with nothing in it. Its inner stages are this program, executed again, which must
    /// call [`run_if_child`](crate::run_if_child) first thing in `main`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            program: None,
            reads: Vec::new(),
            writes: Vec::new(),
            env: Vec::new(),
            dir: PathBuf::from("/"),
            limits: Limits::default(),
        }
    }

    /// Has another program for its inner stages, which calls [`run_if_child`](crate::run_if_child);
    /// for tests, whose `main` is not theirs.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Shows a file or directory, read-only, at the same path. Symbolic links on the way to it are
    /// made inside too, and what is mounted below it is seen. Symbolic links in a directory stay as
    /// they are; what they lead to must be shown by itself. Show no directory in which the host's
    /// programs have sockets, such as `/run`: before version 9 of Landlock they can be spoken to.
    #[must_use]
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.reads.push((path.into(), None));
        self
    }

    /// Shows a file or directory of the host, read-only, at another path.
    #[must_use]
    pub fn read_as(mut self, host: impl Into<PathBuf>, inside: impl Into<PathBuf>) -> Self {
        self.reads.push((host.into(), Some(inside.into())));
        self
    }

    /// Shows what most programs of this machine need, read-only, as far as it is there: `/usr`, the
    /// directories of programs and libraries beside it, the loader's cache, and the links by which
    /// Debian chooses a C compiler.
    #[must_use]
    pub fn system(self) -> Self {
        [
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/etc/ld.so.cache",
            "/etc/alternatives",
        ]
        .iter()
        .filter(|path| Path::new(path).exists())
        .fold(self, Self::read)
    }

    /// Gives a directory that may be written. Inside it is empty and lies in memory; when the program
    /// has ended by itself, its files and directories are copied into the host's directory, over what
    /// has the same name there. They belong to the caller. Links, pipes and sockets stay behind,
    /// and so does all of a program that was stopped or reached a limit. There can be about 16,000
    /// files, and directories up to 32 deep.
    #[must_use]
    pub fn write(mut self, path: impl Into<PathBuf>) -> Self {
        self.writes.push(path.into());
        self
    }

    /// Sets a variable of the environment, which is empty otherwise.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory, a path inside; `/` otherwise.
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.dir = path.into();
        self
    }

    /// Sets what it may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs a program, an absolute path inside, to its end: by itself, at a limit, or within a tenth
    /// of a second after `stop` is set. When this returns, no process of it is left. If the caller
    /// dies, all inside dies. What is still running when the program itself ends is ended too.
    ///
    /// # Errors
    ///
    /// If the program cannot be contained, or not be executed. It is never run with less containment
    /// than this crate promises.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
        stdin: &[u8],
        stop: &AtomicBool,
    ) -> Result<Ended, Error> {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        parent::run(self, program.as_ref(), args.collect(), stdin, stop)
    }

    /// Whether this sandbox can be had here: does all but executing a program.
    ///
    /// # Errors
    ///
    /// If not; the error says what is missing, and what to do.
    pub fn probe(&self) -> Result<Kinds, Error> {
        parent::probe(self)
    }
}

/// What containment there is on this machine, beyond what is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kinds {
    /// Version of Landlock's interface, at least 1. From 4 on it refuses TCP, and from 6 on abstract
    /// Unix sockets and signals to the outside, which namespaces and the list of system calls do too.
    pub landlock_abi: u32,
    /// The user of the host that contained programs run as.
    pub uid: u32,
}

/// Whether programs can be contained here; to be asked before anything that is not trusted is run.
///
/// # Errors
///
/// If not; the error says what is missing, and what to do.
pub fn probe() -> Result<Kinds, Error> {
    Sandbox::new().probe()
}

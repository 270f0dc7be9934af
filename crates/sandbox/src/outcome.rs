//! How a contained program ended, and what it may use.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What a contained program and all that it starts may use, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time from its start to its end.
    pub wall: Duration,
    /// Processor time of all its processes. Looked at every 20 ms, and held by the kernel, in whole
    /// seconds, for each process. Time of processes that nobody waits for is not in the sum.
    pub cpu: Duration,
    /// Resident memory of all its processes, looked at every 20 ms. One process can never reserve
    /// more than twice that and 1 GiB. Memory that processes share counts for each of them.
    pub memory_bytes: u64,
    /// Size of any one file.
    pub file_bytes: u64,
    /// All that is written into files, those in `/tmp` too: they lie in memory, beside
    /// `memory_bytes`.
    pub written_bytes: u64,
    /// Processes and threads at a time, looked at every 20 ms. The kernel refuses to make more than
    /// 16 beyond.
    pub processes: u32,
    /// What is kept of the output, and of the errors; the rest is read and dropped.
    pub output_bytes: usize,
}

impl Default for Limits {
    /// What a small compilation needs: a minute, 2 GiB of memory, 512 MiB of files of which none is
    /// larger than 256 MiB, 64 processes, 1 MiB of output.
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(60),
            cpu: Duration::from_secs(60),
            memory_bytes: 2 << 30,
            file_bytes: 256 << 20,
            written_bytes: 512 << 20,
            processes: 64,
            output_bytes: 1 << 20,
        }
    }
}

/// The limit that ended a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Which {
    /// [`Limits::wall`].
    Wall,
    /// [`Limits::cpu`].
    Cpu,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::processes`].
    Processes,
    /// [`Limits::file_bytes`], of which the program died; one that handles it, or has a child die of
    /// it, ends as it chooses.
    File,
    /// [`Limits::written_bytes`]: there is more to bring out than that, or deeper. Writing more than
    /// that fails inside, as on a full disk.
    Written,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wall => "time",
            Self::Cpu => "processor time",
            Self::Memory => "memory",
            Self::Processes => "number of processes",
            Self::File => "size of a file",
            Self::Written => "size of all files",
        })
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum How {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It reached a limit.
    Limit(Which),
    /// The caller's flag was set.
    Stopped,
}

impl How {
    /// Whether it ended by itself with status 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exit(0)
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Limit(which) => write!(f, "ended at the limit of its {which}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// A contained program that has ended, and with it all that it started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How.
    pub status: How,
    /// What it wrote, up to [`Limits::output_bytes`].
    pub stdout: Vec<u8>,
    /// What it wrote as errors, up to [`Limits::output_bytes`].
    pub stderr: Vec<u8>,
    /// Whether one of both was longer than that, and its rest dropped.
    pub cut: bool,
    /// Time from its start to its end; from the call if it was stopped.
    pub wall: Duration,
    /// Processor time of all its processes; zero if it was stopped.
    pub cpu: Duration,
    /// The most resident memory that was seen, of all its processes; zero if it was stopped.
    pub peak_memory_bytes: u64,
}

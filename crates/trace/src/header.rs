//! What a recording says of itself: at its beginning, and at its end.

use baton_policy::Machine;
use serde::{Deserialize, Serialize};

/// First bytes of the file.
pub const MAGIC: [u8; 8] = *b"BATONREC";
/// The format that this program writes, and the latest that it reads.
pub const VERSION: u16 = 1;
/// Longest header or trailer that is read or written, in bytes.
pub const TEXT_MAX: usize = 4 << 20;

/// Of the file's first bytes, up to the checksum, and the header's text.
pub(crate) fn checksum(prefix: &[u8], text: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(prefix);
    hasher.update(text);
    hasher.finalize()
}

/// The beginning of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What wrote it: a program and its version.
    pub writer: String,
    /// The kernel's release; empty if not known.
    pub kernel: String,
    /// The machine. Each event's CPUs are below `machine.cpus.len()`.
    pub machine: Machine,
    /// When it began: nanoseconds since 1970, by the wall clock. 0 if not known.
    pub began_unix_ns: u64,
    /// The same moment by the kernel's monotonic clock, in nanoseconds. Events count from here.
    pub began_monotonic_ns: u64,
    /// Whether tasks' names are salted hashes.
    pub names_hidden: bool,
    /// Which kinds of events could not be recorded, and why, in sentences.
    pub absent: Vec<Absent>,
}

/// A kind of events that a recording does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The kind: `can_migrate`, `relay`, `wakeup` and so on.
    pub kind: String,
    /// Why there are none.
    pub why: String,
}

impl Header {
    /// Of a machine; the rest unknown or empty.
    #[must_use]
    pub fn new(writer: &str, machine: Machine) -> Self {
        Self {
            writer: writer.into(),
            kernel: String::new(),
            machine,
            began_unix_ns: 0,
            began_monotonic_ns: 0,
            names_hidden: false,
            absent: Vec::new(),
        }
    }

    /// How many CPUs the machine has.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        self.machine.cpus.len() as u32
    }
}

/// The end of a whole recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// How long was recorded, in nanoseconds.
    pub duration_ns: u64,
    /// Events in the file; the writer counts them.
    pub events: u64,
    /// Events that were lost, for want of room: the sum of [`What::Lost`](crate::What::Lost).
    pub lost: u64,
    /// Events whose time was moved to that of the one before, because they came later than the
    /// recorder waits.
    pub late: u64,
}

/// How a recording ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole(Trailer),
    /// The recorder was killed, or the disk was full: the events up to the last whole block were
    /// read, and the file goes on to here without an end.
    Cut {
        /// The first byte that was not read.
        offset: u64,
    },
}

//! What can be wrong with a recording.

use std::{io, path::PathBuf};

use crate::header::VERSION;

/// Why a recording cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct ReadError {
    /// The file, or what the caller called it.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It could not be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no recording of Baton's: it does not begin with BATONREC")]
    Foreign,
    /// It was written by a later Baton.
    #[error(
        "this recording has format {found}, and this program reads formats up to {VERSION}: use a \
         newer Baton"
    )]
    Newer {
        /// The file's format.
        found: u16,
    },
    /// It ends before its first block, so that nothing can be read.
    #[error("the file ends within its header, at byte {offset}: record again")]
    NoHeader {
        /// The file's length.
        offset: u64,
    },
    /// Some of its bytes are not what was written.
    #[error("the recording is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Its header tells of a machine that cannot be.
    #[error("the recording's machine cannot be one: {0}; record again")]
    Machine(String),
}

/// Why an event or a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// An event is earlier than the one before it.
    #[error("an event at {time_ns} ns comes after one at {before_ns} ns: sort events by time")]
    Order {
        /// Its time.
        time_ns: u64,
        /// The time of the one before.
        before_ns: u64,
    },
    /// An event names a CPU that the header does not have.
    #[error("an event names CPU {cpu}, and the header has {cpus} CPUs")]
    Cpu {
        /// The CPU.
        cpu: u32,
        /// How many there are.
        cpus: u32,
    },
    /// The header or the totals are longer than a reader takes.
    #[error("the description of the recording is longer than {} MiB", crate::header::TEXT_MAX >> 20)]
    Description,
    /// The header's machine is none that a reader takes.
    #[error("the machine cannot be recorded: {0}")]
    Machine(String),
}

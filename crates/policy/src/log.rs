//! The log of what a policy saw and decided, and its replay.
//!
//! A backend appends records to a buffer with the `encode` functions and writes the
//! bytes wherever it likes; [`Reader`] reads them back from a slice; [`replay`]
//! feeds the events to the policy again and compares the decisions. Nothing here
//! touches a file.
//!
//! # Format
//!
//! A log is the 8 bytes `BATONLOG`, the format's [`VERSION`] as a little-endian
//! `u16`, and frames to the end. A frame:
//!
//! | bytes | meaning |
//! |---|---|
//! | 3 | length of the body, little-endian |
//! | 1 | guard: the exclusive or of these three bytes and `0x5a` |
//! | 4 | CRC-32 of the body (IEEE 802.3, as in zlib), little-endian |
//! | length | body: the kind of record, one byte, then its payload |
//!
//! | kind | record | payload |
//! |---|---|---|
//! | 0 | header, the first frame and only there | [`Header`] |
//! | 1 | event, in the order in which the policy saw them | [`Event`] |
//! | 2 | the end of a batch | `now_ns: u64` |
//! | 3 | all decisions of the batch, in order; follows each kind 2 at once | `[Decision]` |
//! | 4 | gap: records that the writer had to drop | `lost: u64` |
//! | 5 | end: the log was closed, nothing follows | none |
//!
//! Payloads are in [postcard](https://postcard.jamesmunns.com/wire-format)'s wire
//! format: fields in the order of their declaration, integers as varints, an enum
//! as the index of its variant. Hence the rule: any change to the fields, types or
//! order of what a payload contains, and any change to a frame, raises [`VERSION`].
//! A test compares a small log with its bytes and fails when that was forgotten.
//! A reader reads its own version alone.
//!
//! The guard tells a log that was cut (its last frame is longer than what is left)
//! from one whose length was damaged. A log without an end record was cut, be it
//! between two frames: whoever wrote it was killed.

mod frame;
mod read;
mod replay;

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Classes, Decision, Event, Machine, Model, Options};

pub use read::{Reader, Record};
pub use replay::{Ending, Mismatch, ReplayError, ReplayReport, replay};

/// The first bytes of every log.
pub const MAGIC: [u8; 8] = *b"BATONLOG";

/// Version of the format; see the [module](self) for when it rises.
pub const VERSION: u16 = 5;

/// Most bytes that [`encode_event`] appends.
pub const EVENT_BYTES_MAX: usize = 256;

/// Most bytes that [`encode_decisions`] appends for each decision, beside
/// [`EVENT_BYTES_MAX`] for the record.
pub const DECISION_BYTES_MAX: usize = 64;

/// Longest body of a frame; a longer record becomes a gap.
const BODY_MAX: usize = (1 << 24) - 1;

mod kind {
    pub(super) const HEADER: u8 = 0;
    pub(super) const EVENT: u8 = 1;
    pub(super) const BATCH_END: u8 = 2;
    pub(super) const DECISIONS: u8 = 3;
    pub(super) const GAP: u8 = 4;
    pub(super) const END: u8 = 5;
}

/// What a log was made from: all that makes the policy again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`crate::Policy::NAME`].
    pub policy: String,
    /// The parameters as the user gave them, name and value.
    pub params: Vec<(String, String)>,
    /// Seed of the policy's randomness.
    pub seed: u64,
    /// The machine that was scheduled.
    pub machine: Machine,
    /// The task classes; an event names a task's class by its place here.
    pub classes: Classes,
    /// The model, if the policy uses one.
    pub model: Option<Model>,
    /// What the policy asked of the backend.
    pub options: Options,
    /// The kernel's release as `uname -r` prints it, or the simulator's name.
    pub kernel: String,
    /// Version of Baton that wrote the log.
    pub baton: String,
}

/// Starts a log in an empty buffer. A header of 16 MiB or more cannot be encoded;
/// its log reads as damaged.
pub fn encode_header(header: &Header, out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    frame::append(kind::HEADER, header, out);
}

/// Appends an event; to be called before the policy sees it. Does not allocate
/// when `out` has room for [`EVENT_BYTES_MAX`] more bytes.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    frame::append(kind::EVENT, event, out);
}

/// Appends the end of a batch, with the time that [`crate::Driver::batch_end`] got.
/// [`encode_decisions`] must follow, even if there are none. Does not allocate
/// when `out` has room for [`EVENT_BYTES_MAX`] more bytes.
pub fn encode_batch_end(now_ns: u64, out: &mut Vec<u8>) {
    frame::append(kind::BATCH_END, &now_ns, out);
}

/// Appends all decisions of the batch that ended, in order. Does not allocate when
/// `out` has room for [`EVENT_BYTES_MAX`] bytes and [`DECISION_BYTES_MAX`] more for
/// each decision. Decisions of 16 MiB and more become a gap.
pub fn encode_decisions(decisions: &[Decision], out: &mut Vec<u8>) {
    frame::append(kind::DECISIONS, decisions, out);
}

/// Appends that `lost` records are missing here.
pub fn encode_gap(lost: u64, out: &mut Vec<u8>) {
    frame::append(kind::GAP, &lost, out);
}

/// Closes the log: a reader takes a log that ends otherwise for cut.
pub fn encode_end(out: &mut Vec<u8>) {
    frame::append(kind::END, &(), out);
}

/// Why a log cannot be read, or not further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError {
    /// The bytes are not a log.
    NotALog,
    /// The log has another format version than [`VERSION`].
    Version(u16),
    /// The log was cut before its header was whole.
    NoHeader,
    /// Bytes were changed, or a record stands where it must not.
    Damaged {
        /// Where the record begins, bytes from the log's start.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALog => f.write_str("not a log of Baton"),
            Self::Version(found) => write!(
                f,
                "the log has format version {found}, this program reads version {VERSION}; \
                 use the version of Baton that wrote the log"
            ),
            Self::NoHeader => f.write_str("the log was cut before its header was whole"),
            Self::Damaged { offset, what } => {
                write!(f, "the log is damaged at byte {offset}: {what}")
            }
        }
    }
}

impl core::error::Error for LogError {}

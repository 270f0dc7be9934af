//! Reads a log's records from a slice.

use alloc::vec::Vec;

use serde::de::DeserializeOwned;

use super::{Header, LogError, MAGIC, VERSION, frame, frame::Frame, kind};
use crate::{Decision, Event};

/// What a log holds after its header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // As large as an event, and one at a time.
pub enum Record {
    /// The policy saw this event.
    Event(Event),
    /// The policy heard everything up to `now_ns`; its decisions follow.
    BatchEnd {
        /// The time that the policy was told.
        now_ns: u64,
    },
    /// All decisions of the batch that ended.
    Decisions(Vec<Decision>),
    /// Records are missing here.
    Gap {
        /// How many.
        lost: u64,
    },
    /// The log was closed here.
    End,
    /// The log was cut here: what follows was not written, or not wholly.
    Cut {
        /// Where the first record that is not whole begins, bytes from the start.
        offset: usize,
    },
}

/// The records of a log in order. The last one is [`Record::End`], [`Record::Cut`]
/// or an error.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    payload: &'a [u8],
    over: bool,
}

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When the bytes do not begin with a whole header of this [`VERSION`].
    pub fn open(bytes: &'a [u8]) -> Result<(Header, Self), LogError> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(LogError::NotALog);
        }
        let rest = &bytes[known..];
        let Some((&version, _)) = rest.split_first_chunk::<2>() else {
            return Err(LogError::NoHeader);
        };
        let version = u16::from_le_bytes(version);
        if version != VERSION {
            return Err(LogError::Version(version));
        }
        let offset = MAGIC.len() + size_of_val(&version);
        match frame::read(bytes, offset)? {
            Frame::Whole {
                kind: kind::HEADER,
                payload,
                next,
            } => {
                let header = decode(payload, offset)?;
                Ok((
                    header,
                    Self {
                        bytes,
                        offset: next,
                        payload,
                        over: false,
                    },
                ))
            }
            Frame::Whole { .. } => Err(LogError::Damaged {
                offset,
                what: "no header",
            }),
            Frame::Cut => Err(LogError::NoHeader),
        }
    }

    /// Where the next record begins, bytes from the log's start.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The last record's payload as it was written.
    pub(super) const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    fn read(&mut self) -> Result<Record, LogError> {
        let offset = self.offset;
        let damaged = |what| LogError::Damaged { offset, what };
        let Frame::Whole {
            kind,
            payload,
            next,
        } = frame::read(self.bytes, offset)?
        else {
            return Ok(Record::Cut { offset });
        };
        let record = match kind {
            kind::EVENT => Record::Event(decode(payload, offset)?),
            kind::BATCH_END => Record::BatchEnd {
                now_ns: decode(payload, offset)?,
            },
            kind::DECISIONS => Record::Decisions(decode(payload, offset)?),
            kind::GAP => Record::Gap {
                lost: decode(payload, offset)?,
            },
            kind::END if next < self.bytes.len() => return Err(damaged("bytes after the end")),
            kind::END => Record::End,
            _ => return Err(damaged("an unknown kind of record")),
        };
        (self.offset, self.payload) = (next, payload);
        Ok(record)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let record = self.read();
        self.over = matches!(record, Ok(Record::End | Record::Cut { .. }) | Err(_));
        Some(record)
    }
}

fn decode<T: DeserializeOwned>(payload: &[u8], offset: usize) -> Result<T, LogError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(LogError::Damaged {
            offset,
            what: "the payload of a record",
        }),
    }
}

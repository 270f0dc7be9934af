//! Reads a log's records from a slice.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use baton_model::VALUE_MAX;
use serde::de::DeserializeOwned;

use super::{Header, LogError, MAGIC, VERSION, frame, frame::Frame, kind};
use crate::{CLASSES_MAX, Classes, Decision, Enqueue, Event, EventKind, Guess};

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
///
/// Whatever the bytes are, the header's machine is one that a policy can take
/// ([`crate::Machine::check`]), every CPU that an event names is one of it, and every
/// weight is in its range; times, counts and the order of events may be any.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    payload: &'a [u8],
    /// CPUs of the header's machine.
    cpus: usize,
    over: bool,
}

impl<'a> Reader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When the bytes do not begin with a whole header of this [`VERSION`], or it tells of
    /// a machine or of task classes that cannot be.
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
                let header: Header = decode(payload, offset)?;
                let damaged = |what| LogError::Damaged { offset, what };
                if header.machine.check().is_err() {
                    return Err(damaged("a machine that cannot be"));
                }
                if !are_possible(&header.classes) {
                    return Err(damaged("task classes that cannot be"));
                }
                let cpus = header.machine.cpus.len();
                Ok((
                    header,
                    Self {
                        bytes,
                        offset: next,
                        payload,
                        cpus,
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
            kind::EVENT => {
                let event = decode(payload, offset)?;
                check(&event, self.cpus).map_err(damaged)?;
                Record::Event(event)
            }
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

/// Weights of tasks and classes.
const WEIGHTS: RangeInclusive<u32> = 1..=10_000;

fn are_possible(classes: &Classes) -> bool {
    let weighs = |weight: u32| WEIGHTS.contains(&weight);
    classes.len() <= CLASSES_MAX && classes.iter().all(|class| class.weight.is_none_or(weighs))
}

/// What in an event cannot be on a machine of so many CPUs.
fn check(event: &Event, cpus: usize) -> Result<(), &'static str> {
    let cpu = match event.kind {
        EventKind::Join(info) | EventKind::Update(info) => {
            return match WEIGHTS.contains(&info.weight) {
                true => Ok(()),
                false => Err("a task's weight that is not 1 to 10000"),
            };
        }
        EventKind::Enqueue(enqueue) => {
            check_burst(&enqueue)?;
            enqueue.cpu
        }
        EventKind::Running { cpu }
        | EventKind::Stopping { cpu, .. }
        | EventKind::CpuDry { cpu }
        | EventKind::CpuOnline { cpu }
        | EventKind::CpuOffline { cpu } => cpu,
        EventKind::Dequeue | EventKind::Rescued | EventKind::Exit | EventKind::Lost { .. } => {
            return Ok(());
        }
    };
    match (cpu as usize) < cpus {
        true => Ok(()),
        false => Err("a CPU that the header's machine does not have"),
    }
}

/// What is told of a task's bursts lies on its scales.
fn check_burst(enqueue: &Enqueue) -> Result<(), &'static str> {
    let Guess {
        burst,
        model,
        average,
        ..
    } = enqueue.guess;
    let features = enqueue.features.unwrap_or_default();
    let is_on_scale = |value: &u16| *value <= VALUE_MAX;
    match features
        .iter()
        .chain([&burst, &model, &average])
        .all(is_on_scale)
    {
        true => Ok(()),
        false => Err("what is known of a task's bursts is on no scale"),
    }
}

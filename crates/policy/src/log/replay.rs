//! Feeds a log's events to the policy again and compares what it decides.

use alloc::{string::String, vec::Vec};
use core::fmt;

use super::{LogError, Reader, Record, frame, frame::Frame};
use crate::{Decision, Driver, Placement, Policy, Setup, SetupError};

/// How far a replay came, and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// Events given to the policy.
    pub events: u64,
    /// Batches whose decisions were compared, one that differed included.
    pub batches: u64,
    /// Decisions that were equal.
    pub decisions: u64,
    /// Whether the policy asks the backend for what it asked when the log was written.
    pub same_options: bool,
    /// Why the replay ended.
    pub ending: Ending,
}

impl ReplayReport {
    /// Whether everything that could be compared was equal. Look at
    /// [`ReplayReport::ending`] for how much that was.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.same_options && !matches!(self.ending, Ending::Differs(_))
    }
}

/// Why a replay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The log was closed, and replayed to its end.
    Complete,
    /// The log was cut here, at a number of bytes; replayed up to it.
    Cut {
        /// Where the first record that is not whole begins, bytes from the start.
        offset: usize,
    },
    /// Records are missing, so the policy's state is unknown from here on; replayed
    /// up to it.
    Gap {
        /// How many are missing.
        lost: u64,
    },
    /// The policy decided otherwise.
    Differs(Mismatch),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the log is complete"),
            Self::Cut { offset } => {
                write!(f, "the log was cut at byte {offset}; replayed up to there")
            }
            Self::Gap { lost } => write!(
                f,
                "{lost} records are missing, so the policy's state is unknown from there on; \
                 replayed up to there"
            ),
            Self::Differs(mismatch) => mismatch.fmt(f),
        }
    }
}

/// The first decision that was not taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Number of the batch in the log, from 0.
    pub batch: u64,
    /// When the batch ended, nanoseconds of the backend's clock.
    pub time_ns: u64,
    /// Number of the event in the log, from 0, at which the policy took the
    /// recomputed decision; none if it took it at the batch's end, or took none.
    pub event: Option<u64>,
    /// Number of the decision in its batch, from 0.
    pub decision: usize,
    /// What the log holds; none if the policy took a decision too many.
    pub recorded: Option<Decision>,
    /// What the policy decided now; none if it took a decision too few.
    pub recomputed: Option<Decision>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch,
            time_ns,
            decision,
            ..
        } = self;
        write!(
            f,
            "decision {decision} of batch {batch} (ended at {time_ns} ns"
        )?;
        if let Some(event) = self.event {
            write!(f, ", event {event}")?;
        }
        let (recorded, recomputed) = (Shown(self.recorded), Shown(self.recomputed));
        write!(
            f,
            ") differs:\n  recorded   {recorded}\n  recomputed {recomputed}"
        )
    }
}

/// A decision for people.
struct Shown(Option<Decision>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(decision) = self.0 else {
            return f.write_str("no decision");
        };
        let Decision {
            task,
            seq,
            placement,
            slice_ns,
            preempt,
            key_offset,
            performance,
        } = decision;
        write!(
            f,
            "task {} (started at {} ns) enqueue {seq}: ",
            task.pid, task.start_ns
        )?;
        match placement {
            Placement::Ready { key } => write!(f, "ready at key {key}")?,
            Placement::Cpu { cpu } => write!(f, "to CPU {cpu}")?,
            Placement::Hold { lease_ns } => write!(f, "hold for {lease_ns} ns")?,
            Placement::Hint { cpu: None } => write!(f, "hint")?,
            Placement::Hint { cpu: Some(cpu) } => write!(f, "hint to CPU {cpu}")?,
        }
        write!(f, ", slice {slice_ns} ns, key offset {key_offset} ns")?;
        if let Some(performance) = performance {
            write!(f, ", performance {performance}")?;
        }
        f.write_str(if preempt { ", may preempt" } else { "" })
    }
}

/// Why a log could not be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The log cannot be read, or is damaged.
    Log(LogError),
    /// The log is of another policy, of this name.
    OtherPolicy(String),
    /// The policy does not take the log's parameters.
    Setup(SetupError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::OtherPolicy(name) => write!(f, "the log is of the policy {name}"),
            Self::Setup(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ReplayError {}

impl From<LogError> for ReplayError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<SetupError> for ReplayError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

/// Makes the policy from a log's header, gives it the log's events and compares its
/// decisions, as they are encoded, at the end of each batch. Ends at the first that
/// differs, at a gap, or where the log ends.
///
/// # Errors
/// When the log is damaged, is of another policy, or has parameters that the policy
/// does not take.
pub fn replay<P: Policy>(bytes: &[u8]) -> Result<ReplayReport, ReplayError> {
    let (header, mut reader) = Reader::open(bytes)?;
    if header.policy != P::NAME {
        return Err(ReplayError::OtherPolicy(header.policy));
    }
    let setup = Setup::with_params(&header.machine, header.seed, &header.params)
        .with_mode(header.options.mode)
        .with_classes(&header.classes)
        .with_model(header.model.as_ref());
    let driver = Driver::<P>::new(&setup)?;
    let mut replay = Replay {
        report: ReplayReport {
            events: 0,
            batches: 0,
            decisions: 0,
            same_options: *driver.options() == header.options,
            ending: Ending::Complete,
        },
        driver,
        ended_ns: None,
        decided: Vec::new(),
        scratch: Vec::new(),
    };
    loop {
        let offset = reader.offset();
        let record = reader.next().transpose()?.unwrap_or(Record::End);
        if let Some(ending) = replay.step(record, reader.payload(), offset)? {
            replay.report.ending = ending;
            return Ok(replay.report);
        }
    }
}

struct Replay<P: Policy> {
    driver: Driver<P>,
    report: ReplayReport,
    /// When the batch ended whose decisions come next.
    ended_ns: Option<u64>,
    /// Decisions of the batch after each of its events.
    decided: Vec<usize>,
    scratch: Vec<u8>,
}

impl<P: Policy> Replay<P> {
    /// Takes one record; the ending if it was the last one to take.
    fn step(
        &mut self,
        record: Record,
        payload: &[u8],
        offset: usize,
    ) -> Result<Option<Ending>, LogError> {
        let damaged = |what| Err(LogError::Damaged { offset, what });
        match (record, self.ended_ns.take()) {
            (Record::Cut { offset }, _) => return Ok(Some(Ending::Cut { offset })),
            (Record::Gap { lost }, _) => return Ok(Some(Ending::Gap { lost })),
            (Record::Decisions(recorded), Some(time_ns)) => {
                return self.compare(&recorded, payload, time_ns, offset);
            }
            (Record::Decisions(_), None) => return damaged("decisions before their batch's end"),
            (_, Some(_)) => return damaged("a batch without its decisions"),
            (Record::End, None) => return Ok(Some(Ending::Complete)),
            (Record::Event(event), None) => {
                self.driver.event(&event);
                self.report.events += 1;
                self.decided.push(self.driver.decisions().len());
            }
            (Record::BatchEnd { now_ns }, None) => {
                self.driver.batch_end(now_ns);
                self.ended_ns = Some(now_ns);
            }
        }
        Ok(None)
    }

    fn compare(
        &mut self,
        recorded: &[Decision],
        payload: &[u8],
        time_ns: u64,
        offset: usize,
    ) -> Result<Option<Ending>, LogError> {
        self.report.batches += 1;
        let recomputed = self.driver.decisions();
        self.scratch.clear();
        super::encode_decisions(recomputed, &mut self.scratch);
        let same = matches!(
            frame::read(&self.scratch, 0),
            Ok(Frame::Whole { payload: again, .. }) if again == payload
        );
        if !same {
            let longer = recorded.len().max(recomputed.len());
            let first = (0..longer).find(|&at| recorded.get(at) != recomputed.get(at));
            let Some(first) = first else {
                let what = "decisions that were not encoded as they should be";
                return Err(LogError::Damaged { offset, what });
            };
            self.report.decisions += first as u64;
            return Ok(Some(Ending::Differs(
                self.mismatch(first, recorded, time_ns),
            )));
        }
        self.report.decisions += recorded.len() as u64;
        self.driver.clear_decisions();
        self.decided.clear();
        Ok(None)
    }

    fn mismatch(&self, decision: usize, recorded: &[Decision], time_ns: u64) -> Mismatch {
        let first_event = self.report.events - self.decided.len() as u64;
        let place = self.decided.iter().position(|&decided| decided > decision);
        Mismatch {
            batch: self.report.batches - 1,
            time_ns,
            event: place.map(|place| first_event + place as u64),
            decision,
            recorded: recorded.get(decision).copied(),
            recomputed: self.driver.decisions().get(decision).copied(),
        }
    }
}

//! Runs [`Messaging`]: senders and receivers over socket pairs, as threads or processes.
//!
//! All tasks say that they are there by a byte in one pipe and wait for a byte in another, so that
//! their creation is not measured. Counters in shared memory tell how far they are; the supervisor
//! looks at them now and then, and the end of the run is the time that the last task wrote there.

use super::{Context, LOOK_INTERVAL};
use crate::error::{Error, TOO_MANY_FILES, TOO_MANY_TASKS};
use crate::names;
use crate::report::{Better, PartReport, seconds};
use crate::spec::Messaging;
use crate::sys::child::Child;
use crate::sys::shared::SharedCounters;
use crate::sys::{clock, poll};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;

const PART: &str = "messaging";
const BYTES: usize = Messaging::MESSAGE_BYTES;

/// The shared counters, by index. After them each receiver counts its messages in a cache line of
/// its own.
const LEFT: usize = 0;
const FAILED: usize = 1;
const END_NS: usize = 2;
const LINE: usize = 8;

/// Everything that the tasks use; made before any of them.
struct Hall {
    /// For each group, for each receiver: the senders' end and the receiver's.
    groups: Vec<Vec<(UnixStream, UnixStream)>>,
    present: (PipeReader, PipeWriter),
    start: (PipeReader, PipeWriter),
    counters: SharedCounters,
    loops: u32,
}

/// One task of the part.
#[derive(Clone, Copy)]
enum Seat {
    Sender { group: usize },
    Receiver { group: usize, index: usize },
}

pub(crate) fn run(messaging: &Messaging, context: &Context<'_>) -> Result<PartReport, Error> {
    let hall = Hall::new(messaging)?;
    let seats = seats(messaging);
    hall.counters[LEFT].store(seats.len() as u64, Relaxed);
    let start_ns = if messaging.threads {
        run_threads(&hall, &seats, context)
    } else {
        run_processes(&hall, &seats, context)
    }?;
    Ok(report(messaging, &hall.counters, start_ns))
}

/// Receivers first, as they have nothing to do until the first message.
fn seats(messaging: &Messaging) -> Vec<Seat> {
    let mut seats = Vec::new();
    for group in 0..messaging.groups as usize {
        seats.extend((0..messaging.fan as usize).map(|index| Seat::Receiver { group, index }));
        seats.extend((0..messaging.fan).map(|_| Seat::Sender { group }));
    }
    seats
}

fn run_threads(hall: &Hall, seats: &[Seat], context: &Context<'_>) -> Result<Option<u64>, Error> {
    thread::scope(|scope| {
        // However this scope is left, no thread may be left waiting: scope would wait for it.
        let _closer = Closer(hall);
        for &seat in seats {
            let name = names::task_name(seat.role(), context.salt);
            let spawned = thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, move || {
                    hall.take(seat);
                });
            spawned.map_err(Error::os(PART, "thread", TOO_MANY_TASKS))?;
        }
        oversee(hall, seats.len(), context, || Ok(()))
    })
}

fn run_processes(hall: &Hall, seats: &[Seat], context: &Context<'_>) -> Result<Option<u64>, Error> {
    // Dropping this kills and reaps whoever still lives.
    let mut children = Vec::with_capacity(seats.len());
    for &seat in seats {
        let name = names::task_name_c(seat.role(), context.salt);
        let child = Child::fork(&name, &hall.descriptors(seat), || hall.take(seat));
        children.push(child.map_err(Error::os(PART, "process", TOO_MANY_TASKS))?);
    }
    oversee(hall, seats.len(), context, || {
        for child in &mut children {
            match child.try_wait() {
                Ok(None | Some(0)) => {}
                Ok(Some(code)) => {
                    return Err(Error::worker(PART, format!("a process ended with {code}")));
                }
                Err(error) => {
                    return Err(Error::worker(PART, format!("a process is lost ({error})")));
                }
            }
        }
        Ok(())
    })
}

/// Starts the tasks when all are there and waits until all have finished. Returns when they were
/// started, or none if they were not.
fn oversee(
    hall: &Hall,
    tasks: usize,
    context: &Context<'_>,
    mut health: impl FnMut() -> Result<(), Error>,
) -> Result<Option<u64>, Error> {
    let lost = |error| Error::worker(PART, format!("its start pipe broke ({error})"));
    let mut present = 0;
    let mut bytes = [0; 64];
    while present < tasks {
        if context.gate.is_cancelled() {
            return Ok(None);
        }
        health()?;
        if poll::readable(hall.present.0.as_fd(), LOOK_INTERVAL).map_err(lost)? {
            present += (&hall.present.0).read(&mut bytes).map_err(lost)?;
        }
    }
    context.gate.ready();
    if !context.gate.wait_foreground() {
        return Ok(None);
    }
    let go = vec![1; tasks];
    let start_ns = clock::now_ns();
    (&hall.start.1).write_all(&go).map_err(lost)?;
    loop {
        let left = hall.counters[LEFT].load(SeqCst);
        if hall.counters[FAILED].load(SeqCst) > 0 {
            return Err(Error::worker(PART, "a task lost its partner"));
        }
        if left == 0 {
            return Ok(Some(start_ns));
        }
        if context.gate.is_cancelled() {
            hall.counters[END_NS].fetch_max(clock::now_ns(), SeqCst);
            return Ok(Some(start_ns));
        }
        health()?;
        clock::sleep(LOOK_INTERVAL);
    }
}

/// Ends all waiting in the hall when dropped.
struct Closer<'a>(&'a Hall);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        let hall = self.0;
        for (to, from) in hall.groups.iter().flatten() {
            // An error means that it is closed already.
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        }
        // Those who still wait for their start get one, and find their sockets closed.
        let tasks = hall.groups.iter().map(|group| 2 * group.len()).sum();
        let _ = (&hall.start.1).write_all(&vec![0; tasks]);
    }
}

impl Hall {
    fn new(messaging: &Messaging) -> Result<Self, Error> {
        let refused = || Error::os(PART, "socket pair", TOO_MANY_FILES);
        let receivers = messaging.groups as usize * messaging.fan as usize;
        let mut groups = Vec::with_capacity(messaging.groups as usize);
        for _ in 0..messaging.groups {
            let pairs: io::Result<Vec<_>> =
                (0..messaging.fan).map(|_| UnixStream::pair()).collect();
            groups.push(pairs.map_err(refused())?);
        }
        Ok(Self {
            groups,
            present: io::pipe().map_err(refused())?,
            start: io::pipe().map_err(refused())?,
            counters: SharedCounters::new(LINE * (1 + receivers)).map_err(refused())?,
            loops: messaging.loops,
        })
    }

    /// The descriptors that a process in this seat uses.
    fn descriptors(&self, seat: Seat) -> Vec<RawFd> {
        let mut keep = vec![self.present.1.as_raw_fd(), self.start.0.as_raw_fd()];
        match seat {
            Seat::Sender { group } => {
                keep.extend(self.groups[group].iter().map(|(to, _)| to.as_raw_fd()));
            }
            Seat::Receiver { group, index } => keep.push(self.groups[group][index].1.as_raw_fd()),
        }
        keep
    }

    /// The life of one task; 0 if it went well.
    fn take(&self, seat: Seat) -> i32 {
        let mut byte = [0];
        let started = (&self.present.1)
            .write_all(&[1])
            .and_then(|()| (&self.start.0).read_exact(&mut byte))
            .is_ok();
        if !started {
            return 1;
        }
        let failed = match seat {
            Seat::Sender { group } => self.send(group),
            Seat::Receiver { group, index } => self.receive(group, index),
        }
        .is_err();
        // LEFT last: whoever sees that none is left must see the last one's time and fate.
        self.counters[END_NS].fetch_max(clock::now_ns(), SeqCst);
        self.counters[FAILED].fetch_add(u64::from(failed), SeqCst);
        self.counters[LEFT].fetch_sub(1, SeqCst);
        i32::from(failed)
    }

    fn send(&self, group: usize) -> io::Result<()> {
        let message = [b'b'; BYTES];
        for _ in 0..self.loops {
            for (to, _) in &self.groups[group] {
                let mut to: &UnixStream = to;
                to.write_all(&message)?;
            }
        }
        Ok(())
    }

    fn receive(&self, group: usize, index: usize) -> io::Result<()> {
        let mut message = [0; BYTES];
        let mut from = &self.groups[group][index].1;
        let expected = self.groups[group].len() as u64 * u64::from(self.loops);
        let counter = &self.counters[LINE * (1 + group * self.groups[group].len() + index)];
        for received in 1..=expected {
            from.read_exact(&mut message)?;
            counter.store(received, Relaxed);
        }
        Ok(())
    }
}

impl Seat {
    fn role(self) -> &'static str {
        match self {
            Self::Sender { .. } => names::SENDER,
            Self::Receiver { .. } => names::RECEIVER,
        }
    }
}

fn report(messaging: &Messaging, counters: &SharedCounters, start_ns: Option<u64>) -> PartReport {
    let mut report = PartReport::new(PART);
    let received: u64 = counters
        .iter()
        .skip(LINE)
        .step_by(LINE)
        .map(|count| count.load(Relaxed))
        .sum();
    let end_ns = counters[END_NS].load(Relaxed);
    let elapsed_ns = start_ns.map_or(0, |start_ns| end_ns.saturating_sub(start_ns));
    let rate = received as f64 / seconds(elapsed_ns.max(1));
    report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
    report.metric("messages_per_s", "1/s", rate, Better::Higher);
    report.metric("messages", "messages", received as f64, Better::Higher);
    if received < messaging.messages() {
        report.unfinished = Some(format!("{received} of {} messages", messaging.messages()));
    }
    report
}

//! Records of all CPUs, merged by time, as events of a recording.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs,
};

use baton_trace::{Event, Left, Losses, NameHider, RelayEvent, TaskInfo, What, Woken, WriteError};

use super::{
    abi::{self, NAME_LEN, PID_BITS, PID_MASK, kind},
    known::Known,
    rings::{RECORD_WORDS, Rings, Sizes},
};
use crate::ring::Ring;

/// A record is looked at when it is this old: until then one that is earlier may still come.
const LAG_NS: u64 = 20_000_000;
/// For so long, at most, a record that is being written holds the others up.
const PATIENCE_NS: u64 = 500_000_000;

const LEFT: [Left; 5] = [
    Left::Runnable,
    Left::Sleeps,
    Left::Blocks,
    Left::Stopped,
    Left::Exits,
];

/// Takes an event of the recording.
pub(super) trait Sink {
    fn push(&mut self, event: &Event) -> Result<(), WriteError>;
}

impl<W: std::io::Write> Sink for baton_trace::Writer<W> {
    fn push(&mut self, event: &Event) -> Result<(), WriteError> {
        Self::push(self, event)
    }
}

/// Gives the records of the shared ring.
pub(super) trait Source {
    fn next(&mut self) -> Option<abi::Task>;

    /// Whether none is left, not even one that is being written.
    fn is_clear(&self) -> bool;

    /// How many bytes are not read.
    fn used(&self) -> u64;
}

impl Source for Ring {
    fn next(&mut self) -> Option<abi::Task> {
        self.next(read_task)
    }

    fn is_clear(&self) -> bool {
        self.is_empty()
    }

    fn used(&self) -> u64 {
        self.used()
    }
}

/// What is between the rings and the file.
#[derive(Debug)]
pub(super) struct Merge {
    /// How far each CPU's ring was read.
    read: Vec<u64>,
    /// Records of the shared ring that are not due yet.
    waiting: BinaryHeap<Reverse<Waiting>>,
    taken: u64,
    known: Known,
    hider: Option<NameHider>,
    last_ns: u64,
    /// When the shared ring was last seen without a record that is still being written.
    clear_ns: u64,
    /// Events whose time was raised to that of the one before.
    pub(super) late: u64,
}

/// A record of the shared ring, in the order of time and then of arrival.
#[derive(Debug)]
struct Waiting {
    time_ns: u64,
    arrival: u64,
    task: abi::Task,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time_ns, self.arrival).cmp(&(other.time_ns, other.arrival))
    }
}

impl Merge {
    pub(super) fn new(cpus: u32, hider: Option<NameHider>) -> Self {
        Self {
            read: vec![0; cpus as usize],
            waiting: BinaryHeap::new(),
            taken: 0,
            known: Known::default(),
            hider,
            last_ns: 0,
            clear_ns: 0,
            late: 0,
        }
    }

    /// Tells of tasks that were there before the recording began.
    pub(super) fn introduce(
        &mut self,
        tasks: &[abi::Task],
        sink: &mut impl Sink,
    ) -> Result<(), WriteError> {
        for task in tasks {
            self.tell(0, 0, info_of(task), sink)?;
        }
        Ok(())
    }

    /// Gives every event that is old enough at `now_ns` to the sink, or all; how full the fullest ring
    /// was, the shared one among them, as a share of its room.
    pub(super) fn drain(
        &mut self,
        rings: &Rings,
        shared: &mut impl Source,
        now_ns: Option<u64>,
        sink: &mut impl Sink,
    ) -> Result<f64, WriteError> {
        let Sizes {
            cpus,
            words,
            shared_bytes,
            ..
        } = rings.sizes();
        let shared_fill = shared.used() as f64 / f64::from(shared_bytes);
        let ends: Vec<u64> = (0..cpus).map(|cpu| rings.written(cpu)).collect();
        while let Some(task) = shared.next() {
            self.taken += 1;
            let waiting = Waiting {
                time_ns: task.stamp >> 8,
                arrival: self.taken,
                task,
            };
            self.waiting.push(Reverse(waiting));
        }
        let horizon_ns = now_ns.map_or(u64::MAX, |now_ns| self.horizon(now_ns, shared.is_clear()));
        let mut fullest = 0;
        let mut heads = BinaryHeap::with_capacity(cpus as usize);
        for cpu in 0..cpus {
            let read = self.read[cpu as usize];
            fullest = fullest.max(ends[cpu as usize] - read);
            if read < ends[cpu as usize] {
                heads.push(Reverse((rings.record(cpu, read)[0] >> 8, cpu)));
            }
        }
        // Of the CPU whose record is the earliest; of equal ones, of the first CPU.
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((time_ns, cpu)) = *head;
            if time_ns > horizon_ns {
                break;
            }
            if self.is_waiting_until(time_ns) {
                self.tell_waiting(time_ns, sink)?;
            }
            let read = &mut self.read[cpu as usize];
            let record = rings.record(cpu, *read);
            *read += RECORD_WORDS;
            let pos = *read;
            self.convert(cpu, record, sink)?;
            if pos < ends[cpu as usize] {
                head.0.0 = rings.record(cpu, pos)[0] >> 8;
            } else {
                PeekMut::pop(head);
            }
        }
        self.tell_waiting(horizon_ns, sink)?;
        for cpu in 0..cpus {
            rings.free(cpu, self.read[cpu as usize]);
        }
        Ok(shared_fill.max(fullest as f64 / words as f64))
    }

    /// Up to when all records are there. One of the shared ring that is being written hides those
    /// behind it; its writer may have lost its CPU meanwhile.
    fn horizon(&mut self, now_ns: u64, clear: bool) -> u64 {
        if clear || now_ns - self.clear_ns > PATIENCE_NS {
            self.clear_ns = now_ns;
        }
        self.clear_ns.saturating_sub(LAG_NS)
    }

    /// At the end, of losses after which their CPU recorded nothing that could tell of them.
    pub(super) fn tell_last_losses(
        &mut self,
        rings: &Rings,
        end_ns: u64,
        sink: &mut impl Sink,
    ) -> Result<(), WriteError> {
        let time_ns = end_ns.max(self.last_ns);
        for cpu in 0..rings.sizes().cpus {
            let (own, shared) = rings.untold(cpu);
            for (count, of) in [(own, Losses::Any), (shared, Losses::Tasks)] {
                if count > 0 {
                    self.put(time_ns, cpu, What::Lost { count, of }, sink)?;
                }
            }
        }
        Ok(())
    }

    /// Whether there are events of the shared ring up to this time.
    #[inline]
    fn is_waiting_until(&self, time_ns: u64) -> bool {
        let first = self.waiting.peek();
        first.is_some_and(|first| first.0.time_ns <= time_ns)
    }

    /// Events of the shared ring up to this time.
    fn tell_waiting(&mut self, time_ns: u64, sink: &mut impl Sink) -> Result<(), WriteError> {
        while self.is_waiting_until(time_ns) {
            let Some(Reverse(Waiting { time_ns, task, .. })) = self.waiting.pop() else {
                break;
            };
            let cpu = task.cpu;
            match task.stamp as u8 {
                kind::EXIT => self.put(time_ns, cpu, What::Exit { pid: task.pid }, sink)?,
                kind::FORK => {
                    self.tell(time_ns, cpu, info_of(&task), sink)?;
                    let (parent, child) = (task.parent, task.pid);
                    self.put(time_ns, cpu, What::Fork { parent, child }, sink)?;
                }
                kind::ENQUEUE | kind::DECIDED | kind::RESCUED => {
                    let what = What::Relay(relay_event(&task));
                    self.put(time_ns, cpu, what, sink)?;
                }
                kind::TASK => self.tell(time_ns, cpu, info_of(&task), sink)?,
                // Of a CPU without a ring.
                _ => self.convert(cpu, task.words(), sink)?,
            }
        }
        Ok(())
    }

    fn convert(
        &mut self,
        cpu: u32,
        words: [u64; 2],
        sink: &mut impl Sink,
    ) -> Result<(), WriteError> {
        let [stamp, word] = words;
        let time_ns = stamp >> 8;
        let kind = stamp as u8;
        let a = word as u32 & PID_MASK;
        let b = (word >> PID_BITS) as u32 & PID_MASK;
        let c = (word >> 48) as u32;
        let what = match kind {
            kind::SWITCH => {
                self.check_prio(time_ns, cpu, b, c as u8, sink)?;
                let left = LEFT[(c >> 8) as usize % LEFT.len()];
                if left == Left::Exits {
                    // The fork that tells of its number's next task may be lost.
                    self.known.forget(a);
                }
                What::Switch {
                    prev: a,
                    left,
                    next: b,
                }
            }
            kind::WAKEUP | kind::WAKEUP_NEW => What::Wakeup {
                pid: a,
                waker: b,
                how: if kind == kind::WAKEUP {
                    Woken::Sleep
                } else {
                    Woken::New
                },
                target: c,
            },
            kind::LOST => What::Lost {
                count: word,
                of: Losses::Any,
            },
            kind::LOST_SHARED => What::Lost {
                count: word,
                of: Losses::Tasks,
            },
            _ => {
                let (from, to) = ((word >> 24) as u32 & 0xffff, (word >> 40) as u32 & 0xffff);
                match kind {
                    kind::MIGRATE => What::Migrate { pid: a, from, to },
                    _ => What::CanMigrate {
                        pid: a,
                        from,
                        to,
                        allowed: kind == kind::CAN_MIGRATE,
                    },
                }
            }
        };
        self.put(time_ns, cpu, what, sink)
    }

    /// Tells of a task that was never told of, or whose priority is another now.
    fn check_prio(
        &mut self,
        time_ns: u64,
        cpu: u32,
        pid: u32,
        prio: u8,
        sink: &mut impl Sink,
    ) -> Result<(), WriteError> {
        let info = match self.known.get(pid) {
            Some(info) if info.prio == prio => return Ok(()),
            None if pid == 0 => return Ok(()),
            Some(info) => *info,
            None => look_up(pid),
        };
        self.tell(time_ns, cpu, TaskInfo { prio, ..info }, sink)
    }

    fn tell(
        &mut self,
        time_ns: u64,
        cpu: u32,
        info: TaskInfo,
        sink: &mut impl Sink,
    ) -> Result<(), WriteError> {
        self.known.set(info);
        let mut shown = info;
        if let Some(hider) = &self.hider {
            hider.hide(&mut shown);
        }
        self.put(time_ns, cpu, What::Task(shown), sink)
    }

    fn put(
        &mut self,
        time_ns: u64,
        cpu: u32,
        what: What,
        sink: &mut impl Sink,
    ) -> Result<(), WriteError> {
        if time_ns < self.last_ns {
            self.late += 1;
        } else {
            self.last_ns = time_ns;
        }
        let time_ns = self.last_ns;
        sink.push(&Event { time_ns, cpu, what })
    }
}

fn relay_event(task: &abi::Task) -> RelayEvent {
    let pid = task.pid;
    match task.stamp as u8 {
        kind::ENQUEUE => RelayEvent::Enqueue { pid },
        kind::RESCUED => RelayEvent::Rescued { pid },
        _ => {
            let (slice_ns, waited_ns) = task.decision();
            RelayEvent::Decided {
                pid,
                cpu: task.parent.checked_sub(1),
                slice_ns,
                waited_ns,
            }
        }
    }
}

#[allow(unsafe_code)]
fn read_task(record: &[u8]) -> abi::Task {
    assert!(record.len() >= size_of::<abi::Task>());
    // SAFETY: long enough, and every bit pattern is a Task.
    unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) }
}

fn info_of(task: &abi::Task) -> TaskInfo {
    let mut name = task.name;
    // The kernel leaves what it likes behind the end.
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
    name[length..].fill(0);
    TaskInfo {
        pid: task.pid,
        tgid: task.tgid,
        name,
        prio: task.prio,
        kernel: task.kernel != 0,
    }
}

/// A task whose fork was lost, or that was forked while the list was made: as /proc has it, if it
/// still lives.
fn look_up(pid: u32) -> TaskInfo {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    let mut name = [0; NAME_LEN];
    let text = field("Name:").unwrap_or_default().as_bytes();
    let length = text.len().min(NAME_LEN - 1);
    name[..length].copy_from_slice(&text[..length]);
    TaskInfo {
        pid,
        tgid: field("Tgid:")
            .and_then(|text| text.parse().ok())
            .unwrap_or(pid),
        name,
        prio: 0,
        kernel: field("Kthread:") == Some("1"),
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;

//! From perf's records to events.

use std::{collections::HashMap, collections::HashSet};

use linux_perf_data::linux_perf_event_reader::{
    CommonData, Endianness, EventRecord, ForkOrExitRecord, RawEventRecord, RecordType,
};

use super::{
    ImportFault, Imported, MOST_CPUS,
    early::Early,
    format::{Tracepoints, Wakeup},
};
use crate::{Event, Header, Left, Losses, TaskInfo, Trailer, What, Woken};

/// Bits of `common_flags` for code that serves an interrupt (include/linux/trace_events.h).
const IN_INTERRUPT: i64 = 0x08 | 0x10 | 0x40;
/// In a record of lost samples: a filter left them out (`PERF_RECORD_MISC_LOST_SAMPLES_BPF` in perf).
const BY_FILTER: u16 = 1 << 15;
/// The thread that makes the kernel's others.
const KTHREADD: u32 = 2;

/// What is known of a task, and whether it was told.
#[derive(Clone, Copy, Debug)]
struct Known {
    info: TaskInfo,
    told: bool,
}

/// A recording under way.
pub(super) struct Converter {
    tracepoints: Tracepoints,
    events: Vec<Event>,
    tasks: HashMap<u32, Known>,
    /// What each CPU runs, as far as is known.
    running: HashMap<u32, u32>,
    on_cpu: HashSet<u32>,
    /// Who left for the last time.
    ended: HashSet<u32>,
    /// By task: the wakeup after which it has not run.
    woken: HashMap<u32, usize>,
    /// Wakings of tasks that had not left their CPU.
    early: Early,
    /// When the first tracepoint was met, by perf's clock.
    began_ns: Option<u64>,
    last_ns: u64,
    cpus: u32,
    switches: u64,
    lost: u64,
    /// What perf itself counted, at the end, of each event.
    lost_samples: u64,
    late: u64,
    passed_over: HashMap<u16, u64>,
}

/// Of a tracepoint: bytes, and where and when it was met.
struct Point<'a> {
    raw: &'a [u8],
    time_ns: u64,
    cpu: u32,
}

const SHORT: &str = "a tracepoint without one of its fields";

impl Converter {
    pub(super) fn new(tracepoints: Tracepoints) -> Self {
        Self {
            tracepoints,
            events: Vec::new(),
            tasks: HashMap::new(),
            running: HashMap::new(),
            on_cpu: HashSet::new(),
            ended: HashSet::new(),
            woken: HashMap::new(),
            early: Early::default(),
            began_ns: None,
            last_ns: 0,
            cpus: 1,
            switches: 0,
            lost: 0,
            lost_samples: 0,
            late: 0,
            passed_over: HashMap::new(),
        }
    }

    /// Takes a record in.
    pub(super) fn record(&mut self, record: &RawEventRecord<'_>) -> Result<(), String> {
        let common = record.common_data().map_err(|error| error.to_string())?;
        let parsed = record.parse().map_err(|error| error.to_string())?;
        match parsed {
            EventRecord::Sample(sample) => {
                let Some(raw) = sample.raw else {
                    return Ok(());
                };
                let time = sample.timestamp.ok_or("a tracepoint without its time")?;
                let cpu = sample.cpu.ok_or("a tracepoint without its CPU")?;
                if cpu >= MOST_CPUS {
                    return Err(format!("CPU {cpu}"));
                }
                let raw = raw.as_slice();
                let time_ns = self.since_began(time);
                self.cpus = self.cpus.max(cpu + 1);
                let point = Point {
                    raw: &raw,
                    time_ns,
                    cpu,
                };
                self.point(&point).ok_or_else(|| SHORT.to_owned())
            }
            EventRecord::Comm(comm) => {
                if let (Ok(tgid), Ok(pid)) = (u32::try_from(comm.pid), u32::try_from(comm.tid)) {
                    let name = comm.name.as_slice();
                    let length = name.iter().position(|byte| *byte == 0);
                    let length = length.unwrap_or(name.len()).min(15);
                    let mut bytes = [0; 16];
                    bytes[..length].copy_from_slice(&name[..length]);
                    self.know(pid, |info| {
                        info.tgid = tgid;
                        info.name = bytes;
                    });
                }
                Ok(())
            }
            EventRecord::Fork(fork) => {
                self.forked(&fork, &common);
                Ok(())
            }
            EventRecord::Exit(exit) => {
                if self.tracepoints.exit.is_none() {
                    self.exited(&exit, &common);
                }
                Ok(())
            }
            EventRecord::Lost(lost) => {
                let cpu = common.cpu.filter(|cpu| *cpu < MOST_CPUS).unwrap_or(0);
                let time_ns = common
                    .timestamp
                    .map_or(self.last_ns, |time| self.since_began(time));
                self.lose(time_ns, cpu, lost.count);
                Ok(())
            }
            EventRecord::Raw(raw)
                if raw.record_type == RecordType::LOST_SAMPLES && raw.misc & BY_FILTER == 0 =>
            {
                let count = lost_samples(&raw).ok_or("a count of lost samples that is cut off")?;
                self.lost_samples = self.lost_samples.saturating_add(count);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lose(&mut self, time_ns: u64, cpu: u32, count: u64) {
        self.lost = self.lost.saturating_add(count);
        self.early.lose();
        if let Some(ran) = self.running.remove(&cpu) {
            self.on_cpu.remove(&ran);
        }
        self.push(
            time_ns,
            cpu,
            What::Lost {
                count,
                of: Losses::Any,
            },
        );
    }

    /// Ends the recording.
    pub(super) fn finish(mut self, header: &Header) -> Result<Imported, ImportFault> {
        if self.switches == 0 {
            return Err(ImportFault::Missing("switches"));
        }
        // These totals hold what was told on the way, too; where the rest was lost is not known.
        let untold = self.lost_samples.saturating_sub(self.lost);
        if untold > 0 {
            self.lose(self.last_ns, 0, untold);
        }
        let mut header = header.clone();
        if header.cpus() < self.cpus {
            header.machine = baton_policy::Machine::uniform(&header.machine.name, self.cpus);
        }
        let name_of = |id: u16| {
            let mut names = self.tracepoints.names.iter();
            let found = names.find(|(known, _)| *known == id);
            found.map_or_else(|| format!("tracepoint {id}"), |(_, name)| name.clone())
        };
        let passed = self.passed_over.iter();
        let mut passed_over: Vec<_> = passed.map(|(id, count)| (name_of(*id), *count)).collect();
        passed_over.sort();
        let events = self.early.insert_into(self.events);
        let trailer = Trailer {
            duration_ns: self.last_ns,
            events: events.len() as u64,
            lost: self.lost,
            late: self.late,
        };
        Ok(Imported {
            header,
            events,
            trailer,
            passed_over,
        })
    }

    /// Counts time from the first tracepoint.
    fn since_began(&mut self, time_ns: u64) -> u64 {
        let began_ns = *self.began_ns.get_or_insert(time_ns);
        time_ns.saturating_sub(began_ns)
    }

    fn push(&mut self, time_ns: u64, cpu: u32, what: What) {
        self.late += u64::from(time_ns < self.last_ns);
        self.last_ns = self.last_ns.max(time_ns);
        self.cpus = self.cpus.max(cpu + 1);
        let time_ns = self.last_ns;
        self.events.push(Event { time_ns, cpu, what });
    }

    /// Changes what is known of a task.
    fn know(&mut self, pid: u32, change: impl FnOnce(&mut TaskInfo)) {
        if pid == 0 {
            return;
        }
        let known = self.tasks.entry(pid).or_insert(Known {
            info: TaskInfo {
                pid,
                tgid: pid,
                name: [0; 16],
                prio: 120,
                kernel: false,
            },
            told: false,
        });
        let before = known.info;
        change(&mut known.info);
        known.told &= known.info == before;
    }

    /// Tells of a task, if that was not done since it changed.
    fn tell(&mut self, time_ns: u64, cpu: u32, pid: u32, name: Option<[u8; 16]>, prio: i64) {
        self.know(pid, |info| {
            info.name = name.unwrap_or(info.name);
            info.prio = u8::try_from(prio).unwrap_or(info.prio);
        });
        if let Some(known) = self.tasks.get_mut(&pid)
            && !known.told
        {
            known.told = true;
            let info = known.info;
            self.push(time_ns, cpu, What::Task(info));
        }
    }

    /// Takes a tracepoint in; none if its bytes end too early.
    fn point(&mut self, point: &Point<'_>) -> Option<()> {
        let id = u16::from_le_bytes([*point.raw.first()?, *point.raw.get(1)?]);
        let found = &self.tracepoints;
        if found.switch.as_ref().is_some_and(|switch| switch.id == id) {
            return self.switch(point);
        }
        // Who wakes is known where `sched_waking` is met; `sched_wakeup` may come from elsewhere.
        let waking = found.waking.as_ref().or(found.wakeup.as_ref());
        if let Some(waking) = waking.filter(|waking| waking.id == id) {
            let waking = waking.clone();
            return self.wakeup(point, &waking, Woken::Sleep);
        }
        if let Some(new) = found.wakeup_new.as_ref().filter(|new| new.id == id) {
            let new = new.clone();
            return self.wakeup(point, &new, Woken::New);
        }
        if let Some(fork) = found.fork.as_ref().filter(|fork| fork.id == id) {
            let parent = fork.parent.natural(point.raw)?;
            let child = fork.child.natural(point.raw)?;
            self.begin_task(point, parent, child);
            return Some(());
        }
        if let Some(exit) = found.exit.as_ref().filter(|exit| exit.id == id) {
            let pid = exit.pid.natural(point.raw)?;
            self.push(point.time_ns, point.cpu, What::Exit { pid });
            return Some(());
        }
        if let Some(migrate) = found.migrate.as_ref().filter(|migrate| migrate.id == id) {
            let pid = migrate.pid.natural(point.raw)?;
            let from = migrate.from.natural(point.raw)?;
            let to = migrate.to.natural(point.raw)?;
            self.migrate(point, pid, from, to);
            return Some(());
        }
        *self.passed_over.entry(id).or_default() += 1;
        Some(())
    }

    fn switch(&mut self, point: &Point<'_>) -> Option<()> {
        let &Point { raw, time_ns, cpu } = point;
        let switch = self.tracepoints.switch.as_ref()?;
        let prev = switch.prev_pid.natural(raw)?;
        let next = switch.next_pid.natural(raw)?;
        let left = switch.left(raw)?;
        let (prev_name, next_name) = (switch.prev_comm.name(raw)?, switch.next_comm.name(raw)?);
        let (prev_prio, next_prio) = (switch.prev_prio.number(raw)?, switch.next_prio.number(raw)?);
        self.tell(time_ns, cpu, prev, Some(prev_name), prev_prio);
        self.rename(time_ns, cpu, prev);
        self.tell(time_ns, cpu, next, Some(next_name), next_prio);
        self.push(time_ns, cpu, What::Switch { prev, left, next });
        self.switches += 1;
        self.early.comes(next);
        self.early.leaves(prev, left, time_ns, self.events.len());
        if left == Left::Exits {
            self.ended.insert(prev);
        }
        if let Some(ran) = self.running.insert(cpu, next) {
            self.on_cpu.remove(&ran);
        }
        self.on_cpu.remove(&prev);
        if next != 0 {
            self.on_cpu.insert(next);
        }
        self.woken.remove(&next);
        Some(())
    }

    fn wakeup(&mut self, point: &Point<'_>, fields: &Wakeup, how: Woken) -> Option<()> {
        let &Point { raw, time_ns, cpu } = point;
        let pid = fields.pid.natural(raw)?;
        let target = fields.target.natural(raw)?.min(MOST_CPUS - 1);
        let in_interrupt = fields.flags.number(raw)? & IN_INTERRUPT != 0;
        let waker = if in_interrupt {
            0
        } else {
            fields.current.natural(raw)?
        };
        self.tell(
            time_ns,
            cpu,
            pid,
            fields.comm.name(raw),
            fields.prio.number(raw)?,
        );
        self.cpus = self.cpus.max(target + 1);
        let what = What::Wakeup {
            pid,
            waker,
            how,
            target,
        };
        if self.on_cpu.contains(&pid) {
            self.early.meets(pid, cpu, what);
            return Some(());
        }
        self.early.forget(pid);
        self.woken.insert(pid, self.events.len());
        self.push(time_ns, cpu, what);
        Some(())
    }

    /// A thread that executes a program takes the number of its process, whose first thread is gone:
    /// so it comes to a CPU under one number and leaves it under another. The time until then is the
    /// former number's.
    fn rename(&mut self, time_ns: u64, cpu: u32, prev: u32) {
        let Some(ran) = self.running.get(&cpu).copied().filter(|ran| *ran != prev) else {
            return;
        };
        let of = self.tasks.get(&ran).map(|known| known.info.tgid);
        if of != Some(prev) || !self.ended.remove(&prev) {
            return;
        }
        self.push(time_ns, cpu, What::Exit { pid: ran });
        let what = What::Switch {
            prev: ran,
            left: Left::Exits,
            next: prev,
        };
        self.push(time_ns, cpu, what);
        self.on_cpu.remove(&ran);
        self.early.forget(ran);
        self.running.insert(cpu, prev);
    }

    fn migrate(&mut self, point: &Point<'_>, pid: u32, from: u32, to: u32) {
        let (from, to) = (from.min(MOST_CPUS - 1), to.min(MOST_CPUS - 1));
        self.cpus = self.cpus.max(from.max(to) + 1);
        // A wakeup is met before its CPU is chosen.
        self.early.moves(pid, to);
        if let Some(at) = self.woken.get(&pid)
            && let Some(What::Wakeup { target, .. }) =
                self.events.get_mut(*at).map(|event| &mut event.what)
        {
            *target = to;
        }
        self.push(point.time_ns, point.cpu, What::Migrate { pid, from, to });
    }

    fn begin_task(&mut self, point: &Point<'_>, parent: u32, child: u32) {
        let (time_ns, cpu) = (point.time_ns, point.cpu);
        self.push(time_ns, cpu, What::Fork { parent, child });
        self.ended.remove(&child);
        let of_parent = self.tasks.get(&parent).map(|known| known.info);
        self.know(child, |info| {
            if let Some(parent) = of_parent.filter(|_| info.name == [0; 16]) {
                info.name = parent.name;
                info.prio = parent.prio;
            }
        });
    }

    /// perf's own record of a fork, which knows processes; those of before the recording have no time.
    fn forked(&mut self, fork: &ForkOrExitRecord, common: &CommonData) {
        let number = |number: i32| u32::try_from(number).ok();
        let (Some(tgid), Some(pid)) = (number(fork.pid), number(fork.tid)) else {
            return;
        };
        let parent = number(fork.ptid).unwrap_or(0);
        let of_parent = self.tasks.get(&parent).map(|known| known.info);
        // A new task, also where the number was another's.
        self.tasks.remove(&pid);
        self.ended.remove(&pid);
        self.know(pid, |info| {
            info.tgid = tgid;
            info.kernel = pid == KTHREADD || number(fork.ppid) == Some(KTHREADD);
            if let Some(parent) = of_parent {
                info.name = parent.name;
                info.prio = parent.prio;
            }
        });
        if let Some((time_ns, cpu)) = self.place(common)
            && self.tracepoints.fork.is_none()
        {
            self.push(time_ns, cpu, What::Fork { parent, child: pid });
        }
    }

    fn exited(&mut self, exit: &ForkOrExitRecord, common: &CommonData) {
        let Ok(pid) = u32::try_from(exit.tid) else {
            return;
        };
        if let Some((time_ns, cpu)) = self.place(common)
            && pid != 0
        {
            self.push(time_ns, cpu, What::Exit { pid });
        }
    }

    /// When and where one of perf's own records was made, by the clock that tracepoints have; none
    /// before the first of these.
    fn place(&self, common: &CommonData) -> Option<(u64, u32)> {
        let cpu = common.cpu.filter(|cpu| *cpu < MOST_CPUS)?;
        let time_ns = common.timestamp?.checked_sub(self.began_ns?)?;
        Some((time_ns, cpu))
    }
}

/// How many samples a record of type `PERF_RECORD_LOST_SAMPLES` counts.
fn lost_samples(record: &RawEventRecord<'_>) -> Option<u64> {
    let count = record.data.get(0..8)?;
    let count: [u8; 8] = count.as_slice().as_ref().try_into().ok()?;
    Some(match record.parse_info.endian {
        Endianness::LittleEndian => u64::from_le_bytes(count),
        Endianness::BigEndian => u64::from_be_bytes(count),
    })
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

//! What a recording comes to: how many events of which kind, what ran and what waited.

use std::{collections::BTreeMap, io::Read};

use serde::Serialize;

use crate::{
    error::ReadError,
    event::{Event, Left, Losses, RelayEvent, TaskInfo, What},
    header::{Absent, Ending},
    reader::Recording,
};

/// A recording in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What wrote it.
    pub writer: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine's name.
    pub machine: String,
    /// How many CPUs the machine has.
    pub cpus: u32,
    /// When it began: nanoseconds since 1970.
    pub began_unix_ns: u64,
    /// Whether names are salted hashes.
    pub names_hidden: bool,
    /// What could not be recorded.
    pub absent: Vec<Absent>,
    /// How long was recorded: as the end says, or up to the last event of a file that was cut off.
    pub duration_ns: u64,
    /// Where the file was cut off, if it was.
    pub cut_at: Option<u64>,
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// All events.
    pub events: u64,
    /// Events that found no room when they were recorded.
    pub lost: u64,
    /// Events that came so late that their time had to be raised.
    pub late: u64,
    /// How many of each kind, in the order of docs/recording.md.
    pub kinds: Kinds,
    /// Each CPU.
    pub per_cpu: Vec<Cpu>,
    /// Tasks by name, those that used most CPU time first.
    pub tasks: Vec<Tasks>,
}

/// How many events of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kinds {
    /// Names and priorities told.
    pub task: u64,
    /// [`What::Switch`]
    pub switch: u64,
    /// [`What::Wakeup`]
    pub wakeup: u64,
    /// [`What::Fork`]
    pub fork: u64,
    /// [`What::Exit`]
    pub exit: u64,
    /// [`What::Migrate`]
    pub migrate: u64,
    /// [`What::CanMigrate`]
    pub can_migrate: u64,
    /// [`RelayEvent::Enqueue`]
    pub relay_enqueue: u64,
    /// [`RelayEvent::Decided`]
    pub relay_decided: u64,
    /// [`RelayEvent::Rescued`]
    pub relay_rescued: u64,
    /// [`What::Lost`]: places where events were lost.
    pub lost: u64,
}

impl Kinds {
    /// Names and counts, in the order of the fields.
    #[must_use]
    pub const fn list(&self) -> [(&'static str, u64); 11] {
        [
            ("task", self.task),
            ("switch", self.switch),
            ("wakeup", self.wakeup),
            ("fork", self.fork),
            ("exit", self.exit),
            ("migrate", self.migrate),
            ("can migrate", self.can_migrate),
            ("relay: enqueue", self.relay_enqueue),
            ("relay: decided", self.relay_decided),
            ("relay: rescued", self.relay_rescued),
            ("lost", self.lost),
        ]
    }

    fn count(&mut self, what: &What) {
        *match what {
            What::Task(_) => &mut self.task,
            What::Switch { .. } => &mut self.switch,
            What::Wakeup { .. } => &mut self.wakeup,
            What::Fork { .. } => &mut self.fork,
            What::Exit { .. } => &mut self.exit,
            What::Migrate { .. } => &mut self.migrate,
            What::CanMigrate { .. } => &mut self.can_migrate,
            What::Relay(RelayEvent::Enqueue { .. }) => &mut self.relay_enqueue,
            What::Relay(RelayEvent::Decided { .. }) => &mut self.relay_decided,
            What::Relay(RelayEvent::Rescued { .. }) => &mut self.relay_rescued,
            What::Lost { .. } => &mut self.lost,
        } += 1;
    }
}

/// What one CPU did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Its number.
    pub cpu: u32,
    /// How often it went from one task to another.
    pub switches: u64,
    /// How long it ran tasks, between its first switch and its last.
    pub busy_ns: u64,
    /// Events that it lost.
    pub lost: u64,
}

/// Tasks of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tasks {
    /// The name.
    pub name: String,
    /// How many there were.
    pub tasks: u64,
    /// CPU time that they used.
    pub runtime_ns: u64,
    /// How often they came to run.
    pub runs: u64,
    /// How often they were woken.
    pub wakeups: u64,
    /// How long they were able to run and did not.
    pub wait_ns: u64,
    /// The longest of these waits.
    pub wait_max_ns: u64,
}

impl Summary {
    /// Reads all of a recording.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn of<R: Read>(recording: &mut Recording<R>) -> Result<Self, ReadError> {
        let header = recording.header();
        let mut summary = Self {
            writer: header.writer.clone(),
            kernel: header.kernel.clone(),
            machine: header.machine.name.clone(),
            cpus: header.cpus(),
            began_unix_ns: header.began_unix_ns,
            names_hidden: header.names_hidden,
            absent: header.absent.clone(),
            ..Self::default()
        };
        let mut counter = Counter::new(header.cpus());
        for event in recording.by_ref() {
            let event = event?;
            summary.events += 1;
            summary.kinds.count(&event.what);
            if let What::Lost { count, .. } = event.what {
                summary.lost = summary.lost.saturating_add(count);
            }
            counter.add(&event);
        }
        summary.duration_ns = counter.time_ns;
        summary.bytes = recording.offset();
        match recording.ending() {
            Some(Ending::Whole(trailer)) => {
                summary.duration_ns = trailer.duration_ns;
                summary.late = trailer.late;
            }
            Some(Ending::Cut { offset }) => summary.cut_at = Some(*offset),
            None => {}
        }
        (summary.per_cpu, summary.tasks) = counter.finish();
        Ok(summary)
    }
}

/// What is known while events are read.
struct Counter {
    time_ns: u64,
    cpus: Vec<(Cpu, Running)>,
    /// Tasks that live, by number.
    tasks: BTreeMap<u32, Task>,
    by_name: BTreeMap<[u8; 16], Tasks>,
}

/// What runs on a CPU, and since when; nothing before the first switch, and none after a loss.
#[derive(Clone, Copy, Default)]
struct Running(Option<(u32, u64)>);

#[derive(Default)]
struct Task {
    name: [u8; 16],
    told: bool,
    /// Since when it waits for a CPU.
    waits_since_ns: Option<u64>,
    sum: Tasks,
}

impl Counter {
    fn new(cpus: u32) -> Self {
        let cpu = |cpu| Cpu {
            cpu,
            ..Cpu::default()
        };
        Self {
            time_ns: 0,
            cpus: (0..cpus)
                .map(|number| (cpu(number), Running(None)))
                .collect(),
            tasks: BTreeMap::new(),
            by_name: BTreeMap::new(),
        }
    }

    fn add(&mut self, event: &Event) {
        self.time_ns = event.time_ns;
        match event.what {
            What::Task(info) => self.name(&info),
            What::Switch { prev, left, next } => self.switch(event, prev, left, next),
            What::Wakeup { pid, .. } => {
                let task = self.tasks.entry(pid).or_default();
                task.sum.wakeups += 1;
                task.waits_since_ns = Some(event.time_ns);
            }
            // The task that had the number before has ended.
            What::Fork { child, .. } => self.end(child),
            What::Lost { count, of } => {
                if let Some((cpu, running)) = self.cpus.get_mut(event.cpu as usize) {
                    cpu.lost = cpu.lost.saturating_add(count);
                    if of == Losses::Any {
                        running.0 = None;
                    }
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, info: &TaskInfo) {
        if self
            .tasks
            .get(&info.pid)
            .is_some_and(|task| task.told && task.name != info.name)
        {
            self.end(info.pid);
        }
        let task = self.tasks.entry(info.pid).or_default();
        task.name = info.name;
        task.told = true;
    }

    fn switch(&mut self, event: &Event, prev: u32, left: Left, next: u32) {
        let now = event.time_ns;
        let Some((cpu, running)) = self.cpus.get_mut(event.cpu as usize) else {
            return;
        };
        cpu.switches += 1;
        let ran = running.0.replace((next, now));
        let ran_ns = match ran {
            Some((pid, since)) if pid == prev => now.saturating_sub(since),
            _ => 0,
        };
        if prev != 0 {
            cpu.busy_ns += ran_ns;
            let task = self.tasks.entry(prev).or_default();
            task.sum.runtime_ns += ran_ns;
            task.waits_since_ns = (left == Left::Runnable).then_some(now);
            if left == Left::Exits {
                self.end(prev);
            }
        }
        if next != 0 {
            let task = self.tasks.entry(next).or_default();
            task.sum.runs += 1;
            if let Some(since) = task.waits_since_ns.take() {
                let wait_ns = now.saturating_sub(since);
                task.sum.wait_ns += wait_ns;
                task.sum.wait_max_ns = task.sum.wait_max_ns.max(wait_ns);
            }
        }
    }

    /// Adds what a task did to its name. It counts anew from here.
    fn end(&mut self, pid: u32) {
        let Some(task) = self.tasks.get_mut(&pid) else {
            return;
        };
        let sum = std::mem::take(&mut task.sum);
        if sum.runs == 0 && sum.wakeups == 0 && sum.runtime_ns == 0 {
            return;
        }
        let of_name = self.by_name.entry(task.name).or_default();
        of_name.tasks += 1;
        of_name.runtime_ns += sum.runtime_ns;
        of_name.runs += sum.runs;
        of_name.wakeups += sum.wakeups;
        of_name.wait_ns += sum.wait_ns;
        of_name.wait_max_ns = of_name.wait_max_ns.max(sum.wait_max_ns);
    }

    fn finish(mut self) -> (Vec<Cpu>, Vec<Tasks>) {
        let pids: Vec<u32> = self.tasks.keys().copied().collect();
        pids.into_iter().for_each(|pid| self.end(pid));
        let named = self.by_name.into_iter().map(|(name, tasks)| Tasks {
            name: text_of(&name),
            ..tasks
        });
        let mut tasks: Vec<Tasks> = named.collect();
        tasks.sort_by(|a, b| b.runtime_ns.cmp(&a.runtime_ns).then(a.name.cmp(&b.name)));
        let cpus = self.cpus.into_iter().map(|(cpu, _)| cpu);
        (cpus.collect(), tasks)
    }
}

/// A name as text, without what a terminal would take for commands.
#[must_use]
pub fn text_of(name: &[u8; 16]) -> String {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&name[..length])
        .chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

//! One recording's tracks.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use super::{
    Perfetto,
    message::{Message, field},
};
use crate::{Event, Left, Losses, RelayEvent, What, Woken, label::Names};

const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;

/// Children in the order of their ranks.
const EXPLICIT: u64 = 3;

/// Tracks of a group, by their last 32 bits.
const GROUP: u64 = 1;
const RUNNABLE: u64 = 2;
const WAITING: u64 = 3;
const FIRST_CPU: u64 = 16;

/// What is known of a task that lives.
#[derive(Clone, Copy, Debug, Default)]
struct Task {
    /// Whether it can run.
    runnable: bool,
    /// The arrow that leads to its next stay on a CPU.
    flow: Option<u64>,
}

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cpu {
    /// Nothing was heard of it yet.
    Unknown,
    /// It idles, or something was lost.
    Free,
    /// It runs this task.
    Runs(u32),
}

/// A recording in a trace, see [`Perfetto::group`].
pub struct Group<'a, W> {
    trace: &'a mut Perfetto<W>,
    uuid: u64,
    cpus: Vec<Cpu>,
    tasks: HashMap<u32, Task>,
    names: Names,
    runnable: u64,
    running: u64,
    /// What the counters were last told.
    shown: (u64, u64),
    last_ns: u64,
}

impl<'a, W: Write> Group<'a, W> {
    pub(super) fn new(trace: &'a mut Perfetto<W>, name: &str, cpus: u32) -> io::Result<Self> {
        let mut group = Self {
            uuid: trace.groups << 32,
            trace,
            cpus: Vec::new(),
            tasks: HashMap::new(),
            names: Names::default(),
            runnable: 0,
            running: 0,
            shown: (0, 0),
            last_ns: 0,
        };
        group.track(GROUP, name, |track| {
            track.number(field::TRACK_CHILD_ORDERING, EXPLICIT)
        })?;
        for (track, name) in [(RUNNABLE, "runnable tasks"), (WAITING, "waiting tasks")] {
            group.track(track, name, |track| track.bytes(field::TRACK_COUNTER, &[]))?;
        }
        group.know_cpus(cpus)?;
        Ok(group)
    }

    /// Takes an event in. Events come in the order of their time.
    ///
    /// # Errors
    /// Those of the file.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        self.last_ns = self.last_ns.max(event.time_ns);
        if event.cpu < MOST_CPUS {
            self.know_cpus(event.cpu + 1)?;
        }
        let (time_ns, cpu) = (event.time_ns, event.cpu);
        match event.what {
            What::Task(info) => self.names.learn(&info),
            What::Switch { prev, left, next } => self.switch(event, prev, left, next)?,
            What::Wakeup { pid, how, .. } => self.wakeup(event, pid, how)?,
            What::Fork { .. } | What::Exit { .. } => {}
            What::Migrate { pid, from, to } => {
                let text = format!("moves {} from {from} to {to}", self.names.of(pid));
                self.mark(time_ns, cpu, &text)?;
            }
            What::CanMigrate {
                pid,
                from,
                to,
                allowed,
            } => {
                let may = if allowed { "may" } else { "may not" };
                let text = format!("{} {may} move from {from} to {to}", self.names.of(pid));
                self.mark(time_ns, cpu, &text)?;
            }
            What::Relay(relay) => {
                let text = self.relay(&relay);
                self.mark(time_ns, cpu, &text)?;
            }
            What::Lost {
                count,
                of: Losses::Tasks,
            } => {
                let text = format!("{count} events of tasks lost");
                self.mark(time_ns, cpu, &text)?;
            }
            What::Lost {
                count,
                of: Losses::Any,
            } => {
                self.stop(time_ns, cpu, "lost")?;
                // What leaves it next need not have run since the beginning.
                if let Some(state) = self.cpus.get_mut(cpu as usize) {
                    *state = Cpu::Free;
                }
                self.mark(time_ns, cpu, &format!("{count} events lost"))?;
            }
        }
        self.count(time_ns)
    }

    /// Puts a mark of one's own on a CPU's track.
    ///
    /// # Errors
    /// Those of the file.
    pub fn mark(&mut self, time_ns: u64, cpu: u32, text: &str) -> io::Result<()> {
        self.at(time_ns, cpu, INSTANT, |event| {
            event.text(field::EVENT_NAME, text)
        })
    }

    /// Ends the recording: what runs runs up to the last event.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(mut self) -> io::Result<()> {
        for cpu in 0..self.cpus.len() as u32 {
            self.stop(self.last_ns, cpu, "the recording's end")?;
        }
        Ok(())
    }

    /// Makes tracks up to so many CPUs.
    fn know_cpus(&mut self, cpus: u32) -> io::Result<()> {
        for cpu in self.cpus.len() as u32..cpus {
            let name = format!("CPU {cpu}");
            self.track(FIRST_CPU + u64::from(cpu), &name, |track| track)?;
            self.cpus.push(Cpu::Unknown);
        }
        Ok(())
    }

    fn switch(&mut self, event: &Event, prev: u32, left: Left, next: u32) -> io::Result<()> {
        let (time_ns, cpu) = (event.time_ns, event.cpu);
        if self.cpus.get(cpu as usize) == Some(&Cpu::Unknown) && prev != 0 {
            self.start(0, cpu, prev)?;
        }
        let reason = match left {
            Left::Runnable => "runnable",
            Left::Sleeps => "sleeps",
            Left::Blocks => "blocks",
            Left::Stopped => "stopped",
            Left::Exits => "exits",
        };
        self.stop(time_ns, cpu, reason)?;
        if prev != 0 {
            self.set_runnable(prev, left == Left::Runnable);
            if left == Left::Exits {
                self.tasks.remove(&prev);
            }
        }
        if let Some(state) = self.cpus.get_mut(cpu as usize) {
            *state = Cpu::Free;
        }
        if next != 0 {
            self.start(time_ns, cpu, next)?;
        }
        Ok(())
    }

    fn start(&mut self, time_ns: u64, cpu: u32, pid: u32) -> io::Result<()> {
        self.set_runnable(pid, true);
        let flow = self.tasks.entry(pid).or_default().flow.take();
        let text = self.names.of(pid);
        self.at(time_ns, cpu, BEGIN, |event| {
            let event = event.text(field::EVENT_NAME, &text);
            match flow {
                Some(flow) => event.fixed(field::EVENT_FLOW_END, flow),
                None => event,
            }
        })?;
        if let Some(state) = self.cpus.get_mut(cpu as usize) {
            *state = Cpu::Runs(pid);
            self.running += 1;
        }
        Ok(())
    }

    /// Ends the slice of what a CPU runs.
    fn stop(&mut self, time_ns: u64, cpu: u32, reason: &str) -> io::Result<()> {
        let Some(state @ Cpu::Runs(_)) = self.cpus.get_mut(cpu as usize) else {
            return Ok(());
        };
        *state = Cpu::Free;
        self.running -= 1;
        self.at(time_ns, cpu, END, |event| {
            let annotation = Message::default()
                .text(field::ANNOTATION_NAME, "left")
                .text(field::ANNOTATION_TEXT, reason);
            event.message(field::EVENT_ANNOTATION, &annotation)
        })
    }

    fn wakeup(&mut self, event: &Event, pid: u32, how: Woken) -> io::Result<()> {
        self.trace.flows += 1;
        let flow = self.trace.flows;
        self.set_runnable(pid, true);
        self.tasks.entry(pid).or_default().flow = Some(flow);
        let does = match how {
            Woken::New => "starts",
            _ => "wakes",
        };
        let text = format!("{does} {}", self.names.of(pid));
        self.at(event.time_ns, event.cpu, INSTANT, |event| {
            let event = event.text(field::EVENT_NAME, &text);
            event.fixed(field::EVENT_FLOW, flow)
        })
    }

    fn relay(&self, relay: &RelayEvent) -> String {
        match *relay {
            RelayEvent::Enqueue { pid } => format!("asks for {}", self.names.of(pid)),
            RelayEvent::Decided { pid, cpu, .. } => match cpu {
                Some(cpu) => format!("decided: {} to CPU {cpu}", self.names.of(pid)),
                None => format!("decided: {} to ready", self.names.of(pid)),
            },
            RelayEvent::Rescued { pid } => format!("rescued: {}", self.names.of(pid)),
        }
    }

    fn set_runnable(&mut self, pid: u32, runnable: bool) {
        let task = self.tasks.entry(pid).or_default();
        if task.runnable != runnable {
            task.runnable = runnable;
            // Both counts are of the same tasks: never below zero.
            self.runnable = self.runnable + u64::from(runnable) - u64::from(!runnable);
        }
    }

    /// Tells the counters what changed.
    fn count(&mut self, time_ns: u64) -> io::Result<()> {
        let now = (self.runnable, self.runnable.saturating_sub(self.running));
        for (track, old, new) in [
            (RUNNABLE, self.shown.0, now.0),
            (WAITING, self.shown.1, now.1),
        ] {
            if old != new {
                self.write(time_ns, track, COUNTER, |event| {
                    event.number(field::EVENT_VALUE, new)
                })?;
            }
        }
        self.shown = now;
        Ok(())
    }

    /// On a CPU's track, if it has one.
    fn at(
        &mut self,
        time_ns: u64,
        cpu: u32,
        kind: u64,
        rest: impl FnOnce(Message) -> Message,
    ) -> io::Result<()> {
        if (cpu as usize) < self.cpus.len() {
            self.write(time_ns, FIRST_CPU + u64::from(cpu), kind, rest)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        time_ns: u64,
        track: u64,
        kind: u64,
        rest: impl FnOnce(Message) -> Message,
    ) -> io::Result<()> {
        let event = Message::default()
            .number(field::EVENT_TYPE, kind)
            .number(field::EVENT_TRACK, self.uuid | track);
        let packet = Message::default()
            .number(field::TIMESTAMP, time_ns)
            .message(field::TRACK_EVENT, &rest(event));
        self.trace.packet(packet)
    }

    fn track(
        &mut self,
        track: u64,
        name: &str,
        rest: impl FnOnce(Message) -> Message,
    ) -> io::Result<()> {
        let mut message = Message::default()
            .number(field::TRACK_UUID, self.uuid | track)
            .text(field::TRACK_NAME, name);
        if track != GROUP {
            message = message
                .number(field::TRACK_PARENT, self.uuid | GROUP)
                .number(field::TRACK_RANK, track);
        }
        let message = rest(message);
        let packet = Message::default().message(field::TRACK_DESCRIPTOR, &message);
        self.trace.packet(packet)
    }
}

/// CPUs that can have a track; a number beyond is no CPU's.
const MOST_CPUS: u32 = 8192;

//! What happened, kept as the events of a recording.

use baton_policy::{Machine, WEIGHT_DEFAULT};
use baton_trace::{
    Event, Header, Left, Perfetto, RelayEvent, TaskInfo, Trailer, What, Woken, WriteError, Writer,
};

use crate::engine::{
    core::Happened,
    task::{NONE, Task},
};

/// Everything that happened in a run, in order.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    events: Vec<Event>,
    /// What a recording has no event for, and what it is called.
    marks: Vec<(u64, u32, &'static str)>,
    /// By CPU: what runs there, and which event began or ended the last stay.
    cpus: Vec<Cpu>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    /// The task that runs, or 0.
    pid: u32,
    /// The switch away from the last task.
    left: usize,
}

impl Trace {
    pub(crate) fn new(cpus: usize) -> Self {
        Self {
            cpus: vec![Cpu::default(); cpus],
            ..Self::default()
        }
    }

    /// The events, as a recorder would have seen them on a kernel. Wakeups by timers have no waker; a
    /// task is introduced with its nice value nearest to its weight.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The machine's CPUs.
    #[must_use]
    pub const fn cpus(&self) -> u32 {
        self.cpus.len() as u32
    }

    /// The trace as a file for Perfetto (<https://ui.perfetto.dev>), with this name at its head.
    #[must_use]
    pub fn perfetto(&self, name: &str) -> Vec<u8> {
        let written = self.write_perfetto(name);
        written.expect("memory takes all that is written")
    }

    /// The trace as the file of a recording; `writer` is what says that it wrote it.
    ///
    /// # Errors
    /// The description of the machine is longer than a recording may have.
    pub fn recording(&self, writer: &str, machine: &Machine) -> Result<Vec<u8>, WriteError> {
        let header = Header::new(writer, machine.clone());
        let mut recording = Writer::new(Vec::new(), &header)?;
        for event in &self.events {
            recording.push(event)?;
        }
        let trailer = Trailer {
            duration_ns: recording.time_ns(),
            ..Trailer::default()
        };
        Ok(recording.finish(&trailer)?.0)
    }

    fn write_perfetto(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let mut perfetto = Perfetto::new(Vec::new());
        let mut group = perfetto.group(name, self.cpus())?;
        let mut marks = self.marks.iter().peekable();
        for event in &self.events {
            while let Some((time_ns, cpu, text)) =
                marks.next_if(|(time_ns, ..)| *time_ns <= event.time_ns)
            {
                group.mark(*time_ns, *cpu, text)?;
            }
            group.event(event)?;
        }
        for (time_ns, cpu, text) in marks {
            group.mark(*time_ns, *cpu, text)?;
        }
        group.finish()?;
        perfetto.finish()
    }

    fn push(&mut self, time_ns: u64, cpu: u32, what: What) {
        self.events.push(Event { time_ns, cpu, what });
    }

    /// Takes note of what happened to no task.
    pub(crate) fn record(&mut self, time_ns: u64, what: Happened, cpu: u32) {
        let text = match what {
            Happened::Online => "online",
            Happened::Offline => "offline",
            _ => return,
        };
        self.marks.push((time_ns, cpu, text));
    }

    /// Takes note of what happened to a task; `by`: who did it, or 0.
    pub(crate) fn record_task(
        &mut self,
        time_ns: u64,
        what: Happened,
        cpu: u32,
        task: &Task,
        by: u32,
    ) {
        let pid = task.key.pid;
        match what {
            Happened::Created => {
                let parent = by;
                self.push(time_ns, cpu, What::Fork { parent, child: pid });
                self.push(time_ns, cpu, What::Task(info_of(task)));
                self.push(time_ns, cpu, wakeup(task, by, Woken::New));
            }
            Happened::Woken => self.push(time_ns, cpu, wakeup(task, by, Woken::Sleep)),
            Happened::Preempted => self.leave(time_ns, cpu, Left::Runnable),
            Happened::Sleeps => self.leave(time_ns, cpu, Left::Sleeps),
            Happened::Runs => self.come(time_ns, cpu, pid),
            Happened::Exits => self.exit(time_ns, cpu, pid),
            Happened::Decided => {
                let (cpu, slice_ns) = (task.cpu, task.slice_ns);
                let decided = RelayEvent::Decided {
                    pid,
                    cpu: None,
                    slice_ns,
                    waited_ns: time_ns.saturating_sub(task.since_ns),
                };
                self.push(time_ns, cpu, What::Relay(decided));
            }
            Happened::Rescued => {
                self.push(time_ns, cpu, What::Relay(RelayEvent::Rescued { pid }));
            }
            _ => self.record(time_ns, what, cpu),
        }
    }

    /// The task that just left a CPU has ended: its end comes before that.
    fn exit(&mut self, time_ns: u64, cpu: u32, pid: u32) {
        let Some(state) = self.cpus.get_mut(cpu as usize) else {
            return;
        };
        let at = state.left;
        if let Some(Event {
            what: What::Switch { left, .. },
            ..
        }) = self.events.get_mut(at)
        {
            *left = Left::Exits;
            state.left += 1;
            let what = What::Exit { pid };
            self.events.insert(at, Event { time_ns, cpu, what });
        }
    }

    /// The task of a CPU leaves it; who comes is not known yet.
    fn leave(&mut self, time_ns: u64, cpu: u32, left: Left) {
        let Some(state) = self.cpus.get_mut(cpu as usize) else {
            return;
        };
        let prev = std::mem::take(&mut state.pid);
        state.left = self.events.len();
        let next = 0;
        self.push(time_ns, cpu, What::Switch { prev, left, next });
    }

    /// A task comes to a CPU.
    fn come(&mut self, time_ns: u64, cpu: u32, pid: u32) {
        let last = self.events.len().wrapping_sub(1);
        let Some(state) = self.cpus.get_mut(cpu as usize) else {
            return;
        };
        state.pid = pid;
        // Nothing happened since the other one left: both are one switch.
        if state.left == last
            && let Some(Event {
                time_ns: left_ns,
                what: What::Switch { prev, next, .. },
                ..
            }) = self.events.last_mut()
            && *left_ns == time_ns
        {
            if *prev == pid {
                self.events.pop();
            } else {
                *next = pid;
            }
            return;
        }
        let switch = What::Switch {
            prev: 0,
            left: Left::Runnable,
            next: pid,
        };
        self.push(time_ns, cpu, switch);
    }
}

fn wakeup(task: &Task, waker: u32, how: Woken) -> What {
    What::Wakeup {
        pid: task.key.pid,
        waker,
        how,
        target: if task.cpu == NONE { 0 } else { task.cpu },
    }
}

fn info_of(task: &Task) -> TaskInfo {
    TaskInfo {
        pid: task.key.pid,
        tgid: task.tgid,
        name: task.name.0,
        prio: prio_of(task.weight),
        kernel: false,
    }
}

/// The kernel's priority whose weight is nearest: each step of nice is a quarter more.
fn prio_of(weight: u32) -> u8 {
    let octaves = (f64::from(weight.max(1)) / f64::from(WEIGHT_DEFAULT)).ln() / 1.25f64.ln();
    (120.0 - octaves.round()).clamp(100.0, 139.0) as u8
}

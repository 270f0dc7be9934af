//! A short piece of one run: which task ran where, and who waited. Made from a recording's events;
//! small enough to lie in a page.

use std::{borrow::Borrow, collections::BTreeMap};

use baton_trace::{Event, Left, Losses, What};
use serde::{Deserialize, Serialize};

/// The longest window, in nanoseconds.
pub const LONGEST_NS: u64 = 1_000_000_000;
/// Stays on CPUs, and wakeups, that a timeline holds at most. Where there are more, it ends there.
pub const MOST_SLICES: usize = 4000;
/// CPUs that are shown at most, the first ones.
pub const MOST_CPUS: u32 = 64;

/// A piece of one run. Times are nanoseconds from its begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The variant that ran.
    pub variant: String,
    /// The workload that ran.
    pub workload: String,
    /// The round that it is from.
    pub round: u32,
    /// Whether the run was made once more for this, with a recorder beside it.
    #[serde(default)]
    pub recorded: bool,
    /// CPUs of the machine; of those from [`MOST_CPUS`] on nothing is told.
    pub cpus: u32,
    /// How long the piece is.
    pub length_ns: u64,
    /// Tasks, in the order in which they first appear.
    pub tasks: Vec<Task>,
    /// Stays of tasks on CPUs, by their end.
    pub slices: Vec<Slice>,
    /// Wakeups, by the time at which the task ran.
    pub wakeups: Vec<Wakeup>,
    /// How many tasks waited for a CPU from this time on, wherever that changed.
    pub waiting: Vec<(u64, u32)>,
    /// Events that the recording lost before the piece's end.
    pub lost: u64,
    /// Whether it ends early because there was so much.
    pub cut: bool,
}

/// A task of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its name and pid.
    pub name: String,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
}

/// A stay of a task on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The CPU.
    pub cpu: u32,
    /// From when on.
    pub begin_ns: u64,
    /// Until when.
    pub end_ns: u64,
    /// Whose, an index into [`Timeline::tasks`].
    pub task: u32,
}

/// A wakeup and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wakeup {
    /// When.
    pub time_ns: u64,
    /// When the task ran; none if it had not at the piece's end.
    pub ran_ns: Option<u64>,
    /// Where it ran; if it did not, whose queue it was put in.
    pub cpu: u32,
    /// Who, an index into [`Timeline::tasks`].
    pub task: u32,
}

/// Which piece of a recording, in nanoseconds since its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The begin.
    pub begin_ns: u64,
    /// The length; more than [`LONGEST_NS`] counts as that.
    pub length_ns: u64,
}

impl Timeline {
    /// The piece of a recording in this window. Events stand in the order of their time, from the
    /// recording's begin.
    #[must_use]
    pub fn of<E: Borrow<Event>>(
        events: impl IntoIterator<Item = E>,
        cpus: u32,
        window: Window,
    ) -> Self {
        let begin_ns = window.begin_ns;
        let end_ns = begin_ns.saturating_add(window.length_ns.min(LONGEST_NS));
        let mut maker = Maker::new(cpus, begin_ns);
        let mut now_ns = end_ns;
        for event in events {
            let event = event.borrow();
            if event.time_ns >= end_ns {
                break;
            }
            if maker.is_full() {
                maker.made.cut = true;
                now_ns = event.time_ns.max(begin_ns);
                break;
            }
            maker.event(event);
        }
        maker.finish(now_ns)
    }

    /// The same, named for a report.
    #[must_use]
    pub fn named(mut self, variant: &str, workload: &str, round: u32) -> Self {
        self.variant = variant.to_owned();
        self.workload = workload.to_owned();
        self.round = round;
        self
    }

    /// The same with other names of tasks, as where a recording has salted ones: each name, without the
    /// pid behind it, becomes what `other` makes of it. Threads of the kernel keep theirs.
    #[must_use]
    pub fn renamed(mut self, other: impl Fn(&str) -> String) -> Self {
        for task in self.tasks.iter_mut().filter(|task| !task.kernel) {
            if let Some((name, pid)) = task.name.rsplit_once(' ') {
                task.name = format!("{} {pid}", other(name));
            }
        }
        self
    }
}

/// A task that wants a CPU.
struct Wait {
    since_ns: u64,
    cpu: u32,
    /// Whether a wakeup began it, and not the loss of a CPU.
    woken: bool,
}

/// A CPU's present.
#[derive(Clone, Copy, Default)]
struct Now {
    since_ns: u64,
    /// The task; none while it is not known.
    pid: Option<u32>,
}

struct Maker {
    made: Timeline,
    begin_ns: u64,
    now: Vec<Now>,
    waits: BTreeMap<u32, Wait>,
    names: BTreeMap<u32, (String, bool)>,
    /// Tasks that have an index already.
    known: BTreeMap<u32, u32>,
}

impl Maker {
    fn new(cpus: u32, begin_ns: u64) -> Self {
        let made = Timeline {
            cpus,
            ..Timeline::default()
        };
        Self {
            made,
            begin_ns,
            now: vec![Now::default(); cpus.min(MOST_CPUS) as usize],
            waits: BTreeMap::new(),
            names: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.made.slices.len() >= MOST_SLICES
            || self.made.wakeups.len() >= MOST_SLICES
            || self.made.waiting.len() >= 4 * MOST_SLICES
    }

    fn event(&mut self, event: &Event) {
        let (time_ns, cpu) = (event.time_ns, event.cpu);
        match event.what {
            What::Task(info) => {
                let length = info.name.iter().position(|byte| *byte == 0).unwrap_or(16);
                let name = String::from_utf8_lossy(&info.name[..length]).into_owned();
                let named = (name, info.kernel);
                if self.names.get(&info.pid) != Some(&named) {
                    self.known.remove(&info.pid);
                    self.names.insert(info.pid, named);
                }
            }
            What::Wakeup { pid, target, .. } if !self.runs(pid) => {
                let wait = Wait {
                    since_ns: time_ns,
                    cpu: target,
                    woken: true,
                };
                self.waits.entry(pid).or_insert(wait);
                self.count(time_ns);
            }
            What::Switch { prev, left, next } => self.switch(time_ns, cpu, prev, left, next),
            What::Exit { pid } => {
                self.waits.remove(&pid);
                self.known.remove(&pid);
                self.count(time_ns);
            }
            What::Lost { count, of } => {
                self.made.lost = self.made.lost.saturating_add(count);
                if of == Losses::Any
                    && let Some(now) = self.now.get_mut(cpu as usize)
                {
                    *now = Now {
                        since_ns: time_ns,
                        pid: None,
                    };
                }
            }
            _ => {}
        }
    }

    fn runs(&self, pid: u32) -> bool {
        self.now.iter().any(|now| now.pid == Some(pid))
    }

    fn switch(&mut self, time_ns: u64, cpu: u32, prev: u32, left: Left, next: u32) {
        let since_ns = self.now.get(cpu as usize).map(|now| now.since_ns);
        if let Some(since_ns) = since_ns {
            self.slice(cpu, since_ns, time_ns, prev);
            self.now[cpu as usize] = Now {
                since_ns: time_ns,
                pid: Some(next),
            };
        }
        if prev != 0 && left == Left::Runnable {
            let wait = Wait {
                since_ns: time_ns,
                cpu,
                woken: false,
            };
            self.waits.insert(prev, wait);
        }
        if let Some(wait) = self.waits.remove(&next)
            && wait.woken
            && wait.since_ns >= self.begin_ns
            && cpu < MOST_CPUS
        {
            let task = self.task(next);
            self.made.wakeups.push(Wakeup {
                time_ns: wait.since_ns - self.begin_ns,
                ran_ns: Some(time_ns - self.begin_ns),
                cpu,
                task,
            });
        }
        self.count(time_ns);
    }

    fn slice(&mut self, cpu: u32, since_ns: u64, until_ns: u64, pid: u32) {
        let since_ns = since_ns.max(self.begin_ns);
        if pid == 0 || until_ns <= since_ns {
            return;
        }
        let task = self.task(pid);
        self.made.slices.push(Slice {
            cpu,
            begin_ns: since_ns - self.begin_ns,
            end_ns: until_ns - self.begin_ns,
            task,
        });
    }

    fn task(&mut self, pid: u32) -> u32 {
        if let Some(index) = self.known.get(&pid) {
            return *index;
        }
        let (name, kernel) = match self.names.get(&pid) {
            Some((name, kernel)) => (format!("{name} {pid}"), *kernel),
            None => (format!("task {pid}"), false),
        };
        let index = self.made.tasks.len() as u32;
        self.made.tasks.push(Task { name, kernel });
        self.known.insert(pid, index);
        index
    }

    /// Notes how many wait from now on.
    fn count(&mut self, time_ns: u64) {
        let waiting = self.waits.len() as u32;
        let at_ns = time_ns.saturating_sub(self.begin_ns);
        let known = &mut self.made.waiting;
        match known.last_mut() {
            Some((last_ns, count)) if *last_ns == at_ns => *count = waiting,
            Some((_, count)) if *count == waiting => {}
            _ => known.push((at_ns, waiting)),
        }
    }

    fn finish(mut self, end_ns: u64) -> Timeline {
        for cpu in 0..self.now.len() {
            let now = self.now[cpu];
            if let Some(pid) = now.pid {
                self.slice(cpu as u32, now.since_ns, end_ns, pid);
            }
        }
        for (pid, wait) in std::mem::take(&mut self.waits) {
            if wait.woken && wait.since_ns >= self.begin_ns && wait.cpu < MOST_CPUS {
                let task = self.task(pid);
                self.made.wakeups.push(Wakeup {
                    time_ns: wait.since_ns - self.begin_ns,
                    ran_ns: None,
                    cpu: wait.cpu,
                    task,
                });
            }
        }
        self.made.length_ns = end_ns - self.begin_ns;
        self.made
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;

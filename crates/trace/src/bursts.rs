//! How long tasks compute between two sleeps.
//!
//! A task that is preempted goes on with the same burst when it runs again: its pieces are
//! joined until it sleeps, is stopped or ends. What the recording's beginning, its end or a loss of
//! events cuts is marked, and what it ran is then the least that it can have been.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Event, Left, Losses, What, Woken};

/// CPU time of a task between two sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// The task.
    pub pid: u32,
    /// The CPU that it ran on last.
    pub cpu: u32,
    /// When it could run: was woken or made, or was first seen.
    pub began_ns: u64,
    /// When it left its CPU for the last time, or was lost from sight.
    pub ended_ns: u64,
    /// On CPUs.
    pub ran_ns: u64,
    /// Of that the first piece: from coming to a CPU after the wakeup until it first lost or left one. Where others
    /// waited all the time, this is the slice that it used.
    pub first_ns: u64,
    /// Able to run without a CPU, wait before the first piece included.
    pub waited_ns: u64,
    /// From the wakeup to the first piece; none where the begin was not seen.
    pub latency_ns: Option<u64>,
    /// How many stays on a CPU.
    pub pieces: u32,
    /// How long it slept before; none where that was not seen.
    pub slept_ns: Option<u64>,
    /// How it began.
    pub begin: Begin,
    /// How it ended.
    pub end: End,
}

/// How a burst began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Begin {
    /// This task woke it; 0: an interrupt.
    Woken(u32),
    /// This task made it.
    Forked(u32),
    /// It was under way when it was first seen: it may have been longer.
    Unseen,
}

/// How a burst ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// It sleeps, and signals wake it.
    Sleeps,
    /// It sleeps, and only what it waits for wakes it.
    Blocks,
    /// It was stopped.
    Stopped,
    /// It ended.
    Exits,
    /// The recording's end or a loss cut it: it may have been longer.
    Cut,
}

impl Burst {
    /// Whether it is known from its begin to its end. Of one that is not (censored), only the least
    /// length is known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.begin != Begin::Unseen && self.end != End::Cut
    }
}

/// What a task does.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It runs since then; the time is none where its coming was not seen.
    Runs { since_ns: Option<u64> },
    /// It could run since then.
    Waits { since_ns: u64 },
    /// It sleeps since then.
    Sleeps { since_ns: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Task {
    state: State,
    /// The burst under way, if it is awake.
    burst: Option<Burst>,
    /// Who made it, until it is woken for the first time.
    parent: Option<u32>,
}

/// What a CPU runs.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    /// Not known before its first switch, and after a loss.
    runs: Option<u32>,
    /// Whether something was lost there.
    lost: bool,
    last_ns: u64,
}

/// Joins events to bursts.
///
/// ```
/// # use baton_trace::*;
/// let switch = |time_ns, prev, left, next| Event {
///     time_ns,
///     cpu: 0,
///     what: What::Switch { prev, left, next },
/// };
/// let events = [
///     switch(10, 0, Left::Runnable, 7),
///     switch(30, 7, Left::Runnable, 8), // preempted
///     switch(40, 8, Left::Sleeps, 7),
///     switch(45, 7, Left::Sleeps, 0),
/// ];
/// let bursts = Bursts::of(events);
/// assert_eq!((bursts[1].pid, bursts[1].ran_ns, bursts[1].pieces), (7, 25, 2));
/// assert_eq!(bursts[1].first_ns, 20);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Bursts {
    tasks: HashMap<u32, Task>,
    cpus: Vec<Cpu>,
    last_ns: u64,
}

/// CPUs are known up to this.
const MOST_CPUS: u32 = 8192;

impl Bursts {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All bursts of a recording, in the order of their ends; last those that its end cut, by pid.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = Event>) -> Vec<Burst> {
        let mut bursts = Self::new();
        let mut found = Vec::new();
        for event in events {
            bursts.event(&event, &mut found);
        }
        bursts.finish(&mut found);
        found
    }

    /// Takes an event in; bursts that it ends go to `found`. Events come in the order of time.
    pub fn event(&mut self, event: &Event, found: &mut Vec<Burst>) {
        let (time_ns, cpu) = (event.time_ns, event.cpu);
        if cpu >= MOST_CPUS {
            return;
        }
        if self.cpus.len() <= cpu as usize {
            self.cpus.resize(cpu as usize + 1, Cpu::default());
        }
        self.last_ns = self.last_ns.max(time_ns);
        match event.what {
            What::Switch { prev, left, next } => {
                self.leave(time_ns, cpu, prev, left, found);
                self.come(time_ns, cpu, next, found);
            }
            What::Wakeup {
                pid, waker, how, ..
            } => self.wake(time_ns, cpu, pid, waker, how),
            What::Fork { parent, child } => {
                // Who had this number before is gone.
                self.cut(time_ns, child, found);
                let state = State::Sleeps { since_ns: time_ns };
                let task = Task {
                    state,
                    burst: None,
                    parent: Some(parent),
                };
                self.tasks.insert(child, task);
            }
            What::Lost {
                of: Losses::Any, ..
            } => self.lose(cpu, found),
            // Losses of tasks, too: that they ran and slept is told.
            What::Lost {
                of: Losses::Tasks, ..
            }
            | What::Task(_)
            | What::Exit { .. }
            | What::Migrate { .. }
            | What::CanMigrate { .. }
            | What::Relay(_) => {}
        }
        self.cpus[cpu as usize].last_ns = time_ns;
    }

    /// Ends the recording at its last event: what is under way is cut.
    pub fn finish(mut self, found: &mut Vec<Burst>) {
        let mut pids: Vec<u32> = self.tasks.keys().copied().collect();
        pids.sort_unstable();
        for pid in pids {
            self.cut(self.last_ns, pid, found);
        }
    }

    /// A CPU's task leaves it.
    fn leave(&mut self, time_ns: u64, cpu: u32, prev: u32, left: Left, found: &mut Vec<Burst>) {
        let state = self.cpus[cpu as usize];
        match state.runs {
            Some(pid) if pid != prev && self.runs_on(pid, cpu) => {
                self.cut(state.last_ns, pid, found);
            }
            Some(_) => {}
            // It ran when the recording began, or came while events were lost.
            None if prev != 0 => {
                let since_ns = (!state.lost).then_some(0);
                self.cut(time_ns, prev, found);
                self.appear(
                    since_ns.unwrap_or(time_ns),
                    cpu,
                    prev,
                    State::Runs { since_ns },
                );
            }
            None => {}
        }
        self.cpus[cpu as usize].runs = None;
        if prev == 0 {
            return;
        }
        if !self.tasks.get(&prev).is_some_and(Task::runs) {
            // Its coming was not seen, though nothing was said to be lost.
            self.cut(time_ns, prev, found);
            self.appear(time_ns, cpu, prev, State::Runs { since_ns: None });
        }
        let end = match left {
            Left::Runnable => {
                self.end_piece(time_ns, prev);
                if let Some(task) = self.tasks.get_mut(&prev) {
                    task.state = State::Waits { since_ns: time_ns };
                }
                return;
            }
            Left::Sleeps => End::Sleeps,
            Left::Blocks => End::Blocks,
            Left::Stopped => End::Stopped,
            Left::Exits => End::Exits,
        };
        self.end_piece(time_ns, prev);
        self.end_burst(time_ns, prev, end, found);
        if end == End::Exits {
            self.tasks.remove(&prev);
        }
    }

    fn runs_on(&self, pid: u32, cpu: u32) -> bool {
        let task = self.tasks.get(&pid);
        task.is_some_and(|task| task.runs() && task.burst.is_some_and(|burst| burst.cpu == cpu))
    }

    /// A task comes to a CPU.
    fn come(&mut self, time_ns: u64, cpu: u32, next: u32, found: &mut Vec<Burst>) {
        self.cpus[cpu as usize].runs = Some(next);
        if next == 0 {
            return;
        }
        let runs = State::Runs {
            since_ns: Some(time_ns),
        };
        let Some(Task {
            state: State::Waits { since_ns },
            burst: Some(burst),
            ..
        }) = self.tasks.get_mut(&next)
        else {
            // It runs elsewhere or sleeps, as far as was seen; or it is new.
            self.cut(time_ns, next, found);
            return self.appear(time_ns, cpu, next, runs);
        };
        burst.waited_ns += time_ns.saturating_sub(*since_ns);
        if burst.pieces == 0 && burst.begin != Begin::Unseen {
            burst.latency_ns = Some(time_ns.saturating_sub(*since_ns));
        }
        burst.ended_ns = time_ns;
        burst.pieces += 1;
        burst.cpu = cpu;
        if let Some(task) = self.tasks.get_mut(&next) {
            task.state = runs;
        }
    }

    fn wake(&mut self, time_ns: u64, cpu: u32, pid: u32, waker: u32, how: Woken) {
        if pid == 0 {
            return;
        }
        let task = self.tasks.get(&pid);
        // Who is awake already is not woken.
        if task.is_some_and(|task| task.burst.is_some()) {
            return;
        }
        let parent = task.and_then(|task| task.parent);
        let slept_ns = match task.map(|task| task.state) {
            Some(State::Sleeps { since_ns }) if parent.is_none() => {
                Some(time_ns.saturating_sub(since_ns))
            }
            _ => None,
        };
        let begin = match how {
            Woken::New => Begin::Forked(parent.unwrap_or(waker)),
            Woken::Sleep => Begin::Woken(waker),
        };
        let burst = Burst {
            slept_ns,
            begin,
            ..fresh(pid, cpu, time_ns)
        };
        let state = State::Waits { since_ns: time_ns };
        let task = Task {
            state,
            burst: Some(burst),
            parent: None,
        };
        self.tasks.insert(pid, task);
    }

    /// A task is met in the midst of a burst.
    fn appear(&mut self, time_ns: u64, cpu: u32, pid: u32, state: State) {
        let burst = Burst {
            pieces: 1,
            ..fresh(pid, cpu, time_ns)
        };
        let task = Task {
            state,
            burst: Some(burst),
            parent: None,
        };
        self.tasks.insert(pid, task);
    }

    /// Events of a CPU were lost: whoever does not run on another may have done anything.
    fn lose(&mut self, cpu: u32, found: &mut Vec<Burst>) {
        let seen_ns = self.cpus[cpu as usize].last_ns;
        let elsewhere =
            |task: &Task| task.runs() && task.burst.is_some_and(|burst| burst.cpu != cpu);
        let unsure = self.tasks.iter().filter(|(_, task)| !elsewhere(task));
        let mut pids: Vec<u32> = unsure.map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        for pid in pids {
            self.cut(seen_ns, pid, found);
        }
        self.cpus[cpu as usize].runs = None;
        self.cpus[cpu as usize].lost = true;
    }

    /// Loses a task from sight, which did then what it last did.
    fn cut(&mut self, time_ns: u64, pid: u32, found: &mut Vec<Burst>) {
        if self.tasks.get(&pid).is_some_and(Task::runs) {
            self.end_piece(time_ns, pid);
        }
        self.end_burst(time_ns, pid, End::Cut, found);
        self.tasks.remove(&pid);
    }

    fn end_piece(&mut self, time_ns: u64, pid: u32) {
        if let Some(task) = self.tasks.get_mut(&pid)
            && let (
                State::Runs {
                    since_ns: Some(since_ns),
                },
                Some(burst),
            ) = (task.state, &mut task.burst)
        {
            burst.ran_ns += time_ns.saturating_sub(since_ns);
            if burst.pieces == 1 {
                burst.first_ns = burst.ran_ns;
            }
            burst.ended_ns = burst.ended_ns.max(time_ns);
        }
    }

    fn end_burst(&mut self, time_ns: u64, pid: u32, end: End, found: &mut Vec<Burst>) {
        let Some(task) = self.tasks.get_mut(&pid) else {
            return;
        };
        task.state = State::Sleeps { since_ns: time_ns };
        // One that never ran tells nothing.
        if let Some(burst) = task.burst.take().filter(|burst| burst.pieces > 0) {
            found.push(Burst {
                ended_ns: time_ns.max(burst.ended_ns),
                end,
                ..burst
            });
        }
    }
}

impl Task {
    fn runs(&self) -> bool {
        matches!(self.state, State::Runs { .. })
    }
}

fn fresh(pid: u32, cpu: u32, began_ns: u64) -> Burst {
    Burst {
        pid,
        cpu,
        began_ns,
        ended_ns: began_ns,
        ran_ns: 0,
        first_ns: 0,
        waited_ns: 0,
        latency_ns: None,
        pieces: 0,
        slept_ns: None,
        begin: Begin::Unseen,
        end: End::Cut,
    }
}

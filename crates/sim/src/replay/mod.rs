//! A recording played again: each recorded task becomes a simulated one that does what it did.
//!
//! - here: what a recorded task did, as acts; `build`: from events to acts; `play`: the tasks.
//!
//! A recording tells when tasks ran, and who woke whom. It does not tell why a task computed as long
//! as it did, what it waited for, which locks there were, or where it may run. So what is played is
//! the recorded CPU time, in the recorded order, between sleeps and wakeups: where a task woke another,
//! that one waits for it; where an interrupt did, it sleeps. `docs/simulator.md` says what follows from this.

mod build;
mod play;

use baton_trace::{Burst, Event};

use crate::engine::task::NONE;

pub(crate) use play::install;

/// What a task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Computes, in so many stays on a CPU that began meanwhile.
    Compute { ran_ns: u64, stays: u32 },
    /// Wakes a task.
    Wake(u32),
    /// Starts a task.
    Fork(u32),
    /// Waits for a task.
    Await { by: u32, or: Outside },
    /// Sleeps until something comes from outside.
    Sleep(Outside),
}

/// Something that no task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    /// A timer that fires or a message that comes at this time of the recording, whoever waits.
    At(u64),
    /// A device's answer, so long after it was asked.
    After(u64),
}

/// What a recorded task did.
#[derive(Clone, Debug)]
struct Script {
    name: String,
    tgid: u32,
    weight: u32,
    /// Who started it; [`NONE`]: it was there.
    parent: u32,
    /// When it is first seen, where it was there.
    seen_ns: u64,
    acts: Vec<Act>,
}

/// What was measured of the recording itself, for comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Recorded {
    duration_ns: u64,
    wakeup_p50_ns: u64,
    wakeup_p99_ns: u64,
    /// Events that were lost.
    lost: u64,
    /// Whether interrupts were told from the tasks that they interrupted.
    knows_interrupts: bool,
}

/// A recording, ready to be played.
#[derive(Clone, Debug)]
pub struct Replay {
    name: String,
    scripts: Vec<Script>,
    recorded: Recorded,
}

impl Replay {
    /// From a recording's events, in the order of time, up to `until_ns`. `capacities` are those of the recorded machine's CPUs,
    /// 1024 for the fastest; CPUs that it does not have count as such.
    ///
    /// # Errors
    /// The first that the events have.
    pub fn new<E>(
        name: impl Into<String>,
        capacities: &[u32],
        until_ns: u64,
        events: impl IntoIterator<Item = Result<Event, E>>,
    ) -> Result<Self, E> {
        let mut builder = build::Builder::new(capacities);
        for event in events {
            let event = event?;
            if event.time_ns > until_ns {
                break;
            }
            builder.event(&event);
        }
        Ok(builder.finish(name.into()))
    }

    /// What it is called in a report.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tasks that run in it.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.scripts.len()
    }
}

impl Recorded {
    fn learn(&mut self, bursts: &[Burst]) {
        let mut latencies: Vec<u64> = bursts.iter().filter_map(|burst| burst.latency_ns).collect();
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
        self.wakeup_p50_ns = at(50).unwrap_or(0);
        self.wakeup_p99_ns = at(99).unwrap_or(0);
    }
}

//! What tasks do: the interface by which a workload's tasks are written.
//!
//! An [`Actor`] is a task's program. The simulator asks it for its next [`Step`] whenever the last one
//! is done: to compute, to sleep, to wait. Sending, starting others and measuring happen at once, on
//! the [`Stage`]; what they cost is a `Compute` of its own.

use baton_machine::Costs;
use baton_policy::{CpuSet, Rng, WEIGHT_DEFAULT};
use baton_workload::{Durations, names};
use std::collections::VecDeque;

/// What a task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Computes for so many nanoseconds of an undisturbed CPU of full capacity.
    Compute(u64),
    /// Sleeps until this time.
    SleepUntil(u64),
    /// Waits until the channel has something to receive; goes on at once if it has.
    Receive(Channel),
    /// Waits until the channel has room; goes on at once if it has.
    Send(Channel),
    /// Gives way once (`sched_yield`).
    Yield,
    /// Ends.
    Exit,
}

/// A task's program.
pub trait Actor: Send {
    /// The next step. Called when the task has its CPU and its last step is done.
    fn step(&mut self, stage: &mut Stage) -> Step;

    /// CPU time of an undisturbed CPU that it will still use before it sleeps, the step under way left
    /// out; as far as it knows. Only the oracle asks.
    fn burst_ns(&self) -> u64 {
        0
    }
}

/// Names a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel(u32);

impl Channel {
    /// The channel that was made so many after this one.
    #[must_use]
    pub const fn offset(self, later: u32) -> Self {
        Self(self.0 + later)
    }
}

/// Names a histogram of the workload's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series(u32);

/// Names a counter of the workload's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(u32);

/// A task to be started.
pub struct Spawn {
    /// Its name, cut to 15 bytes.
    pub name: String,
    /// 1 to 10,000.
    pub weight: u32,
    /// Where it may run; `None`: everywhere.
    pub allowed: Option<CpuSet>,
    /// Path of its cgroup below the root, such as `/batch`; `None`: its creator's, and the root for
    /// tasks that are there from the start. By this and by its name it has its class.
    pub cgroup: Option<String>,
    /// What it reads and writes again and again, in KiB: what a migration makes cold.
    pub working_set_kib: u32,
    /// The part of the workload that it belongs to.
    pub part: u32,
    /// Whether it shares its creator's process.
    pub is_thread: bool,
    /// What it does.
    pub actor: Box<dyn Actor>,
}

impl Spawn {
    /// A task of default weight that may run everywhere.
    pub fn new(name: impl Into<String>, part: u32, actor: impl Actor + 'static) -> Self {
        Self {
            name: name.into(),
            weight: WEIGHT_DEFAULT,
            allowed: None,
            working_set_kib: 64,
            part,
            cgroup: None,
            is_thread: true,
            actor: Box::new(actor),
        }
    }

    /// In another cgroup.
    #[must_use]
    pub fn cgroup(mut self, path: impl Into<String>) -> Self {
        self.cgroup = Some(path.into());
        self
    }

    /// With another working set.
    #[must_use]
    pub const fn working_set_kib(mut self, kib: u32) -> Self {
        self.working_set_kib = kib;
        self
    }
}

/// How a channel wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeups {
    /// As pipes and sockets do: with the hint that the waker is about to sleep.
    Sync,
    /// As futexes do: without.
    Plain,
}

#[derive(Debug)]
struct Queue {
    items: VecDeque<u64>,
    room: usize,
    /// Senders that wait are woken when so few are left.
    low: usize,
    wakeups: Wakeups,
    receivers: VecDeque<u32>,
    senders: VecDeque<u32>,
}

/// Somebody that a step woke.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Woken {
    pub(crate) task: u32,
    pub(crate) sync: bool,
}

/// What tasks share: channels between them, and what they measure.
pub struct Stage {
    pub(crate) now_ns: u64,
    pub(crate) rng: Rng,
    /// Replaces the names of the workload's tasks.
    pub(crate) salt: Option<String>,
    pub(crate) costs: Costs,
    queues: Vec<Queue>,
    series: Vec<Durations>,
    counters: Vec<u64>,
    pub(crate) woken: Vec<Woken>,
    pub(crate) spawned: Vec<Spawn>,
    /// Cgroups by their paths, and the weights that they get.
    pub(crate) cgroup_weights: Vec<(String, u32)>,
    pub(crate) moved: Vec<CpuSet>,
    pub(crate) ended_parts: Vec<u32>,
}

impl Stage {
    /// The part of tasks that belong to no part of the workload.
    pub const NO_PART: u32 = 255;

    pub(crate) fn new(seed: u64, costs: Costs) -> Self {
        Self {
            now_ns: 0,
            rng: Rng::new(seed),
            salt: None,
            costs,
            queues: Vec::new(),
            series: Vec::new(),
            counters: Vec::new(),
            woken: Vec::with_capacity(64),
            spawned: Vec::new(),
            cgroup_weights: Vec::new(),
            moved: Vec::new(),
            ended_parts: Vec::new(),
        }
    }

    /// The time, nanoseconds since the start.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The machine's costs.
    #[must_use]
    pub const fn costs(&self) -> &Costs {
        &self.costs
    }

    /// The workload's source of randomness.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Makes a channel for so many values, at least one. Senders that found it full are woken when at
    /// most `low` values are left in it.
    pub fn channel(&mut self, room: usize, low: usize, wakeups: Wakeups) -> Channel {
        let room = room.max(1);
        self.queues.push(Queue {
            items: VecDeque::with_capacity(room.min(1024)),
            room,
            low: low.min(room - 1),
            wakeups,
            receivers: VecDeque::with_capacity(4),
            senders: VecDeque::new(),
        });
        Channel(self.queues.len() as u32 - 1)
    }

    /// Puts a value in and wakes a receiver that waits; false if there is no room.
    pub fn send(&mut self, channel: Channel, value: u64) -> bool {
        let queue = &mut self.queues[channel.0 as usize];
        if queue.items.len() >= queue.room {
            return false;
        }
        queue.items.push_back(value);
        if let Some(task) = queue.receivers.pop_front() {
            let sync = queue.wakeups == Wakeups::Sync;
            self.woken.push(Woken { task, sync });
        }
        true
    }

    /// Takes a value out, and wakes the senders that wait when there is room again.
    pub fn receive(&mut self, channel: Channel) -> Option<u64> {
        let queue = &mut self.queues[channel.0 as usize];
        let value = queue.items.pop_front()?;
        if queue.items.len() <= queue.low {
            let sync = queue.wakeups == Wakeups::Sync;
            let woken = queue.senders.drain(..).map(|task| Woken { task, sync });
            self.woken.extend(woken);
        }
        Some(value)
    }

    /// Whether a step that waits can go on; notes who waits if not.
    pub(crate) fn await_receive(&mut self, channel: Channel, task: u32) -> bool {
        let queue = &mut self.queues[channel.0 as usize];
        if queue.items.is_empty() {
            queue.receivers.push_back(task);
            return false;
        }
        true
    }

    pub(crate) fn await_room(&mut self, channel: Channel, task: u32) -> bool {
        let queue = &mut self.queues[channel.0 as usize];
        if queue.items.len() >= queue.room {
            queue.senders.push_back(task);
            return false;
        }
        true
    }

    /// Starts a task, as fork or clone do.
    pub fn spawn(&mut self, mut spawn: Spawn) {
        if self.salt.is_some() && spawn.part != Self::NO_PART {
            spawn.name = names::task_name(&spawn.name, self.salt.as_deref());
        }
        self.spawned.push(spawn);
    }

    /// Gives the cgroup at this path a weight, 1 to 10,000; the default is 100. Of the schedulers, those
    /// heed it that the kernel had or has, `kernel` and `cfs`, which take each cgroup for a child of the
    /// root.
    pub fn weigh_cgroup(&mut self, path: impl Into<String>, weight: u32) {
        let weight = weight.clamp(1, 10_000);
        self.cgroup_weights.push((path.into(), weight));
    }

    /// Sets where the calling task may run (`sched_setaffinity`). An empty set is passed over.
    pub fn set_affinity(&mut self, cpus: CpuSet) {
        if !cpus.is_empty() {
            self.moved.push(cpus);
        }
    }

    /// Says that a part of the workload has done all it had to do. The run ends when all have that
    /// end by themselves.
    pub fn end_part(&mut self, part: u32) {
        self.ended_parts.push(part);
    }

    /// Makes a histogram.
    pub fn series(&mut self) -> Series {
        self.series.push(Durations::new());
        Series(self.series.len() as u32 - 1)
    }

    /// Makes a counter.
    pub fn counter(&mut self) -> Counter {
        self.counters.push(0);
        Counter(self.counters.len() as u32 - 1)
    }

    /// Puts a duration into a histogram.
    pub fn sample(&mut self, series: Series, duration_ns: u64) {
        self.series[series.0 as usize].record_ns(duration_ns);
    }

    /// Adds to a counter.
    pub fn count(&mut self, counter: Counter, more: u64) {
        self.counters[counter.0 as usize] += more;
    }

    /// What a histogram holds.
    #[must_use]
    pub fn durations(&self, series: Series) -> &Durations {
        &self.series[series.0 as usize]
    }

    /// What a counter says.
    #[must_use]
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter.0 as usize]
    }
}

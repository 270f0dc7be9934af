//! One queue for all CPUs, by one key for each task: BFS and the oracle.
//!
//! BFS: C. Kolivas, "FAQs about BFS" (2009). A task has a virtual deadline, the time when it last began a
//! slice plus the round-robin interval over its weight; it keeps both while it sleeps. The earliest deadline
//! is next, and a waking task takes the CPU of the latest one, if its own is earlier. In short form: without
//! the sticky and the cache-distance offsets of later versions.
//!
//! The oracle runs the task with the least work left before it sleeps, which minimises the mean response
//! time (L. Schrage, "A proof of the optimality of the shortest remaining processing time discipline",
//! 1968). It asks the workload for what no scheduler can know.

use baton_policy::{MS, key_before, weighted};

use crate::engine::{
    class::{Class, Wake},
    core::{Core, arrival_max_ns},
    cpu::Mode,
    idle::IdleCpus,
    queues::Queues,
    task::{NONE, WORK_SCALE},
};

/// `rr_interval` of BFS.
const INTERVAL_NS: u64 = 6 * MS;
/// Keys stay below half of the range, so that comparison with wrap-around is plain comparison.
const KEY_MAX: u64 = u64::MAX / 4;
/// On larger machines a waking task looks for whom to preempt near it alone.
const SCAN_CPUS_MAX: usize = 64;
const QUEUE: u32 = 0;

/// What the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The virtual deadline.
    Deadline,
    /// The true CPU time until the task sleeps.
    Remaining,
}

/// A scheduler with one queue.
#[derive(Debug)]
pub(super) struct Global {
    order: Order,
    queues: Queues,
    idle: IdleCpus,
    /// By task: its deadline, and what it has left of its slice, while it does not run.
    deadlines: Vec<(u64, u64)>,
    cpus: usize,
    preemptions: u64,
    /// Memory for a list that is made anew each time.
    scratch: Vec<u32>,
}

impl Global {
    pub(super) fn new(order: Order, cpus: usize) -> Self {
        Self {
            order,
            queues: Queues::new(0, 1),
            idle: IdleCpus::NONE,
            deadlines: Vec::new(),
            cpus,
            preemptions: 0,
            scratch: Vec::new(),
        }
    }

    fn key(&self, core: &Core, task: u32) -> u64 {
        match self.order {
            Order::Deadline => self.deadlines[task as usize].0,
            Order::Remaining => {
                let state = &core.tasks[task];
                let beyond_ns = state.actor.as_ref().map_or(0, |actor| actor.burst_ns());
                (state.work / WORK_SCALE)
                    .saturating_add(beyond_ns)
                    .min(KEY_MAX)
            }
        }
    }

    /// A new slice, and with it a new deadline.
    fn refill(&mut self, core: &mut Core, task: u32) {
        let deadline_ns = core.now_ns + weighted(INTERVAL_NS, core.tasks[task].weight);
        self.deadlines[task as usize] = (deadline_ns, INTERVAL_NS);
        core.tasks[task].slice_ns = INTERVAL_NS;
    }

    /// Queues a task and finds a CPU for it: an idle one near, or the one whose task can wait most.
    fn insert(&mut self, core: &mut Core, task: u32) {
        let key = self.key(core, task);
        self.queues.insert(QUEUE, key, task);
        if !self.feed(core, task) {
            self.preempt(core, task, key);
        }
    }

    fn feed(&mut self, core: &mut Core, task: u32) -> bool {
        let (near, allowed) = (core.tasks[task].cpu, core.tasks[task].allowed.as_deref());
        let Some(cpu) = self.idle.nearest(&core.topology, near, allowed) else {
            return false;
        };
        self.idle.take(&core.topology, cpu);
        core.kick(cpu);
        true
    }

    /// The CPU that took a task may have been meant for another, which must have one, too.
    fn feed_others(&mut self, core: &mut Core) {
        if self.idle.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.scratch);
        waiting.extend(self.queues.members(QUEUE));
        for task in waiting.drain(..) {
            if self.idle.is_empty() {
                break;
            }
            self.feed(core, task);
        }
        self.scratch = waiting;
    }

    fn preempt(&mut self, core: &mut Core, task: u32, key: u64) {
        let near = core.tasks[task].cpu;
        let victim = |cpu: &u32| {
            let curr = core.cpu(*cpu).curr;
            let state = core.cpu(*cpu);
            let runs = state.mode == Mode::Running && curr != NONE && !state.kicked;
            (runs && core.tasks[task].may_run_on(*cpu)).then(|| (self.key(core, curr), *cpu))
        };
        let found = if self.cpus <= SCAN_CPUS_MAX {
            core.online.iter().filter_map(|cpu| victim(&cpu)).max()
        } else {
            let llc = &core.topology.llc_cpus[core.topology.llc(near)];
            llc.iter().filter_map(victim).max()
        };
        if let Some((latest, cpu)) = found
            && key_before(key, latest)
        {
            self.preemptions += 1;
            core.kick(cpu);
        }
    }

    fn put_back(&mut self, core: &Core, task: u32) {
        self.deadlines[task as usize].1 = core.tasks[task].slice_ns;
    }
}

impl Class for Global {
    fn begin(&mut self, core: &mut Core) {
        for cpu in core.online.iter() {
            self.idle.set(&core.topology, cpu);
        }
    }

    fn wake(&mut self, core: &mut Core, task: u32, wake: Wake) {
        if wake.fresh {
            self.queues.admit(task);
            if self.deadlines.len() <= task as usize {
                self.deadlines.resize(task as usize + 1, (0, 0));
            }
            self.refill(core, task);
        }
        if self.deadlines[task as usize].1 == 0 {
            self.refill(core, task);
        }
        self.insert(core, task);
    }

    fn schedule(&mut self, core: &mut Core, cpu: u32, prev: Option<u32>) -> Option<u32> {
        let allowed = |task| core.tasks[task].may_run_on(cpu);
        let Some(next) = self.queues.first_in_order(QUEUE, allowed) else {
            if prev.is_none() {
                self.idle.set(&core.topology, cpu);
            }
            return prev;
        };
        if let Some(prev) = prev {
            let over = core.tasks[prev].slice_ns == 0;
            if over {
                self.refill(core, prev);
            }
            let (mine, theirs) = (self.key(core, prev), self.key(core, next));
            // Whose slice is over goes behind its equals.
            if key_before(mine, theirs) || (mine == theirs && !over) {
                return Some(prev);
            }
            core.stop(cpu, true);
            self.put_back(core, prev);
            let key = self.key(core, prev);
            self.queues.insert(QUEUE, key, prev);
        }
        self.queues.remove(next);
        self.feed_others(core);
        self.idle.take(&core.topology, cpu);
        core.tasks[next].slice_ns = self.deadlines[next as usize].1.max(1);
        Some(next)
    }

    fn running(&mut self, _: &mut Core, _: u32, _: u32) {}

    fn slept(&mut self, core: &mut Core, _: u32, task: u32) {
        self.put_back(core, task);
    }

    fn exited(&mut self, _: &mut Core, _: u32) {}

    fn tick(&mut self, core: &mut Core, _: u32, task: u32) -> bool {
        core.tasks[task].slice_ns == 0
    }

    fn yielded(&mut self, core: &mut Core, _: u32, task: u32) {
        core.tasks[task].slice_ns = 0;
    }

    fn evicted(&mut self, core: &mut Core, _: u32, task: u32) {
        self.put_back(core, task);
        self.insert(core, task);
    }

    fn changed(&mut self, _: &mut Core, _: u32) {}

    fn hotplug(&mut self, core: &mut Core, cpu: u32, online: bool) {
        if online {
            return self.idle.set(&core.topology, cpu);
        }
        self.idle.take(&core.topology, cpu);
        // It may have been on its way to one of those that wait.
        self.feed_others(core);
    }

    fn timer(&mut self, _: &mut Core, _: u32, _: u32) {}

    fn queued(&self) -> u32 {
        self.queues.queued()
    }

    /// No CPU idles for longer than a wakeup takes while a task that may run there waits.
    fn audit(&mut self, core: &mut Core) {
        for task in self.queues.members(QUEUE) {
            let allowed = core.tasks[task].allowed.as_deref();
            let rests = self.idle.first(&core.topology, None, allowed);
            let on_its_way_ns = arrival_max_ns(&core.costs);
            let waits = core.now_ns - core.tasks[task].wait_since_ns > on_its_way_ns;
            let is_long = |cpu: &u32| core.now_ns - core.cpu(*cpu).mode_since_ns > on_its_way_ns;
            // One that is on its way may have been meant for another, and serves this one all the same.
            let mut kicked = core.online.iter().filter(|cpu| core.cpu(*cpu).kicked);
            let comes = kicked.any(|cpu| core.tasks[task].may_run_on(cpu));
            let idles = rests.filter(|cpu| waits && !comes && is_long(cpu));
            drop(kicked);
            if let Some(cpu) = idles {
                let pid = core.tasks[task].key.pid;
                core.violate(|| format!("CPU {cpu} idles while task {pid} waits in the one queue"));
            }
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("preemptions", self.preemptions)]
    }
}

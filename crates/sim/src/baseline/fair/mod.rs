//! The kernel's fair class: a runqueue for each CPU, placement at wakeups, balancing between them.
//!
//! - `queue`: who is next on one CPU, by EEVDF or CFS;
//! - `place`: the CPU for a waking or new task;
//! - `balance`: idle and periodic balancing, and what may not move;
//! - `groups`: cgroups;
//! - here: the class around them.
//!
//! Written from papers, the kernel's documents and talks; `docs/simulator.md` lists what is left out.

mod balance;
mod groups;
mod place;
mod queue;
pub(super) use queue::Rule;

use crate::engine::{
    class::{Class, Wake},
    core::Core,
    cpu::Mode,
    idle::IdleCpus,
    mask::Mask,
    task::NONE,
};
use queue::{Entity, RunQueue};

/// CPUs begin to balance so many ticks apart, and then again from the first.
const STAGGER: u32 = 16;

/// The fair class under one rule.
pub(crate) struct Fair {
    rule: Rule,
    queues: Vec<RunQueue>,
    entities: Vec<Entity>,
    idle: IdleCpus,
    /// CPUs on which tasks wait.
    crowded: Mask,
    queued: u32,
    groups: groups::Groups,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    preemptions: u64,
    pulled_idle: u64,
    pulled_periodic: u64,
    refused_hot: u64,
    affine: u64,
}

impl Fair {
    pub(crate) fn new(rule: Rule, cpus: usize) -> Self {
        Self {
            rule,
            queues: (0..cpus).map(|_| RunQueue::default()).collect(),
            entities: Vec::new(),
            idle: IdleCpus::NONE,
            crowded: Mask::EMPTY,
            queued: 0,
            groups: groups::Groups::default(),
            counts: Counts::default(),
        }
    }

    fn queue(&mut self, cpu: u32) -> &mut RunQueue {
        &mut self.queues[cpu as usize]
    }

    fn push(&mut self, cpu: u32, task: u32) {
        self.queues[cpu as usize].tasks.push(task);
        self.crowded.insert(cpu);
        self.queued += 1;
    }

    fn take(&mut self, cpu: u32, task: u32) {
        let tasks = &mut self.queues[cpu as usize].tasks;
        if let Some(index) = tasks.iter().position(|other| *other == task) {
            tasks.swap_remove(index);
            self.queued -= 1;
        }
        if self.queues[cpu as usize].tasks.is_empty() {
            self.crowded.remove(cpu);
        }
    }

    /// Charges the current task; whether its turn is over.
    fn update(&mut self, core: &mut Core, cpu: u32) -> bool {
        let Some(task) = self.queues[cpu as usize].curr else {
            return false;
        };
        core.settle(cpu);
        let runtime_ns = core.tasks[task].runtime_ns;
        let mut entity = self.entities[task as usize];
        let delta_ns = runtime_ns - entity.charged_ns;
        entity.charged_ns = runtime_ns;
        entity.ran_until_ns = core.now_ns;
        let queue = &self.queues[cpu as usize];
        let over = self.rule.charge(queue, &mut entity, delta_ns);
        self.entities[task as usize] = entity;
        self.reweigh(core, cpu);
        self.rule
            .advance(&mut self.queues[cpu as usize], &self.entities);
        over
    }

    /// Puts a task that is in no queue into the CPU's.
    fn enqueue(&mut self, core: &mut Core, cpu: u32, task: u32, fresh: bool, slept: bool) {
        let over = self.update(core, cpu);
        core.tasks[task].cpu = cpu;
        self.weigh(core, task);
        let queue = &self.queues[cpu as usize];
        self.rule
            .place(cpu, queue, &mut self.entities, task, fresh, slept);
        self.push(cpu, task);
        if core.cpu(cpu).mode == Mode::Idle && core.cpu(cpu).curr == NONE {
            self.idle.take(&core.topology, cpu);
            core.kick(cpu);
        } else if self
            .rule
            .preempts(&self.queues[cpu as usize], &self.entities, task)
        {
            self.counts.preemptions += 1;
            self.replace_current(core, cpu);
        } else if over {
            self.replace_current(core, cpu);
        }
    }

    /// Has a busy CPU look for another task: this one when its task comes back from the kernel, which is
    /// now; another one when that happens there or at its next tick. The kernel sends no interrupt for that
    /// (`PREEMPT_LAZY`).
    fn replace_current(&mut self, core: &mut Core, cpu: u32) {
        if cpu == core.here || !self.rule.is_lazy() {
            core.kick(cpu);
        } else {
            self.queue(cpu).lazy = true;
        }
    }

    /// Takes a waiting task to another CPU's queue, without a kick.
    fn migrate(&mut self, core: &mut Core, from: u32, to: u32, task: u32) {
        self.rule
            .leave(from, &self.queues[from as usize], &mut self.entities, task);
        self.take(from, task);
        core.tasks[task].cpu = to;
        let queue = &self.queues[to as usize];
        self.rule
            .place(to, queue, &mut self.entities, task, false, false);
        self.push(to, task);
    }

    /// The current task leaves the CPU for good.
    fn remove_current(&mut self, cpu: u32, task: u32) {
        self.rule
            .leave(cpu, &self.queues[cpu as usize], &mut self.entities, task);
        let queue = self.queue(cpu);
        queue.curr = None;
    }

    fn go_idle(&mut self, core: &Core, cpu: u32) {
        self.idle.set(&core.topology, cpu);
        self.queue(cpu).idle_since_ns = core.now_ns;
    }
}

impl Class for Fair {
    fn begin(&mut self, core: &mut Core) {
        let tick_ns = core.costs.tick_period_ns;
        for cpu in core.online.iter() {
            self.go_idle(core, cpu);
            // Two that look at the same tick would take from each other and back.
            self.queue(cpu).next_balance_ns = [u64::from(cpu % STAGGER) * tick_ns; 4];
        }
    }

    fn wake(&mut self, core: &mut Core, task: u32, wake: Wake) {
        if wake.fresh {
            let entity = Entity {
                weight: core.tasks[task].weight,
                recent_cpu: NONE,
                last_wakee: NONE,
                ..Entity::default()
            };
            if self.entities.len() <= task as usize {
                self.entities.resize(task as usize + 1, entity);
            }
            self.entities[task as usize] = entity;
        }
        self.count_runnable(core, task, true);
        let cpu = self.select_cpu(core, task, &wake);
        self.enqueue(core, cpu, task, wake.fresh, !wake.fresh);
    }

    fn schedule(&mut self, core: &mut Core, cpu: u32, prev: Option<u32>) -> Option<u32> {
        self.update(core, cpu);
        self.queue(cpu).lazy = false;
        let pushed = prev.is_some_and(|prev| self.push_away(core, cpu, prev));
        let prev = prev.filter(|_| !pushed);
        // What was just sent away must not be pulled back.
        if prev.is_none() && !pushed && self.queues[cpu as usize].tasks.is_empty() {
            self.pull_for_idle(core, cpu);
        }
        let Some(next) = self.rule.pick(&self.queues[cpu as usize], &self.entities) else {
            self.go_idle(core, cpu);
            return None;
        };
        if prev == Some(next) {
            return prev;
        }
        if let Some(prev) = prev {
            core.stop(cpu, true);
            self.queue(cpu).curr = None;
            self.push(cpu, prev);
        }
        self.take(cpu, next);
        self.idle.take(&core.topology, cpu);
        self.note_idle_end(core, cpu);
        self.queue(cpu).curr = Some(next);
        Some(next)
    }

    fn running(&mut self, core: &mut Core, cpu: u32, task: u32) {
        let runtime_ns = core.tasks[task].runtime_ns;
        let entity = &mut self.entities[task as usize];
        entity.charged_ns = runtime_ns;
        entity.picked_ns = runtime_ns;
        entity.protected = true;
        entity.recent_cpu = cpu;
    }

    fn slept(&mut self, core: &mut Core, cpu: u32, task: u32) {
        // The engine settled it already.
        self.charge_stopped(core, cpu, task);
        self.remove_current(cpu, task);
        self.count_runnable(core, task, false);
    }

    fn exited(&mut self, _: &mut Core, _: u32) {}

    fn tick(&mut self, core: &mut Core, cpu: u32, _: u32) -> bool {
        let over = self.update(core, cpu);
        self.balance_on_tick(core, cpu);
        let queue = &self.queues[cpu as usize];
        over || queue.lazy || queue.push_to.is_some()
    }

    fn gives_way(&self, cpu: u32) -> bool {
        self.queues[cpu as usize].lazy
    }

    fn yielded(&mut self, core: &mut Core, cpu: u32, task: u32) {
        self.update(core, cpu);
        self.rule
            .yields(&self.queues[cpu as usize], &mut self.entities, task);
    }

    fn evicted(&mut self, core: &mut Core, cpu: u32, task: u32) {
        self.charge_stopped(core, cpu, task);
        self.remove_current(cpu, task);
        let to = core.tasks[task].cpu;
        self.enqueue(core, to, task, false, false);
    }

    fn changed(&mut self, _: &mut Core, _: u32) {}

    fn hotplug(&mut self, core: &mut Core, cpu: u32, online: bool) {
        if online {
            return self.go_idle(core, cpu);
        }
        self.idle.take(&core.topology, cpu);
        while let Some(task) = self.queues[cpu as usize].tasks.first().copied() {
            self.rule
                .leave(cpu, &self.queues[cpu as usize], &mut self.entities, task);
            self.take(cpu, task);
            let to = core.fallback_cpu(task);
            self.enqueue(core, to, task, false, false);
        }
    }

    fn timer(&mut self, _: &mut Core, _: u32, _: u32) {}

    fn queued(&self) -> u32 {
        self.queued
    }

    fn audit(&mut self, core: &mut Core) {
        for cpu in 0..self.queues.len() as u32 {
            let waiting = self.queues[cpu as usize].tasks.len();
            let state = core.cpu(cpu);
            let is_idle = state.mode == Mode::Idle && !state.kicked;
            if is_idle && waiting > 0 {
                core.violate(|| format!("CPU {cpu} idles beside {waiting} tasks in its queue"));
            }
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.counts;
        vec![
            ("preemptions", counts.preemptions),
            ("pulled_idle", counts.pulled_idle),
            ("pulled_periodic", counts.pulled_periodic),
            ("refused_hot", counts.refused_hot),
            ("affine", counts.affine),
        ]
    }
}

impl Fair {
    /// As `update`, for a task that the engine has taken from the CPU.
    fn charge_stopped(&mut self, core: &Core, cpu: u32, task: u32) {
        let runtime_ns = core.tasks[task].runtime_ns;
        let mut entity = self.entities[task as usize];
        let delta_ns = runtime_ns - entity.charged_ns;
        entity.charged_ns = runtime_ns;
        entity.ran_until_ns = core.now_ns;
        self.rule
            .charge(&self.queues[cpu as usize], &mut entity, delta_ns);
        self.entities[task as usize] = entity;
        self.rule
            .advance(&mut self.queues[cpu as usize], &self.entities);
    }

    fn note_idle_end(&mut self, core: &Core, cpu: u32) {
        let queue = &mut self.queues[cpu as usize];
        if core.cpu(cpu).mode == Mode::Idle && queue.idle_since_ns != 0 {
            let idle_ns = core.now_ns - queue.idle_since_ns;
            // An exponential mean, an eighth for the latest, and no more than twice the migration cost.
            let mean_ns = queue.avg_idle_ns - queue.avg_idle_ns / 8 + idle_ns / 8;
            queue.avg_idle_ns = mean_ns.min(2 * balance::MIGRATION_COST_NS);
            queue.idle_since_ns = 0;
        }
    }
}

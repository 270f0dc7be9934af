//! Balancing between runqueues: a CPU that is about to idle pulls a task; busy ones look now and then
//! whether another group of CPUs has much more to do.
//!
//! Domains from the inside out: the core, the last-level cache, the node, the machine
//! (`Documentation/scheduler/sched-domains.rst`). A task that ran within the migration cost is hot and
//! stays, unless balancing failed for want of others.

use baton_policy::{MS, US};

use super::Fair;
use crate::engine::{core::Core, cpu::Mode, topology::Distance};

/// How long a task's caches count as warm: `sched_migration_cost`.
pub(super) const MIGRATION_COST_NS: u64 = 500 * US;
/// What looking for work costs at each level; a CPU that idles for less on average does not look.
const LOOK_NS: [u64; 4] = [2 * US, 10 * US, 40 * US, 80 * US];
/// A group is too busy when it has so much more than this one, in percent, by level.
const IMBALANCE_PERCENT: [u64; 4] = [110, 117, 117, 125];
/// How much longer a busy CPU waits between two looks.
const BUSY_FACTOR: u64 = 16;
/// Tasks that one round moves at most.
const MOVES_MAX: usize = 32;
/// Failed rounds after which hot tasks move, too.
const FAILED_MAX: u32 = 2;

impl Fair {
    /// Whether a waiting task may move to a CPU; counts what is refused.
    fn can_migrate(&mut self, core: &Core, task: u32, from: u32, to: u32, level: usize) -> bool {
        if !core.tasks[task].may_run_on(to) {
            return false;
        }
        // Siblings share all caches.
        if core.topology.distance(from, to) <= Distance::Core {
            return true;
        }
        let ran_until_ns = self.entities[task as usize].ran_until_ns;
        let cold = ran_until_ns == 0 || core.now_ns - ran_until_ns >= MIGRATION_COST_NS;
        if cold || self.queues[to as usize].failed[level] >= FAILED_MAX {
            return true;
        }
        self.counts.refused_hot += 1;
        false
    }

    /// A CPU about to idle takes a task from the busiest CPU of the nearest domain that has one.
    pub(super) fn pull_for_idle(&mut self, core: &mut Core, cpu: u32) {
        if self.crowded.is_empty() {
            return;
        }
        let idles_ns = self.queues[cpu as usize].avg_idle_ns;
        let was_idle = core.cpu(cpu).mode == Mode::Idle;
        for (level, look_ns) in LOOK_NS.into_iter().enumerate() {
            // One that idles already was asked to look, and has the time.
            if !was_idle && idles_ns != 0 && idles_ns < look_ns {
                return;
            }
            let Some(busiest) = self.busiest(core, cpu, level) else {
                continue;
            };
            for index in 0..self.queues[busiest as usize].tasks.len() {
                let task = self.queues[busiest as usize].tasks[index];
                if self.can_migrate(core, task, busiest, cpu, level) {
                    self.migrate(core, busiest, cpu, task);
                    self.counts.pulled_idle += 1;
                    return;
                }
            }
        }
    }

    /// The CPU of the domain on which most tasks wait.
    fn busiest(&self, core: &Core, cpu: u32, level: usize) -> Option<u32> {
        let waiting = |other: &u32| self.queues[*other as usize].tasks.len();
        // One task alone is about to run there.
        let is_crowded = |other: &u32| {
            self.crowded.contains(*other)
                && self.queues[*other as usize].len() > 1
                && !is_waking(core, *other)
        };
        let best = |members: &mut dyn Iterator<Item = u32>| {
            let crowded = members.filter(|other| *other != cpu && is_crowded(other));
            crowded.max_by_key(|other| (waiting(other), std::cmp::Reverse(*other)))
        };
        let topology = &core.topology;
        match level {
            0 => best(&mut topology.siblings[cpu as usize].iter().copied()),
            1 => best(&mut topology.llc_cpus[topology.llc(cpu)].iter().copied()),
            2 => best(&mut topology.node_cpus[topology.node(cpu)].iter().copied()),
            _ => best(&mut core.online.iter()),
        }
    }

    /// What a tick starts: rounds that are due, and idle CPUs that are told to look.
    pub(super) fn balance_on_tick(&mut self, core: &mut Core, cpu: u32) {
        for level in 0..LOOK_NS.len() {
            if core.now_ns >= self.queues[cpu as usize].next_balance_ns[level] {
                let members = self.members(core, cpu, level) as u64;
                self.queue(cpu).next_balance_ns[level] = core.now_ns + members * BUSY_FACTOR * MS;
                self.balance(core, cpu, level);
            }
        }
        if self.crowded.contains(cpu) && !self.idle.is_empty() {
            self.kick_idle(core, cpu);
        }
        self.look_for_larger(core, cpu);
    }

    fn members(&self, core: &Core, cpu: u32, level: usize) -> usize {
        let topology = &core.topology;
        match level {
            0 => topology.siblings[cpu as usize].len() + 1,
            1 => topology.llc_cpus[topology.llc(cpu)].len(),
            2 => topology.node_cpus[topology.node(cpu)].len(),
            _ => core.online_count as usize,
        }
    }

    /// Has an idle CPU look for work, as the tick of a busy one does in a tickless kernel.
    fn kick_idle(&mut self, core: &mut Core, cpu: u32) {
        let Some(task) = self.queues[cpu as usize].tasks.first().copied() else {
            return;
        };
        let topology = &core.topology;
        let allowed = core.tasks[task].allowed.as_deref();
        let idle = self
            .idle
            .first(topology, Some(topology.llc(cpu)), allowed)
            .or_else(|| self.idle.first(topology, None, allowed));
        if let Some(idle) = idle {
            core.kick(idle);
        }
    }

    /// Notes where the current task should go, if it is too much for its CPU while a larger one idles
    /// (misfit).
    fn look_for_larger(&mut self, core: &Core, cpu: u32) {
        let capacity = core.topology.capacity(cpu);
        let Some(curr) = self.queues[cpu as usize].curr else {
            return;
        };
        if capacity == baton_policy::CAPACITY_SCALE || self.need(core, curr) * 5 <= capacity * 4 {
            return;
        }
        let larger = |other: &u32| {
            self.idle.contains(*other)
                && core.topology.capacity(*other) > capacity
                && core.tasks[curr].may_run_on(*other)
        };
        let largest = |other: &u32| (core.topology.capacity(*other), std::cmp::Reverse(*other));
        let to = core.online.iter().filter(larger).max_by_key(largest);
        self.queue(cpu).push_to = to;
    }

    /// Sends the current task to a larger CPU that was found for it; whether it went.
    pub(super) fn push_away(&mut self, core: &mut Core, cpu: u32, task: u32) -> bool {
        let to = self.queue(cpu).push_to.take();
        let Some(to) = to.filter(|to| self.idle.contains(*to)) else {
            return false;
        };
        core.stop(cpu, true);
        self.charge_stopped(core, cpu, task);
        self.remove_current(cpu, task);
        self.enqueue(core, to, task, false, false);
        self.counts.pulled_periodic += 1;
        true
    }

    /// One round: whether another group of the domain is too busy, and moves its tasks here.
    fn balance(&mut self, core: &mut Core, cpu: u32, level: usize) {
        if !self.balances_for_group(core, cpu, level) {
            return;
        }
        let Some((busiest, excess)) = self.imbalance(core, cpu, level) else {
            self.queue(cpu).failed[level] = 0;
            return;
        };
        let mut left = excess;
        let mut moved = 0;
        let mut index = 0;
        while index < self.queues[busiest as usize].tasks.len() && moved < MOVES_MAX {
            let task = self.queues[busiest as usize].tasks[index];
            let weight = u64::from(self.entities[task as usize].weight);
            // Half of it must fit, or moving it would only turn the imbalance round; after failures less.
            let failed = self.queues[cpu as usize].failed[level].min(16);
            if weight >> (failed + 1) > left || !self.can_migrate(core, task, busiest, cpu, level) {
                index += 1;
                continue;
            }
            self.migrate(core, busiest, cpu, task);
            self.counts.pulled_periodic += 1;
            moved += 1;
            left = left.saturating_sub(weight);
            if left == 0 {
                break;
            }
        }
        let failed = &mut self.queue(cpu).failed[level];
        *failed = if moved == 0 { *failed + 1 } else { 0 };
    }

    /// One CPU of each group of the domain below balances for all of it: an idle one, else the lowest.
    fn balances_for_group(&self, core: &Core, cpu: u32, level: usize) -> bool {
        let topology = &core.topology;
        let group: &[u32] = match level {
            0 => return true,
            1 => &topology.siblings[cpu as usize],
            2 => &topology.llc_cpus[topology.llc(cpu)],
            _ => &topology.node_cpus[topology.node(cpu)],
        };
        let lowest = group
            .iter()
            .copied()
            .filter(|other| core.is_online(*other))
            .min();
        lowest.is_none_or(|lowest| cpu <= lowest)
    }

    /// The CPU to take from and the load to take, if the domain is out of balance: if one of its groups
    /// has much more for its capacity than this CPU's.
    fn imbalance(&self, core: &Core, cpu: u32, level: usize) -> Option<(u32, u64)> {
        let mut all = GroupLoad::default();
        let mut local = GroupLoad::default();
        let mut heaviest: Option<GroupLoad> = None;
        self.each_group(core, cpu, level, |group| {
            let load = self.group_load(core, group);
            all.load += load.load;
            all.capacity += load.capacity;
            if group.contains(&cpu) {
                local = load;
            } else if load.crowded.is_some()
                && heaviest.is_none_or(|other| load.average() > other.average())
            {
                heaviest = Some(load);
            }
        });
        let heaviest = heaviest?;
        let (much, little, mean) = (heaviest.average(), local.average(), all.average());
        if much * 100 <= little * IMBALANCE_PERCENT[level] || little >= mean {
            return None;
        }
        // As much as brings either of the two to the mean.
        let surplus = much.saturating_sub(mean) * heaviest.capacity / SCALE;
        let lack = (mean - little) * local.capacity / SCALE;
        let excess = surplus.min(lack) / 1024;
        (excess > 0).then_some((heaviest.crowded?.1, excess))
    }

    /// The groups of a domain: CPUs of a core or a last-level cache, caches of a node, nodes.
    fn each_group(&self, core: &Core, cpu: u32, level: usize, mut each: impl FnMut(&[u32])) {
        let topology = &core.topology;
        match level {
            0 => {
                each(&[cpu]);
                topology.siblings[cpu as usize]
                    .iter()
                    .for_each(|cpu| each(&[*cpu]));
            }
            1 => {
                let members = &topology.llc_cpus[topology.llc(cpu)];
                members.iter().for_each(|cpu| each(&[*cpu]));
            }
            2 => {
                let node = topology.node(cpu);
                let inside = |llc: &&Vec<u32>| topology.node(llc[0]) == node;
                topology
                    .llc_cpus
                    .iter()
                    .filter(inside)
                    .for_each(|llc| each(llc));
            }
            _ => topology.node_cpus.iter().for_each(|node| each(node)),
        }
    }

    fn group_load(&self, core: &Core, group: &[u32]) -> GroupLoad {
        let mut sum = GroupLoad::default();
        for cpu in group.iter().copied().filter(|cpu| core.is_online(*cpu)) {
            let queue = &self.queues[cpu as usize];
            sum.load += queue.load(&self.entities) * 1024;
            sum.capacity += u64::from(core.topology.capacity(cpu));
            let waiting = queue.tasks.len();
            if is_waking(core, cpu) {
                continue;
            }
            if queue.len() > 1 && waiting > 0 && sum.crowded.is_none_or(|(most, _)| waiting > most)
            {
                sum.crowded = Some((waiting, cpu));
            }
        }
        sum
    }
}

/// Whether what is queued on a CPU is still on its way there: the CPU idles until it takes an interrupt. Until
/// then the kernel has what was woken for it on a list of its own (`TTWU_QUEUE`): a second task that is woken
/// for the CPU at once waits behind the first, while the waker's own finds nothing to pull. New tasks, which
/// the kernel queues at once, are not told apart, and averages of balancing count what is on its way.
pub(super) fn is_waking(core: &Core, cpu: u32) -> bool {
    core.cpu(cpu).mode == Mode::Idle
}

/// Averages are load for capacity, times this.
const SCALE: u64 = 1024;

/// What the CPUs of a group have to do.
#[derive(Clone, Copy, Debug, Default)]
struct GroupLoad {
    /// Weights of its tasks, times 1024.
    load: u64,
    capacity: u64,
    /// The CPU on which most tasks wait, and how many.
    crowded: Option<(usize, u32)>,
}

impl GroupLoad {
    const fn average(&self) -> u64 {
        self.load * SCALE / if self.capacity == 0 { 1 } else { self.capacity }
    }
}

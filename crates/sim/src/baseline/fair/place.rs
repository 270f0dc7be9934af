//! The CPU for a waking or new task.
//!
//! A wakeup chooses between the CPU where the task was and the waker's ("affine"), and then looks for an
//! idle CPU that shares the cache of that one, a whole idle core first. Sources: M. Galbraith's and
//! P. Zijlstra's `select_idle_sibling` and `wake_affine` as `Documentation/scheduler/sched-domains.rst` and
//! V. Guittot's talks on wakeup paths describe them; J.-P. Lozi et al., "The Linux scheduler: a decade of
//! wasted cores" (EuroSys 2016) for the effects.

use baton_policy::SEC;

use super::{Fair, balance::is_waking};
use crate::engine::{class::Wake, core::Core, task::NONE};

impl Fair {
    pub(super) fn select_cpu(&mut self, core: &Core, task: u32, wake: &Wake) -> u32 {
        let prev = core.tasks[task].cpu;
        if wake.fresh {
            return self.idlest(core, task, prev);
        }
        let mut target = prev;
        if let Some(waker) = wake.waker {
            let wide = self.is_wide(core, waker, task, wake.cpu);
            self.note_wakee(core, waker, task);
            if !wide && wake.cpu != prev && core.tasks[task].may_run_on(wake.cpu) {
                target = self.affine(core, task, wake, prev);
            }
        }
        self.idle_sibling(core, task, prev, target)
    }

    /// Counts how often a task wakes another than the last time; halved each second.
    fn note_wakee(&mut self, core: &Core, waker: u32, wakee: u32) {
        let entity = &mut self.entities[waker as usize];
        if core.now_ns > entity.flips_decay_ns + SEC {
            entity.flips /= 2;
            entity.flips_decay_ns = core.now_ns;
        }
        if entity.last_wakee != wakee {
            entity.last_wakee = wakee;
            entity.flips += 1;
        }
    }

    /// Whether waker and wakee have so many partners that no cache holds them all: then the wakee stays
    /// where it was.
    fn is_wide(&self, core: &Core, waker: u32, wakee: u32, cpu: u32) -> bool {
        let (one, other) = (
            self.entities[waker as usize].flips,
            self.entities[wakee as usize].flips,
        );
        let (master, slave) = (one.max(other), one.min(other));
        let factor = core.topology.llc_cpus[core.topology.llc(cpu)].len() as u32;
        slave >= factor && master >= slave * factor
    }

    /// The waker's CPU or the task's own.
    fn affine(&mut self, core: &Core, task: u32, wake: &Wake, prev: u32) -> u32 {
        let this = wake.cpu;
        let shares = core.topology.llc(this) == core.topology.llc(prev);
        let prev_idles = self.is_idle(core, prev);
        let chosen = if self.is_idle(core, this) && shares {
            if prev_idles { prev } else { this }
        } else if wake.sync && self.queues[this as usize].len() == 1 {
            this
        } else if prev_idles {
            prev
        } else {
            self.lighter(core, task, wake, prev)
        };
        self.counts.affine += u64::from(chosen == this);
        chosen
    }

    /// The one of the two CPUs that has less load for its capacity once the task is there.
    fn lighter(&self, core: &Core, task: u32, wake: &Wake, prev: u32) -> u32 {
        let weight_of = |task: u32| u64::from(self.entities[task as usize].weight);
        let weight = weight_of(task);
        let capacity = |cpu: u32| u64::from(core.topology.capacity(cpu));
        let load = |cpu: u32| match is_waking(core, cpu) {
            true => 0,
            false => self.queues[cpu as usize].load(&self.entities),
        };
        let mut this_load = load(wake.cpu) + weight;
        if let (true, Some(waker)) = (wake.sync, wake.waker) {
            let waker = weight_of(waker);
            if waker >= this_load {
                return wake.cpu;
            }
            this_load -= waker;
        }
        let prev_load = load(prev) + weight;
        // The waker's CPU must win clearly: half of the imbalance that balancing tolerates.
        if this_load * capacity(prev) * 100 < prev_load * capacity(wake.cpu) * 108 {
            wake.cpu
        } else {
            prev
        }
    }

    fn is_idle(&self, core: &Core, cpu: u32) -> bool {
        core.is_online(cpu) && self.idle.contains(cpu)
    }

    /// An idle CPU that shares the target's cache, if there is one.
    fn idle_sibling(&self, core: &Core, task: u32, prev: u32, target: u32) -> u32 {
        let topology = &core.topology;
        let fits = |cpu: u32| self.is_idle(core, cpu) && core.tasks[task].may_run_on(cpu);
        let llc = topology.llc(target);
        if topology.machine.is_hybrid() {
            return self.idle_by_capacity(core, task, prev, target);
        }
        if fits(target) {
            return target;
        }
        let shares = |cpu: u32| topology.llc(cpu) == llc;
        if prev != target && shares(prev) && fits(prev) {
            return prev;
        }
        let recent = self.entities[task as usize].recent_cpu;
        if recent != NONE && recent != prev && shares(recent) && fits(recent) {
            return recent;
        }
        let allowed = core.tasks[task].allowed.as_deref();
        let found = self
            .idle
            .first_core(topology, Some(llc), allowed)
            .or_else(|| self.idle.first(topology, Some(llc), allowed));
        found.unwrap_or(target)
    }

    /// Where CPUs differ: an idle one that is large enough for what the task used to need, the
    /// target's first; else the largest idle one.
    fn idle_by_capacity(&self, core: &Core, task: u32, prev: u32, target: u32) -> u32 {
        let need = self.need(core, task);
        let capacity = |cpu: u32| core.topology.capacity(cpu);
        // A fifth of a CPU stays free.
        let is_enough = |cpu: u32| capacity(cpu) * 4 >= need * 5;
        let fits = |cpu: u32| self.is_idle(core, cpu) && core.tasks[task].may_run_on(cpu);
        for cpu in [target, prev] {
            if fits(cpu) && is_enough(cpu) {
                return cpu;
            }
        }
        let llc = core.topology.llc(target);
        let cpus = core.topology.llc_cpus[llc].iter().copied();
        let idle = cpus.filter(|cpu| fits(*cpu));
        let best =
            idle.max_by_key(|cpu| (is_enough(*cpu), capacity(*cpu), std::cmp::Reverse(*cpu)));
        best.unwrap_or(target)
    }

    /// The share of the largest CPU that a task used in its life, of 1024: a plain mean where the kernel
    /// has one that decays.
    pub(super) fn need(&self, core: &Core, task: u32) -> u32 {
        let entity = &core.tasks[task];
        let age_ns = (core.now_ns - entity.key.start_ns.min(core.now_ns)).max(1);
        ((core.worked_ns(task) * 1024 / age_ns).min(1024)) as u32
    }

    /// The CPU for a new task: idle and near, else the one with the least load.
    fn idlest(&self, core: &Core, task: u32, near: u32) -> u32 {
        let (topology, allowed) = (&core.topology, core.tasks[task].allowed.as_deref());
        let (llc, node) = (topology.llc(near), topology.node(near));
        let found = self
            .idle
            .first_core(topology, Some(llc), allowed)
            .or_else(|| self.idle.first_core(topology, None, allowed))
            .or_else(|| self.idle.first(topology, Some(llc), allowed))
            .or_else(|| self.idle.first_in_node(topology, node, allowed))
            .or_else(|| self.idle.first(topology, None, allowed));
        if let Some(cpu) = found {
            return cpu;
        }
        // The least load anywhere, and the nearest of those.
        let usable = |cpu: &u32| core.tasks[task].may_run_on(*cpu);
        let load = |cpu: &u32| {
            let load = self.queues[*cpu as usize].load(&self.entities);
            (
                load * 1024 / u64::from(topology.capacity(*cpu)),
                topology.distance(near, *cpu),
                *cpu,
            )
        };
        core.online
            .iter()
            .filter(usable)
            .min_by_key(load)
            .unwrap_or(near)
    }
}

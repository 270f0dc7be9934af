//! Cgroups in the fair class: what a task's weight is worth beside other groups' tasks.
//!
//! The kernel gives each group a runqueue on each CPU, and an entity there that competes for it with the
//! group's weight times the part of the group's load that is on this CPU (`calc_group_shares`). A task
//! gets of that by its own weight in the group's load there. The product of the two is the group's weight
//! by the task's part of the load of its whole group, wherever that runs: the task's hierarchical load.
//! Here tasks compete with that number in one queue for each CPU, as R. van Riel's flattened runqueues
//! (2019) do. Shares are the same; a wakeup competes alone instead of with all of its group.
//!
//! Two things are simpler than in the kernel: load is what is runnable now, where the kernel has a mean
//! that decays; and groups have no children.

use super::Fair;
use crate::engine::{cgroups::Cgroups, core::Core};

/// With groups, weights are in so many parts of one: those of a large group's tasks are small.
const FINE: u32 = 64;

/// What is known of groups, by their numbers; nothing as long as there is none but the root's.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// For each, the sum of the weights of its tasks that run or wait to.
    runnable: Vec<u64>,
    /// Parts of one in which weights are.
    fine: u32,
}

impl Fair {
    /// The weight with which a task competes.
    fn weight_of(&self, core: &Core, task: u32) -> u32 {
        let task = &core.tasks[task];
        if self.groups.runnable.is_empty() {
            return task.weight;
        }
        let own = u64::from(task.weight) * u64::from(self.groups.fine);
        let number = (task.cgroup - Cgroups::ROOT) as usize;
        let Some(runnable) = self.groups.runnable.get(number).filter(|_| number > 0) else {
            return own as u32;
        };
        let all = (*runnable).max(u64::from(task.weight));
        ((u64::from(core.cgroups[number].weight) * own / all) as u32).max(1)
    }

    /// A task becomes runnable, or is not any more.
    pub(super) fn count_runnable(&mut self, core: &Core, task: u32, comes: bool) {
        let number = (core.tasks[task].cgroup - Cgroups::ROOT) as usize;
        if number == 0 {
            return;
        }
        let begins = self.groups.runnable.is_empty();
        if self.groups.runnable.len() <= number {
            self.groups.runnable.resize(core.cgroups.len(), 0);
        }
        if begins {
            // The rules of CFS have constants that count in whole weights.
            self.groups.fine = if self.rule.has_lag() { FINE } else { 1 };
            for cpu in 0..self.queues.len() as u32 {
                self.reweigh(core, cpu);
            }
        }
        let weight = u64::from(core.tasks[task].weight);
        let runnable = &mut self.groups.runnable[number];
        *runnable = match comes {
            true => *runnable + weight,
            false => runnable.saturating_sub(weight),
        };
    }

    /// Gives a task that comes the weight that it has now.
    pub(super) fn weigh(&mut self, core: &Core, task: u32) {
        let weight = self.weight_of(core, task);
        let entity = &mut self.entities[task as usize];
        if self.rule.has_lag() && entity.weight != weight {
            // What it is owed stays the same CPU time.
            entity.lag = scaled(entity.lag, entity.weight, weight);
        }
        entity.weight = weight;
    }

    /// Gives all tasks of a CPU the weights that they have now. What each is owed, and what is left of its
    /// request, stays the same CPU time, and so `V` stays where it is.
    pub(super) fn reweigh(&mut self, core: &Core, cpu: u32) {
        if self.groups.runnable.is_empty() {
            return;
        }
        let (_, v) = self.queues[cpu as usize].average(&self.entities);
        for index in 0..self.queues[cpu as usize].len() {
            let Some(task) = self.queues[cpu as usize].members().nth(index) else {
                return;
            };
            let weight = self.weight_of(core, task);
            let entity = &mut self.entities[task as usize];
            if self.rule.has_lag() && entity.weight != weight {
                entity.v = v + scaled(entity.v - v, entity.weight, weight);
                entity.deadline = v + scaled(entity.deadline - v, entity.weight, weight);
            }
            entity.weight = weight;
        }
    }
}

/// Virtual time of one weight as that of another.
fn scaled(virtual_ns: i64, from: u32, to: u32) -> i64 {
    (i128::from(virtual_ns) * i128::from(from) / i128::from(to.max(1))) as i64
}

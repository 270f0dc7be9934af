//! Groups of tasks that may run on the same CPUs, and how many of each are released.
//!
//! Most tasks may run everywhere, some on one CPU; other sets of CPUs are few on a
//! machine. So there is one group for all CPUs, one for each single CPU, and room
//! for some other sets. A task whose set finds no room is counted to one CPU of its
//! set, which bounds its wait and costs it the choice.

use alloc::vec::Vec;

use baton_policy::{CpuSet, Machine};

/// Different sets of more than one CPU and less than all.
const SETS: usize = 32;
/// The group of tasks that may run everywhere.
const EVERYWHERE: usize = 0;

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    cpus: CpuSet,
    /// Known tasks.
    members: u32,
    /// Tasks that were released and have not run yet.
    released: u32,
}

/// The groups of a machine.
#[derive(Debug)]
pub(super) struct Groups {
    possible: CpuSet,
    groups: Vec<Group>,
    released: u64,
}

impl Groups {
    /// The groups of this machine, without tasks.
    pub(super) fn new(machine: &Machine) -> Self {
        let possible: CpuSet = machine.cpus.iter().map(|cpu| cpu.id).collect();
        let sets = (0..=SETS).map(|index| {
            if index == EVERYWHERE {
                possible
            } else {
                CpuSet::EMPTY
            }
        });
        let single = machine
            .cpus
            .iter()
            .map(|cpu| [cpu.id].into_iter().collect());
        let group = |cpus| Group {
            cpus,
            ..Group::default()
        };
        Self {
            possible,
            groups: sets.chain(single).map(group).collect(),
            released: 0,
        }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// CPUs of a group.
    pub(super) fn cpus(&self, group: u32) -> &CpuSet {
        &self.groups[group as usize].cpus
    }

    /// The group of a new task, which may run on `allowed`.
    pub(super) fn join(&mut self, allowed: &CpuSet) -> u32 {
        let group = self.find(&allowed.intersection(&self.possible));
        self.groups[group].members += 1;
        group as u32
    }

    /// A task of the group is gone.
    pub(super) fn quit(&mut self, group: u32) {
        let group = &mut self.groups[group as usize];
        group.members = group.members.saturating_sub(1);
    }

    fn find(&mut self, cpus: &CpuSet) -> usize {
        let Some(lowest) = cpus.lowest() else {
            // Nowhere: the backend will say where, and all that is decided is void.
            return EVERYWHERE;
        };
        let single = 1 + SETS + lowest as usize;
        if *cpus == self.possible {
            return EVERYWHERE;
        }
        if cpus.len() == 1 {
            return single;
        }
        let sets = 1..=SETS;
        let same = |index: &usize| self.groups[*index].cpus == *cpus;
        let unused = |index: &usize| self.groups[*index].members == 0;
        let Some(found) = sets
            .clone()
            .find(same)
            .or_else(|| sets.clone().find(unused))
        else {
            return single;
        };
        self.groups[found].cpus = *cpus;
        found
    }

    /// A task of the group is released, or is so no longer.
    pub(super) fn release(&mut self, group: u32, begins: bool) {
        let released = &mut self.groups[group as usize].released;
        if begins {
            *released += 1;
            self.released += 1;
        } else {
            *released = released.saturating_sub(1);
            self.released = self.released.saturating_sub(1);
        }
    }

    /// Known tasks of the group.
    #[cfg(test)]
    pub(super) fn members(&self, group: u32) -> u32 {
        self.groups[group as usize].members
    }

    /// Tasks of all groups that are released and have not run yet.
    pub(super) fn released_in_all(&self) -> u64 {
        self.released
    }

    /// Tasks of the group that are released and have not run yet.
    pub(super) fn released(&self, group: u32) -> usize {
        self.groups[group as usize].released as usize
    }
}

//! CPUs that idle and that nobody has claimed.

use baton_policy::CpuSet;

use super::{mask::Mask, topology::Topology};

/// Idle CPUs, and those among them whose whole core is idle.
#[derive(Debug)]
pub(crate) struct IdleCpus {
    cpus: Mask,
    cores: Mask,
}

impl IdleCpus {
    pub(crate) const NONE: Self = Self {
        cpus: Mask::EMPTY,
        cores: Mask::EMPTY,
    };

    pub(crate) const fn is_empty(&self) -> bool {
        self.cpus.is_empty()
    }

    pub(crate) const fn contains(&self, cpu: u32) -> bool {
        self.cpus.contains(cpu)
    }

    pub(crate) fn set(&mut self, topology: &Topology, cpu: u32) {
        self.cpus.insert(cpu);
        if !topology.has_smt {
            return;
        }
        let siblings = &topology.siblings[cpu as usize];
        if siblings.iter().all(|sibling| self.cpus.contains(*sibling)) {
            self.cores.insert(cpu);
            siblings
                .iter()
                .for_each(|sibling| self.cores.insert(*sibling));
        }
    }

    /// Whether it was idle and unclaimed; then the caller has claimed it.
    pub(crate) fn take(&mut self, topology: &Topology, cpu: u32) -> bool {
        if !self.cpus.remove(cpu) {
            return false;
        }
        if topology.has_smt && self.cores.remove(cpu) {
            for sibling in &topology.siblings[cpu as usize] {
                self.cores.remove(*sibling);
            }
        }
        true
    }

    /// The lowest one within the last-level cache, if one is given.
    pub(crate) fn first(
        &self,
        topology: &Topology,
        llc: Option<usize>,
        allowed: Option<&CpuSet>,
    ) -> Option<u32> {
        let group = llc.map(|llc| &topology.llc_groups[llc]);
        self.cpus.first(group, allowed)
    }

    /// The same of those whose whole core is idle; without SMT each is.
    pub(crate) fn first_core(
        &self,
        topology: &Topology,
        llc: Option<usize>,
        allowed: Option<&CpuSet>,
    ) -> Option<u32> {
        let group = llc.map(|llc| &topology.llc_groups[llc]);
        let cores = if topology.has_smt {
            &self.cores
        } else {
            &self.cpus
        };
        cores.first(group, allowed)
    }

    /// The lowest one within the node.
    pub(crate) fn first_in_node(
        &self,
        topology: &Topology,
        node: usize,
        allowed: Option<&CpuSet>,
    ) -> Option<u32> {
        self.cpus.first(Some(&topology.node_groups[node]), allowed)
    }

    /// As the kernel chooses for `sched_ext`: whole idle cores first, then the CPU itself, then near it.
    pub(crate) fn nearest(
        &self,
        topology: &Topology,
        near: u32,
        allowed: Option<&CpuSet>,
    ) -> Option<u32> {
        let may_near = allowed.is_none_or(|set| set.contains(near));
        let llc = Some(topology.llc(near));
        if topology.has_smt {
            if may_near && self.cores.contains(near) {
                return Some(near);
            }
            let whole = self
                .first_core(topology, llc, allowed)
                .or_else(|| self.first_core(topology, None, allowed));
            if whole.is_some() {
                return whole;
            }
        }
        if may_near && self.cpus.contains(near) {
            return Some(near);
        }
        self.first(topology, llc, allowed)
            .or_else(|| self.first(topology, None, allowed))
    }
}

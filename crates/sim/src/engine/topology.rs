//! Who shares what with whom, ready for quick answers.

use baton_policy::{CpuSet, Machine};

use super::mask::Group;

/// How far two CPUs are apart, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Distance {
    /// The same CPU.
    Same,
    /// The sibling on the same core: nothing is cold.
    Core,
    /// Another core behind the same last-level cache.
    Llc,
    /// Another last-level cache of the same node.
    Node,
    /// Another node.
    Remote,
}

impl Distance {
    pub(crate) const COUNT: usize = 5;
}

/// The machine, derived once.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) machine: Machine,
    pub(crate) llc_groups: Vec<Group>,
    pub(crate) node_groups: Vec<Group>,
    /// The CPUs of each last-level cache and of each node.
    pub(crate) llc_cpus: Vec<Vec<u32>>,
    pub(crate) node_cpus: Vec<Vec<u32>>,
    /// `siblings[cpu]`: the other CPUs of its core.
    pub(crate) siblings: Vec<Vec<u32>>,
    pub(crate) has_smt: bool,
}

impl Topology {
    pub(crate) fn new(machine: Machine) -> Self {
        let (llcs, nodes) = (machine.llc_count(), machine.node_count());
        let group = |of: &dyn Fn(&baton_policy::Cpu) -> u32, number: usize| -> Group {
            let cpus = machine.cpus.iter();
            let members: CpuSet = cpus
                .filter(|cpu| of(cpu) as usize == number)
                .map(|cpu| cpu.id)
                .collect();
            Group::new(&members)
        };
        let mut llc_cpus = vec![Vec::new(); llcs];
        let mut node_cpus = vec![Vec::new(); nodes];
        for cpu in &machine.cpus {
            llc_cpus[cpu.llc as usize].push(cpu.id);
            node_cpus[cpu.node as usize].push(cpu.id);
        }
        let cores = machine.cpus.iter().map(|cpu| cpu.core as usize + 1).max();
        let mut by_core = vec![Vec::new(); cores.unwrap_or(0)];
        for cpu in &machine.cpus {
            by_core[cpu.core as usize].push(cpu.id);
        }
        let siblings: Vec<Vec<u32>> = machine
            .cpus
            .iter()
            .map(|cpu| {
                let core = by_core[cpu.core as usize].iter();
                core.copied().filter(|other| *other != cpu.id).collect()
            })
            .collect();
        Self {
            llc_groups: (0..llcs).map(|llc| group(&|cpu| cpu.llc, llc)).collect(),
            node_groups: (0..nodes)
                .map(|node| group(&|cpu| cpu.node, node))
                .collect(),
            llc_cpus,
            node_cpus,
            has_smt: siblings.iter().any(|others| !others.is_empty()),
            siblings,
            machine,
        }
    }

    pub(crate) fn llc(&self, cpu: u32) -> usize {
        self.machine.cpus[cpu as usize].llc as usize
    }

    pub(crate) fn node(&self, cpu: u32) -> usize {
        self.machine.cpus[cpu as usize].node as usize
    }

    pub(crate) fn capacity(&self, cpu: u32) -> u32 {
        self.machine.cpus[cpu as usize].capacity
    }

    pub(crate) fn distance(&self, from: u32, to: u32) -> Distance {
        let (a, b) = (
            &self.machine.cpus[from as usize],
            &self.machine.cpus[to as usize],
        );
        if from == to {
            Distance::Same
        } else if a.core == b.core {
            Distance::Core
        } else if a.llc == b.llc {
            Distance::Llc
        } else if a.node == b.node {
            Distance::Node
        } else {
            Distance::Remote
        }
    }

    /// The firmware's distance of the CPUs' nodes; 10 is local.
    pub(crate) fn node_distance(&self, from: u32, to: u32) -> u64 {
        let rows = &self.machine.node_distance;
        let row = rows.get(self.node(from));
        let distance = row.and_then(|row| row.get(self.node(to)));
        u64::from(distance.copied().unwrap_or(20))
    }
}

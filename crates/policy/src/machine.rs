//! The machine as a policy sees it: CPUs, who shares what, and who is faster.

use alloc::{format, string::String, vec::Vec};

use crate::{CpuSet, MAX_CPUS};

/// Capacity of the fastest CPU, as in the kernel's `SCHED_CAPACITY_SCALE`.
pub const CAPACITY_SCALE: u32 = 1024;

/// One logical CPU. The groups (`core`, `llc`, `node`, `package`) are numbered
/// densely from 0 over the whole machine, so they can index arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cpu {
    /// The kernel's number of this CPU.
    pub id: u32,
    /// Physical core; CPUs with the same core are SMT siblings.
    pub core: u32,
    /// Last-level cache that the CPU shares.
    pub llc: u32,
    /// NUMA node.
    pub node: u32,
    /// Socket.
    pub package: u32,
    /// Relative speed, 1 to [`CAPACITY_SCALE`]; the fastest CPU has [`CAPACITY_SCALE`].
    pub capacity: u32,
    /// Whether tasks can run on it when the policy starts.
    pub online: bool,
}

/// A machine: its CPUs in ascending order of `id` and the distances of its nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Machine {
    /// What people call it: a machine file's name, or `host`.
    pub name: String,
    /// Every possible CPU; `cpus[i].id == i`.
    pub cpus: Vec<Cpu>,
    /// `node_distance[from][to]` in the firmware's units: 10 is local, 20 twice as far.
    pub node_distance: Vec<Vec<u32>>,
}

impl Cpu {
    /// Whether it can stand at this place of a machine of `count` CPUs; else what is wrong.
    fn check(&self, at: usize, count: usize) -> Result<(), String> {
        if self.id as usize != at {
            return Err(format!("CPU {} is listed where {at} belongs", self.id));
        }
        for (name, group) in [
            ("core", self.core),
            ("cache", self.llc),
            ("node", self.node),
            ("package", self.package),
        ] {
            if group as usize >= count {
                return Err(format!(
                    "CPU {at} belongs to {name} {group} of a machine of {count} CPUs"
                ));
            }
        }
        if self.capacity == 0 || self.capacity > CAPACITY_SCALE {
            let capacity = self.capacity;
            return Err(format!(
                "CPU {at} has the capacity {capacity}, which is not 1 to {CAPACITY_SCALE}"
            ));
        }
        Ok(())
    }
}

impl Machine {
    /// A machine of `count` equal CPUs, one core each, with one cache and one node.
    #[must_use]
    pub fn uniform(name: &str, count: u32) -> Self {
        let cpus = (0..count)
            .map(|id| Cpu {
                id,
                core: id,
                llc: 0,
                node: 0,
                package: 0,
                capacity: CAPACITY_SCALE,
                online: true,
            })
            .collect();
        Self {
            name: name.into(),
            cpus,
            node_distance: alloc::vec![alloc::vec![10]],
        }
    }

    /// Looks whether it is a machine that a policy can take: 1 to [`MAX_CPUS`] CPUs, one of them
    /// online, whose numbers and groups fit together, with the distances of all nodes. A policy may
    /// index arrays with what a machine says, so one that comes from a file is looked at first.
    ///
    /// # Errors
    /// What is wrong, in a sentence without its subject's name.
    pub fn check(&self) -> Result<(), String> {
        let count = self.cpus.len();
        if count == 0 || count > MAX_CPUS {
            return Err(format!("it has {count} CPUs, which is not 1 to {MAX_CPUS}"));
        }
        for (at, cpu) in self.cpus.iter().enumerate() {
            cpu.check(at, count)?;
        }
        if self.cpus.iter().all(|cpu| !cpu.online) {
            return Err("none of its CPUs is online".into());
        }
        let (nodes, known) = (self.node_count(), self.node_distance.len());
        if known < nodes || self.node_distance.iter().any(|row| row.len() != known) {
            return Err(format!(
                "it has {nodes} nodes, and its distances are not those between each two of them"
            ));
        }
        Ok(())
    }

    /// Number of last-level caches.
    #[must_use]
    pub fn llc_count(&self) -> usize {
        self.cpus
            .iter()
            .map(|cpu| cpu.llc as usize + 1)
            .max()
            .unwrap_or(0)
    }

    /// Number of NUMA nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.cpus
            .iter()
            .map(|cpu| cpu.node as usize + 1)
            .max()
            .unwrap_or(0)
    }

    /// CPUs that were online at the start.
    #[must_use]
    pub fn online(&self) -> CpuSet {
        self.cpus
            .iter()
            .filter(|cpu| cpu.online)
            .map(|cpu| cpu.id)
            .collect()
    }

    /// CPUs that share the last-level cache `llc`.
    #[must_use]
    pub fn llc_cpus(&self, llc: u32) -> CpuSet {
        self.cpus
            .iter()
            .filter(|cpu| cpu.llc == llc)
            .map(|cpu| cpu.id)
            .collect()
    }

    /// CPUs on the same physical core as `cpu`, itself included; empty for an unknown CPU.
    #[must_use]
    pub fn siblings(&self, cpu: u32) -> CpuSet {
        let Some(core) = self.cpus.get(cpu as usize).map(|cpu| cpu.core) else {
            return CpuSet::EMPTY;
        };
        self.cpus
            .iter()
            .filter(|other| other.core == core)
            .map(|other| other.id)
            .collect()
    }

    /// Whether some CPUs are slower than others by nature.
    #[must_use]
    pub fn is_hybrid(&self) -> bool {
        self.cpus.iter().any(|cpu| cpu.capacity != CAPACITY_SCALE)
    }
}

//! The machine that a sysfs tree describes. The kernel shows the topology of online CPUs only, so
//! files may be missing; the numbers in sysfs may have gaps, ours have none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use baton_policy::{CAPACITY_SCALE, Cpu, CpuSet, Machine};

use crate::Error;

/// Distances when the kernel tells none, and that of a node to itself.
const REMOTE_DISTANCE: u32 = 20;
const LOCAL_DISTANCE: u32 = 10;
/// A cache has fewer levels than this, and a CPU fewer cache directories.
const MAX_CACHE_INDEX: u32 = 16;

/// Reads the machine from the sysfs mounted, or copied, at `root`; the live one is `/sys`.
///
/// CPUs that the kernel calls possible but that are not online have no topology. They appear with
/// `online` false, alone on a core of their own, beside the first CPU of their node if the kernel
/// tells that node, else beside the first CPU of all.
///
/// # Errors
/// The tree has no readable list of possible CPUs, or the list is beyond
/// [`MAX_CPUS`](baton_policy::MAX_CPUS).
pub fn read_sys(root: &Path) -> Result<Machine, Error> {
    let cpu_root = root.join("devices/system/cpu");
    let not_sys = |problem: String| Error::NotSys {
        root: root.into(),
        problem,
    };
    let possible = std::fs::read_to_string(cpu_root.join("possible"))
        .map_err(|error| not_sys(error.to_string()))?;
    let possible: CpuSet = possible
        .parse()
        .map_err(|error| not_sys(format!("`{}`: {error}", possible.trim())))?;
    let Some(last) = possible.iter().last() else {
        return Err(not_sys("the list is empty".into()));
    };
    let online = read_list(&cpu_root.join("online")).unwrap_or(possible);
    let nodes = Nodes::read(&root.join("devices/system/node"));
    let raw: Vec<_> = (0..=last)
        .map(|id| {
            RawCpu::read(
                &cpu_root.join(format!("cpu{id}")),
                id,
                online.contains(id),
                &nodes,
            )
        })
        .collect();
    let cpus = number(&raw);
    let node_distance = nodes.distances(&raw, &cpus);
    Ok(Machine {
        name: "host".into(),
        cpus,
        node_distance,
    })
}

/// What sysfs says about one CPU, by keys that are equal for CPUs of one group.
struct RawCpu {
    id: u32,
    online: bool,
    node: Option<u32>,
    package: Option<u32>,
    /// Lowest CPU of the core, or the core's number in its package.
    core: Option<CoreKey>,
    /// Lowest CPU that shares the last-level cache.
    llc: Option<u32>,
    capacity: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CoreKey {
    Lowest(u32),
    Numbered { package: u32, core: u32 },
    Alone(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LlcKey {
    Lowest(u32),
    Package(u32),
}

impl RawCpu {
    fn read(dir: &Path, id: u32, online: bool, nodes: &Nodes) -> Self {
        let topology = dir.join("topology");
        // An unknown package is -1.
        let package = read_number(&topology.join("physical_package_id"));
        let lowest = read_list(&topology.join("thread_siblings_list"))
            .filter(|siblings| siblings.contains(id))
            .and_then(|siblings| siblings.lowest());
        let core = lowest.map(CoreKey::Lowest).or_else(|| {
            let core = read_number(&topology.join("core_id"))?;
            Some(CoreKey::Numbered {
                package: package.unwrap_or(0),
                core,
            })
        });
        Self {
            id,
            online,
            node: nodes.of_cpu(dir, id),
            package,
            core,
            llc: last_level_cache(&dir.join("cache")),
            capacity: read_number(&dir.join("cpu_capacity")).filter(|&capacity| capacity > 0),
        }
    }

    /// Whether the kernel told where this CPU is.
    fn is_placed(&self) -> bool {
        self.online && (self.core.is_some() || self.package.is_some() || self.llc.is_some())
    }
}

/// Numbers groups from 0 in the order of their first CPU.
struct Numbering<K>(BTreeMap<K, u32>);

impl<K: Ord> Numbering<K> {
    fn of(&mut self, key: K) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(key).or_insert(next)
    }
}

fn number(raw: &[RawCpu]) -> Vec<Cpu> {
    let mut cores = Numbering(BTreeMap::new());
    let mut llcs = Numbering(BTreeMap::new());
    let mut nodes = Numbering(BTreeMap::new());
    let mut packages = Numbering(BTreeMap::new());
    // The kernel's scale is that of the fastest CPU it has ever seen; ours is of those here.
    let fastest = raw
        .iter()
        .filter_map(|cpu| cpu.capacity)
        .max()
        .unwrap_or(CAPACITY_SCALE);
    raw.iter()
        .map(|cpu| {
            let model = if cpu.is_placed() {
                cpu
            } else {
                stand_in(cpu, raw)
            };
            let package = model.package.unwrap_or(0);
            let llc = model.llc.map_or(LlcKey::Package(package), LlcKey::Lowest);
            let capacity = cpu.capacity.map_or(CAPACITY_SCALE, |capacity| {
                (u64::from(capacity) * u64::from(CAPACITY_SCALE) / u64::from(fastest)).max(1) as u32
            });
            Cpu {
                id: cpu.id,
                core: cores.of(cpu.core.unwrap_or(CoreKey::Alone(cpu.id))),
                llc: llcs.of(llc),
                node: nodes.of(cpu.node.or(model.node).unwrap_or(0)),
                package: packages.of(package),
                capacity,
                online: cpu.online,
            }
        })
        .collect()
}

/// The CPU whose groups a CPU without topology is counted in: groups of its own would be caches and
/// sockets that do not exist.
fn stand_in<'a>(cpu: &'a RawCpu, raw: &'a [RawCpu]) -> &'a RawCpu {
    let mut placed = raw.iter().filter(|other| other.is_placed());
    let first = placed.clone().next();
    placed
        .find(|other| cpu.node.is_some() && other.node == cpu.node)
        .or(first)
        .unwrap_or(cpu)
}

/// Lowest CPU that shares the last data or unified cache of the CPU with this `cache` directory.
fn last_level_cache(cache: &Path) -> Option<u32> {
    let mut last: Option<(u32, u32)> = None;
    for index in 0..MAX_CACHE_INDEX {
        let dir = cache.join(format!("index{index}"));
        let Some(level) = read_number(&dir.join("level")) else {
            continue;
        };
        let kind = std::fs::read_to_string(dir.join("type")).unwrap_or_default();
        if kind.trim() == "Instruction" {
            continue;
        }
        let shared = read_list(&dir.join("shared_cpu_list")).and_then(|cpus| cpus.lowest());
        if let Some(lowest) = shared
            && last.is_none_or(|(deepest, _)| level > deepest)
        {
            last = Some((level, lowest));
        }
    }
    last.map(|(_, lowest)| lowest)
}

/// The node directories of sysfs; a kernel without NUMA has none.
struct Nodes {
    /// Kernel's numbers of the online nodes, ascending: the order of a `distance` line.
    ids: Vec<u32>,
    /// Their CPUs that are online.
    cpus: BTreeMap<u32, CpuSet>,
    distances: BTreeMap<u32, Vec<u32>>,
}

impl Nodes {
    fn read(root: &Path) -> Self {
        let listed = read_list(&root.join("online")).map(|nodes| nodes.iter().collect());
        let mut ids: Vec<u32> = listed.unwrap_or_else(|| {
            entries(root)
                .iter()
                .filter_map(|name| name.strip_prefix("node")?.parse().ok())
                .collect()
        });
        ids.sort_unstable();
        let dir = |id: &u32| -> PathBuf { root.join(format!("node{id}")) };
        let cpus = ids
            .iter()
            .filter_map(|id| Some((*id, read_list(&dir(id).join("cpulist"))?)))
            .collect();
        let distances = ids
            .iter()
            .filter_map(|id| {
                let line = std::fs::read_to_string(dir(id).join("distance")).ok()?;
                let row: Option<Vec<u32>> = line
                    .split_whitespace()
                    .map(|word| word.parse().ok())
                    .collect();
                Some((*id, row?))
            })
            .collect();
        Self {
            ids,
            cpus,
            distances,
        }
    }

    /// The node of a CPU: its directory has a link to the node, also when it is offline.
    fn of_cpu(&self, dir: &Path, id: u32) -> Option<u32> {
        let linked = entries(dir)
            .iter()
            .filter_map(|name| name.strip_prefix("node")?.parse().ok())
            .min();
        linked.or_else(|| {
            self.cpus
                .iter()
                .find(|(_, cpus)| cpus.contains(id))
                .map(|(id, _)| *id)
        })
    }

    /// The distances among the nodes that have CPUs, by our numbers.
    fn distances(&self, raw: &[RawCpu], cpus: &[Cpu]) -> Vec<Vec<u32>> {
        let count = cpus
            .iter()
            .map(|cpu| cpu.node as usize + 1)
            .max()
            .unwrap_or(1);
        let mut kernel_ids = vec![None; count];
        for (cpu, raw) in cpus.iter().zip(raw) {
            let id = &mut kernel_ids[cpu.node as usize];
            *id = id.or(raw.node);
        }
        let distance = |from: Option<u32>, to: Option<u32>| {
            let column = self.ids.iter().position(|id| Some(*id) == to)?;
            self.distances.get(&from?)?.get(column).copied()
        };
        (0..count)
            .map(|from| {
                (0..count)
                    .map(|to| {
                        let unknown = if from == to {
                            LOCAL_DISTANCE
                        } else {
                            REMOTE_DISTANCE
                        };
                        distance(kernel_ids[from], kernel_ids[to]).unwrap_or(unknown)
                    })
                    .collect()
            })
            .collect()
    }
}

fn entries(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

fn read_number(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn read_list(path: &Path) -> Option<CpuSet> {
    std::fs::read_to_string(path).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    struct Tree(TempDir);

    impl Tree {
        fn new(possible: &str, online: &str) -> Self {
            let tree = Self(TempDir::new().unwrap());
            tree.put("devices/system/cpu/possible", possible);
            tree.put("devices/system/cpu/online", online);
            tree
        }

        fn put(&self, path: &str, text: &str) -> &Self {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{text}\n")).unwrap();
            self
        }

        fn cpu(&self, id: u32, file: &str, text: &str) -> &Self {
            self.put(&format!("devices/system/cpu/cpu{id}/{file}"), text)
        }

        fn place(&self, id: u32, package: i32, core: u32, siblings: &str, llc: &str) {
            self.cpu(id, "topology/physical_package_id", &package.to_string())
                .cpu(id, "topology/core_id", &core.to_string())
                .cpu(id, "topology/thread_siblings_list", siblings)
                .cpu(id, "cache/index0/level", "1")
                .cpu(id, "cache/index0/type", "Data")
                .cpu(id, "cache/index0/shared_cpu_list", siblings)
                .cpu(id, "cache/index3/level", "3")
                .cpu(id, "cache/index3/type", "Unified")
                .cpu(id, "cache/index3/shared_cpu_list", llc);
        }

        fn node(&self, id: u32, cpus: &str, distance: &str) {
            self.put(&format!("devices/system/node/node{id}/cpulist"), cpus);
            self.put(&format!("devices/system/node/node{id}/distance"), distance);
        }

        fn read(&self) -> Machine {
            read_sys(self.0.path()).unwrap()
        }
    }

    #[test]
    fn siblings_far_apart_and_sparse_nodes() {
        // As on a server: siblings are half the machine apart; node 1 has memory only.
        let tree = Tree::new("0-7", "0-7");
        tree.put("devices/system/node/online", "0-2");
        tree.node(0, "0-1,4-5", "10 17 21");
        tree.node(1, "", "17 10 28");
        tree.node(2, "2-3,6-7", "22 28 10");
        for id in 0..8 {
            let (package, low) = ((id % 4) / 2, id % 4);
            let llc = ["0-1,4-5", "2-3,6-7"][package as usize];
            tree.place(
                id,
                package as i32,
                low % 2 * 8,
                &format!("{low},{}", low + 4),
                llc,
            );
        }
        let machine = tree.read();
        assert_eq!(machine.name, "host");
        assert_eq!(machine.siblings(6).to_string(), "2,6");
        assert_eq!(machine.llc_cpus(1).to_string(), "2-3,6-7");
        assert_eq!(machine.cpus[7].package, 1);
        assert_eq!(machine.cpus.iter().map(|cpu| cpu.core).max(), Some(3));
        assert_eq!(machine.node_distance, [[10, 21], [22, 10]]);
        assert_eq!(machine.online().to_string(), "0-7");
    }

    #[test]
    fn offline_and_missing_cpus_fill_the_gaps() {
        let tree = Tree::new("0,2-4", "0,3");
        tree.place(0, 4, 0, "0", "0");
        tree.place(3, 9, 0, "3", "3");
        tree.node(0, "0", "10 20");
        tree.node(1, "3", "20 10");
        // CPU 2 is offline: only the link to its node is left.
        tree.cpu(2, "node1/x", "");
        let machine = tree.read();
        assert_eq!(
            machine.cpus.iter().map(|cpu| cpu.id).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
        assert_eq!(machine.online().to_string(), "0,3");
        let groups: Vec<_> = machine
            .cpus
            .iter()
            .map(|cpu| (cpu.core, cpu.llc, cpu.node, cpu.package))
            .collect();
        assert_eq!(
            groups,
            [
                (0, 0, 0, 0),
                (1, 0, 0, 0),
                (2, 1, 1, 1),
                (3, 1, 1, 1),
                (4, 0, 0, 0)
            ]
        );
    }

    #[test]
    fn a_bare_tree_is_one_node_and_one_package() {
        let machine = Tree::new("0-1", "0-1").read();
        assert_eq!(
            machine,
            Machine {
                name: "host".into(),
                ..Machine::uniform("", 2)
            }
        );
    }

    #[test]
    fn without_caches_the_package_is_the_last_level() {
        let tree = Tree::new("0-3", "0-3");
        for id in 0..4 {
            tree.cpu(id, "topology/physical_package_id", &(id / 2).to_string());
            tree.cpu(id, "topology/core_id", &(id % 2).to_string());
        }
        let machine = tree.read();
        assert_eq!(
            (machine.llc_count(), machine.llc_cpus(1).to_string()),
            (2, "2-3".into())
        );
        assert_eq!(machine.siblings(3).to_string(), "3");
    }

    #[test]
    fn capacities_are_scaled_to_the_fastest() {
        let tree = Tree::new("0-1", "0-1");
        tree.cpu(0, "cpu_capacity", "256")
            .cpu(1, "cpu_capacity", "512");
        let capacities: Vec<_> = tree.read().cpus.iter().map(|cpu| cpu.capacity).collect();
        assert_eq!(capacities, [512, 1024]);
    }

    #[test]
    fn what_is_no_sysfs_says_so() {
        let empty = TempDir::new().unwrap();
        let error = read_sys(empty.path()).unwrap_err().to_string();
        assert!(
            error.contains("does not list this machine's CPUs"),
            "{error}"
        );
        assert!(
            error.ends_with("give the root of a sysfs tree, such as /sys"),
            "{error}"
        );
        let error = read_sys(Tree::new("0-5000", "0").0.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`0-5000`"), "{error}");
    }

    #[test]
    fn reads_the_machine_it_runs_on() {
        let machine = read_sys(Path::new("/sys")).unwrap();
        assert!(!machine.online().is_empty());
        assert_eq!(machine.node_distance.len(), machine.node_count());
    }
}

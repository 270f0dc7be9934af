//! Machine files: a described machine, in TOML.
//!
//! CPUs are numbered threads first, then cores, caches and sockets, as QEMU and the kernel in it do:
//! the siblings of a core are neighbours.

use std::{collections::BTreeSet, ops::Range, path::Path};

use baton_policy::{CAPACITY_SCALE, Cpu, CpuSet, MAX_CPUS, Machine};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    Costs, Error, builtin,
    costs::RawCosts,
    mistake::{self, Mistake},
};

/// Distance of a node to itself, by the ACPI specification.
const LOCAL_DISTANCE: u32 = 10;
/// Distance of two nodes when a file has none: the kernel's `REMOTE_DISTANCE`.
const REMOTE_DISTANCE: u32 = 20;
/// ACPI holds a distance in a byte and reserves 255 for "unreachable".
const MAX_DISTANCE: u32 = 254;
/// CPUs of a VM: those that interrupts reach without an IOMMU's help, as the guest's kernel would need.
const VM_CPUS: u32 = 255;
/// Nodes that a described machine can have.
const MAX_NODES: u32 = 64;
/// Sizes of memory that make sense: below, no kernel boots; above, no host has it.
const MEMORY_MIB: Range<u32> = 256..(1 << 24);
/// Memory of a machine whose file says nothing about it.
const DEFAULT_MEMORY_MIB: u32 = 2048;

/// A described machine. Every cache has the same number of cores, every socket the same number of
/// caches, and every core the same number of threads but for those of a class that says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFile {
    /// What people call it; the file's name without `.toml`, by habit.
    pub name: String,
    /// One sentence: what kind of machine this is.
    pub description: String,
    /// Sockets (packages).
    pub sockets: u32,
    /// Last-level caches in a socket.
    pub llcs_per_socket: u32,
    /// Physical cores that share a last-level cache.
    pub cores_per_llc: u32,
    /// Hardware threads of a core.
    pub threads_per_core: u32,
    /// Memory in MiB, shared out equally among the nodes.
    pub memory_mib: u32,
    /// The nodes; one that holds everything when the file has none.
    pub numa: Numa,
    /// Classes of cores with different speeds; cores in no class have full capacity. The simulator
    /// obeys them; a VM cannot, and runs all cores alike.
    pub core_classes: Vec<CoreClass>,
    /// What things cost; for the simulator.
    pub costs: Costs,
}

/// The NUMA nodes of a described machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numa {
    /// Number of nodes. Each holds the same number of whole last-level caches, in order.
    pub nodes: u32,
    /// `distances[from][to]`: 10 is local, 20 twice as far.
    pub distances: Vec<Vec<u32>>,
}

/// Cores of the same speed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreClass {
    /// What people call it, such as `P` or `E`.
    pub name: String,
    /// The cores, numbered from 0 over the whole machine.
    pub cores: CpuSet,
    /// Speed of a CPU of this class, 1 to [`CAPACITY_SCALE`].
    pub capacity: u32,
    /// Hardware threads of a core of this class, at most the machine's own number.
    pub threads: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    #[serde(default)]
    description: String,
    sockets: Spanned<u32>,
    llcs_per_socket: Spanned<u32>,
    cores_per_llc: Spanned<u32>,
    threads_per_core: Spanned<u32>,
    memory_mib: Option<Spanned<u32>>,
    numa: Option<RawNuma>,
    #[serde(default)]
    core_classes: Vec<RawClass>,
    costs: Option<RawCosts>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNuma {
    nodes: Spanned<u32>,
    distances: Option<Spanned<Vec<Vec<u32>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: String,
    cores: Spanned<String>,
    capacity: Spanned<u32>,
    threads: Option<Spanned<u32>>,
}

impl MachineFile {
    /// Reads the machine file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or has a mistake; the error names its line.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.into(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Finds a machine by the name of a built-in one or by the path of a file. A name with a slash
    /// or ending in `.toml` is a path.
    ///
    /// # Errors
    /// There is no such machine, or its file is unreadable or has a mistake.
    pub fn find(name_or_path: &str) -> Result<Self, Error> {
        if let Some((name, text)) = builtin::FILES
            .iter()
            .find(|(name, _)| *name == name_or_path)
        {
            return Self::parse(&format!("machines/{name}.toml"), text);
        }
        let path = Path::new(name_or_path);
        if name_or_path.contains('/') || name_or_path.ends_with(".toml") || path.is_file() {
            return Self::load(path);
        }
        Err(Error::Unknown {
            name: name_or_path.into(),
            known: builtin::builtin_names(),
        })
    }

    /// Reads a machine file's text; `file` names it in errors.
    ///
    /// # Errors
    /// The text has a mistake; the error names its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        mistake::read::<Raw>(text)
            .and_then(Raw::check)
            .map_err(|(span, problem)| Error::Malformed {
                file: file.into(),
                line: mistake::line(text, &span),
                problem,
            })
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpu_count(&self) -> u32 {
        let fewer = self.core_classes.iter().map(|class| {
            let missing = self.threads_per_core - class.threads;
            class.cores.len() as u32 * missing
        });
        self.core_count() * self.threads_per_core - fewer.sum::<u32>()
    }

    /// Why no VM can be this machine, if none can.
    #[must_use]
    pub fn vm_obstacle(&self) -> Option<String> {
        let uneven = |class: &CoreClass| class.threads != self.threads_per_core;
        if self.core_classes.iter().any(uneven) {
            return Some("its cores have different numbers of threads".to_owned());
        }
        let cpus = self.cpu_count();
        (cpus > VM_CPUS).then(|| format!("it has {cpus} CPUs, and a VM {VM_CPUS} at most"))
    }

    /// Number of physical cores.
    #[must_use]
    pub fn core_count(&self) -> u32 {
        self.llc_count() * self.cores_per_llc
    }

    /// Number of last-level caches.
    #[must_use]
    pub fn llc_count(&self) -> u32 {
        self.sockets * self.llcs_per_socket
    }

    /// CPUs of the node `node`.
    #[must_use]
    pub fn node_cpus(&self, node: u32) -> CpuSet {
        let cpus = self.machine().cpus;
        let of_node = cpus.iter().filter(|cpu| cpu.node == node);
        of_node.map(|cpu| cpu.id).collect()
    }

    /// The machine as a policy sees it, all CPUs online.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let llcs_per_node = self.llc_count() / self.numa.nodes;
        let mut cpus = Vec::with_capacity(self.cpu_count() as usize);
        for core in 0..self.core_count() {
            let mut classes = self.core_classes.iter();
            let class = classes.find(|class| class.cores.contains(core));
            let llc = core / self.cores_per_llc;
            for _ in 0..class.map_or(self.threads_per_core, |class| class.threads) {
                cpus.push(Cpu {
                    id: cpus.len() as u32,
                    core,
                    llc,
                    node: llc / llcs_per_node,
                    package: llc / self.llcs_per_socket,
                    capacity: class.map_or(CAPACITY_SCALE, |class| class.capacity),
                    online: true,
                });
            }
        }
        Machine {
            name: self.name.clone(),
            cpus,
            node_distance: self.numa.distances.clone(),
        }
    }
}

impl Raw {
    fn check(self) -> Result<MachineFile, Mistake> {
        let name = self.name.as_ref().trim();
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err((
                self.name.span(),
                format!("name `{name}` must be one word, without `/`"),
            ));
        }
        let count = |field: &str, value: &Spanned<u32>| match *value.as_ref() {
            count @ 1..=1024 => Ok(count),
            other => Err((
                value.span(),
                format!("{field} = {other} is outside 1 to {MAX_CPUS}"),
            )),
        };
        let mut file = MachineFile {
            name: name.into(),
            description: self.description,
            sockets: count("sockets", &self.sockets)?,
            llcs_per_socket: count("llcs_per_socket", &self.llcs_per_socket)?,
            cores_per_llc: count("cores_per_llc", &self.cores_per_llc)?,
            threads_per_core: count("threads_per_core", &self.threads_per_core)?,
            memory_mib: DEFAULT_MEMORY_MIB,
            numa: Numa {
                nodes: 1,
                distances: vec![vec![LOCAL_DISTANCE]],
            },
            core_classes: Vec::new(),
            costs: Costs::default(),
        };
        let cpus = [
            file.sockets,
            file.llcs_per_socket,
            file.cores_per_llc,
            file.threads_per_core,
        ]
        .iter()
        .map(|&count| u64::from(count))
        .product::<u64>();
        if cpus > MAX_CPUS as u64 {
            let problem = format!(
                "sockets x llcs_per_socket x cores_per_llc x threads_per_core is {cpus} CPUs, \
                 more than {MAX_CPUS}: make one of them smaller"
            );
            return Err((self.sockets.span(), problem));
        }
        if let Some(memory) = self.memory_mib {
            file.memory_mib = *memory.as_ref();
            if !MEMORY_MIB.contains(&file.memory_mib) {
                let problem = format!(
                    "memory_mib = {} is outside {} to {}",
                    file.memory_mib,
                    MEMORY_MIB.start,
                    MEMORY_MIB.end - 1
                );
                return Err((memory.span(), problem));
            }
        }
        if let Some(numa) = self.numa {
            file.numa = numa.check(file.llc_count())?;
        }
        file.core_classes = check_classes(self.core_classes, &file)?;
        file.costs = self.costs.map_or(Ok(Costs::default()), RawCosts::check)?;
        Ok(file)
    }
}

impl RawNuma {
    fn check(self, llcs: u32) -> Result<Numa, Mistake> {
        let nodes = *self.nodes.as_ref();
        if !(1..=MAX_NODES).contains(&nodes) || !llcs.is_multiple_of(nodes) {
            let problem = format!(
                "numa.nodes = {nodes} must be 1 to {MAX_NODES} and divide the {llcs} last-level \
                 caches, as a node holds whole caches"
            );
            return Err((self.nodes.span(), problem));
        }
        let size = nodes as usize;
        let Some(distances) = self.distances else {
            let row = |from| {
                (0..size).map(move |to| {
                    if from == to {
                        LOCAL_DISTANCE
                    } else {
                        REMOTE_DISTANCE
                    }
                })
            };
            return Ok(Numa {
                nodes,
                distances: (0..size).map(|from| row(from).collect()).collect(),
            });
        };
        let rows = distances.as_ref();
        if rows.len() != size || rows.iter().any(|row| row.len() != size) {
            let problem = format!("numa.distances must have {nodes} rows of {nodes} numbers");
            return Err((distances.span(), problem));
        }
        for (from, row) in rows.iter().enumerate() {
            for (to, &distance) in row.iter().enumerate() {
                let good = if from == to {
                    distance == LOCAL_DISTANCE
                } else {
                    (LOCAL_DISTANCE + 1..=MAX_DISTANCE).contains(&distance)
                };
                if !good {
                    let problem = format!(
                        "numa.distances: from node {from} to node {to} cannot be {distance}: a \
                         node is {LOCAL_DISTANCE} from itself and {} to {MAX_DISTANCE} from others",
                        LOCAL_DISTANCE + 1
                    );
                    return Err((distances.span(), problem));
                }
            }
        }
        Ok(Numa {
            nodes,
            distances: distances.into_inner(),
        })
    }
}

fn check_classes(classes: Vec<RawClass>, file: &MachineFile) -> Result<Vec<CoreClass>, Mistake> {
    let (cores, most) = (file.core_count(), file.threads_per_core);
    let mut taken = BTreeSet::new();
    let mut checked = Vec::new();
    for class in classes {
        let span = class.cores.span();
        let set: CpuSet = class.cores.as_ref().parse().map_err(|_| {
            (
                span.clone(),
                "cores must be a list such as \"0-3,8\"".to_owned(),
            )
        })?;
        for core in set.iter() {
            if core >= cores {
                let last = cores - 1;
                return Err((span, format!("there is no core {core}: the last is {last}")));
            }
            if !taken.insert(core) {
                return Err((
                    span,
                    format!("core {core} is in two classes: leave it in one"),
                ));
            }
        }
        let capacity = *class.capacity.as_ref();
        if !(1..=CAPACITY_SCALE).contains(&capacity) {
            let problem = format!("capacity = {capacity} is outside 1 to {CAPACITY_SCALE}");
            return Err((class.capacity.span(), problem));
        }
        let threads = class
            .threads
            .as_ref()
            .map_or(most, |threads| *threads.as_ref());
        if let Some(given) = class.threads.filter(|_| !(1..=most).contains(&threads)) {
            let problem = format!("threads = {threads} is outside 1 to threads_per_core, {most}");
            return Err((given.span(), problem));
        }
        checked.push(CoreClass {
            name: class.name,
            cores: set,
            capacity,
            threads,
        });
    }
    Ok(checked)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;

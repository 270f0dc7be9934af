//! Machine files: a described machine, in TOML.
//!
//! CPUs are numbered threads first, then cores, caches and sockets, as QEMU and the kernel in it do:
//! the siblings of a core are neighbours.

use std::{collections::BTreeSet, ops::Range, path::Path};

use baton_policy::{CAPACITY_SCALE, Cpu, CpuSet, MAX_CPUS, Machine};
use serde::Deserialize;
use toml::Spanned;

use crate::{Error, builtin};

/// Distance of a node to itself, by the ACPI specification.
const LOCAL_DISTANCE: u32 = 10;
/// Distance of two nodes when a file has none: the kernel's `REMOTE_DISTANCE`.
const REMOTE_DISTANCE: u32 = 20;
/// ACPI holds a distance in a byte and reserves 255 for "unreachable".
const MAX_DISTANCE: u32 = 254;
/// Nodes that a described machine can have.
const MAX_NODES: u32 = 64;
/// Sizes of memory that make sense: below, no kernel boots; above, no host has it.
const MEMORY_MIB: Range<u32> = 256..(1 << 24);
/// Memory of a machine whose file says nothing about it.
const DEFAULT_MEMORY_MIB: u32 = 2048;

/// A described machine. Every core has the same number of threads, every cache the same number of
/// cores, every socket the same number of caches.
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
}

/// A mistake: where in the text, and the sentence about it.
type Mistake = (Range<usize>, String);

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
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            // Some of toml's messages go over several lines; the sentence is one.
            malformed(
                file,
                text,
                (span, error.message().trim_end().replace('\n', ", ")),
            )
        })?;
        raw.check()
            .map_err(|mistake| malformed(file, text, mistake))
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpu_count(&self) -> u32 {
        self.core_count() * self.threads_per_core
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
        let per_node = self.cpu_count() / self.numa.nodes;
        (node * per_node..(node + 1) * per_node).collect()
    }

    /// The machine as a policy sees it, all CPUs online.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let llcs_per_node = self.llc_count() / self.numa.nodes;
        let cpus = (0..self.cpu_count())
            .map(|id| {
                let core = id / self.threads_per_core;
                let llc = core / self.cores_per_llc;
                let class = self
                    .core_classes
                    .iter()
                    .find(|class| class.cores.contains(core));
                Cpu {
                    id,
                    core,
                    llc,
                    node: llc / llcs_per_node,
                    package: llc / self.llcs_per_socket,
                    capacity: class.map_or(CAPACITY_SCALE, |class| class.capacity),
                    online: true,
                }
            })
            .collect();
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
        file.core_classes = check_classes(self.core_classes, file.core_count())?;
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

fn check_classes(classes: Vec<RawClass>, cores: u32) -> Result<Vec<CoreClass>, Mistake> {
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
        checked.push(CoreClass {
            name: class.name,
            cores: set,
            capacity,
        });
    }
    Ok(checked)
}

fn malformed(file: &str, text: &str, (span, problem): Mistake) -> Error {
    let before = text.get(..span.start.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    Error::Malformed {
        file: file.into(),
        line,
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"m\"\nsockets = 2\nllcs_per_socket = 2\ncores_per_llc = 3\n\
                        threads_per_core = 2\n";

    fn parse(text: &str) -> Result<MachineFile, String> {
        MachineFile::parse("m.toml", text).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err(), expected);
    }

    #[test]
    fn groups_follow_the_numbering() {
        let file = parse(&format!("{GOOD}[numa]\nnodes = 2\n")).unwrap();
        let machine = file.machine();
        assert_eq!(machine.cpus.len(), 24);
        let last = machine.cpus[23];
        assert_eq!(
            (last.core, last.llc, last.node, last.package),
            (11, 3, 1, 1)
        );
        assert_eq!(machine.siblings(5).to_string(), "4-5");
        assert_eq!(machine.llc_cpus(1).to_string(), "6-11");
        assert_eq!(file.node_cpus(1).to_string(), "12-23");
        assert_eq!(machine.node_distance, [[10, 20], [20, 10]]);
        assert_eq!(file.memory_mib, 2048);
    }

    #[test]
    fn classes_make_a_hybrid() {
        let text = format!(
            "{GOOD}core_classes = [{{ name = \"E\", cores = \"6-11\", capacity = 512 }}]\n"
        );
        let machine = parse(&text).unwrap().machine();
        assert_eq!(
            (machine.cpus[11].capacity, machine.cpus[12].capacity),
            (1024, 512)
        );
        assert!(machine.is_hybrid());
    }

    #[test]
    fn mistakes_name_line_and_remedy() {
        check_error(
            &GOOD.replace("sockets = 2\n", "sockets = 0\n"),
            "m.toml:2: sockets = 0 is outside 1 to 1024",
        );
        check_error(
            &GOOD.replace("cores_per_llc = 3", "cores_per_llc = 300"),
            "m.toml:2: sockets x llcs_per_socket x cores_per_llc x threads_per_core is 2400 CPUs, \
             more than 1024: make one of them smaller",
        );
        check_error(
            &format!("{GOOD}[numa]\nnodes = 3\n"),
            "m.toml:7: numa.nodes = 3 must be 1 to 64 and divide the 4 last-level caches, as a \
             node holds whole caches",
        );
        check_error(
            &format!("{GOOD}[numa]\nnodes = 2\ndistances = [[10, 20]]\n"),
            "m.toml:8: numa.distances must have 2 rows of 2 numbers",
        );
        check_error(
            &format!("{GOOD}[numa]\nnodes = 2\ndistances = [[10, 20], [10, 10]]\n"),
            "m.toml:8: numa.distances: from node 1 to node 0 cannot be 10: a node is 10 from \
             itself and 11 to 254 from others",
        );
        check_error(
            &format!("{GOOD}core_classes = [{{ name = \"E\", cores = \"12\", capacity = 5 }}]\n"),
            "m.toml:6: there is no core 12: the last is 11",
        );
        check_error(
            &format!("{GOOD}memory_mib = 1\n"),
            "m.toml:6: memory_mib = 1 is outside 256 to 16777215",
        );
    }

    #[test]
    fn toml_mistakes_name_the_line_too() {
        check_error(
            &format!("{GOOD}soket = 2\n"),
            "m.toml:6: unknown field `soket`, expected one of `name`, `description`, `sockets`, \
             `llcs_per_socket`, `cores_per_llc`, `threads_per_core`, `memory_mib`, `numa`, \
             `core_classes`",
        );
        let error = parse("name = \"m\"\nsockets = two\n").unwrap_err();
        assert!(
            error.starts_with("m.toml:2: ") && !error.contains('\n'),
            "{error}"
        );
        let error = parse("name = \"m\"\n").unwrap_err();
        assert!(error.contains("missing field `sockets`"), "{error}");
        let error = parse(&GOOD.replace("sockets = 2\n", "sockets = -2\n")).unwrap_err();
        assert!(error.starts_with("m.toml:2: "), "{error}");
    }

    #[test]
    fn find_knows_names_and_paths() {
        assert_eq!(MachineFile::find("2-cpu").unwrap().cpu_count(), 2);
        assert_eq!(
            MachineFile::find("3-cpu").unwrap_err().to_string(),
            "no machine is called `3-cpu`: give the path of a machine file, or one of 2-cpu, \
             4-cpu-smt, 8-cpu-2-socket-numa"
        );
        let error = MachineFile::find("./none.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read machine file ./none.toml: "),
            "{error}"
        );
    }
}

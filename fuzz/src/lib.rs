//! What the targets have in common: how bytes become machines, events and files that a reader takes
//! for whole, so that what lies behind checksums is reached.
//!
//! CONTRIBUTING.md tells how to run them.

pub mod recording;
mod words;

use baton_machine::MachineFile;
use baton_policy::Machine;

pub use words::Words;

/// Machines that differ in what scheduling looks at: siblings, nodes, capacities.
const MACHINES: [&str; 4] = ["2-cpu", "4-cpu-smt", "8-cpu-2-socket-numa", "laptop-hybrid"];

/// One of some machines.
pub fn machine_file(words: &mut Words<'_>) -> MachineFile {
    let name = words.one_of(&MACHINES);
    MachineFile::find(name).expect("a machine that comes with Baton")
}

/// A machine that may contradict itself, a few CPUs large.
pub fn any_machine(words: &mut Words<'_>) -> Machine {
    let mut machine = machine_file(words).machine();
    machine.cpus.truncate(usize::from(words.byte() % 9));
    for _ in 0..words.byte() % 4 {
        let at = usize::from(words.byte());
        let (field, value) = (words.byte(), words.index(16));
        let count = machine.cpus.len().max(1);
        let Some(cpu) = machine.cpus.get_mut(at % count) else {
            continue;
        };
        match field % 7 {
            0 => cpu.id = value,
            1 => cpu.core = value,
            2 => cpu.llc = value,
            3 => cpu.node = value,
            4 => cpu.package = value,
            5 => cpu.capacity = value,
            _ => cpu.online = !cpu.online,
        }
    }
    if words.byte() % 4 == 0 {
        let row = |words: &mut Words<'_>| (0..words.byte() % 4).map(|_| words.index(255)).collect();
        machine.node_distance = (0..words.byte() % 4).map(|_| row(words)).collect();
    }
    machine
}

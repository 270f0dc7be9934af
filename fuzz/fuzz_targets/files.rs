//! Files that people write: machines, workloads, experiments, task classes, thresholds. The same text is
//! read as each of them.
#![no_main]

use baton_lab::{Experiment, check::Thresholds};
use baton_machine::{ClassFile, MachineFile};
use baton_policy::{MS, Machine};
use baton_sim::{Config, simulate};
use baton_workload::Workload;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(machine) = MachineFile::parse("fuzz", text) {
        described(&machine);
    }
    for workload in [Workload::parse_file("fuzz", text), text.parse()] {
        let Ok(workload) = workload else { continue };
        let written = format!("{workload:#}");
        assert_eq!(
            written.parse::<Workload>().ok().as_ref(),
            Some(&workload),
            "{written}"
        );
    }
    if let Ok(experiment) = Experiment::parse("fuzz", text) {
        let cells = experiment.shape().cells().len();
        assert_eq!(experiment.assignment(Vec::new()).to, cells);
        experiment
            .variants
            .iter()
            .for_each(|variant| drop(variant.scheduler.what()));
        experiment
            .workloads
            .iter()
            .for_each(|work| drop(work.run.what()));
    }
    if let Ok(classes) = ClassFile::parse("fuzz", text) {
        let _ = classes.check(&Machine::uniform("fuzz", 4));
        let found = classes.match_cgroup("/user.slice/a.service");
        for (name, cgroup) in [(b"fuzz".as_slice(), Some(found)), (b"".as_slice(), None)] {
            let class = classes.classify(name, cgroup).class;
            assert!(class.is_none_or(|id| classes.classes().get(id).is_some()));
        }
    }
    let _ = Thresholds::from_toml(text);
});

/// A described machine is what it says, and can be simulated, whatever things cost on it.
fn described(file: &MachineFile) {
    let machine = file.machine();
    assert_eq!(machine.cpus.len(), file.cpu_count() as usize);
    assert_eq!(machine.node_count(), machine.node_distance.len());
    let _ = file.vm_obstacle();
    if machine.cpus.len() > 16 {
        return;
    }
    let workload = "pipe:rounds=20+hogs:count=2".parse().expect("a workload");
    for scheduler in ["kernel", "edf"] {
        let mut config = Config::on(file, Workload::clone(&workload));
        config.limit_ns = 20 * MS;
        simulate(scheduler, &config, false).expect("a run");
    }
}

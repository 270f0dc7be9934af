//! Task classes: tasks have theirs by cgroup and by name, and policies that heed classes heed them here.

mod common;

use baton_machine::ClassFile;
use baton_policies::{Edf, Fifo, Hybrid, Priority};
use baton_policy::{MS, Policy, SEC};
use baton_sim::{Cast, Config, Spawn, Stage, run};
use common::{Beat, config};

fn classed(machine: &str, workload: &str, classes: &str) -> Config {
    let file = ClassFile::parse("classes.toml", classes).unwrap();
    Config {
        classes: Some(file),
        ..config(machine, workload)
    }
}

fn work<P: Policy>(config: &Config) -> f64 {
    let report = run::<P>(config).unwrap();
    report.metric("hogs", "work_per_s").unwrap().value / 1e9
}

/// Two tasks in another cgroup that compute for ever.
fn urgent() -> Cast {
    Cast::new(|stage: &mut Stage| {
        for _ in 0..2 {
            let actor = Beat {
                burst_ns: 100 * SEC,
                sleep_ns: 0,
                left: u32::MAX - 1,
            };
            stage.spawn(Spawn::new("db", Stage::NO_PART, actor).cgroup("/urgent/db"));
        }
    })
}

#[test]
fn a_cgroup_gives_a_priority() {
    let classes = "[[class]]\nname = \"urgent\"\ncgroup = \"/urgent/**\"\npriority = 10\n";
    let mut config = classed("2-cpu", "hogs:count=2,seconds=2", classes);
    config.cast = Some(urgent());
    let beside = work::<Priority>(&config);
    // What the floor leaves the lower priority.
    assert!((0.02..0.2).contains(&beside), "{beside}");
    config.classes = None;
    let alone = work::<Priority>(&config);
    assert!((0.9..1.1).contains(&alone), "{alone}");
}

#[test]
fn a_name_gives_cpus() {
    let classes = "[[class]]\nname = \"bulk\"\ntask = \"hog*\"\nallowed = \"1\"\n";
    let config = classed("2-cpu", "hogs:count=2,seconds=2", classes);
    let on_one = work::<Priority>(&config);
    assert!((0.97..1.01).contains(&on_one), "{on_one}");
    assert!(work::<Fifo>(&config) > 1.9);
}

#[test]
fn slow_cpus_alone_do_less() {
    let classes = "[[class]]\nname = \"bulk\"\ntask = \"hog*\"\nallowed = \"12-15\"\n";
    let config = classed("laptop-hybrid", "hogs:count=8,seconds=2", classes);
    let done = work::<Hybrid>(&config);
    let capacity = 4.0 * 563.0 / 1024.0;
    assert!((0.97..1.01).contains(&(done / capacity)), "{done}");
}

#[test]
fn a_cgroup_gives_a_deadline() {
    let mut config = classed(
        "2-cpu",
        "hogs:seconds=2",
        "[[class]]\nname = \"chess\"\ncgroup = \"/games/*\"\ndeadline_ms = 500\n",
    );
    config.costs = config.costs.with("noise_ns", 0).unwrap();
    config.cast = Some(Cast::new(|stage: &mut Stage| {
        for _ in 0..2 {
            let actor = Beat {
                burst_ns: 20 * MS,
                sleep_ns: 30 * MS,
                left: u32::MAX,
            };
            stage.spawn(Spawn::new("engine", Stage::NO_PART, actor).cgroup("/games/chess"));
        }
    }));
    let wakeup_us = |config: &Config| {
        let report = run::<Edf>(config).unwrap();
        let found = report.latencies.iter().find(|found| found.name == "wakeup");
        found.unwrap().p50
    };
    let with = wakeup_us(&config);
    config.classes = None;
    let without = wakeup_us(&config);
    // By its bursts it is more urgent than a hog; its class is patient.
    assert!(without * 10.0 < with, "{with} {without}");
}

#[test]
fn what_a_policy_does_not_heed_is_told() {
    let classes = "[[class]]\nname = \"bulk\"\ntask = \"*\"\nallowed = \"1\"\npriority = 3\n";
    let config = classed("2-cpu", "pipe:rounds=10", classes);
    let notes = run::<Fifo>(&config).unwrap().notes;
    let expected = "fifo does not heed priority, allowed of the task classes";
    assert!(notes.iter().any(|note| note == expected), "{notes:?}");
    let notes = run::<Priority>(&config).unwrap().notes;
    assert!(!notes.iter().any(|note| note.contains("heed")), "{notes:?}");
}

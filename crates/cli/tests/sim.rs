//! `baton sim`: without root, the same each time, and with its mistakes told.

mod common;

use common::{baton, command, given};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    let given = baton(&[&["sim"], arguments, &["--json"]].concat());
    serde_json::from_str(&given.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", given.stdout, given.stderr))
}

#[test]
fn a_run_tells_events_time_and_digest() {
    let arguments = [
        "edf",
        "--workload=frames+hogs",
        "--machine=laptop-hybrid",
        "--seed=1",
        "--for=1s",
    ];
    let (one, other) = (json(&arguments), json(&arguments));
    assert!(one["events"].as_u64().unwrap() > 1000, "{one}");
    assert!(one["wall_s"].as_f64().unwrap() > 0.0, "{one}");
    let digest = one["digest"].as_str().unwrap();
    assert_eq!(digest.len(), 16);
    assert_eq!(one["digest"], other["digest"]);
    let mut arguments = arguments;
    arguments[3] = "--seed=2";
    assert_ne!(json(&arguments)["digest"], one["digest"]);
    assert_eq!(one["metrics"][0]["name"], "frame_p99_ms");
    assert_eq!(one["complete"], true);
}

#[test]
fn baselines_modes_and_this_machine() {
    assert_eq!(
        json(&["kernel", "--workload=pipe:rounds=10"])["scheduler"],
        "kernel"
    );
    let hinted = json(&["fifo", "--workload=pipe:rounds=10", "--mode=hint"]);
    assert_eq!(hinted["mode"], "hint");
    let host = json(&["eevdf", "--workload=pipe:rounds=10", "--machine=host"]);
    assert_eq!(host["machine"], "host");
}

#[test]
fn people_get_tables() {
    let given = baton(&["sim", "edf", "--workload", "pipe:rounds=10+hogs"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    for expected in [
        "round_trip",
        "longest wait",
        "migrations, same LLC",
        "digest",
    ] {
        assert!(given.stdout.contains(expected), "{}", given.stdout);
    }
}

#[test]
fn a_trace_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.pftrace");
    let argument = format!("--trace={}", path.display());
    let given = baton(&["sim", "fifo", "--workload=pipe:rounds=10", &argument]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    // A field of a message, number 1: a packet.
    assert_eq!(std::fs::read(&path).unwrap()[0], 0x0a);
    let argument = "--trace=/nowhere/run.pftrace";
    let given = baton(&["sim", "fifo", "--workload=pipe:rounds=10", argument]);
    assert_eq!(given.status, 1);
    assert!(
        given.stderr.contains("/nowhere/run.pftrace"),
        "{}",
        given.stderr
    );
}

#[track_caller]
fn check_mistake(arguments: &[&str], status: i32, expected: &str) {
    let given = baton(&[&["sim"], arguments].concat());
    assert_eq!(given.status, status, "{arguments:?}: {}", given.stderr);
    assert!(
        given.stderr.contains(expected),
        "{arguments:?}: {}",
        given.stderr
    );
}

#[test]
fn mistakes_are_told() {
    check_mistake(&["fifa", "--workload=pipe"], 2, "did you mean `fifo`?");
    check_mistake(&["fifo", "--workload=pip"], 2, "there is no workload `pip`");
    check_mistake(&["fifo", "--workload=compile"], 2, "cannot be simulated");
    check_mistake(
        &["fifo", "--workload=pipe", "--machine=3-cpu"],
        2,
        "no machine is called",
    );
    check_mistake(
        &["fifo", "--workload=pipe", "--set=x=1"],
        2,
        "unknown parameter x",
    );
    check_mistake(
        &["kernel", "--workload=pipe", "--mode=hint"],
        2,
        "kernel is no policy",
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.toml");
    let text = "name = \"m\"\nsockets = 1\nllcs_per_socket = 1\ncores_per_llc = 2\n\
                threads_per_core = 1\n\n[costs]\nswitch_ns = -1\n";
    std::fs::write(&path, text).unwrap();
    let machine = format!("--machine={}", path.display());
    check_mistake(&["fifo", "--workload=pipe", &machine], 2, "m.toml:8: ");
    let path = directory.path().join("w.toml");
    std::fs::write(&path, "[[part]]\nkind = \"hogs\"\ncount = 0\n").unwrap();
    let workload = format!("--workload={}", path.display());
    check_mistake(
        &["fifo", &workload],
        2,
        "w.toml:3: `hogs:count=0` cannot be",
    );
    check_mistake(
        &["fifo", "--workload=none.toml"],
        2,
        "cannot read workload file none.toml",
    );
    let path = directory.path().join("c.toml");
    let text = "[[class]]\nname = \"far\"\ntask = \"*\"\nallowed = \"7\"\n";
    std::fs::write(&path, text).unwrap();
    let classes = format!("--classes={}", path.display());
    check_mistake(
        &["priority", "--workload=pipe", &classes],
        2,
        "c.toml:4: allowed = \"7\" of class `far` names no CPU of this machine",
    );
}

#[test]
fn a_workload_file_and_task_classes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    let text = "[[class]]\nname = \"bulk\"\ntask = \"hog*\"\nallowed = \"1\"\n";
    std::fs::write(&path, text).unwrap();
    let classes = format!("--classes={}", path.display());
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/workload.toml");
    let workload = format!("--workload={example}");
    let told = json(&["fifo", &workload, "--for=0.1s", &classes]);
    assert_eq!(
        told["workload"],
        "frames:load=0.4,deadline=2,seconds=0.1+hogs:count=1/cpu,seconds=0.1+pipe:threads=no"
    );
    let note = "fifo does not heed allowed of the task classes";
    assert!(
        told["notes"].as_array().unwrap().contains(&note.into()),
        "{told}"
    );
    let hogs = |classes: &str| {
        let told = json(&["priority", "--workload=hogs:count=2,seconds=1", classes]);
        told["metrics"][0]["value"].as_f64().unwrap()
    };
    assert!(hogs(&classes) < 0.6 * hogs("--seed=1"));
}

#[test]
fn what_does_not_end_in_time_says_so() {
    let arguments = ["fifo", "--workload=pipe:rounds=1000000", "--limit=10ms"];
    check_mistake(&arguments, 124, "raise --limit");
    assert_eq!(json(&arguments)["complete"], false);
}

#[test]
fn a_machine_that_no_vm_can_be_is_refused() {
    for (machine, why) in [
        ("laptop-hybrid", "different numbers of threads"),
        ("1024-cpu", "1024 CPUs"),
    ] {
        let given = baton(&["vm", "--machine", machine, "--", "true"]);
        assert_eq!(given.status, 2, "{}", given.stderr);
        assert!(given.stderr.contains(why), "{}", given.stderr);
        assert!(given.stderr.contains("baton sim"), "{}", given.stderr);
    }
}

#[test]
fn what_a_bench_measured_is_simulated_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("results.json");
    let cell = |variant: &str, median: f64| {
        serde_json::json!({
            "workload": "pipe:rounds=50", "variant": variant, "part": "pipe", "metric": "time_s",
            "unit": "s", "primary": true, "median": median,
            "quartiles": [median * 0.9, median * 1.1], "ratio": 1.0, "n": 5,
        })
    };
    let results = serde_json::json!({
        "cells": [cell("kernel", 1.0), cell("fifo", 0.5), cell("scx_rlfifo", 2.0)],
        "counters": {}, "wait_max_ms": {}, "failures": [], "kernel": "7.0", "machine": "2-cpu",
        "runs": 5, "seed": 1, "wall_s": 1.0,
    });
    std::fs::write(&path, results.to_string()).unwrap();
    let path = path.display().to_string();
    let given = baton(&["bench", "sim", &path, "--runs=1"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    for expected in [
        "| pipe:rounds=50 | time_s | kernel | 1 |",
        "Of 1 pairs of schedulers the measurement separates 1",
        "not compared: pipe:rounds=50 under scx_rlfifo",
    ] {
        assert!(given.stdout.contains(expected), "{}", given.stdout);
    }
    let given = baton(&["bench", "sim", &path, "--runs=1", "--json"]);
    let json: Value = serde_json::from_str(&given.stdout).unwrap();
    assert_eq!(json["pairs"][0]["lower"], "fifo");
    assert!(
        json["rows"][1]["simulated"].as_f64().unwrap() > 0.0,
        "{json}"
    );
    std::fs::write(&path, "{}").unwrap();
    let given = baton(&["bench", "sim", &path]);
    assert_eq!(given.status, 1);
    assert!(
        given.stderr.contains("it is not of `bench kernel --json`"),
        "{}",
        given.stderr
    );
}

/// As behind `| head`: what is not read is dropped, and nothing is complained of.
#[test]
fn a_reader_that_goes_is_no_mistake() {
    let sim = ["sim", "edf", "--workload=pipe:rounds=10"];
    let as_json = [&sim[..], &["--json"]].concat();
    for arguments in [&["policies"][..], &["workload", "--list"], &sim, &as_json] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command().args(arguments).stdout(writer).output().unwrap();
        let given = given(output);
        assert_eq!(given.status, 0, "{arguments:?}: {}", given.stderr);
        assert_eq!(given.stderr, "", "{arguments:?}");
    }
    // Who reads on and cannot be given all is told.
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = command().arg("policies").stdout(full).output().unwrap();
    let given = given(output);
    assert_eq!(given.status, 1);
    assert!(
        given.stderr.contains("cannot write to standard output"),
        "{}",
        given.stderr
    );
}

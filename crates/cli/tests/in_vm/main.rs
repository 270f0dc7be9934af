//! What needs a kernel with sched_ext: run by `make test` in VMs.

#[path = "../common/mod.rs"]
mod common;
mod lab;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use common::{baton, command, recording, run};

#[test]
#[ignore = "boots a VM"]
fn the_commands_status_comes_out() {
    assert_eq!(baton(&["vm", "--", "sh", "-c", "exit 7"]).status, 7);
}

#[test]
#[ignore = "boots a VM"]
fn the_time_limit_holds() {
    let start = Instant::now();
    let given = baton(&["vm", "--timeout", "15s", "--", "sleep", "600"]);
    assert_eq!(given.status, 124, "{}", given.stderr);
    assert!(given.stderr.contains("--timeout"), "{}", given.stderr);
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
#[ignore = "boots a VM"]
fn a_recorded_run_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("run.log").display().to_string();
    let script = "baton run edf --for 3s --log /tmp/run.log & baton workload messaging; wait";
    let out = format!("/tmp/run.log:{log}");
    let ran = baton(&["vm", "--out", &out, "--", "sh", "-c", script]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let replayed = baton(&["replay", &log, "--json"]);
    assert_eq!(replayed.status, 0, "{}{}", replayed.stdout, replayed.stderr);
    let result: serde_json::Value = serde_json::from_str(&replayed.stdout).unwrap();
    assert!(
        result["complete"] == true && result["decisions"].as_u64() > Some(0),
        "{result}"
    );
}

/// Beside a policy, and out of the VM; and what a full disk leaves can be read.
#[test]
#[ignore = "boots a VM"]
fn a_recording_comes_out_of_the_vm() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (whole, cut) = (path("whole.rec"), path("cut.rec"));
    // Room for a block of 64 KiB, and none for another: 480,000 messages leave 300.
    let script = "mkdir /small; mount -t tmpfs -o size=96k none /small;
        baton record -o /tmp/whole.rec --json -- baton workload messaging || exit 9;
        baton record -o /small/cut.rec --json -- baton workload messaging:loops=300";
    let arguments = [
        "vm",
        "--policy",
        "edf",
        "--out",
        &format!("/tmp/whole.rec:{whole}"),
        "--out",
        &format!("/small/cut.rec:{cut}"),
        "--",
        "sh",
        "-c",
        script,
    ];
    let ran = baton(&arguments);
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    let error = ran.stdout.lines().last().unwrap_or_default();
    assert!(
        error.contains("\"io\"") && error.contains("make room"),
        "{error}"
    );
    let audit = recording::audit(&whole);
    assert!(audit.holds(), "{audit:?}");
    let summary = recording::summary(&whole);
    assert_eq!((summary.lost, summary.cut_at), (0, None), "{summary:?}");
    assert!(summary.kinds.relay_enqueue > 100 && summary.kinds.relay_decided > 100);
    assert!(summary.kinds.wakeup > 1_000, "{:?}", summary.kinds);
    let summary = recording::summary(&cut);
    assert!(
        summary.cut_at.is_some() && summary.events > 100,
        "{summary:?}"
    );
}

#[test]
#[ignore = "boots a VM"]
fn a_new_project_builds_and_schedules() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(command().args(["new", "mine"]).current_dir(&folder));
    assert_eq!(made.status, 0, "{}", made.stderr);
    let project = folder.path().join("mine");
    let arguments = [
        "vm",
        "--policy",
        ".",
        "--",
        "baton",
        "workload",
        "pipe:rounds=100",
    ];
    let ran = run(command().args(arguments).current_dir(&project));
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("mine scheduled this machine"),
        "{}",
        ran.stderr
    );
}

#[test]
#[ignore = "boots a VM"]
fn the_bench_measures_all_cells() {
    let workloads = "pipe:rounds=50+hogs:count=2";
    let arguments = [
        "bench",
        "kernel",
        "--runs",
        "1",
        "--json",
        "--workloads",
        workloads,
    ];
    let ran = baton(&arguments);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for variant in ["kernel", "fifo", "edf"] {
        let of = |cell: &&serde_json::Value| cell["variant"] == variant && cell["primary"] == true;
        let cell = summary["cells"]
            .as_array()
            .unwrap()
            .iter()
            .find(of)
            .expect(variant);
        assert!(
            cell["n"] == 1 && cell["median"].is_number() && cell["ratio"].is_number(),
            "{cell}"
        );
        let beside =
            |cell: &&serde_json::Value| cell["variant"] == variant && cell["part"] == "hogs";
        let work = summary["cells"]
            .as_array()
            .unwrap()
            .iter()
            .find(beside)
            .expect(variant);
        assert!(
            work["metric"] == "work_per_s" && work["median"].as_f64() > Some(0.0),
            "{work}"
        );
        let counted = &summary["counters"][variant]["events"];
        assert!(
            variant == "kernel" || counted.as_u64() > Some(0),
            "{summary}"
        );
    }
}

/// One peer refuses to load, the other is a policy of ours under its name.
#[test]
#[ignore = "boots a VM"]
fn a_peer_that_does_not_load_is_named_and_the_rest_measured() {
    let folder = tempfile::tempdir().unwrap();
    let peers = [
        (
            "scx_rustland",
            "echo starting; echo 'no such kfunc' >&2; exit 1",
        ),
        ("scx_rlfifo", "exec baton run fifo"),
    ];
    for (name, script) in peers {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), env!("PATH"));
    let workload = "pipe:rounds=50";
    let arguments = [
        "bench",
        "kernel",
        "--runs=1",
        "--policies=edf",
        "--peers",
        "--json",
    ];
    let mut bench = command();
    bench.args(arguments).args(["--workloads", workload]);
    let ran = run(bench.env("PATH", path));
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let failures = summary["failures"].to_string();
    assert!(
        failures.contains("scx_rustland") && failures.contains("no such kfunc"),
        "{failures}"
    );
    for (variant, measured) in [
        ("kernel", 1),
        ("edf", 1),
        ("scx_rustland", 0),
        ("scx_rlfifo", 1),
    ] {
        let of = |cell: &&serde_json::Value| cell["variant"] == variant && cell["primary"] == true;
        let cells = summary["cells"].as_array().unwrap();
        let cell = cells.iter().find(of).expect(variant);
        assert_eq!(cell["n"], measured, "{cell}");
    }
}

/// Waits until a policy schedules; to be put before what needs one.
const ENABLED: &str =
    "while [ \"$(cat /sys/kernel/sched_ext/state)\" != enabled ]; do sleep 0.1; done";

#[test]
#[ignore = "boots a VM"]
fn a_running_policy_can_be_asked_and_replaced() {
    let script = format!(
        "printf '[[class]]\\nname = \"batch\"\\ntask = \"hog\"\\n' >/tmp/classes.toml
         baton run edf --classes /tmp/classes.toml >/dev/null 2>/tmp/first & FIRST=$!; {ENABLED}
         baton workload hogs:count=3,seconds=8 >/dev/null & HOGS=$!
         sleep 2; baton top --once; baton why $HOGS
         baton switch fifo --for 3s 2>&1; wait $FIRST; cat /tmp/first; wait $HOGS
         cat /sys/kernel/sched_ext/state; ls /run/baton; baton why 1"
    );
    let ran = baton(&["vm", "--", "sh", "-c", &script]);
    for words in [
        "edf, mode decide, process ",
        " on CPU ",
        "by a decision of the policy",
        "  batch  ",
        "class batch, weight 100",
        "fifo took over from edf: ",
        "fifo took over (process ",
        "disabled",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.stdout);
    }
    // Nothing is left of the socket either.
    assert!(
        ran.stdout.trim_end().ends_with("disabled"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("no policy runs on this machine"),
        "{}",
        ran.stderr
    );
}

#[test]
#[ignore = "boots a VM"]
fn a_cgroup_alone_is_scheduled() {
    let part = "/sys/fs/cgroup/part";
    let script = format!(
        "mkdir {part}; sh -c 'echo $$ >{part}/cgroup.procs; while :; do :; done' & BUSY=$!
         baton doctor | grep 'CPU performance'
         baton run edf --only part --for 4s --stats 2>&1 & RUN=$!; {ENABLED}
         sleep 2; baton top --once; baton switch fifo --only part; echo status $?
         wait $RUN; kill $BUSY; cat /sys/kernel/sched_ext/state"
    );
    let ran = baton(&["vm", "--kernel", "7.0", "--", "sh", "-c", &script]);
    for words in [
        "taken by the kernel",
        "edf schedules 1 task of the cgroup /part for 4 s",
        "edf, mode decide",
        "; 1 task of cgroup /part",
        "status 2",
        "edf scheduled 1 task of the cgroup /part for",
        "tasks: 1 taken in all, 1 given back",
        "disabled",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.stdout);
    }
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
#[ignore = "boots a VM"]
fn a_broken_guard_gives_the_machine_back() {
    let script = format!(
        "baton run edf --json --guard 'p50_wakeup<1us' & RUN=$!; {ENABLED}
         baton workload pipe+hogs:count=4,seconds=8 >/dev/null; wait $RUN; STATUS=$?
         [ $(cat /sys/kernel/sched_ext/state) = disabled ] || exit 99; exit $STATUS"
    );
    let ran = baton(&["vm", "--", "sh", "-c", &script]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    // One document: the report, and that it was no success.
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert_eq!(document["exit"]["kind"], "guard_broken");
    assert_eq!(document["error"]["code"], "guard-broken");
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.contains("p50_wakeup<1us did not hold"), "{message}");
}

/// Workloads that need more than this program: processes of it, cgroups, a compiler.
#[test]
#[ignore = "boots a VM"]
fn workloads_with_needs_run_in_a_vm() {
    let workloads = [
        "frames:seconds=2+build:units=10,unit_ms=10",
        "isolation:hogs=1/cpu,forks=4,seconds=2",
        "tenants:weights=100/200/100,seconds=2",
        "compile",
        "../../docs/workload.toml",
    ];
    let script: Vec<String> = workloads
        .iter()
        .map(|workload| format!("baton workload {workload} --json"))
        .collect();
    let left = "ls -d /tmp/baton-* /sys/fs/cgroup/baton-* 2>/dev/null | wc -l";
    let script = format!("{}; {left}", script.join("; "));
    let ran = baton(&["vm", "--", "sh", "-c", &script]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{}{}", ran.stdout, ran.stderr);
    let measured = [
        ("build", "work_per_s"),
        ("isolation", "wakeup_p99_us"),
        ("tenants", "tenant2_share"),
        ("compile", "time_s"),
        ("frames", "frame_p99_ms"),
    ];
    for (line, (part, name)) in lines.iter().zip(measured) {
        let report: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(report["complete"], true, "{report}");
        let of = |metric: &&serde_json::Value| metric["part"] == part && metric["name"] == name;
        let metric = report["metrics"].as_array().unwrap().iter().find(of);
        let value = metric.and_then(|metric| metric["value"].as_f64());
        assert!(value > Some(0.0), "{part} {name}: {report}");
    }
    assert_eq!(lines[5].trim(), "0", "files or cgroups are left");
}

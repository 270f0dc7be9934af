//! What needs a kernel with sched_ext: run by `make test` in VMs.

mod common;

use std::time::{Duration, Instant};

use common::{baton, command, given};

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

#[test]
#[ignore = "boots a VM"]
fn a_new_project_builds_and_schedules() {
    let folder = tempfile::tempdir().unwrap();
    let made = given(
        command()
            .args(["new", "mine"])
            .current_dir(&folder)
            .output()
            .unwrap(),
    );
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
    let ran = given(
        command()
            .args(arguments)
            .current_dir(&project)
            .output()
            .unwrap(),
    );
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

/// Waits until a policy schedules; to be put before what needs one.
const ENABLED: &str =
    "while [ \"$(cat /sys/kernel/sched_ext/state)\" != enabled ]; do sleep 0.1; done";

#[test]
#[ignore = "boots a VM"]
fn a_running_policy_can_be_asked_and_replaced() {
    let script = format!(
        "baton run edf >/dev/null 2>/tmp/first & FIRST=$!; {ENABLED}
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
fn a_broken_guard_gives_the_machine_back() {
    let script = format!(
        "baton run edf --guard 'p50_wakeup<1us' & RUN=$!; {ENABLED}
         baton workload pipe+hogs:count=4,seconds=8 >/dev/null; wait $RUN; STATUS=$?
         cat /sys/kernel/sched_ext/state; exit $STATUS"
    );
    let ran = baton(&["vm", "--", "sh", "-c", &script]);
    assert_eq!(
        (ran.status, ran.stdout.trim()),
        (1, "disabled"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("p50_wakeup<1us did not hold"),
        "{}",
        ran.stderr
    );
}

/// Workloads that need more than this program: processes of it, cgroups, a compiler.
#[test]
#[ignore = "boots a VM"]
fn workloads_with_needs_run_in_a_vm() {
    let workloads = [
        "frames:seconds=2+build:units=10,unit_ms=10",
        "isolation:hogs=1/cpu,forks=4,seconds=2",
        "compile",
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
    assert_eq!(lines.len(), 4, "{}{}", ran.stdout, ran.stderr);
    let measured = [
        ("build", "work_per_s"),
        ("isolation", "wakeup_p99_us"),
        ("compile", "time_s"),
    ];
    for (line, (part, name)) in lines.iter().zip(measured) {
        let report: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(report["complete"], true, "{report}");
        let of = |metric: &&serde_json::Value| metric["part"] == part && metric["name"] == name;
        let metric = report["metrics"].as_array().unwrap().iter().find(of);
        let value = metric.and_then(|metric| metric["value"].as_f64());
        assert!(value > Some(0.0), "{part} {name}: {report}");
    }
    assert_eq!(lines[3].trim(), "0", "files or cgroups are left");
}

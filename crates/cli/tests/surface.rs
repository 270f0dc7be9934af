//! What every command has: help with an example, and JSON where a program may read.

mod common;

use common::baton;

#[test]
fn help_has_an_example() {
    let commands: &[&[&str]] = &[
        &[],
        &["doctor"],
        &["policies"],
        &["run"],
        &["switch"],
        &["top"],
        &["why"],
        &["record"],
        &["trace"],
        &["trace", "info"],
        &["trace", "export"],
        &["trace", "import"],
        &["learn"],
        &["learn", "bursts"],
        &["learn", "export"],
        &["learn", "import"],
        &["train"],
        &["eval"],
        &["replay"],
        &["sim"],
        &["vm"],
        &["workload"],
        &["bench"],
        &["bench", "kernel"],
        &["bench", "sim"],
        &["bench", "model"],
        &["lab"],
        &["lab", "run"],
        &["lab", "list"],
        &["lab", "compare"],
        &["lab", "check"],
        &["lab", "guest"],
        &["lab", "cell"],
        &["new"],
        &["mcp"],
        &["chaos"],
        &["in-guest"],
        &["bench-guest"],
    ];
    for &command in commands {
        let given = baton(&[command, &["--help"]].concat());
        assert_eq!(given.status, 0, "{command:?}");
        assert!(
            given.stdout.contains("Example"),
            "{command:?}: {}",
            given.stdout
        );
    }
}

#[test]
fn policies_are_listed() {
    let text = baton(&["policies"]).stdout;
    let names = ["fifo", "edf", "learned", "eevdf", "priority", "hybrid"];
    let listed = |name: &&str| {
        text.lines()
            .any(|line| line.split(' ').next() == Some(name))
    };
    assert!(names.iter().all(listed), "{text}");
    let list: serde_json::Value =
        serde_json::from_str(&baton(&["policies", "--json"]).stdout).unwrap();
    let listed: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].clone())
        .collect();
    assert_eq!(listed, names);
    assert_eq!(list[1]["modes"], serde_json::json!(["decide", "hint"]));
    let all = serde_json::json!(["decide", "hint", "infer"]);
    assert_eq!(list[2]["modes"], all);
    assert_eq!(list[4]["modes"], serde_json::json!(["decide"]));
}

#[test]
fn workloads_are_listed() {
    let list = baton(&["workload", "--list", "--json"]).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["name"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "messaging",
            "pipe",
            "frames",
            "hogs",
            "build",
            "compile",
            "isolation",
            "requests",
            "audio",
            "stream",
            "tenants",
            "game"
        ]
    );
}

#[test]
fn a_workload_is_measured_here() {
    let given = baton(&["workload", "pipe:rounds=20", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).unwrap();
    assert_eq!((given.status, &report["complete"]), (0, &true.into()));
}

#[test]
fn a_build_executes_this_program() {
    let given = baton(&["workload", "build:units=4,unit_ms=2", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&given.stdout).unwrap();
    assert_eq!((given.status, &report["complete"]), (0, &true.into()));
    assert!(
        report["metrics"][0]["value"].as_f64() > Some(0.0),
        "{report}"
    );
}

#[test]
fn the_doctor_always_answers() {
    let given = baton(&["doctor", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&given.stdout).unwrap();
    let able = answer["can"]["run"] == true || answer["can"]["vm"] == true;
    assert_eq!(given.status, if able { 0 } else { 3 });
    for check in answer["checks"].as_array().unwrap() {
        let helped =
            check["ok"] == true || check["optional"] == true || check["remedy"].is_string();
        assert!(helped, "{check}");
    }
}

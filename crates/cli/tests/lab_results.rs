//! `baton lab compare` and `baton lab check`: verdicts on results files, exit statuses, mistakes.

mod common;

use std::path::{Path, PathBuf};

use common::{Given, baton};
use serde_json::{Value, json};

/// Twelve rounds of `kernel` at 1 s and `edf` at `middle`, each a little different.
fn results(directory: &Path, name: &str, middle: f64) -> PathBuf {
    let run = |variant: &str, round: u32, value: f64| {
        let wobble = 1.0 + 0.01 * f64::from((round * 7 + variant.len() as u32) % 5);
        json!({
            "round": round, "boot": 0, "variant": variant, "workload": "pipe", "seed": 1, "status": "ok", "problem": null,
            "values": {"pipe.time_s": value * wobble}, "latencies": {}, "cpu_s": 1.0, "wall_s": 1.0, "counters": {},
        })
    };
    let runs: Vec<Value> = (0..12)
        .flat_map(|round| [run("kernel", round, 1.0), run("edf", round, middle)])
        .collect();
    let variant = |name: &str| json!({"name": name, "what": "", "same_as": null});
    let document = json!({
        "schema": 1, "experiment": "made", "description": "", "source": "", "seed": 1, "runs_planned": 12,
        "environment": {
            "backend": "vm", "kernel": "7.0", "machine": "2-cpu", "cpus": 2, "processor": "", "accelerator": null,
            "versions": {}, "git": null,
        },
        "variants": [variant("kernel"), variant("edf")],
        "workloads": [{"name": "pipe", "what": "pipe:rounds=3000,threads=yes"}],
        "metrics": [
            {"workload": "pipe", "name": "pipe.time_s", "unit": "s", "better": "lower", "primary": true},
        ],
        "runs": runs, "notes": [], "started": "2026-11-26T10:00:00Z", "wall_s": 24.0,
    });
    let path = directory.join(name);
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

fn lab(arguments: &[&str], paths: &[&Path]) -> Given {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let all: Vec<&str> = ["lab"]
        .iter()
        .copied()
        .chain(arguments.iter().copied())
        .chain(paths)
        .collect();
    baton(&all)
}

#[test]
fn a_regression_ends_with_one() {
    let directory = tempfile::tempdir().unwrap();
    let good = results(directory.path(), "good.json", 0.8);
    let bad = results(directory.path(), "bad.json", 1.2);
    assert_eq!(lab(&["check"], &[&good]).status, 0);
    let given = lab(&["check"], &[&bad]);
    assert_eq!(given.status, 1, "{}", given.stderr);
    let words = "regression: pipe.time_s of pipe under edf: worse: 1.2";
    assert!(given.stdout.contains(words), "{}", given.stdout);
    assert_eq!(
        lab(&["check", "--threshold", "primary=1.5"], &[&bad]).status,
        0
    );
    let against = lab(&["check", "--json", "--against"], &[&good, &bad]);
    let outcome: Value = serde_json::from_str(&against.stdout).unwrap();
    assert_eq!((against.status, &outcome["passed"]), (1, &false.into()));
    assert_eq!(outcome["regressions"][0]["verdict"], "worse");
    // Against itself nothing changed.
    assert_eq!(lab(&["check", "--against"], &[&bad, &bad]).status, 0);
}

#[test]
fn a_check_of_nothing_ends_with_one() {
    let directory = tempfile::tempdir().unwrap();
    let good = results(directory.path(), "good.json", 1.0);
    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_slice(&std::fs::read(&good).unwrap()).unwrap();
        change(&mut document);
        let path = directory.path().join(name);
        std::fs::write(&path, document.to_string()).unwrap();
        path
    };
    let failed = changed("failed.json", &|document| {
        let runs = document["runs"].as_array_mut().unwrap();
        runs.iter_mut()
            .for_each(|run| run["status"] = "failed".into());
    });
    let one = changed("one.json", &|document| {
        document["variants"].as_array_mut().unwrap().truncate(1);
        let runs = document["runs"].as_array_mut().unwrap();
        runs.retain(|run| run["variant"] == "kernel");
    });
    let check = |arguments: &[&str], paths: &[&Path], words: &str| {
        let given = lab(arguments, paths);
        assert_eq!(given.status, 1, "{} {}", given.stdout, given.stderr);
        assert!(given.stdout.contains(words), "{}", given.stdout);
    };
    check(&["check"], &[&failed], "no run of the workload pipe");
    check(&["check"], &[&one], "nothing was checked");
    check(
        &["check", "--threshold", "pipe.time_s=1.1"],
        &[&one],
        "nothing was checked",
    );
    let words = "the variant edf is missing now";
    check(&["check", "--against"], &[&good, &one], words);
}

#[test]
fn thresholds_come_from_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let bad = results(directory.path(), "bad.json", 1.2);
    let file = directory.path().join("thresholds.toml");
    std::fs::write(&file, "\"pipe/pipe.time_s\" = 1.5\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(lab(&["check", "--threshold", file], &[&bad]).status, 0);
    assert_eq!(
        lab(
            &[
                "check",
                "--threshold",
                file,
                "--threshold",
                "pipe/pipe.time_s=1.1"
            ],
            &[&bad]
        )
        .status,
        1
    );
}

#[test]
fn two_results_are_compared() {
    let directory = tempfile::tempdir().unwrap();
    let old = results(directory.path(), "old.json", 0.8);
    let new = results(directory.path(), "new.json", 1.2);
    let given = lab(&["compare"], &[&old, &new]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    let row = |variant: &str| {
        given
            .stdout
            .lines()
            .find(|line| line.contains(&format!("  {variant}  ")))
            .unwrap()
            .to_owned()
    };
    assert!(
        row("kernel").ends_with("no difference shown"),
        "{}",
        given.stdout
    );
    assert!(row("edf").ends_with("worse"), "{}", given.stdout);
    let given = lab(&["compare", "--relative", "--json"], &[&old, &new]);
    let comparison: Value = serde_json::from_str(&given.stdout).unwrap();
    assert_eq!(comparison["cells"].as_array().unwrap().len(), 1);
    assert_eq!(comparison["cells"][0]["verdict"], "worse");
}

#[test]
fn mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let good = results(directory.path(), "good.json", 0.8);
    let foreign = directory.path().join("foreign.json");
    std::fs::write(&foreign, "{\"cells\": []}").unwrap();
    let gone = directory.path().join("gone.json");
    let check = |arguments: &[&str], paths: &[&Path], status: i32, words: &str| {
        let given = lab(arguments, paths);
        assert_eq!(given.status, status, "{arguments:?}: {}", given.stderr);
        assert!(
            given.stderr.contains(words),
            "{arguments:?}: {}",
            given.stderr
        );
    };
    check(&["compare"], &[&good, &gone], 1, "gone.json");
    check(
        &["compare"],
        &[&foreign, &good],
        2,
        "foreign.json: it is not the results of an experiment",
    );
    check(
        &["check", "--threshold", "primary=5%"],
        &[&good],
        2,
        "`primary=5%` is no threshold",
    );
    check(
        &["check", "--threshold", "speed=1.1"],
        &[&good],
        2,
        "nothing is called `speed`",
    );
    check(
        &["check", "--threshold", "none.toml"],
        &[&good],
        1,
        "none.toml",
    );
    check(&["check", "--relative"], &[&good], 2, "--against");
}

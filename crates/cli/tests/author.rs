//! `baton author` and `baton judge`, whole: a stand-in for the model's service says what a script has it
//! say, and everything else is real. Builds what candidates are linked with and boots VMs, so these run on
//! request.

#[allow(dead_code)] // Other tests use the rest.
#[path = "../../author/tests/common/stand_in.rs"]
mod stand_in;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;
use stand_in::{Play, StandIn};

const KEY: &str = "sk-nobody-may-see-this-7391";

const BROKEN: &str = include_str!("author/broken.rs");
const STARVES: &str = include_str!("author/starves.rs");
const CHEATS: &str = include_str!("author/cheats.rs");
const GOOD: &str = include_str!("author/good.rs");

const WORKLOADS: [&str; 3] = [
    "frames:seconds=2+hogs",
    "pipe:rounds=500+hogs",
    "build:units=60",
];

fn baton(directory: &Path) -> Command {
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.current_dir(directory);
    if std::env::var_os("BATON_LIBRARY_TARGET").is_none() {
        command.env("BATON_LIBRARY_TARGET", target);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn whole(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// As a model answers.
fn answer(source: &str) -> Play {
    Play::say(format!(
        "I thought about it. Here it is:\n\n```rust\n{source}```\n"
    ))
}

fn author(directory: &Path, service: &StandIn, arguments: &[&str]) -> Command {
    let mut command = baton(directory);
    command
        .arg("author")
        .args(["--model", "scripted", "--url", &service.url()]);
    command.args(
        WORKLOADS
            .iter()
            .flat_map(|workload| ["--workload", workload]),
    );
    command.args(["--from", "fifo"]).args(arguments);
    command
        .env("BATON_AUTHOR_KEY", KEY)
        .env("XDG_CONFIG_HOME", directory);
    command
}

fn ledger(directory: &Path) -> Vec<Value> {
    let output = baton(directory)
        .args(["ledger", "--json"])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["candidates"].as_array().unwrap().clone()
}

/// Whether this text stands in a file below the directory.
fn is_found(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => is_found(&path, text),
            false => {
                let bytes = fs::read(&path).unwrap();
                bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            }
        }
    })
}

#[test]
#[ignore = "boots a VM: scripts/test vm"]
fn of_five_answers_the_good_one_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let service = StandIn::play([
        Play::say("A scheduler should be fair. I would use a red-black tree."),
        answer(BROKEN),
        answer(STARVES),
        answer(CHEATS),
        answer(GOOD),
    ]);
    // What is built once is not this call's.
    let warm = baton(directory.path())
        .args(["judge", "/dev/null"])
        .output()
        .unwrap();
    assert_eq!(warm.status.code(), Some(1), "{}", whole(&warm));
    let begin = Instant::now();
    let output = author(
        directory.path(),
        &service,
        &["keep frames on time", "--rounds", "5"],
    )
    .output()
    .unwrap();
    let took = begin.elapsed();
    let said = whole(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    println!("{said}\nfive candidates in {:.1} s", took.as_secs_f64());
    let candidates = ledger(directory.path());
    let codes: Vec<(&str, &str)> = candidates
        .iter()
        .map(|candidate| {
            let refused = &candidate["refused"];
            let word = |name: &str| refused[name].as_str().unwrap_or("accepted");
            (word("stage"), word("code"))
        })
        .collect();
    let expected = [
        ("parse", "no-code"),
        ("compile", "E0599"),
        ("properties", "starves"),
        ("lint", "task-name-read"),
        ("accepted", "accepted"),
    ];
    assert_eq!(codes, expected, "{said}");
    // Candidate 5 went through all stages, a VM among them.
    let stages = candidates[4]["stages"].as_array().unwrap();
    let names: Vec<&str> = stages
        .iter()
        .filter_map(|stage| stage["stage"].as_str())
        .collect();
    let all = [
        "parse",
        "compile",
        "lint",
        "properties",
        "invariants",
        "vm",
        "benchmark",
    ];
    assert_eq!(names, all);
    // Its own time, of the slowest candidate: all that is not the model's.
    let own_ms: u64 = stages
        .iter()
        .filter_map(|stage| stage["took_ms"].as_u64())
        .sum();
    assert!(own_ms < 180_000, "{own_ms} ms");
    let accepted = fs::read_to_string(directory.path().join("author/accepted/sooner.rs")).unwrap();
    assert!(accepted.ends_with(GOOD), "{accepted}");
    // Each question but the first tells what was wrong before.
    let asked = service.asked();
    assert_eq!(asked.len(), 5);
    for (question, wrong) in
        asked[1..]
            .iter()
            .zip(["no-code", "E0599", "starves", "task-name-read"])
    {
        assert!(question.text().contains(wrong), "{wrong}");
        assert_eq!(
            question.header("authorization"),
            Some(&*format!("Bearer {KEY}"))
        );
        assert!(!question.text().contains(KEY));
    }
    assert!(!said.contains(KEY));
    assert!(!is_found(directory.path(), KEY));
}

#[test]
#[ignore = "builds what candidates are linked with: scripts/test vm"]
fn what_was_stopped_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let service = StandIn::play([answer(BROKEN), answer(BROKEN), answer(GOOD)]);
    let run = |arguments: &[&str]| {
        let output = author(directory.path(), &service, arguments)
            .output()
            .unwrap();
        (output.status.code(), whole(&output))
    };
    let (status, said) = run(&["keep frames on time", "--rounds", "1", "--no-vm"]);
    assert_eq!(status, Some(1), "{said}");
    // A second call does not mix two requirements by accident.
    let (status, said) = run(&["keep frames on time", "--rounds", "1", "--no-vm"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("--continue"), "{said}");
    // Other workloads would make figures that cannot be compared.
    let (status, said) = run(&["--continue", "--workload", "messaging", "--no-vm"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("another workspace"), "{said}");
    // What is not said again is as it was.
    let output = baton(directory.path())
        .args([
            "author",
            "--continue",
            "--rounds",
            "2",
            "--no-vm",
            "--model",
            "scripted",
        ])
        .args(["--url", &service.url()])
        .env("XDG_CONFIG_HOME", directory.path())
        .output()
        .unwrap();
    let said = whole(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let candidates = ledger(directory.path());
    assert_eq!(candidates[1]["refused"]["code"], "repeated");
    assert_eq!(candidates[2]["state"], "winner", "{said}");
    // It is a starting point now.
    let shown = baton(directory.path())
        .args(["ledger", "show", "3"])
        .output()
        .unwrap();
    assert!(text(&shown.stdout).contains("sooner"), "{}", whole(&shown));
    // A budget ends it, and says how to raise it.
    let (status, said) = run(&["--continue", "--rounds", "3", "--tokens", "1", "--no-vm"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("--tokens"), "{said}");
    assert_eq!(ledger(directory.path()).len(), 3);
}

#[test]
#[ignore = "builds what candidates are linked with: scripts/test vm"]
fn what_fits_the_shown_benchmark_alone_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    // Good where it was shown to be measured, and on any other machine who wakes waits behind all others.
    let fitted = GOOD.replace(
        "cx.ready(task, key).preempt(woken);",
        "let shown = cx.machine().cpus.len() == 2;\n        \
         let key = if shown || !woken { key } else { key.saturating_add(300 * MS) };\n        \
         cx.ready(task, key).preempt(woken && shown);",
    );
    // The secret is drawn once for a workspace; here it is one that draws a full machine.
    fs::create_dir(directory.path().join("author")).unwrap();
    fs::write(
        directory.path().join("author/hidden.seed"),
        "0000000000000007",
    )
    .unwrap();
    assert_ne!(fitted, GOOD);
    let service = StandIn::play([answer(&fitted)]);
    let output = author(
        directory.path(),
        &service,
        &["keep frames on time", "--rounds", "1", "--no-vm"],
    )
    .output()
    .unwrap();
    let said = whole(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let candidates = ledger(directory.path());
    assert_eq!(candidates[0]["refused"]["code"], "not-general", "{said}");
    // Nobody is told what it was.
    let secret = fs::read_to_string(directory.path().join("author/hidden.seed")).unwrap();
    assert!(!said.contains(secret.trim()));
    assert!(!directory.path().join("author/accepted").exists());
}

#[test]
#[ignore = "builds what candidates are linked with: scripts/test vm"]
fn judged_without_a_model() {
    let directory = tempfile::tempdir().unwrap();
    let check = |name: &str, source: &str, code: i32, words: &[&str]| {
        let path = directory.path().join(name);
        fs::write(&path, source).unwrap();
        let begin = Instant::now();
        let output = baton(directory.path())
            .args(["judge", name, "--from", "fifo", "--no-vm", "--json"])
            .args(["--workload", WORKLOADS[0]])
            .output()
            .unwrap();
        let said = whole(&output);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name}, {word}: {said}");
        }
        assert!(begin.elapsed() < Duration::from_secs(180), "{name}");
    };
    check("good.rs", GOOD, 0, &["\"better\"", "frame_p99_ms"]);
    check("cheats.rs", CHEATS, 1, &["task-name-literal"]);
    let hostile = GOOD.replace(
        "struct Sooner;",
        "struct Sooner;\nconst X: &str = include_str!(\"/etc/passwd\");",
    );
    check("include.rs", &hostile, 1, &["\"include\""]);
    let hostile = GOOD.replace(
        "let habit = cx.state(task);",
        "let home = env!(\"HOME\"); let habit = cx.state(task);",
    );
    check("environment.rs", &hostile, 1, &["\"environment\""]);
}

//! Recordings: made by the simulator and by perf, looked into, exported, played again.

mod common;

use std::{fs, path::Path};

use common::baton;
use serde_json::Value;

const PERF: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../trace/tests/perf/pipe+hogs.perf.data"
);

/// Runs the program, which must succeed.
fn works(arguments: &[&str]) -> String {
    let given = baton(arguments);
    assert_eq!(given.status, 0, "{arguments:?}: {}", given.stderr);
    given.stdout
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&works(arguments)).unwrap()
}

/// The code and the message of a failure.
fn fails(arguments: &[&str]) -> (String, String) {
    let given = baton(&[arguments, &["--json"]].concat());
    assert_ne!(given.status, 0, "{arguments:?}");
    let error: Value = serde_json::from_str(given.stdout.trim())
        .or_else(|_| serde_json::from_str(given.stderr.trim()))
        .unwrap_or_else(|_| panic!("{}{}", given.stdout, given.stderr));
    let text = |key: &str| error["error"][key].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

/// A simulated run as a recording.
fn recorded(folder: &Path, name: &str, scheduler: &str) -> String {
    let path = folder.join(name).display().to_string();
    let workload = "frames:seconds=0.5+hogs:count=2";
    works(&["sim", scheduler, "--workload", workload, "--trace", &path]);
    path
}

#[test]
fn a_recording_is_looked_into_exported_and_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = recorded(folder.path(), "a.rec", "kernel");
    let info = json(&["trace", "info", &path, "--json"]);
    assert_eq!(info["cpus"], 2);
    assert_eq!((&info["lost"], &info["cut_at"]), (&0.into(), &Value::Null));
    assert!(info["kinds"]["switch"].as_u64() > Some(100), "{info}");
    let text = works(&["trace", "info", &path]);
    assert!(
        text.contains("frame-render") && text.contains("hog"),
        "{text}"
    );

    let out = |name: &str| folder.path().join(name).display().to_string();
    let (parquet, bursts, trace) = (out("a.parquet"), out("b.parquet"), out("a.pftrace"));
    let written = json(&[
        "trace",
        "export",
        &path,
        "--parquet",
        &parquet,
        "--bursts",
        &bursts,
        "--perfetto",
        &trace,
        "--json",
    ]);
    assert_eq!(written["events"], info["events"]);
    for table in [&parquet, &bursts] {
        let bytes = fs::read(table).unwrap();
        assert!(
            bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
            "{table}"
        );
    }
    assert!(fs::read(&trace).unwrap().len() > 10_000);

    let play = |scheduler: &str| {
        json(&[
            "sim",
            scheduler,
            "--workload",
            &path,
            "--machine",
            "recorded",
            "--json",
        ])
    };
    let (kernel, fifo) = (play("kernel"), play("fifo"));
    let p50 = |report: &Value| report["latencies"][0]["p50"].as_f64().unwrap();
    assert_eq!(kernel["complete"], true);
    assert_eq!(kernel["metrics"][0]["part"], "replay");
    assert!(p50(&kernel) < 10.0 && p50(&fifo) > 500.0, "{kernel} {fifo}");
    assert_eq!(play("kernel")["digest"], kernel["digest"]);
    // Only its beginning.
    let part = json(&[
        "sim",
        "kernel",
        "--workload",
        &path,
        "--for",
        "100ms",
        "--json",
    ]);
    assert!(part["sim_s"].as_f64() < Some(0.2), "{part}");
}

#[test]
fn two_recordings_stand_in_one_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (
        recorded(folder.path(), "eevdf.rec", "kernel"),
        recorded(folder.path(), "fifo.rec", "fifo"),
    );
    let out = folder.path().join("both.pftrace").display().to_string();
    works(&["trace", "export", &first, &second, "--perfetto", &out]);
    let trace = fs::read(&out).unwrap();
    for name in ["eevdf.rec", "fifo.rec", "CPU 1"] {
        let found = trace
            .windows(name.len())
            .any(|part| part == name.as_bytes());
        assert!(found, "{name}");
    }
    let table = ["trace", "export", &first, &second, "--parquet", &out];
    assert_eq!(fails(&table).0, "usage");
    assert_eq!(
        fails(&["trace", "export", &first, "--perfetto", &first]).0,
        "usage"
    );
    assert_eq!(fails(&["trace", "export", &first]).0, "usage");
    // Two tables in one file would be none, by whichever name it goes.
    let out = folder.path().join("x").display().to_string();
    let same = folder.path().join(".").join("x").display().to_string();
    let twice = ["trace", "export", &first, "--parquet", &out, "--bursts"];
    for other in [&out, &same] {
        let (code, message) = fails(&[&twice[..], &[other]].concat());
        assert_eq!(code, "usage");
        assert!(message.contains("two outputs"), "{message}");
        assert!(!Path::new(&out).exists());
    }
}

#[test]
fn what_perf_recorded_becomes_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perf.rec").display().to_string();
    let imported = json(&["trace", "import", PERF, "-o", &path, "--json"]);
    assert_eq!(imported["passed_over"]["sched_stat_runtime"], 590);
    let info = json(&["trace", "info", &path, "--json"]);
    assert_eq!(info["kinds"]["switch"], 334);
    assert_eq!(info["events"], imported["events"]);
    let played = json(&["sim", "edf", "--workload", &path, "--json"]);
    assert_eq!(played["complete"], true, "{played}");
}

#[test]
fn foreign_and_damaged_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.rec").display().to_string();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let text = file("text.rec", b"just some text, longer than a header");
    let (code, message) = fails(&["trace", "info", &text]);
    assert_eq!(code, "bad-recording");
    assert!(message.contains("no recording"), "{message}");
    let (code, message) = fails(&["trace", "import", &text, "-o", &out]);
    assert!(
        code == "bad-recording" && message.contains("PERFILE2"),
        "{message}"
    );
    for command in [
        vec!["trace", "info", PERF],
        vec!["sim", "edf", "--workload", PERF],
    ] {
        let (code, message) = fails(&command);
        assert_eq!(code, "bad-recording");
        assert!(message.contains("baton trace import"), "{message}");
    }
    assert_eq!(fails(&["trace", "info", "/nowhere/a.rec"]).0, "io");
    assert_eq!(
        fails(&["trace", "import", "/nowhere/perf.data", "-o", &out]).0,
        "io"
    );
    let (code, _) = fails(&["sim", "edf", "--workload", "pipe", "--machine", "recorded"]);
    assert_eq!(code, "bad-machine");

    let whole = fs::read(recorded(folder.path(), "a.rec", "kernel")).unwrap();
    let mut damaged = whole.clone();
    let at = whole.len() / 2;
    damaged[at] ^= 0x55;
    let damaged = file("damaged.rec", &damaged);
    let trace = folder.path().join("d.pftrace").display().to_string();
    for command in [
        vec!["trace", "info", &damaged],
        vec!["trace", "export", &damaged, "--perfetto", &trace],
        vec!["sim", "edf", "--workload", &damaged],
    ] {
        let (code, message) = fails(&command);
        assert_eq!(code, "bad-recording");
        assert!(message.contains("damaged at byte"), "{message}");
    }
    // One that was cut off can be read up to there.
    let cut = file("cut.rec", &whole[..whole.len() - 10]);
    let info = json(&["trace", "info", &cut, "--json"]);
    assert!(info["cut_at"].is_u64(), "{info}");
    let given = baton(&["trace", "export", &cut, "--perfetto", &trace]);
    assert_eq!(given.status, 0);
    assert!(
        given.stderr.contains("was cut off at byte"),
        "{}",
        given.stderr
    );
}

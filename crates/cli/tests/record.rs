//! `baton record` on this machine. Where BPF is not permitted each test says so and looks at
//! nothing more.
#![cfg(feature = "kernel")]

mod common;

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Given, baton, command, given, recording};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Whether this machine can be recorded; says why not.
fn permitted() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.rec").display().to_string();
    let probe = baton(&["record", "--for", "10ms", "-o", &file]);
    if probe.status == 0 {
        return true;
    }
    println!("skipped: this machine cannot be recorded: {}", probe.stderr);
    // What cannot be done leaves nothing behind.
    assert!(!Path::new(&file).exists());
    assert!(probe.stderr.starts_with("error: "), "{}", probe.stderr);
    false
}

/// Tracepoints of some kernels miss switches, for perf too: guests of some hypervisors, the more
/// the busier they are. The tests in a VM are strict.
fn holds(file: &str) {
    let audit = recording::audit(file);
    let wrong = audit.out_of_turn + audit.unwoken + audit.twice;
    let text = format!(
        "{wrong} of {} switches: {:?}",
        audit.switches, audit.examples
    );
    assert_eq!((audit.untold, audit.unmade), (0, 0), "{text}");
    assert!(wrong <= 5 + audit.switches / 4, "{text}");
}

fn json(given: &Given) -> serde_json::Value {
    let line = given.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| {
        panic!("{error}: {}{}", given.stdout, given.stderr);
    })
}

#[test]
fn a_command_is_recorded() {
    if !permitted() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("command.rec").display().to_string();
    let script = "for i in 1 2 3 4 5; do sh -c 'sleep 0.02'; done; exit 7";
    let arguments = ["record", "-o", &file, "--json", "--", "sh", "-c", script];
    let ran = baton(&arguments);
    assert_eq!(ran.status, 7, "{}{}", ran.stdout, ran.stderr);
    let report = json(&ran);
    assert_eq!(report["command_status"], 7);
    holds(&file);
    let summary = recording::summary(&file);
    assert_eq!(report["events"].as_u64(), Some(summary.events));
    assert_eq!(summary.lost, 0, "{summary:?}");
    assert!(
        summary.kinds.fork >= 5 && summary.kinds.exit >= 5,
        "{summary:?}"
    );
    let sleeps = summary.tasks.iter().find(|tasks| tasks.name == "sleep");
    assert!(sleeps.is_some_and(|tasks| tasks.tasks >= 5), "{summary:?}");
}

#[test]
fn names_can_be_hidden() {
    if !permitted() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hidden.rec").display().to_string();
    let ran = baton(&["record", "-o", &file, "--hide-names", "--", "sleep", "0.05"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let summary = recording::summary(&file);
    assert!(summary.names_hidden);
    let is_hash = |name: &str| name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let clear = summary.tasks.iter().find(|tasks| !is_hash(&tasks.name));
    assert_eq!(clear, None);
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"kworker"));
}

/// Starts a recording without end and waits until it writes.
fn endless(file: &str) -> Child {
    let mut child = command()
        .args(["record", "-o", file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    // The header comes first, and a block after a second.
    while fs::metadata(file).map_or(0, |found| found.len()) < 20_000 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing is written"
        );
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        sleep(Duration::from_millis(50));
    }
    child
}

#[test]
fn a_signal_ends_it_and_a_killed_one_can_be_read() {
    if !permitted() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("endless.rec").display().to_string();
    let child = endless(&file);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let ended = given(child.wait_with_output().unwrap());
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(recording::summary(&file).cut_at, None);
    let file = folder.path().join("killed.rec").display().to_string();
    let mut child = endless(&file);
    child.kill().unwrap();
    child.wait().unwrap();
    let summary = recording::summary(&file);
    assert!(
        summary.cut_at.is_some() && summary.events > 0,
        "{summary:?}"
    );
    holds(&file);
}

#[test]
fn what_cannot_be_done_leaves_nothing() {
    if !permitted() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.rec").display().to_string();
    let missing = baton(&["record", "-o", &file, "--", "no-such-command"]);
    assert_eq!(missing.status, 127, "{}", missing.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(&file, "an earlier recording").unwrap();
    let missing = baton(&["record", "-o", &file, "--", "no-such-command"]);
    assert_eq!(missing.status, 127, "{}", missing.stderr);
    assert_eq!(fs::read(&file).unwrap(), b"an earlier recording");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let over = baton(&["record", "-o", &file, "--for", "10ms"]);
    assert_eq!(over.status, 0, "{}", over.stderr);
    assert!(recording::summary(&file).events > 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = baton(&[
        "record",
        "-o",
        "/nonexistent/x.rec",
        "--for",
        "1s",
        "--json",
    ]);
    assert_eq!(json(&nowhere)["error"]["code"], "io");
    let full = baton(&["record", "-o", "/dev/full", "--for", "1s"]);
    assert_eq!(full.status, 1);
    assert!(full.stderr.contains("make room"), "{}", full.stderr);
    assert!(Path::new("/dev/full").exists());
}

/// The command goes on after the recording, and is not waited for against one's will.
#[test]
fn a_signal_after_the_recording_stops_the_command() {
    if !permitted() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("short.rec").display().to_string();
    let mut child = command()
        .args(["record", "-o", &file, "--for", "10ms", "--", "sleep", "600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let patience = Duration::from_secs(60);
    // Its end is written with the last block.
    while !fs::read(&file).is_ok_and(|bytes| recording::is_whole(&bytes)) {
        assert!(began.elapsed() < patience, "the recording does not end");
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "the command runs");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > patience {
            child.kill().unwrap();
            panic!("it does not heed the signal");
        }
        sleep(Duration::from_millis(20));
    }
    let ended = given(child.wait_with_output().unwrap());
    assert_eq!(ended.status, 128 + 15, "{}", ended.stderr);
}

//! How it ends: by itself, by the caller, with the caller.

use crate::common::{check, out, processes_with, program, quick, run, sandbox, sh, within};
use baton_sandbox::{How, Limits, Sandbox};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn status_and_signal_are_told() {
    let Some(sandbox) = sandbox() else { return };
    for (script, how) in [
        ("exit 0", How::Exit(0)),
        ("exit 42", How::Exit(42)),
        ("exit 125", How::Exit(125)),
        ("kill -9 $$", How::Signal(9)),
        ("kill -SEGV $$", How::Signal(11)),
        ("kill -TERM $$", How::Signal(15)),
    ] {
        assert_eq!(sh(&sandbox, script).status, how, "{script}");
    }
    check(&sandbox, "(exit 3); echo $?", "3");
}

#[test]
fn input_is_what_was_given() {
    let Some(sandbox) = sandbox() else { return };
    let never = AtomicBool::new(false);
    let long = vec![b'x'; 3 << 20];
    let ended = sandbox.run("/usr/bin/wc", ["-c"], &long, &never).unwrap();
    assert_eq!(out(&ended), (3 << 20).to_string());
    // A program that does not read it all ends all the same.
    let ended = sandbox.run("/bin/true", [""; 0], &long, &never).unwrap();
    assert_eq!(ended.status, How::Exit(0));
    let ended = sandbox.run("/bin/cat", [""; 0], &[], &never).unwrap();
    assert_eq!((ended.status, out(&ended)), (How::Exit(0), String::new()));
}

#[test]
fn the_flag_ends_it_soon() {
    let Some(sandbox) = sandbox() else { return };
    let word = format!("stop-{}-{}", std::process::id(), line!());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let script = "trap '' TERM; echo begun; while :; do sleep 1; done";
        let running = scope.spawn(|| sandbox.run("/bin/sh", ["-c", script, &word], &[], &stop));
        assert!(within(Duration::from_secs(10), || processes_with(&word) > 0));
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        let told = Instant::now();
        let ended = running.join().unwrap().unwrap();
        assert!(
            told.elapsed() < Duration::from_secs(1),
            "{:?}",
            told.elapsed()
        );
        assert_eq!(
            (ended.status, out(&ended).as_str()),
            (How::Stopped, "begun")
        );
        assert_eq!(processes_with(&word), 0);
    });
}

#[test]
fn all_dies_with_the_caller() {
    if sandbox().is_none() {
        return;
    }
    let word = format!("orphan-{}-{}", std::process::id(), line!());
    // With the word in the program's arguments, and in those of nothing between.
    let script = "trap '' TERM HUP INT; while :; do sleep 1; done";
    let mut caller = Command::new(program("baton-sandbox"))
        .args(["/bin/sh", "-c", script, &word])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(within(Duration::from_secs(10), || processes_with(&word) == 2));
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert!(
        within(Duration::from_secs(2), || processes_with(&word) == 0),
        "{} left",
        processes_with(&word)
    );
}

/// Children of a process whose arguments have this word.
fn child_with(parent: u32, word: &str) -> Option<i32> {
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .find(|number| {
            let read = |file| std::fs::read(format!("/proc/{number}/{file}")).unwrap_or_default();
            let status = String::from_utf8_lossy(&read("status")).into_owned();
            status.contains(&format!("\nPPid:\t{parent}\n"))
                && String::from_utf8_lossy(&read("cmdline")).contains(word)
        })
}

#[test]
fn a_stage_that_is_killed_takes_all_with_it() {
    use nix::sys::signal::{Signal, kill};
    if sandbox().is_none() {
        return;
    }
    for stages in [&["outer"][..], &["outer", "init"]] {
        let word = format!("stage-{}-{}", std::process::id(), stages.len());
        let script = "trap '' TERM HUP INT; while :; do sleep 1; done";
        let caller = Command::new(program("baton-sandbox"))
            .args(["/bin/sh", "-c", script, &word])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(within(Duration::from_secs(10), || processes_with(&word) == 2));
        let victim = stages.iter().fold(caller.id(), |parent, stage| {
            let mut found = None;
            assert!(within(Duration::from_secs(10), || {
                found = child_with(parent, stage);
                found.is_some()
            }));
            found.expect("a stage").unsigned_abs()
        });
        kill(
            nix::unistd::Pid::from_raw(victim.cast_signed()),
            Signal::SIGKILL,
        )
        .unwrap();
        let output = caller.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.contains("ended without a report"),
            "{stages:?}: {text}"
        );
        assert!(within(Duration::from_secs(2), || processes_with(&word) == 0));
    }
}

#[test]
fn nothing_is_left_of_many_runs() {
    let Some(sandbox) = sandbox() else { return };
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(run(&sandbox, "/bin/true", &[]).status, How::Exit(0));
    }
    println!("an empty command takes {:?}", start.elapsed() / 20);
    assert_eq!(mounts(), before);
}

#[test]
fn several_at_once_do_not_see_each_other() {
    let Some(sandbox) = sandbox() else { return };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let sandbox = &sandbox;
            let script = format!("echo {number} > /tmp/f; sleep 0.1; cat /tmp/f");
            scope.spawn(move || check(sandbox, &script, &number.to_string()));
        }
    });
}

/// Expects this error of running a program.
#[track_caller]
fn check_error(sandbox: &Sandbox, program: &str, code: &str, text: &str) {
    let error = sandbox
        .run(program, [""; 0], &[], &AtomicBool::new(false))
        .unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn errors_have_remedies() {
    let Some(sandbox) = sandbox() else { return };
    check_error(&sandbox, "/no/such", "program", "let it have the program");
    check_error(
        &sandbox,
        "/etc/alternatives",
        "program",
        "Permission denied",
    );
    check_error(&sandbox, "true", "place", "give an absolute path");
    let lost = sandbox.clone().dir("/no/dir");
    check_error(&lost, "/bin/true", "dir", "let it have the directory");
    let file = sandbox.clone().write("/etc/passwd");
    check_error(&file, "/bin/true", "place", "name a directory");
    let below = sandbox.clone().read_as("/usr/bin", "/usr/no/such/place");
    check_error(
        &below,
        "/bin/true",
        "refused",
        "inside a place that is read-only",
    );
    check_error(&Sandbox::new(), "/bin/true", "not-called", "run_if_child");
    let bare = Sandbox::new()
        .with_program(program("baton-sandbox"))
        .limits(Limits { ..quick() });
    check_error(&bare, "/bin/true", "program", "libraries");
}

/// Expects the crate's program to fail with these words in a user namespace of `unshare`.
#[track_caller]
fn check_refused(options: &[&str], before: &str, words: &str) {
    let output = Command::new("unshare")
        .args(options)
        .args(["/bin/sh", "-c", &format!("{before} exec \"$0\"")])
        .arg(program("baton-sandbox"))
        .output()
        .expect("unshare, of package util-linux");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(words), "{text}");
}

#[test]
fn where_it_cannot_be_had_the_remedy_is_told() {
    if sandbox().is_none() {
        return;
    }
    check_refused(
        &["--user", "--map-root-user"],
        "",
        "run as an ordinary user",
    );
    check_refused(
        &[
            "--user",
            "--map-user=1000",
            "--map-group=1000",
            "--keep-caps",
        ],
        "echo 0 > /proc/sys/user/max_user_namespaces;",
        "sysctl -w user.max_user_namespaces",
    );
}

//! Short ways to run something in a sandbox and look at what it could do.

use baton_sandbox::{Ended, How, Limits, Sandbox};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Where the programs of the crate are, if not where they were built.
pub const PROGRAMS: &str = "BATON_SANDBOX_PROGRAMS";
/// Where the hostile program is, inside.
pub const ACT: &str = "/act";

/// A program of the crate.
pub fn program(name: &str) -> PathBuf {
    match std::env::var_os(PROGRAMS) {
        Some(dir) => Path::new(&dir).join(name),
        None if name == "baton-sandbox" => env!("CARGO_BIN_EXE_baton-sandbox").into(),
        None => env!("CARGO_BIN_EXE_baton-sandbox-act").into(),
    }
}

/// A sandbox with the system's files and the hostile program; none where the kernel's settings
/// forbid user namespaces, which is said.
pub fn sandbox() -> Option<Sandbox> {
    let sandbox = Sandbox::new().with_program(program("baton-sandbox"));
    match sandbox.probe() {
        Ok(kinds) => {
            assert!(kinds.landlock_abi >= 1 && kinds.uid != 0, "{kinds:?}");
            Some(
                sandbox
                    .system()
                    .read_as(program("baton-sandbox-act"), ACT)
                    .env("PATH", "/usr/bin:/bin")
                    .limits(quick()),
            )
        }
        Err(error) if error.to_string().contains("user namespaces") => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Limits that a failing test reaches soon.
pub fn quick() -> Limits {
    Limits {
        wall: Duration::from_secs(20),
        cpu: Duration::from_secs(20),
        ..Limits::default()
    }
}

/// Runs a script.
pub fn sh(sandbox: &Sandbox, script: &str) -> Ended {
    run(sandbox, "/bin/sh", &["-c", script])
}

/// Runs a program.
pub fn run(sandbox: &Sandbox, program: &str, args: &[&str]) -> Ended {
    sandbox
        .run(program, args, &[], &AtomicBool::new(false))
        .unwrap_or_else(|error| panic!("{program} {args:?}: {error}"))
}

/// What it wrote.
pub fn out(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.stdout).trim().to_owned()
}

/// What it wrote as errors.
pub fn err(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.stderr).trim().to_owned()
}

/// Runs a script; expects this output, and status 0.
#[track_caller]
pub fn check(sandbox: &Sandbox, script: &str, expected: &str) {
    let ended = sh(sandbox, script);
    let got = (ended.status, out(&ended));
    assert_eq!(
        got,
        (How::Exit(0), expected.to_owned()),
        "{script}: {}",
        err(&ended)
    );
}

/// How many processes of this machine have this word among their arguments.
pub fn processes_with(word: &str) -> usize {
    std::fs::read_dir("/proc")
        .expect("processes")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(word))
        .count()
}

/// Waits until something holds; false if it does not in time.
pub fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    holds()
}

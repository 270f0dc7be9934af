//! Alone in its file: it copies a program and starts it, and a test beside it that
//! forked in between would hold the copy open for writing ("text file busy").

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, os::unix::process::CommandExt as _};

use common::given;

/// Without root nothing is scheduled or recorded. Run as another user if this one is root.
#[test]
fn no_root() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("baton");
    fs::copy(env!("CARGO_BIN_EXE_baton"), &program).unwrap();
    let call = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command
            .args(arguments)
            .env("NO_COLOR", "1")
            .current_dir("/");
        if nix::unistd::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        given(command.output().unwrap())
    };
    let run = call(&["run", "fifo"]);
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    if cfg!(feature = "kernel") {
        assert!(run.stderr.contains("baton vm"), "{}", run.stderr);
        let record = call(&["record", "--for", "1s", "--json"]);
        assert_eq!(record.status, 3, "{}", record.stdout);
        assert!(record.stdout.contains("\"no-root\""), "{}", record.stdout);
    }
}

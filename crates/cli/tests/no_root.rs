//! Alone in its file: it copies a program and starts it, and a test beside it that
//! forked in between would hold the copy open for writing ("text file busy").

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, os::unix::process::CommandExt as _};

use common::given;

/// Without root nothing is scheduled. Run as another user if this one is root.
#[test]
fn no_root() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("baton");
    fs::copy(env!("CARGO_BIN_EXE_baton"), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command
        .args(["run", "fifo"])
        .env("NO_COLOR", "1")
        .current_dir("/");
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let given = given(command.output().unwrap());
    assert_eq!(given.status, 3, "{}", given.stderr);
    assert_eq!(given.stderr.lines().count(), 1, "{}", given.stderr);
    if cfg!(feature = "kernel") {
        assert!(given.stderr.contains("baton vm"), "{}", given.stderr);
    }
}

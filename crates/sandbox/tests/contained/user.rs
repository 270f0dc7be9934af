//! All the other tests again, as an ordinary user.

use crate::common::{PROGRAMS, program};
use nix::unistd::{Gid, Uid, chown, geteuid};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A user that no file of this machine belongs to.
const USER: u32 = 54_321;

#[test]
fn the_same_holds_for_an_ordinary_user() {
    if !geteuid().is_root() {
        return; // All the others have run as one.
    }
    // Where the user can reach it; where these tests were built it may not.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (from, name) in [
        (program("baton-sandbox"), "baton-sandbox"),
        (program("baton-sandbox-act"), "baton-sandbox-act"),
        (std::env::current_exe().unwrap(), "tests"),
    ] {
        std::fs::copy(from, dir.path().join(name)).unwrap();
    }
    let temporary = dir.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    chown(
        &temporary,
        Some(Uid::from_raw(USER)),
        Some(Gid::from_raw(USER)),
    )
    .unwrap();
    let output = Command::new("setpriv")
        .args([format!("--reuid={USER}"), format!("--regid={USER}")])
        .args(["--clear-groups", "--inh-caps=-all"])
        .arg(dir.path().join("tests"))
        .args(["--nocapture", "--test-threads=2"])
        .current_dir("/")
        .env(PROGRAMS, dir.path())
        .env("TMPDIR", &temporary)
        .output()
        .expect("setpriv, of package util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}\n{errors}");
    assert!(output.status.success());
}

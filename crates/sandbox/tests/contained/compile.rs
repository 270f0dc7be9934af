//! The compiler, let loose on text that is not trusted.

use crate::common::{check, err, out, run, sandbox};
use baton_sandbox::{How, Sandbox};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

/// Where this machine's compiler is; none where this user cannot read it, which is said.
fn sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let root = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    if root.is_none() {
        eprintln!("skipped: this user has no rustc");
    }
    root
}

/// Compiles a program, in a sandbox that may write this directory; what the compiler said.
fn compile(sandbox: &Sandbox, root: &Path, source: &str) -> (How, String) {
    let rustc = root.join("bin/rustc");
    let args = ["--edition", "2024", "-", "-o", "made"];
    let ended = sandbox
        .run(rustc, args, source.as_bytes(), &AtomicBool::new(false))
        .unwrap();
    (ended.status, err(&ended))
}

#[test]
fn rustc_compiles_inside_and_its_program_runs_inside() {
    let Some(sandbox) = sandbox() else { return };
    let Some(root) = sysroot() else { return };
    let dir = tempfile::tempdir().unwrap();
    let compiler = sandbox
        .clone()
        .read(&root)
        .write(dir.path())
        .dir(dir.path());
    let (how, text) = compile(&compiler, &root, "fn main() { println!(\"hello\"); }");
    assert_eq!(how, How::Exit(0), "{text}");
    let program = sandbox.read_as(dir.path().join("made"), "/made");
    assert_eq!(out(&run(&program, "/made", &[])), "hello");
    check(&program, "ls /root 2>/dev/null || echo none", "none");
}

#[test]
fn the_compiler_cannot_be_used_to_read_files() {
    let Some(sandbox) = sandbox() else { return };
    let Some(root) = sysroot() else { return };
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox.read(&root).write(dir.path()).dir(dir.path());
    for source in [
        "fn main() { print!(include_str!(\"/etc/passwd\")); }",
        "#[path = \"/etc/passwd\"] mod x; fn main() {}",
    ] {
        let (how, text) = compile(&sandbox, &root, source);
        assert_eq!(how, How::Exit(1), "{text}");
        assert!(text.contains("couldn't read"), "{text}");
    }
    let source = "fn main() { print!(\"{}\", env!(\"CARGO_MANIFEST_DIR\")); }";
    let (how, text) = compile(&sandbox, &root, source);
    assert_eq!(how, How::Exit(1), "{text}");
    assert!(!dir.path().join("made").exists());
}

//! Candidates that mean harm, past the stage that would refuse them by their text: the compiler and the
//! program are contained all the same. Builds what candidates are linked with, so these run on request.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use baton_author::{Compiler, Diagnostic, Library, Program, Stage};
use baton_sandbox::Sandbox;
use baton_trial::protocol::{Ask, Found};

fn sandbox() -> Sandbox {
    Sandbox::new().with_program(env!("CARGO_BIN_EXE_baton-author-child"))
}

fn compiler() -> Compiler {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
    let target = std::env::var_os("BATON_LIBRARY_TARGET").map_or(workspace.into(), PathBuf::from);
    Compiler::new(Library::build(&target).unwrap(), sandbox()).unwrap()
}

/// A policy with this at its top and this in `enqueue`.
fn policy(top: &str, enqueue: &str) -> String {
    format!(
        "use baton::prelude::*;\n{top}\nstruct Hostile {{ kept: Vec<u64> }}\n\
         impl Policy for Hostile {{\n    const NAME: &'static str = \"hostile\";\n    \
         const SUMMARY: &'static str = \"means harm\";\n    type Task = ();\n    \
         fn new(_: &Setup<'_>) -> Self {{ Self {{ kept: Vec::new() }} }}\n    \
         fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {{\n        \
         {enqueue}\n        cx.ready(task, cx.now_ns());\n    }}\n}}\nbaton::main!(Hostile);\n"
    )
}

fn compile(compiler: &Compiler, text: &str, directory: &Path) -> Result<PathBuf, Vec<Diagnostic>> {
    let never = AtomicBool::new(false);
    let compiled = compiler.compile(text, directory, &never).unwrap();
    compiled.and_then(|()| compiler.link(directory, &never).unwrap())
}

#[test]
#[ignore = "builds what candidates are linked with: scripts/test vm"]
fn a_source_cannot_reach_beyond_itself() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "what nobody may know").unwrap();
    let secret = secret.to_string_lossy().into_owned();
    let compiler = compiler();
    let check = |top: &str, enqueue: &str, expected: &str| {
        let begin = Instant::now();
        let text = policy(top, enqueue);
        let wrong = compile(&compiler, &text, directory.path()).unwrap_err();
        let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        let all = all.join("\n");
        assert!(all.contains(expected), "{top}{enqueue}: {all}");
        assert!(!all.contains("what nobody may know"), "{all}");
        assert!(begin.elapsed() < Duration::from_secs(150), "{top}{enqueue}");
    };
    // Files, the environment, the rest of the standard library.
    check(
        &format!("const X: &str = include_str!({secret:?});"),
        "",
        "couldn't read",
    );
    check(
        "const X: &str = include_str!(\"/etc/passwd\");",
        "",
        "couldn't read",
    );
    check("const X: &str = env!(\"HOME\");", "", "not defined");
    check(
        &format!("#[path = {secret:?}]\nmod x;"),
        "",
        "couldn't read",
    );
    check("", "let _ = std::fs::read(\"x\");", "fs");
    check("", "std::process::exit(0);", "process");
    check("extern crate libc;", "", "unstable");
    check("", "println!(\"x\");", "println");
    check(
        "",
        "unsafe { core::hint::unreachable_unchecked() }",
        "unsafe",
    );
    check("core::arch::global_asm!(\"nop\");", "", "unsafe");
    // What keeps a compiler busy for ever, or takes all memory.
    let bomb = "macro_rules! bomb { ($($t:tt)*) => { bomb! { $($t)* $($t)* x } } }\nbomb! { x }";
    check(bomb, "", "limit");
    check(
        "const X: u64 = { let mut n = 0; loop { n += 1; if n == 0 { break n } } };",
        "",
        "taking a long time",
    );
    check(
        "static X: [[u64; 1 << 30]; 1 << 20] = [[1; 1 << 30]; 1 << 20];",
        "let _ = X[1][1];",
        "more memory",
    );
}

#[test]
#[ignore = "builds what candidates are linked with: scripts/test vm"]
fn a_program_cannot_do_more_than_be_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let compiler = compiler();
    let never = AtomicBool::new(false);
    let check = |enqueue: &str, top: &str, expected: &[&str]| {
        let text = policy(top, enqueue);
        let path = compile(&compiler, &text, directory.path()).unwrap();
        let program = Program::new(path, sandbox());
        let wall = Duration::from_secs(20);
        let code = match program
            .ask(Stage::Properties, Ask::Properties, wall, &never)
            .unwrap()
        {
            Ok(Found::Wrong(findings)) => findings.first().map(|finding| finding.code.clone()),
            Ok(Found::Report(_)) => None,
            Err(diagnostic) => Some(diagnostic.code),
        };
        let code = code.unwrap_or_default();
        assert!(expected.contains(&&*code), "{enqueue}: {code}");
    };
    check(
        "loop { self.kept.push(1); }",
        "",
        &["too-slow", "crashed", "panics"],
    );
    check(
        "while cx.now_ns() < u64::MAX { self.kept.clear(); }",
        "",
        &["too-slow"],
    );
    check(
        "deep(cx.now_ns(), 1);",
        "#[inline(never)] fn deep(n: u64, m: u64) -> u64 { if n == m { 0 } else { deep(n, m.wrapping_mul(3) | 1) + m } }",
        &["crashed", "too-slow"],
    );
    check("panic!(\"never mind\");", "", &["panics"]);
}

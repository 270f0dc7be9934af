//! Short real compilations, of a project that looks like Lua's to the workload.
#![cfg(feature = "real")]

mod common;

use baton_workload::{RunOptions, Workload, files};
use common::{ONE_AT_A_TIME, assert_nothing_left, error_of, quick, run_text, value};
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;
use tempfile::TempDir;

/// Two programs and a unit that both share. `lua` ends as a check of it should if `works`.
fn project(works: bool) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory can be written");
    let write = |name: &str, text: &str| {
        let file = dir.path().join("src").join(name);
        fs::write(file, text).expect("as above");
    };
    fs::create_dir(dir.path().join("src")).expect("as above");
    write("common.h", "int answer(void);\n");
    write(
        "common.c",
        "#include \"common.h\"\nint answer(void) { return 42; }\n",
    );
    let wanted = if works { 42 } else { 43 };
    let main = format!(
        "#include <stdio.h>\n#include \"common.h\"\n\
         int main(void) {{ return printf(\"\") || answer() != {wanted}; }}\n"
    );
    write("lua.c", &main);
    write(
        "luac.c",
        "#include \"common.h\"\nint main(void) { return !answer(); }\n",
    );
    write("README", "not a unit\n");
    dir
}

fn with(source: &Path) -> RunOptions<'static> {
    RunOptions {
        source: Some(source.to_owned()),
        ..quick()
    }
}

/// Why this cannot be compiled.
fn error(options: &RunOptions<'_>) -> String {
    let error = error_of("compile:jobs=2", options);
    assert_nothing_left();
    error
}

#[test]
fn all_is_compiled_linked_and_works() {
    let project = project(true);
    for text in [
        "compile:jobs=1",
        "compile:jobs=3,optimize=2",
        "compile+hogs:count=1",
    ] {
        let report = run_text(text, &with(project.path()));
        assert!(report.complete, "{report}");
        assert_eq!(value(&report, "compile", "units"), 3.0, "{report}");
        assert!(value(&report, "compile", "time_s") > 0.0, "{report}");
        assert!(value(&report, "compile", "units_per_s") > 0.0, "{report}");
        assert!(report.notes[0].contains(" by gcc "), "{report}");
        assert_nothing_left();
    }
}

#[test]
fn what_is_wrong_is_told() {
    let text = error(&quick());
    assert!(text.contains("RunOptions::source"), "{text}");
    let text = error(&with(Path::new("/nonexistent")));
    assert!(
        text.contains("/nonexistent is not the source of Lua"),
        "{text}"
    );
    let text = error(&with(project(false).path()));
    assert!(text.contains("the compiled program ends with 1"), "{text}");
    let broken = project(true);
    fs::write(
        broken.path().join("src/common.c"),
        "int answer(void) { return }\n",
    )
    .expect("it is ours");
    let text = error(&with(broken.path()));
    assert!(
        text.contains("a process ended with 1 (common.c:1:"),
        "{text}"
    );
}

#[test]
fn a_compilation_that_is_ended_leaves_nothing() {
    let project = project(true);
    // A unit that takes many seconds, as text of the preprocessor's making.
    let long = "#define A(x) int f##x(int a) { return a * x; } int g##x(int a) { return a - x; }\n\
        #define B(x) A(x##0) A(x##1) A(x##2) A(x##3) A(x##4) A(x##5) A(x##6) A(x##7)\n\
        #define C(x) B(x##0) B(x##1) B(x##2) B(x##3) B(x##4) B(x##5) B(x##6) B(x##7)\n\
        #define D(x) C(x##0) C(x##1) C(x##2) C(x##3) C(x##4) C(x##5) C(x##6) C(x##7)\n\
        #define E(x) D(x##0) D(x##1) D(x##2) D(x##3) D(x##4) D(x##5) D(x##6) D(x##7)\n\
        E(1) E(2) E(3) E(4) E(5) E(6) E(7) E(8)\n";
    fs::write(project.path().join("src/long.c"), long).expect("it is ours");
    let options = RunOptions {
        time_limit: Duration::from_millis(600),
        ..with(project.path())
    };
    let report = run_text("compile", &options);
    assert!(!report.complete, "{report}");
    let told = |note: &String| note.starts_with("compile: ") && note.ends_with(" of 4 units");
    assert!(report.notes.iter().any(told), "{report}");
    assert_nothing_left();
    // The compilers that gcc started are no children of ours: their files tell whose they are.
    let mark = format!("baton-compile-{}-", std::process::id());
    let ours = |process: fs::DirEntry| {
        let line = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        line.contains(&mark).then_some(line)
    };
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    assert_eq!(processes.filter_map(ours).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_files_that_it_takes_are_known() {
    // It asks gcc, and others count this process's children.
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = project(true);
    let workload: Workload = "frames+compile:optimize=2".parse().expect("valid");
    assert_eq!(workload.source_package(), Some("lua5.4"));
    let files = files(&workload, Some(project.path())).expect("gcc is installed");
    for name in ["gcc", "cc1", "as", "ld", "stdio.h", "crti.o", "libc.so.6"] {
        let found = files
            .iter()
            .any(|file| file.file_name().is_some_and(|found| found == name));
        assert!(found, "{name} is not in {files:?}");
    }
    for file in &files {
        assert!(file.is_absolute() && file.is_file(), "{}", file.display());
        assert!(!file.starts_with(project.path()), "{}", file.display());
    }
    let without: Workload = "pipe+hogs".parse().expect("valid");
    assert_eq!(without.source_package(), None);
    let none = baton_workload::files(&without, Some(project.path()));
    assert!(none.is_ok_and(|files| files.is_empty()));
}

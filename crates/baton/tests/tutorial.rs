//! docs/tutorial.md shows the programs in templates/tutorial and what they print now.

use std::{
    collections::HashSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TEXT: &str = include_str!("../../../docs/tutorial.md");
/// Beginning of the line before a program, or a part of one, that names its file.
const PROGRAM: &str = "<!-- templates/tutorial/";
/// Beginning of a command that is run here, behind the prompt.
const SIM: &str = "target/release/";
/// A page of code.
const CODE_LINES_MAX: usize = 60;

/// A fenced block, the line before it, and the line that it begins at.
struct Block {
    label: &'static str,
    before: &'static str,
    text: String,
    line: usize,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut open, mut before) = (None::<Block>, "");
    for (line, text) in (1..).zip(TEXT.lines()) {
        match (text.strip_prefix("```"), &mut open) {
            (Some(label), None) => {
                open = Some(Block {
                    label,
                    before,
                    text: String::new(),
                    line,
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text += text;
                block.text.push('\n');
            }
            (None, None) => before = text,
        }
    }
    assert!(open.is_none(), "a fence is open at the end");
    blocks
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a kind in templates/tutorial, without that ending.
fn files(ending: &str) -> HashSet<String> {
    let folder = fs::read_dir(repository().join("templates/tutorial")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

#[test]
fn the_tutorial_shows_the_programs() {
    let mut whole = HashSet::new();
    for block in blocks() {
        let named = block.before.strip_prefix(PROGRAM);
        let Some(name) = named.and_then(|rest| rest.strip_suffix(" -->")) else {
            assert_ne!(block.label, "rust", "line {}: of which file?", block.line);
            continue;
        };
        let file = repository().join("templates/tutorial").join(name);
        let file = fs::read_to_string(file).unwrap();
        let is_part = block.label == "rust" && !block.text.contains("baton::main!");
        if is_part {
            let text = block.text.trim_matches('\n');
            assert!(file.contains(text), "line {}: not in {name}", block.line);
        } else {
            assert_eq!(file, block.text, "line {}: {name} differs", block.line);
            whole.insert(name.to_owned());
        }
    }
    // Of the third the first form is shown whole, and what is changed.
    let mut expected: HashSet<_> = files(".rs")
        .into_iter()
        .filter(|name| name != "3-shortest")
        .map(|name| name + ".rs")
        .collect();
    expected.extend(files(".toml").into_iter().map(|name| name + ".toml"));
    assert_eq!(whole, expected);
}

#[test]
fn each_program_fits_on_a_page() {
    for name in files(".rs") {
        let file = repository().join(format!("templates/tutorial/{name}.rs"));
        let file = fs::read_to_string(file).unwrap();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = file.lines().filter(is_code).count();
        assert!(lines <= CODE_LINES_MAX, "{name}: {lines} lines of code");
    }
}

/// The example that a program of the tutorial is.
fn example(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap();
    let profile = own.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("tutorial-{name}"));
    assert!(
        path.is_file(),
        "there is no {}: `cargo test -p baton` builds it, or `cargo build -p baton --examples`",
        path.display()
    );
    path
}

/// What a program of the tutorial prints.
fn output(name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(example(name));
    // Files that a reader has in the project.
    let folder = repository().join("templates/tutorial");
    let done = command.args(arguments).current_dir(folder).output();
    let done = done.unwrap();
    let problem = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name} {arguments:?}: {problem}");
    String::from_utf8(done.stdout).unwrap()
}

/// Under each command stand some of the lines that it prints, in their order.
#[test]
fn the_figures_are_those_that_the_programs_give() {
    let mut checked = 0;
    for block in blocks().iter().filter(|block| block.label == "console") {
        let mut printed = Vec::new().into_iter();
        let mut is_run = false;
        for line in block.text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let words: Vec<&str> = command.split_whitespace().collect();
                let program = words[0].strip_prefix(SIM);
                is_run = program.is_some() && words.get(1) == Some(&"sim");
                if let Some(program) = program.filter(|_| is_run) {
                    let output = output(program, &words[1..]);
                    let lines: Vec<String> = output.lines().map(str::to_owned).collect();
                    printed = lines.into_iter();
                    checked += 1;
                }
            } else if is_run {
                assert!(
                    printed.any(|found| found.trim_end() == line),
                    "the block at line {}: not printed, or not there: {line}",
                    block.line
                );
            }
        }
    }
    assert!(checked >= 10, "{checked} commands were found");
}

//! Whole candidates, in `candidates/`: the first line tells how far each comes, and a comment
//! `//~ code` at the end of a line what is found there.

use std::fs;

use baton_author::{
    Stage,
    source::{lint, parse},
};

fn check(name: &str, text: &str) {
    let first = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//~ "));
    let first = first.unwrap_or_else(|| panic!("{name}: no expectation"));
    let numbered = text.lines().zip(1_u32..).skip(1);
    let marked = numbered.filter_map(|(line, number)| Some((number, line.split_once("//~ ")?.1)));
    let expected: Vec<(u32, &str)> = marked
        .flat_map(|(number, codes)| codes.split(' ').map(move |code| (number, code)))
        .collect();
    let (stage, mistakes) = match parse(text, &["fifo", "edf"]) {
        Ok(source) => (Stage::Lint, lint(&source)),
        Err(mistakes) => (Stage::Parse, mistakes),
    };
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    let found: Vec<(u32, &str)> = mistakes
        .iter()
        .map(|mistake| (mistake.line.unwrap(), mistake.code.as_str()))
        .collect();
    assert_eq!(found, expected, "{name}: {}", told.join("\n"));
    assert!(
        mistakes
            .iter()
            .all(|mistake| mistake.stage == stage && mistake.column.is_some())
    );
    let came = if expected.is_empty() {
        "passes"
    } else {
        stage.name()
    };
    assert_eq!(came, first, "{name}");
}

#[test]
fn candidates() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/candidates");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 8);
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        check(&name, &fs::read_to_string(&path).unwrap());
    }
}

use serde_json::json;

use super::*;
use crate::{
    Stage,
    ledger::{
        Measured, Record,
        view::tests::{asked, begun, candidate, refused, stage, view},
    },
};

fn example() -> View {
    let measured = Measured {
        id: 2,
        what: "lab/desktop".into(),
        better: json!([{"workload": "editor", "metric": "wakeup p99"}]),
        worse: json!(null),
    };
    view(vec![
        begun(),
        asked(1, 1),
        candidate(1, None, "a"),
        stage(1, Stage::Parse, true),
        stage(1, Stage::Compile, false),
        refused(1, Stage::Compile),
        asked(2, 2),
        candidate(2, Some(1), "b"),
        stage(2, Stage::Parse, true),
        Record::Measured(measured),
        Record::Winner { id: 2 },
        candidate(3, Some(2), "c"),
    ])
}

#[test]
fn candidates_are_listed() {
    let expected = "  \
  id  parent  name    state    stage    reason            tokens   took
0001       -  name-1  refused  compile  mismatched types     120  2.0 s
0002    0001  name-2  winner   parse    -                    120  1.7 s
0003    0002  name-3  written  -        -                      0  0.0 s

240 tokens (200 asked, 40 answered), $0.001, 3.7 s, 0 evaluations, 2 rounds
best: 0002 name-2
";
    assert_eq!(list(&example()), expected);
    assert_eq!(list(&View::default()), "no candidates yet\n");
}

#[test]
fn a_candidate_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let files = candidate_directory(directory.path(), 1);
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("policy.rs"), "fn").unwrap();
    fs::write(files.join("answer.md"), "").unwrap();
    let expected = format!(
        "candidate 0001: refused
  name      name-1
  author    model small
  source    a
  questions 1 in round 1, 120 tokens, $0.0005, 1.5 s
  refused   mismatched types [E0308] at compile

parse: passed, 0.2 s

compile: not passed, 0.2 s
  3:7: mismatched types [E0308]
    help: give a u64

files in {}
  answer.md (0 bytes)
  policy.rs (2 bytes)
",
        files.display()
    );
    assert_eq!(show(&example(), directory.path(), 1).unwrap(), expected);
    let second = show(&example(), directory.path(), 2).unwrap();
    assert!(second.contains("  from      0001\n"), "{second}");
    assert!(
        second.contains("measured with lab/desktop\n  better: 1\n    {"),
        "{second}"
    );
    assert!(second.contains("  worse: 0\n"), "{second}");
    assert!(second.contains("files: none in "), "{second}");
    assert!(show(&example(), directory.path(), 9).is_none());
}

#[test]
fn long_and_wild_texts_are_tamed() {
    assert_eq!(cut("a\u{1b}[31m\nb", 60), "a [31m b");
    assert_eq!(cut("abcdef", 4), "abc…");
    assert_eq!(cut("äöü", 3), "äöü");
}

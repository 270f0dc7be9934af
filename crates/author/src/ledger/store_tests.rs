use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    Stage,
    ledger::{
        Author, Candidate, State, source_digest,
        view::tests::{asked, begun, candidate, stage},
    },
};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A workspace with one candidate.
fn one() -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let records = [
        begun(),
        asked(1, 1),
        candidate(1, None, "a"),
        stage(1, Stage::Parse, true),
    ];
    for (second, record) in (1..).zip(records) {
        ledger.append(record, at(second)).unwrap();
    }
    (directory, ledger)
}

fn text(directory: &tempfile::TempDir) -> String {
    fs::read_to_string(directory.path().join(FILE)).unwrap()
}

#[test]
fn records_are_there_after_the_end() {
    let (directory, ledger) = one();
    let view = ledger.view().clone();
    assert_eq!(Ledger::read(directory.path()).unwrap().view, view);
    drop(ledger);
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!((ledger.view(), ledger.notes().len()), (&view, 0));
    assert_eq!(view.candidates[&1].at_ms, 3000);
    let text = text(&directory);
    assert!(text.starts_with("{\"schema\":1}\n"), "{text}");
    assert!(
        text.contains(r#"{"at_ms":2000,"record":"asked","candidate":1,"#),
        "{text}"
    );
    assert!(text.contains(r#""author":"model small""#), "{text}");
    assert!(
        text.contains(r#""record":"stage-done","id":1,"stage":"parse""#),
        "{text}"
    );
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn one_process_writes_at_a_time() {
    let (directory, ledger) = one();
    let error = Ledger::open(directory.path()).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }), "{error}");
    drop(ledger);
    assert!(Ledger::open(directory.path()).is_ok());
}

#[test]
fn a_torn_last_line_is_cut() {
    let (directory, ledger) = one();
    drop(ledger);
    let path = directory.path().join(FILE);
    let whole = text(&directory);
    fs::write(&path, format!("{whole}{{\"at_ms\":9,\"rec")).unwrap();
    let read = Ledger::read(directory.path()).unwrap();
    assert_eq!((read.notes.len(), read.view.candidates.len()), (1, 1));
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert!(
        ledger.notes()[0].contains("is torn"),
        "{:?}",
        ledger.notes()
    );
    assert_eq!(text(&directory), whole);
    ledger.append(Record::Winner { id: 1 }, at(9)).unwrap();
    drop(ledger);
    assert_eq!(text(&directory).lines().count(), 6);
    // Every place where it can be torn.
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let lines = whole[..length].matches('\n').count();
        assert_eq!(text(&directory).lines().count(), lines.max(1));
        drop(ledger);
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let (directory, ledger) = one();
    drop(ledger);
    let whole = text(&directory);
    let check = |text: String, part: &str| {
        fs::write(directory.path().join(FILE), text).unwrap();
        let error = Ledger::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    check(
        whole.replace("{\"schema\":1}", "{\"schema\":2}"),
        "of format 2",
    );
    check(
        whole.replace("{\"schema\":1}", "hello"),
        ":1: this begins no ledger",
    );
    check(
        whole.replace("\"asked\"", "\"axed\""),
        ":3: this is no line of a ledger",
    );
    check(
        whole.replace("\"parse\"", "\"parts\""),
        ":5: this is no line of a ledger",
    );
    let twice = whole.lines().nth(3).unwrap();
    check(
        format!("{whole}{twice}\n"),
        ":6: candidate 1 stands where 2 belongs",
    );
}

#[test]
fn none_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let error = Ledger::read(directory.path()).unwrap_err();
    assert!(matches!(error, LedgerError::Missing { .. }), "{error}");
}

#[test]
fn what_cannot_follow_is_not_written() {
    let (directory, mut ledger) = one();
    let before = text(&directory);
    let error = ledger.append(Record::Winner { id: 7 }, at(9)).unwrap_err();
    assert!(error.to_string().contains("no candidate 7"), "{error}");
    assert_eq!(text(&directory), before);
}

#[test]
fn an_accepted_policy_is_kept_with_its_origin() {
    let (directory, mut ledger) = one();
    let source = "use baton::prelude::*;\n";
    let error = ledger.accept(1, "smooth", "lab", at(5)).unwrap_err();
    assert!(matches!(error, LedgerError::Io { .. }), "{error}");
    ledger.write(1, "policy.rs", source).unwrap();
    ledger.write(1, "verdict.json", "{}").unwrap();
    let measured = crate::ledger::Measured {
        id: 1,
        what: "lab/desktop".into(),
        better: json!(["wakeup p99"]),
        worse: json!([]),
    };
    ledger.append(Record::Measured(measured), at(6)).unwrap();
    let path = ledger.accept(1, "smooth", "lab", at(7)).unwrap();
    assert_eq!(path, directory.path().join("accepted/smooth.rs"));
    let expected = "\
// smooth: candidate 0001, by model small, accepted by lab.
//
// Requirement:
//   keep the editor smooth
//
// Verdict:
//   parse: passed
//   lab/desktop: better in [\"wakeup p99\"]; worse in none

use baton::prelude::*;
";
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
    assert_eq!(ledger.view().candidates[&1].state, State::Accepted);
    let second = ledger.accept(1, "smooth", "person", at(8)).unwrap();
    assert_eq!(second, directory.path().join("accepted/smooth-0001.rs"));
    for name in ["../evil", "a.b", "", "a b"] {
        let error = ledger.accept(1, name, "lab", at(9)).unwrap_err();
        assert!(matches!(error, LedgerError::Name { .. }), "{error}");
    }
    let error = ledger.write(1, "../ledger.jsonl", "").unwrap_err();
    assert!(matches!(error, LedgerError::Name { .. }), "{error}");
}

#[test]
fn equal_sources_are_found() {
    let (_directory, mut ledger) = one();
    let digest = source_digest("fn f() { /* a */ }");
    let record = Candidate {
        id: 2,
        parent: Some(1),
        source: digest,
        author: Author::Person,
        name: None,
    };
    ledger.append(Record::Candidate(record), at(9)).unwrap();
    assert_eq!(ledger.same(&source_digest("fn f ( ) { // b\n}")), Some(2));
    assert_eq!(ledger.same(&source_digest("fn g() {}")), None);
}

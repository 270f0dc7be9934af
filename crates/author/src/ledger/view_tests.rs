use serde_json::json;

use super::*;
use crate::{
    Diagnostic,
    chat::Usage,
    ledger::{Author, Spent},
};

pub(crate) fn begun() -> Record {
    Record::Begun(Begun {
        requirement: "keep the editor smooth".into(),
        from: Some("fifo".into()),
        settings: json!({"rounds": 3}),
        service: None,
    })
}

pub(crate) fn asked(candidate: u32, round: u32) -> Record {
    Record::Asked(Asked {
        candidate,
        round,
        prompt: "p".into(),
        tokens: Usage {
            prompt_tokens: 100,
            completion_tokens: 20,
            estimated: false,
        },
        cost: Money(500),
        took_ms: 1500,
        error: None,
    })
}

pub(crate) fn candidate(id: u32, parent: Option<u32>, source: &str) -> Record {
    Record::Candidate(Candidate {
        id,
        parent,
        source: source.into(),
        author: Author::Model("small".into()),
        name: Some(format!("name-{id}")),
    })
}

pub(crate) fn stage(id: u32, stage: Stage, passed: bool) -> Record {
    let wrong = Diagnostic::new(stage, "E0308", "mismatched types")
        .at(3, 7)
        .help("give a u64");
    Record::StageDone(StageDone {
        id,
        stage,
        passed,
        took_ms: 250,
        diagnostics: if passed { vec![] } else { vec![wrong] },
    })
}

pub(crate) fn refused(id: u32, stage: Stage) -> Record {
    Record::Refused(Refused {
        id,
        stage,
        code: "E0308".into(),
        why: "mismatched types".into(),
    })
}

fn accepted(id: u32) -> Record {
    Record::Accepted(Accepted {
        id,
        name: "smooth".into(),
        by: "lab".into(),
        file: "accepted/smooth.rs".into(),
    })
}

pub(crate) fn view(records: Vec<Record>) -> View {
    let mut view = View::default();
    for (at_ms, record) in (0..).zip(records) {
        view.apply(&Line { at_ms, record }).unwrap();
    }
    view
}

#[test]
fn records_add_up() {
    let spent = Spent {
        what: "baseline".into(),
        wall_ms: 1000,
        evaluations: 8,
    };
    let view = view(vec![
        begun(),
        asked(1, 1),
        asked(1, 1),
        candidate(1, None, "a"),
        stage(1, Stage::Parse, true),
        Record::Spent(spent),
        asked(2, 2),
    ]);
    let totals = Totals {
        prompt_tokens: 300,
        completion_tokens: 60,
        cost: Money(1500),
        wall_ms: 3 * 1500 + 250 + 1000,
        evaluations: 8,
        rounds: 2,
    };
    assert_eq!(view.totals, totals);
    assert_eq!((view.next_id(), view.next_round()), (2, 3));
    assert_eq!(view.questions(1).count, 2);
    assert_eq!(view.questions(1).tokens, 240);
    assert_eq!(view.unsettled().count(), 1);
}

#[test]
fn a_candidate_has_a_state() {
    let mut records = vec![begun()];
    let mut check = |record, id, state| {
        records.push(record);
        assert_eq!(view(records.clone()).candidates[&id].state, state);
    };
    check(candidate(1, None, "a"), 1, State::Written);
    check(stage(1, Stage::Parse, true), 1, State::Passed(Stage::Parse));
    check(
        stage(1, Stage::Compile, false),
        1,
        State::Passed(Stage::Parse),
    );
    check(
        refused(1, Stage::Compile),
        1,
        State::Refused(Stage::Compile),
    );
    check(candidate(2, Some(1), "b"), 2, State::Written);
    check(accepted(2), 2, State::Accepted);
    check(Record::Winner { id: 2 }, 2, State::Winner);
    check(candidate(3, Some(2), "c"), 2, State::Winner);
    check(accepted(3), 3, State::Accepted);
    check(Record::Winner { id: 3 }, 2, State::Accepted);
    check(stage(3, Stage::Vm, true), 3, State::Winner);
    check(refused(3, Stage::Vm), 3, State::Refused(Stage::Vm));
    let view = view(records);
    assert_eq!(view.best().unwrap().candidate.id, 2);
    assert_eq!(view.line_of(3), [3, 2, 1]);
    let refused: Vec<u32> = view
        .refused()
        .map(|(entry, _)| entry.candidate.id)
        .collect();
    assert_eq!(refused, [3, 1]);
}

#[test]
fn one_goes_on_from_what_came_furthest() {
    let mut records = vec![begun(), candidate(1, None, "a")];
    assert!(view(records.clone()).start().is_none());
    records.extend([
        stage(1, Stage::Lint, true),
        candidate(2, None, "b"),
        stage(2, Stage::Parse, true),
    ]);
    assert_eq!(view(records.clone()).start().unwrap().candidate.id, 1);
    records.extend([stage(2, Stage::Lint, true)]);
    assert_eq!(view(records.clone()).start().unwrap().candidate.id, 2);
    records.extend([accepted(1)]);
    let view = view(records);
    assert_eq!(view.start().unwrap().candidate.id, 1);
    assert_eq!(view.start().unwrap().name(), Some("smooth"));
}

#[test]
fn the_first_of_equal_sources_is_found() {
    let view = view(vec![
        begun(),
        candidate(1, None, "a"),
        candidate(2, None, "a"),
    ]);
    assert_eq!((view.same("a"), view.same("b")), (Some(1), None));
}

#[test]
fn what_cannot_follow_is_refused() {
    let check = |records: Vec<Record>, record: Record, part: &str| {
        let problem = view(records).check(&record).unwrap_err();
        assert!(problem.contains(part), "{problem}");
    };
    let one = || vec![begun(), candidate(1, None, "a")];
    check(vec![], asked(1, 1), "beginning");
    check(
        one(),
        candidate(1, None, "b"),
        "candidate 1 stands where 2 belongs",
    );
    check(
        one(),
        candidate(3, None, "b"),
        "candidate 3 stands where 2 belongs",
    );
    check(one(), candidate(2, Some(2), "b"), "no candidate 2");
    check(one(), stage(2, Stage::Parse, true), "no candidate 2");
    check(one(), Record::Winner { id: 0 }, "no candidate 0");
    check(one(), asked(3, 1), "asked for before 2");
}

//! The reader of journals, and the results of what it takes.
#![no_main]

use std::{collections::BTreeMap, fs, sync::LazyLock};

use baton_lab::{
    Experiment,
    engine::{Assignment, Launch},
    gather,
    journal::{Head, Journal, Line, Session},
    judge::{Rules, judge},
    report, table,
};
use libfuzzer_sys::fuzz_target;

static EXPERIMENT: LazyLock<Experiment> = LazyLock::new(|| {
    let mut experiment = Experiment::find("smoke").expect("an experiment that comes with Baton");
    experiment.check().expect("it is good");
    experiment
});

static ASSIGNMENT: LazyLock<Assignment> =
    LazyLock::new(|| EXPERIMENT.assignment(Vec::<Launch>::new()));

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // Behind the right first line.
    let mut journal = serde_json::to_vec(&Line::Head(head())).expect("JSON");
    journal.push(b'\n');
    journal.extend_from_slice(bytes);
    read(&journal);
});

fn head() -> Head {
    Head::new(&EXPERIMENT, vec!["kernel".to_owned(), "pipe".to_owned()])
}

fn open(folder: &std::path::Path) -> Option<Journal> {
    let session = Session {
        begun: "2026-01-01T00:00:00Z".to_owned(),
        build: "0".to_owned(),
        git: None,
        versions: BTreeMap::new(),
        processor: "fuzz".to_owned(),
    };
    Journal::open(folder, head(), session).ok()
}

fn read(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("journal.jsonl"), bytes).expect("a file");
    let Some(journal) = open(folder.path()) else {
        return;
    };
    if journal.check(&ASSIGNMENT).is_err() {
        return;
    }
    let results = gather::gather(&EXPERIMENT, &journal, &[]);
    let judgement = judge(&results, &Rules::default());
    table::judgement(&judgement);
    report::html(&results, &judgement, &[]).expect("a page");
    let lines = journal.lines().len();
    drop(journal);
    // It goes on where it was, one session later.
    let again = open(folder.path()).expect("what was read can be read again");
    assert_eq!(again.lines().len(), lines + 1);
}

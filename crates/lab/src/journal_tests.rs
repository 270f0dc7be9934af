//! Tests of journals.

use std::{fs, io::Write as _};

use super::*;
use crate::{Experiment, report::Timeline, results::Status};

fn head() -> Head {
    let experiment = Experiment::find("smoke").unwrap();
    Head::new(&experiment, vec!["kernel".into(), "pipe".into()])
}

fn session() -> Session {
    Session {
        begun: "2026-01-01T00:00:00Z".into(),
        build: "0".into(),
        git: None,
        versions: BTreeMap::new(),
        processor: "p".into(),
    }
}

fn made(position: usize, at_s: f64) -> Line {
    Line::Run(Box::new(Made {
        position,
        at_s,
        run: Run {
            round: 0,
            boot: 0,
            variant: "kernel".into(),
            workload: "pipe".into(),
            seed: 1,
            status: Status::Ok,
            problem: None,
            values: BTreeMap::from([("pipe.time_s".into(), 0.1)]),
            latencies: BTreeMap::new(),
            cpu_s: Some(0.1),
            wall_s: 0.2,
            counters: BTreeMap::new(),
        },
        metrics: Vec::new(),
    }))
}

fn open(directory: &Path) -> Result<Journal, Error> {
    Journal::open(directory, head(), session())
}

#[test]
fn what_was_written_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("new/one");
    let mut journal = open(&directory).unwrap();
    journal.add(made(0, 1.5)).unwrap();
    journal.add(Line::Died(1)).unwrap();
    journal.add(made(1, 4.0)).unwrap();
    drop(journal);
    let mut journal = open(&directory).unwrap();
    journal.add(made(3, 2.0)).unwrap();
    assert_eq!(
        journal.made().map(|made| made.position).collect::<Vec<_>>(),
        [0, 1, 3]
    );
    assert_eq!((journal.deaths(1), journal.deaths(0)), (1, 0));
    // Of both sessions, what lay between left out.
    assert_eq!(journal.wall_s(), 6.0);
}

/// However much of the last line is there, all before it is kept, and it can be written again.
#[test]
fn a_torn_last_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path()).unwrap();
    journal.add(made(0, 1.0)).unwrap();
    journal.add(made(1, 2.0)).unwrap();
    drop(journal);
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for length in [last + 1, last + 40, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let mut journal = open(folder.path()).unwrap();
        assert_eq!(journal.made_count(), 1, "{length} bytes");
        journal.add(made(1, 2.0)).unwrap();
        drop(journal);
        assert_eq!(
            open(folder.path()).unwrap().made_count(),
            2,
            "{length} bytes"
        );
    }
    // Nothing but a torn first line: a new journal.
    fs::write(&path, b"{\"hea").unwrap();
    assert_eq!(open(folder.path()).unwrap().made_count(), 0);
}

#[test]
fn two_at_once_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("another `baton lab run` works in"),
        "{error}"
    );
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn another_experiment_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let check = |change: &dyn Fn(&mut Head), expected: &str| {
        let mut head = head();
        change(&mut head);
        let error = Journal::open(folder.path(), head, session())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&|head| head.seed = 7, "its seed is 1, and now 7");
    check(&|head| head.runs = 3, "its number of runs is 10, and now 3");
    check(
        &|head| head.backend = "vm".into(),
        "its backend is sim, and now vm",
    );
    check(
        &|head| head.what[1] = "hogs".into(),
        "it has `pipe`, and now `hogs`",
    );
    check(&|head| head.source.push('#'), "its file was changed since");
    check(
        &|head| head.what.push("more".into()),
        "its file was changed since",
    );
}

#[test]
fn damage_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path()).unwrap();
    journal.add(made(0, 1.0)).unwrap();
    drop(journal);
    let path = folder.path().join(FILE);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("\"session\"", "\"sessoin\"", 1)).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("journal.jsonl:2: this is no line of a journal"),
        "{error}"
    );
    let without_head: String = whole
        .lines()
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&path, without_head).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("journal.jsonl:1: it does not begin"),
        "{error}"
    );
}

#[test]
fn results_of_somebody_else_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("results.json")).unwrap();
    file.write_all(b"{}").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}

/// What the smoke experiment has to do.
fn assignment() -> Assignment {
    let mut experiment = Experiment::find("smoke").unwrap();
    experiment.check().unwrap();
    experiment.assignment(Vec::new())
}

/// The run at this place as it is planned.
fn planned(assignment: &Assignment, position: usize) -> Made {
    let cell = assignment.shape.cells()[position];
    Made {
        position,
        at_s: 1.0,
        run: assignment.failed(&cell, Status::Timeout, "slow".into()),
        metrics: Vec::new(),
    }
}

#[test]
fn lines_of_another_plan_are_refused() {
    let assignment = assignment();
    let check = |line: Line, words: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(folder.path()).unwrap();
        let good = planned(&assignment, 0);
        journal.add(Line::Run(Box::new(good))).unwrap();
        journal.check(&assignment).unwrap();
        journal.add(line).unwrap();
        let error = journal.check(&assignment).unwrap_err().to_string();
        let words = format!("journal.jsonl:4: {words}");
        assert!(error.contains(&words), "{error}");
    };
    let changed = |change: &dyn Fn(&mut Made)| {
        let mut made = planned(&assignment, 1);
        change(&mut made);
        Line::Run(Box::new(made))
    };
    let all = assignment.to;
    check(changed(&|made| made.position = all), "the plan has no run");
    check(Line::Died(all), "the plan has no run");
    let stray = Recording {
        position: all,
        timeline: Err(String::new()),
    };
    check(Line::Timeline(Box::new(stray)), "the plan has no run");
    check(changed(&|made| made.position = 2), "run 2 is round 0 of");
    check(changed(&|made| made.run.round = 5), "run 1 is round 0 of");
    check(changed(&|made| made.run.variant = "x".into()), "run 1 is");
    check(changed(&|made| made.run.workload = "x".into()), "run 1 is");
}

/// Whatever became of the bytes, the reader says what is wrong or has runs of the plan alone.
#[test]
fn random_damage_is_told_or_harmless() {
    let assignment = assignment();
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path()).unwrap();
    for position in 0..4 {
        let made = planned(&assignment, position);
        journal.add(Line::Run(Box::new(made))).unwrap();
    }
    drop(journal);
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] ^= 1 << random.u8(..8),
                1 => bytes.insert(at, random.u8(..)),
                2 => drop(bytes.drain(at..(at + random.usize(1..200)).min(bytes.len()))),
                _ => bytes[at] = b"0123456789\n\""[random.usize(..12)],
            }
        }
        fs::write(&path, &bytes).unwrap();
        match open(folder.path()).and_then(|journal| journal.check(&assignment).map(|()| journal)) {
            Ok(journal) => assert!(
                journal.made().all(|made| made.position < assignment.to),
                "seed {seed}"
            ),
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "seed {seed}");
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn recordings_are_kept_apart_from_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path()).unwrap();
    journal.add(made(0, 1.5)).unwrap();
    let recording = |position, timeline| Recording { position, timeline };
    let timeline = Timeline {
        cpus: 2,
        waiting: vec![(7, 1)],
        ..Timeline::default()
    };
    let all = [
        recording(0, Ok(timeline)),
        recording(1, Err("it died".to_owned())),
    ];
    for one in &all {
        journal.add(Line::Timeline(Box::new(one.clone()))).unwrap();
    }
    drop(journal);
    let journal = open(folder.path()).unwrap();
    assert!(journal.recordings().eq(&all));
    assert_eq!((journal.made_count(), journal.wall_s()), (1, 1.5));
}

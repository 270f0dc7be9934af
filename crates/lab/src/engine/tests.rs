//! Tests of the engine on a backend that does as it is told.

use std::path::Path;

use std::sync::atomic::AtomicBool;

use super::*;
use crate::journal::{Head, Journal, Session};

/// Two variants and one workload, six rounds in two boots.
const EXPERIMENT: &str = "name = \"x\"\nbackend = \"vm\"\nruns = 6\nboots = 2\n[[variant]]\nkernel = \
     true\n[[variant]]\npolicy = \"edf\"\n[[workload]]\nrun = \"pipe\"\n";

static NEVER: AtomicBool = AtomicBool::new(false);

/// What the backend does in a stretch, after so many runs of it.
#[derive(Clone, Copy)]
enum Then {
    GoesOn,
    Dies(usize),
    /// Before any run began.
    DiesIdle,
    /// At its end, having told of no run though it made all.
    Mute,
    Stops(usize),
}

struct Fake {
    script: Vec<Then>,
    kernel: &'static str,
    /// The places of each stretch.
    stretches: Vec<Vec<usize>>,
}

impl Fake {
    fn new(script: &[Then]) -> Self {
        Self {
            script: script.to_vec(),
            kernel: "7.0",
            stretches: Vec::new(),
        }
    }
}

impl Backend for Fake {
    fn make(
        &mut self,
        places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error> {
        assert_eq!(
            (assignment.from, assignment.to),
            (places[0], places[places.len() - 1] + 1)
        );
        let then = self
            .script
            .get(self.stretches.len())
            .copied()
            .unwrap_or(Then::GoesOn);
        self.stretches.push(places.to_vec());
        tell(Told::Boot(Booted {
            kernel: self.kernel.to_owned(),
            cpus: 2,
            accelerator: None,
            calibration: assignment.calibration.or(Some(Calibration {
                units_per_ms: self.stretches.len() as f64,
                spread: 0.0,
            })),
        }))?;
        match then {
            Then::DiesIdle => return Ok(Ended::Died("panic".to_owned())),
            Then::Mute => {
                tell(Told::Begin(places[0]))?;
                return Ok(Ended::Done);
            }
            _ => {}
        }
        let cells = assignment.shape.cells();
        for (count, &position) in places.iter().enumerate() {
            match then {
                Then::Dies(after) if after == count => {
                    tell(Told::Begin(position))?;
                    return Ok(Ended::Died("panic".to_owned()));
                }
                Then::Stops(after) if after == count => return Ok(Ended::Stopped),
                _ => {}
            }
            tell(Told::Begin(position))?;
            let mut run = assignment.failed(&cells[position], Status::Ok, String::new());
            run.problem = None;
            tell(Told::Run(Box::new(Outcome {
                position,
                run,
                metrics: Vec::new(),
            })))?;
        }
        Ok(Ended::Done)
    }
}

fn journal(directory: &Path) -> Journal {
    let experiment = Experiment::parse("x.toml", EXPERIMENT).unwrap();
    let session = Session::now(Default::default(), None);
    Journal::open(directory, Head::new(&experiment, Vec::new()), session).unwrap()
}

fn go(directory: &Path, fake: &mut Fake) -> Result<Ended, Error> {
    let experiment = Experiment::parse("x.toml", EXPERIMENT).unwrap();
    let assignment = experiment.assignment(Vec::new());
    let mut journal = journal(directory);
    run(&assignment, &mut journal, fake, &NEVER, &mut |_| {})
}

fn runs(directory: &Path) -> Vec<(Status, u32)> {
    let journal = journal(directory);
    journal
        .made()
        .map(|made| (made.run.status, made.run.boot))
        .collect()
}

#[test]
fn rounds_are_made_boot_by_boot() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    let expected: [Vec<usize>; 2] = [(0..6).collect(), (6..12).collect()];
    assert_eq!(fake.stretches, expected);
    let boots: Vec<u32> = runs(folder.path())
        .into_iter()
        .map(|(_, boot)| boot)
        .collect();
    assert_eq!(boots, [[0; 6], [1; 6]].concat());
    // Nothing is left.
    let mut fake = Fake::new(&[]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    assert_eq!(fake.stretches.len(), 0);
    // All boots share the calibration of the first.
    let journal = journal(folder.path());
    let units = journal
        .boots()
        .map(|booted| booted.calibration.unwrap().units_per_ms);
    assert_eq!(units.collect::<Vec<_>>(), [1.0, 1.0]);
}

#[test]
fn a_stop_loses_nothing_that_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[Then::Stops(2)]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Stopped);
    let mut fake = Fake::new(&[]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    let expected: [Vec<usize>; 2] = [(2..6).collect(), (6..12).collect()];
    assert_eq!(fake.stretches, expected);
}

#[test]
fn a_dead_guest_is_booted_again_and_its_run_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[Then::Dies(3)]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    let expected: [Vec<usize>; 3] = [(0..6).collect(), (3..6).collect(), (6..12).collect()];
    assert_eq!(fake.stretches, expected);
    let runs = runs(folder.path());
    assert!(runs.len() == 12 && runs.iter().all(|(status, _)| *status == Status::Ok));
    assert_eq!((runs[2].1, runs[3].1, runs[6].1), (0, 1, 2));
}

#[test]
fn a_run_that_kills_twice_is_given_up_and_the_rest_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[Then::Dies(3), Then::Dies(0)]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    let runs = runs(folder.path());
    let failed: Vec<usize> = (0..12).filter(|&at| runs[at].0 == Status::Failed).collect();
    assert_eq!(failed, [3]);
}

#[test]
fn a_machine_that_only_dies_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[Then::DiesIdle; 100]);
    let error = go(folder.path(), &mut fake).unwrap_err().to_string();
    assert!(error.contains("dies again and again: panic"), "{error}");
    assert_eq!(fake.stretches.len(), 4);
    // The last one is written down too, and no run is given up for them.
    let journal = journal(folder.path());
    assert_eq!((journal.deaths(0), journal.made_count()), (4, 0));
}

/// Runs side by side that each kill the guest are given up one by one, and the others made.
#[test]
fn runs_that_kill_do_not_end_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[Then::Dies(0); 6]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    let runs = runs(folder.path());
    let failed: Vec<usize> = (0..12).filter(|&at| runs[at].0 == Status::Failed).collect();
    assert_eq!(failed, [0, 1, 2]);
}

/// Else it would be asked for the same runs for ever.
#[test]
fn an_end_without_a_run_is_a_death() {
    let folder = tempfile::tempdir().unwrap();
    let mut fake = Fake::new(&[Then::Mute; 2]);
    assert_eq!(go(folder.path(), &mut fake).unwrap(), Ended::Done);
    let runs = runs(folder.path());
    let failed: Vec<usize> = (0..12).filter(|&at| runs[at].0 == Status::Failed).collect();
    assert_eq!((failed, fake.stretches.len()), (vec![0], 4));
}

#[test]
fn another_kernel_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), &mut Fake::new(&[Then::Stops(1)])).unwrap();
    let mut fake = Fake::new(&[]);
    fake.kernel = "7.1";
    let error = go(folder.path(), &mut fake).unwrap_err().to_string();
    assert!(
        error.contains("began on Linux 7.0, and this is Linux 7.1"),
        "{error}"
    );
}

#[test]
fn a_place_that_is_not_in_the_plan_is_refused() {
    struct Liar;
    impl Backend for Liar {
        fn make(&mut self, _: &[usize], _: &Assignment, tell: Tell<'_>) -> Result<Ended, Error> {
            tell(Told::Begin(12))?;
            Ok(Ended::Done)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let experiment = Experiment::parse("x.toml", EXPERIMENT).unwrap();
    let assignment = experiment.assignment(Vec::new());
    let mut journal = journal(folder.path());
    let error = run(&assignment, &mut journal, &mut Liar, &NEVER, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("not in the plan"), "{error}");
}

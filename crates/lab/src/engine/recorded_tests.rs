//! Tests of the recorded runs, on a backend that does as it is told.

use std::{collections::BTreeMap, path::Path};

use baton_workload::Better;

use super::*;
use crate::{
    engine::{Outcome, Tell},
    gather,
    journal::{Booted, Head, Session},
    judge::{Rules, judge},
    results::Metric,
};

/// An A/A check of the baseline, a variant that never comes to its end, and two workloads, of which
/// the second makes the greater difference.
const EXPERIMENT: &str = "name = \"x\"\nbackend = \"vm\"\nruns = 2\naa = true\nwarmup = 3\n\
     [limits]\ntotal_s = 3600\n[[variant]]\nkernel = true\n[[variant]]\npolicy = \"edf\"\n\
     [[variant]]\npolicy = \"fifo\"\n[[variant]]\nname = \"broken\"\ncommand = [\"false\"]\n\
     [[workload]]\nrun = \"pipe\"\n[[workload]]\nrun = \"hogs\"\n";

static NEVER: AtomicBool = AtomicBool::new(false);

/// What the backend does when it is asked for recordings.
#[derive(Clone, Copy)]
enum Then {
    /// Makes so many at most, and ends; all of them if none is told.
    Makes(Option<usize>),
    /// Makes so many and dies in the next.
    Dies(usize),
    DiesIdle,
    /// Says that nothing can be recorded.
    Refuses,
    Fails,
    Stops,
    Limit,
    MakesRuns,
    Strays,
}

struct Fake {
    script: Vec<Then>,
    kernel: &'static str,
    asked: Vec<Vec<(String, String)>>,
}

impl Fake {
    fn new(script: &[Then]) -> Self {
        Self {
            script: script.to_vec(),
            kernel: "7.0",
            asked: Vec::new(),
        }
    }
}

fn boot(kernel: &str) -> Told {
    Told::Boot(Booted {
        kernel: kernel.to_owned(),
        cpus: 2,
        accelerator: None,
        calibration: None,
    })
}

fn piece() -> Timeline {
    Timeline {
        cpus: 2,
        length_ns: 7,
        ..Timeline::default()
    }
}

fn recorded(position: usize, timeline: Result<Timeline, String>) -> Told {
    Told::Recorded(Box::new(Recording { position, timeline }))
}

impl Backend for Fake {
    fn make(
        &mut self,
        places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error> {
        assert_eq!(
            (places.len(), assignment.from, assignment.to),
            (0, 0, 0),
            "no run is measured again"
        );
        assert_eq!(assignment.warmup, 1);
        let cells = assignment.shape.cells();
        let todo = &assignment.recordings;
        let named = |place: &usize| {
            let (variant, workload) = names(assignment, &cells[*place]);
            (variant.to_owned(), workload.to_owned())
        };
        let then = self.script.get(self.asked.len()).copied();
        let then = then.unwrap_or(Then::Makes(None));
        self.asked.push(todo.iter().map(named).collect());
        if matches!(then, Then::DiesIdle) {
            return Ok(Ended::Died("panic".to_owned()));
        }
        tell(boot(self.kernel))?;
        let (most, end) = match then {
            Then::Makes(most) => (most.unwrap_or(todo.len()), Ok(Ended::Done)),
            Then::Dies(most) => (most, Ok(Ended::Died("panic".to_owned()))),
            Then::Stops => (1, Ok(Ended::Stopped)),
            Then::Limit => (1, Ok(Ended::Limit)),
            Then::Fails => (0, Err(Error::Guest("is nowhere".to_owned()))),
            Then::Refuses => {
                for &place in todo {
                    tell(Told::Recording(place))?;
                    tell(recorded(place, Err("no BTF".to_owned())))?;
                }
                return Ok(Ended::Done);
            }
            Then::MakesRuns => {
                tell(Told::Begin(todo[0]))?;
                return Ok(Ended::Done);
            }
            Then::Strays => {
                tell(recorded(cells.len(), Ok(piece())))?;
                return Ok(Ended::Done);
            }
            Then::DiesIdle => (0, Ok(Ended::Done)),
        };
        for &place in todo.iter().take(most) {
            tell(Told::Recording(place))?;
            tell(recorded(place, Ok(piece())))?;
        }
        if let (Then::Dies(most), true) = (then, todo.len() > most) {
            tell(Told::Recording(todo[most]))?;
        }
        end
    }
}

/// Makes the measured runs: `edf` takes thrice as long for the hogs.
struct Measured;

impl Backend for Measured {
    fn make(
        &mut self,
        places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error> {
        tell(boot("7.0"))?;
        let cells = assignment.shape.cells();
        for &position in places {
            let cell = &cells[position];
            let mut run = assignment.failed(cell, Status::Ok, String::new());
            match run.variant.as_str() {
                "broken" => run.status = Status::Unloadable,
                _ => run.problem = None,
            }
            let slow = (run.variant.as_str(), run.workload.as_str()) == ("edf", "hogs");
            run.values = BTreeMap::from([("time_s".to_owned(), if slow { 3.0 } else { 1.0 })]);
            let metrics = vec![Metric {
                workload: run.workload.clone(),
                name: "time_s".to_owned(),
                unit: "s".to_owned(),
                better: Better::Lower,
                primary: true,
            }];
            tell(Told::Run(Box::new(Outcome {
                position,
                run,
                metrics,
            })))?;
        }
        Ok(Ended::Done)
    }
}

fn experiment() -> Experiment {
    Experiment::parse("x.toml", EXPERIMENT).unwrap()
}

fn journal(directory: &Path) -> Journal {
    let session = Session::now(Default::default(), None);
    Journal::open(directory, Head::new(&experiment(), Vec::new()), session).unwrap()
}

/// A directory in which all runs are made.
fn measured() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let assignment = experiment().assignment(Vec::new());
    let mut journal = journal(folder.path());
    let ended = crate::engine::run(
        &assignment,
        &mut journal,
        &mut Measured,
        &NEVER,
        &mut |_| {},
    );
    assert_eq!(ended.unwrap(), Ended::Done);
    folder
}

struct Came {
    ended: Ended,
    problem: Option<String>,
    /// Variants with a timeline, and sentences on those without.
    shown: Vec<String>,
    missing: Vec<String>,
}

fn go_with(directory: &Path, fake: &mut Fake, stop: &AtomicBool, total_s: f64) -> Came {
    let experiment = experiment();
    let mut assignment = experiment.assignment(Vec::new());
    assignment.total_left_s = Some(total_s);
    let mut journal = journal(directory);
    let before = gather::gather(&experiment, &journal, &[]);
    let judgement = judge(&before, &Rules::default());
    let judged = (&before, &judgement);
    let (ended, problem) = record(
        &experiment,
        &assignment,
        &mut journal,
        judged,
        fake,
        stop,
        &mut |_| {},
    );
    // Whatever happened, what was measured is as it was.
    assert_eq!(gather::gather(&experiment, &journal, &[]), before);
    let made = recorded_timelines(&assignment, &journal);
    for timeline in &made {
        assert_eq!(
            (
                timeline.workload.as_str(),
                timeline.length_ns,
                timeline.recorded
            ),
            ("hogs", 7, true)
        );
    }
    Came {
        ended,
        problem,
        shown: made.into_iter().map(|timeline| timeline.variant).collect(),
        missing: missing_timelines(&assignment, &journal),
    }
}

fn go(directory: &Path, fake: &mut Fake) -> Came {
    go_with(directory, fake, &NEVER, 3600.0)
}

const ALL: [&str; 3] = ["kernel", "edf", "fifo"];

fn hogs(variants: &[&str]) -> Vec<(String, String)> {
    let named = variants
        .iter()
        .map(|variant| ((*variant).to_owned(), "hogs".to_owned()));
    named.collect()
}

#[test]
fn each_variant_is_recorded_once_where_they_differ_most() {
    let folder = measured();
    let mut fake = Fake::new(&[]);
    let came = go(folder.path(), &mut fake);
    assert_eq!((came.ended, came.problem), (Ended::Done, None));
    assert_eq!(fake.asked, [hogs(&ALL)]);
    assert_eq!(came.shown, ALL);
    assert!(came.missing.is_empty(), "{:?}", came.missing);
    // The journal has them: nothing is made again.
    let mut fake = Fake::new(&[]);
    let came = go(folder.path(), &mut fake);
    assert_eq!((came.ended, fake.asked.len()), (Ended::Done, 0));
    assert_eq!(came.shown, ALL);
}

#[test]
fn what_is_left_is_made_later() {
    let folder = measured();
    let came = go(folder.path(), &mut Fake::new(&[Then::Stops]));
    assert_eq!(
        (came.ended, came.problem, came.shown.len()),
        (Ended::Stopped, None, 1)
    );
    let came = go(folder.path(), &mut Fake::new(&[Then::Limit]));
    assert_eq!((came.ended, came.shown.len()), (Ended::Limit, 2));
    assert!(came.problem.unwrap().contains("total_s"));
    let mut fake = Fake::new(&[]);
    assert_eq!(go(folder.path(), &mut fake).shown, ALL);
    assert_eq!(fake.asked, [hogs(&["fifo"])]);
}

#[test]
fn nothing_begins_once_it_is_stopped_or_late() {
    let folder = measured();
    let stopped = AtomicBool::new(true);
    for (stop, total_s, expected) in [
        (&stopped, 3600.0, Ended::Stopped),
        (&NEVER, 0.0, Ended::Limit),
    ] {
        let mut fake = Fake::new(&[]);
        let came = go_with(folder.path(), &mut fake, stop, total_s);
        assert_eq!((came.ended, fake.asked.len()), (expected, 0));
    }
}

#[test]
fn a_recording_that_kills_twice_is_given_up_and_the_rest_made() {
    let folder = measured();
    let mut fake = Fake::new(&[Then::Dies(1), Then::Dies(0)]);
    let came = go(folder.path(), &mut fake);
    assert_eq!((came.ended, came.problem), (Ended::Done, None));
    assert_eq!(
        fake.asked,
        [hogs(&ALL), hogs(&["edf", "fifo"]), hogs(&["fifo"])]
    );
    assert_eq!(came.shown, ["kernel", "fifo"]);
    assert_eq!(came.missing.len(), 1);
    let said = &came.missing[0];
    assert!(said.contains("edf, hogs: the guest died: panic"), "{said}");
    // One death alone may be the emulator's fault.
    let folder = measured();
    let came = go(folder.path(), &mut Fake::new(&[Then::Dies(1)]));
    assert_eq!(
        (came.shown, came.missing.len()),
        (ALL.map(str::to_owned).to_vec(), 0)
    );
}

#[test]
fn what_cannot_be_recorded_is_told_and_not_tried_again() {
    let folder = measured();
    let came = go(folder.path(), &mut Fake::new(&[Then::Refuses]));
    assert_eq!(
        (came.ended, came.problem, came.shown.len()),
        (Ended::Done, None, 0)
    );
    let mut fake = Fake::new(&[]);
    let came = go(folder.path(), &mut fake);
    assert_eq!((fake.asked.len(), came.missing.len()), (0, 3));
    assert!(
        came.missing
            .iter()
            .all(|said| said.ends_with("hogs: no BTF"))
    );
}

#[test]
fn what_goes_wrong_is_told_and_can_be_tried_again() {
    let folder = measured();
    for (then, words) in [
        (Then::DiesIdle, "the guest died: panic"),
        (Then::Fails, "the guest is nowhere"),
        (Then::Makes(Some(0)), "told of none"),
        (Then::MakesRuns, "makes runs that it was not asked for"),
        (Then::Strays, "records a run that it was not asked for"),
    ] {
        let mut fake = Fake::new(&[then]);
        let came = go(folder.path(), &mut fake);
        let problem = came.problem.unwrap();
        assert!(problem.contains(words), "{problem}");
        assert_eq!((came.ended, fake.asked.len()), (Ended::Done, 1));
        assert_eq!((came.shown.len(), came.missing.len()), (0, 0));
    }
    let mut fake = Fake::new(&[]);
    fake.kernel = "7.1";
    let problem = go(folder.path(), &mut fake).problem.unwrap();
    assert!(
        problem.contains("began on Linux 7.0, and this is Linux 7.1"),
        "{problem}"
    );
    assert_eq!(
        go(folder.path(), &mut Fake::new(&[Then::Makes(Some(2))])).shown,
        ALL
    );
}

/// A simulated run is not recorded.
#[test]
fn the_simulator_is_asked_for_nothing() {
    let folder = measured();
    let mut experiment = experiment();
    experiment.backend = Kind::Sim;
    let assignment = experiment.assignment(Vec::new());
    let mut journal = journal(folder.path());
    let results = gather::gather(&experiment, &journal, &[]);
    let judgement = judge(&results, &Rules::default());
    let mut fake = Fake::new(&[]);
    let (ended, problem) = record(
        &experiment,
        &assignment,
        &mut journal,
        (&results, &judgement),
        &mut fake,
        &NEVER,
        &mut |_| {},
    );
    assert_eq!((ended, problem, fake.asked.len()), (Ended::Done, None, 0));
}

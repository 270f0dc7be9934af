//! Short real builds: programs that are executed, files, and nothing left of them.
#![cfg(feature = "real")]

mod common;

use baton_workload::RunOptions;
use common::{assert_nothing_left, check, error_of, quick, run_text, value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Runs it with this program for its units; expects an error.
fn error_with(program: Option<&str>) -> String {
    let options = RunOptions {
        program: program.map(Into::into),
        ..quick()
    };
    let error = error_of("build:units=3,jobs=2", &options);
    assert_nothing_left();
    error
}

#[test]
fn all_is_built() {
    for (seed, text, units) in [
        (1, "build:units=8,jobs=3,unit_ms=5", 8.0),
        (2, "build:units=1,jobs=4,unit_ms=5", 1.0),
        (3, "build:units=5,jobs=1,builds=3,unit_ms=2", 15.0),
    ] {
        let options = RunOptions { seed, ..quick() };
        let report = run_text(text, &options);
        assert!(
            report.complete && report.notes.is_empty(),
            "seed {seed}: {report}"
        );
        assert_eq!(
            value(&report, "build", "units"),
            units,
            "seed {seed}: {report}"
        );
        assert!(
            value(&report, "build", "time_s") > 0.0,
            "seed {seed}: {report}"
        );
        let times = &report.histograms[0];
        assert_eq!((times.name.as_str(), times.count as f64), ("unit", units));
        // All units together compute the same for every seed, and so do the links.
        let work = value(&report, "build", "work_per_s") * value(&report, "build", "time_s");
        let unit_ms = if seed == 3 { 2.0 } else { 5.0 };
        let links = if seed == 3 { 3.0 } else { 1.0 };
        let expected = (units + links) * unit_ms * 1000.0;
        assert!(
            (expected - work).abs() < 0.01 * expected,
            "seed {seed}: {work} of {expected}"
        );
        assert_nothing_left();
    }
}

#[test]
fn a_build_goes_on_behind_others() {
    let report = check("frames:seconds=0.5+build:units=4,unit_ms=3");
    // More than one build, as one is over in a fraction of that time.
    assert!(value(&report, "build", "units") > 4.0, "{report}");
    assert!(value(&report, "build", "work_per_s") > 0.0, "{report}");
    assert!(report.metric("build", "time_s").is_none(), "{report}");
    assert!(report.notes.is_empty(), "{report}");
    check("build:units=4,unit_ms=2+hogs:count=1");
    check("pipe:rounds=20+build:units=2,unit_ms=2,builds=1");
    let report = check("build:builds=endless,seconds=0.3,unit_ms=2");
    assert!(report.wall_s >= 0.3 && report.wall_s < 10.0, "{report}");
    assert_nothing_left();
}

#[test]
fn a_build_that_is_stopped_leaves_nothing() {
    // Units far too long, so that all are under way when the end comes.
    for text in [
        "build:unit_ms=10000,jobs=4",
        "frames:seconds=1000+build:unit_ms=10000",
    ] {
        let stop = AtomicBool::new(false);
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(200));
                stop.store(true, Ordering::Relaxed);
            });
            run_text(
                text,
                &RunOptions {
                    stop: &stop,
                    ..quick()
                },
            )
        });
        assert!(!report.complete, "{report}");
        assert!(
            report.notes.iter().any(|note| note.starts_with("build: ")),
            "{report}"
        );
        assert!(value(&report, "build", "work_per_s") > 0.0, "{report}");
        assert_nothing_left();
    }
    let stopped = AtomicBool::new(true);
    let report = run_text(
        "build",
        &RunOptions {
            stop: &stopped,
            ..quick()
        },
    );
    assert!(!report.complete && report.primary().is_some(), "{report}");
    assert_nothing_left();
}

#[test]
fn programs_that_are_not_ours() {
    // This test's program has the test harness's main and so cannot be executed as a unit.
    let error = error_with(None);
    assert!(
        error.contains("run_if_child() first thing in main"),
        "{error}"
    );
    let error = error_with(Some("/bin/true"));
    assert!(error.contains("did nothing"), "{error}");
    let error = error_with(Some("/bin/false"));
    assert!(error.contains("a process ended with 1"), "{error}");
    let error = error_with(Some("/nonexistent"));
    assert!(error.contains("No such file"), "{error}");
}

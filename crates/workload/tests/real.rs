//! Short real runs. They assert structure and accounts, never speed.
#![cfg(feature = "real")]

mod common;

use baton_workload::{Calibration, RunOptions, Workload, run};
use common::{ONE_AT_A_TIME, check, quick, run_text, value};
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

#[test]
fn messaging_delivers_all() {
    for threads in ["yes", "no"] {
        let report = check(&format!(
            "messaging:groups=2,loops=5,fan=3,threads={threads}"
        ));
        assert_eq!(value(&report, "messaging", "messages"), 90.0);
        assert!(value(&report, "messaging", "time_s") > 0.0);
    }
}

#[test]
fn pipe_measures_each_round() {
    for threads in ["yes", "no"] {
        let report = check(&format!("pipe:rounds=100,threads={threads}"));
        let trips = &report.histograms[0];
        assert_eq!((trips.name.as_str(), trips.count), ("round_trip", 100));
        assert!(trips.p50 > 0.0);
    }
}

#[test]
fn frames_account_for_every_tick() {
    // The second is far too much for any CPU: the calibration claims ten thousand times as much.
    let report = check("frames:fps=100,seconds=0.3");
    let heavy = Calibration {
        units_per_ms: 1e7,
        spread: 0.0,
    };
    let options = RunOptions {
        calibration: Some(heavy),
        ..RunOptions::default()
    };
    let overloaded = run_text("frames:fps=100,load=0.01,seconds=0.3", &options);
    for report in [report, overloaded] {
        let value = |name| value(&report, "frames", name);
        assert_eq!(value("frames"), 30.0);
        assert_eq!(value("on_time") + value("missed"), 30.0);
        assert!(value("dropped") <= value("missed"));
        let times = report
            .histograms
            .iter()
            .find(|quantiles| quantiles.name == "frame_time");
        assert_eq!(times.map(|quantiles| quantiles.count), Some(30));
        assert!(report.complete, "{report}");
    }
}

#[test]
fn hogs_work_for_their_time() {
    let report = check("hogs:count=2,seconds=0.2");
    assert!(value(&report, "hogs", "work_per_s") > 0.0);
    assert!(report.wall_s >= 0.2);
    assert!(value(&report, "hogs", "gap_p99_ms") <= value(&report, "hogs", "max_gap_ms"));
}

#[test]
fn requests_are_all_accounted_for() {
    // Two threads, one request in 2 ms each at half of the work of one CPU, so many on several.
    let report = check("requests:workers=3,work_us=500,seconds=0.4");
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let value = |name| value(&report, "requests", name);
    let requests = report.histograms[0].count;
    let expected = (200.0 * cpus as f64) as u64;
    assert!(requests.abs_diff(expected) <= 2, "{report}");
    let answered = value("requests_per_s") * (report.wall_s + 0.1);
    assert!(
        answered + value("unanswered") >= requests as f64 * 0.5,
        "{report}"
    );
    assert!(report.histograms[1].count > 0, "nobody was woken: {report}");
    assert!(value("request_p99_us") >= 500.0 / 1000.0, "{report}");
}

#[test]
fn beats_are_all_accounted_for() {
    for (part, text) in [
        ("audio", "audio:seconds=0.3"),
        ("stream", "stream:rate=200,threads=3,seconds=0.3"),
    ] {
        let report = check(text);
        let value = |name| value(&report, part, name);
        // The last may still be under way.
        let beats_max = (report.wall_s * 200.0).max(60.0);
        assert!((40.0..=beats_max).contains(&value("beats")), "{report}");
        assert_eq!(
            report.histograms[0].count as f64,
            value("beats"),
            "{report}"
        );
        assert!(value("dropped") <= value("missed"), "{report}");
    }
    // Far too much for any CPU: the calibration claims ten thousand times as much.
    let heavy = Calibration {
        units_per_ms: 1e7,
        spread: 0.0,
    };
    let options = RunOptions {
        calibration: Some(heavy),
        ..RunOptions::default()
    };
    let report = run_text("stream:rate=100,load=0.1,jitter=0,seconds=0.5", &options);
    assert!(value(&report, "stream", "missed") > 10.0, "{report}");
    assert!(value(&report, "stream", "on_time_share") < 0.5, "{report}");
}

#[test]
fn combinations_report_all_parts() {
    check("frames:seconds=0.2+audio+stream:rate=100");
    check("requests:workers=2,work_us=100,seconds=0.2+hogs:count=2");

    let report = check("pipe:rounds=50+hogs:count=2");
    assert!(value(&report, "hogs", "work_per_s") > 0.0);
    check("messaging:groups=1,loops=2,fan=2,threads=no+pipe:rounds=20,threads=no+hogs:count=1");
    check("frames:seconds=0.1+messaging:groups=1,loops=2,fan=2");
}

#[test]
fn a_duration_replaces_that_of_timed_parts() {
    let options = RunOptions {
        duration: Some(Duration::from_millis(100)),
        ..quick()
    };
    let report = run_text("frames:fps=100", &options);
    assert_eq!(value(&report, "frames", "frames"), 10.0);
    assert_eq!(report.workload, "frames:fps=100,seconds=0.1");
}

#[test]
fn a_limit_ends_what_would_go_on() {
    let endless = [
        "pipe:rounds=100000000",
        "pipe:rounds=100000000,threads=no",
        "messaging:loops=10000000,fan=2",
        "messaging:loops=10000000,fan=2,threads=no",
        "frames:seconds=1000",
        "requests:seconds=1000",
        "audio:seconds=1000",
        "stream:seconds=1000",
        "hogs:seconds=1000",
    ];
    for text in endless {
        let options = RunOptions {
            time_limit: Duration::from_millis(100),
            ..quick()
        };
        let report = run_text(text, &options);
        assert!(!report.complete && report.notes.len() == 2, "{report}");
        assert!(
            report.primary().is_some_and(|metric| metric.value > 0.0),
            "{report}"
        );
    }
}

#[test]
fn a_stop_ends_it_too() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let report = run_text(
            "pipe:rounds=100000000+hogs",
            &RunOptions {
                stop: &stop,
                ..quick()
            },
        );
        assert!(!report.complete, "{report}");
        // A run that is stopped from the start still answers.
        let report = run_text(
            "messaging+hogs",
            &RunOptions {
                stop: &stop,
                ..quick()
            },
        );
        assert!(!report.complete, "{report}");
    });
}

#[test]
fn too_many_descriptors_is_an_error_with_a_remedy() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let workload: Workload = "messaging:groups=1000,fan=100+hogs".parse().expect("valid");
    let error = run(&workload, &quick())
        .expect_err("needs 200000 descriptors")
        .to_string();
    assert!(error.contains("ulimit -n"), "{error}");
}

//! What the tests of real runs share.
// Not every test file looks at everything.
#![allow(dead_code)]

use baton_workload::{Calibration, Error, Report, RunOptions, Workload, run};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Runs one after the other: together they would only crowd each other out.
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a workload given as text.
pub fn run_text(text: &str, options: &RunOptions<'_>) -> Report {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let workload: Workload = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    run(&workload, options).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Runs a workload of one part that needs cgroups, where this machine lets us; afterwards there must be
/// neither processes nor cgroups.
pub fn run_or_refuse(text: &str, options: &RunOptions<'_>) -> Result<Report, Error> {
    let workload: Workload = text.parse().expect("valid");
    let outcome = {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        run(&workload, options)
    };
    assert_nothing_left();
    let part = text.split(':').next().unwrap_or_default();
    let own = format!("baton-{part}-{}", std::process::id());
    for place in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        assert!(!Path::new(place).join(&own).exists(), "a cgroup is left");
    }
    if let Err(error) = &outcome {
        // The only good reason, and then it must say what to do.
        assert!(matches!(error, Error::Missing { .. }), "{error}");
        let remedy = "run it as root where cgroup v2 has the cpu controller";
        assert!(error.to_string().contains(remedy), "{error}");
    }
    outcome
}

/// Options with a calibration that asks for little work, and this crate's program for processes.
pub fn quick() -> RunOptions<'static> {
    let calibration = Calibration {
        units_per_ms: 1000.0,
        spread: 0.0,
    };
    RunOptions {
        calibration: Some(calibration),
        program: Some(env!("CARGO_BIN_EXE_baton-workload").into()),
        ..RunOptions::default()
    }
}

/// The value of a metric.
pub fn value(report: &Report, part: &str, name: &str) -> f64 {
    let metric = report.metric(part, name);
    metric
        .unwrap_or_else(|| panic!("no {part} {name} in {report}"))
        .value
}

/// Runs it and checks what holds for every complete report.
pub fn check(text: &str) -> Report {
    let report = run_text(text, &quick());
    assert!(report.complete, "{report}");
    assert!(report.wall_s > 0.0);
    let parts: Vec<_> = text
        .split('+')
        .map(|part| part.split(':').next().unwrap_or(""))
        .collect();
    for part in &parts {
        let primary = report
            .metrics
            .iter()
            .filter(|metric| metric.part == *part && metric.primary);
        assert_eq!(primary.count(), 1, "{report}");
    }
    assert_eq!(
        report.primary().map(|metric| metric.part.as_str()),
        parts.first().copied()
    );
    for quantiles in &report.histograms {
        let ordered = [
            0.0,
            quantiles.p50,
            quantiles.p90,
            quantiles.p99,
            quantiles.p999,
            quantiles.max,
        ];
        assert!(ordered.is_sorted(), "{report}");
    }
    // Numbers may lose their last bit on the way, so the account is compared, not each value.
    let json = serde_json::to_string(&report).expect("a report is plain data");
    let reread: Report = serde_json::from_str(&json).expect("it was just written");
    assert_eq!(reread.metrics.len(), report.metrics.len());
    assert_eq!(reread.parameters, report.parameters);
    report
}

/// Runs a workload given as text; expects an error.
pub fn error_of(text: &str, options: &RunOptions<'_>) -> String {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let workload: Workload = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let outcome = run(&workload, options);
    outcome.expect_err("it cannot be run").to_string()
}

/// Asserts that this process has no children and no files of a run. Other tests must not be in one.
#[track_caller]
pub fn assert_nothing_left() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let tasks = fs::read_dir("/proc/self/task")
        .expect("/proc is mounted")
        .flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: String = children.collect();
    assert_eq!(children.trim(), "", "processes are left");
    let mark = format!("-{}-", std::process::id());
    let files = fs::read_dir(std::env::temp_dir())
        .expect("it can be listed")
        .flatten();
    let files: Vec<_> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("baton-") && name.contains(&mark))
        .collect();
    assert!(files.is_empty(), "files are left: {files:?}");
}

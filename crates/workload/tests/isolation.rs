//! Two cgroups against each other, where this machine lets us; in VMs it always does, and a test of
//! the program `baton` runs it there.
#![cfg(feature = "real")]

mod common;

use baton_workload::RunOptions;
use common::{quick, run_or_refuse, value};
use std::time::Duration;

#[test]
fn the_polite_one_is_measured_or_the_reason_told() {
    let text = "isolation:hogs=2,forks=4,rate=100,seconds=0.5";
    let Ok(report) = run_or_refuse(text, &quick()) else {
        return;
    };
    assert!(report.complete && report.notes.is_empty(), "{report}");
    let value = |name| value(&report, "isolation", name);
    assert!(report.histograms[0].count > 0, "{report}");
    assert!(value("wakeup_p50_us") <= value("wakeup_p99_us"), "{report}");
    assert!(value("wakeup_p99_us") <= value("wakeup_max_us"), "{report}");
    assert!(
        value("wakeup_p99_us") <= value("response_p99_us"),
        "{report}"
    );
    assert!(
        value("served_share") > 0.0 && value("served_share") <= 1.0,
        "{report}"
    );
    assert!(value("polite_cpu_share") > 0.0, "{report}");
    assert!(
        value("hostile_cpu_share") > value("polite_cpu_share"),
        "{report}"
    );
    assert!(
        value("work_per_s") > 0.0 && value("forks_per_s") > 0.0,
        "{report}"
    );
}

#[test]
fn a_limit_ends_it() {
    let options = RunOptions {
        time_limit: Duration::from_millis(300),
        ..quick()
    };
    if let Ok(report) = run_or_refuse("isolation:seconds=1000", &options) {
        assert!(!report.complete, "{report}");
        assert!(
            report.notes.iter().any(|note| note.ends_with(" of 1000 s")),
            "{report}"
        );
    }
}

//! Cgroups with weights, where this machine lets us; in VMs it always does, and a test of the program
//! `baton` runs it there.
#![cfg(feature = "real")]

mod common;

use baton_workload::RunOptions;
use common::{quick, run_or_refuse, value};
use std::time::Duration;

#[test]
fn each_tenant_is_measured_or_the_reason_told() {
    let text = "tenants:weights=100/200/100,hogs=2,rate=200,seconds=0.5";
    let Ok(report) = run_or_refuse(text, &quick()) else {
        return;
    };
    assert!(report.complete && report.notes.is_empty(), "{report}");
    let value = |name| value(&report, "tenants", name);
    let shares = ["tenant1_share", "tenant2_share", "tenant3_share"].map(value);
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{report}");
    assert!(shares.iter().all(|share| *share > 0.0), "{report}");
    assert!((0.0..=1.0).contains(&value("share_error")), "{report}");
    assert!((0.0..=1.0).contains(&value("served_share")), "{report}");
    assert!(value("work_per_s") > 0.0, "{report}");
    assert_eq!(report.histograms.len(), 3, "{report}");
}

#[test]
fn a_limit_ends_it() {
    let options = RunOptions {
        time_limit: Duration::from_millis(300),
        ..quick()
    };
    if let Ok(report) = run_or_refuse("tenants:seconds=1000", &options) {
        assert!(!report.complete, "{report}");
        assert!(
            report.notes.iter().any(|note| note.ends_with(" of 1000 s")),
            "{report}"
        );
    }
}

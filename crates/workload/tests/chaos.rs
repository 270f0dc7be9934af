//! Short chaos on this machine. CPUs are only taken offline in a directory that looks like the
//! kernel's. What the kernel refuses here is counted, so this runs as any user.
#![cfg(feature = "real")]

use baton_workload::Calibration;
use baton_workload::chaos::{ChaosOptions, ChaosReport, chaos};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// One after the other, as each counts the children of this process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn quick() -> ChaosOptions<'static> {
    ChaosOptions {
        duration: Duration::from_millis(600),
        calibration: Some(Calibration {
            units_per_ms: 1000.0,
            spread: 0.0,
        }),
        // The real one is not for a test to touch.
        cpu_root: PathBuf::from("/nonexistent"),
        ..ChaosOptions::default()
    }
}

/// A directory with two CPUs that are online.
fn cpu_root() -> PathBuf {
    let root = std::env::temp_dir().join(format!("baton-chaos-cpus-{}", std::process::id()));
    for cpu in ["cpu0", "cpu1"] {
        fs::create_dir_all(root.join(cpu)).expect("a temporary directory can be written");
        fs::write(root.join(cpu).join("online"), "1").expect("as above");
    }
    root
}

fn attempted(report: &ChaosReport, name: &str) -> u64 {
    let found = report
        .disturbances
        .iter()
        .find(|disturbed| disturbed.name == name);
    found.map_or(0, |disturbed| disturbed.done + disturbed.refused)
}

fn children() -> usize {
    let tasks = fs::read_dir("/proc/self/task")
        .expect("/proc is mounted")
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.map(|list| list.split_whitespace().count()).sum()
}

#[test]
fn disturbs_counts_and_leaves_no_trace() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let root = cpu_root();
    let options = ChaosOptions {
        hotplug: true,
        cpu_root: root.clone(),
        ..quick()
    };
    let report = chaos(&options).expect("victims and witnesses can be made");
    assert!(report.complete, "{report}");
    for name in ["fork", "affinity", "nice", "cpu_offline", "cpu_online"] {
        assert!(attempted(&report, name) > 0, "{name}: {report}");
    }
    assert!(
        attempted(&report, "class_other") + attempted(&report, "class_idle") > 0,
        "{report}"
    );
    assert_eq!(
        report.done("cpu_offline"),
        report.done("cpu_online"),
        "{report}"
    );
    let cgroups_used = attempted(&report, "cgroup_move") > 0;
    assert!(
        cgroups_used
            || report
                .notes
                .iter()
                .any(|note| note.starts_with("no cgroups"))
    );
    for measures in ["gap", "wakeup_lateness"] {
        assert!(
            report
                .witnesses
                .iter()
                .any(|witness| witness.measures == measures),
            "{report}"
        );
    }
    for witness in &report.witnesses {
        assert!(witness.p99_ms <= witness.max_ms, "{report}");
        assert!(
            witness.max_ms <= report.max_gap_ms.max(report.max_wakeup_late_ms),
            "{report}"
        );
    }
    assert!(report.max_wakeup_late_ms > 0.0, "{report}");
    for cpu in ["cpu0", "cpu1"] {
        assert_eq!(
            fs::read_to_string(root.join(cpu).join("online"))
                .ok()
                .as_deref(),
            Some("1")
        );
    }
    fs::remove_dir_all(root).expect("it is ours");
    assert_eq!(children(), 0);
    let own = format!("baton-chaos-{}", std::process::id());
    for place in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        assert!(!Path::new(place).join(&own).exists());
    }
    let json = serde_json::to_string(&report).expect("a report is plain data");
    let reread: ChaosReport = serde_json::from_str(&json).expect("it was just written");
    assert_eq!(reread.disturbances, report.disturbances);
}

#[test]
fn what_is_not_wanted_is_not_done_and_a_stop_ends_it() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let stop = AtomicBool::new(false);
    let options = ChaosOptions {
        duration: Duration::from_secs(1000),
        classes: false,
        cgroups: false,
        stop: &stop,
        salt: Some("salt".to_owned()),
        ..quick()
    };
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
        });
        chaos(&options).expect("victims and witnesses can be made")
    });
    assert!(!report.complete, "{report}");
    for disturbed in &report.disturbances {
        let wanted = ["fork", "affinity", "nice"].contains(&disturbed.name.as_str());
        assert!(
            wanted || disturbed.done + disturbed.refused == 0,
            "{report}"
        );
    }
    for note in ["no cgroups: not asked for", "no hotplug: not asked for"] {
        assert!(report.notes.iter().any(|other| other == note), "{report}");
    }
}

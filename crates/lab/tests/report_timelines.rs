//! Timelines of simulated runs, as a report shows them.

mod report_support;

use std::sync::atomic::AtomicBool;

use baton_lab::{Experiment, engine, report::html};
use report_support::{judgement, results};

static NEVER: AtomicBool = AtomicBool::new(false);

#[test]
fn each_variant_of_a_simulated_experiment_has_one() {
    let mut experiment = Experiment::find("smoke").unwrap();
    experiment.check().unwrap();
    // What was measured elsewhere tells nothing of these workloads: the first one is taken.
    let (results, judgement) = (results(), judgement(&results()));
    let made = engine::timelines(&experiment, &results, &judgement, &NEVER);
    let names: Vec<&str> = made
        .iter()
        .map(|timeline| timeline.variant.as_str())
        .collect();
    assert_eq!(names, ["kernel", "fifo", "edf"]);
    for timeline in &made {
        assert_eq!(
            (timeline.workload.as_str(), timeline.cpus),
            ("pipe:rounds=300", 2)
        );
        assert!(
            !timeline.slices.is_empty() && !timeline.wakeups.is_empty(),
            "{timeline:?}"
        );
        assert!(
            timeline
                .slices
                .iter()
                .all(|slice| slice.end_ns <= timeline.length_ns)
        );
        // Names are those of the workload, not the salted ones that policies see.
        assert!(
            timeline
                .tasks
                .iter()
                .any(|task| task.name.starts_with("pipe")),
            "{:?}",
            timeline.tasks
        );
    }
    let again = engine::timelines(&experiment, &results, &judgement, &NEVER);
    assert_eq!(made, again);
    let stopped = AtomicBool::new(true);
    let none = engine::timelines(&experiment, &results, &judgement, &stopped);
    assert_eq!(none, []);
    let page = html(&results, &judgement, &made).unwrap();
    assert!(page.contains("fifo, pipe:rounds=300, round 1"));
}

#[test]
fn other_backends_leave_none() {
    let mut experiment = Experiment::find("smoke").unwrap();
    experiment.check().unwrap();
    experiment.backend = "vm".parse().unwrap();
    let results = results();
    assert!(engine::timelines(&experiment, &results, &judgement(&results), &NEVER).is_empty());
}

//! The rules of verdicts, one by one.

mod common;

use baton_lab::{
    judge::{Cell, Judgement, Rules, Scale, Verdict, judge},
    results::{Results, Status},
};
use baton_workload::Better;
use common::{TIME, about, add, metric, results, run, workload};

fn judged(results: &Results) -> Judgement {
    judge(results, &Rules::default())
}

/// The cell of the primary metric under this variant.
fn cell(results: &Results, variant: &str) -> Cell {
    let judgement = judged(results);
    let mut cells = judgement.cells.into_iter();
    cells
        .find(|cell| cell.variant == variant && cell.primary)
        .unwrap()
}

#[track_caller]
fn check(results: &Results, variant: &str, verdict: Verdict, why: &str) {
    let cell = cell(results, variant);
    assert_eq!(cell.verdict, verdict, "{}", cell.why);
    assert!(cell.why.contains(why), "{}", cell.why);
}

/// `kernel` at 1, `edf` at `middle`, both with this spread.
fn two(middle: f64, spread: f64, rounds: usize) -> Results {
    let mut results = results(&["kernel", "edf"]);
    add(
        &mut results,
        "kernel",
        "pipe",
        TIME,
        &about(1.0, spread, rounds, 1),
    );
    add(
        &mut results,
        "edf",
        "pipe",
        TIME,
        &about(middle, spread, rounds, 2),
    );
    results
}

#[test]
fn clear_differences() {
    check(
        &two(1.3, 0.05, 10),
        "edf",
        Verdict::Worse,
        "the interval lies above 1",
    );
    check(
        &two(0.8, 0.05, 10),
        "edf",
        Verdict::Better,
        "the interval lies below 1",
    );
    let cell = cell(&two(1.3, 0.05, 10), "edf");
    let effect = cell.effect.unwrap();
    assert!(effect.low > 1.2 && effect.high < 1.4, "{effect:?}");
    assert_eq!(cell.p_least, Some(2.0 / 1024.0));
    assert!((cell.p_unpaired.unwrap() - 2.0 / 184_756.0).abs() < 1e-12);
}

/// The baseline's values, and those of a variant that is slower in so many of 12 rounds.
fn slower_in(rounds: u32) -> [Vec<f64>; 2] {
    let old = about(1.0, 0.05, 12, 1);
    let slower = |(value, round): (&f64, u32)| {
        if round < rounds { value * 1.5 } else { *value }
    };
    let new = old.iter().zip(0..).map(slower).collect();
    [old, new]
}

/// Pairs that are equal say nothing, and what the others can show is what is printed. More runs are not
/// asked for, as there are enough.
#[test]
fn equal_pairs_do_not_count() {
    let mut results = results(&["kernel", "edf"]);
    let [old, new] = slower_in(5);
    add(&mut results, "kernel", "pipe", TIME, &old);
    add(&mut results, "edf", "pipe", TIME, &new);
    let cell = cell(&results, "edf");
    assert_eq!((cell.p, cell.p_least), (Some(0.0625), Some(0.0625)));
    assert_eq!(cell.p_least_planned, Some(2.0 / 4096.0));
    assert_eq!(cell.verdict, Verdict::NoDifference, "{}", cell.why);
}

/// Where it is they that keep a difference from being shown, the reason says so.
#[test]
fn a_verdict_that_fails_by_equal_pairs_says_so() {
    let mut results = results(&["kernel", "edf"]);
    let [old, new] = slower_in(10);
    add(&mut results, "kernel", "pipe", TIME, &old);
    add(&mut results, "edf", "pipe", TIME, &new);
    check(&results, "edf", Verdict::Worse, "p = 0.002 among 1 cells");
    for more in 0..29 {
        let name = format!("more-{more}");
        results.workloads.push(workload(&name, "more"));
        results
            .metrics
            .push(metric(&name, TIME, "s", Better::Lower, true));
        add(&mut results, "kernel", &name, TIME, &old);
        add(&mut results, "edf", &name, TIME, &new);
    }
    check(
        &results,
        "edf",
        Verdict::NoDifference,
        "; 2 of 12 pairs are equal, and the others cannot have less than p = 0.002",
    );
}

#[test]
fn more_is_better_where_it_is() {
    let mut results = two(1.3, 0.05, 10);
    results.metrics[0].better = Better::Higher;
    check(&results, "edf", Verdict::Better, "below 1");
}

#[test]
fn nothing_is_better_below_ten_runs() {
    check(
        &two(0.1, 0.01, 9),
        "edf",
        Verdict::TooFew,
        "9 runs can be compared, and 10 are needed",
    );
}

#[test]
fn pairs_are_of_one_round() {
    let mut results = two(0.5, 0.01, 12);
    // The baseline lacks two rounds, the variant two others.
    results.runs.retain(|run| {
        !matches!(
            (run.variant.as_str(), run.round),
            ("kernel", 0 | 1) | ("edf", 2 | 3)
        )
    });
    let cell = cell(&results, "edf");
    assert_eq!((cell.pairs, cell.verdict), (8, Verdict::TooFew));
    assert!(
        cell.why
            .contains("edf: 2 missing of 12; the baseline: 2 missing of 12"),
        "{}",
        cell.why
    );
    // A drift that meets both is not a difference.
    let mut results = common::results(&["kernel", "edf"]);
    let drift: Vec<f64> = (0..12).map(|round| 1.0 + f64::from(round)).collect();
    add(&mut results, "kernel", "pipe", TIME, &drift);
    add(
        &mut results,
        "edf",
        "pipe",
        TIME,
        &drift.iter().map(|value| value * 1.01).collect::<Vec<_>>(),
    );
    let effect = self::cell(&results, "edf").effect.unwrap();
    assert!(
        (effect.median - 1.01).abs() < 1e-9 && effect.high - effect.low < 1e-9,
        "{effect:?}"
    );
}

#[test]
fn no_change_within_the_interval() {
    check(
        &two(1.0, 0.3, 10),
        "edf",
        Verdict::NoDifference,
        "the interval holds no change",
    );
}

#[test]
fn an_interval_alone_shows_nothing() {
    // Most rounds are a little above, the others far below.
    let mut results = results(&["kernel", "edf"]);
    add(&mut results, "kernel", "pipe", TIME, &[1.0; 20]);
    let mut values = vec![1.01; 20];
    values[..4].fill(0.5);
    add(&mut results, "edf", "pipe", TIME, &values);
    let cell = cell(&results, "edf");
    assert!(!cell.effect.unwrap().holds_no_change(), "{cell:?}");
    check(&results, "edf", Verdict::NoDifference, "p = ");
}

#[test]
fn drift_hides_nothing() {
    // Always a little above, and by far less than the values drift.
    let mut results = results(&["kernel", "edf"]);
    let drift: Vec<f64> = (0..10).map(|round| 1.0 + f64::from(round)).collect();
    add(&mut results, "kernel", "pipe", TIME, &drift);
    let above: Vec<f64> = drift.iter().map(|value| value * 1.02).collect();
    add(&mut results, "edf", "pipe", TIME, &above);
    check(&results, "edf", Verdict::Worse, "");
    assert!(cell(&results, "edf").p_unpaired.unwrap() > 0.5);
}

#[test]
fn too_many_cells_for_so_few_runs() {
    let rules = Rules {
        runs_min: 6,
        ..Rules::default()
    };
    let mut results = two(0.5, 0.01, 6);
    let one = judge(&results, &rules);
    assert_eq!(
        one.cells[0].verdict,
        Verdict::Better,
        "{}",
        one.cells[0].why
    );
    results.workloads.push(workload("more", "more"));
    results
        .metrics
        .push(metric("more", "time_s", "s", Better::Lower, true));
    add(
        &mut results,
        "kernel",
        "more",
        "time_s",
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    add(
        &mut results,
        "edf",
        "more",
        "time_s",
        &[2.0, 1.0, 4.0, 3.0, 6.0, 5.0],
    );
    let cell = &judge(&results, &rules).cells[0];
    assert_eq!((cell.verdict, cell.family), (Verdict::TooFew, 2));
    assert!(
        cell.why
            .contains("even the clearest result would have p = 0.062"),
        "{}",
        cell.why
    );
}

#[test]
fn the_same_thing_differs_from_itself() {
    let mut results = results(&["kernel", "kernel/2", "edf"]);
    add(
        &mut results,
        "kernel",
        "pipe",
        TIME,
        &about(1.0, 0.02, 12, 1),
    );
    add(
        &mut results,
        "kernel/2",
        "pipe",
        TIME,
        &about(0.9, 0.02, 12, 2),
    );
    add(&mut results, "edf", "pipe", TIME, &about(0.93, 0.02, 12, 3));
    check(
        &results,
        "edf",
        Verdict::NoDifference,
        "within what the A/A check finds, 1.1",
    );
    // The check's own verdict is an alarm.
    let judgement = judged(&results);
    let alarm =
        |note: &String| note.contains("The A/A check failed: kernel/2 is the same as kernel");
    assert!(judgement.notes.iter().any(alarm), "{:?}", judgement.notes);
    assert_eq!(cell(&results, "kernel/2").verdict, Verdict::Better);
    // What is farther away is shown all the same.
    results.runs.retain(|run| run.variant != "edf");
    add(&mut results, "edf", "pipe", TIME, &about(0.7, 0.02, 12, 3));
    check(&results, "edf", Verdict::Better, "");
}

#[test]
fn families_are_apart() {
    let mut results = results(&["kernel", "kernel/2", "edf", "fifo"]);
    for n in 0..3 {
        results.metrics.push(metric(
            "pipe",
            &format!("beside{n}"),
            "s",
            Better::Lower,
            false,
        ));
    }
    // What cannot differ is no member.
    results
        .metrics
        .push(metric("pipe", "same", "s", Better::Lower, false));
    results.workloads.push(workload("more", "more"));
    results
        .metrics
        .push(metric("more", "time_s", "s", Better::Lower, true));
    for variant in ["kernel", "kernel/2", "edf", "fifo"] {
        for round in 0..20 {
            let mut run = run(
                round % 10,
                variant,
                if round < 10 { "pipe" } else { "more" },
            );
            for metric in &results.metrics {
                let value = 1.0 + f64::from(round) + variant.len() as f64 / 100.0;
                run.values.insert(metric.name.clone(), value);
            }
            run.values.insert("same".into(), 5.0);
            results.runs.push(run);
        }
    }
    let judgement = judged(&results);
    let family = |variant: &str, workload: &str, primary: bool| {
        let wanted = (variant, workload, primary);
        let mut cells = judgement.cells.iter();
        let found = cells
            .find(|cell| (cell.variant.as_str(), cell.workload.as_str(), cell.primary) == wanted);
        found.unwrap().family
    };
    assert_eq!(judgement.cells.len(), 3 * 6);
    for variant in ["kernel/2", "edf", "fifo"] {
        assert_eq!(
            (family(variant, "pipe", true), family(variant, "more", true)),
            (2, 2)
        );
        assert_eq!(family(variant, "pipe", false), 3);
    }
}

#[test]
fn who_fails_more_often_is_never_better() {
    let mut results = two(0.5, 0.01, 12);
    for run in results
        .runs
        .iter_mut()
        .filter(|run| run.variant == "edf" && run.round < 2)
    {
        run.status = Status::Ejected;
    }
    check(
        &results,
        "edf",
        Verdict::NoDifference,
        "2 failed, of the baseline 0",
    );
    // As often as the baseline: that is no reason.
    for run in results
        .runs
        .iter_mut()
        .filter(|run| run.variant == "kernel" && run.round < 2)
    {
        run.status = Status::Timeout;
    }
    check(&results, "edf", Verdict::Better, "edf: 2 ejected of 12");
    // Worse stays worse.
    let mut results = two(2.0, 0.01, 12);
    results.runs.last_mut().unwrap().status = Status::Failed;
    check(&results, "edf", Verdict::Worse, "1 failed of 12");
}

#[test]
fn what_does_not_run_has_failed() {
    let mut results = two(0.5, 0.01, 10);
    for run in results.runs.iter_mut().filter(|run| run.variant == "edf") {
        run.status = Status::Unloadable;
    }
    check(&results, "edf", Verdict::Failed, "edf: 10 unloadable of 10");
    let judgement = judged(&results);
    assert_eq!(judgement.cells.len(), 1, "it is shown");
    assert_eq!(judgement.cells[0].effect, None);
}

#[test]
fn values_without_a_ratio() {
    let mut results = results(&["kernel", "edf"]);
    add(
        &mut results,
        "kernel",
        "pipe",
        TIME,
        &[0.0, 1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0],
    );
    add(
        &mut results,
        "edf",
        "pipe",
        TIME,
        &[7.0, 9.0, 8.0, 9.0, 8.0, 7.0, 9.0, 8.0, 7.0, 9.0],
    );
    check(&results, "edf", Verdict::Worse, "the interval lies above 0");
    assert_eq!(
        cell(&results, "edf").effect.unwrap().scale,
        Scale::Difference
    );
    let mut negative = two(1.0, 0.1, 10);
    negative
        .runs
        .iter_mut()
        .for_each(|run| *run.values.get_mut(TIME).unwrap() *= -1.0);
    check(&negative, "edf", Verdict::NoDifference, "");
}

#[test]
fn constants() {
    let mut same = results(&["kernel", "edf"]);
    add(&mut same, "kernel", "pipe", TIME, &[3.0; 10]);
    add(&mut same, "edf", "pipe", TIME, &[3.0; 10]);
    check(&same, "edf", Verdict::NoDifference, "all values are equal");
    let mut other = results(&["kernel", "edf"]);
    add(&mut other, "kernel", "pipe", TIME, &[3.0; 10]);
    add(&mut other, "edf", "pipe", TIME, &[2.0; 10]);
    check(&other, "edf", Verdict::Better, "");
    let mut none = results(&["kernel", "edf"]);
    add(&mut none, "kernel", "pipe", TIME, &[0.0; 10]);
    add(&mut none, "edf", "pipe", TIME, &[0.0; 10]);
    check(&none, "edf", Verdict::NoDifference, "all values are equal");
}

#[test]
fn what_is_no_number_is_not_compared() {
    let mut results = two(0.5, 0.01, 11);
    results.runs[0].values.insert(TIME.into(), f64::NAN);
    results.runs[11].values.insert(TIME.into(), f64::INFINITY);
    let cell = cell(&results, "edf");
    assert_eq!((cell.pairs, cell.verdict), (10, Verdict::Better));
    results.runs[1].values.clear();
    check(&results, "edf", Verdict::TooFew, "");
    // Written and read again, it is still none.
    let text = serde_json::to_vec(&results).unwrap();
    assert!(Results::parse(&text).unwrap().runs[0].values[TIME].is_nan());
}

#[test]
fn nothing_to_judge() {
    let mut results = results(&["kernel"]);
    assert_eq!(judged(&results).cells, []);
    results.variants.clear();
    assert_eq!(judged(&results).cells, []);
    check(
        &common::results(&["kernel", "edf"]),
        "edf",
        Verdict::TooFew,
        "0 runs",
    );
}

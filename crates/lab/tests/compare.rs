//! Two results side by side, and thresholds.

mod common;

use baton_lab::{
    check::{Error, Thresholds, check, missing, unmeasured},
    compare::{Comparison, compare},
    judge::{Rules, Scale, Verdict, judge},
    results::{Results, Status},
};
use baton_workload::Better;
use common::{TIME, about, add, metric, results};

/// `kernel` at 1 and `edf` at `middle`, both times `session`.
fn made(middle: f64, session: f64, seed: u64) -> Results {
    let mut results = results(&["kernel", "edf"]);
    add(
        &mut results,
        "kernel",
        "pipe",
        TIME,
        &about(session, 0.05, 12, seed),
    );
    add(
        &mut results,
        "edf",
        "pipe",
        TIME,
        &about(middle * session, 0.05, 12, seed + 1),
    );
    results
}

fn compared(old: &Results, new: &Results, relative: bool) -> Comparison {
    compare(old, new, &Rules::default(), relative)
}

fn verdicts(comparison: &Comparison) -> Vec<(&str, Verdict)> {
    comparison
        .cells
        .iter()
        .map(|cell| (cell.variant.as_str(), cell.verdict))
        .collect()
}

#[test]
fn a_variant_that_got_slower() {
    let comparison = compared(&made(0.8, 1.0, 1), &made(1.0, 1.0, 3), false);
    assert_eq!(
        verdicts(&comparison),
        [("kernel", Verdict::NoDifference), ("edf", Verdict::Worse)]
    );
    let effect = comparison.cells[1].effect.unwrap();
    assert!(effect.low > 1.15 && effect.high < 1.35, "{effect:?}");
    assert_eq!(comparison.warnings, Vec::<String>::new());
}

#[test]
fn another_day_is_not_another_variant() {
    let (old, new) = (made(0.8, 1.0, 1), made(0.8, 1.3, 3));
    let plain = compared(&old, &new, false);
    assert_eq!(
        verdicts(&plain),
        [("kernel", Verdict::Worse), ("edf", Verdict::Worse)]
    );
    let relative = compared(&old, &new, true);
    assert_eq!(verdicts(&relative), [("edf", Verdict::NoDifference)]);
    let worse = compared(&old, &made(1.0, 1.3, 3), true);
    assert_eq!(verdicts(&worse), [("edf", Verdict::Worse)]);
}

/// Where the baseline has zeros, values are taken off it, and what is left is no more divided.
#[test]
fn differences_are_compared_as_differences() {
    let with = |edf: f64| {
        let mut results = results(&["kernel", "edf"]);
        add(&mut results, "kernel", "pipe", TIME, &[0.0; 12]);
        let values = about(edf, 0.01, 12, 1);
        add(&mut results, "edf", "pipe", TIME, &values);
        results
    };
    let comparison = compared(&with(5.0), &with(10.0), true);
    let effect = comparison.cells[0].effect.unwrap();
    assert_eq!(effect.scale, Scale::Difference);
    assert!((effect.median - 5.0).abs() < 0.2, "{effect:?}");
    // Without zeros it stays a ratio.
    let ratio = compared(&made(0.8, 1.0, 1), &made(1.0, 1.0, 3), true);
    assert_eq!(ratio.cells[0].effect.unwrap().scale, Scale::Ratio);
}

#[test]
fn what_differs_beside_is_told() {
    let old = made(1.0, 1.0, 1);
    let mut new = made(1.0, 1.0, 3);
    new.environment.kernel = "7.1".into();
    new.environment.backend = "host".into();
    new.environment.processor = "other".into();
    new.environment
        .versions
        .insert("qemu".into(), "10.0".into());
    new.seed = 2;
    new.workloads[0].what = "pipe:rounds=100".into();
    new.variants.push(baton_lab::results::Variant {
        name: "fifo".into(),
        what: String::new(),
        same_as: None,
        prefix: false,
    });
    let comparison = compared(&old, &new, false);
    let warnings = comparison.warnings.join("\n");
    for words in [
        "The kernel differs: `7.0` before, `7.1` now.",
        "The backend differs",
        "The processor differs",
        "The seed differs: `1` before, `2` now.",
        "The version of qemu differs: `` before, `10.0` now.",
        "The workload pipe differs",
    ] {
        assert!(warnings.contains(words), "no {words:?} in {warnings}");
    }
    assert_eq!(
        comparison.notes,
        ["Only the new results have the variants fifo."]
    );
}

#[test]
fn another_unit_is_not_compared() {
    let old = made(1.0, 1.0, 1);
    let mut new = made(1.0, 1.0, 3);
    new.metrics[0].unit = "ms".into();
    let comparison = compared(&old, &new, false);
    assert_eq!(comparison.cells, []);
    assert!(
        comparison.notes[0].contains("another unit"),
        "{:?}",
        comparison.notes
    );
}

fn words(words: &[&str]) -> Result<Thresholds, Error> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Thresholds::from_words(&words)
}

#[test]
fn thresholds_are_read() {
    assert_eq!(words(&["primary=1.05"]), Ok(Thresholds::default()));
    let named = words(&["pipe:rounds=5/pipe.time_s=1.1", "primary = 1.2"]).unwrap();
    let toml = "primary = 1.2\n\"pipe:rounds=5/pipe.time_s\" = 1.1\n";
    assert_eq!(Thresholds::from_toml(toml), Ok(named));
    assert_eq!(words(&["primary"]), Err(Error::Form("primary".into())));
    assert_eq!(words(&["primary=x"]), Err(Error::Form("primary=x".into())));
    assert_eq!(
        words(&["primary=0.9"]),
        Err(Error::Ratio("primary".into(), 0.9))
    );
    assert!(matches!(words(&["primary=NaN"]), Err(Error::Ratio(..))));
    assert!(matches!(
        Thresholds::from_toml("primary = \"a\""),
        Err(Error::File(_))
    ));
}

#[test]
fn only_what_is_shown_and_beyond_the_threshold_fails() {
    let cells = |middle, spread| {
        let mut results = results(&["kernel", "edf"]);
        add(
            &mut results,
            "kernel",
            "pipe",
            TIME,
            &about(1.0, spread, 12, 1),
        );
        add(
            &mut results,
            "edf",
            "pipe",
            TIME,
            &about(middle, spread, 12, 2),
        );
        judge(&results, &Rules::default()).cells
    };
    let default = Thresholds::default();
    let regressed = check(&cells(1.2, 0.03), &default, vec![]);
    assert!(!regressed.passed);
    assert!(
        regressed.regressions[0].why.contains("allowed 1.05"),
        "{regressed:?}"
    );
    assert!(check(&cells(1.2, 0.03), &words(&["primary=1.3"]).unwrap(), vec![]).passed);
    // Worse in the median, and not shown.
    assert!(check(&cells(1.2, 0.8), &default, vec![]).passed);
    assert!(check(&cells(0.8, 0.03), &default, vec![]).passed);
    // The closest name counts.
    let close = words(&["primary=1.05", "pipe/pipe.time_s=1.5"]).unwrap();
    assert!(check(&cells(1.2, 0.03), &close, vec![]).passed);
    assert_eq!(close.fit(&cells(1.0, 0.1)), Ok(()));
    let unknown = words(&["pipe.tims_s=1.5"])
        .unwrap()
        .fit(&cells(1.0, 0.1))
        .unwrap_err();
    assert!(
        unknown.to_string().contains("there are pipe.time_s"),
        "{unknown}"
    );
}

#[test]
fn failing_is_a_regression_and_too_few_runs_are_not() {
    let mut results = made(1.0, 1.0, 1);
    for run in results.runs.iter_mut().filter(|run| run.variant == "edf") {
        run.status = Status::Ejected;
    }
    let outcome = check(
        &judge(&results, &Rules::default()).cells,
        &Thresholds::default(),
        vec![],
    );
    assert!(!outcome.passed, "{outcome:?}");
    let mut results = made(3.0, 1.0, 1);
    results.runs.retain(|run| run.round < 5);
    let outcome = check(
        &judge(&results, &Rules::default()).cells,
        &Thresholds::default(),
        vec![],
    );
    assert!(
        outcome.passed && outcome.unsure.len() == 1 && outcome.checked == 1,
        "{outcome:?}"
    );
}

#[test]
fn secondary_metrics_are_checked_on_request() {
    let mut results = made(1.0, 1.0, 1);
    results.metrics.push(metric(
        "pipe",
        "pipe.rounds_per_s",
        "1/s",
        Better::Higher,
        false,
    ));
    for run in &mut results.runs {
        let rate = if run.variant == "edf" { 50.0 } else { 100.0 };
        run.values
            .insert("pipe.rounds_per_s".into(), rate + f64::from(run.round));
    }
    let cells = judge(&results, &Rules::default()).cells;
    assert!(check(&cells, &Thresholds::default(), vec![]).passed);
    assert!(!check(&cells, &words(&["secondary=1.25"]).unwrap(), vec![]).passed);
}

#[test]
fn a_check_of_nothing_fails() {
    let default = Thresholds::default();
    let judged = |results: &Results| judge(results, &Rules::default()).cells;
    let mut one = made(1.0, 1.0, 1);
    assert!(check(&judged(&one), &default, vec![]).passed);
    one.variants.truncate(1);
    one.runs.retain(|run| run.variant == "kernel");
    let outcome = check(&judged(&one), &default, vec![]);
    assert!(!outcome.passed, "{outcome:?}");
    let words = &outcome.problems[0];
    assert!(words.contains("nothing was checked"), "{words}");
    assert!(!check(&judged(&made(1.0, 1.0, 1)), &Thresholds::none(), vec![]).passed);
    // Every run of the baseline has failed.
    let mut alone = made(1.0, 1.0, 1);
    for run in alone.runs.iter_mut().filter(|run| run.variant == "kernel") {
        run.status = Status::Failed;
    }
    let outcome = check(&judged(&alone), &default, vec![]);
    assert!(!outcome.passed, "{outcome:?}");
    // The runs of one workload have all failed.
    let mut failed = made(1.0, 1.0, 1);
    assert_eq!(unmeasured(&failed), [""; 0]);
    for run in &mut failed.runs {
        run.status = Status::Failed;
    }
    let problems = unmeasured(&failed);
    assert_eq!(problems, ["no run of the workload pipe came to its end"]);
    let mut outcome = check(&judged(&made(1.0, 1.0, 1)), &default, vec![]);
    outcome.add(problems);
    assert!(!outcome.passed, "{outcome:?}");
}

#[test]
fn what_went_missing_fails() {
    let old = made(1.0, 1.0, 1);
    let default = Thresholds::default();
    let mut new = old.clone();
    assert_eq!(missing(&old, &new, &default), [""; 0]);
    new.variants.truncate(1);
    assert_eq!(
        missing(&old, &new, &default),
        ["the variant edf is missing now"]
    );
    new = old.clone();
    new.workloads.clear();
    assert_eq!(
        missing(&old, &new, &default),
        ["the workload pipe is missing now"]
    );
    new = old.clone();
    new.metrics.clear();
    assert!(missing(&old, &new, &default)[0].starts_with("the metric pipe.time_s of pipe"));
    // Without a threshold it was never checked.
    assert_eq!(missing(&old, &new, &Thresholds::none()), [""; 0]);
}

#[test]
fn failing_more_often_is_a_regression_with_many_pairs_too() {
    let mut results = results(&["kernel", "edf"]);
    for (seed, variant) in ["kernel", "edf"].into_iter().enumerate() {
        let values = about(1.0, 0.05, 30, seed as u64);
        add(&mut results, variant, "pipe", TIME, &values);
    }
    let mut half = results.clone();
    for run in half.runs.iter_mut().filter(|run| run.round < 15) {
        if run.variant == "edf" {
            run.status = Status::Ejected;
        }
    }
    let judged = |results: &Results| judge(results, &Rules::default()).cells;
    assert!(check(&judged(&results), &Thresholds::default(), vec![]).passed);
    let outcome = check(&judged(&half), &Thresholds::default(), vec![]);
    assert!(!outcome.passed, "{outcome:?}");
    let why = &outcome.regressions[0].why;
    assert!(why.contains("15 ejected of 30"), "{why}");
    // What it is compared with failed as often.
    for run in half.runs.iter_mut().filter(|run| run.round >= 15) {
        if run.variant == "kernel" {
            run.status = Status::Ejected;
        }
    }
    let outcome = check(&judged(&half), &Thresholds::default(), vec![]);
    assert!(outcome.regressions.is_empty(), "{outcome:?}");
}

//! Runs that report what they cannot have done are refused; honest ones are not.

mod common;

use baton_lab::{
    judge::{Judgement, Rules, Verdict, judge},
    results::{Results, Status},
};
use baton_workload::Better;
use common::{about, metric, results, run, workload};

const ROUNDS: usize = 12;

/// What a run reports, and what was accounted.
#[derive(Clone, Copy)]
struct Figures {
    value: f64,
    cpu_s: f64,
    wall_s: f64,
}

/// An experiment with one workload; each run's figures vary by 5 %. The cheat is at it in every third round.
fn experiment(
    what: &str,
    name: &str,
    unit: &str,
    better: Better,
    honest: Figures,
    cheat: Figures,
) -> Results {
    let mut results = results(&["kernel", "edf"]);
    results.workloads = vec![workload("load", what)];
    results.metrics = vec![metric("load", name, unit, better, true)];
    for (seed, variant) in ["kernel", "edf"].into_iter().enumerate() {
        let varied = |middle, salt| about(middle, 0.05, ROUNDS, seed as u64 * 10 + salt);
        let (values, cpus) = (varied(1.0, 1), varied(1.0, 2));
        for round in 0..ROUNDS {
            let cheats = variant == "edf" && round % 3 == 1;
            let figures = if cheats { cheat } else { honest };
            let mut run = run(round as u32, variant, "load");
            run.values
                .insert(name.into(), figures.value * values[round]);
            run.cpu_s = Some(figures.cpu_s * cpus[round]);
            run.wall_s = figures.wall_s;
            results.runs.push(run);
        }
    }
    results
}

#[track_caller]
fn refused(results: &Results, words: &str) -> Judgement {
    let judgement = judge(results, &Rules::default());
    let rounds: Vec<u32> = judgement
        .refused
        .iter()
        .map(|refusal| refusal.round)
        .collect();
    assert_eq!(rounds, [1, 4, 7, 10], "{:?}", judgement.refused);
    for refusal in &judgement.refused {
        assert!(refusal.reason.contains(words), "{}", refusal.reason);
        assert_eq!(refusal.variant, "edf");
    }
    let cell = &judgement.cells[0];
    assert_eq!(
        (cell.verdict, cell.sample.runs[&Status::Refused]),
        (Verdict::Refused, 4),
        "{}",
        cell.why
    );
    judgement
}

#[track_caller]
fn believed(results: &Results) {
    let judgement = judge(results, &Rules::default());
    assert_eq!(judgement.refused, [], "honest runs are refused");
}

const HOGS: &str = "hogs:count=2/cpu,seconds=1";
const BUILD: &str = "build:jobs=2/cpu,units=50,unit_ms=40,builds=1,seconds=3";
const PIPE: &str = "pipe:rounds=3000,threads=yes";
const FRAMES: &str =
    "frames:fps=60,load=0.5,jitter=0.2,deadline=1,seconds=2+hogs:count=2/cpu,seconds=3";

fn figures(value: f64, cpu_s: f64, wall_s: f64) -> Figures {
    Figures {
        value,
        cpu_s,
        wall_s,
    }
}

fn build(cheat: Figures) -> Results {
    let honest = figures(1.1, 2.2, 1.2);
    experiment(BUILD, "build.time_s", "s", Better::Lower, honest, cheat)
}

/// A CPU computes five million units a second.
fn hogs(cheat: Figures) -> Results {
    let honest = figures(1e7, 2.0, 1.0);
    let name = "hogs.work_per_s";
    experiment(HOGS, name, "units/s", Better::Higher, honest, cheat)
}

#[test]
fn more_work_than_the_cpu_time_allows() {
    refused(&hogs(figures(3e7, 2.0, 1.0)), "reports");
    // The work of one CPU, reported for two.
    refused(&hogs(figures(1e7, 0.7, 1.0)), "reports");
    // No CPU time at all.
    refused(&hogs(figures(1e7, 0.0, 1.0)), "reports");
    // Half as fast, or a little faster: who knows.
    believed(&hogs(figures(0.5e7, 2.0, 1.0)));
    believed(&hogs(figures(1.4e7, 2.0, 1.0)));
    believed(&hogs(figures(0.5e7, 1.0, 1.0)));
}

#[test]
fn a_build_that_was_not_built() {
    refused(
        &build(figures(0.4, 0.7, 0.5)),
        "its build.time_s is better than the baseline's median, with ",
    );
    // Quicker, by what a scheduler can do: the CPUs were never idle.
    believed(&build(figures(0.8, 1.6, 0.9)));
    // Slower, with less CPU time: that is no cheat.
    believed(&build(figures(2.0, 0.7, 2.1)));
}

#[test]
fn a_time_that_is_shorter_than_the_run() {
    refused(
        &build(figures(0.5, 2.2, 1.2)),
        "s of CPU time were accounted",
    );
    // What runs it may take its time before and after, and the rest is asked of it as of others.
    let with_prefix = |cheat| {
        let mut results = build(cheat);
        results.variants[1].prefix = true;
        results
    };
    believed(&with_prefix(figures(0.5, 2.2, 1.2)));
    refused(
        &with_prefix(figures(0.5, 0.2, 1.2)),
        "its build.time_s is better",
    );
}

#[test]
fn messages_that_were_never_sent() {
    let honest = figures(0.37, 0.5, 0.4);
    let pipe = |cheat| experiment(PIPE, "pipe.time_s", "s", Better::Lower, honest, cheat);
    refused(
        &pipe(figures(0.01, 0.002, 0.02)),
        "its pipe.time_s is better",
    );
    // A third of the time and of the CPU time: schedulers do differ so.
    believed(&pipe(figures(0.12, 0.16, 0.15)));
}

#[test]
fn a_background_that_was_stopped() {
    let honest = figures(30.0, 4.1, 2.1);
    let frames = |cheat| {
        experiment(
            FRAMES,
            "frames.frame_p99_ms",
            "ms",
            Better::Lower,
            honest,
            cheat,
        )
    };
    refused(
        &frames(figures(9.0, 1.1, 2.1)),
        "s in each second of accounted CPU time",
    );
    believed(&frames(figures(9.0, 3.9, 2.1)));
    // It takes longer, or is cut short, with the CPUs as busy as ever.
    believed(&frames(figures(9.0, 1.6, 0.8)));
}

#[test]
fn commands_of_which_nothing_is_known() {
    let honest = figures(2.0, 4.0, 2.1);
    let command = |cheat| {
        experiment(
            "perf bench sched pipe",
            "time_s",
            "s",
            Better::Lower,
            honest,
            cheat,
        )
    };
    refused(&command(figures(0.5, 0.001, 2.1)), "its time_s is better");
    believed(&command(figures(1.0, 1.0, 1.1)));
}

#[test]
fn without_an_account_nothing_is_refused_and_that_is_told() {
    let mut results = hogs(figures(9e7, 2.0, 1.0));
    results.runs.iter_mut().for_each(|run| run.cpu_s = None);
    believed(&results);
    let judgement = judge(&results, &Rules::default());
    assert!(
        judgement.notes[0].contains("load: the CPU time of 24 of 24 runs is not known"),
        "{:?}",
        judgement.notes
    );
}

#[test]
fn two_runs_of_the_baseline_are_no_measure() {
    let mut results = hogs(figures(9e7, 2.0, 1.0));
    results
        .runs
        .retain(|run| run.variant != "kernel" || run.round < 2);
    believed(&results);
    let judgement = judge(&results, &Rules::default());
    let words = "load: the baseline has 2 runs whose CPU time is known, and 3 are needed";
    assert!(judgement.notes[0].contains(words), "{:?}", judgement.notes);
}

#[test]
fn the_baseline_is_the_measure() {
    let mut results = hogs(figures(5e7, 2.0, 1.0));
    // An account that is as loose as this proves nothing.
    for run in results
        .runs
        .iter_mut()
        .filter(|run| run.variant == "kernel" && run.round % 2 == 0)
    {
        *run.values.get_mut("hogs.work_per_s").unwrap() *= 4.0;
    }
    believed(&results);
    // The check's own copy is judged as all others are.
    let mut results = hogs(figures(5e7, 2.0, 1.0));
    results.variants[1].same_as = Some("kernel".into());
    refused(&results, "reports");
}

fn recorded(name: &str) -> Results {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recorded")
        .join(name);
    Results::read(&path).unwrap()
}

#[test]
fn recorded_runs_are_believed() {
    for name in ["vm.json", "busy.json"] {
        let mut results = recorded(name);
        believed(&results);
        // With the other EEVDF as the measure.
        results.variants.swap(0, 1);
        believed(&results);
        // With half of the rounds.
        results.runs.retain(|run| run.round % 2 == 0);
        believed(&results);
    }
}

/// One run of each workload that was not done: its program printed figures and ended.
#[test]
fn a_recorded_run_that_was_not_done_is_refused() {
    let mut results = recorded("vm.json");
    let metrics = results.metrics.clone();
    let fakes: Vec<usize> = (0..results.runs.len())
        .filter(|&index| {
            results.runs[index].variant == "kernel/2" && results.runs[index].round == 3
        })
        .collect();
    for &index in &fakes {
        let run = &mut results.runs[index];
        run.cpu_s = Some(0.002);
        for metric in metrics
            .iter()
            .filter(|metric| metric.workload == run.workload)
        {
            if let Some(value) = run.values.get_mut(&metric.name) {
                *value *= if metric.better == Better::Lower {
                    0.5
                } else {
                    2.0
                };
            }
        }
    }
    let judgement = judge(&results, &Rules::default());
    let mut refused: Vec<usize> = judgement
        .refused
        .iter()
        .map(|refusal| refusal.run)
        .collect();
    refused.sort_unstable();
    assert_eq!(refused.len(), results.workloads.len());
    assert_eq!(refused, fakes);
}

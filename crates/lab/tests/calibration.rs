//! How often the whole judgement is wrong, and what it finds, on recorded values of real runs.
//!
//! A recording has EEVDF twice in each round. Resampled: some rounds are drawn, and in each of them the
//! two change names or do not, so that any difference between them is chance. Whatever is called better or
//! worse then is a false verdict; with one of the two made 10 % worse, what is called worse is found.
//!
//!     cargo test -p baton-lab --test calibration -- --nocapture
//!
//! prints the tables of docs/statistics.md.

mod common;

use std::{collections::BTreeMap, path::Path};

use baton_lab::{
    judge::{Cell, Rules, Verdict, judge},
    results::{Results, Run, Status, Variant},
    stats,
};
use baton_workload::Better;

/// Rounds of a resampled experiment: the default.
const ROUNDS: usize = 10;
/// Resampled experiments.
const TRIALS: u64 = 200;
const SEED: u64 = 20_261_126;

fn recording(name: &str) -> Results {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recorded")
        .join(name);
    Results::read(&path).unwrap()
}

/// What a trial looks like.
#[derive(Clone, Copy)]
struct Shape {
    rounds: usize,
    /// By what the variant is made worse.
    slowdown: f64,
    /// Whether there is an A/A check beside it.
    aa: bool,
}

/// An experiment of which the truth is known: `old` and `new` are the same, but for the slowdown.
fn resampled(recorded: &Results, shape: Shape, seed: u64) -> Results {
    let mut rng = fastrand::Rng::with_seed(seed);
    let runs: BTreeMap<(&str, &str, u32), &Run> = recorded
        .runs
        .iter()
        .filter(|run| run.status == Status::Ok)
        .map(|run| {
            (
                (run.workload.as_str(), run.variant.as_str(), run.round),
                run,
            )
        })
        .collect();
    let mut results = Results {
        runs: Vec::new(),
        ..recorded.clone()
    };
    let named = |name: &str, same_as: Option<&str>| Variant {
        name: name.into(),
        what: String::new(),
        same_as: same_as.map(str::to_owned),
        prefix: false,
    };
    results.variants = vec![named("old", None), named("new", None)];
    if shape.aa {
        results.variants.push(named("again", Some("old")));
    }
    for workload in &recorded.workloads {
        let name = workload.name.as_str();
        let both: Vec<[&Run; 2]> = (0..recorded.runs_planned)
            .filter_map(|round| {
                let of = |variant| runs.get(&(name, variant, round)).copied();
                Some([of("kernel")?, of("kernel/2")?])
            })
            .collect();
        let mut order: Vec<usize> = (0..both.len()).collect();
        rng.shuffle(&mut order);
        // A recording that is too short is drawn from with replacement.
        if order.len() < shape.rounds {
            order = (0..shape.rounds)
                .map(|_| rng.usize(0..both.len()))
                .collect();
        }
        for (round, &index) in order.iter().take(shape.rounds).enumerate() {
            let mut pair = both[index];
            rng.shuffle(&mut pair);
            let mut old = pair[0].clone();
            let mut new = slowed(recorded, pair[1], shape.slowdown);
            (old.variant, new.variant) = ("old".into(), "new".into());
            (old.round, new.round) = (round as u32, round as u32);
            if shape.aa {
                // As far from `old` as the same thing was from itself in another round.
                let other = both[order[rng.usize(0..order.len())]];
                results.runs.push(moved(&old, other, rng.bool()));
            }
            results.runs.extend([old, new]);
        }
    }
    results
}

fn slowed(recorded: &Results, run: &Run, slowdown: f64) -> Run {
    let mut run = run.clone();
    for metric in recorded
        .metrics
        .iter()
        .filter(|metric| metric.workload == run.workload)
    {
        if let Some(value) = run.values.get_mut(&metric.name) {
            match metric.better {
                Better::Lower => *value *= slowdown,
                Better::Higher => *value /= slowdown,
            }
        }
    }
    run
}

fn moved(run: &Run, pair: [&Run; 2], swap: bool) -> Run {
    let [from, to] = if swap { [pair[1], pair[0]] } else { pair };
    let mut moved = run.clone();
    moved.variant = "again".into();
    moved.wall_s *= to.wall_s / from.wall_s;
    moved.cpu_s = moved
        .cpu_s
        .zip(to.cpu_s.zip(from.cpu_s))
        .map(|(own, (to, from))| own * to / from);
    for (name, value) in &mut moved.values {
        let ends = (from.values.get(name), to.values.get(name));
        if let (Some(&from), Some(&to)) = ends {
            *value = match from > 0.0 && to > 0.0 {
                true => *value * to / from,
                false => *value + to - from,
            };
        }
    }
    moved
}

/// How many cells there were, and how many of them had a verdict, by metric.
#[derive(Clone, Copy, Default)]
struct Rate {
    cells: u32,
    hits: u32,
    /// By the interval alone, and by p alone.
    interval: u32,
    p: u32,
    /// By Mann and Whitney's p instead of Wilcoxon's.
    unpaired: u32,
}

impl Rate {
    fn share(self) -> f64 {
        f64::from(self.hits) / f64::from(self.cells.max(1))
    }
}

type Rates = BTreeMap<(String, String, bool), Rate>;

fn rates(
    recorded: &Results,
    shape: Shape,
    rules: &Rules,
    is_hit: impl Fn(Verdict) -> bool,
) -> Rates {
    let mut rates = Rates::new();
    for trial in 0..TRIALS {
        let judgement = judge(&resampled(recorded, shape, SEED + trial), rules);
        assert_eq!(
            judgement.refused,
            [],
            "trial {trial} of seed {SEED}: honest runs were refused"
        );
        let cells: Vec<&Cell> = judgement
            .cells
            .iter()
            .filter(|cell| cell.variant == "new")
            .collect();
        for (cell, unpaired) in cells.iter().zip(corrected_unpaired(&cells)) {
            let key = (cell.workload.clone(), cell.metric.clone(), cell.primary);
            let rate = rates.entry(key).or_default();
            let by_interval = cell.effect.is_some_and(|effect| !effect.holds_no_change());
            rate.cells += 1;
            rate.hits += u32::from(is_hit(cell.verdict));
            rate.interval += u32::from(by_interval);
            rate.p += u32::from(cell.p.is_some_and(|p| p <= 0.05));
            rate.unpaired += u32::from(by_interval && unpaired <= 0.05);
        }
    }
    rates
}

/// Mann and Whitney's p of each cell, corrected in the families of the judgement.
fn corrected_unpaired(cells: &[&Cell]) -> Vec<f64> {
    let family = |cell: &Cell| (cell.primary, (!cell.primary).then(|| cell.workload.clone()));
    let one = |cell: &&Cell| {
        let members: Vec<&&Cell> = cells
            .iter()
            .filter(|other| family(other) == family(cell))
            .collect();
        let ps: Vec<f64> = members
            .iter()
            .filter_map(|member| member.p_unpaired)
            .collect();
        let at = members
            .iter()
            .position(|member| member.metric == cell.metric && member.workload == cell.workload);
        stats::holm(&ps)[at.unwrap()]
    };
    cells.iter().map(one).collect()
}

fn all(rates: &Rates) -> Rate {
    rates.values().fold(Rate::default(), |mut sum, rate| {
        sum.cells += rate.cells;
        sum.hits += rate.hits;
        sum.interval += rate.interval;
        sum.p += rate.p;
        sum.unpaired += rate.unpaired;
        sum
    })
}

const fn is_false(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Better | Verdict::Worse)
}

/// The spread of the ratios of the same thing to itself.
fn spread_of_pairs(recorded: &Results, workload: &str, metric: &str) -> f64 {
    let value = |variant: &str, round: u32| {
        let run = recorded.runs.iter().find(|run| {
            (run.workload.as_str(), run.variant.as_str(), run.round) == (workload, variant, round)
        });
        run.and_then(|run| run.values.get(metric)).copied()
    };
    let ratios = (0..recorded.runs_planned).filter_map(|round| {
        let ratio = value("kernel/2", round)? / value("kernel", round)?;
        Some(ratio.ln()).filter(|ratio| ratio.is_finite())
    });
    // Without its sign, for which of the two is which means nothing.
    let distances: Vec<f64> = ratios.map(f64::abs).collect();
    1.4826 * stats::median(&distances).unwrap_or(f64::NAN)
}

#[test]
fn false_verdicts_are_rare() {
    for name in ["vm.json", "busy.json"] {
        let recorded = recording(name);
        let shape = Shape {
            rounds: ROUNDS,
            slowdown: 1.0,
            aa: false,
        };
        let sum = all(&rates(&recorded, shape, &Rules::default(), is_false));
        let share = |count: u32| 100.0 * f64::from(count) / f64::from(sum.cells);
        println!(
            "{name}: {} cells of the same thing twice: {:.2} % false verdicts; by the interval alone {:.2} %, by p \
             below 0.05 alone {:.2} %",
            sum.cells,
            share(sum.hits),
            share(sum.interval),
            share(sum.p)
        );
        assert!(
            sum.share() <= 0.05,
            "{name}, seed {SEED}: {:.3} of cells are false",
            sum.share()
        );
    }
}

#[test]
fn a_slowdown_of_ten_percent_is_found() {
    let recorded = recording("vm.json");
    let rules = Rules::default();
    let shape = Shape {
        rounds: ROUNDS,
        slowdown: 1.1,
        aa: false,
    };
    let is_worse = |verdict| verdict == Verdict::Worse;
    let found = rates(&recorded, shape, &rules, is_worse);
    let checked = rates(&recorded, Shape { aa: true, ..shape }, &rules, is_worse);
    println!(
        "| workload | metric | spread of A/A ratios | found | found beside an A/A check | Mann-Whitney |"
    );
    println!("|---|---|---:|---:|---:|---:|");
    for (key, rate) in &found {
        let (workload, metric, primary) = key;
        let spread = spread_of_pairs(&recorded, workload, metric);
        let star = if *primary { " *" } else { "" };
        if !spread.is_finite() || spread == 0.0 {
            continue;
        }
        println!(
            "| {workload} | {metric}{star} | {:.1} % | {:.0} % | {:.0} % | {:.0} % |",
            100.0 * spread,
            100.0 * rate.share(),
            100.0 * checked[key].share(),
            100.0 * f64::from(rate.unpaired) / f64::from(rate.cells),
        );
        if *primary && spread < 0.04 {
            assert!(
                rate.share() > 0.9,
                "{workload}, {metric}, seed {SEED}: {}",
                rate.share()
            );
        }
    }
    let clear = found
        .iter()
        .filter(|((_, _, primary), rate)| *primary && rate.share() > 0.9);
    assert!(clear.count() > 0, "nothing is found at all");
}

/// How many runs it takes, by how far the ratios of the same thing to itself spread.
#[test]
fn runs_for_ten_percent() {
    let sizes = [10, 15, 20, 30];
    println!(
        "| spread of A/A ratios | {} |",
        sizes.map(|size| format!("{size} runs")).join(" | ")
    );
    println!("|---:|{}", "---:|".repeat(sizes.len()));
    for spread in [0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.15, 0.20, 0.30] {
        let shares = sizes.map(|size| made_up_power(spread, size));
        let cells = shares.map(|share| format!("{:.0} %", 100.0 * share));
        println!("| {:.0} % | {} |", 100.0 * spread, cells.join(" | "));
        if spread <= 0.04 {
            assert!(shares[0] > 0.8, "spread {spread}, seed {SEED}: {shares:?}");
        }
    }
}

/// The share of trials in which a slowdown of 10 % is found, one of the primary metrics of six workloads,
/// where the logarithms of ratios are normal.
fn made_up_power(spread: f64, rounds: usize) -> f64 {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut normal = || {
        let (radius, angle) = (
            (-2.0 * (1.0 - rng.f64()).ln()).sqrt(),
            rng.f64() * std::f64::consts::TAU,
        );
        radius * angle.cos()
    };
    let trials = 200;
    let mut found = 0;
    for _ in 0..trials {
        let mut results = common::results(&["old", "new"]);
        results.workloads.clear();
        results.metrics.clear();
        for index in 0..6 {
            let name = format!("load{index}");
            results.workloads.push(common::workload(&name, "a command"));
            results
                .metrics
                .push(common::metric(&name, "time_s", "s", Better::Lower, true));
            let slowdown = if index == 0 { 1.1 } else { 1.0 };
            // Each of the two has its share of the spread.
            let mut values = |middle: f64| -> Vec<f64> {
                let one = std::f64::consts::FRAC_1_SQRT_2 * spread;
                (0..rounds)
                    .map(|_| middle * (one * normal()).exp())
                    .collect()
            };
            let (old, new) = (values(1.0), values(slowdown));
            common::add(&mut results, "old", &name, "time_s", &old);
            common::add(&mut results, "new", &name, "time_s", &new);
        }
        let judgement = judge(&results, &Rules::default());
        found += u32::from(judgement.cells[0].verdict == Verdict::Worse);
    }
    f64::from(found) / f64::from(trials)
}

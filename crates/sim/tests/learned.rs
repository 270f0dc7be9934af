//! `learned` on simulated machines: what a guess is worth, and what a wrong one costs.

mod common;

use std::sync::Arc;

use baton_model::{Feature, Input, Inputs, Layer, Model, ModelFile, Network, Provenance, Range};
use baton_policy::{MS, Mode, SEC};
use baton_sim::{Actor, Config, Report, Spawn, Stage, Step, run_named};
use common::{beats, config};

const MODES: [Mode; 2] = [Mode::Decide, Mode::Infer];
const ALL_MODES: [Mode; 3] = Mode::ALL;
const SEEDS: std::ops::Range<u64> = 1..6;

/// A run of two seconds with these parameters.
fn learned(workload: &str, mode: Mode, seed: u64, params: &[(&str, &str)]) -> Config {
    let mut config = config("2-cpu", workload);
    config.seed = seed;
    config.mode = mode;
    config.duration_ns = Some(2 * SEC);
    config.params = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    config
}

fn play(config: &Config) -> Report {
    run_named("learned", config).unwrap()
}

/// A model that says the same of every task.
fn always(middle: i32) -> Arc<ModelFile> {
    let input = Input {
        feature: Feature::Last1,
        relative: false,
        range: Range { low: 0, high: 1 },
    };
    let layer = Layer {
        weights: vec![vec![0], vec![0]],
        bias: vec![middle, middle],
        shift: 0,
    };
    let network = Network::new(Inputs::plain(vec![input]), vec![layer]).unwrap();
    Arc::new(ModelFile {
        model: Model::Network(network),
        provenance: Provenance::default(),
        scores: Vec::new(),
    })
}

fn p99(report: &Report, metric: &str) -> f64 {
    let found = report.metrics.iter().find(|found| found.name == metric);
    found
        .unwrap_or_else(|| panic!("no {metric}: {report}"))
        .value
}

/// The geometric mean over seeds.
fn mean(of: impl Fn(u64) -> f64) -> f64 {
    let logs = SEEDS.map(|seed| of(seed).ln());
    (logs.sum::<f64>() / SEEDS.count() as f64).exp()
}

#[test]
fn inverting_the_model_makes_it_worse() {
    for mode in MODES {
        let of = |by: &str| {
            mean(|seed| {
                let params = [("by", by), ("guard", "false")];
                let report = play(&learned("requests+build", mode, seed, &params));
                p99(&report, "request_p99_us")
            })
        };
        let (right, wrong) = (of("model"), of("inverted"));
        assert!(
            wrong > 1.05 * right,
            "{}: inverted {wrong:.0} us, as it is {right:.0} us",
            mode.name()
        );
    }
}

#[test]
fn a_wrong_model_costs_no_more_than_20_ms() {
    let workload = "frames+hogs+messaging:loops=200";
    for mode in MODES {
        for seed in SEEDS {
            let average = play(&learned(workload, mode, seed, &[("by", "average")]));
            let faulty = ["constant", "random", "inverted"]
                .map(|by| (by, learned(workload, mode, seed, &[("by", by)])));
            let absurd = [i32::MIN / 2, 0, i32::MAX / 2].map(|middle| {
                let model = Some(always(middle));
                let config = learned(workload, mode, seed, &[]);
                ("absurd", Config { model, ..config })
            });
            for (what, config) in faulty.into_iter().chain(absurd) {
                let report = play(&config);
                assert!(
                    report.longest_wait.ms <= average.longest_wait.ms + 20.0,
                    "{what}, seed {seed}, {}: {:.1} ms, by the average {:.1} ms",
                    mode.name(),
                    report.longest_wait.ms,
                    average.longest_wait.ms
                );
                assert_eq!(report.counter("starved"), 0, "{what}");
            }
        }
    }
}

#[test]
fn a_wrong_model_is_off_within_100_ms() {
    for by in ["constant", "random", "inverted"] {
        // Eight tasks that do the same each time, beside two hogs.
        let mut config = common::play(100 * MS, |stage| beats(stage, 8, MS / 5, 2 * MS));
        config.mode = Mode::Infer;
        config.params = vec![("by".to_owned(), by.to_owned())];
        let report = play(&config);
        assert_eq!(report.counter("model_off"), 1, "{by}: {report}");
        assert!(report.counter("guess_off") > 0, "{by}: {report}");
    }
}

/// Computes from 50 us to 1.6 ms, each octave as likely, or sleeps 1 ms, by a coin, for ever.
struct Wild;

impl Actor for Wild {
    fn step(&mut self, stage: &mut Stage) -> Step {
        let now_ns = stage.now_ns();
        match stage.rng().below(2) {
            0 => Step::SleepUntil(now_ns + MS),
            _ => Step::Compute((50_000_u64 << stage.rng().below(6)).max(1)),
        }
    }
}

#[test]
fn an_absurd_model_is_found_out_in_every_mode() {
    for mode in ALL_MODES {
        for middle in [i32::MIN / 2, i32::MAX / 2] {
            let mut config = common::play(2 * SEC, |stage| {
                for _ in 0..8 {
                    stage.spawn(Spawn::new("wild", Stage::NO_PART, Wild));
                }
            });
            config.mode = mode;
            config.model = Some(always(middle));
            let report = play(&config);
            let (heeded, off) = (report.counter("guess_model"), report.counter("guess_off"));
            assert!(
                report.counter("model_off") > 0 && off > heeded,
                "{}, {middle}: {report}",
                mode.name()
            );
        }
    }
}

#[test]
fn what_the_relay_guesses_the_policy_would_guess() {
    for by in [
        "model", "average", "constant", "random", "inverted", "truth",
    ] {
        let report = play(&learned("frames+hogs+build", Mode::Infer, 3, &[("by", by)]));
        assert!(report.counter("guesses") > 100, "{by}: {report}");
        assert_eq!(report.counter("guesses_differ"), 0, "{by}");
    }
}

#[test]
fn a_name_buys_nothing() {
    let inputs = ModelFile::shipped().model.inputs();
    assert!(
        inputs
            .list
            .iter()
            .all(|input| input.feature != Feature::Name),
        "the model that comes with Baton looks at names"
    );
    let of = |salt: &str| {
        let mut config = learned("frames+hogs", Mode::Infer, 1, &[]);
        config.salt = Some(salt.to_owned());
        let report = play(&config);
        (report.events, report.switches, report.metrics)
    };
    assert_eq!(of("one"), of("another"));
}

#[test]
fn a_model_belongs_to_a_policy_that_uses_one() {
    let mut config = learned("hogs", Mode::Decide, 1, &[]);
    config.model = Some(always(0));
    let error = run_named("edf", &config).unwrap_err().to_string();
    assert!(error.contains("edf uses no model"), "{error}");
    let error = run_named("kernel", &config).unwrap_err().to_string();
    assert!(error.contains("no model"), "{error}");
}

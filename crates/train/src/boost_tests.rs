//! What trees do.

use super::*;
use crate::data::tests::random;

/// Bursts that depend on two features, and some noise.
fn samples(count: usize, seed: u64) -> Vec<Sample> {
    let mut samples = random(count, seed).samples;
    for sample in &mut samples {
        let last = sample.features[Feature::Last1 as usize];
        let slept = sample.features[Feature::Slept as usize];
        let noise = sample.features[Feature::Known as usize] / 40;
        sample.burst = if slept > 5000 { last / 2 } else { 4000 } + noise;
        sample.features[Feature::Kernel as usize] = 0;
    }
    samples
}

fn config() -> Config {
    let features = Feature::ALL
        .into_iter()
        .filter(|feature| *feature != Feature::Known);
    Config {
        look: Look::plain(features),
        ..Config::default()
    }
}

fn loss(forest: &Forest, samples: &[Sample], output: usize, share: f64) -> f64 {
    let pairs = samples
        .iter()
        .map(|sample| (sample.burst, forest.infer(&sample.features)[output]));
    pinball(pairs, share)
}

#[test]
fn it_learns_what_is_there() {
    let (train_on, stop, test) = (samples(20_000, 1), samples(4000, 2), samples(4000, 3));
    let trained = train(&train_on, &stop, &config(), &mut |_, _, _| ()).expect("it trains");
    assert_eq!(trained.constant, [Feature::Kernel]);
    let empty = samples(20_000, 1);
    for (output, share) in [0.5, 0.9].into_iter().enumerate() {
        let mut bursts: Vec<i32> = empty.iter().map(|sample| sample.burst.into()).collect();
        let constant = quantile(&mut bursts, share);
        let without = pinball(test.iter().map(|sample| (sample.burst, constant)), share);
        let with = loss(&trained.forest, &test, output, share);
        assert!(with < without * 0.25, "{share}: {with} of {without}");
    }
    let below = test
        .iter()
        .filter(|sample| i32::from(sample.burst) <= trained.forest.infer(&sample.features)[1])
        .count();
    let found = below as f64 / test.len() as f64;
    assert!(
        (0.85..0.95).contains(&found),
        "{found} lie below the 90th percentile"
    );
}

#[test]
fn what_is_rare_can_be_told_apart() {
    let of = |seed| {
        let mut samples = samples(20_000, seed);
        for sample in samples.iter_mut().step_by(300) {
            sample.features[Feature::Interval as usize] = 0;
            sample.burst = 9000;
        }
        samples
    };
    let trained = train(&of(1), &of(2), &config(), &mut |_, _, _| ()).expect("it trains");
    let mut rare: Vec<i32> = of(3)
        .iter()
        .step_by(300)
        .map(|sample| trained.forest.infer(&sample.features)[0])
        .collect();
    let middle = quantile(&mut rare, 0.5);
    assert!((middle - 9000).abs() < 800, "{middle}");
}

#[test]
fn threads_change_nothing() {
    let (train_on, stop) = (samples(3000, 1), samples(500, 2));
    let with = |threads| {
        let config = Config {
            trees: 4,
            threads,
            ..config()
        };
        train(&train_on, &stop, &config, &mut |_, _, _| ()).expect("it trains")
    };
    assert_eq!(with(1), with(5));
}

#[test]
fn it_stops_where_nothing_is_to_be_learned() {
    let (train_on, stop) = (random(3000, 1).samples, random(3000, 2).samples);
    let trained = train(&train_on, &stop, &config(), &mut |_, _, _| ()).expect("it trains");
    assert!(
        trained.losses.iter().all(|losses| losses.len() < 20),
        "{:?}",
        trained.losses
    );
}

#[test]
fn too_little_is_refused() {
    let few = samples(50, 1);
    let refused = train(&few, &few, &config(), &mut |_, _, _| ());
    assert_eq!(refused, Err(TrainError::TooFew(50, 50)));
    let mut same = samples(500, 1);
    for sample in &mut same {
        sample.features = [7; baton_model::FEATURES];
    }
    let refused = train(&same, &same, &config(), &mut |_, _, _| ());
    assert_eq!(refused, Err(TrainError::Constant));
}

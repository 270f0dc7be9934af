//! What networks do.

use super::*;
use crate::{data::tests::random, score::pinball};

fn samples(count: usize, seed: u64) -> Vec<Sample> {
    let mut samples = random(count, seed).samples;
    for sample in &mut samples {
        let last = sample.features[Feature::Last1 as usize];
        let slept = sample.features[Feature::Slept as usize];
        sample.burst = (last / 2 + slept / 4).clamp(2000, 6000);
        sample.features[Feature::Kernel as usize] = 0;
    }
    samples
}

fn config() -> Config {
    Config {
        hidden: vec![16],
        epochs: 12,
        ..Config::default()
    }
}

#[test]
fn it_learns_what_is_there() {
    let (train_on, stop, test) = (samples(20_000, 1), samples(2000, 2), samples(2000, 3));
    let mlp = train(&train_on, &stop, &config(), &mut |_, _, _| ()).expect("it trains");
    assert_eq!(mlp.constant, [Feature::Kernel]);
    let loss = |guess: &dyn Fn(&Sample) -> i32| {
        pinball(test.iter().map(|sample| (sample.burst, guess(sample))), 0.5)
    };
    let (without, with) = (loss(&|_| 4000), loss(&|sample| mlp.predict(sample)[0]));
    assert!(with < without * 0.2, "{with} of {without}");
    // In integers it is as good.
    let (network, _) = mlp.quantise().expect("it has a scale");
    let integers = loss(&|sample| network.infer(&sample.features)[0]);
    assert!(integers < with + 0.02, "{integers}, {with} in floats");
}

#[test]
fn equal_seeds_give_equal_networks() {
    let (train_on, stop) = (samples(2000, 1), samples(500, 2));
    let of = |seed| {
        let config = Config {
            epochs: 2,
            seed,
            ..config()
        };
        train(&train_on, &stop, &config, &mut |_, _, _| ()).expect("it trains")
    };
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
}

/// Batches of several shards, the last of which is small.
#[test]
fn threads_change_nothing() {
    let (train_on, stop) = (samples(3001, 1), samples(501, 2));
    let of = |threads| {
        let config = Config {
            // Enough weights for more than one thread.
            hidden: vec![25, 15],
            epochs: 2,
            batch: 300,
            threads,
            ..config()
        };
        train(&train_on, &stop, &config, &mut |_, _, _| ()).expect("it trains")
    };
    let one = of(1);
    let weights: usize = one.layers.iter().map(|layer| layer.weights.len()).sum();
    assert!(weights >= WEIGHTS_MIN);
    for threads in [0, 2, 3, 5, 50] {
        assert_eq!(one, of(threads), "{threads} threads");
    }
}

#[test]
fn slopes_are_those_of_the_loss() {
    let all = samples(300, 1);
    for target in [Target::Octaves, Target::Quantiles(vec![0.5, 0.9])] {
        let config = Config {
            hidden: vec![6, 5],
            target,
            ..config()
        };
        let network = Mlp::new(&all, &config).expect("a network");
        // All of them in one batch; the last shard is not full.
        let of = |layers: &[Layer]| {
            let rows = network.rows(all.iter());
            let board = Board {
                rows: &rows,
                layers: RwLock::new(layers.to_vec()),
                target: &config.target,
            };
            let places: Vec<u32> = (0..all.len() as u32).collect();
            thread::scope(|scope| {
                let mut team = Team::new(&board, all.len(), 3, scope);
                let mut sums = layers.to_vec();
                team.run(&places, true);
                team.slopes(&mut sums);
                (sums, mean_loss(&mut team, &places))
            })
        };
        let (sums, _) = of(&network.layers);
        for (layer, weight) in [(0, 7), (0, 30), (1, 3), (1, 29), (2, 2)] {
            let moved = |by: f32| {
                let mut layers = network.layers.clone();
                layers[layer].weights[weight] += by;
                of(&layers).1
            };
            let step = 1e-3;
            let measured = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            let outputs = config.target.outputs() as f64;
            let told = f64::from(sums[layer].weights[weight]) / all.len() as f64 / outputs;
            let scale = measured.abs().max(0.05);
            assert!(
                (measured - told).abs() < 0.05 * scale,
                "{layer} {weight}: {measured} {told}"
            );
        }
    }
}

#[test]
fn a_step_that_is_too_large_is_told() {
    let all = samples(2000, 1);
    let config = Config {
        target: Target::Octaves,
        rate: 1e30,
        ..config()
    };
    let trained = train(&all, &all, &config, &mut |_, _, _| ());
    assert!(
        matches!(trained, Err(TrainError::Diverged { .. })),
        "{trained:?}"
    );
}

#[test]
fn milliseconds_stay_floats() {
    let (train_on, stop) = (samples(1000, 1), samples(200, 2));
    let config = Config {
        epochs: 1,
        ..Config::reference()
    };
    let mlp = train(&train_on, &stop, &config, &mut |_, _, _| ());
    // Weights and names are random here, so they vary.
    let mlp = mlp.expect("it trains");
    assert_eq!(mlp.quantise().map(|_| ()), Err(Defect::Milliseconds));
    assert_eq!(mlp.predict(&stop[0]).len(), 1);
}

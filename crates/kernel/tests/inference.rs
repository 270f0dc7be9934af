//! The same bits from the kernel's just-in-time compiler, on this machine's own kernel. It needs root.

use baton_kernel::inference::{Inference, InferenceError};
use baton_model::{
    Features, Model,
    samples::{ends, extremes, features, forest, model, network, sixteen},
};
use baton_policy::Rng;

/// `None`, and told, where BPF may not be loaded.
fn load() -> Option<Inference> {
    match Inference::load() {
        Err(InferenceError::NotRoot) => {
            eprintln!("not tried: loading BPF needs root");
            None
        }
        loaded => Some(loaded.unwrap_or_else(|error| panic!("{error}"))),
    }
}

fn compare(kernel: &mut Inference, model: &Model, all: &[Features], what: &str) {
    kernel.set(model).expect("the model is written");
    let found = kernel.infer(all).expect("it is inferred");
    assert_eq!(found.len(), all.len(), "{what}");
    for (features, found) in all.iter().zip(found) {
        assert_eq!(found, model.infer(features), "{what}: {features:?}");
    }
}

#[test]
fn a_million_inputs_give_the_same_bits() {
    let Some(mut kernel) = load() else { return };
    let models = 100;
    for seed in 0..models {
        let mut rng = Rng::new(seed);
        let mut below = |bound| rng.below(bound);
        let model = model(&mut below);
        let inputs = 1_000_000_usize.div_ceil(models as usize);
        let all: Vec<Features> = (0..inputs).map(|_| features(&mut below)).collect();
        compare(&mut kernel, &model, &all, &format!("seed {seed}"));
    }
}

#[test]
fn all_extremes_give_the_same_bits() {
    let Some(mut kernel) = load() else { return };
    let mut rng = Rng::new(1);
    let mut below = |bound| rng.below(bound);
    let all: Vec<Features> = extremes().collect();
    for (what, model) in [
        ("15-10-1", network(&[15, 10, 1], &mut below)),
        (
            "the largest network",
            network(&[15, 32, 32, 32, 4], &mut below),
        ),
        ("the largest forest", forest(64, 6, 4, &mut below)),
        ("a stump", forest(1, 1, 1, &mut below)),
        ("sums at both ends of 32 bits", ends()),
        ("sixteen inputs", sixteen(&mut below)),
    ] {
        compare(&mut kernel, &model, &all, what);
    }
}

#[test]
fn a_prediction_can_be_timed() {
    let Some(mut kernel) = load() else { return };
    let mut rng = Rng::new(1);
    let mut below = |bound| rng.below(bound);
    kernel
        .set(&forest(64, 6, 1, &mut below))
        .expect("the model is written");
    let times = kernel
        .time(&features(&mut below), 1000)
        .expect("it is timed");
    assert!(times.nothing_ns >= 0.0 && times.model_ns > 0.0, "{times:?}");
}

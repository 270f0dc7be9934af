//! Models that scikit-learn trained and skl2onnx wrote: their predictions in integers are those of ONNX
//! Runtime in floats. `scripts/make-onnx-fixtures` makes the files.

use std::{fs, path::PathBuf};

use baton_model::{Feature, Features, Model};
use baton_train::{
    Look, Reading, Sample, Unit, feature_named,
    onnx::{Imported, Onnx, import},
};

/// In steps, of which 256 are an octave. Half a step is the rounding of a prediction, and ONNX Runtime adds up
/// in single precision.
const OF_TREES: f64 = 0.51;
/// Weights have 16 bits. With ranges of the tasks themselves, and with all that features can have.
const OF_NETWORKS: [f64; 2] = [2.0, 4.0];

#[derive(serde::Deserialize)]
struct Expected {
    tasks: Vec<Features>,
    models: Vec<Trained>,
}

#[derive(serde::Deserialize)]
struct Trained {
    model: String,
    features: String,
    base: Option<String>,
    unit: u32,
    predictions: Vec<Vec<f64>>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"))
}

fn expected() -> Expected {
    let text = fs::read_to_string(folder().join("expected.json")).expect("it is there");
    serde_json::from_str(&text).expect("JSON")
}

fn onnx(name: &str) -> Onnx {
    let bytes = fs::read(folder().join(format!("{name}.onnx"))).expect("it is there");
    Onnx::parse(name, &bytes).expect("it is read")
}

impl Trained {
    fn reading(&self) -> Reading {
        let base = self.base.as_ref();
        let base = base.map(|name| feature_named(name).expect("a feature"));
        Reading {
            look: Look::named(base, &self.features).expect("features"),
            unit: match self.unit {
                1 => Unit::Steps,
                _ => Unit::Octaves,
            },
        }
    }

    /// What is expected of a task, in steps, with the base.
    fn wanted(&self, place: usize, task: &Features) -> Vec<f64> {
        let base = self.reading().look.base;
        let base = base.map_or(0, |base| task[base as usize]);
        let values = self.predictions[place].iter();
        values
            .map(|value| value * f64::from(self.unit) + f64::from(base))
            .collect()
    }
}

/// Tasks as samples: for their features alone.
fn samples(tasks: &[Features]) -> Vec<Sample> {
    let sample = |features: &Features| Sample {
        features: *features,
        burst: 0,
        first: 0,
        histogram: [0; 2],
        application: 0,
        recording: 0,
        began_ms: 0,
        cut: false,
    };
    tasks.iter().map(sample).collect()
}

/// The greatest distance of a model's predictions from what is expected of them.
fn worst(model: &Model, tasks: &[Features], wanted: impl Fn(usize, &Features) -> Vec<f64>) -> f64 {
    let mut worst = 0.0_f64;
    for (place, task) in tasks.iter().enumerate() {
        let (found, wanted) = (model.infer(task), wanted(place, task));
        assert_eq!(model.outputs(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            worst = worst.max((f64::from(*found) - wanted).abs());
        }
    }
    worst
}

#[test]
fn predictions_are_those_of_onnx_runtime() {
    let Expected { tasks, models } = expected();
    for trained in &models {
        let wide: &[Sample] = &[];
        for (is_wide, samples) in [(0, &samples(&tasks)[..]), (1, wide)] {
            let imported = import(&[onnx(&trained.model)], &trained.reading(), samples);
            let Imported {
                model, difference, ..
            } = imported.unwrap_or_else(|error| panic!("{error}"));
            let tolerance = match model {
                Model::Network(_) => OF_NETWORKS[is_wide],
                Model::Forest(_) => OF_TREES,
            };
            let worst = worst(&model, &tasks, |place, task| trained.wanted(place, task));
            println!("{}: {worst:.3} steps, {difference:?}", trained.model);
            assert!(worst <= tolerance, "{}: {worst}", trained.model);
            // What the import says of itself is what is found here.
            if is_wide == 0 {
                assert!(
                    (difference.most - worst).abs() < 0.05,
                    "{difference:?} {worst}"
                );
            }
        }
    }
}

#[test]
fn two_models_are_one_with_two_outputs() {
    let Expected { tasks, models } = expected();
    let find = |name: &str| {
        let found = models.iter().find(|trained| trained.model == name);
        found.expect("it is there")
    };
    for (names, tolerance) in [
        (["boosted-median", "boosted-p90"], OF_TREES),
        (["mlp-1", "mlp-1"], OF_NETWORKS[0]),
    ] {
        let trained = names.map(find);
        let imported = import(&names.map(onnx), &trained[0].reading(), &samples(&tasks));
        let model = imported.unwrap_or_else(|error| panic!("{error}")).model;
        let wanted = |place: usize, task: &Features| {
            let both = trained.map(|trained| trained.wanted(place, task));
            both.concat()
        };
        let worst = worst(&model, &tasks, wanted);
        assert!(worst <= tolerance, "{names:?}: {worst}");
    }
    let error = import(
        &["boosted-median", "mlp-2"].map(onnx),
        &Reading::default(),
        &[],
    );
    let error = error.expect_err("they do not go together").to_string();
    assert!(error.contains("3 values are predicted"), "{error}");
}

#[test]
fn a_feature_that_does_not_vary_is_a_constant() {
    let Expected { mut tasks, models } = expected();
    for task in &mut tasks {
        task[Feature::Kernel as usize] = 0;
        task[Feature::Weight as usize] = 1680;
    }
    for trained in models.iter().filter(|trained| trained.base.is_some()) {
        let of = |samples: &[Sample]| {
            let imported = import(&[onnx(&trained.model)], &trained.reading(), samples);
            imported.unwrap_or_else(|error| panic!("{error}"))
        };
        let (folded, wide) = (of(&samples(&tasks)), of(&[]));
        assert_eq!(folded.constant, [Feature::Weight, Feature::Kernel]);
        assert_eq!(folded.model.inputs().list.len(), 12);
        let wanted = |_: usize, task: &Features| {
            let values = wide.model.infer(task);
            values[..wide.model.outputs()]
                .iter()
                .copied()
                .map(f64::from)
                .collect()
        };
        let worst = worst(&folded.model, &tasks, wanted);
        assert!(worst <= 5.0, "{}: {worst}", trained.model);
    }
}

#[test]
fn what_was_named_must_be_what_it_takes() {
    for (name, named) in [("tree", "last1,average"), ("mlp-2", "last1,average")] {
        let reading = Reading {
            look: Look::named(None, named).expect("features"),
            unit: Unit::Steps,
        };
        let error = import(&[onnx(name)], &reading, &[]).expect_err("it is refused");
        let error = error.to_string();
        assert!(
            error.contains("takes 14 values, and 2 features are named"),
            "{error}"
        );
    }
}

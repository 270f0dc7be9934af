//! What an ONNX model is fed with, beside what a model of Baton's takes.

use baton_model::{Dense, Feature, Features, Input, Inputs, RELATIVE_ZERO, Range, VALUE_MAX};

use crate::{Reading, Sample, Unit, look};

/// One value that the ONNX model takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Column {
    /// An input, by its place in the list.
    Input(usize),
    /// It does not vary in the samples, so the model does not look at it.
    Constant(f64),
}

/// The inputs of the model, and all columns of the other.
pub(super) struct Columns {
    pub inputs: Inputs,
    pub constant: Vec<Feature>,
    pub list: Vec<Column>,
    pub unit: Unit,
}

impl Columns {
    /// With the ranges that features have in these samples; of none, with those that they can have.
    pub fn of(reading: &Reading, samples: &[Sample]) -> Self {
        let look = &reading.look;
        let (inputs, constant) = match samples.first() {
            Some(_) => look.inputs(samples),
            None => (whole(look.base, &look.list), Vec::new()),
        };
        let list = look.list.iter().map(|(feature, relative)| {
            let is_it = |input: &Input| input.feature == *feature && input.relative == *relative;
            match (inputs.list.iter().position(is_it), samples.first()) {
                (Some(place), _) => Column::Input(place),
                (None, Some(sample)) => {
                    let input = input(*feature, *relative);
                    let value = look::value(&inputs, &input, sample);
                    Column::Constant(f64::from(value) - zero(&input))
                }
                (None, None) => Column::Constant(0.0),
            }
        });
        Self {
            list: list.collect(),
            constant,
            unit: reading.unit,
            inputs,
        }
    }

    /// A model's inputs of these features: within their ranges, above the least of them.
    pub fn inputs_of(&self, features: &Features) -> Vec<f64> {
        let base = self.inputs.base_of(features);
        let of = |input: &Input| {
            let Range { low, high } = input.range;
            f64::from(input.value(features, base).clamp(low, high) - low)
        };
        self.inputs.list.iter().map(of).collect()
    }

    /// What the ONNX model is fed with where a model's inputs are these.
    pub fn fed(&self, inputs: &[f64]) -> Vec<f64> {
        let of = |column: &Column| match column {
            Column::Input(place) => inputs[*place] + self.least(*place),
            Column::Constant(value) => *value,
        };
        let steps = self.unit.steps();
        self.list.iter().map(|column| of(column) / steps).collect()
    }

    /// The same as a layer: what makes of a model's inputs what the ONNX model is fed with.
    pub fn fed_from_inputs(&self) -> Dense {
        let steps = self.unit.steps();
        let row = |column: &Column| {
            let mut row = vec![0.0; self.inputs.list.len()];
            if let Column::Input(place) = column {
                row[*place] = 1.0 / steps;
            }
            row
        };
        Dense {
            weights: self.list.iter().map(row).collect(),
            bias: self.fed(&vec![0.0; self.inputs.list.len()]),
        }
    }

    /// The least value of an input, in steps, as the ONNX model sees it.
    pub fn least(&self, place: usize) -> f64 {
        let input = &self.inputs.list[place];
        f64::from(input.range.low) - zero(input)
    }
}

/// What counts as nothing: distances are kept as numbers without a sign.
fn zero(input: &Input) -> f64 {
    if input.relative {
        f64::from(RELATIVE_ZERO)
    } else {
        0.0
    }
}

fn input(feature: Feature, relative: bool) -> Input {
    let high = if relative {
        VALUE_MAX
    } else {
        feature.greatest()
    };
    Input {
        feature,
        relative,
        range: Range { low: 0, high },
    }
}

/// Inputs with all values that they can have.
fn whole(base: Option<Feature>, list: &[(Feature, bool)]) -> Inputs {
    let list = list
        .iter()
        .map(|(feature, relative)| input(*feature, *relative));
    Inputs {
        base,
        list: list.collect(),
    }
}

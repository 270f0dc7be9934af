//! Small dense networks of integers.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Defect, Features, INPUTS_MAX, Inputs, OUTPUTS_MAX, Outputs};

/// A network has no more layers than this.
pub const LAYERS_MAX: usize = 4;

/// A layer has no more neurons than this.
pub const WIDTH_MAX: usize = 32;

/// The greatest value that a neuron hands on.
const ACTIVATION_MAX: i64 = i16::MAX as i64;

/// The neurons of a layer: each adds its bias and the weighted values of the layer before. A hidden one
/// that comes below zero gives zero, else its sum shifted right; an output its sum shifted right, with
/// its sign, so rounded down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// By neuron, then by value of the layer before.
    pub weights: Vec<Vec<i16>>,
    /// By neuron.
    pub bias: Vec<i32>,
    /// By how many bits sums are shifted.
    pub shift: u32,
}

/// A dense network that cannot overflow.
///
/// ```
/// # use baton_model::*;
/// let range = Range { low: 0, high: 10240 };
/// let last1 = Input { feature: Feature::Last1, relative: false, range };
/// let halves = Layer { weights: vec![vec![1]], bias: vec![0], shift: 1 };
/// let network = Network::new(Inputs::plain(vec![last1]), vec![halves])?;
/// let mut features = [0; FEATURES];
/// features[Feature::Last1 as usize] = 5000;
/// assert_eq!(network.infer(&features)[0], 2500);
/// # Ok::<(), Defect>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Network {
    inputs: Inputs,
    layers: Vec<Layer>,
}

/// As it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    inputs: Inputs,
    layers: Vec<Layer>,
}

impl TryFrom<Unchecked> for Network {
    type Error = Defect;

    fn try_from(network: Unchecked) -> Result<Self, Defect> {
        Self::new(network.inputs, network.layers)
    }
}

/// The least and the greatest that a sum can be at any moment while it is added up, whatever the order,
/// where each value lies between 0 and its greatest.
pub(crate) fn sum_of(weights: &[i16], bias: i32, greatest: &[i64]) -> (i64, i64) {
    let bias = i64::from(bias);
    let ends = (bias.min(0), bias.max(0));
    weights
        .iter()
        .zip(greatest)
        .fold(ends, |(least, most), (weight, value)| {
            let product = i64::from(*weight) * value;
            (least + product.min(0), most + product.max(0))
        })
}

pub(crate) fn fits(sum: (i64, i64)) -> bool {
    sum.0 >= i64::from(i32::MIN) && sum.1 <= i64::from(i32::MAX)
}

impl Network {
    /// Checks sizes, and that no input within its range makes a sum or a value overflow.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(inputs: Inputs, layers: Vec<Layer>) -> Result<Self, Defect> {
        inputs.check()?;
        if layers.is_empty() || layers.len() > LAYERS_MAX {
            return Err(shape("layers", layers.len(), LAYERS_MAX));
        }
        let mut greatest: Vec<i64> = inputs
            .list
            .iter()
            .map(|input| i64::from(input.span()))
            .collect();
        for (index, layer) in layers.iter().enumerate() {
            let is_last = index + 1 == layers.len();
            let most = if is_last { OUTPUTS_MAX } else { WIDTH_MAX };
            let width = layer.weights.len();
            if width == 0 || width > most {
                return Err(shape("neurons of a layer", width, most));
            }
            if layer.bias.len() != width {
                return Err(shape("biases of a layer", layer.bias.len(), width));
            }
            if layer.shift > 31 {
                return Err(Defect::Shift(layer.shift));
            }
            let mut values = Vec::with_capacity(width);
            for (weights, bias) in layer.weights.iter().zip(&layer.bias) {
                if weights.len() != greatest.len() {
                    return Err(shape("weights of a neuron", weights.len(), greatest.len()));
                }
                let sum = sum_of(weights, *bias, &greatest);
                if !fits(sum) || (is_last && !inputs.has_room(sum, layer.shift)) {
                    return Err(Defect::Overflow { part: index, sum });
                }
                let value = sum.1 >> layer.shift;
                if !is_last && value > ACTIVATION_MAX {
                    return Err(Defect::Saturates {
                        layer: index,
                        value,
                    });
                }
                values.push(value);
            }
            greatest = values;
        }
        Ok(Self { inputs, layers })
    }

    /// The features that it looks at.
    #[must_use]
    pub const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Its layers; the last one has the outputs.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How many values it predicts.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias.len())
    }

    /// How many multiplications a prediction takes.
    #[must_use]
    pub fn products(&self) -> usize {
        self.layers
            .iter()
            .flat_map(|layer| &layer.weights)
            .map(Vec::len)
            .sum()
    }

    /// What it predicts.
    #[must_use]
    pub fn infer(&self, features: &Features) -> Outputs {
        let mut values = [0_i32; WIDTH_MAX];
        for (value, input) in values.iter_mut().zip(self.inputs.take(features)) {
            *value = i32::from(input);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let is_last = index + 1 == self.layers.len();
            let before = values;
            for ((value, weights), bias) in values.iter_mut().zip(&layer.weights).zip(&layer.bias) {
                let sum = weights
                    .iter()
                    .zip(before)
                    .fold(*bias, |sum, (weight, value)| {
                        sum + i32::from(*weight) * value
                    });
                *value = (if is_last { sum } else { sum.max(0) }) >> layer.shift;
            }
        }
        let base = i32::from(self.inputs.base_of(features));
        let mut outputs = [0; OUTPUTS_MAX];
        for (output, value) in outputs.iter_mut().zip(values).take(self.outputs()) {
            *output = value + base;
        }
        outputs
    }
}

const _: () = assert!(INPUTS_MAX <= WIDTH_MAX);

fn shape(what: &'static str, found: usize, expected: usize) -> Defect {
    Defect::Shape {
        what,
        found,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FEATURES, Feature, Input, RELATIVE_ZERO, Range, VALUE_MAX};

    fn input(feature: Feature) -> Input {
        let range = Range {
            low: 0,
            high: VALUE_MAX,
        };
        Input {
            feature,
            relative: false,
            range,
        }
    }

    fn layer(weights: &[&[i16]], bias: &[i32], shift: u32) -> Layer {
        Layer {
            weights: weights.iter().map(|row| row.to_vec()).collect(),
            bias: bias.to_vec(),
            shift,
        }
    }

    #[test]
    fn it_computes() {
        let inputs = vec![input(Feature::Last1), input(Feature::Slept)];
        let hidden = layer(&[&[2, -1], &[-2, 1]], &[10, 0], 1);
        let output = layer(&[&[3, 5]], &[-7], 2);
        let network = Network::new(Inputs::plain(inputs), vec![hidden, output]).expect("a network");
        let mut features = [0; FEATURES];
        features[Feature::Last1 as usize] = 100;
        features[Feature::Slept as usize] = 40;
        // (200 - 40 + 10) / 2 = 85 and 0; (255 - 7) / 4
        assert_eq!(network.infer(&features), [62, 0, 0, 0]);
        features[Feature::Last1 as usize] = 0;
        // 0, for 10 - 40 is below it, and 40 / 2 = 20; (100 - 7) / 4 rounded down
        assert_eq!(network.infer(&features), [23, 0, 0, 0]);
        features[Feature::Slept as usize] = 0;
        // 5 and 0; (15 - 7) / 4
        assert_eq!(network.infer(&features), [2, 0, 0, 0]);
        assert_eq!(network.products(), 6);
    }

    #[test]
    fn the_base_is_added_and_subtracted() {
        let mut last1 = input(Feature::Last1);
        last1.relative = true;
        let inputs = Inputs {
            base: Some(Feature::Average),
            list: vec![last1],
        };
        let whole = layer(&[&[1]], &[-i32::from(RELATIVE_ZERO)], 0);
        let network = Network::new(inputs.clone(), vec![whole]).expect("a network");
        for (average, last) in [(3000, 4000), (4000, 3000), (0, 8000), (8000, 0)] {
            let mut features = [0; FEATURES];
            features[Feature::Average as usize] = average;
            features[Feature::Last1 as usize] = last;
            assert_eq!(
                network.infer(&features)[0],
                i32::from(last),
                "the base and the distance"
            );
        }
        let large = layer(&[&[0]], &[i32::MAX - 1000], 0);
        assert!(matches!(
            Network::new(inputs, vec![large]),
            Err(Defect::Overflow { .. })
        ));
        let lost = Network::new(Inputs::plain(vec![last1]), vec![layer(&[&[1]], &[0], 0)]);
        assert_eq!(lost, Err(Defect::NoBase(Feature::Last1)));
    }

    #[test]
    fn what_could_overflow_is_refused() {
        let one = || vec![input(Feature::Last1)];
        let of = |inputs: Vec<Input>, layers: Vec<Layer>| {
            Network::new(Inputs::plain(inputs), layers).unwrap_err()
        };
        let wide: Vec<Input> = Feature::ALL.into_iter().map(input).collect();
        let heavy = [i16::MAX; FEATURES];
        let sum = i64::from(i16::MAX) * i64::from(VALUE_MAX) * FEATURES as i64;
        assert_eq!(
            of(wide.clone(), vec![layer(&[&heavy], &[0], 20)]),
            Defect::Overflow {
                part: 0,
                sum: (0, sum)
            }
        );
        // Also where the whole sum fits, and only a part of it would not.
        let mut both = heavy;
        both[1..].fill(i16::MIN);
        assert!(matches!(
            of(wide, vec![layer(&[&both], &[0], 20)]),
            Defect::Overflow { .. }
        ));
        let hidden = layer(&[&[4]], &[0], 0);
        assert_eq!(
            of(one(), vec![hidden.clone(), hidden]),
            Defect::Saturates {
                layer: 0,
                value: 4 * i64::from(VALUE_MAX)
            }
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let inputs = || vec![input(Feature::Last1)];
        let of = |inputs: Vec<Input>, layers: Vec<Layer>| {
            Network::new(Inputs::plain(inputs), layers).unwrap_err()
        };
        let simple = || layer(&[&[1]], &[0], 0);
        assert_eq!(of(vec![], vec![simple()]), Defect::Inputs(0));
        let twice = [inputs(), inputs()].concat();
        assert_eq!(of(twice, vec![simple()]), Defect::Twice(Feature::Last1));
        let mut constant = inputs();
        constant[0].range = Range { low: 5, high: 5 };
        assert_eq!(of(constant, vec![simple()]), Defect::Range(Feature::Last1));
        assert_eq!(
            of(inputs(), vec![layer(&[&[1]], &[0], 32)]),
            Defect::Shift(32)
        );
        for layers in [
            vec![],
            vec![layer(&[], &[], 0)],
            vec![layer(&[&[1, 2]], &[0], 0)],
            vec![layer(&[&[1]], &[0, 0], 0)],
            vec![layer(&[&[1][..]; 5], &[0; 5], 0)],
            vec![layer(&[&[0][..]; 33], &[0; 33], 0), simple()],
            (0..5).map(|_| layer(&[&[1]], &[0], 1)).collect(),
        ] {
            assert!(matches!(of(inputs(), layers), Defect::Shape { .. }));
        }
    }
}

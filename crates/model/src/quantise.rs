//! From floats to integers.

use alloc::vec::Vec;

use crate::{Defect, Inputs, Layer, Network, network::sum_of};

/// A dense layer as it was trained: rectified if it is hidden.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// By neuron, then by value of the layer before.
    pub weights: Vec<Vec<f64>>,
    /// By neuron.
    pub bias: Vec<f64>,
}

/// What became of a network's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lossy {
    /// Of each layer's weights, the number of bits after the point, least of all layers.
    pub fraction_bits: i32,
}

/// The greatest sum that is aimed at: rounding must not carry it over 32 bits.
const SUM_MAX: f64 = (1_u64 << 30) as f64;
const ACTIVATION_MAX: f64 = (i16::MAX - 1) as f64;

/// The network in integers. Its first layer takes the features as they are, above the least value of their
/// range, so scaling and centring belong into its weights and biases; its outputs are on the scale
/// of the features.
///
/// All scales are powers of two, one for each layer, as large as weights of 16 bits, sums of 32 and values of
/// 15 allow for every input in range.
///
/// # Errors
/// The layers do not fit together, or a number cannot be put on any scale.
pub fn quantise(inputs: Inputs, layers: &[Dense]) -> Result<(Network, Lossy), Defect> {
    let mut greatest: Vec<f64> = inputs
        .list
        .iter()
        .map(|input| f64::from(input.span()))
        .collect();
    // A value of the layer before is its integer over 2^scale.
    let mut scale = 0;
    let mut fraction_bits = i32::MAX;
    let mut quantised: Vec<Layer> = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let numbers = layer.weights.iter().flatten().chain(&layer.bias);
        if numbers.clone().any(|number| !number.is_finite()) {
            return Err(Defect::NotFinite);
        }
        let bits = weight_bits(layer, &greatest, scale)?;
        fraction_bits = fraction_bits.min(bits);
        let round = |number: f64, bits: i32| (number * 2_f64.powi(bits)).round();
        let weights: Vec<Vec<i16>> = layer
            .weights
            .iter()
            .map(|row| {
                row.iter()
                    .map(|weight| round(*weight, bits) as i16)
                    .collect()
            })
            .collect();
        let mut bias: Vec<i32> = layer
            .bias
            .iter()
            .map(|bias| round(*bias, bits + scale) as i32)
            .collect();
        let whole: Vec<i64> = greatest.iter().map(|value| *value as i64).collect();
        let most = weights
            .iter()
            .zip(&bias)
            .map(|(weights, bias)| sum_of(weights, *bias, &whole).1)
            .max()
            .unwrap_or(0);
        let is_last = index + 1 == layers.len();
        let shift = match is_last {
            // Back to the scale of the features.
            true => bits + scale,
            false => (0..31)
                .find(|shift| most >> shift <= ACTIVATION_MAX as i64)
                .unwrap_or(31),
        };
        let Ok(shift) = u32::try_from(shift) else {
            return Err(Defect::NotFinite);
        };
        if is_last && shift > 0 {
            // An output is rounded to the nearest.
            for bias in &mut bias {
                *bias = bias.saturating_add(1 << (shift - 1));
            }
        }
        scale = scale + bits - shift as i32;
        greatest = weights
            .iter()
            .zip(&bias)
            .map(|(weights, bias)| (sum_of(weights, *bias, &whole).1 >> shift) as f64)
            .collect();
        quantised.push(Layer {
            weights,
            bias,
            shift,
        });
    }
    Ok((Network::new(inputs, quantised)?, Lossy { fraction_bits }))
}

/// How many bits after the point a layer's weights can have.
fn weight_bits(layer: &Dense, greatest: &[f64], scale: i32) -> Result<i32, Defect> {
    // In units of the layer's own values.
    let unit = 2_f64.powi(-scale);
    let sum = |(weights, bias): (&Vec<f64>, &f64)| {
        let products = weights
            .iter()
            .zip(greatest)
            .map(|(weight, value)| (weight * value).abs());
        products.sum::<f64>() + (bias / unit).abs()
    };
    let most = layer
        .weights
        .iter()
        .zip(&layer.bias)
        .map(sum)
        .fold(0.0, f64::max);
    let weight = layer
        .weights
        .iter()
        .flatten()
        .fold(0.0, |most: f64, weight| most.max(weight.abs()));
    let holds = |bits: i32| {
        let factor = 2_f64.powi(bits);
        // A shift of an output by more than 31 bits is not defined.
        most * factor <= SUM_MAX && weight * factor <= f64::from(i16::MAX) && bits + scale <= 31
    };
    (-scale..=31)
        .rev()
        .find(|bits| holds(*bits))
        .ok_or(Defect::NotFinite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FEATURES, Feature, Input, Range};
    use baton_policy::Rng;

    fn float(rng: &mut Rng) -> f64 {
        (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0
    }

    fn run(layers: &[Dense], mut values: Vec<f64>) -> Vec<f64> {
        for (index, layer) in layers.iter().enumerate() {
            values = layer
                .weights
                .iter()
                .zip(&layer.bias)
                .map(|(weights, bias)| {
                    let sum: f64 = weights
                        .iter()
                        .zip(&values)
                        .map(|(weight, value)| weight * value)
                        .sum();
                    let sum = sum + bias;
                    if index + 1 < layers.len() {
                        sum.max(0.0)
                    } else {
                        sum
                    }
                })
                .collect();
        }
        values
    }

    #[test]
    fn integers_are_near_the_floats() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let list: Vec<Input> = Feature::ALL
                .into_iter()
                .map(|feature| Input {
                    feature,
                    relative: false,
                    range: Range {
                        low: rng.below(2000) as u16,
                        high: 4000 + rng.below(6000) as u16,
                    },
                })
                .collect();
            let inputs = Inputs::plain(list);
            let widths: &[usize] = [&[15, 10, 1][..], &[15, 32, 32, 32, 2]][seed as usize % 2];
            let layers: Vec<Dense> = widths
                .windows(2)
                .map(|pair| {
                    let spread = (3.0 / pair[0] as f64).sqrt();
                    Dense {
                        weights: (0..pair[1])
                            .map(|_| (0..pair[0]).map(|_| float(&mut rng) * spread).collect())
                            .collect(),
                        bias: (0..pair[1]).map(|_| float(&mut rng) * 300.0).collect(),
                    }
                })
                .collect();
            let (network, _) = quantise(inputs.clone(), &layers).expect("it can be quantised");
            let mut worst: f64 = 0.0;
            for _ in 0..500 {
                let mut features = [0; FEATURES];
                for feature in &mut features {
                    *feature = rng.below(10240) as u16;
                }
                let values = inputs.take(&features).map(f64::from)[..FEATURES].to_vec();
                let expected = run(&layers, values);
                let found = network.infer(&features);
                for (found, expected) in found.iter().zip(expected) {
                    worst = worst.max((f64::from(*found) - expected).abs());
                }
            }
            // The scale's octave is 256.
            assert!(worst < 40.0, "seed {seed}: {worst}");
        }
    }

    #[test]
    fn what_has_no_scale_is_refused() {
        let input = Inputs::plain(vec![Input {
            feature: Feature::Last1,
            relative: false,
            range: Range {
                low: 0,
                high: 10240,
            },
        }]);
        for weight in [f64::NAN, f64::INFINITY, 1e30] {
            let layer = Dense {
                weights: vec![vec![weight]],
                bias: vec![0.0],
            };
            assert_eq!(quantise(input.clone(), &[layer]), Err(Defect::NotFinite));
        }
        let zero = Dense {
            weights: vec![vec![0.0]],
            bias: vec![1234.0],
        };
        let (network, _) = quantise(input.clone(), &[zero.clone(), zero]).expect("zeros fit");
        assert_eq!(network.infer(&[0; FEATURES])[0], 1234);
    }
}

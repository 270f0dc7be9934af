//! Random models and inputs, to compare the places where they are computed.

use alloc::{vec, vec::Vec};

use crate::{
    DEPTH_MAX, FEATURES, Feature, Features, Forest, Input, Inputs, LAYERS_MAX, Layer, Model,
    Network, Node, OUTPUTS_MAX, Range, TREES_MAX, Tree, VALUE_MAX, WIDTH_MAX,
};

/// Gives a random number below the one that it is given.
pub trait Below: FnMut(u64) -> u64 {}
impl<F: FnMut(u64) -> u64> Below for F {}

/// A network of these widths, its inputs among them. Its sums come within a factor of two of 32 bits.
///
/// # Panics
/// The widths are those of no network: 2 to 5 numbers, at most 15 inputs, 32 neurons and 4 outputs.
#[must_use]
pub fn network(widths: &[usize], below: &mut impl Below) -> Model {
    let inputs = inputs(widths[0], below);
    let mut greatest: Vec<i64> = inputs
        .list
        .iter()
        .map(|input| i64::from(input.span()))
        .collect();
    let mut layers = Vec::new();
    for (index, pair) in widths.windows(2).enumerate() {
        let is_last = index + 2 == widths.len();
        // A quarter of 32 bits for the bias; half for the products, each the same.
        let share = (1_i64 << 30) / pair[0] as i64;
        let row = |below: &mut _| {
            greatest
                .iter()
                .map(|most| weight(share, *most, below))
                .collect()
        };
        let weights: Vec<Vec<i16>> = (0..pair[1]).map(|_| row(below)).collect();
        let bias: Vec<i32> = (0..pair[1])
            .map(|_| (below(1 << 30) as i64 - (1 << 29)) as i32)
            .collect();
        let shift = if is_last { below(32) as u32 } else { 16 };
        greatest = vec![i64::from(i16::MAX); pair[1]];
        layers.push(Layer {
            weights,
            bias,
            shift,
        });
    }
    let network = Network::new(inputs, layers).expect("sums are bounded by their shares");
    Model::Network(network)
}

fn weight(share: i64, most: i64, below: &mut impl Below) -> i16 {
    let limit = (share / most.max(1)).min(i64::from(i16::MAX));
    match below(8) {
        0 => limit as i16,
        1 => -limit as i16,
        2 => 0,
        _ => (below(2 * limit as u64 + 1) as i64 - limit) as i16,
    }
}

/// A network of which the sums, at one end or the other of its only input, are exactly the least and the greatest
/// of 32 bits, in the lower and in the upper half of a word, and with either as its neighbour.
///
/// # Panics
/// Never: its sums fit.
#[must_use]
pub fn ends() -> Model {
    let span: u16 = 4369;
    let input = Input {
        feature: Feature::Last1,
        relative: false,
        range: Range {
            low: 7,
            high: 7 + span,
        },
    };
    let weight = i16::MAX;
    let product = i32::from(weight) * i32::from(span);
    let layer = Layer {
        weights: vec![vec![-weight], vec![weight], vec![weight], vec![-weight]],
        bias: vec![
            i32::MIN + product,
            i32::MAX - product,
            i32::MAX - product,
            i32::MIN + product,
        ],
        shift: 0,
    };
    let network = Network::new(Inputs::plain(vec![input]), vec![layer]).expect("the sums just fit");
    Model::Network(network)
}

/// A network with as many inputs as there can be: a feature stands there as it is and as a distance.
///
/// # Panics
/// Never: its sums fit.
#[must_use]
pub fn sixteen(below: &mut impl Below) -> Model {
    let Model::Network(network) = network(&[FEATURES, 31, 3], below) else {
        unreachable!("it is a network")
    };
    let mut inputs = network.inputs().clone();
    inputs.base = Some(Feature::Average);
    let mut again = inputs.list[0];
    again.relative = !again.relative;
    inputs.list.push(again);
    let mut layers = network.layers().to_vec();
    for weights in &mut layers[0].weights {
        weights.push(below(200) as i16 - 100);
    }
    // The base takes room of the outputs.
    for layer in &mut layers {
        layer.shift = layer.shift.max(16);
    }
    Model::Network(Network::new(inputs, layers).expect("there is room for another input"))
}

/// So many trees of this depth, for so many outputs in turn.
///
/// # Panics
/// There is no such forest.
#[must_use]
pub fn forest(trees: usize, depth: usize, outputs: usize, below: &mut impl Below) -> Model {
    let inputs = inputs(FEATURES, below);
    let leaf = |below: &mut dyn FnMut(u64) -> u64| (below(1 << 24) as i64 - (1 << 23)) as i32;
    let base = (0..outputs).map(|_| leaf(below)).collect();
    let tree = |index: usize, below: &mut _| Tree {
        output: (index % outputs) as u8,
        nodes: (1..1 << depth).map(|_| node(&inputs.list, below)).collect(),
        leaves: (0..1 << depth).map(|_| leaf(below)).collect(),
    };
    let trees: Vec<Tree> = (0..trees).map(|index| tree(index, below)).collect();
    let shift = below(32) as u32;
    let forest = Forest::new(inputs.clone(), base, trees, shift).expect("sums are bounded");
    Model::Forest(forest)
}

fn node(inputs: &[Input], below: &mut impl Below) -> Node {
    let input = below(inputs.len() as u64) as usize;
    Node {
        input: input as u8,
        threshold: below(u64::from(inputs[input].span()) + 1) as u16,
    }
}

/// Any model, now and then as large as one can be.
#[must_use]
pub fn model(below: &mut impl Below) -> Model {
    if below(2) == 0 {
        let mut up_to = |most: usize| match below(4) {
            0 => most,
            _ => 1 + below(most as u64) as usize,
        };
        let layers = up_to(LAYERS_MAX);
        let mut widths = vec![up_to(FEATURES)];
        widths.extend((1..layers).map(|_| up_to(WIDTH_MAX)));
        widths.push(up_to(OUTPUTS_MAX));
        network(&widths, below)
    } else {
        let mut up_to = |most: usize| 1 + below(most as u64) as usize;
        let (trees, depth, outputs) = (up_to(TREES_MAX), up_to(DEPTH_MAX), up_to(OUTPUTS_MAX));
        forest(trees, depth, outputs, below)
    }
}

/// So many features in a random order, with random ranges.
fn inputs(count: usize, below: &mut impl Below) -> Inputs {
    let mut features = Feature::ALL;
    for index in (1..features.len()).rev() {
        features.swap(index, below(index as u64 + 1) as usize);
    }
    let base = (below(2) == 0).then(|| Feature::ALL[below(FEATURES as u64) as usize]);
    let input = |feature| {
        let relative = base.is_some() && below(2) == 0;
        let (low, high) = match below(3) {
            0 => (0, VALUE_MAX),
            _ => {
                let low = below(u64::from(VALUE_MAX)) as u16;
                (low, low + 1 + below(u64::from(VALUE_MAX - low)) as u16)
            }
        };
        Input {
            feature,
            relative,
            range: Range { low, high },
        }
    };
    let list = features[..count].iter().copied().map(input).collect();
    Inputs { base, list }
}

/// Random values; some beyond what a feature can be.
#[must_use]
pub fn features(below: &mut impl Below) -> Features {
    let mut features = [0; FEATURES];
    for value in &mut features {
        *value = match below(8) {
            0 => below(1 << 16) as u16,
            1 => 0,
            2 => VALUE_MAX,
            _ => below(1 << 14) as u16,
        };
    }
    features
}

/// Every way in which each feature is at one of its ends: 2^15.
pub fn extremes() -> impl Iterator<Item = Features> {
    (0..1_u32 << FEATURES).map(|bits| {
        let mut features = [0; FEATURES];
        for (index, value) in features.iter_mut().enumerate() {
            *value = if bits >> index & 1 == 1 { u16::MAX } else { 0 };
        }
        features
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In debug builds an overflow panics.
    #[test]
    fn nothing_overflows() {
        let reach = extremes().map(|features| ends().infer(&features)[..2].to_vec());
        let (least, most) = (i32::MIN, i32::MAX);
        let found: Vec<Vec<i32>> = reach.take(2).collect();
        assert!(found.iter().flatten().any(|sum| *sum == least), "{found:?}");
        assert!(found.iter().flatten().any(|sum| *sum == most), "{found:?}");
        for seed in 0..300 {
            let mut rng = baton_policy::Rng::new(seed);
            let mut below = |bound| rng.below(bound);
            let model = model(&mut below);
            for features in extremes()
                .step_by(97)
                .chain((0..100).map(|_| features(&mut below)))
            {
                let _ = model.infer(&features);
            }
        }
    }
}

//! A part of a batch, its samples side by side.
//!
//! Every value is an array over the shard's samples, so that each step of a sum is the same for many samples at once, which
//! compilers make vector instructions of. A shard's sums are always those of the same samples in the same order, whichever
//! thread adds them up.

use super::{Layer, Target};

/// Samples of a shard.
pub(super) const SAMPLES: usize = BLOCKS * BLOCK;
const BLOCKS: usize = 4;
/// Samples whose sums stand in registers together.
const BLOCK: usize = 16;

/// A value of each sample.
type Values = [[f32; BLOCK]; BLOCKS];

const ZEROS: Values = [[0.0; BLOCK]; BLOCKS];

/// What a network sees of samples, and what it is to predict.
pub(super) struct Rows {
    /// How many inputs a sample has.
    pub(super) width: usize,
    /// Sample after sample.
    pub(super) inputs: Vec<f32>,
    /// A value of each sample.
    pub(super) wanted: Vec<f32>,
}

/// Room for the values and slopes of a shard, and what comes of it.
pub(super) struct Shard {
    /// Which of the rows, at most [`SAMPLES`].
    pub(super) places: Vec<u32>,
    /// Whether slopes are asked for, or the loss alone.
    pub(super) wants_slopes: bool,
    /// The sum of the losses.
    pub(super) loss: f64,
    /// The sums of the slopes.
    pub(super) sums: Vec<Layer>,
    /// By layer, the input's first, and by neuron.
    values: Vec<Vec<Values>>,
    slopes: Vec<Values>,
    before: Vec<Values>,
    wanted: Values,
}

impl Shard {
    pub(super) fn new(layers: &[Layer]) -> Self {
        let widths = layers.first().map(|layer| layer.inputs).into_iter();
        let widths = widths.chain(layers.iter().map(|layer| layer.outputs));
        Self {
            places: Vec::with_capacity(SAMPLES),
            wants_slopes: false,
            loss: 0.0,
            sums: layers.iter().map(Layer::zeros).collect(),
            values: widths.map(|width| vec![ZEROS; width]).collect(),
            slopes: Vec::new(),
            before: Vec::new(),
            wanted: ZEROS,
        }
    }

    /// Goes through the network, and back if that is asked for.
    pub(super) fn run(&mut self, rows: &Rows, layers: &[Layer], target: &Target) {
        self.loss = 0.0;
        if self.places.is_empty() {
            return;
        }
        self.fill(rows);
        for (index, layer) in layers.iter().enumerate() {
            let (before, after) = self.values.split_at_mut(index + 1);
            forward(layer, &before[index], &mut after[0]);
            if index + 1 < layers.len() {
                let all = after[0].as_flattened_mut().as_flattened_mut();
                all.iter_mut().for_each(|value| *value = value.max(0.0));
            }
        }
        self.judge(target);
        if self.wants_slopes {
            self.back(layers);
        }
    }

    /// Puts the rows side by side. What a shard has less than its samples is as if it were 0.
    fn fill(&mut self, rows: &Rows) {
        if self.places.len() < SAMPLES {
            self.values[0].fill(ZEROS);
        }
        for (index, place) in self.places.iter().enumerate() {
            let (block, lane) = (index / BLOCK, index % BLOCK);
            let row = &rows.inputs[*place as usize * rows.width..][..rows.width];
            for (values, value) in self.values[0].iter_mut().zip(row) {
                values[block][lane] = *value;
            }
            self.wanted[block][lane] = rows.wanted[*place as usize];
        }
    }

    /// The losses of predictions, and their slopes; those of samples that there are not are 0.
    fn judge(&mut self, target: &Target) {
        let outputs = &self.values[self.values.len() - 1];
        self.slopes.clear();
        self.slopes.resize(outputs.len(), ZEROS);
        for index in 0..self.places.len() {
            let (block, lane) = (index / BLOCK, index % BLOCK);
            let wanted = self.wanted[block][lane];
            let mut sum = 0.0;
            for (output, values) in outputs.iter().enumerate() {
                let (loss, slope) = target.loss(output, wanted - values[block][lane]);
                sum += loss;
                self.slopes[output][block][lane] = slope;
            }
            self.loss += f64::from(sum / outputs.len() as f32);
        }
    }

    /// From the slopes of predictions to those of weights.
    fn back(&mut self, layers: &[Layer]) {
        for (index, layer) in layers.iter().enumerate().rev() {
            let (values, sums) = (&self.values[index], &mut self.sums[index]);
            for (sum, slopes) in sums.bias.iter_mut().zip(&self.slopes) {
                *sum = total(*slopes);
            }
            let by_neuron = sums.weights.chunks_exact_mut(layer.inputs);
            for (sums, slopes) in by_neuron.zip(&self.slopes) {
                for (sum, values) in sums.iter_mut().zip(values) {
                    *sum = product(values, slopes);
                }
            }
            if index == 0 {
                return;
            }
            self.before.clear();
            self.before.resize(layer.inputs, ZEROS);
            for (input, (before, values)) in self.before.iter_mut().zip(values).enumerate() {
                let weights = layer.weights[input..].iter().step_by(layer.inputs);
                mix(0.0, weights, &self.slopes, before);
                // A neuron that gave nothing has no slope.
                let pairs = before.as_flattened_mut().iter_mut();
                for (slope, value) in pairs.zip(values.as_flattened()) {
                    *slope = if *value > 0.0 { *slope } else { 0.0 };
                }
            }
            std::mem::swap(&mut self.slopes, &mut self.before);
        }
    }
}

fn forward(layer: &Layer, values: &[Values], out: &mut [Values]) {
    let neurons = layer.weights.chunks_exact(layer.inputs).zip(&layer.bias);
    for (out, (weights, bias)) in out.iter_mut().zip(neurons) {
        mix(*bias, weights.iter(), values, out);
    }
}

/// The start, and each of the values times its weight, added up in their order.
fn mix<'a>(
    start: f32,
    weights: impl Iterator<Item = &'a f32> + Clone,
    values: &[Values],
    out: &mut Values,
) {
    for (block, out) in out.iter_mut().enumerate() {
        let mut sums = [start; BLOCK];
        for (weight, values) in weights.clone().zip(values) {
            for (sum, value) in sums.iter_mut().zip(&values[block]) {
                *sum += weight * value;
            }
        }
        *out = sums;
    }
}

/// The sum over all samples of one value times the other.
fn product(one: &Values, other: &Values) -> f32 {
    let mut sums = [0.0; BLOCK];
    for (one, other) in one.iter().zip(other) {
        for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
            *sum += one * other;
        }
    }
    halve(sums)
}

/// The sum over all samples.
fn total(values: Values) -> f32 {
    let mut sums = [0.0; BLOCK];
    for values in &values {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
    halve(sums)
}

/// Adds up pairs, then pairs of these and so on.
fn halve(mut sums: [f32; BLOCK]) -> f32 {
    let mut width = BLOCK / 2;
    while width > 0 {
        for index in 0..width {
            sums[index] += sums[index + width];
        }
        width /= 2;
    }
    sums[0]
}

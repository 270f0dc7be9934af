//! Dense networks: rectified hidden layers, trained with Adam.
//!
//! Plain loops over a batch, in single precision. Sums are added up in one order, so equal data, seeds
//! and configurations give equal networks.

use baton_model::{Defect, Dense, Feature, Inputs, Lossy, Network, quantise};
use baton_policy::Rng;

use crate::{
    Look, Sample,
    boost::TrainError,
    look::{above_base, value},
};

/// What a network is to predict.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The burst in octaves; quantiles of it by the pinball loss, an output for each.
    Quantiles(Vec<f32>),
    /// The burst in octaves, by its squared error.
    Octaves,
    /// The burst in milliseconds, by its squared error, as the first learned schedulers had it.
    Milliseconds,
}

impl Target {
    fn outputs(&self) -> usize {
        match self {
            Self::Quantiles(shares) => shares.len(),
            _ => 1,
        }
    }
}

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What to look at; features that do not vary are left out. Milliseconds have no base.
    pub look: Look,
    /// Neurons of the hidden layers.
    pub hidden: Vec<usize>,
    /// What to predict.
    pub target: Target,
    /// Adam's step.
    pub rate: f32,
    /// Samples of a step.
    pub batch: usize,
    /// How often all samples are gone through, at most.
    pub epochs: usize,
    /// Ends after so many epochs that did not help the samples to stop by.
    pub patience: usize,
    /// Of the weights at the beginning and of the order of samples.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            look: Look::default(),
            hidden: vec![10],
            target: Target::Quantiles(vec![0.5, 0.9]),
            rate: 2e-3,
            batch: 256,
            epochs: 30,
            patience: 4,
            seed: 1,
        }
    }
}

impl Config {
    /// The network of the first learned schedulers: a task's hashed name and its priority in, four layers, 32
    /// wide, squared error, Adam at 1e-4.
    #[must_use]
    pub fn reference() -> Self {
        Self {
            look: Look::plain([Feature::Name, Feature::Weight]),
            hidden: vec![32, 32, 32],
            target: Target::Milliseconds,
            rate: 1e-4,
            ..Self::default()
        }
    }
}

/// Weights by input, then by neuron, so that a step goes through them in order.
#[derive(Clone, Debug, PartialEq)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// A trained network, in floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    inputs: Inputs,
    /// Mean of each input above the least of its range, and one over its deviation.
    scale: Vec<(f32, f32)>,
    layers: Vec<Layer>,
    target: Target,
    /// Features that were left out because they do not vary.
    pub constant: Vec<Feature>,
    /// Mean loss on the samples to learn from and on those to stop by, after each epoch.
    pub losses: Vec<(f64, f64)>,
}

/// Adam's memory of a layer: means of slopes and of their squares.
struct Moments {
    weights: Vec<(f32, f32)>,
    bias: Vec<(f32, f32)>,
}

const BETA: (f32, f32) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;

/// Values of one layer for one sample, or slopes.
type Row = Vec<f32>;

impl Layer {
    /// Uniform, with the spread that keeps the size of rectified values (He and others, 2015).
    fn random(inputs: usize, outputs: usize, rng: &mut Rng) -> Self {
        let spread = (6.0 / inputs as f32).sqrt();
        let mut uniform = || (rng.next_u64() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
        Self {
            inputs,
            outputs,
            weights: (0..inputs * outputs).map(|_| uniform() * spread).collect(),
            bias: vec![0.0; outputs],
        }
    }

    fn forward(&self, values: &[f32], out: &mut Row) {
        out.clear();
        out.extend(&self.bias);
        for (value, weights) in values.iter().zip(self.weights.chunks_exact(self.outputs)) {
            if *value == 0.0 {
                continue;
            }
            for (sum, weight) in out.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }

    /// Adds a sample's slopes to those of the weights, and tells those of the values.
    fn backward(&self, values: &[f32], slopes: &[f32], sums: &mut Self, before: &mut Row) {
        before.clear();
        for (sum, slope) in sums.bias.iter_mut().zip(slopes) {
            *sum += slope;
        }
        let rows = self.weights.chunks_exact(self.outputs);
        let sums = sums.weights.chunks_exact_mut(self.outputs);
        for ((value, weights), sums) in values.iter().zip(rows).zip(sums) {
            let mut slope_of_value = 0.0;
            for ((sum, weight), slope) in sums.iter_mut().zip(weights).zip(slopes) {
                *sum += value * slope;
                slope_of_value += weight * slope;
            }
            before.push(slope_of_value);
        }
    }

    fn zeros(&self) -> Self {
        Self {
            weights: vec![0.0; self.weights.len()],
            bias: vec![0.0; self.bias.len()],
            ..*self
        }
    }
}

impl Moments {
    fn of(layer: &Layer) -> Self {
        Self {
            weights: vec![(0.0, 0.0); layer.weights.len()],
            bias: vec![(0.0, 0.0); layer.bias.len()],
        }
    }

    /// A step of Adam (Kingma and Ba, 2015); `rate` has the correction for the beginning.
    fn step(&mut self, layer: &mut Layer, sums: &Layer, rate: f32, count: f32) {
        let all = |values: &mut [f32], moments: &mut [(f32, f32)], sums: &[f32]| {
            for ((value, moment), sum) in values.iter_mut().zip(moments).zip(sums) {
                let slope = sum / count;
                moment.0 = BETA.0 * moment.0 + (1.0 - BETA.0) * slope;
                moment.1 = BETA.1 * moment.1 + (1.0 - BETA.1) * slope * slope;
                *value -= rate * moment.0 / (moment.1.sqrt() + EPSILON);
            }
        };
        all(&mut layer.weights, &mut self.weights, &sums.weights);
        all(&mut layer.bias, &mut self.bias, &sums.bias);
    }
}

/// Milliseconds of a burst on the scale of logarithms.
fn milliseconds(burst: u16) -> f32 {
    baton_model::exp2_q8(burst.into()) as f32 / 1e6
}

impl Mlp {
    /// An untrained network for these samples.
    fn new(samples: &[Sample], config: &Config) -> Result<Self, TrainError> {
        let (inputs, constant) = config.look.inputs(samples);
        if inputs.list.is_empty() {
            return Err(TrainError::Constant);
        }
        let scale = inputs.list.iter().map(|input| {
            let count = samples.len() as f64;
            let values = samples.iter().map(|sample| value(&inputs, input, sample));
            let above = values.map(|value| f64::from(value - input.range.low));
            let mean = above.clone().sum::<f64>() / count;
            let variance = above
                .map(|value| (value - mean) * (value - mean))
                .sum::<f64>()
                / count;
            (mean as f32, (1.0 / variance.sqrt()) as f32)
        });
        let scale = scale.collect();
        let mut rng = Rng::new(config.seed);
        let mut widths = vec![inputs.list.len()];
        widths.extend(&config.hidden);
        widths.push(config.target.outputs());
        let mut layers: Vec<Layer> = widths
            .windows(2)
            .map(|pair| Layer::random(pair[0], pair[1], &mut rng))
            .collect();
        // Begins at the mean of what it is to predict.
        let mut network = Self {
            inputs,
            scale,
            layers: Vec::new(),
            target: config.target.clone(),
            constant,
            losses: Vec::new(),
        };
        let wanted = samples
            .iter()
            .map(|sample| f64::from(network.wanted(sample)));
        let mean = wanted.sum::<f64>() / samples.len() as f64;
        if let Some(last) = layers.last_mut() {
            last.bias.fill(mean as f32);
        }
        network.layers = layers;
        Ok(network)
    }

    fn wanted(&self, sample: &Sample) -> f32 {
        match self.target {
            Target::Milliseconds => milliseconds(sample.burst),
            _ => above_base(&self.inputs, sample) as f32 / 256.0,
        }
    }

    fn row(&self, sample: &Sample, row: &mut Row) {
        row.clear();
        let inputs = self.inputs.list.iter().zip(&self.scale);
        row.extend(inputs.map(|(input, (mean, factor))| {
            let range = input.range;
            let value = value(&self.inputs, input, sample).clamp(range.low, range.high);
            (f32::from(value - range.low) - mean) * factor
        }));
    }

    /// The loss of predictions, and its slopes.
    fn loss(&self, outputs: &[f32], sample: &Sample, slopes: &mut Row) -> f32 {
        let wanted = self.wanted(sample);
        slopes.clear();
        let mut sum = 0.0;
        for (index, output) in outputs.iter().enumerate() {
            let error = wanted - output;
            let (loss, slope) = match &self.target {
                Target::Quantiles(shares) if error >= 0.0 => {
                    (shares[index] * error, -shares[index])
                }
                Target::Quantiles(shares) => ((shares[index] - 1.0) * error, 1.0 - shares[index]),
                _ => (error * error, -2.0 * error),
            };
            sum += loss;
            slopes.push(slope);
        }
        sum / outputs.len() as f32
    }

    /// All layers' values; the first is the input.
    fn forward(&self, values: &mut [Row]) {
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = values.split_at_mut(index + 1);
            layer.forward(&before[index], &mut after[0]);
            if index + 1 < self.layers.len() {
                for value in &mut after[0] {
                    *value = value.max(0.0);
                }
            }
        }
    }

    fn mean_loss(&self, samples: &[Sample]) -> f64 {
        let mut values: Vec<Row> = vec![Row::new(); self.layers.len() + 1];
        let mut slopes = Row::new();
        let mut sum = 0.0;
        for sample in samples {
            self.row(sample, &mut values[0]);
            self.forward(&mut values);
            sum += f64::from(self.loss(&values[self.layers.len()], sample, &mut slopes));
        }
        sum / samples.len() as f64
    }

    /// Predictions of a sample on the scale of logarithms.
    #[must_use]
    pub fn predict(&self, sample: &Sample) -> Vec<i32> {
        let mut values: Vec<Row> = vec![Row::new(); self.layers.len() + 1];
        self.row(sample, &mut values[0]);
        self.forward(&mut values);
        let outputs = values[self.layers.len()].iter();
        let scaled = outputs.map(|output| match self.target {
            Target::Milliseconds => i32::from(baton_model::log2_q8((output.max(0.0) * 1e6) as u64)),
            _ => (output * 256.0).round() as i32 + i32::from(self.inputs.base_of(&sample.features)),
        });
        scaled.collect()
    }

    /// The network in integers, on the scale of logarithms.
    ///
    /// # Errors
    /// It has no place in them, or it predicts milliseconds.
    pub fn quantise(&self) -> Result<(Network, Lossy), Defect> {
        if self.target == Target::Milliseconds {
            return Err(Defect::Milliseconds);
        }
        let mut dense: Vec<Dense> = self.layers.iter().map(Dense::from).collect();
        // Centring and scaling go into the first layer, the logarithms' unit into the last.
        let first = &mut dense[0];
        for (weights, bias) in first.weights.iter_mut().zip(&mut first.bias) {
            for (weight, (mean, factor)) in weights.iter_mut().zip(&self.scale) {
                *weight *= f64::from(*factor);
                *bias -= *weight * f64::from(*mean);
            }
        }
        if let Some(last) = dense.last_mut() {
            last.weights
                .iter_mut()
                .flatten()
                .for_each(|weight| *weight *= 256.0);
            last.bias.iter_mut().for_each(|bias| *bias *= 256.0);
        }
        quantise(self.inputs.clone(), &dense)
    }
}

impl From<&Layer> for Dense {
    fn from(layer: &Layer) -> Self {
        let weight =
            |input: usize, output: usize| layer.weights[input * layer.outputs + output].into();
        Self {
            weights: (0..layer.outputs)
                .map(|output| {
                    (0..layer.inputs)
                        .map(|input| weight(input, output))
                        .collect()
                })
                .collect(),
            bias: layer.bias.iter().map(|bias| f64::from(*bias)).collect(),
        }
    }
}

/// Trains a network; that of the epoch which was best for the samples to stop by comes out.
///
/// `progress` hears of each epoch: its number, how many there can be, and the loss on the samples to stop by.
///
/// # Errors
/// There are too few samples, or none of the features varies.
pub fn train(
    train: &[Sample],
    stop: &[Sample],
    config: &Config,
    progress: &mut dyn FnMut(usize, usize, f64),
) -> Result<Mlp, TrainError> {
    if train.len() < config.batch || stop.is_empty() {
        return Err(TrainError::TooFew(train.len(), stop.len()));
    }
    let mut network = Mlp::new(train, config)?;
    let mut moments: Vec<Moments> = network.layers.iter().map(Moments::of).collect();
    let mut rng = Rng::new(config.seed ^ 0x006f_7264_6572);
    let mut order: Vec<u32> = (0..train.len() as u32).collect();
    let (mut best, mut best_loss, mut best_epoch) = (network.clone(), f64::INFINITY, 0);
    let mut losses = Vec::new();
    let (mut decay, mut pass) = ((1.0_f32, 1.0_f32), Pass::new(network.layers.len()));
    for epoch in 1..=config.epochs {
        for index in (1..order.len()).rev() {
            order.swap(index, rng.below(index as u64 + 1) as usize);
        }
        let mut sum = 0.0;
        for batch in order.chunks(config.batch) {
            let samples = batch.iter().map(|index| &train[*index as usize]);
            let sums = pass.slopes(&network, samples, &mut sum);
            decay = (decay.0 * BETA.0, decay.1 * BETA.1);
            let rate = config.rate * (1.0 - decay.1).sqrt() / (1.0 - decay.0);
            for ((moments, layer), sums) in moments.iter_mut().zip(&mut network.layers).zip(&sums) {
                moments.step(layer, sums, rate, batch.len() as f32);
            }
        }
        let loss = network.mean_loss(stop);
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        losses.push((sum / train.len() as f64, loss));
        progress(epoch, config.epochs, loss);
        if loss < best_loss {
            (best, best_loss, best_epoch) = (network.clone(), loss, epoch);
        } else if epoch - best_epoch >= config.patience {
            break;
        }
    }
    best.losses = losses;
    Ok(best)
}

/// Room for the values and slopes of a sample.
struct Pass {
    values: Vec<Row>,
    slopes: Row,
    before: Row,
}

impl Pass {
    fn new(layers: usize) -> Self {
        Self {
            values: vec![Row::new(); layers + 1],
            slopes: Row::new(),
            before: Row::new(),
        }
    }

    /// The sums of a batch's slopes; their losses are added to `sum`.
    fn slopes<'a>(
        &mut self,
        network: &Mlp,
        batch: impl Iterator<Item = &'a Sample>,
        sum: &mut f64,
    ) -> Vec<Layer> {
        let mut sums: Vec<Layer> = network.layers.iter().map(Layer::zeros).collect();
        for sample in batch {
            network.row(sample, &mut self.values[0]);
            network.forward(&mut self.values);
            let outputs = &self.values[network.layers.len()];
            *sum += f64::from(network.loss(outputs, sample, &mut self.slopes));
            for (index, layer) in network.layers.iter().enumerate().rev() {
                let values = &self.values[index];
                layer.backward(values, &self.slopes, &mut sums[index], &mut self.before);
                if index > 0 {
                    // A neuron that gave nothing has no slope.
                    for (slope, value) in self.before.iter_mut().zip(values) {
                        *slope = if *value > 0.0 { *slope } else { 0.0 };
                    }
                }
                std::mem::swap(&mut self.slopes, &mut self.before);
            }
        }
        sums
    }
}

#[cfg(test)]
#[path = "mlp_tests.rs"]
mod tests;

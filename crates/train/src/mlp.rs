//! Dense networks: rectified hidden layers, trained with Adam.
//!
//! Plain loops over the shards of a batch, in single precision. Shards are of so many samples, however many threads
//! there are, and sums are added up in one order, so equal data, seeds and configurations give equal networks.

mod shard;
mod team;

use std::{sync::RwLock, thread};

use baton_model::{Defect, Dense, Feature, Inputs, Lossy, Network, quantise};
use baton_policy::Rng;

use crate::{
    Look, Sample,
    boost::TrainError,
    look::{above_base, value},
};

use shard::Rows;
use team::{Board, Team};

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

    /// The loss of an output, and its slope, where it is below what is wanted by this much.
    fn loss(&self, output: usize, error: f32) -> (f32, f32) {
        match self {
            Self::Quantiles(shares) if error >= 0.0 => (shares[output] * error, -shares[output]),
            Self::Quantiles(shares) => ((shares[output] - 1.0) * error, 1.0 - shares[output]),
            _ => (error * error, -2.0 * error),
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
    /// How many threads count, where there is enough to do for more than one; the outcome is the same for each number.
    pub threads: usize,
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
            threads: 2,
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

/// Weights by neuron, then by input.
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

/// Values of one layer for one sample.
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
        let neurons = self.weights.chunks_exact(self.inputs).zip(&self.bias);
        out.extend(neurons.map(|(weights, bias)| {
            let pairs = weights.iter().zip(values);
            pairs.fold(*bias, |sum, (weight, value)| sum + weight * value)
        }));
    }

    fn zeros(&self) -> Self {
        Self {
            weights: vec![0.0; self.weights.len()],
            bias: vec![0.0; self.bias.len()],
            ..*self
        }
    }

    fn clear(&mut self) {
        self.weights.fill(0.0);
        self.bias.fill(0.0);
    }

    fn add(&mut self, other: &Self) {
        let all = |sums: &mut [f32], more: &[f32]| {
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum += more;
            }
        };
        all(&mut self.weights, &other.weights);
        all(&mut self.bias, &other.bias);
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

/// Adam: what it remembers of each layer, and how much of the beginning is in that still.
struct Adam {
    moments: Vec<Moments>,
    /// The slopes of a step.
    sums: Vec<Layer>,
    decay: (f32, f32),
}

impl Adam {
    fn new(layers: Vec<Layer>) -> Self {
        Self {
            moments: layers.iter().map(Moments::of).collect(),
            sums: layers,
            decay: (1.0, 1.0),
        }
    }

    /// A step along `sums`, which are of so many samples.
    fn step(&mut self, layers: &mut [Layer], rate: f32, count: f32) {
        self.decay = (self.decay.0 * BETA.0, self.decay.1 * BETA.1);
        let rate = rate * (1.0 - self.decay.1).sqrt() / (1.0 - self.decay.0);
        for ((moments, layer), sums) in self.moments.iter_mut().zip(layers).zip(&self.sums) {
            moments.step(layer, sums, rate, count);
        }
    }
}

/// Mean losses on the samples to learn from and on those to stop by, after each epoch.
type Losses = Vec<(f64, f64)>;

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

    /// The rows of samples one after the other.
    fn rows<'a>(&self, samples: impl Iterator<Item = &'a Sample>) -> Rows {
        let (mut inputs, mut wanted, mut row) = (Vec::new(), Vec::new(), Row::new());
        for sample in samples {
            self.row(sample, &mut row);
            inputs.extend_from_slice(&row);
            wanted.push(self.wanted(sample));
        }
        Rows {
            width: self.inputs.list.len(),
            inputs,
            wanted,
        }
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
        let neurons = layer.weights.chunks_exact(layer.inputs);
        Self {
            weights: neurons
                .map(|weights| weights.iter().map(|weight| f64::from(*weight)).collect())
                .collect(),
            bias: layer.bias.iter().map(|bias| f64::from(*bias)).collect(),
        }
    }
}

/// Of fewer weights a thread has done a shard before another one has heard of its own.
const WEIGHTS_MIN: usize = 512;

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
    let rows = network.rows(train.iter().chain(stop));
    let weights: usize = network.layers.iter().map(|layer| layer.weights.len()).sum();
    let board = Board {
        rows: &rows,
        layers: RwLock::new(std::mem::take(&mut network.layers)),
        target: &config.target,
    };
    (network.layers, network.losses) = thread::scope(|scope| {
        let threads = if weights < WEIGHTS_MIN {
            1
        } else {
            config.threads
        };
        let team = Team::new(&board, config.batch, threads, scope);
        learn(&board, team, (train.len(), stop.len()), config, progress)
    })?;
    Ok(network)
}

/// Goes through the first rows epoch by epoch, and stops by those after them; gives the weights of the best epoch, and
/// the losses of all.
fn learn(
    board: &Board<'_>,
    mut team: Team<'_>,
    (train, stop): (usize, usize),
    config: &Config,
    progress: &mut dyn FnMut(usize, usize, f64),
) -> Result<(Vec<Layer>, Losses), TrainError> {
    let layers = || {
        board
            .layers
            .read()
            .expect("nobody panicked with it")
            .clone()
    };
    let mut rng = Rng::new(config.seed ^ 0x006f_7264_6572);
    let mut order: Vec<u32> = (0..train as u32).collect();
    let after: Vec<u32> = (train as u32..(train + stop) as u32).collect();
    let mut adam = Adam::new(layers());
    let (mut best, mut best_loss, mut best_epoch) = (layers(), f64::INFINITY, 0);
    let mut losses = Vec::new();
    for epoch in 1..=config.epochs {
        for index in (1..order.len()).rev() {
            order.swap(index, rng.below(index as u64 + 1) as usize);
        }
        let mut sum = 0.0;
        for batch in order.chunks(config.batch) {
            team.run(batch, true);
            sum += team.loss();
            team.slopes(&mut adam.sums);
            let mut layers = board.layers.write().expect("nobody panicked with it");
            adam.step(&mut layers, config.rate, batch.len() as f32);
        }
        let loss = mean_loss(&mut team, &after);
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        losses.push((sum / train as f64, loss));
        progress(epoch, config.epochs, loss);
        if loss < best_loss {
            (best, best_loss, best_epoch) = (layers(), loss, epoch);
        } else if epoch - best_epoch >= config.patience {
            break;
        }
    }
    Ok((best, losses))
}

fn mean_loss(team: &mut Team<'_>, places: &[u32]) -> f64 {
    let room = team.room();
    let sum: f64 = places
        .chunks(room)
        .map(|places| {
            team.run(places, false);
            team.loss()
        })
        .sum();
    sum / places.len() as f64
}

#[cfg(test)]
#[path = "mlp_tests.rs"]
mod tests;

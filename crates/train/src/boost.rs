//! Gradient-boosted trees for quantiles.
//!
//! Trees are grown level by level (Friedman, "Greedy function approximation", 2001) on histograms of at
//! most [`BINS`] values a feature. What a tree is grown on is the sign of what is left, as the pinball
//! loss has it, so its sums are whole numbers and come out the same in any order; each leaf is then the
//! quantile of what is left in it.

use std::thread;

use baton_model::{Defect, Feature, Forest, Inputs, Node, TREES_MAX, Tree};

use crate::{
    Look, Sample,
    look::{above_base, value},
    score::{pinball, quantile},
};

/// A feature is looked at in so many steps.
pub const BINS: usize = 128;

/// Fraction of a leaf's integers, in bits: that of the forest's shift.
const FRACTION: u32 = 8;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What to look at; features that do not vary are left out.
    pub look: Look,
    /// Which quantiles to predict, each with a share of the trees: at most 4.
    pub shares: Vec<f64>,
    /// Trees of each quantile, at most.
    pub trees: usize,
    /// Levels of a tree: 1 to 6.
    pub depth: usize,
    /// What part of a leaf is added: small steps need more trees.
    pub rate: f64,
    /// A leaf has no fewer samples.
    pub leaf_samples: u32,
    /// Ends after so many trees that did not help the samples to stop by.
    pub patience: usize,
    /// How many threads count; the outcome is the same for each number.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            look: Look::default(),
            shares: vec![0.5, 0.9],
            trees: TREES_MAX / 2,
            depth: 6,
            rate: 0.2,
            leaf_samples: 50,
            patience: 6,
            threads: 2,
        }
    }
}

/// A forest, and what was noticed on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The forest: one output for each quantile.
    pub forest: Forest,
    /// Features that were left out because they do not vary.
    pub constant: Vec<Feature>,
    /// Pinball loss on the samples to stop by, for each quantile after each tree.
    pub losses: Vec<Vec<f64>>,
}

/// Why nothing could be trained.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// There is too little to learn from.
    #[error("{0} samples to learn from, and {1} to stop by: record more, or more applications")]
    TooFew(usize, usize),
    /// Machines were to be held out, and there is one.
    #[error(
        "all recordings are of one machine ({0}), so none can be held out: record on another machine or kernel too, \
         or split by application"
    )]
    OneMachine(String),
    /// No feature varies.
    #[error("no feature varies in the samples: there is nothing to learn from")]
    Constant,
    /// The losses of a network are no numbers any more.
    #[error("the loss is no number after epoch {epoch}: take smaller steps")]
    Diverged {
        /// Of these.
        epoch: usize,
    },
    /// What comes of it is no model.
    #[error("what was trained is no model: {0}")]
    Defect(#[from] Defect),
}

/// The features in steps, column by column.
struct Binned {
    inputs: Inputs,
    /// By input: the greatest value of each step but the last.
    cuts: Vec<Vec<u16>>,
    /// By input, then by sample.
    bins: Vec<Vec<u8>>,
}

impl Binned {
    fn of(samples: &[Sample], look: &Look) -> (Self, Vec<Feature>) {
        let (inputs, constant) = look.inputs(samples);
        let (mut all_cuts, mut bins) = (Vec::new(), Vec::new());
        for input in &inputs.list {
            let column: Vec<u16> = samples
                .iter()
                .map(|sample| value(&inputs, input, sample))
                .collect();
            let mut sorted = column.clone();
            sorted.sort_unstable();
            // The least value always has a step of its own: it is what is not known yet, and flags.
            let steps = (2..BINS).map(|step| sorted[(sorted.len() - 1) * step / BINS]);
            let mut cuts: Vec<u16> = std::iter::once(sorted[0]).chain(steps).collect();
            cuts.dedup();
            cuts.retain(|cut| *cut < input.range.high);
            let bin = |value: u16| cuts.partition_point(|cut| *cut < value) as u8;
            bins.push(column.into_iter().map(bin).collect());
            all_cuts.push(cuts);
        }
        let binned = Self {
            inputs,
            cuts: all_cuts,
            bins,
        };
        (binned, constant)
    }

    fn node(&self, input: usize, bin: usize) -> Node {
        Node {
            input: input as u8,
            // From the least value of the range.
            threshold: self.cuts[input][bin].saturating_sub(self.inputs.list[input].range.low),
        }
    }

    /// At which all samples go left.
    fn nowhere(&self) -> (usize, usize, Node) {
        let range = self.inputs.list[0].range;
        let threshold = range.high - range.low;
        (
            0,
            BINS,
            Node {
                input: 0,
                threshold,
            },
        )
    }
}

/// How many samples there are, and how many of them lie below their prediction.
#[derive(Clone, Copy, Default)]
struct Count {
    all: u32,
    below: u32,
}

impl Count {
    fn minus(self, other: Self) -> Self {
        Self {
            all: self.all - other.all,
            below: self.below - other.below,
        }
    }

    /// What a leaf with these samples saves: the square of the sum of slopes over their number.
    fn worth(self, share: f64) -> f64 {
        if self.all == 0 {
            return 0.0;
        }
        let slope = share * f64::from(self.all) - f64::from(self.below);
        slope * slope / f64::from(self.all)
    }
}

/// The best way to part a node's samples by one feature.
#[derive(Clone, Copy)]
struct Best {
    gain: f64,
    input: usize,
    bin: usize,
}

/// Trains a forest.
///
/// `progress` hears of each tree: its number, how many there can be, and the loss on the samples to stop by.
///
/// # Errors
/// There are too few samples, or none of the features varies.
///
/// # Panics
/// The configuration asks for what no forest can have.
pub fn train(
    train: &[Sample],
    stop: &[Sample],
    config: &Config,
    progress: &mut dyn FnMut(usize, usize, f64),
) -> Result<Trained, TrainError> {
    let shares = config.shares.len();
    assert!(
        (1..=4).contains(&shares) && (1..=6).contains(&config.depth),
        "{config:?}"
    );
    assert!(
        config.trees * shares <= TREES_MAX && config.threads > 0,
        "{config:?}"
    );
    if train.len() < 2 * config.leaf_samples as usize || stop.is_empty() {
        return Err(TrainError::TooFew(train.len(), stop.len()));
    }
    let (binned, constant) = Binned::of(train, &config.look);
    if binned.inputs.list.is_empty() {
        return Err(TrainError::Constant);
    }
    let (mut base, mut trees, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    let all = config.trees * shares;
    for (output, share) in config.shares.iter().enumerate() {
        let done = output * config.trees;
        let mut told = |tree: usize, loss: f64| progress(done + tree, all, loss);
        let grown = Grower::new(&binned, train, stop, *share, config).grow(output as u8, &mut told);
        base.push(grown.base);
        trees.extend(grown.trees);
        losses.push(grown.losses);
    }
    if trees.is_empty() {
        // A forest has a tree; one that adds nothing.
        let (.., node) = binned.nowhere();
        trees.push(Tree {
            output: 0,
            nodes: vec![node],
            leaves: vec![0, 0],
        });
    }
    let forest = Forest::new(binned.inputs, base, trees, FRACTION)?;
    Ok(Trained {
        forest,
        constant,
        losses,
    })
}

/// The trees of one quantile.
struct Grown {
    base: i32,
    trees: Vec<Tree>,
    losses: Vec<f64>,
}

struct Grower<'a> {
    binned: &'a Binned,
    train: &'a [Sample],
    stop: &'a [Sample],
    share: f64,
    config: &'a Config,
    /// Predictions so far, with their fraction.
    sums: Vec<i32>,
    stop_sums: Vec<i32>,
}

impl<'a> Grower<'a> {
    fn new(
        binned: &'a Binned,
        train: &'a [Sample],
        stop: &'a [Sample],
        share: f64,
        config: &'a Config,
    ) -> Self {
        Self {
            binned,
            train,
            stop,
            share,
            config,
            sums: Vec::new(),
            stop_sums: Vec::new(),
        }
    }

    fn grow(mut self, output: u8, progress: &mut dyn FnMut(usize, f64)) -> Grown {
        let mut above: Vec<i32> = self.train.iter().map(|sample| self.above(sample)).collect();
        // The end's shift rounds down, so half of a unit is added here.
        let base = (quantile(&mut above, self.share) << FRACTION) + (1 << (FRACTION - 1));
        self.sums = vec![base; self.train.len()];
        self.stop_sums = vec![base; self.stop.len()];
        let (mut trees, mut losses) = (Vec::new(), Vec::new());
        let (mut best, mut kept) = (self.loss(), 0);
        for number in 1..=self.config.trees {
            let tree = self.tree(output);
            trees.push(tree);
            let loss = self.loss();
            losses.push(loss);
            progress(number, loss);
            if loss < best {
                (best, kept) = (loss, number);
            } else if number - kept >= self.config.patience {
                break;
            }
        }
        trees.truncate(kept);
        Grown {
            base,
            trees,
            losses,
        }
    }

    /// What is to be predicted of a sample.
    fn above(&self, sample: &Sample) -> i32 {
        above_base(&self.binned.inputs, sample)
    }

    fn loss(&self) -> f64 {
        let pairs = self.stop.iter().zip(&self.stop_sums);
        pinball(
            pairs.map(|(sample, sum)| {
                let base = self.binned.inputs.base_of(&sample.features);
                (sample.burst, (sum >> FRACTION) + i32::from(base))
            }),
            self.share,
        )
    }

    /// Grows a tree, and adds it to the predictions.
    fn tree(&mut self, output: u8) -> Tree {
        let is_below: Vec<bool> = self
            .train
            .iter()
            .zip(&self.sums)
            .map(|(sample, sum)| self.above(sample) << FRACTION < *sum)
            .collect();
        let mut places = vec![0_u8; self.train.len()];
        let mut nodes: Vec<Node> = Vec::new();
        for level in 0..self.config.depth {
            let ways: Vec<(usize, usize, Node)> = self
                .best_of_level(&places, &is_below, 1 << level)
                .into_iter()
                .map(|best| match best {
                    Some(best) => (best.input, best.bin, self.binned.node(best.input, best.bin)),
                    None => self.binned.nowhere(),
                })
                .collect();
            for (index, place) in places.iter_mut().enumerate() {
                let (input, bin, _) = ways[usize::from(*place)];
                let goes_right = usize::from(self.binned.bins[input][index]) > bin;
                *place = *place * 2 + u8::from(goes_right);
            }
            nodes.extend(ways.into_iter().map(|(.., node)| node));
        }
        let leaves = self.leaves(&places);
        for (sum, place) in self.sums.iter_mut().zip(&places) {
            *sum += leaves[usize::from(*place)];
        }
        let tree = Tree {
            output,
            nodes,
            leaves,
        };
        let one = Forest::new(
            self.binned.inputs.clone(),
            vec![0],
            vec![Tree {
                output: 0,
                ..tree.clone()
            }],
            0,
        )
        .expect("a tree is a forest");
        for (sum, sample) in self.stop_sums.iter_mut().zip(self.stop) {
            let base = self.binned.inputs.base_of(&sample.features);
            *sum += one.infer(&sample.features)[0] - i32::from(base);
        }
        tree
    }

    /// The quantile of what is left in each leaf, times the rate.
    fn leaves(&self, places: &[u8]) -> Vec<i32> {
        let mut left: Vec<Vec<i32>> = vec![Vec::new(); 1 << self.config.depth];
        for ((place, sample), sum) in places.iter().zip(self.train).zip(&self.sums) {
            left[usize::from(*place)].push((self.above(sample) << FRACTION) - sum);
        }
        let step = |mut left: Vec<i32>| {
            (f64::from(quantile(&mut left, self.share)) * self.config.rate).round() as i32
        };
        left.into_iter().map(step).collect()
    }

    /// How to part each node of a level; none where nothing is gained.
    fn best_of_level(&self, places: &[u8], is_below: &[bool], nodes: usize) -> Vec<Option<Best>> {
        let inputs = self.binned.inputs.list.len();
        let threads = self.config.threads.min(inputs);
        let of_thread = |thread: usize| -> Vec<Vec<Option<Best>>> {
            let mine = (thread..inputs).step_by(threads);
            mine.map(|input| self.best_of_input(input, places, is_below, nodes))
                .collect()
        };
        let found: Vec<Vec<Vec<Option<Best>>>> = thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|thread| scope.spawn(move || of_thread(thread)))
                .collect();
            let mut found = vec![of_thread(0)];
            found.extend(
                others
                    .into_iter()
                    .map(|other| other.join().expect("it counts")),
            );
            found
        });
        let mut best: Vec<Option<Best>> = vec![None; nodes];
        for of_input in found.iter().flatten() {
            for (best, candidate) in best.iter_mut().zip(of_input) {
                let Some(candidate) = candidate else { continue };
                // Of equal ones the first input, whichever thread it fell to.
                let is_better = best.is_none_or(|best| {
                    candidate.gain > best.gain
                        || (candidate.gain == best.gain && candidate.input < best.input)
                });
                if is_better {
                    *best = Some(*candidate);
                }
            }
        }
        best
    }

    fn best_of_input(
        &self,
        input: usize,
        places: &[u8],
        is_below: &[bool],
        nodes: usize,
    ) -> Vec<Option<Best>> {
        let bins = &self.binned.bins[input];
        let steps = self.binned.cuts[input].len();
        let mut counts = vec![[Count::default(); BINS]; nodes];
        for ((place, bin), is_below) in places.iter().zip(bins).zip(is_below) {
            let count = &mut counts[usize::from(*place)][usize::from(*bin)];
            count.all += 1;
            count.below += u32::from(*is_below);
        }
        let best = |counts: &[Count; BINS]| {
            let whole = counts.iter().fold(Count::default(), |sum, count| Count {
                all: sum.all + count.all,
                below: sum.below + count.below,
            });
            let (mut left, mut best) = (Count::default(), None::<Best>);
            for (bin, count) in counts.iter().enumerate().take(steps) {
                left.all += count.all;
                left.below += count.below;
                let right = whole.minus(left);
                if left.all < self.config.leaf_samples || right.all < self.config.leaf_samples {
                    continue;
                }
                let gain =
                    left.worth(self.share) + right.worth(self.share) - whole.worth(self.share);
                if gain > 1e-6 && best.is_none_or(|best| gain > best.gain) {
                    best = Some(Best { gain, input, bin });
                }
            }
            best
        };
        counts.iter().map(best).collect()
    }
}

#[cfg(test)]
#[path = "boost_tests.rs"]
mod tests;

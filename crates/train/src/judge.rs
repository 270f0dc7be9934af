//! Trainers side by side with the rules that they must beat, on what was held out.

use baton_model::{Model, Provenance};

use crate::{
    Data, Sample, Split,
    baseline::{Baseline, Rule},
    boost::{self, TrainError},
    mlp::{self, Mlp, Target},
    score::{agreement, auc, coverage, pinball, quantile},
};

pub use crate::held_out::{
    By, HeldOut, SAMPLES_MIN, against_average, by, by_application, by_machine, by_time,
    mean_agreement, scores_for_file,
};

/// The quantiles that are asked for: the middle, and what few bursts exceed.
pub const SHARES: [f64; 2] = [0.5, 0.9];

/// A way to train.
#[derive(Clone, Debug, PartialEq)]
pub enum Trainer {
    /// Gradient-boosted trees.
    Trees(boost::Config),
    /// A dense network.
    Network(mlp::Config),
    /// The network of the first learned schedulers, to compare with.
    Reference(mlp::Config),
}

impl Trainer {
    /// As it stands in tables.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trees(_) => "trees",
            Self::Network(_) => "network",
            Self::Reference(_) => "reference",
        }
    }

    /// Trains; `progress` hears of each step: its number, how many there can be, and the loss.
    ///
    /// # Errors
    /// There are too few samples, or none of the features varies.
    pub fn train(
        &self,
        split: &Split,
        progress: &mut dyn FnMut(usize, usize, f64),
    ) -> Result<Predictor, TrainError> {
        let (train, stop) = (&split.train, &split.stop);
        let kind = match self {
            Self::Trees(config) => {
                let trained = boost::train(train, stop, config, progress)?;
                Kind::Model(Model::Forest(trained.forest))
            }
            Self::Network(config) | Self::Reference(config) => {
                let mlp = mlp::train(train, stop, config, progress)?;
                match &config.target {
                    Target::Milliseconds => Kind::Floats(mlp),
                    _ => Kind::Model(Model::Network(mlp.quantise()?.0)),
                }
            }
        };
        Ok(Predictor::fit(kind, train))
    }
}

#[derive(Clone, Debug)]
enum Kind {
    Model(Model),
    Floats(Mlp),
}

/// What was trained. One that knows a single value gets the quantiles as the rules do: by a constant.
#[derive(Clone, Debug)]
pub struct Predictor {
    kind: Kind,
    offsets: [i32; 2],
}

impl Predictor {
    /// A model that was read from a file, whose outputs are the quantiles.
    #[must_use]
    pub const fn of_model(model: Model) -> Self {
        Self {
            kind: Kind::Model(model),
            offsets: [0; 2],
        }
    }

    fn fit(kind: Kind, train: &[Sample]) -> Self {
        let mut predictor = Self {
            kind,
            offsets: [0; 2],
        };
        if predictor.knows_one() {
            predictor.offsets = SHARES.map(|share| {
                let rest = |sample: &Sample| i32::from(sample.burst) - predictor.guess(sample)[0];
                let mut rest: Vec<i32> = train.iter().map(rest).collect();
                quantile(&mut rest, share)
            });
        }
        predictor
    }

    fn knows_one(&self) -> bool {
        match &self.kind {
            Kind::Model(model) => model.outputs() == 1,
            Kind::Floats(_) => true,
        }
    }

    /// The guesses for [`SHARES`], on the scale of logarithms.
    #[must_use]
    pub fn guess(&self, sample: &Sample) -> [i32; 2] {
        let [middle, high] = match &self.kind {
            Kind::Model(model) if model.outputs() == 1 => [model.infer(&sample.features)[0]; 2],
            Kind::Model(model) => {
                let outputs = model.infer(&sample.features);
                [outputs[0], outputs[1]]
            }
            Kind::Floats(mlp) => [mlp.predict(sample)[0]; 2],
        };
        [middle + self.offsets[0], high + self.offsets[1]]
    }

    /// The model in integers, if it has one.
    #[must_use]
    pub const fn model(&self) -> Option<&Model> {
        match &self.kind {
            Kind::Model(model) => Some(model),
            Kind::Floats(_) => None,
        }
    }
}

/// How good guesses were.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Whose guesses.
    pub name: String,
    /// Pinball loss in octaves at [`SHARES`].
    pub pinball: [f64; 2],
    /// The share of bursts that were not above the guess, at [`SHARES`].
    pub covered: [f64; 2],
    /// How well long and short bursts are told apart; none where there are only such or such.
    pub auc: Option<f64>,
    /// The share of bursts whose median guess is within an octave, a factor of 2 either way, of their first
    /// piece: of the slice that the recorded scheduler really gave.
    pub agreement: f64,
}

/// The rules, fitted to what there is to learn from.
pub struct Judge {
    /// Long is what the samples to learn from would call so.
    limit: u16,
    rules: Vec<(Rule, [Baseline; 2])>,
}

impl Judge {
    /// Fits the rules.
    #[must_use]
    pub fn new(train: &[Sample]) -> Self {
        let mut bursts: Vec<i32> = train.iter().map(|sample| sample.burst.into()).collect();
        let fitted = |rule| SHARES.map(|share| Baseline::fit(rule, share, train));
        Self {
            limit: quantile(&mut bursts, 0.5) as u16,
            rules: Rule::ALL.map(|rule| (rule, fitted(rule))).into(),
        }
    }

    /// The table of these samples: the rules, then what was trained.
    #[must_use]
    pub fn scores(&self, test: &[Sample], trained: &[(&str, &Predictor)]) -> Vec<Scores> {
        let rules = self.rules.iter().map(|(rule, fitted)| {
            let guess = |sample: &Sample| [0, 1].map(|which| fitted[which].guess(sample));
            self.of(rule.name(), test, &guess)
        });
        let mut scores: Vec<Scores> = rules.collect();
        scores.extend(
            trained
                .iter()
                .map(|(name, predictor)| self.of(name, test, &|sample| predictor.guess(sample))),
        );
        scores
    }

    fn of(&self, name: &str, test: &[Sample], guess: &dyn Fn(&Sample) -> [i32; 2]) -> Scores {
        let guesses: Vec<[i32; 2]> = test.iter().map(guess).collect();
        let pairs = |which: usize| {
            let all = test.iter().zip(&guesses);
            all.map(move |(sample, guess)| (sample.burst, guess[which]))
        };
        let used = test.iter().zip(&guesses);
        Scores {
            name: name.to_owned(),
            pinball: [0, 1].map(|which| pinball(pairs(which), SHARES[which])),
            covered: [0, 1].map(|which| coverage(pairs(which))),
            auc: auc(pairs(0), self.limit),
            agreement: agreement(used.map(|(sample, guess)| (sample.first, guess[0]))),
        }
    }
}

/// The table of a split: the rules, then what was trained.
#[must_use]
pub fn judge(split: &Split, trained: &[(&str, &Predictor)]) -> Vec<Scores> {
    Judge::new(&split.train).scores(&split.test, trained)
}

/// Where a model comes from: all data before it was thinned, to how many samples of each application on each
/// machine, the seed of that and of the trainer, and what was held out for its scores.
#[must_use]
pub fn provenance(
    data: &Data,
    samples: usize,
    seed: u64,
    trainer: &Trainer,
    held_out: By,
) -> Provenance {
    let text = match trainer {
        // How many threads count is nothing that a model comes from.
        Trainer::Trees(config) => {
            let boost::Config {
                look,
                shares,
                trees,
                depth,
                rate,
                leaf_samples,
                patience,
                threads: _,
            } = config;
            format!(
                "{look:?}, quantiles {shares:?}, at most {trees} trees each, depth {depth}, rate {rate}, \
                 {leaf_samples} samples a leaf, patience {patience}"
            )
        }
        Trainer::Network(config) | Trainer::Reference(config) => {
            let mlp::Config {
                look,
                hidden,
                target,
                rate,
                batch,
                epochs,
                patience,
                seed: _,
                threads: _,
            } = config;
            format!(
                "{look:?}, hidden {hidden:?}, {target:?}, rate {rate}, batches of {batch}, at most {epochs} epochs, \
                 patience {patience}"
            )
        }
    };
    Provenance {
        trainer: format!(
            "{}: {text}; {samples} samples of an application on a machine at most",
            trainer.name()
        ),
        data: data.digest(),
        split: format!(
            "scores: {}; this model: all of them, the last fifth of each recording's time to stop by",
            held_out.text()
        ),
        seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held_out::tests::data;

    #[test]
    fn one_value_is_made_both_quantiles() {
        let split = Split::by_time(&data(), 0.2);
        let config = mlp::Config {
            epochs: 2,
            rate: 1e-3,
            ..mlp::Config::reference()
        };
        let predictor = Trainer::Reference(config)
            .train(&split, &mut |_, _, _| ())
            .expect("it trains");
        assert!(predictor.model().is_none());
        let scores = judge(&split, &[("reference", &predictor)]);
        let found = scores.last().expect("it has scores").covered;
        assert!(
            (found[0] - 0.5).abs() < 0.05 && (found[1] - 0.9).abs() < 0.05,
            "{found:?}"
        );
    }
}

//! Trainers side by side with the rules that they must beat, on what was held out.

use std::collections::BTreeSet;

use baton_model::{Model, Provenance, Score};

use crate::{
    Data, Sample, Split,
    baseline::{Baseline, Rule},
    boost::{self, TrainError},
    mlp::{self, Mlp, Target},
    score::{auc, coverage, pinball, quantile},
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
}

/// The table of a split: the rules, then what was trained.
#[must_use]
pub fn judge(split: &Split, trained: &[(&str, &Predictor)]) -> Vec<Scores> {
    let mut bursts: Vec<i32> = split
        .train
        .iter()
        .map(|sample| sample.burst.into())
        .collect();
    // Long is what the samples to learn from would call so.
    let limit = quantile(&mut bursts, 0.5) as u16;
    let of = |name: &str, guess: &dyn Fn(&Sample, usize) -> i32| {
        let pairs = |which| {
            split
                .test
                .iter()
                .map(move |sample| (sample.burst, guess(sample, which)))
        };
        Scores {
            name: name.to_owned(),
            pinball: [0, 1].map(|which| pinball(pairs(which), SHARES[which])),
            covered: [0, 1].map(|which| coverage(pairs(which))),
            auc: auc(pairs(0), limit),
        }
    };
    let rules = Rule::ALL.into_iter().map(|rule| {
        let fitted = SHARES.map(|share| Baseline::fit(rule, share, &split.train));
        of(rule.name(), &|sample, which| fitted[which].guess(sample))
    });
    let mut scores: Vec<Scores> = rules.collect();
    scores.extend(trained.iter().map(|(name, predictor)| {
        // Once for each sample and quantile; the guess has both.
        of(name, &|sample, which| predictor.guess(sample)[which])
    }));
    scores
}

/// What was found with one application held out.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// The application.
    pub application: String,
    /// How many of its bursts were guessed.
    pub samples: usize,
    /// The rules and the trainers.
    pub scores: Vec<Scores>,
}

/// Fewer bursts of an application say nothing about it.
pub const SAMPLES_MIN: usize = 200;

/// Holds each application out in turn and trains on the others.
///
/// `progress` hears what is being trained, and its steps as [`Trainer::train`] tells them.
///
/// # Errors
/// There are too few samples, or none of the features varies.
pub fn by_application(
    data: &Data,
    trainers: &[Trainer],
    progress: &mut dyn FnMut(&str, usize, usize, f64),
) -> Result<Vec<HeldOut>, TrainError> {
    let mut found = Vec::new();
    for (index, application) in data.applications.iter().enumerate() {
        let split = Split::by_application(data, &BTreeSet::from([index as u16]));
        if split.test.len() < SAMPLES_MIN {
            continue;
        }
        let mut trained = Vec::new();
        for trainer in trainers {
            let what = format!("{} without {application}", trainer.name());
            let mut told = |step, of, loss| progress(&what, step, of, loss);
            trained.push((trainer.name(), trainer.train(&split, &mut told)?));
        }
        let trained: Vec<(&str, &Predictor)> = trained
            .iter()
            .map(|(name, predictor)| (*name, predictor))
            .collect();
        found.push(HeldOut {
            application: application.clone(),
            samples: split.test.len(),
            scores: judge(&split, &trained),
        });
    }
    Ok(found)
}

/// How much of the exponential average's pinball loss is left with another's guesses, both quantiles
/// together: the geometric mean over applications. `None` where somebody has no such scores.
#[must_use]
pub fn against_average(found: &[HeldOut], name: &str) -> Option<f64> {
    let loss = |held_out: &HeldOut, name: &str| {
        let scores = held_out.scores.iter().find(|scores| scores.name == name)?;
        Some(scores.pinball.iter().sum::<f64>())
    };
    let ratio = |held_out: &HeldOut| {
        let (mine, average) = (loss(held_out, name)?, loss(held_out, Rule::Average.name())?);
        (average > 0.0).then(|| mine / average)
    };
    let ratios: Vec<f64> = found.iter().map(ratio).collect::<Option<_>>()?;
    geometric_mean(&ratios)
}

/// By halving the distance of their logarithms: no function of the system's library is called, and no
/// product leaves its range. `None` of none.
fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let mut low = ratios.iter().copied().reduce(f64::min)?;
    let mut high = ratios.iter().copied().reduce(f64::max)?;
    if low <= 0.0 {
        return Some(0.0);
    }
    for _ in 0..100 {
        let middle = low.sqrt() * high.sqrt();
        // The product of all that is left if the mean is taken out: kept near 1 by taking large and small ones
        // in turn.
        let (mut above, mut below): (Vec<f64>, Vec<f64>) = ratios
            .iter()
            .map(|ratio| ratio / middle)
            .partition(|ratio| *ratio > 1.0);
        let mut product = 1.0;
        while let Some(next) = if product > 1.0 {
            below.pop()
        } else {
            above.pop()
        } {
            product *= next;
        }
        // The list that was asked for is used up, and what is left of the other only leads further away.
        if product > 1.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low.sqrt() * high.sqrt())
}

/// The scores of a model for its file.
#[must_use]
pub fn scores_for_file(found: &[HeldOut], name: &str) -> Vec<Score> {
    let mut all = Vec::new();
    for held_out in found {
        for (which, share) in SHARES.into_iter().enumerate() {
            let of = |scores: &Scores| (scores.name.clone(), scores.pinball[which]);
            let mine = held_out.scores.iter().find(|scores| scores.name == name);
            let Some((_, model)) = mine.map(of) else {
                continue;
            };
            let rules = held_out
                .scores
                .iter()
                .filter(|scores| Rule::ALL.iter().any(|rule| rule.name() == scores.name));
            all.push(Score {
                metric: format!("pinball loss at {share}, octaves"),
                on: format!("{}, held out", held_out.application),
                model,
                baselines: rules.map(of).collect(),
            });
        }
    }
    all
}

/// Where a model comes from: all data before it was thinned, to how many samples of each application, and the
/// seed of that and of the trainer.
#[must_use]
pub fn provenance(data: &Data, samples: usize, seed: u64, trainer: &Trainer) -> Provenance {
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
        Trainer::Network(config) | Trainer::Reference(config) => format!("{config:?}"),
    };
    Provenance {
        trainer: format!(
            "{}: {text}; {samples} samples of an application at most",
            trainer.name()
        ),
        data: data.digest(),
        split:
            "scores: each application held out in turn; this model: all of them, the last fifth of \
                each one's time to stop by"
                .to_owned(),
        seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::random;
    use baton_model::Feature;

    /// Three applications of which the burst is the last one, but for one feature.
    fn data() -> Data {
        let mut data = random(9000, 5);
        for sample in &mut data.samples {
            let of = |feature: Feature| sample.features[feature as usize];
            let halved = of(Feature::Interrupt) > 5000;
            sample.burst = of(Feature::Last1) / if halved { 2 } else { 1 };
            // The average of the past says less.
            let average = (of(Feature::Last1) + of(Feature::Average)) / 2;
            sample.features[Feature::Average as usize] = average;
            sample.features[Feature::Known as usize] = 500;
        }
        data
    }

    #[test]
    fn what_there_is_to_learn_shows() {
        let data = data();
        let trees = Trainer::Trees(boost::Config {
            trees: 10,
            rate: 0.4,
            ..boost::Config::default()
        });
        let network = Trainer::Network(mlp::Config {
            epochs: 3,
            ..mlp::Config::default()
        });
        let found = by_application(&data, &[trees.clone(), network], &mut |_, _, _, _| ())
            .expect("it trains");
        assert_eq!(found.len(), 3);
        assert!(
            found
                .iter()
                .all(|held_out| held_out.scores.len() == Rule::ALL.len() + 2)
        );
        let left = against_average(&found, "trees").expect("it has scores");
        assert!(left < 0.6, "{left}");
        let same = against_average(&found, Rule::Average.name()).expect("it has scores");
        assert!((same - 1.0).abs() < 1e-9, "{same}");
        assert_eq!(scores_for_file(&found, "trees").len(), 6);
        assert_eq!(provenance(&data, 9000, 1, &trees).data, data.digest());
    }

    #[test]
    fn means_are_geometric() {
        let of = |ratios: &[f64]| geometric_mean(ratios).expect("there are some");
        for ratio in [2.0, 0.3, 1.0, 1e-9, 1e9] {
            assert!(
                (of(&[ratio; 20]) / ratio - 1.0).abs() < 1e-9,
                "{ratio}: {}",
                of(&[ratio; 20])
            );
        }
        assert!((of(&[0.5, 2.0, 1.0]) - 1.0).abs() < 1e-9);
        assert!(
            (of(&[1e-200, 1e200, 4.0, 4.0]) - 2.0).abs() < 1e-6,
            "{}",
            of(&[1e-200, 1e200, 4.0, 4.0])
        );
        assert_eq!(of(&[0.0, 3.0]), 0.0);
        assert_eq!(geometric_mean(&[]), None);
    }

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

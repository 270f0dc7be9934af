//! Parts of the data held out in turn, so that each is guessed from what was learned of the others.

use std::collections::{BTreeMap, BTreeSet};

use baton_model::Score;

use crate::{
    Data, Sample, Split,
    baseline::Rule,
    boost::TrainError,
    judge::{Judge, Predictor, SHARES, Scores, Trainer},
};

/// What is held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Each application in turn: what is guessed was never seen.
    Application,
    /// Each machine in turn, with all its applications; others of the same names are learned from.
    Machine,
    /// The last fifth of each recording's time: applications and machines are known.
    Time,
}

impl By {
    /// What is held out, as a sentence has it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Application => "each application held out in turn",
            Self::Machine => "each machine held out in turn",
            Self::Time => "the last fifth of each recording's time held out",
        }
    }
}

/// What was found of an application that was held out, or of its part that was.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// What was held out: the application, a machine, or `the last fifth`.
    pub held_out: String,
    /// The application.
    pub application: String,
    /// How many of its bursts were guessed.
    pub samples: usize,
    /// The rules and the trainers.
    pub scores: Vec<Scores>,
}

/// Fewer bursts of an application say nothing about it.
pub const SAMPLES_MIN: usize = 200;

/// Hears what is being trained, and its steps as [`Trainer::train`] tells them.
type Progress<'a> = dyn FnMut(&str, usize, usize, f64) + 'a;

/// Holds out what is named, and trains on the rest: [`by_application`], [`by_machine`] or [`by_time`].
///
/// # Errors
/// As those.
pub fn by(
    held_out: By,
    data: &Data,
    trainers: &[Trainer],
    progress: &mut Progress<'_>,
) -> Result<Vec<HeldOut>, TrainError> {
    match held_out {
        By::Application => by_application(data, trainers, progress),
        By::Machine => by_machine(data, trainers, progress),
        By::Time => by_time(data, trainers, progress),
    }
}

/// Holds each application out in turn, on all machines, and trains on the others.
///
/// `progress` hears what is being trained, and its steps as [`Trainer::train`] tells them.
///
/// # Errors
/// There are too few samples, or none of the features varies.
pub fn by_application(
    data: &Data,
    trainers: &[Trainer],
    progress: &mut Progress<'_>,
) -> Result<Vec<HeldOut>, TrainError> {
    let mut found = Vec::new();
    for (index, application) in data.applications.iter().enumerate() {
        let split = Split::by_application(data, &BTreeSet::from([index as u16]));
        found.extend(held_out(data, application, &split, trainers, progress)?);
    }
    Ok(found)
}

/// Holds each machine out in turn and trains on the others; each of its applications is judged by itself.
///
/// # Errors
/// All recordings are of one machine; or as [`by_application`].
pub fn by_machine(
    data: &Data,
    trainers: &[Trainer],
    progress: &mut Progress<'_>,
) -> Result<Vec<HeldOut>, TrainError> {
    if let [] | [_] = &data.machines[..] {
        let machine = data.machines.first().cloned();
        return Err(TrainError::OneMachine(machine.unwrap_or_default()));
    }
    let mut found = Vec::new();
    for (index, machine) in data.machines.iter().enumerate() {
        let split = Split::by_machine(data, &BTreeSet::from([index as u16]));
        found.extend(held_out(data, machine, &split, trainers, progress)?);
    }
    Ok(found)
}

/// Holds the last fifth of each recording's time out and trains once; each application is judged by itself.
///
/// # Errors
/// As [`by_application`].
pub fn by_time(
    data: &Data,
    trainers: &[Trainer],
    progress: &mut Progress<'_>,
) -> Result<Vec<HeldOut>, TrainError> {
    let split = Split::by_time(data, 0.2);
    held_out(data, "the last fifth", &split, trainers, progress)
}

/// Trains on a split, and judges each application of which enough was held out.
fn held_out(
    data: &Data,
    name: &str,
    split: &Split,
    trainers: &[Trainer],
    progress: &mut Progress<'_>,
) -> Result<Vec<HeldOut>, TrainError> {
    let mut tests: BTreeMap<u16, Vec<Sample>> = BTreeMap::new();
    for sample in &split.test {
        tests.entry(sample.application).or_default().push(*sample);
    }
    tests.retain(|_, test| test.len() >= SAMPLES_MIN);
    if tests.is_empty() {
        return Ok(Vec::new());
    }
    let mut trained = Vec::new();
    for trainer in trainers {
        let what = format!("{} without {name}", trainer.name());
        let mut told = |step, of, loss| progress(&what, step, of, loss);
        trained.push((trainer.name(), trainer.train(split, &mut told)?));
    }
    let trained: Vec<(&str, &Predictor)> = trained
        .iter()
        .map(|(name, predictor)| (*name, predictor))
        .collect();
    let judge = Judge::new(&split.train);
    let found = tests.into_iter().map(|(application, test)| HeldOut {
        held_out: name.to_owned(),
        application: data.applications[usize::from(application)].clone(),
        samples: test.len(),
        scores: judge.scores(&test, &trained),
    });
    Ok(found.collect())
}

/// How much of the exponential average's pinball loss is left with another's guesses, both quantiles
/// together: the geometric mean over all that was held out. `None` where somebody has no such scores.
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

/// How often median guesses are within an octave of the slice used: the mean over all that was held out. `None` of
/// none, and where somebody has no such scores.
#[must_use]
pub fn mean_agreement(found: &[HeldOut], name: &str) -> Option<f64> {
    let agreement = |held_out: &HeldOut| {
        let mut scores = held_out.scores.iter();
        Some(scores.find(|scores| scores.name == name)?.agreement)
    };
    let sum: f64 = found.iter().map(agreement).sum::<Option<f64>>()?;
    (!found.is_empty()).then(|| sum / found.len() as f64)
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
        let on = if held_out.held_out == held_out.application {
            format!("{}, held out", held_out.application)
        } else {
            format!(
                "{} of {}, held out",
                held_out.application, held_out.held_out
            )
        };
        let is_rule = |scores: &&Scores| Rule::ALL.iter().any(|rule| rule.name() == scores.name);
        let Some(mine) = held_out.scores.iter().find(|scores| scores.name == name) else {
            continue;
        };
        let mut add = |metric: String, of: &dyn Fn(&Scores) -> f64| {
            let rules = held_out.scores.iter().filter(is_rule);
            all.push(Score {
                metric,
                on: on.clone(),
                model: of(mine),
                baselines: rules.map(|rule| (rule.name.clone(), of(rule))).collect(),
            });
        };
        for (which, share) in SHARES.into_iter().enumerate() {
            let metric = format!("pinball loss at {share}, octaves");
            add(metric, &|scores| scores.pinball[which]);
        }
        let metric = "share of guesses at 0.5 within an octave of the slice used";
        add(metric.into(), &|scores| scores.agreement);
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        boost,
        data::tests::{random, two_machines},
        judge::provenance,
        mlp,
    };
    use baton_model::Feature;

    /// Three applications of which the burst is the last one, but for one feature.
    pub(crate) fn data() -> Data {
        learnable(random(9000, 5))
    }

    fn learnable(mut data: Data) -> Data {
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
        let trees = few_trees();
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
        assert!(
            found
                .iter()
                .all(|held_out| held_out.held_out == held_out.application)
        );
        assert_eq!(scores_for_file(&found, "trees").len(), 9);
        assert_eq!(
            provenance(&data, 9000, 1, &trees, By::Application).data,
            data.digest()
        );
    }

    fn few_trees() -> Trainer {
        Trainer::Trees(boost::Config {
            trees: 10,
            rate: 0.4,
            ..boost::Config::default()
        })
    }

    #[test]
    fn machines_and_times_are_held_out_too() {
        let mut data = learnable(two_machines(4500, 5));
        for sample in &mut data.samples {
            sample.first = sample.burst;
        }
        let rows = |found: &[HeldOut]| -> Vec<String> {
            let row =
                |held_out: &HeldOut| format!("{} {}", held_out.held_out, held_out.application);
            found.iter().map(row).collect()
        };
        let found =
            by(By::Machine, &data, &[few_trees()], &mut |_, _, _, _| ()).expect("it trains");
        assert_eq!(
            rows(&found),
            ["one a", "one b", "one c", "two a", "two b", "two c"]
        );
        let left = against_average(&found, "trees").expect("it has scores");
        assert!(left < 0.6, "{left}");
        // What was used is the whole burst here.
        let (trees, average) = (
            mean_agreement(&found, "trees"),
            mean_agreement(&found, Rule::Average.name()),
        );
        assert!(
            trees > average && trees <= Some(1.0),
            "{trees:?} {average:?}"
        );
        assert_eq!(mean_agreement(&found, "nobody"), None);
        let scores = scores_for_file(&found, "trees");
        assert_eq!(scores[0].on, "a of one, held out");
        let found = by(By::Time, &data, &[few_trees()], &mut |_, _, _, _| ()).expect("it trains");
        assert_eq!(
            rows(&found),
            ["the last fifth a", "the last fifth b", "the last fifth c"]
        );
    }

    #[test]
    fn one_machine_cannot_be_held_out() {
        let found = by_machine(&data(), &[few_trees()], &mut |_, _, _, _| ());
        assert_eq!(found, Err(TrainError::OneMachine("one".into())));
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
}

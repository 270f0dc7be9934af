//! What a model must beat: rules that need no training, or next to none.

use std::collections::HashMap;

use baton_model::{Feature, exp2_q8, log2_q8};

use crate::{Sample, score::quantile};

/// A rule that guesses a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The median of all bursts.
    GlobalMedian,
    /// The median of the bursts of tasks of this name.
    NameMedian,
    /// The task's last burst.
    Last,
    /// The mean of its last two.
    Mean2,
    /// The exponential average.
    Average,
    /// The exponential average and the average deviation from it.
    AverageDeviation,
    /// What the task's own histogram says.
    Histogram,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::GlobalMedian,
        Self::NameMedian,
        Self::Last,
        Self::Mean2,
        Self::Average,
        Self::AverageDeviation,
        Self::Histogram,
    ];

    /// As it stands in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GlobalMedian => "global median",
            Self::NameMedian => "median of the name",
            Self::Last => "last burst",
            Self::Mean2 => "mean of two",
            Self::Average => "exponential average",
            Self::AverageDeviation => "average + deviation",
            Self::Histogram => "histogram of the task",
        }
    }
}

/// A rule fitted to data: with what it has to know of them, and with a constant added, so that its share of
/// bursts below the guess is the one that is asked for. Without that constant a rule could
/// not be compared with a model that knows which quantile it is asked for.
#[derive(Clone, Debug)]
pub struct Baseline {
    rule: Rule,
    share: f64,
    names: HashMap<u16, u16>,
    global: u16,
    offset: i32,
}

impl Baseline {
    /// Fits a rule for this quantile.
    #[must_use]
    pub fn fit(rule: Rule, share: f64, train: &[Sample]) -> Self {
        let mut bursts: Vec<i32> = train.iter().map(|sample| i32::from(sample.burst)).collect();
        let mut names: HashMap<u16, Vec<i32>> = HashMap::new();
        if rule == Rule::NameMedian {
            for sample in train {
                let name = sample.features[Feature::Name as usize];
                names.entry(name).or_default().push(sample.burst.into());
            }
        }
        let mut baseline = Self {
            rule,
            share,
            names: names
                .into_iter()
                .map(|(name, mut bursts)| (name, quantile(&mut bursts, 0.5) as u16))
                .collect(),
            global: quantile(&mut bursts, 0.5) as u16,
            offset: 0,
        };
        let mut rest: Vec<i32> = train
            .iter()
            .map(|sample| i32::from(sample.burst) - baseline.guess(sample))
            .collect();
        baseline.offset = quantile(&mut rest, share);
        baseline
    }

    /// The guess, on the scale of logarithms.
    #[must_use]
    pub fn guess(&self, sample: &Sample) -> i32 {
        let of = |feature: Feature| sample.features[feature as usize];
        let is_new = of(Feature::Known) == 0;
        let guess = match self.rule {
            Rule::GlobalMedian => self.global,
            Rule::NameMedian => self
                .names
                .get(&of(Feature::Name))
                .copied()
                .unwrap_or(self.global),
            // Of a task of which nothing is known, none of the others knows anything.
            _ if is_new => self.global,
            Rule::Last => of(Feature::Last1),
            Rule::Mean2 => of(Feature::Last2),
            Rule::Average => of(Feature::Average),
            Rule::AverageDeviation => {
                let part = |feature: Feature| exp2_q8(of(feature).into());
                log2_q8(part(Feature::Average) + part(Feature::Deviation))
            }
            Rule::Histogram => sample.histogram[usize::from(self.share > 0.7)],
        };
        i32::from(guess) + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::random;

    #[test]
    fn every_rule_is_right_as_often_as_it_is_asked_to_be() {
        let mut samples = random(4000, 1).samples;
        for sample in &mut samples {
            sample.features[Feature::Name as usize] %= 7;
        }
        for rule in Rule::ALL {
            for share in [0.5, 0.9] {
                let baseline = Baseline::fit(rule, share, &samples);
                let below = samples
                    .iter()
                    .filter(|sample| i32::from(sample.burst) <= baseline.guess(sample))
                    .count();
                let found = below as f64 / samples.len() as f64;
                assert!(
                    (found - share).abs() < 0.02,
                    "{}: {found} of {share}",
                    rule.name()
                );
            }
        }
    }

    #[test]
    fn names_have_their_own_medians() {
        let mut samples = random(300, 2).samples;
        for (index, sample) in samples.iter_mut().enumerate() {
            sample.features[Feature::Name as usize] = (index % 3) as u16;
            sample.burst = (index % 3) as u16 * 1000;
        }
        let baseline = Baseline::fit(Rule::NameMedian, 0.5, &samples);
        assert!(
            samples
                .iter()
                .all(|sample| baseline.guess(sample) == i32::from(sample.burst))
        );
    }
}

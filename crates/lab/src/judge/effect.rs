//! How far two samples differ, with an interval.

use baton_workload::Better;
use serde::{Deserialize, Serialize};

use crate::stats::{Interval, median_interval, shift_interval};

/// How far a variant differs from what it is compared with, turned so that more is worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// What the figures are.
    pub scale: Scale,
    /// The median over the pairs of runs.
    pub median: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What two values are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Ratios: 1 is no change, above 1 is worse.
    Ratio,
    /// Differences in the metric's unit, where a value of 0 or below makes a ratio meaningless: 0 is no
    /// change, above 0 is worse.
    Difference,
}

impl Scale {
    /// The value that means no change.
    pub const fn neutral(self) -> f64 {
        match self {
            Self::Ratio => 1.0,
            Self::Difference => 0.0,
        }
    }
}

impl Effect {
    /// Over pairs: `old[k]` and `new[k]` are of the same round. By ratios where all values are positive.
    pub fn paired(old: &[f64], new: &[f64], better: Better, confidence: f64) -> Option<Self> {
        let ratio = Self::on(Scale::Ratio, old, new, better, confidence);
        ratio.or_else(|| Self::on(Scale::Difference, old, new, better, confidence))
    }

    /// Over pairs, on this scale; none where it cannot be had.
    pub fn on(
        scale: Scale,
        old: &[f64],
        new: &[f64],
        better: Better,
        confidence: f64,
    ) -> Option<Self> {
        let shifts = shifts(scale, old, new)?.into_iter();
        let turned: Vec<f64> = shifts.map(|shift| turned(shift, better)).collect();
        Self::of(scale, median_interval(&turned, confidence)?)
    }

    /// Between samples that do not pair; the seed draws the interval. Values that are differences
    /// already are compared as such; others by ratios where all are positive.
    pub fn unpaired(
        scale: Scale,
        old: &[f64],
        new: &[f64],
        better: Better,
        confidence: f64,
        seed: u64,
    ) -> Option<Self> {
        let on = |scale| {
            let (old, new) = (transformed(scale, old)?, transformed(scale, new)?);
            let [old, new] = [old, new].map(|values| {
                let turned = values.into_iter().map(|value| turned(value, better));
                turned.collect::<Vec<f64>>()
            });
            Self::of(scale, shift_interval(&old, &new, confidence, seed)?)
        };
        match scale {
            Scale::Ratio => on(Scale::Ratio).or_else(|| on(Scale::Difference)),
            Scale::Difference => on(Scale::Difference),
        }
    }

    /// From an interval of logarithms or of differences.
    fn of(scale: Scale, shifts: Interval) -> Option<Self> {
        let shifts = match scale {
            Scale::Ratio => shifts.map(f64::exp),
            Scale::Difference => shifts,
        };
        let Interval { low, median, high } = shifts;
        let finite = low.is_finite() && median.is_finite() && high.is_finite();
        finite.then_some(Self {
            scale,
            median,
            low,
            high,
        })
    }

    /// Whether no change lies within the interval.
    pub fn holds_no_change(&self) -> bool {
        (self.low..=self.high).contains(&self.scale.neutral())
    }

    /// Whether the median is on the worse side.
    pub fn is_worse(&self) -> bool {
        self.median > self.scale.neutral()
    }

    /// How far the interval reaches from no change, in either direction.
    pub fn reach(&self) -> f64 {
        match self.scale {
            Scale::Ratio => self.high.max(1.0 / self.low).max(1.0),
            Scale::Difference => self.high.max(-self.low).max(0.0),
        }
    }

    /// How far the median lies from no change, as [`Effect::reach`] counts it.
    pub fn size(&self) -> f64 {
        match self.scale {
            Scale::Ratio => self.median.max(1.0 / self.median),
            Scale::Difference => self.median.abs(),
        }
    }
}

/// How far each pair differs: logarithms of ratios, or differences; none where there are no ratios.
pub(crate) fn shifts(scale: Scale, old: &[f64], new: &[f64]) -> Option<Vec<f64>> {
    let (old, new) = (transformed(scale, old)?, transformed(scale, new)?);
    Some(old.iter().zip(&new).map(|(old, new)| new - old).collect())
}

/// Logarithms turn ratios into differences, so that both directions count alike.
fn transformed(scale: Scale, values: &[f64]) -> Option<Vec<f64>> {
    if scale == Scale::Difference {
        return Some(values.to_vec());
    }
    let positive = values.iter().all(|value| *value > 0.0);
    positive.then(|| values.iter().map(|value| value.ln()).collect())
}

fn turned(shift: f64, better: Better) -> f64 {
    match better {
        Better::Lower => shift,
        Better::Higher => -shift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_one_is_worse() {
        let (old, new) = (vec![2.0; 3], vec![3.0; 3]);
        let check = |better, expected: f64| {
            let effect = Effect::paired(&old, &new, better, 0.95).unwrap();
            assert_eq!(effect.scale, Scale::Ratio);
            assert!((effect.median - expected).abs() < 1e-12, "{effect:?}");
        };
        check(Better::Lower, 1.5);
        check(Better::Higher, 2.0 / 3.0);
    }

    #[test]
    fn values_without_a_ratio_are_subtracted() {
        let effect = Effect::paired(&[0.0, 3.0], &[2.0, 5.0], Better::Lower, 0.95).unwrap();
        assert_eq!((effect.scale, effect.median), (Scale::Difference, 2.0));
        let effect = Effect::paired(&[-1.0], &[1.0], Better::Higher, 0.95).unwrap();
        assert_eq!((effect.scale, effect.median), (Scale::Difference, -2.0));
        let huge = Effect::paired(&[-f64::MAX], &[f64::MAX], Better::Lower, 0.95);
        assert_eq!(huge, None);
    }

    #[test]
    fn reach_counts_both_directions() {
        let effect = Effect {
            scale: Scale::Ratio,
            median: 0.9,
            low: 0.8,
            high: 1.1,
        };
        assert_eq!(effect.reach(), 1.25);
        assert!(effect.holds_no_change() && !effect.is_worse());
        let effect = Effect {
            scale: Scale::Difference,
            median: 1.0,
            low: -3.0,
            high: 2.0,
        };
        assert_eq!((effect.reach(), effect.size()), (3.0, 1.0));
    }

    #[test]
    fn samples_that_do_not_pair() {
        let old: Vec<f64> = (1..=12).map(|k| 1.0 + f64::from(k) / 100.0).collect();
        let new: Vec<f64> = old.iter().map(|value| value * 1.2).collect();
        let effect = Effect::unpaired(Scale::Ratio, &old, &new, Better::Lower, 0.95, 3).unwrap();
        assert!((effect.median - 1.2).abs() < 1e-9, "{effect:?}");
        assert!(!effect.holds_no_change(), "{effect:?}");
        let same = Effect::unpaired(Scale::Ratio, &old, &old, Better::Higher, 0.95, 3).unwrap();
        assert!(same.holds_no_change(), "{same:?}");
    }
}

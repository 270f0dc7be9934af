//! What models look at.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Defect, log2_q8, scale::TIME_MAX};

/// Raised whenever a feature's meaning, scale or number changes: a model of another version is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// How many features there are.
pub const FEATURES: usize = 15;

/// The greatest value of any feature.
pub const VALUE_MAX: u16 = (1 << 14) - 1;

/// A model looks at no more features than this.
pub const INPUTS_MAX: usize = 16;

/// The value of an input that is equal to the base, where it is relative to it.
pub const RELATIVE_ZERO: u16 = 1 << 13;

/// A model predicts no more values than this.
pub const OUTPUTS_MAX: usize = 4;

/// A task's features, by [`Feature`].
pub type Features = [u16; FEATURES];

/// What a model predicts.
pub type Outputs = [i32; OUTPUTS_MAX];

/// What is known of a task when it is enqueued. Times are in nanoseconds of CPU time or of the clock, on
/// the scale of [`log2_q8`](crate::log2_q8): 0 to 10240. Shares are 0 to 8192. What is not known yet is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Feature {
    /// CPU time of its last burst: from a wakeup to the next sleep, preempted pieces joined.
    Last1 = 0,
    /// Mean of its last two bursts.
    Last2 = 1,
    /// Mean of its last four bursts.
    Last4 = 2,
    /// Exponential average of its bursts; the newest has a weight of a quarter.
    Average = 3,
    /// Exponential average of how far a burst was from that average before it.
    Deviation = 4,
    /// How long it slept last.
    Slept = 5,
    /// Exponential average of the time between two of its wakeups.
    Interval = 6,
    /// Last burst of the task that woke it; 0 for an interrupt.
    WakerLast1 = 7,
    /// 8192: an interrupt woke it, or nobody is known to have.
    Interrupt = 8,
    /// 8192: a task of its own process woke it.
    Relative = 9,
    /// Exponential average of the turns that it ended itself, by sleeping.
    Voluntary = 10,
    /// Its weight, 1 to 10000, on the scale of logarithms: 100 is 1680.
    Weight = 11,
    /// 8192: it is the kernel's.
    Kernel = 12,
    /// A hash of its name, 0 to 16383; only whether it is equal means something. Whoever renames a task
    /// changes it.
    Name = 13,
    /// How many bursts of it are known, at most 65535, and one more, on the scale of logarithms: 0 is none, 256
    /// is one.
    Known = 14,
}

impl Feature {
    /// All, in order.
    pub const ALL: [Self; FEATURES] = [
        Self::Last1,
        Self::Last2,
        Self::Last4,
        Self::Average,
        Self::Deviation,
        Self::Slept,
        Self::Interval,
        Self::WakerLast1,
        Self::Interrupt,
        Self::Relative,
        Self::Voluntary,
        Self::Weight,
        Self::Kernel,
        Self::Name,
        Self::Known,
    ];

    /// The greatest value that it can have; the least is 0.
    #[must_use]
    pub const fn greatest(self) -> u16 {
        match self {
            Self::Interrupt | Self::Relative | Self::Voluntary | Self::Kernel => 1 << 13,
            Self::Weight => log2_q8(10_000),
            Self::Name => VALUE_MAX,
            Self::Known => log2_q8(1 << 16),
            _ => log2_q8(TIME_MAX),
        }
    }

    /// As it is written in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Last1 => "last1",
            Self::Last2 => "last2",
            Self::Last4 => "last4",
            Self::Average => "average",
            Self::Deviation => "deviation",
            Self::Slept => "slept",
            Self::Interval => "interval",
            Self::WakerLast1 => "waker_last1",
            Self::Interrupt => "interrupt",
            Self::Relative => "relative",
            Self::Voluntary => "voluntary",
            Self::Weight => "weight",
            Self::Kernel => "kernel",
            Self::Name => "name",
            Self::Known => "known",
        }
    }
}

/// The values that a model was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub low: u16,
    /// The greatest.
    pub high: u16,
}

/// What a model looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// To this feature all predictions are added, if one is named: the model then tells by how much a burst
    /// differs from, say, the task's average, and holds for tasks of any size.
    pub base: Option<Feature>,
    /// The features, in the order in which the model counts them.
    pub list: Vec<Input>,
}

/// A feature that a model looks at. What lies outside the range counts as its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Which.
    pub feature: Feature,
    /// Whether it is the distance from the base, plus [`RELATIVE_ZERO`].
    #[serde(default)]
    pub relative: bool,
    /// What it can be.
    pub range: Range,
}

impl Input {
    /// Its value before anything is done about its range, with the base's value.
    #[must_use]
    pub fn value(&self, features: &Features, base: u16) -> u16 {
        let value = features[self.feature as usize];
        if !self.relative {
            return value;
        }
        let distance = i32::from(value) - i32::from(base) + i32::from(RELATIVE_ZERO);
        distance.clamp(0, i32::from(VALUE_MAX)) as u16
    }

    /// The greatest value that a model computes with.
    pub(crate) const fn span(&self) -> u16 {
        self.range.high - self.range.low
    }
}

impl Inputs {
    /// Features as they are.
    #[must_use]
    pub const fn plain(list: Vec<Input>) -> Self {
        Self { base: None, list }
    }

    /// The features that are looked at, the base included.
    pub fn names(&self) -> impl Iterator<Item = Feature> + '_ {
        let list = self.list.iter().map(|input| input.feature);
        list.chain(self.base)
    }

    /// The base's value; 0 without a base.
    #[must_use]
    pub fn base_of(&self, features: &Features) -> u16 {
        self.base.map_or(0, |base| features[base as usize])
    }

    /// The values that a model computes with: above the least of their ranges.
    pub(crate) fn take(&self, features: &Features) -> [u16; INPUTS_MAX] {
        let base = self.base_of(features);
        let mut values = [0; INPUTS_MAX];
        for (value, input) in values.iter_mut().zip(&self.list) {
            let Range { low, high } = input.range;
            *value = input.value(features, base).clamp(low, high) - low;
        }
        values
    }

    /// Whether they make sense.
    pub(crate) fn check(&self) -> Result<(), Defect> {
        if self.list.is_empty() || self.list.len() > INPUTS_MAX {
            return Err(Defect::Inputs(self.list.len()));
        }
        for (index, input) in self.list.iter().enumerate() {
            let Input {
                feature,
                relative,
                range,
            } = *input;
            let is_same = |other: &Input| other.feature == feature && other.relative == relative;
            if self.list[..index].iter().any(is_same) {
                return Err(Defect::Twice(feature));
            }
            if range.low >= range.high || range.high > VALUE_MAX {
                return Err(Defect::Range(feature));
            }
            if relative && self.base.is_none() {
                return Err(Defect::NoBase(feature));
            }
        }
        Ok(())
    }

    /// Whether a sum of an output, shifted, stays within 32 bits when the base is added.
    pub(crate) fn has_room(&self, sum: (i64, i64), shift: u32) -> bool {
        let base = if self.base.is_some() {
            i64::from(u16::MAX)
        } else {
            0
        };
        (sum.1 >> shift) + base <= i64::from(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for (index, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature as usize, index);
            let name = serde_json::to_string(&feature).expect("a name");
            assert_eq!(name, format!("\"{}\"", feature.name()));
        }
    }
}

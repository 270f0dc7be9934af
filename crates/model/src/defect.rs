//! What is wrong with a model.

use core::fmt;

use crate::Feature;

/// Why a model is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It looks at no feature, or at more than can be.
    Inputs(usize),
    /// It looks at a feature twice.
    Twice(Feature),
    /// A feature's range is empty, a single value, or beyond what a feature can be.
    Range(Feature),
    /// It is relative to a base, and there is none.
    NoBase(Feature),
    /// Two sizes that must agree do not, or one is beyond the limit.
    Shape {
        /// Of what.
        what: &'static str,
        /// The size found.
        found: usize,
        /// The size, or the largest, that can be.
        expected: usize,
    },
    /// An input within the ranges can make a sum leave 32 bits.
    Overflow {
        /// The layer, the tree, or the output of which the base is added.
        part: usize,
        /// The least and the greatest that the sum can be.
        sum: (i64, i64),
    },
    /// An input within the ranges can make a neuron's value leave 15 bits.
    Saturates {
        /// The layer.
        layer: usize,
        /// The greatest value.
        value: i64,
    },
    /// A shift by so many bits is not defined.
    Shift(u32),
    /// It predicts milliseconds, which have no place among octaves.
    Milliseconds,
    /// A float that is no number, or too large for any scale.
    NotFinite,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs(count) => write!(f, "{count} inputs: it needs 1 to {}", crate::INPUTS_MAX),
            Self::Twice(feature) => write!(f, "the feature {} is there twice", feature.name()),
            Self::Range(feature) => write!(
                f,
                "the range of the feature {} is not low < high <= {}: a feature that does not vary \
                 says nothing",
                feature.name(),
                crate::VALUE_MAX
            ),
            Self::NoBase(feature) => write!(
                f,
                "the feature {} is relative to a base, and the model names none",
                feature.name()
            ),
            Self::Shape {
                what,
                found,
                expected,
            } => write!(f, "{what}: {found} where {expected} can be"),
            Self::Overflow { part, sum } => write!(
                f,
                "part {part}: its sum can be {} to {}, which leaves 32 bits",
                sum.0, sum.1
            ),
            Self::Saturates { layer, value } => write!(
                f,
                "layer {layer}: a value can be {value}, which leaves 15 bits: its shift is too small"
            ),
            Self::Shift(shift) => write!(f, "a shift by {shift} bits: at most 31 can be"),
            Self::Milliseconds => write!(
                f,
                "it predicts milliseconds, and a model predicts octaves: the kernel has no logarithm for it"
            ),
            Self::NotFinite => write!(f, "a weight is no number, or too large for any scale"),
        }
    }
}

impl core::error::Error for Defect {}

//! Why an ONNX model is not imported.

use std::fmt;

use baton_model::{Defect, LAYERS_MAX, TREES_MAX, WIDTH_MAX};

use super::BYTES_MAX;

/// A model that cannot be imported.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxError {
    /// Which, as it was called.
    pub file: String,
    /// Why.
    pub fault: Fault,
}

/// What stands against an import.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The file is larger than any that holds a model which Baton can compute.
    TooLarge,
    /// It is no ONNX model, or a damaged one; and where.
    Malformed(String),
    /// It does something that Baton's models cannot, and what to do about that.
    Unsupported {
        /// What it does.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It takes so many values, and so many features were named.
    Features {
        /// What it takes.
        taken: usize,
        /// What was named.
        named: usize,
    },
    /// No feature varies in the samples.
    Constant,
    /// What comes of it is no model.
    Defect(Defect),
}

impl Fault {
    pub(super) fn unsupported(what: impl Into<String>, remedy: &'static str) -> Self {
        let what = what.into();
        Self::Unsupported { what, remedy }
    }

    pub(super) fn layers(found: usize) -> Self {
        Self::unsupported(
            format!("it has {found} layers, and {LAYERS_MAX} can be"),
            "train a network with at most 3 hidden layers",
        )
    }

    pub(super) fn width(found: usize) -> Self {
        Self::unsupported(
            format!("a layer of it has {found} neurons, and {WIDTH_MAX} can be"),
            "train a network whose hidden layers are at most 32 wide",
        )
    }

    pub(super) fn trees(found: usize) -> Self {
        Self::unsupported(
            format!(
                "there are {found} trees, and {TREES_MAX} can be; one with two values counts twice"
            ),
            "train fewer (n_estimators, max_iter)",
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(
                f,
                "it has more than {BYTES_MAX} bytes: train a smaller model, a network of at most {LAYERS_MAX} \
                 layers up to {WIDTH_MAX} wide, or {TREES_MAX} trees of depth 6"
            ),
            Self::Malformed(why) => write!(f, "not an ONNX model: {why}"),
            Self::Unsupported { what, remedy } => write!(f, "{what}: {remedy}"),
            Self::Features { taken, named } => write!(
                f,
                "it takes {taken} values, and {named} features are named: name those that it was trained \
                 with, in their order"
            ),
            Self::Constant => write!(f, "no feature varies in the samples: give others, or none"),
            Self::Defect(defect) => write!(f, "what comes of it is no model: {defect}"),
        }
    }
}

impl From<Defect> for Fault {
    fn from(defect: Defect) -> Self {
        Self::Defect(defect)
    }
}

impl fmt::Display for OnnxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.fault)
    }
}

impl std::error::Error for OnnxError {}

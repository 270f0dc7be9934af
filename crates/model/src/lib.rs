//! What a learned scheduler computes with: features of a task, and models that predict its burst from
//! them, in integers alone.
//!
//! The same arithmetic is done in three places: here, which is the specification; in C on the host; and
//! in the kernel, where `bpf/include/model.bpf.h` does it. All give the same bits:
//!
//! - [`Feature`] names what is known of a task when it is enqueued. [`History`] keeps it up to date in a few
//!   operations per event, and every value is a whole number below 2^14, times on a scale of logarithms
//!   ([`log2_q8`]).
//! - [`Network`] is a small dense network, [`Forest`] a sum of trees. Either is checked when it is made: no
//!   input within the schema's ranges can make it overflow, so nothing saturates and nothing needs to be
//!   looked at while it runs.
//! - [`Prediction`] says what comes of a prediction, and what keeps it in bounds; [`Drift`] finds out when a model
//!   has become worse than the average.
//! - [`Image`] is a model as the kernel reads it.
//! - [`ModelFile`] is a model as people keep it: schema, integers, where it came from, and its digest.
//!
//! ```
//! use baton_model::{Context, Feature, History, log2_q8};
//!
//! let mut task = History::default();
//! task.woken(1_000_000, Some(500_000));
//! task.ran(250_000);
//! task.slept();
//! let features = task.features(&Context::default());
//! assert_eq!(features[Feature::Last1 as usize], log2_q8(250_000));
//! ```
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod defect;
#[cfg(feature = "std")]
mod file;
mod forest;
mod history;
mod image;
mod network;
mod predict;
#[cfg(feature = "std")]
mod quantise;
pub mod samples;
mod scale;
mod schema;

pub use defect::Defect;
#[cfg(feature = "std")]
pub use file::{FileError, ModelFile, Provenance, Score};
pub use forest::{DEPTH_MAX, Forest, Node, TREES_MAX, Tree};
pub use history::{Context, History, Waker};
pub use image::{IMAGE_BYTES, IMAGE_MAGIC, IMAGE_OFFSETS, Image};
pub use network::{LAYERS_MAX, Layer, Network, WIDTH_MAX};
pub use predict::{
    Change, DRIFT_WINDOW, Drift, Given, Guess, Prediction, Predictor, Whose, is_regular, slice_ns,
};
#[cfg(feature = "std")]
pub use quantise::{Dense, Lossy, quantise};
pub use scale::{exp2_q8, hash_name, log2_q8};
pub use schema::{
    FEATURES, Feature, Features, INPUTS_MAX, Input, Inputs, OUTPUTS_MAX, Outputs, RELATIVE_ZERO,
    Range, SCHEMA_VERSION, VALUE_MAX,
};

use serde::{Deserialize, Serialize};

/// A model of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Layers of sums.
    Network(Network),
    /// Sums of trees.
    Forest(Forest),
}

impl Model {
    /// What it predicts, on the scale of [`log2_q8`]; entries beyond [`Model::outputs`] are 0.
    #[must_use]
    pub fn infer(&self, features: &Features) -> Outputs {
        match self {
            Self::Network(network) => network.infer(features),
            Self::Forest(forest) => forest.infer(features),
        }
    }

    /// The features that it looks at.
    #[must_use]
    pub const fn inputs(&self) -> &Inputs {
        match self {
            Self::Network(network) => network.inputs(),
            Self::Forest(forest) => forest.inputs(),
        }
    }

    /// How many values it predicts.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Network(network) => network.outputs(),
            Self::Forest(forest) => forest.outputs(),
        }
    }
}

//! Options that say what the numbers of a table, or of a model trained on it, mean.

use baton::app::{Code, Failure};
use baton_train::{Look, LookError, Reading, Unit, feature_named};
use clap::ValueEnum;

#[derive(clap::Args)]
pub(super) struct Options {
    /// The features, in their order: `last1`, or `last1-average` for the distance from the base; those
    /// of `baton train` if none are named
    #[arg(long, value_name = "LIST")]
    features: Option<String>,

    /// What bursts are distances from: a feature, or `none`
    #[arg(long, value_name = "FEATURE", default_value = "average")]
    base: String,

    /// The unit of all numbers
    #[arg(long, value_enum, default_value = "steps")]
    unit: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Whole numbers, 256 to an octave
    Steps,
    /// The same over 256
    Octaves,
}

impl Options {
    pub(super) fn reading(&self) -> Result<Reading, Failure> {
        let usage = |error: &dyn std::fmt::Display| Failure::new(Code::Usage, error.to_string());
        let base = match &self.base[..] {
            "none" => None,
            name => Some(feature_named(name).map_err(|error| usage(&error))?),
        };
        let look = match &self.features {
            Some(names) => {
                Look::named(base, names).map_err(|error: LookError| usage(&error))?
            }
            None => Look::usual(base).ok_or_else(|| {
                usage(&format!(
                    "which features there are with the base {} is not set: name them with --features",
                    self.base
                ))
            })?,
        };
        let unit = match self.unit {
            Kind::Steps => Unit::Steps,
            Kind::Octaves => Unit::Octaves,
        };
        Ok(Reading { look, unit })
    }
}

//! Which features a model looks at, and how.

use baton_model::{Feature, Input, Inputs, Range};

use crate::Sample;

/// Features, and the one that all predictions are added to.
///
/// An absolute size says little about an application that was never seen; how far a task's last burst was
/// from its average does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What predictions are added to.
    pub base: Option<Feature>,
    /// Each feature, and whether its distance from the base is looked at instead.
    pub list: Vec<(Feature, bool)>,
}

impl Default for Look {
    /// All but the name, sizes relative to the exponential average.
    fn default() -> Self {
        use Feature as F;
        let relative = [F::Last1, F::Last2, F::Last4, F::Deviation, F::WakerLast1];
        let absolute = [
            F::Average,
            F::Slept,
            F::Interval,
            F::Interrupt,
            F::Relative,
            F::Voluntary,
            F::Weight,
            F::Kernel,
            F::Known,
        ];
        let list = relative.map(|feature| (feature, true)).into_iter();
        Self {
            base: Some(F::Average),
            list: list
                .chain(absolute.map(|feature| (feature, false)))
                .collect(),
        }
    }
}

impl Look {
    /// Features as they are, and nothing that is added to.
    #[must_use]
    pub fn plain(features: impl IntoIterator<Item = Feature>) -> Self {
        Self {
            base: None,
            list: features
                .into_iter()
                .map(|feature| (feature, false))
                .collect(),
        }
    }

    /// All but the name: sizes relative to the average if that is the base, as they are without one.
    /// `None` for any other base, of which nothing is known.
    #[must_use]
    pub fn usual(base: Option<Feature>) -> Option<Self> {
        let usual = Self::default();
        match base {
            None => Some(Self::plain(
                usual.list.into_iter().map(|(feature, _)| feature),
            )),
            base => (base == usual.base).then_some(usual),
        }
    }

    /// Features by their names, with commas in between; `last1-average` is the distance of `last1` from the
    /// base `average`.
    ///
    /// # Errors
    /// There is no such feature, or it is relative to something that is not the base.
    pub fn named(base: Option<Feature>, names: &str) -> Result<Self, LookError> {
        let one = |name: &str| {
            let (feature, of) = match name.split_once('-') {
                Some((feature, of)) => (feature, Some(of)),
                None => (name, None),
            };
            if of.is_some_and(|of| base.map(Feature::name) != Some(of)) {
                return Err(LookError::NotTheBase(name.to_owned()));
            }
            Ok((feature_named(feature)?, of.is_some()))
        };
        let list = names.split(',').map(|name| one(name.trim()));
        Ok(Self {
            base,
            list: list.collect::<Result<_, _>>()?,
        })
    }

    /// The names of the features, as [`Look::named`] reads them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |(feature, relative): &(Feature, bool)| match self.base {
            Some(base) if *relative => format!("{}-{}", feature.name(), base.name()),
            _ => feature.name().to_owned(),
        };
        self.list.iter().map(name).collect()
    }

    /// The inputs with their ranges in these samples, and those that do not vary in them.
    pub(crate) fn inputs(&self, samples: &[Sample]) -> (Inputs, Vec<Feature>) {
        let mut inputs = Inputs {
            base: self.base,
            list: Vec::new(),
        };
        let mut constant = Vec::new();
        for (feature, relative) in &self.list {
            let mut input = Input {
                feature: *feature,
                relative: *relative,
                range: Range { low: 0, high: 0 },
            };
            let values = samples.iter().map(|sample| value(&inputs, &input, sample));
            let (low, high) = values.fold((u16::MAX, 0), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            if low >= high {
                constant.push(*feature);
                continue;
            }
            input.range = Range { low, high };
            inputs.list.push(input);
        }
        (inputs, constant)
    }
}

/// A feature by its name.
///
/// # Errors
/// There is none.
pub fn feature_named(name: &str) -> Result<Feature, LookError> {
    let found = Feature::ALL
        .into_iter()
        .find(|feature| feature.name() == name);
    found.ok_or_else(|| LookError::Unknown(name.to_owned()))
}

/// A feature that cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// There is none of this name.
    #[error("there is no feature {0:?}: there are {all}", all = Feature::ALL.map(Feature::name).join(", "))]
    Unknown(String),
    /// It is relative to something that is not the base.
    #[error("{0:?} is relative to what is not the base: name it as the base, too")]
    NotTheBase(String),
}

/// What an input is of a sample, whatever its range.
pub(crate) fn value(inputs: &Inputs, input: &Input, sample: &Sample) -> u16 {
    input.value(&sample.features, inputs.base_of(&sample.features))
}

/// By how much a sample's burst is above the base.
pub(crate) fn above_base(inputs: &Inputs, sample: &Sample) -> i32 {
    i32::from(sample.burst) - i32::from(inputs.base_of(&sample.features))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let average = Some(Feature::Average);
        for look in [Look::default(), Look::plain(Feature::ALL)] {
            let names = look.names().join(",");
            assert_eq!(Look::named(look.base, &names), Ok(look));
        }
        assert_eq!(Look::usual(average), Some(Look::default()));
        assert_eq!(Look::usual(Some(Feature::Last1)), None);
        let plain = Look::usual(None).expect("there is one");
        assert_eq!(plain.names()[..2], ["last1", "last2"]);
        assert!(matches!(
            Look::named(average, "last1, nothing"),
            Err(LookError::Unknown(name)) if name == "nothing"
        ));
        for (base, names) in [(None, "last1-average"), (average, "last1-last2")] {
            assert!(matches!(
                Look::named(base, names),
                Err(LookError::NotTheBase(_))
            ));
        }
    }
}

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

/// What an input is of a sample, whatever its range.
pub(crate) fn value(inputs: &Inputs, input: &Input, sample: &Sample) -> u16 {
    input.value(&sample.features, inputs.base_of(&sample.features))
}

/// By how much a sample's burst is above the base.
pub(crate) fn above_base(inputs: &Inputs, sample: &Sample) -> i32 {
    i32::from(sample.burst) - i32::from(inputs.base_of(&sample.features))
}

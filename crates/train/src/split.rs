//! What to learn from, and what to be judged by.

use std::collections::BTreeSet;

use crate::{Data, Sample};

/// Samples to learn from and samples to be judged by; those that were cut are in neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// To learn from.
    pub train: Vec<Sample>,
    /// To know when to stop: the last fifth of each recording's time.
    pub stop: Vec<Sample>,
    /// To be judged by.
    pub test: Vec<Sample>,
}

impl Split {
    /// Holds these applications out; all their samples, and no others, are for the test.
    #[must_use]
    pub fn by_application(data: &Data, held_out: &BTreeSet<u16>) -> Self {
        Self::of(data, |sample| held_out.contains(&sample.application))
    }

    /// Holds these machines out; all their samples, and no others, are for the test, of whatever application.
    #[must_use]
    pub fn by_machine(data: &Data, held_out: &BTreeSet<u16>) -> Self {
        Self::of(data, |sample| held_out.contains(&data.machine_of(sample)))
    }

    /// Holds the last part of each recording's time out: `share` of its span.
    #[must_use]
    pub fn by_time(data: &Data, share: f64) -> Self {
        let ends = spans(data.samples.iter(), data.recordings.len());
        Self::of(data, |sample| {
            let end = ends[usize::from(sample.recording)];
            f64::from(sample.began_ms) > f64::from(end) * (1.0 - share)
        })
    }

    fn of(data: &Data, is_test: impl Fn(&Sample) -> bool) -> Self {
        let mut split = Self::default();
        let whole = data.samples.iter().filter(|sample| !sample.cut);
        let (test, rest): (Vec<&Sample>, Vec<&Sample>) = whole.partition(|sample| is_test(sample));
        split.test = test.into_iter().copied().collect();
        let ends = spans(rest.iter().copied(), data.recordings.len());
        for sample in rest {
            let end = ends[usize::from(sample.recording)];
            // The last fifth.
            let is_late = u64::from(sample.began_ms) * 5 > u64::from(end) * 4;
            if is_late {
                &mut split.stop
            } else {
                &mut split.train
            }
            .push(*sample);
        }
        split
    }
}

/// The last begin of each recording's samples.
fn spans<'a>(samples: impl Iterator<Item = &'a Sample>, recordings: usize) -> Vec<u32> {
    let mut ends = vec![0_u32; recordings];
    for sample in samples {
        let end = &mut ends[usize::from(sample.recording)];
        *end = (*end).max(sample.began_ms);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::{random, two_machines};

    #[test]
    fn splits_hold_out_what_they_say() {
        let data = random(3000, 4);
        let whole = data.samples.iter().filter(|sample| !sample.cut).count();
        let split = Split::by_application(&data, &BTreeSet::from([1]));
        assert!(split.test.iter().all(|sample| sample.application == 1));
        assert!(
            split
                .train
                .iter()
                .chain(&split.stop)
                .all(|sample| sample.application != 1)
        );
        assert_eq!(
            split.train.len() + split.stop.len() + split.test.len(),
            whole
        );
        let latest = split.train.iter().map(|sample| sample.began_ms).max();
        let earliest = split.stop.iter().map(|sample| sample.began_ms).min();
        assert!(
            latest < earliest,
            "the samples to stop by are the last ones"
        );
        let split = Split::by_time(&data, 0.25);
        assert!((0.2..0.3).contains(&(split.test.len() as f64 / whole as f64)));
    }

    #[test]
    fn machines_are_held_out_whole() {
        let data = two_machines(1000, 4);
        let split = Split::by_machine(&data, &BTreeSet::from([1]));
        let machine = |sample: &Sample| data.machine_of(sample);
        assert!(split.test.iter().all(|sample| machine(sample) == 1));
        let mut rest = split.train.iter().chain(&split.stop);
        assert!(rest.all(|sample| machine(sample) == 0));
        let whole = data.samples.iter().filter(|sample| !sample.cut).count();
        assert_eq!(
            split.train.len() + split.stop.len() + split.test.len(),
            whole
        );
        // The same applications on both sides.
        for application in 0..3 {
            assert!(
                split
                    .train
                    .iter()
                    .chain(&split.test)
                    .filter(|sample| sample.application == application)
                    .count()
                    > 500
            );
        }
    }
}

//! Durations, counted in a High Dynamic Range histogram.

use hdrhistogram::Histogram;

/// Durations from 1 ns to 1000 s with three significant digits; longer ones count as 1000 s.
///
/// Recording neither allocates nor faults: the counts exist and are touched at the start.
#[derive(Clone, Debug)]
pub struct Durations {
    histogram: Histogram<u64>,
    /// The longest one exactly; the histogram knows three digits.
    max_ns: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self::new()
    }
}

/// Points of a plot between two quantiles of which the second has half as many values above it.
const POINTS_PER_HALVING: u32 = 4;

const MAX_NS: u64 = 1_000_000_000_000;

impl Durations {
    /// None yet.
    pub fn new() -> Self {
        let made = Histogram::new_with_bounds(1, MAX_NS, 3);
        let mut histogram = made.expect("the bounds are constants that the crate accepts");
        // Fresh memory gets its pages when first written; have that now, not while measuring.
        histogram.reset();
        Self {
            histogram,
            max_ns: 0,
        }
    }

    /// Counts one.
    pub fn record_ns(&mut self, duration_ns: u64) {
        self.histogram.saturating_record(duration_ns);
        self.max_ns = self.max_ns.max(duration_ns);
    }

    /// Counts all of another's.
    pub fn add(&mut self, other: &Self) {
        let added = self.histogram.add(&other.histogram);
        added.expect("all histograms here have the same bounds");
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The longest one, 0 if there is none.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// So many of all, as a share, are at most this long; 0 if there is none.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        // The crate answers with the upper end of a bucket, which may lie above the maximum.
        self.histogram.value_at_quantile(quantile).min(self.max_ns)
    }

    /// The distribution for a plot, with points that lie closer towards the tail: the share of all
    /// that are at most so long, rising in both, the last one the maximum. Empty if there is none.
    pub fn points_ns(&self) -> Vec<(f64, u64)> {
        let mut points: Vec<(f64, u64)> = Vec::new();
        let (all, mut below) = (self.count() as f64, 0);
        for step in self.histogram.iter_quantiles(POINTS_PER_HALVING) {
            below += step.count_since_last_iteration();
            let value_ns = step.value_iterated_to().min(self.max_ns);
            let point = (below as f64 / all, value_ns);
            match points.last() {
                Some(last) if point.0 <= last.0 || point.1 <= last.1 => {}
                _ => points.push(point),
            }
        }
        // The last bucket holds the maximum, whatever the iteration makes of it.
        if let Some(last) = points.last_mut() {
            *last = (1.0, self.max_ns);
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ordered_and_bounded() {
        let mut durations = Durations::new();
        assert_eq!((durations.quantile_ns(0.5), durations.max_ns()), (0, 0));
        for duration_ns in 1..=1000 {
            durations.record_ns(duration_ns * 1000);
        }
        durations.record_ns(u64::MAX);
        assert_eq!(durations.count(), 1001);
        assert!((500_000..=502_000).contains(&durations.quantile_ns(0.5)));
        assert!(durations.quantile_ns(0.999) <= durations.max_ns());
    }

    #[test]
    fn points_rise_to_the_maximum_and_show_the_tail() {
        assert_eq!(Durations::new().points_ns(), []);
        let mut durations = Durations::new();
        for duration_ns in 1..=10_000 {
            durations.record_ns(duration_ns * 1000);
        }
        durations.record_ns(999_999_999);
        let points = durations.points_ns();
        assert!(points.len() > 30 && points.len() < 100, "{}", points.len());
        let rises = |pair: &[(f64, u64)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        assert!(points.windows(2).all(rises), "{points:?}");
        assert_eq!(points.last(), Some(&(1.0, 999_999_999)));
        let median = points.iter().find(|point| point.0 >= 0.5).unwrap();
        assert!((4_900_000..=5_100_000).contains(&median.1), "{median:?}");
        assert!(points.iter().filter(|point| point.0 > 0.99).count() > 8);

        let mut same = Durations::new();
        (0..5).for_each(|_| same.record_ns(70));
        assert_eq!(same.points_ns(), [(1.0, 70)]);
    }
}

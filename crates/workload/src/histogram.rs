//! Durations, counted in a High Dynamic Range histogram.

use hdrhistogram::Histogram;

/// Durations from 1 ns to 1000 s with three significant digits; longer ones count as 1000 s.
///
/// Recording neither allocates nor faults: the counts exist and are touched at the start.
pub(crate) struct Durations {
    histogram: Histogram<u64>,
    /// The longest one exactly; the histogram knows three digits.
    max_ns: u64,
}

const MAX_NS: u64 = 1_000_000_000_000;

impl Durations {
    pub(crate) fn new() -> Self {
        let made = Histogram::new_with_bounds(1, MAX_NS, 3);
        let mut histogram = made.expect("the bounds are constants that the crate accepts");
        // Fresh memory gets its pages when first written; have that now, not while measuring.
        histogram.reset();
        Self {
            histogram,
            max_ns: 0,
        }
    }

    pub(crate) fn record_ns(&mut self, duration_ns: u64) {
        self.histogram.saturating_record(duration_ns);
        self.max_ns = self.max_ns.max(duration_ns);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let added = self.histogram.add(&other.histogram);
        added.expect("all histograms here have the same bounds");
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The longest one, 0 if there is none.
    pub(crate) fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// 0 if there is none.
    pub(crate) fn quantile_ns(&self, quantile: f64) -> u64 {
        // The crate answers with the upper end of a bucket, which may lie above the maximum.
        self.histogram.value_at_quantile(quantile).min(self.max_ns)
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
}

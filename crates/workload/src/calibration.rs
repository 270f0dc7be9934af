//! How much work a CPU does here, so that loads can be given as a share of it.

#[cfg(feature = "real")]
use crate::sys::clock;
use serde::{Deserialize, Serialize};
#[cfg(feature = "real")]
use std::hint::black_box;

/// What one CPU does in a millisecond when nothing else wants it.
///
/// Measure it in quiet, before any load; runs that are compared should share one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Units of [`compute`] per millisecond: the median of several runs.
    pub units_per_ms: f64,
    /// The distance between the quartiles of these runs, as a share of the median.
    /// Above 0.2 the machine was not quiet, and reports say so.
    pub spread: f64,
}

#[cfg(feature = "real")]
const RUNS: usize = 9;
#[cfg(feature = "real")]
const RUN_NS: u64 = 10_000_000;
/// More than this means that something else ran.
#[cfg(feature = "real")]
const SPREAD_MAX: f64 = 0.2;
/// So often at most, for one that is quiet.
#[cfg(feature = "real")]
const MEASUREMENTS: usize = 5;
/// A spread that is small enough to look no further.
#[cfg(feature = "real")]
const QUIET_SPREAD: f64 = 0.05;
#[cfg(feature = "real")]
const STEPS_PER_UNIT: u64 = 32;

#[cfg(feature = "real")]
impl Calibration {
    /// Measures for about 0.1 s, on the calling thread.
    pub fn measure() -> Self {
        let units = units_for(RUN_NS);
        let mut rates = [0.0; RUNS];
        for rate in &mut rates {
            let start_ns = clock::now_ns();
            compute(units);
            let elapsed_ns = (clock::now_ns() - start_ns).max(1);
            *rate = units as f64 * 1e6 / elapsed_ns as f64;
        }
        rates.sort_by(f64::total_cmp);
        let median = rates[RUNS / 2];
        Self {
            units_per_ms: median,
            spread: (rates[3 * RUNS / 4] - rates[RUNS / 4]) / median,
        }
    }

    /// The first quiet one of a few measurements, else the quietest: something else may run.
    pub fn quietest() -> Self {
        Self::quietest_of(Self::measure)
    }

    fn quietest_of(mut measure: impl FnMut() -> Self) -> Self {
        let mut best = measure();
        for _ in 1..MEASUREMENTS {
            if best.spread <= QUIET_SPREAD {
                break;
            }
            let other = measure();
            if other.spread < best.spread {
                best = other;
            }
        }
        best
    }

    /// What a reader must know if the machine was not quiet.
    pub(crate) fn note(&self) -> Option<String> {
        (self.spread > SPREAD_MAX).then(|| {
            let percent = self.spread * 100.0;
            format!("the calibration spread by {percent:.0} %: the machine was not quiet before")
        })
    }

    /// The units that take this long on an undisturbed CPU; at least one.
    pub fn units(&self, duration_ns: f64) -> u64 {
        ((self.units_per_ms * duration_ns / 1e6) as u64).max(1)
    }
}

/// How many units take about this long, found by doubling; warms caches and clocks by the way.
#[cfg(feature = "real")]
fn units_for(duration_ns: u64) -> u64 {
    let mut units = 64;
    loop {
        let start_ns = clock::now_ns();
        compute(units);
        let elapsed_ns = clock::now_ns() - start_ns;
        if elapsed_ns >= duration_ns / 4 || units > 1 << 40 {
            return (units as f64 * duration_ns as f64 / elapsed_ns.max(1) as f64) as u64 + 1;
        }
        units *= 2;
    }
}

/// Computes: a chain of integer steps that no compiler can shorten and that touches no memory.
///
/// One piece of machine code for the calibration and all loads: a copy that is inlined elsewhere takes other
/// registers, and an emulator ran the calibration's at 0.8 to 1.3 times the speed of a hog's.
#[cfg(feature = "real")]
#[inline(never)]
pub fn compute(units: u64) {
    let mut value: u64 = black_box(0x9e37_79b9_7f4a_7c15);
    for step in 0..units.saturating_mul(STEPS_PER_UNIT) {
        value = (value ^ step)
            .wrapping_mul(0x2545_f491_4f6c_dd1d)
            .rotate_left(23);
    }
    black_box(value);
}

#[cfg(all(test, feature = "real"))]
mod tests {
    use super::*;

    #[test]
    fn measures_something_and_converts() {
        let calibration = Calibration::measure();
        assert!(calibration.units_per_ms > 0.0 && calibration.spread >= 0.0);
        let fixed = Calibration {
            units_per_ms: 500.0,
            spread: 0.0,
        };
        assert_eq!(fixed.units(2e6), 1000);
        assert_eq!(fixed.units(0.0), 1);
        assert_eq!(fixed.note(), None);
        assert!(
            Calibration {
                spread: 0.3,
                ..fixed
            }
            .note()
            .is_some()
        );
    }

    #[test]
    fn a_quiet_measurement_is_enough_and_else_the_quietest_counts() {
        let first = |spreads: &[f64]| {
            let mut left = spreads.iter();
            let measure = || Calibration {
                units_per_ms: 1.0,
                spread: *left.next().expect("no more are needed"),
            };
            Calibration::quietest_of(measure).spread
        };
        assert_eq!(first(&[0.01]), 0.01);
        assert_eq!(first(&[0.5, 0.04]), 0.04);
        assert_eq!(first(&[0.5, 0.3, 0.2, 0.4, 0.6]), 0.2);
    }
}

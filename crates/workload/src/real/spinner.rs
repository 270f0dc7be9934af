//! A task that always wants a CPU and so notices whenever it has none.
//!
//! It reads the clock, computes for a short while and reads it again. When much more time has
//! passed than the computation takes, it was not running; as it never sleeps, all of that was
//! waiting. Hogs and the witnesses of chaos are made of this.

use crate::calibration::{Calibration, compute};
use crate::histogram::Durations;
use crate::sys::clock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The computation between two looks at the clock. Reading it is a call to the hypervisor on some
/// virtual machines, so not too often.
const CHUNK_NS: f64 = 100_000.0;
/// The least time between two looks that counts as a gap. Above what interrupts take; below the
/// slices of schedulers.
const GAP_MIN_NS: u64 = 500_000;

/// What a spinner noticed.
pub(crate) struct Gaps {
    /// Units computed.
    pub(crate) units: u64,
    /// When it ended.
    pub(crate) end_ns: u64,
    /// When the longest gap ended.
    pub(crate) max_at_ns: u64,
    /// The gaps.
    pub(crate) gaps: Durations,
}

/// Spins until told to end. `since_ns` is when it first wanted a CPU, so that the wait for the
/// first one counts. `each` is called after each chunk; it should be short.
pub(crate) fn spin(
    since_ns: u64,
    calibration: &Calibration,
    end: &AtomicBool,
    mut each: impl FnMut(),
) -> Gaps {
    let chunk_units = calibration.units(CHUNK_NS);
    let mut found = Gaps {
        units: 0,
        end_ns: since_ns,
        max_at_ns: 0,
        gaps: Durations::new(),
    };
    let mut max_ns = 0;
    loop {
        compute(chunk_units);
        found.units += chunk_units;
        let now_ns = clock::now_ns();
        let gap_ns = now_ns - found.end_ns;
        found.end_ns = now_ns;
        if gap_ns >= GAP_MIN_NS {
            found.gaps.record_ns(gap_ns);
            if gap_ns > max_ns {
                max_ns = gap_ns;
                found.max_at_ns = now_ns;
            }
        }
        each();
        if end.load(Ordering::Relaxed) {
            return found;
        }
    }
}

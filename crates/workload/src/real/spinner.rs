//! A task that always wants a CPU and so notices whenever it has none.
//!
//! It reads the clock, computes for a short while and reads it again. When much more time has
//! passed than the computation takes, it was not running; as it never sleeps, all of that was
//! waiting. Unless its own kernel had it on a CPU meanwhile: then a hypervisor took the CPU away
//! from the whole kernel, for which no scheduler of that kernel is to blame. The thread's CPU time
//! tells the two apart. Hogs and the witnesses of chaos are made of this.

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
/// A look at the CPU time, which is a system call, at each gap and once in so many chunks.
const CHUNKS_PER_CPU_TIME: u32 = 16;

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
    /// The time that a hypervisor took, in all gaps together.
    pub(crate) stolen_ns: u64,
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
    let mut found = Gaps::new(since_ns);
    let mut off_cpu = OffCpu {
        looked_ns: since_ns,
        cpu_ns: clock::thread_cpu_ns(),
    };
    let mut chunks: u32 = 0;
    loop {
        compute(chunk_units);
        found.units += chunk_units;
        chunks = chunks.wrapping_add(1);
        let now_ns = clock::now_ns();
        let gap_ns = now_ns - found.end_ns;
        found.end_ns = now_ns;
        if gap_ns >= GAP_MIN_NS {
            found.gap(gap_ns.min(off_cpu.since_last_ns(now_ns)), gap_ns);
        } else if chunks.is_multiple_of(CHUNKS_PER_CPU_TIME) {
            off_cpu.since_last_ns(now_ns);
        }
        each();
        if end.load(Ordering::Relaxed) {
            return found;
        }
    }
}

impl Gaps {
    fn new(since_ns: u64) -> Self {
        let gaps = Durations::new();
        Self {
            units: 0,
            end_ns: since_ns,
            max_at_ns: since_ns,
            gaps,
            stolen_ns: 0,
        }
    }

    /// A gap that ended now, of which the thread spent `waited_ns` off its CPU.
    fn gap(&mut self, waited_ns: u64, gap_ns: u64) {
        self.stolen_ns += gap_ns - waited_ns;
        if waited_ns < GAP_MIN_NS {
            return;
        }
        if waited_ns > self.gaps.max_ns() {
            self.max_at_ns = self.end_ns;
        }
        self.gaps.record_ns(waited_ns);
    }
}

/// Tells how long the calling thread was off its CPU.
struct OffCpu {
    looked_ns: u64,
    cpu_ns: u64,
}

impl OffCpu {
    /// The time off the CPU since the last look.
    fn since_last_ns(&mut self, now_ns: u64) -> u64 {
        let cpu_ns = clock::thread_cpu_ns();
        let on_ns = cpu_ns - self.cpu_ns;
        let passed_ns = now_ns - self.looked_ns;
        *self = Self {
            looked_ns: now_ns,
            cpu_ns,
        };
        passed_ns.saturating_sub(on_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::sched;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_wait_is_a_gap_and_stolen_time_is_not() {
        let mut found = Gaps::new(7);
        found.gap(3_000_000, 5_000_000);
        found.gap(100, 2_000_100);
        assert_eq!((found.gaps.count(), found.gaps.max_ns()), (1, 3_000_000));
        assert_eq!((found.stolen_ns, found.max_at_ns), (4_000_000, 7));
    }

    #[test]
    fn time_before_the_first_run_counts_and_so_do_neighbours_on_one_cpu() {
        let calibration = Calibration {
            units_per_ms: 1000.0,
            spread: 0.0,
        };
        let end = AtomicBool::new(false);
        let cpu = sched::allowed_cpus()[0];
        let since_ns = clock::now_ns() - 20_000_000;
        let found = thread::scope(|scope| {
            let spinners = [(); 2].map(|()| {
                scope.spawn(|| {
                    sched::set_affinity(0, &[cpu]).unwrap();
                    spin(since_ns, &calibration, &end, || {})
                })
            });
            thread::sleep(Duration::from_millis(200));
            end.store(true, Ordering::Relaxed);
            spinners.map(|spinner| spinner.join().unwrap())
        });
        for gaps in found {
            assert!(gaps.gaps.count() > 1 && gaps.gaps.max_ns() >= 15_000_000);
        }
    }
}

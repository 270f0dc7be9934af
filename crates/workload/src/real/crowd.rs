//! The processes of [`Isolation`] and of [`Tenants`](crate::Tenants), and the memory through which they
//! tell what they do.
//!
//! They live in forked processes and so must not allocate or lock, see [`Child::fork`].

use crate::calibration::{Calibration, compute};
use crate::spec::Isolation;
use crate::sys::child::Child;
use crate::sys::clock;
use crate::sys::shared::SharedCounters;
use std::ffi::CStr;
use std::io::{self, PipeReader, Read};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// The counters of a board, by index.
const SAMPLES: usize = 0;
const MISSED: usize = 1;
const END: usize = 2;
const FORKS: usize = 3;
/// After them a ring of samples, two values each, then for each hog its work in a cache line of its
/// own.
const RING: usize = 8;
const RING_SAMPLES: usize = 8192;
const HOGS: usize = RING + 2 * RING_SAMPLES;
const LINE: usize = 8;

/// The most children of a storm at a time.
const MAX_FORKS: usize = Isolation::MAX_FORKS as usize;
/// The longest that one of them computes.
const FORK_WORK_MAX_US: u64 = 1000;
/// A hog's computation between two counts.
const CHUNK_NS: f64 = 100_000.0;

/// One wakeup of the polite process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// From the time it was to wake until it ran.
    pub(super) late_ns: u64,
    /// From the time it was to wake until its burst was done.
    pub(super) response_ns: u64,
}

/// What the processes tell.
pub(super) struct Board {
    counters: SharedCounters,
    hogs: usize,
}

impl Board {
    pub(super) fn new(hogs: usize) -> io::Result<Self> {
        let counters = SharedCounters::new(HOGS + LINE * hogs)?;
        Ok(Self { counters, hogs })
    }

    /// Ends the polite process after its next burst.
    pub(super) fn end(&self) {
        self.counters[END].store(1, Relaxed);
    }

    fn record(&self, sample: Sample) {
        let count = self.counters[SAMPLES].load(Relaxed);
        let place = RING + 2 * (count as usize % RING_SAMPLES);
        self.counters[place].store(sample.late_ns, Relaxed);
        self.counters[place + 1].store(sample.response_ns, Relaxed);
        self.counters[SAMPLES].store(count + 1, Release);
    }

    /// Hands over the samples since the one of the number `read`, which it moves on; returns how
    /// many there were too many of.
    pub(super) fn read(&self, read: &mut u64, mut each: impl FnMut(Sample)) -> u64 {
        let count = self.counters[SAMPLES].load(Acquire);
        let lost = (count - *read).saturating_sub(RING_SAMPLES as u64);
        for number in *read + lost..count {
            let place = RING + 2 * (number as usize % RING_SAMPLES);
            each(Sample {
                late_ns: self.counters[place].load(Relaxed),
                response_ns: self.counters[place + 1].load(Relaxed),
            });
        }
        *read = count;
        lost
    }

    /// The wakeups that were due while a burst still lasted.
    pub(super) fn missed(&self) -> u64 {
        self.counters[MISSED].load(Relaxed)
    }

    /// The units that all hogs have computed.
    pub(super) fn work(&self) -> u64 {
        let slots = (0..self.hogs).map(|hog| &self.counters[HOGS + LINE * hog]);
        slots.map(|count| count.load(Relaxed)).sum()
    }

    /// The children that the storm has forked.
    pub(super) fn forks(&self) -> u64 {
        self.counters[FORKS].load(Relaxed)
    }
}

/// Waits for the start; false if there will be none.
fn wait(mut start: &PipeReader) -> bool {
    start.read_exact(&mut [0]).is_ok()
}

/// Wakes once a period and computes a little. A period that ends before its burst does is missed,
/// as there is nobody asleep who could be woken.
pub(super) fn be_polite(board: &Board, start: &PipeReader, period_ns: u64, burst: u64) -> i32 {
    if !wait(start) {
        return 1;
    }
    let mut wake_ns = clock::now_ns() + period_ns;
    while board.counters[END].load(Relaxed) == 0 {
        clock::sleep_until_ns(wake_ns);
        let late_ns = clock::now_ns() - wake_ns;
        compute(burst);
        let now_ns = clock::now_ns();
        let response_ns = now_ns - wake_ns;
        board.record(Sample {
            late_ns,
            response_ns,
        });
        let missed = response_ns / period_ns;
        board.counters[MISSED].fetch_add(missed, Relaxed);
        wake_ns += (missed + 1) * period_ns;
    }
    0
}

/// Computes until it is killed.
pub(super) fn be_a_hog(
    board: &Board,
    start: &PipeReader,
    hog: usize,
    calibration: &Calibration,
) -> i32 {
    if !wait(start) {
        return 1;
    }
    let chunk = calibration.units(CHUNK_NS);
    loop {
        compute(chunk);
        board.counters[HOGS + LINE * hog].fetch_add(chunk, Relaxed);
    }
}

/// Forks children that soon end, waits for them and forks the next, until it is killed.
pub(super) fn be_a_storm(
    board: &Board,
    start: &PipeReader,
    name: &CStr,
    forks: usize,
    seed: u64,
    calibration: &Calibration,
) -> i32 {
    if !wait(start) {
        return 1;
    }
    let mut random = fastrand::Rng::with_seed(seed);
    // On the stack, since nothing may be allocated here.
    let mut children = [const { None::<Child> }; MAX_FORKS];
    loop {
        for child in children.iter_mut().take(forks) {
            let work = calibration.units(random.u64(..FORK_WORK_MAX_US) as f64 * 1000.0);
            let forked = Child::fork(name, &[], || {
                compute(work);
                0
            });
            *child = forked.ok();
            board.counters[FORKS].fetch_add(u64::from(child.is_some()), Relaxed);
        }
        if children.iter().all(Option::is_none) {
            // The kernel has no more processes for us; it is not to be asked without pause.
            clock::sleep(Duration::from_millis(1));
        }
        for child in children.iter_mut().filter_map(Option::take) {
            let mut child = child;
            // Whoever cannot be waited for is killed and reaped by its drop.
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_handed_over_once_and_losses_counted() {
        let board = Board::new(1).unwrap();
        let sample = |number: u64| Sample {
            late_ns: number,
            response_ns: 2 * number,
        };
        let (mut read, mut seen) = (0, Vec::new());
        (0..3).for_each(|number| board.record(sample(number)));
        assert_eq!(board.read(&mut read, |sample| seen.push(sample)), 0);
        assert_eq!(board.read(&mut read, |_| panic!("no more")), 0);
        let more = RING_SAMPLES as u64 + 5;
        (3..3 + more).for_each(|number| board.record(sample(number)));
        assert_eq!(board.read(&mut read, |sample| seen.push(sample)), 5);
        assert_eq!(seen[..3], [sample(0), sample(1), sample(2)]);
        assert_eq!(seen[3..].first(), Some(&sample(8)));
        assert_eq!(seen.last(), Some(&sample(2 + more)));
    }

    #[test]
    fn a_polite_process_and_hostile_ones_live_and_tell() {
        let board = Board::new(1).unwrap();
        let calibration = Calibration {
            units_per_ms: 1000.0,
            spread: 0.0,
        };
        let (start, go) = io::pipe().unwrap();
        let keep = [std::os::fd::AsRawFd::as_raw_fd(&start)];
        let fork = |work: &dyn Fn() -> i32| Child::fork(c"test", &keep, work).unwrap();
        let mut polite = fork(&|| be_polite(&board, &start, 2_000_000, 10));
        let hog = fork(&|| be_a_hog(&board, &start, 0, &calibration));
        let storm = fork(&|| be_a_storm(&board, &start, c"fork", 2, 1, &calibration));
        io::Write::write_all(&mut &go, &[1; 3]).unwrap();
        let (mut read, mut samples) = (0, 0);
        let done = |samples: u64| samples >= 3 && board.work() > 0 && board.forks() > 4;
        for _ in 0..1000 {
            board.read(&mut read, |sample| {
                assert!(sample.late_ns <= sample.response_ns);
                samples += 1;
            });
            if done(samples) {
                break;
            }
            clock::sleep(Duration::from_millis(10));
        }
        assert!(
            done(samples),
            "{samples} {} {}",
            board.work(),
            board.forks()
        );
        board.end();
        assert_eq!(polite.wait().unwrap(), 0);
        drop((hog, storm));
    }
}

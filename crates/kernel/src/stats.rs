//! The relay's counters and latencies, as text and as JSON.
#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    fmt,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd},
};

use serde::Serialize;

use crate::abi::{COUNTERS, HIST_BUCKETS, RawStats};

/// Reads the relay's counters, which its map `stats_map` holds for each CPU; zeros if
/// the system refuses.
pub(crate) fn read_stats(map: BorrowedFd<'_>) -> Stats {
    let cpus = libbpf_rs::num_possible_cpus().unwrap_or(0);
    let mut values = vec![0_u64; cpus * size_of::<RawStats>().div_ceil(8)];
    let key = 0_u32;
    // SAFETY: a live key, and room for one value of each possible CPU, as the map is.
    let answer = unsafe {
        libbpf_sys::bpf_map_lookup_elem(
            map.as_raw_fd(),
            (&raw const key).cast(),
            values.as_mut_ptr().cast(),
        )
    };
    if answer != 0 {
        values.clear();
    }
    // SAFETY: numbers, read as the bytes that they are.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len() * 8) };
    Stats::sum(bytes.chunks_exact(size_of::<RawStats>().next_multiple_of(8)))
}

/// A histogram with four buckets for each power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; HIST_BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; HIST_BUCKETS],
        }
    }
}

/// Lowest value that falls into a bucket, as `baton_bucket_of` in the relay sorts them.
fn lower_bound(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (log, quarter) = (bucket / 4, (bucket % 4) as u64);
    (1 << log) + (quarter << (log - 2))
}

/// Highest value of a bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (log, quarter) = (bucket / 4, (bucket % 4) as u64);
    (1 << log) + ((quarter + 1) << (log - 2)) - 1
}

impl Histogram {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The value below which the share `quantile` (0 to 1) of all lies, at most
    /// 25 % too high; 0 of an empty histogram.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.bucket_at(quantile).map_or(0, upper_bound)
    }

    /// As [`Histogram::quantile`], but at most 20 % too low instead.
    #[must_use]
    pub fn quantile_at_least(&self, quantile: f64) -> u64 {
        self.bucket_at(quantile).map_or(0, lower_bound)
    }

    fn bucket_at(&self, quantile: f64) -> Option<usize> {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })
    }

    /// Counts a value so many times, in the bucket that the relay would choose.
    #[cfg(test)]
    pub(crate) fn record(&mut self, value: u64, times: u64) {
        let fits = |bucket: &usize| upper_bound(*bucket) >= value;
        let bucket = (0..HIST_BUCKETS)
            .filter(|bucket| !(4..8).contains(bucket))
            .find(fits);
        self.buckets[bucket.expect("a small value")] += times;
    }

    fn subtract(&mut self, other: &Self) {
        for (ours, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *ours = ours.saturating_sub(*theirs);
        }
    }

    fn add(&mut self, other: &[u64; HIST_BUCKETS]) {
        for (ours, theirs) in self.buckets.iter_mut().zip(other) {
            *ours += theirs;
        }
    }

    fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            p50_ns: self.quantile(0.5),
            p90_ns: self.quantile(0.9),
            p99_ns: self.quantile(0.99),
            p999_ns: self.quantile(0.999),
            max_ns: self.quantile(1.0),
        }
    }
}

/// Quantiles of a histogram, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many values.
    pub count: u64,
    /// Median.
    pub p50_ns: u64,
    /// 90 % lie below.
    pub p90_ns: u64,
    /// 99 % lie below.
    pub p99_ns: u64,
    /// 99.9 % lie below.
    pub p999_ns: u64,
    /// Upper bound of the highest bucket in use.
    pub max_ns: u64,
}

/// What a relay did, summed over CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Counters by name; `bpf/include/abi.h` tells what each counts.
    pub counters: BTreeMap<&'static str, u64>,
    /// From a task's enqueue to its decision.
    #[serde(serialize_with = "serialize_summary")]
    pub queue_to_decision: Histogram,
    /// From the decision until it ran.
    #[serde(serialize_with = "serialize_summary")]
    pub decision_to_run: Histogram,
    /// From becoming runnable to running.
    #[serde(serialize_with = "serialize_summary")]
    pub wait: Histogram,
    /// The same, of those that became runnable by a wakeup.
    #[serde(serialize_with = "serialize_summary")]
    pub wakeup: Histogram,
    /// Longest time from runnable to running.
    pub wait_max_ns: u64,
    /// Longest wait that ended while the process was silent, as far as it lies in the silence.
    pub silent_wait_max_ns: u64,
    /// Who waited for [`Stats::wait_max_ns`].
    pub wait_max_pid: u32,
}

fn serialize_summary<S: serde::Serializer>(
    histogram: &Histogram,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    histogram.summary().serialize(serializer)
}

impl Stats {
    /// What was counted since `before`. The longest waits are those since the start.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        for (name, value) in &mut self.counters {
            *value = value.saturating_sub(before.counter(name));
        }
        self.queue_to_decision.subtract(&before.queue_to_decision);
        self.decision_to_run.subtract(&before.decision_to_run);
        self.wait.subtract(&before.wait);
        self.wakeup.subtract(&before.wakeup);
        self
    }

    /// Sums the relay's values, one `struct baton_stats` for each CPU.
    pub(crate) fn sum<'a>(per_cpu: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut stats = Self::default();
        for bytes in per_cpu {
            if bytes.len() < size_of::<RawStats>() {
                continue;
            }
            // SAFETY: long enough, and every bit pattern is a RawStats.
            let raw: RawStats = unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) };
            for (name, value) in COUNTERS.iter().zip(raw.counter) {
                *stats.counters.entry(name).or_default() += value;
            }
            stats.queue_to_decision.add(&raw.queue_to_decision);
            stats.decision_to_run.add(&raw.decision_to_run);
            stats.wait.add(&raw.wait);
            stats.wakeup.add(&raw.wakeup);
            stats.silent_wait_max_ns = stats.silent_wait_max_ns.max(raw.silent_wait_max_ns);
            if raw.wait_max_ns > stats.wait_max_ns {
                stats.wait_max_ns = raw.wait_max_ns;
                stats.wait_max_pid = raw.wait_max_pid;
            }
        }
        stats
    }

    /// A counter by its name; 0 for a name that does not exist.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for names in COUNTERS.chunks(3) {
            let cells: Vec<_> = names
                .iter()
                .map(|name| format!("{name:<16}{:>10}", self.counter(name)))
                .collect();
            writeln!(f, "  {}", cells.join("   "))?;
        }
        writeln!(
            f,
            "  {:<20}{:>9}{:>9}{:>9}{:>9}",
            "microseconds", "p50", "p90", "p99", "max"
        )?;
        let rows = [
            ("queue to decision", &self.queue_to_decision),
            ("decision to run", &self.decision_to_run),
            ("runnable to running", &self.wait),
            ("woken to running", &self.wakeup),
        ];
        for (name, histogram) in rows {
            write!(f, "  {name:<20}")?;
            for quantile in [0.5, 0.9, 0.99, 1.0] {
                write!(f, "{:>9}", histogram.quantile(quantile).div_ceil(1000))?;
            }
            writeln!(f)?;
        }
        write!(
            f,
            "  longest wait {:.1} ms (pid {})",
            self.wait_max_ns as f64 / 1e6,
            self.wait_max_pid
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_known_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        histogram.buckets[3] = 50;
        histogram.buckets[40] = 49;
        histogram.buckets[80] = 1;
        assert_eq!(histogram.quantile(0.5), 3);
        assert_eq!(histogram.quantile(0.99), upper_bound(40));
        assert_eq!(histogram.quantile(1.0), upper_bound(80));
    }

    #[test]
    fn buckets_follow_each_other() {
        assert_eq!(upper_bound(8), 4);
        assert_eq!(upper_bound(11), 7);
        assert_eq!(upper_bound(12), 9);
        assert_eq!(upper_bound(40), 1279);
    }

    #[test]
    #[allow(unsafe_code)]
    fn buckets_are_the_relays() {
        unsafe extern "C" {
            fn baton_test_bucket_of(value: u64) -> u32;
        }
        // SAFETY: a pure function of a C object that is linked into this test.
        let bucket_of = |value| unsafe { baton_test_bucket_of(value) } as usize;
        for bucket in (0..4).chain(8..HIST_BUCKETS) {
            assert_eq!(bucket_of(lower_bound(bucket)), bucket);
            assert_eq!(bucket_of(upper_bound(bucket)), bucket);
        }
        for seconds in [4.295, 6.5, 8.5, 8.6, 100.0] {
            assert_eq!(bucket_of((seconds * 1e9) as u64), HIST_BUCKETS - 1);
        }
    }

    #[test]
    fn short_values_are_passed_over() {
        assert_eq!(Stats::sum([&[0_u8; 8][..]].into_iter()), Stats::default());
    }
}

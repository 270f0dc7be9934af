//! A condition on latencies that must hold, or the machine goes back to the kernel's own
//! scheduler.

use std::{fmt, str::FromStr, time::Instant};

use crate::stats::{Histogram, Stats};

/// How long one look spans.
const WINDOW_S: f64 = 1.0;
/// Looks in a row that must fail: one alone may be a hiccup of the machine.
const STRIKES: u32 = 3;
/// A quantile of fewer values means little.
const VALUES_MIN: u64 = 20;

/// What a guard looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latency {
    Wakeup,
    Wait,
    Decision,
}

const LATENCIES: [(&str, Latency); 3] = [
    ("wakeup", Latency::Wakeup),
    ("wait", Latency::Wait),
    ("decision", Latency::Decision),
];
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p999", 0.999),
    ("max", 1.0),
];
const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];

/// A condition such as `p99_wakeup<5ms`: a quantile (`p50`, `p90`, `p99`, `p999`, `max`)
/// of a latency, and its limit. Latencies are `wakeup`, from being woken to running;
/// `wait`, from becoming runnable for whatever reason to running; and `decision`, from the
/// enqueue to the policy's decision.
///
/// Judged over windows of a second with 20 values or more; three in a row at or over the
/// limit break it. Quantiles are of histograms whose buckets are 25 % wide, and the lower end
/// of a bucket counts: nobody loses the machine who might have kept the limit.
///
/// ```
/// let guard: baton_kernel::Guard = "p99_wakeup<5ms".parse().unwrap();
/// assert_eq!(guard.to_string(), "p99_wakeup<5ms");
/// assert!("p99_wakeup<soon".parse::<baton_kernel::Guard>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    text: String,
    quantile: f64,
    latency: Latency,
    limit_ns: u64,
}

impl FromStr for Guard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let compact: String = text.split_whitespace().collect();
        parse(&compact).ok_or_else(|| {
            format!(
                "`{text}` is no condition: write a quantile (p50, p90, p99, p999, max), `_`, a \
                 latency (wakeup, wait, decision), `<` and a limit, such as p99_wakeup<5ms"
            )
        })
    }
}

fn parse(text: &str) -> Option<Guard> {
    let (what, limit) = text.split_once('<')?;
    let (quantile, latency) = what.split_once('_')?;
    let number_end = limit.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = limit.split_at(number_end);
    let scale = find(&UNITS, unit)?;
    let limit_ns = number.parse::<f64>().ok()? * scale;
    if !(1.0..=1e12).contains(&limit_ns) {
        return None;
    }
    Some(Guard {
        text: text.to_owned(),
        quantile: find(&QUANTILES, quantile)?,
        latency: find(&LATENCIES, latency)?,
        limit_ns: limit_ns as u64,
    })
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|row| row.1)
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Guard {
    /// Whether it looks at the policy's decisions, of which there are none in hint mode.
    #[must_use]
    pub fn is_of_decisions(&self) -> bool {
        self.latency == Latency::Decision
    }

    fn histogram<'a>(&self, stats: &'a Stats) -> &'a Histogram {
        match self.latency {
            Latency::Wakeup => &stats.wakeup,
            Latency::Wait => &stats.wait,
            Latency::Decision => &stats.queue_to_decision,
        }
    }
}

/// A guard at work.
#[derive(Debug)]
pub(crate) struct Sentry {
    guard: Guard,
    before: Stats,
    since: Instant,
    strikes: u32,
}

impl Sentry {
    pub(crate) fn new(guard: Guard, now: Instant, stats: Stats) -> Self {
        Self {
            guard,
            before: stats,
            since: now,
            strikes: 0,
        }
    }

    pub(crate) fn condition(&self) -> String {
        self.guard.to_string()
    }

    /// Whether a window is over and should be judged.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.since).as_secs_f64() >= WINDOW_S
    }

    /// Judges the window that ends now. Once the condition is broken: what the latency was at
    /// least.
    pub(crate) fn judge(&mut self, now: Instant, stats: Stats) -> Option<u64> {
        let window = stats.clone().since(&self.before);
        (self.before, self.since) = (stats, now);
        let histogram = self.guard.histogram(&window);
        if histogram.count() < VALUES_MIN {
            return None;
        }
        let value_ns = histogram.quantile_at_least(self.guard.quantile);
        self.strikes = match value_ns >= self.guard.limit_ns {
            true => self.strikes + 1,
            false => 0,
        };
        (self.strikes >= STRIKES).then_some(value_ns)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn conditions() {
        for (text, limit_ns) in [
            ("p99_wakeup<5ms", 5_000_000),
            ("max_wait < 0.5 s", 500_000_000),
            ("p50_decision<20us", 20_000),
        ] {
            assert_eq!(text.parse::<Guard>().unwrap().limit_ns, limit_ns, "{text}");
        }
        for text in [
            "",
            "p99_wakeup",
            "p98_wakeup<5ms",
            "p99_sleep<5ms",
            "p99_wakeup<5",
            "p99_wakeup<0ms",
            "p99_wakeup>5ms",
        ] {
            assert!(text.parse::<Guard>().is_err(), "{text}");
        }
    }

    #[test]
    fn three_windows_in_a_row_break_it() {
        let guard: Guard = "p99_wait<1ms".parse().unwrap();
        let start = Instant::now();
        let mut stats = Stats::default();
        let mut sentry = Sentry::new(guard, start, stats.clone());
        let mut window = |values: u64, value_ns: u64, second: u64| {
            stats.wait.record(value_ns, values);
            let now = start + Duration::from_secs(second);
            assert!(sentry.is_due(now));
            sentry.judge(now, stats.clone())
        };
        assert_eq!(window(100, 2_000_000, 1), None);
        assert_eq!(window(100, 2_000_000, 2), None);
        // A good one in between, and one with too few values, which says nothing.
        assert_eq!(window(100, 2_000, 3), None);
        assert_eq!(window(100, 2_000_000, 4), None);
        assert_eq!(window(100, 2_000_000, 5), None);
        assert_eq!(window(3, 2_000_000, 6), None);
        let broken = window(100, 2_000_000, 7);
        assert!(
            broken.is_some_and(|value_ns| (1_600_000..=2_000_000).contains(&value_ns)),
            "{broken:?}"
        );
    }

    #[test]
    fn what_may_have_held_does_not_break() {
        let start = Instant::now();
        let mut stats = Stats::default();
        let guard = "p99_wakeup<5ms".parse().unwrap();
        let mut sentry = Sentry::new(guard, start, stats.clone());
        for second in 1..10 {
            // In the bucket that ends at 5.24 ms.
            stats.wakeup.record(4_200_000, 100);
            let now = start + Duration::from_secs(second);
            assert_eq!(sentry.judge(now, stats.clone()), None);
        }
    }
}

//! What is remembered of a task between two bursts.

use crate::{Feature, Features, log2_q8, scale::TIME_MAX};

/// A share of 1.
pub(crate) const ONE: u16 = 1 << 13;

/// What a task did so far. Each event costs a few operations, whatever came before.
///
/// Call [`History::woken`] when the task wakes, [`History::ran`] when it leaves its CPU, and then
/// [`History::slept`] or [`History::preempted`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The last four bursts, the newest first.
    last: [u64; 4],
    average_ns: u64,
    deviation_ns: u64,
    interval_ns: u64,
    slept_ns: u64,
    woken_ns: u64,
    /// CPU time since the last sleep.
    burst_ns: u64,
    known: u16,
    voluntary: u16,
}

/// Who woke a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waker {
    /// Its last burst, nanoseconds; 0 if none is known.
    pub last_ns: u64,
    /// It is of the same process.
    pub is_relative: bool,
}

/// What is known of a task besides its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Who woke it; none: an interrupt.
    pub waker: Option<Waker>,
    /// 1 to 10000, 100 at nice 0.
    pub weight: u32,
    /// It is a thread of the kernel.
    pub is_kernel: bool,
    /// Of [`hash_name`](crate::hash_name).
    pub name: u16,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            waker: None,
            weight: 100,
            is_kernel: false,
            name: 0,
        }
    }
}

/// The average when a new value has a weight of a quarter.
const fn blend(average: u64, value: u64) -> u64 {
    average - (average >> 2) + (value >> 2)
}

impl History {
    /// It wakes, after a sleep of this length if that is known.
    pub fn woken(&mut self, now_ns: u64, slept_ns: Option<u64>) {
        if self.woken_ns != 0 {
            let interval_ns = now_ns.saturating_sub(self.woken_ns).min(TIME_MAX);
            self.interval_ns = match self.interval_ns {
                0 => interval_ns,
                average => blend(average, interval_ns),
            };
        }
        self.woken_ns = now_ns;
        self.slept_ns = slept_ns.unwrap_or(0).min(TIME_MAX);
    }

    /// It had a CPU for this long.
    pub fn ran(&mut self, runtime_ns: u64) {
        self.burst_ns = self.burst_ns.saturating_add(runtime_ns).min(TIME_MAX);
    }

    /// It left its CPU though it could go on.
    pub fn preempted(&mut self) {
        self.voluntary -= self.voluntary >> 3;
    }

    /// It left its CPU to sleep: its burst is known.
    pub fn slept(&mut self) {
        self.voluntary += (ONE - self.voluntary) >> 3;
        let burst_ns = core::mem::take(&mut self.burst_ns);
        if self.known == 0 {
            self.last = [burst_ns; 4];
            self.average_ns = burst_ns;
        } else {
            self.last = [burst_ns, self.last[0], self.last[1], self.last[2]];
            self.deviation_ns = blend(self.deviation_ns, burst_ns.abs_diff(self.average_ns));
            self.average_ns = blend(self.average_ns, burst_ns);
        }
        self.known = self.known.saturating_add(1);
    }

    /// Its burst was lost from sight: what it ran since its last sleep does not count.
    pub fn lost(&mut self) {
        self.burst_ns = 0;
    }

    /// CPU time since it last slept, nanoseconds.
    #[must_use]
    pub const fn burst_ns(&self) -> u64 {
        self.burst_ns
    }

    /// Its last four bursts, the newest first, nanoseconds; those before the first one known are equal to it.
    #[must_use]
    pub const fn last(&self) -> [u64; 4] {
        self.last
    }

    /// Exponential average of its bursts, nanoseconds.
    #[must_use]
    pub const fn average_ns(&self) -> u64 {
        self.average_ns
    }

    /// Exponential average of how far its bursts were from the average, nanoseconds.
    #[must_use]
    pub const fn deviation_ns(&self) -> u64 {
        self.deviation_ns
    }

    /// How many bursts are known, at most 65535.
    #[must_use]
    pub const fn known(&self) -> u16 {
        self.known
    }

    /// What a model looks at.
    #[must_use]
    pub fn features(&self, context: &Context) -> Features {
        let share = |holds: bool| if holds { ONE } else { 0 };
        let waker = context.waker.unwrap_or_default();
        let mut features = [0; crate::FEATURES];
        let mut set = |feature: Feature, value: u16| features[feature as usize] = value;
        set(Feature::Last1, log2_q8(self.last[0]));
        set(Feature::Last2, log2_q8((self.last[0] + self.last[1]) / 2));
        set(Feature::Last4, log2_q8(self.last.iter().sum::<u64>() / 4));
        set(Feature::Average, log2_q8(self.average_ns));
        set(Feature::Deviation, log2_q8(self.deviation_ns));
        set(Feature::Slept, log2_q8(self.slept_ns));
        set(Feature::Interval, log2_q8(self.interval_ns));
        set(Feature::WakerLast1, log2_q8(waker.last_ns));
        set(Feature::Interrupt, share(context.waker.is_none()));
        set(Feature::Relative, share(waker.is_relative));
        set(Feature::Voluntary, self.voluntary);
        set(Feature::Weight, log2_q8(u64::from(context.weight)));
        set(Feature::Kernel, share(context.is_kernel));
        set(Feature::Name, context.name & crate::VALUE_MAX);
        set(Feature::Known, log2_q8(u64::from(self.known) + 1));
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(history: &mut History, now_ns: u64, runs: &[u64]) {
        history.woken(now_ns, Some(1000));
        for (index, run) in runs.iter().enumerate() {
            history.ran(*run);
            match index + 1 == runs.len() {
                true => history.slept(),
                false => history.preempted(),
            }
        }
    }

    #[test]
    fn pieces_are_joined() {
        let mut history = History::default();
        live(&mut history, 1, &[100, 200, 300]);
        assert_eq!((history.last()[0], history.known()), (600, 1));
        live(&mut history, 5, &[1000]);
        assert_eq!(history.last(), [1000, 600, 600, 600]);
        assert_eq!(history.average_ns(), 600 - 150 + 250);
        assert_eq!(history.deviation_ns(), 100);
    }

    #[test]
    fn all_values_stay_in_range() {
        let mut rng = baton_policy::Rng::new(7);
        let mut history = History::default();
        let mut now_ns = 0_u64;
        for _ in 0..20_000 {
            let bits = rng.below(64);
            let value = rng.next_u64() >> bits;
            now_ns = now_ns.wrapping_add(value);
            match rng.below(5) {
                0 => history.woken(now_ns, Some(value)),
                1 => history.ran(value),
                2 => history.preempted(),
                3 => history.slept(),
                _ => history.lost(),
            }
            let context = Context {
                waker: Some(Waker {
                    last_ns: value,
                    is_relative: true,
                }),
                weight: 1 + (value % 10_000) as u32,
                is_kernel: true,
                name: value as u16,
            };
            let features = history.features(&context);
            for feature in Feature::ALL {
                let value = features[feature as usize];
                assert!(value <= feature.greatest(), "{feature:?}: {value}");
            }
        }
    }

    #[test]
    fn a_task_that_always_sleeps_is_voluntary() {
        let mut history = History::default();
        for round in 0..100 {
            live(&mut history, round, &[10]);
        }
        let share = history.features(&Context::default())[Feature::Voluntary as usize];
        assert!(share > ONE - 16, "{share}");
        for _ in 0..100 {
            history.preempted();
        }
        let share = history.features(&Context::default())[Feature::Voluntary as usize];
        assert!(share < 16, "{share}");
    }
}

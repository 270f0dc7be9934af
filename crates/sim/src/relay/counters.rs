//! The relay's counters, by the names that `baton run --stats` shows.

macro_rules! counters {
    ($($variant:ident => $name:literal,)+) => {
        /// What is counted; `bpf/include/abi.h` tells what each means.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Count { $($variant,)+ }

        const NAMES: &[&str] = &[$($name,)+];

        /// The counts.
        #[derive(Clone, Debug)]
        pub(super) struct Counters([u64; NAMES.len()]);

        impl Default for Counters {
            fn default() -> Self {
                Self([0; NAMES.len()])
            }
        }
    };
}

counters! {
    Events => "events",
    Lost => "lost",
    Enqueues => "enqueues",
    Held => "held",
    FastIdle => "fast_idle",
    FastSync => "fast_sync",
    Batches => "batches",
    Decisions => "decisions",
    Stale => "stale",
    Gone => "gone",
    Invalid => "invalid",
    Rescues => "rescues",
    Bypassed => "bypassed",
    Starved => "starved",
    ToIdle => "to_idle",
    Preemptions => "preemptions",
    Holds => "holds",
    Wakeups => "wakeups",
    Dry => "dry",
    Cut => "cut",
    Hinted => "hinted",
    Hints => "hints",
    Fed => "fed",
    PerfSet => "perf_set",
    Deferred => "deferred",
    Handovers => "handovers",
    GuessModel => "guess_model",
    GuessAverage => "guess_average",
    GuessUnsure => "guess_unsure",
    GuessOff => "guess_off",
    GuessApart => "guess_apart",
    ModelOff => "model_off",
    ModelOn => "model_on",
    Judged => "judged",
    ErrorModel => "error_model",
    ErrorAverage => "error_average",
    GuessRegular => "guess_regular",
}

impl Counters {
    pub(super) const fn count(&mut self, what: Count) {
        self.0[what as usize] += 1;
    }

    pub(super) const fn add(&mut self, what: Count, value: u64) {
        self.0[what as usize] += value;
    }

    pub(super) fn entries(&self) -> Vec<(&'static str, u64)> {
        NAMES.iter().copied().zip(self.0).collect()
    }
}

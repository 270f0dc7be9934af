//! What a policy asks of its backend, fixed while it runs.

use baton_model::Prediction;

use crate::{ClassUse, Classes, Interests, MS, SEC, weighted};

/// How the backend computes a key where it does not wait for the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum KeyRule {
    /// The time of the enqueue: first come, first served.
    EnqueueTime,
    /// The time of the enqueue plus the weighted CPU time used since the last
    /// sleep, capped: tasks that sleep soon go before tasks that compute.
    Deadline {
        /// Most that the CPU time can add.
        burst_max_ns: u64,
    },
}

impl KeyRule {
    /// The key of a task enqueued at `time_ns`, before its `key_offset` is added.
    /// The relay computes the same in BPF; a policy that uses this function too
    /// orders tasks alike on both paths.
    #[must_use]
    pub const fn key(self, time_ns: u64, burst_ns: u64, weight: u32) -> u64 {
        match self {
            Self::EnqueueTime => time_ns,
            Self::Deadline { burst_max_ns } => {
                let burst = weighted(burst_ns, weight);
                time_ns.wrapping_add(if burst < burst_max_ns {
                    burst
                } else {
                    burst_max_ns
                })
            }
        }
    }
}

/// How the backend divides a slice for which a decision names no length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SliceRule {
    /// Not at all.
    #[default]
    Whole,
    /// By the number of waiting tasks and one.
    Waiting,
    /// By the number of waiting tasks for each CPU and one.
    WaitingPerCpu,
}

impl SliceRule {
    /// The slice where `waiting` tasks wait for `cpus` online CPUs. The relay computes
    /// the same in BPF, and then keeps to [`Options::slice_min_ns`].
    #[must_use]
    pub const fn slice_ns(self, slice_ns: u64, waiting: u32, cpus: u32) -> u64 {
        let turns = match self {
            Self::Whole => 1,
            Self::Waiting => waiting as u64 + 1,
            Self::WaitingPerCpu => (waiting / if cpus == 0 { 1 } else { cpus }) as u64 + 1,
        };
        slice_ns / turns
    }
}

/// How a policy acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// It decides each dispatch.
    #[default]
    Decide,
    /// The backend dispatches at once, by [`Options::key_rule`] and
    /// [`Options::slice_rule`] and by what the policy last said of the task; the policy
    /// hears of it now and then, and says it anew.
    Hint,
    /// As [`Mode::Hint`], and the backend guesses each burst by [`Options::prediction`]: what it
    /// places, it places by the guess too.
    Infer,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Decide, Self::Hint, Self::Infer];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Hint => "hint",
            Self::Infer => "infer",
        }
    }

    /// Whether the backend dispatches at once and the policy gives hints.
    #[must_use]
    pub const fn is_hinted(self) -> bool {
        matches!(self, Self::Hint | Self::Infer)
    }

    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// When a waking task may take the CPU of a running one. Judged at the moment of
/// placement, where what runs is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Preemption {
    /// CPU time that the running task must have used since its last sleep.
    pub min_burst_ns: u64,
    /// How much earlier the new task's key must be.
    pub min_lead_ns: u64,
}

impl Default for Preemption {
    fn default() -> Self {
        Self {
            min_burst_ns: 2 * MS,
            min_lead_ns: MS,
        }
    }
}

/// What a policy asks of its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Options {
    /// Events the policy wants to hear.
    pub interests: Interests,
    /// Slice where a decision names none and where the backend places a task, before
    /// it is divided.
    pub slice_ns: u64,
    /// How such a slice is divided.
    pub slice_rule: SliceRule,
    /// What is left of it at least.
    pub slice_min_ns: u64,
    /// A waking task takes an idle CPU at once, without a decision.
    pub idle_fast_path: bool,
    /// How the policy acts; [`crate::Setup::mode`] tells what was asked for.
    pub mode: Mode,
    /// The keys of tasks that the backend puts into the ready queue itself.
    pub key_rule: KeyRule,
    /// A task woken synchronously goes into the ready queue at once, at its key; also one
    /// whose waker always sleeps right after waking somebody.
    pub sync_fast_path: bool,
    /// Thresholds of preemption.
    pub preemption: Preemption,
    /// How long the policy may be left asleep over a task that lost its CPU and goes on
    /// waiting, while others are ready to run; 0: it is told at once. A wakeup, or a CPU
    /// that finds nothing ready, ends that sooner. Worth its while where ready tasks
    /// are run in the right order without the policy; one that would put such a task
    /// before them wants 0. Most is half of [`Options::rescue_after_ns`].
    pub requeue_patience_ns: u64,
    /// Whether decisions set [`crate::Decision::performance`]; otherwise the backend
    /// ignores it and is spared the work.
    pub performance: bool,
    /// How bursts are guessed; then each enqueue that is told of brings the task's features along,
    /// and in [`Mode::Infer`] the backend guesses itself.
    pub prediction: Option<Prediction>,
    /// After how long without a decision, or after a lease's end, the backend
    /// schedules a task itself.
    pub rescue_after_ns: u64,
    /// Slice of a rescued task.
    pub rescue_slice_ns: u64,
    /// After how long in the ready queue a task is run whatever its key.
    pub starve_after_ns: u64,
    /// Most tasks the policy can know at once; more are left to rescue.
    pub tasks_max: u32,
}

impl Options {
    /// Shortest slice a backend grants.
    pub const SLICE_MIN_NS: u64 = 100_000;
    /// Longest slice a backend grants.
    pub const SLICE_MAX_NS: u64 = 100 * MS;
    /// Longest lease of [`crate::Placement::Hold`].
    pub const LEASE_MAX_NS: u64 = SEC;

    /// The slice that a backend grants where a decision names `decided_ns`: if that is
    /// 0, by [`Options::slice_rule`]; in either case within the bounds.
    #[must_use]
    pub fn granted_slice_ns(&self, decided_ns: u64, waiting: u32, cpus: u32) -> u64 {
        let slice_ns = match decided_ns {
            0 => {
                let divided_ns = self.slice_rule.slice_ns(self.slice_ns, waiting, cpus);
                divided_ns.max(self.slice_min_ns)
            }
            named_ns => named_ns,
        };
        slice_ns.clamp(Self::SLICE_MIN_NS, Self::SLICE_MAX_NS)
    }

    /// The options within a backend's bounds: slices between [`Self::SLICE_MIN_NS`]
    /// and [`Self::SLICE_MAX_NS`], rescue after 1 ms to 1 s, starvation after 10 ms to
    /// 2 s (the kernel takes the machine back after 5), 1 to 2^20 tasks, patience of at
    /// most half the time to rescue, a guess's delay of at most 1 s. What is outside goes to the nearer bound.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            slice_ns: self.slice_ns.clamp(Self::SLICE_MIN_NS, Self::SLICE_MAX_NS),
            slice_min_ns: self
                .slice_min_ns
                .clamp(Self::SLICE_MIN_NS, Self::SLICE_MAX_NS),
            rescue_after_ns: self.rescue_after_ns.clamp(MS, SEC),
            rescue_slice_ns: self
                .rescue_slice_ns
                .clamp(Self::SLICE_MIN_NS, Self::SLICE_MAX_NS),
            starve_after_ns: self.starve_after_ns.clamp(10 * MS, 2 * SEC),
            tasks_max: self.tasks_max.clamp(1, 1 << 20),
            prediction: self.prediction.map(|rule| Prediction {
                delay_max_ns: rule.delay_max_ns.min(SEC),
                ..rule
            }),
            requeue_patience_ns: self
                .requeue_patience_ns
                .min(self.rescue_after_ns.clamp(MS, SEC) / 2),
            ..self
        }
    }

    /// The options without the fast paths that would pass over what a policy heeds of
    /// the classes. A fast path knows a task's affinity and the kernel's weight of it,
    /// but no class: it would use CPUs that the class leaves out, or compute a key by
    /// another weight than the policy. In hint mode nothing else is left: keys are by
    /// the kernel's weight there.
    #[must_use]
    pub fn for_classes(self, classes: &Classes, heeded: ClassUse) -> Self {
        let weighs = matches!(self.key_rule, KeyRule::Deadline { .. });
        let cpus = heeded.cpus && classes.name_cpus();
        let weights = heeded.weight && classes.set_weights() && weighs;
        Self {
            idle_fast_path: self.idle_fast_path && !cpus,
            sync_fast_path: self.sync_fast_path && !cpus && !weights,
            ..self
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interests: Interests::default(),
            slice_ns: 20 * MS,
            slice_rule: SliceRule::Whole,
            slice_min_ns: Self::SLICE_MIN_NS,
            idle_fast_path: true,
            mode: Mode::Decide,
            key_rule: KeyRule::EnqueueTime,
            sync_fast_path: false,
            preemption: Preemption::default(),
            requeue_patience_ns: 4 * MS,
            performance: false,
            prediction: None,
            rescue_after_ns: 20 * MS,
            rescue_slice_ns: 5 * MS,
            starve_after_ns: SEC,
            tasks_max: 16_384,
        }
    }
}

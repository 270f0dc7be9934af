//! What a policy asks of its backend, fixed while it runs.

use crate::{Interests, MS, SEC, weighted};

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
    /// Slice where a decision names none and where the backend places a task.
    pub slice_ns: u64,
    /// A waking task takes an idle CPU at once, without a decision.
    pub idle_fast_path: bool,
    /// A task woken synchronously goes into the ready queue at once, with a key
    /// by this rule.
    pub sync_fast_path: Option<KeyRule>,
    /// Thresholds of preemption.
    pub preemption: Preemption,
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

    /// The options within a backend's bounds: slices between [`Self::SLICE_MIN_NS`]
    /// and [`Self::SLICE_MAX_NS`], rescue after 1 ms to 1 s, starvation after 10 ms to
    /// 2 s (the kernel takes the machine back after 5), 1 to 2^20 tasks. What is outside goes to the nearer bound.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            slice_ns: self.slice_ns.clamp(Self::SLICE_MIN_NS, Self::SLICE_MAX_NS),
            rescue_after_ns: self.rescue_after_ns.clamp(MS, SEC),
            rescue_slice_ns: self
                .rescue_slice_ns
                .clamp(Self::SLICE_MIN_NS, Self::SLICE_MAX_NS),
            starve_after_ns: self.starve_after_ns.clamp(10 * MS, 2 * SEC),
            tasks_max: self.tasks_max.clamp(1, 1 << 20),
            ..self
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interests: Interests::default(),
            slice_ns: 20 * MS,
            idle_fast_path: true,
            sync_fast_path: None,
            preemption: Preemption::default(),
            rescue_after_ns: 20 * MS,
            rescue_slice_ns: 5 * MS,
            starve_after_ns: SEC,
            tasks_max: 16_384,
        }
    }
}

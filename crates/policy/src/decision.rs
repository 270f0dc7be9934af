//! What a policy answers.

use crate::TaskKey;

/// Where a task goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Placement {
    /// Into the ready queue, at its key: the first allowed CPU that runs dry takes
    /// the task with the earliest key. An idle allowed CPU takes it at once.
    Ready {
        /// Earlier keys run first; see [`crate::key_before`].
        key: u64,
    },
    /// To this CPU's own queue, whatever the ready queue holds.
    Cpu {
        /// A CPU that is online and that the task may run on.
        cpu: u32,
    },
    /// Nowhere yet: the policy keeps it in hand and will decide before the lease
    /// ends, or rescue takes it.
    Hold {
        /// At most [`crate::Options::LEASE_MAX_NS`].
        lease_ns: u64,
    },
    /// Where the backend puts it ([`crate::Mode::Hint`]): slice, preemption and key
    /// offset hold for all of the task's enqueues to come, until the next hint.
    Hint {
        /// A CPU to take when it idles and the task may run there.
        cpu: Option<u32>,
    },
}

/// One decision about one enqueue of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Decision {
    /// The task.
    pub task: TaskKey,
    /// The enqueue that this answers; another one makes the decision stale.
    pub seq: u64,
    /// Where it goes.
    pub placement: Placement,
    /// How long it may run before others get their turn; 0 means
    /// [`crate::Options::slice_ns`], divided by [`crate::Options::slice_rule`]. Clamped
    /// to the backend's bounds.
    pub slice_ns: u64,
    /// Whether it may take the CPU from a running task, by the thresholds in
    /// [`crate::Preemption`]; with [`Placement::Cpu`], at once; with
    /// [`Placement::Hint`], when it was woken by one that goes on.
    pub preempt: bool,
    /// Added to the keys that the backend computes itself for this task by
    /// [`crate::Options::key_rule`], until the next decision.
    pub key_offset: i64,
}

impl Decision {
    /// A decision with the default slice, without preemption.
    #[must_use]
    pub const fn new(task: TaskKey, seq: u64, placement: Placement) -> Self {
        Self {
            task,
            seq,
            placement,
            slice_ns: 0,
            preempt: false,
            key_offset: 0,
        }
    }

    /// Sets the slice.
    pub const fn slice_ns(&mut self, slice_ns: u64) -> &mut Self {
        self.slice_ns = slice_ns;
        self
    }

    /// Allows the task to take a CPU from another.
    pub const fn preempt(&mut self, allowed: bool) -> &mut Self {
        self.preempt = allowed;
        self
    }

    /// Sets what is added to the keys that the backend computes for this task.
    pub const fn key_offset(&mut self, offset: i64) -> &mut Self {
        self.key_offset = offset;
        self
    }
}

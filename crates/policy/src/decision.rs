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
    /// The performance that the task's CPU is to have while the task runs there, 0 to
    /// [`Decision::PERFORMANCE_MAX`]; more counts as the highest. Without one the CPU
    /// has the backend's own, which on a kernel is the highest.
    pub performance: Option<u16>,
}

impl Decision {
    /// The highest performance: what the CPU can give (`SCX_CPUPERF_ONE`).
    pub const PERFORMANCE_MAX: u16 = 1024;

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
            performance: None,
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

    /// Sets the performance of the CPU that the task will run on, as a part of
    /// [`Decision::PERFORMANCE_MAX`]; more counts as that. It goes with the task to
    /// whatever CPU takes it, also when it is placed without a decision, until the next
    /// decision about it. The policy must say in [`crate::Options::performance`] that it
    /// uses this. The kernel's frequency governor makes of it what the hardware can:
    /// `schedutil` chooses the frequency by it, others ignore it
    /// (`scx_bpf_cpuperf_set` in kernel/sched/ext.c).
    ///
    /// Background work at half speed, all else at full speed:
    ///
    /// ```
    /// use baton_policy::{Context, Decision, Enqueue, Options, Policy, Setup, TaskId};
    ///
    /// struct Quiet;
    ///
    /// impl Policy for Quiet {
    ///     const NAME: &'static str = "quiet";
    ///     const SUMMARY: &'static str = "first come, first served; light work at half speed";
    ///     type Task = ();
    ///
    ///     fn new(_: &Setup<'_>) -> Self {
    ///         Quiet
    ///     }
    ///
    ///     fn options(&self) -> Options {
    ///         Options { performance: true, ..Options::default() }
    ///     }
    ///
    ///     fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
    ///         let (now, weight) = (cx.now_ns(), cx.task(task).info.weight);
    ///         let decision = cx.ready(task, now);
    ///         if weight < 100 {
    ///             decision.performance(Decision::PERFORMANCE_MAX / 2);
    ///         }
    ///     }
    /// }
    /// ```
    pub const fn performance(&mut self, performance: u16) -> &mut Self {
        self.performance = Some(performance);
        self
    }
}

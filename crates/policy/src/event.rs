//! What a backend tells a policy.

use core::fmt;

use baton_model::{Features, Guess};

use crate::{ClassId, CpuSet};

/// Names one task for its whole life. The kernel reuses a `pid`; it never starts
/// two tasks with one pid at the same nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskKey {
    /// The kernel's number of the thread, in the machine's first PID namespace.
    pub pid: u32,
    /// When the task was created, nanoseconds of the machine's monotonic clock.
    pub start_ns: u64,
}

/// A task's name as the kernel keeps it: at most 15 bytes and a zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskName(pub [u8; 16]);

impl TaskName {
    /// A name from text, cut to 15 bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; 16];
        let length = text.len().min(15);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self(bytes)
    }

    /// The bytes before the first zero. They need not be UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().utf8_chunks().try_for_each(|chunk| {
            f.write_str(chunk.valid())?;
            if chunk.invalid().is_empty() {
                Ok(())
            } else {
                f.write_str("\u{fffd}")
            }
        })
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", alloc::format!("{self}"))
    }
}

/// What is known of a task apart from its scheduling. Sent when a policy first
/// hears of the task, and again when one of the values changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskInfo {
    /// Process that the thread belongs to.
    pub tgid: u32,
    /// The task's name.
    pub name: TaskName,
    /// 1 to 10,000; [`crate::WEIGHT_DEFAULT`] at nice 0. A policy sees its class's
    /// weight here, if the class has one.
    pub weight: u32,
    /// CPUs that the task may run on.
    pub allowed: CpuSet,
    /// Identifier of its cgroup (the inode number of its directory); 0 if unknown.
    pub cgroup: u64,
    /// Whether it is a thread of the kernel.
    pub kernel_thread: bool,
    /// Its class, if it has one. May come late, with an Update: where a backend must
    /// look a cgroup up first, the task has the class that its name alone gives it.
    pub class: Option<ClassId>,
}

impl Default for TaskInfo {
    fn default() -> Self {
        Self {
            tgid: 0,
            name: TaskName::default(),
            weight: crate::WEIGHT_DEFAULT,
            allowed: CpuSet::first(crate::MAX_CPUS),
            cgroup: 0,
            kernel_thread: false,
            class: None,
        }
    }
}

/// Why a task waits for a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EnqueueReason {
    /// It slept and was woken.
    #[default]
    Wakeup,
    /// It was just created.
    New,
    /// It used its slice and wants to go on.
    SliceOver,
    /// It was made to give way before its slice was over.
    Preempted,
    /// It gave way of its own will (`sched_yield`).
    Yielded,
    /// It waited already and was moved: affinity, class, cgroup or hotplug.
    Requeued,
}

/// A task became runnable, or stopped running and still is.
///
/// With `decided` unset the task is in custody: the policy is expected to decide
/// about it, at once or later. With `decided` set the kernel has placed it
/// already (a fast path, a full ring, or rescue); the event only informs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Enqueue {
    /// Counts the task's enqueues from 1, those that the backend answered itself
    /// included; a decision names the one it answers. A policy that takes over from
    /// another may hear of one twice, with the same number.
    pub seq: u64,
    /// Why it waits.
    pub reason: EnqueueReason,
    /// CPU it last ran on, or that the wakeup chose for it.
    pub cpu: u32,
    /// Who woke it; 0 when nobody did or the interrupt that did belongs to no task.
    pub waker: u32,
    /// Whether the waker is about to sleep: a synchronous wakeup, or, where
    /// [`crate::Options::sync_fast_path`] is on, one by a task that always sleeps right
    /// after waking somebody.
    pub sync: bool,
    /// Whether the backend placed the task already.
    pub decided: bool,
    /// CPU time that the task used since its last sleep.
    pub burst_ns: u64,
    /// CPU time that the task used in its life.
    pub runtime_ns: u64,
    /// How long it slept before this wakeup; 0 if it did not sleep.
    pub slept_ns: u64,
    /// Tasks that wait for a CPU at this moment, this one included.
    pub waiting: u32,
    /// What is known of the task's bursts, if [`crate::Options::prediction`] asks for it.
    pub features: Option<Features>,
    /// The backend's guess of the burst that it is in ([`crate::Mode::Infer`]); nobody's if it made none.
    pub guess: Guess,
    /// What the burst will be in the end, as far as the task itself knows. Only a simulator tells.
    pub truth_ns: Option<u64>,
}

/// Why a task left its CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StopReason {
    /// It sleeps, or ended.
    #[default]
    Slept,
    /// Something more urgent took the CPU.
    Preempted,
    /// Its slice was used up.
    SliceOver,
    /// It called `sched_yield`.
    Yielded,
}

/// One thing that happened. Everything about a task comes in the order in which
/// it happened; of different tasks only roughly so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[allow(clippy::large_enum_variant)] // Events are copied once, out of a ring; boxing would allocate.
pub enum EventKind {
    /// A task is known from now on. Comes before anything else about it.
    Join(TaskInfo),
    /// Weight, affinity, name, cgroup or class changed.
    Update(TaskInfo),
    /// A task waits for a CPU.
    Enqueue(Enqueue),
    /// A task got a CPU.
    Running {
        /// The CPU.
        cpu: u32,
    },
    /// A task left its CPU.
    Stopping {
        /// The CPU.
        cpu: u32,
        /// CPU time since it got the CPU.
        runtime_ns: u64,
        /// Why it left.
        reason: StopReason,
    },
    /// A waiting task no longer waits, without having run: its decision is moot.
    Dequeue,
    /// No decision came in time, so the kernel scheduled the task itself. Told after the deed: on another
    /// CPU the task may run already, and [`Self::Running`] be heard first.
    Rescued,
    /// The task ended or left the class. Its state is dropped after this event.
    Exit,
    /// A CPU found nothing to run although tasks wait for decisions: it idles, or goes on
    /// with the task whose slice is over.
    CpuDry {
        /// The CPU.
        cpu: u32,
    },
    /// A CPU came online.
    CpuOnline {
        /// The CPU.
        cpu: u32,
    },
    /// A CPU went offline; its waiting tasks are enqueued again.
    CpuOffline {
        /// The CPU.
        cpu: u32,
    },
    /// Events were lost because the policy was too slow to take them.
    Lost {
        /// How many since the last such event.
        count: u64,
    },
}

/// An event with its time and, unless it is the machine's, its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// When it happened, nanoseconds of the backend's clock: comparable with the times of
    /// other events alone.
    pub time_ns: u64,
    /// The task; the default key for events of the machine.
    pub task: TaskKey,
    /// What happened.
    pub kind: EventKind,
}

/// Which events a policy asks for beside those that every policy gets: `Join`,
/// `Update`, enqueues that need a decision, `Exit`, hotplug and `Lost`. Each costs
/// time per occurrence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interests {
    /// Enqueues that the backend answered itself (`Enqueue::decided`).
    pub decided: bool,
    /// [`EventKind::Running`].
    pub running: bool,
    /// [`EventKind::Stopping`].
    pub stopping: bool,
    /// [`EventKind::Dequeue`] and [`EventKind::Rescued`].
    pub custody: bool,
    /// [`EventKind::CpuDry`] of a CPU that idles.
    pub dry: bool,
    /// [`EventKind::CpuDry`] of a CPU that goes on with the task whose slice is over.
    pub alone: bool,
}

impl Interests {
    /// Everything there is.
    pub const ALL: Self = Self {
        decided: true,
        running: true,
        stopping: true,
        custody: true,
        dry: true,
        alone: true,
    };
}

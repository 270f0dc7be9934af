//! What a recording holds: the scheduling of a machine, event by event.
//!
//! A task is a thread and is named by its pid as the kernel counts threads, in the initial
//! namespace. Pid 0 is a CPU that idles; as a waker it stands for an interrupt. The kernel gives a pid again after its task's [`What::Exit`]; a [`What::Fork`] begins its
//! next task.

use serde::{Deserialize, Serialize};

/// One thing that happened. Events of one CPU stand in the order of their time; those of
/// different CPUs are merged by time when a recording is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since the recording began, by the kernel's monotonic clock.
    pub time_ns: u64,
    /// The CPU that it happened on.
    pub cpu: u32,
    /// What happened.
    pub what: What,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A task's name or weight, told before its first event and after each change.
    Task(TaskInfo),
    /// The CPU goes from one task to another.
    Switch {
        /// The task that leaves, or 0.
        prev: u32,
        /// Why it leaves.
        left: Left,
        /// The task that comes, or 0.
        next: u32,
    },
    /// A task has become able to run; from here it waits for a CPU.
    Wakeup {
        /// The task.
        pid: u32,
        /// Who woke it; 0 for an interrupt. Where the header says that `interrupts` are absent, it may
        /// be the task that an interrupt came upon.
        waker: u32,
        /// How it was woken.
        how: Woken,
        /// The CPU whose queue it was put in.
        target: u32,
    },
    /// A task made another.
    Fork {
        /// The maker.
        parent: u32,
        /// The new task.
        child: u32,
    },
    /// A task begins to end. It leaves its CPU for the last time with [`Left::Exits`], and may
    /// sleep and be woken before that.
    Exit {
        /// The task.
        pid: u32,
    },
    /// A task goes to another CPU's queue.
    Migrate {
        /// The task.
        pid: u32,
        /// From this CPU.
        from: u32,
        /// To this one.
        to: u32,
    },
    /// The kernel's balancer asked whether a task may be moved (`can_migrate_task`).
    CanMigrate {
        /// The task.
        pid: u32,
        /// From this CPU.
        from: u32,
        /// To this one.
        to: u32,
        /// The answer.
        allowed: bool,
    },
    /// Baton's relay, where a policy runs.
    Relay(RelayEvent),
    /// So many events of this CPU were lost between its event before and this one: there was no
    /// room for them.
    Lost {
        /// How many.
        count: u64,
        /// What they were.
        of: Losses,
    },
}

/// Which events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Losses {
    /// Any of the CPU's: it may have run other tasks meanwhile and woken any.
    Any,
    /// None but [`What::Task`], [`What::Fork`], [`What::Exit`] and [`What::Relay`]: which tasks ran,
    /// slept and were woken is known all along, what they are called and who made them may not be.
    Tasks,
}

/// Why a task leaves its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Left {
    /// It could go on: preempted, its slice over, or it yielded.
    Runnable,
    /// It sleeps and signals wake it.
    Sleeps,
    /// It sleeps and only what it waits for wakes it: mostly I/O.
    Blocks,
    /// It was stopped by a signal or a debugger.
    Stopped,
    /// It has ended.
    Exits,
}

/// How a task became able to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Woken {
    /// It slept and was woken.
    Sleep,
    /// It was just made.
    New,
}

/// What is known of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskInfo {
    /// The thread.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// Its name as the kernel has it, filled up with zeros; or a salted hash in hexadecimal
    /// digits where the recording hides names.
    pub name: [u8; 16],
    /// The kernel's priority: 0 to 99 real time, 100 to 139 nice -20 to 19.
    pub prio: u8,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
}

/// Weights of nice -20 to 19, in the scale where the default is 1024 (`sched_prio_to_weight` in the
/// kernel's kernel/sched/core.c): each step is about a quarter.
const NICE_WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904,
    3906, 3121, 2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87,
    70, 56, 45, 36, 29, 23, 18, 15,
];

impl TaskInfo {
    /// Its weight as sched_ext counts it: 1 to 10000, 100 at nice 0. A real-time task has that of nice -20.
    #[must_use]
    pub fn weight(&self) -> u32 {
        let nice = usize::from(self.prio).saturating_sub(100).min(39);
        (NICE_WEIGHTS[nice] * 100 / 1024).clamp(1, 10_000)
    }
}

/// What the relay and its policy did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayEvent {
    /// A task was published to the policy, to be decided about.
    Enqueue {
        /// The task.
        pid: u32,
    },
    /// A decision was carried out.
    Decided {
        /// The task.
        pid: u32,
        /// The CPU it is bound to; none for the shared queue.
        cpu: Option<u32>,
        /// Its slice.
        slice_ns: u64,
        /// From the enqueue to here.
        waited_ns: u64,
    },
    /// The kernel's side placed a task itself, because no decision came in time.
    Rescued {
        /// The task.
        pid: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::Event;

    /// docs/simulator.md tells it.
    #[test]
    fn an_event_takes_so_many_bytes() {
        assert_eq!(size_of::<Event>(), 48);
    }
}

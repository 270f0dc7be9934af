//! What the engine asks of a scheduler: the relay with its policy, or a scheduler of its own.

use super::core::Core;

/// Who wakes a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wake {
    /// Slot of the task that wakes it; none for interrupts.
    pub(crate) waker: Option<u32>,
    /// CPU on which that happens.
    pub(crate) cpu: u32,
    /// Whether the waker is about to sleep.
    pub(crate) sync: bool,
    /// Whether the task was just created.
    pub(crate) fresh: bool,
}

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The policy's process does nothing for so long.
    Silent {
        /// How long.
        for_ns: u64,
    },
    /// Each batch takes so much longer from now on.
    Late {
        /// How much.
        by_ns: u64,
    },
    /// One of so many decisions is nonsense from now on; 0: none.
    Wrong {
        /// How many.
        one_in: u32,
    },
    /// The next events find the ring full.
    Lose {
        /// How many.
        events: u32,
    },
    /// Another process with the same policy, which knows nothing yet, takes over.
    TakeOver,
}

/// A scheduler. Tasks are named by their slot.
pub(crate) trait Class {
    /// Called before anything happens.
    fn begin(&mut self, core: &mut Core);

    /// A task became runnable; it is queued somewhere when this returns.
    fn wake(&mut self, core: &mut Core, task: u32, wake: Wake);

    /// The CPU looks for its next task. `prev` runs there and could go on; the class calls
    /// [`Core::stop`] for it unless it is what it returns.
    fn schedule(&mut self, core: &mut Core, cpu: u32, prev: Option<u32>) -> Option<u32>;

    /// A task got the CPU.
    fn running(&mut self, core: &mut Core, cpu: u32, task: u32);

    /// The task that ran there sleeps or ends.
    fn slept(&mut self, core: &mut Core, cpu: u32, task: u32);

    /// The task is gone.
    fn exited(&mut self, core: &mut Core, task: u32);

    /// The tick on a busy CPU; whether it is to look for another task.
    fn tick(&mut self, core: &mut Core, cpu: u32, task: u32) -> bool;

    /// Whether the running task, which comes back from a system call, is to give way: something asked for
    /// that without an interrupt.
    fn gives_way(&self, _cpu: u32) -> bool {
        false
    }

    /// The running task gives way.
    fn yielded(&mut self, core: &mut Core, cpu: u32, task: u32);

    /// A task that ran on the CPU may not go on there; it is runnable, and its `cpu` is where it may.
    /// Queued when this returns.
    fn evicted(&mut self, core: &mut Core, cpu: u32, task: u32);

    /// The affinity of a task has changed.
    fn changed(&mut self, core: &mut Core, task: u32);

    /// The CPU came, or goes: tasks that wait there must go elsewhere.
    fn hotplug(&mut self, core: &mut Core, cpu: u32, online: bool);

    /// One of its timers is over.
    fn timer(&mut self, core: &mut Core, kind: u32, arg: u32);

    /// Something goes wrong on purpose.
    fn fault(&mut self, _core: &mut Core, _fault: Fault) {}

    /// Tasks in its queues.
    fn queued(&self) -> u32;

    /// Looks whether what it promises holds; called now and then, between events.
    fn audit(&mut self, core: &mut Core);

    /// What it counted, by name.
    fn counters(&self) -> Vec<(&'static str, u64)>;
}

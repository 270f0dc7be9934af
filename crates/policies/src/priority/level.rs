//! The priorities, and what each is owed.

use baton_policy::TaskId;

use crate::held::Held;

/// Slices that can be owed: a debt that cannot be paid must not grow for ever.
const OWED_SLICES: u64 = 4;

/// The tasks of one priority.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) priority: i32,
    /// Those in the ready queue, on their way to a CPU, or running.
    pub(super) active: u32,
    /// Those in the ready queue.
    pub(super) ready: u32,
    pub(super) held: Held,
    pub(super) owed_ns: u64,
    /// Those that go to a CPU or run there because they are owed it.
    pub(super) granted: u32,
}

/// What runs on a CPU, as far as it concerns priorities.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) level: usize,
    pub(super) by_floor: bool,
    /// Up to when its time was accounted for.
    pub(super) charged_ns: u64,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asleep, or with the backend.
    #[default]
    Away,
    Ready,
    Held,
    /// Sent to a CPU.
    Placed,
    Running,
}

/// What there is for a task that waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// A CPU to be sent to.
    Cpu(u32),
    /// A CPU that looks free, which the backend will find too.
    Idle(u32),
    /// A CPU to be the next on: what runs there is not lower, but may run elsewhere.
    Behind(u32),
    Nothing,
}

impl Phase {
    const fn is_active(self) -> bool {
        matches!(self, Self::Ready | Self::Placed | Self::Running)
    }
}

impl Level {
    pub(super) fn new(priority: i32) -> Self {
        Self {
            priority,
            active: 0,
            ready: 0,
            held: Held::new(),
            owed_ns: 0,
            granted: 0,
        }
    }

    /// A task is no longer where it was.
    pub(super) fn leave(&mut self, phase: Phase, id: TaskId) {
        if phase == Phase::Held {
            self.held.remove(id);
        }
        self.ready -= u32::from(phase == Phase::Ready);
        self.active -= u32::from(phase.is_active());
    }

    /// A task is where it was not; who holds it puts it into `held`.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.ready += u32::from(phase == Phase::Ready);
        self.active += u32::from(phase.is_active());
    }

    /// Higher ones used CPU time, of which this one is owed so much if it was kept
    /// waiting.
    pub(super) fn owe(&mut self, owed_ns: u64, slice_ns: u64) {
        if !self.held.is_empty() || self.ready + self.granted > 0 {
            self.owed_ns = (self.owed_ns + owed_ns).min(OWED_SLICES * slice_ns);
        }
    }

    /// Its tasks used so much themselves.
    pub(super) const fn use_up(&mut self, used_ns: u64) {
        self.owed_ns = self.owed_ns.saturating_sub(used_ns);
    }

    /// Whether it is owed one more slice than it is about to get.
    pub(super) fn is_due(&self, slice_ns: u64) -> bool {
        let promised = u64::from(self.granted) + 1;
        !self.held.is_empty() && self.owed_ns >= promised * slice_ns
    }
}

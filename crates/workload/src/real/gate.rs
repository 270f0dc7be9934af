//! Where the parts of a run wait for each other.

use crate::sys::clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The start and end of a run, for its conductor and its parts.
pub(crate) struct Gate {
    parts: usize,
    bounded: usize,
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
    background_ended: AtomicBool,
}

#[derive(Default)]
struct State {
    ready: usize,
    background_running: usize,
    background_opened_ns: Option<u64>,
    foreground_open: bool,
    bounded_done: usize,
    failed: bool,
}

/// Tells the gate when a part is over, however it ends.
pub(crate) struct Attendance<'a> {
    gate: &'a Gate,
    bounded: bool,
    /// Set by a part that ended well; otherwise all others are sent home.
    pub(crate) succeeded: bool,
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            self.gate.abandon();
        }
        if self.bounded {
            self.gate.update(|state| state.bounded_done += 1);
        }
    }
}

// For the conductor.
impl Gate {
    pub(crate) fn new(parts: usize, bounded: usize) -> Self {
        Self {
            parts,
            bounded,
            state: Mutex::default(),
            changed: Condvar::new(),
            cancelled: AtomicBool::new(false),
            background_ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn attend(&self, bounded: bool) -> Attendance<'_> {
        Attendance {
            gate: self,
            bounded,
            succeeded: false,
        }
    }

    /// Waits until all parts are ready, or one has failed; false if the time passed.
    pub(crate) fn all_ready(&self, limit: Duration) -> bool {
        self.wait(limit, |state| state.failed || state.ready == self.parts)
    }

    pub(crate) fn open_background(&self) {
        let now_ns = clock::now_ns();
        self.update(|state| state.background_opened_ns = Some(now_ns));
    }

    /// Waits until all background parts run, or a part has failed; false if the time passed.
    pub(crate) fn background_runs(&self, limit: Duration) -> bool {
        let background = self.parts - self.bounded;
        self.wait(limit, |state| {
            state.failed || state.background_running == background
        })
    }

    pub(crate) fn has_background(&self) -> bool {
        self.parts > self.bounded
    }

    /// Lets time pass, unless a part has failed.
    pub(crate) fn wait_failure(&self, limit: Duration) {
        self.wait(limit, |state| state.failed);
    }

    pub(crate) fn open_foreground(&self) {
        self.update(|state| state.foreground_open = true);
    }

    /// Waits until all bounded parts are over, or a part has failed; false if the time passed.
    /// With no bounded part there is nothing that could be over.
    pub(crate) fn foreground_done(&self, limit: Duration) -> bool {
        self.wait(limit, |state| {
            state.failed || (self.bounded > 0 && state.bounded_done == self.bounded)
        })
    }

    /// Has bounded parts end early.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Has unbounded parts end.
    pub(crate) fn end_background(&self) {
        self.background_ended.store(true, Ordering::Relaxed);
    }

    /// Sends everybody home: nobody starts any more, who has started ends.
    pub(crate) fn abandon(&self) {
        self.cancel();
        self.end_background();
        self.update(|state| state.failed = true);
    }
}

// For the parts.
impl Gate {
    /// Says that a part has made its tasks.
    pub(crate) fn ready(&self) {
        self.update(|state| state.ready += 1);
    }

    /// Waits for the start of the foreground; false if there will be none.
    pub(crate) fn wait_foreground(&self) -> bool {
        self.wait(Duration::MAX, |state| state.failed || state.foreground_open);
        !self.lock().failed
    }

    /// Waits for the start of the background and returns its time; none if there will be none.
    pub(crate) fn wait_background(&self) -> Option<u64> {
        self.wait(Duration::MAX, |state| {
            state.failed || state.background_opened_ns.is_some()
        });
        let state = self.lock();
        if state.failed {
            None
        } else {
            state.background_opened_ns
        }
    }

    /// Says that all tasks of a background part have come to a CPU.
    pub(crate) fn background_running(&self) {
        self.update(|state| state.background_running += 1);
    }

    /// Whether bounded parts should end early.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether unbounded parts should end.
    pub(crate) fn is_background_over(&self) -> bool {
        self.background_ended.load(Ordering::Relaxed)
    }

    /// The flag at which unbounded parts end.
    pub(crate) fn background_end(&self) -> &AtomicBool {
        &self.background_ended
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| !done(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }

    /// No code that can panic runs under the lock, so a poisoned state is still a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What the scheduling thread and the one that watches it say to each other.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::realtime::Bell;

/// How often one who waits for a pause looks.
const PAUSE_LOOK: Duration = Duration::from_micros(200);

/// What the scheduling thread shares with the thread that watches it.
#[derive(Debug)]
pub struct Watch {
    /// Set to end the scheduling thread.
    pub stop: AtomicBool,
    /// Wakes the scheduling thread.
    pub bell: Bell,
    /// When the policy was last entered; 0 while it is not running.
    pub entered_ns: AtomicU64,
    /// Set by the scheduling thread when it panics, before it tells so.
    pub panicked: AtomicBool,
    /// Asks the scheduling thread to leave the relay alone.
    pub(crate) pause: AtomicBool,
    /// Set while it does.
    pub(crate) paused: AtomicBool,
    /// When the first batch was carried out; 0 before.
    pub(crate) first_batch_ns: AtomicU64,
}

impl Watch {
    /// Of a thread that is to run.
    #[must_use]
    pub fn new(bell: Bell) -> Self {
        Self {
            stop: AtomicBool::new(false),
            bell,
            entered_ns: AtomicU64::new(0),
            panicked: AtomicBool::new(false),
            pause: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            first_batch_ns: AtomicU64::new(0),
        }
    }

    /// When the thread had carried out its first decisions, or seen that there are none;
    /// waits for that, a second at most. None if it had not by then, or panicked.
    #[must_use]
    pub fn await_first_batch(&self) -> Option<u64> {
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline && !self.panicked.load(Ordering::Acquire) {
            match self.first_batch_ns.load(Ordering::Acquire) {
                0 => thread::sleep(PAUSE_LOOK),
                first_ns => return Some(first_ns),
            }
        }
        None
    }

    /// Has the scheduling thread leave the relay alone; whether it does within
    /// `patience`.
    pub fn pause(&self, patience: Duration) -> bool {
        self.pause.store(true, Ordering::Release);
        self.bell.ring();
        let deadline = Instant::now() + patience;
        while !self.paused.load(Ordering::Acquire) {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(PAUSE_LOOK);
        }
        true
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.pause.store(false, Ordering::Release);
        self.bell.ring();
    }
}

//! A bounded queue between two stages of a pipeline.
//!
//! A mutex and condition variables, which on Linux are futexes: what game engines hand frames over
//! with, and where the waker sleeps soon after it wakes the next. A pipe would add the kernel's
//! copying and its own wakeup hints.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue from one stage to the next, for one frame: while a stage works on one frame the next
/// may wait, as in double buffering. It ends when either side closes it.
pub(crate) struct Handoff<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: Option<T>,
    closed: bool,
}

/// Closes a handoff when its stage ends, however it ends.
pub(crate) struct CloseOnDrop<'a, T>(pub(crate) &'a Handoff<T>);

impl<T> Drop for CloseOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl<T> Handoff<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            waiting: None,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Hands over; waits while the queue is full. False if the queue is closed.
    pub(crate) fn push(&self, value: T) -> bool {
        let mut state = self.lock();
        loop {
            if state.closed {
                return false;
            }
            if state.waiting.is_none() {
                state.waiting = Some(value);
                drop(state);
                self.changed.notify_one();
                return true;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes over; waits while the queue is empty. None if it is empty and closed.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(value) = state.waiting.take() {
                drop(state);
                self.changed.notify_one();
                return Some(value);
            }
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn hands_over_in_order_and_ends() {
        let handoff = Handoff::new();
        let got: Vec<u32> = thread::scope(|scope| {
            scope.spawn(|| {
                let _close = CloseOnDrop(&handoff);
                (0..100).for_each(|value| assert!(handoff.push(value)));
            });
            std::iter::from_fn(|| handoff.pop()).collect()
        });
        assert_eq!(got, (0..100).collect::<Vec<_>>());
        assert!(!handoff.push(1));
    }
}

//! First come, first served.
//!
//! ```text
//! key   = time of the enqueue
//! slice = slice_ms / (waiting + 1), by the backend
//! ```
//!
//! A task that used its slice up goes to the end of the queue, which makes it the
//! round robin of the textbooks. It knows neither weights nor sleepers, and so is
//! what a better policy is measured against.
//!
//! Source: the FIFO scheduler of Andrea Righi's talk "Crafting a Linux kernel
//! scheduler in Rust" (2024).

use baton_policy::{Context, Enqueue, KeyRule, MS, Options, Policy, Setup, SliceRule, TaskId};

use crate::Param;

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "slice_ms",
        default: "20",
        meaning: "how long a task may run at a stretch when nobody waits, 1 to 100",
    },
    Param {
        name: "sync",
        default: "true",
        meaning: "whether a task woken by one that is about to sleep is queued without a decision",
    },
];

/// Runs tasks in the order in which they became runnable.
#[derive(Debug)]
pub struct Fifo(Options);

impl Policy for Fifo {
    const NAME: &'static str = "fifo";
    const SUMMARY: &'static str = "first come, first served";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        let slice_ms: u64 = setup.param("slice_ms", 20);
        let sync: bool = setup.param("sync", true);
        Self(Options {
            slice_ns: slice_ms.clamp(1, 100) * MS,
            slice_rule: SliceRule::Waiting,
            mode: setup.mode,
            key_rule: KeyRule::EnqueueTime,
            sync_fast_path: sync,
            ..Options::default()
        })
    }

    fn options(&self) -> Options {
        self.0
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.ready(task, cx.now_ns());
    }
}

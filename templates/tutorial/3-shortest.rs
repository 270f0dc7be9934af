//! Shortest burst first, by deadlines: who waits grows old, and goes first in the end.

use baton::prelude::*;

/// A task waits for so many of its own bursts, and at most so long, until it goes first.
const PATIENCE: u64 = 10;
const WAIT_MAX_NS: u64 = 500 * MS;

struct Shortest;

impl Policy for Shortest {
    const NAME: &'static str = "shortest";
    const SUMMARY: &'static str = "the earliest deadline first: now and a guess of the burst";
    /// How long it has a CPU at a time, on average.
    type Task = u64;

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        options.interests.stopping = true;
        options
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, u64>,
        task: TaskId,
        _: u32,
        runtime_ns: u64,
        _: StopReason,
    ) {
        let mean_ns = cx.state(task);
        *mean_ns = *mean_ns / 2 + runtime_ns / 2;
    }

    fn enqueue(&mut self, cx: &mut Context<'_, u64>, task: TaskId, enqueue: &Enqueue) {
        let wait_ns = cx.state(task).saturating_mul(PATIENCE).min(WAIT_MAX_NS);
        let deadline_ns = cx.now_ns().wrapping_add(wait_ns);
        let woken = enqueue.reason == EnqueueReason::Wakeup;
        cx.ready(task, deadline_ns).preempt(woken);
    }
}

baton::main!(Shortest);

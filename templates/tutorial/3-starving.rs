//! Shortest burst first, guessed by an average of what a task did. It starves the long ones.

use baton::prelude::*;

struct Shortest;

impl Policy for Shortest {
    const NAME: &'static str = "shortest";
    const SUMMARY: &'static str = "the task first that had a CPU for the shortest time";
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
        let mean_ns = *cx.state(task);
        let woken = enqueue.reason == EnqueueReason::Wakeup;
        cx.ready(task, mean_ns).preempt(woken);
    }
}

baton::main!(Shortest);

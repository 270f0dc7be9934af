//! Whoever computed little since it slept goes first, and the longer it waits the more so.

use baton::prelude::*;

const BURST_MAX_NS: u64 = 100 * MS;

#[derive(Default)]
struct Habit {
    /// Mean CPU time between two sleeps.
    burst_ns: u64,
    /// CPU time since the last sleep.
    since_ns: u64,
}

struct Sooner;

impl Policy for Sooner {
    const NAME: &'static str = "sooner";
    const SUMMARY: &'static str = "whoever will sleep soon goes first";
    type Task = Habit;

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            slice_ns: 4 * MS,
            requeue_patience_ns: 0,
            sync_fast_path: true,
            key_rule: KeyRule::Deadline {
                burst_max_ns: BURST_MAX_NS,
            },
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, Habit>, task: TaskId, enqueue: &Enqueue) {
        let weight = cx.task(task).info.weight;
        let habit_ns = cx.task(task).state.burst_ns;
        let burst_ns = weighted(enqueue.burst_ns, weight).min(BURST_MAX_NS);
        let woken = enqueue.reason == EnqueueReason::Wakeup;
        let key = cx.now_ns().saturating_add(burst_ns).saturating_add(habit_ns);
        cx.ready(task, key).preempt(woken);
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, Habit>,
        task: TaskId,
        _: u32,
        runtime_ns: u64,
        reason: StopReason,
    ) {
        let habit = cx.state(task);
        habit.since_ns = habit.since_ns.saturating_add(runtime_ns).min(BURST_MAX_NS);
        if reason == StopReason::Slept {
            habit.burst_ns = (habit.burst_ns * 3 + habit.since_ns) / 4;
            habit.since_ns = 0;
        }
    }
}

baton::main!(Sooner);

//! Fair shares by weight: whoever has the least virtual time goes first.

use baton::prelude::*;

/// Most virtual time that a task can have saved up.
const CREDIT_NS: u64 = 20 * MS;

#[derive(Default)]
struct Fair {
    /// The virtual time that the competition has come to.
    clock_ns: u64,
}

impl Policy for Fair {
    const NAME: &'static str = "fair";
    const SUMMARY: &'static str = "the least weighted CPU time first";
    const CLASS_USE: baton::ClassUse = baton::ClassUse {
        weight: true,
        ..baton::ClassUse::NONE
    };
    /// A task's virtual time: CPU time divided by its weight.
    type Task = u64;

    fn new(_: &Setup<'_>) -> Self {
        Self::default()
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        options.interests.running = true;
        options.interests.stopping = true;
        options
    }

    fn join(&mut self, cx: &mut Context<'_, u64>, task: TaskId) {
        *cx.state(task) = self.clock_ns;
    }

    fn enqueue(&mut self, cx: &mut Context<'_, u64>, task: TaskId, enqueue: &Enqueue) {
        let least_ns = self.clock_ns.wrapping_sub(CREDIT_NS);
        let virtual_ns = cx.state(task);
        if key_before(*virtual_ns, least_ns) {
            *virtual_ns = least_ns;
        }
        let key = *virtual_ns;
        let woken = enqueue.reason == EnqueueReason::Wakeup;
        cx.ready(task, key).preempt(woken).slice_ns(4 * MS);
    }

    fn running(&mut self, cx: &mut Context<'_, u64>, task: TaskId, _: u32) {
        let virtual_ns = *cx.state(task);
        if key_before(self.clock_ns, virtual_ns) {
            self.clock_ns = virtual_ns;
        }
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, u64>,
        task: TaskId,
        _: u32,
        runtime_ns: u64,
        _: StopReason,
    ) {
        let weight = cx.task(task).info.weight;
        let virtual_ns = cx.state(task);
        *virtual_ns = virtual_ns.wrapping_add(weighted(runtime_ns, weight));
    }
}

baton::main!(Fair);

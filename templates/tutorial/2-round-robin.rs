//! Round robin: first come, first served, a short slice at a time.

use baton::prelude::*;

struct RoundRobin {
    slice_ns: u64,
}

impl Policy for RoundRobin {
    const NAME: &'static str = "round-robin";
    const SUMMARY: &'static str = "everybody in turn, a short slice at a time";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        let slice_ms: u64 = setup.param("slice_ms", 4);
        Self {
            slice_ns: slice_ms.clamp(1, 100) * MS,
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.ready(task, cx.now_ns()).slice_ns(self.slice_ns);
    }
}

baton::main!(RoundRobin);

//! The newest goes first.

use baton::prelude::*;

struct Newest;

impl Policy for Newest {
    const NAME: &'static str = "newest";
    const SUMMARY: &'static str = "last come, first served";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let now_ns = cx.now_ns();
        cx.ready(task, (u64::MAX / 4).saturating_sub(now_ns));
    }
}

baton::main!(Newest);

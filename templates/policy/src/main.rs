//! A CPU scheduler: first come, first served.

use baton::prelude::*;

struct Fifo;

impl Policy for Fifo {
    const NAME: &'static str = "fifo";
    const SUMMARY: &'static str = "first come, first served";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.ready(task, cx.now_ns());
    }
}

baton::main!(Fifo);

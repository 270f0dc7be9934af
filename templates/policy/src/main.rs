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

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue) {
        if !enqueue.decided {
            let key = cx.now_ns();
            cx.ready(task, key);
        }
    }
}

baton::main!(Fifo);

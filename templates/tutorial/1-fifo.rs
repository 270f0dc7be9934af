//! First come, first served.

use baton::prelude::*;

struct FirstCome;

impl Policy for FirstCome {
    const NAME: &'static str = "first-come";
    const SUMMARY: &'static str = "first come, first served";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.ready(task, cx.now_ns());
    }
}

baton::main!(FirstCome);

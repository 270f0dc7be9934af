//~ parse
//! Has a name that is taken, and no summary.

use baton::prelude::*;

struct Fifo;

impl Policy for Fifo { //~ bad-name
    const NAME: &'static str = "fifo"; 
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.ready(task, cx.now_ns());
    }
}

baton::main!(Fifo);

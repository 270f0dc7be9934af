use baton::prelude::*;

struct Broken;

impl Policy for Broken {
    const NAME: &'static str = "broken";
    const SUMMARY: &'static str = "does not compile";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.dispatch_soon(task);
    }
}

baton::main!(Broken);

//~ lint
//! Loops and calls without an end that one can see.

use baton::prelude::*;

struct Endless {
    turns: u64,
}

impl Policy for Endless {
    const NAME: &'static str = "endless";
    const SUMMARY: &'static str = "does not end";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self { turns: 0 }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let down = |from: u64| self.down(from);
        down(3);
        while self.turns < 10 { //~ unbounded-loop
            cx.ready(task, 0);
        }
        loop { //~ unbounded-loop
            if task.index() > 5 {
                break;
            }
        }
    }
}

impl Endless {
    fn down(&self, from: u64) -> u64 { //~ recursion
        match from {
            0 => 0,
            from => self.again(from - 1),
        }
    }

    fn again(&self, from: u64) -> u64 { //~ recursion
        Self::down(self, from)
    }
}

baton::main!(Endless);

//~ lint
//! Wants what the module list leaves out, under other names.

use std::{
    sync::Mutex as Shared, //~ thread
    time::{self as clock, Duration}, //~ clock clock
};
use core as pure;

use baton::prelude::*;

struct Outside {
    last: clock::Instant, //~ clock
    log: Shared<Vec<u64>>, //~ thread
}

impl Policy for Outside {
    const NAME: &'static str = "outside";
    const SUMMARY: &'static str = "wants what is not there";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self {
            last: clock::Instant::now(), //~ clock
            log: Shared::new(Vec::new()), //~ thread
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let late = self.last.elapsed() > Duration::from_millis(1); //~ clock
        let count = pure::sync::atomic::AtomicU64::new(0); //~ thread
        let files = std::fs::read_dir("/proc"); //~ io task-name-literal
        let seed = self as *const Self as usize; //~ address
        cx.ready(task, cx.now_ns());
    }
}

baton::main!(Outside);

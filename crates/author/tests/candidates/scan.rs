//~ lint
//! The shortest mean burst first, found by looking at all tasks each time.

use std::collections::{BTreeMap, HashMap, VecDeque}; //~ hash-map

use baton::prelude::*;

struct Shortest {
    queue: VecDeque<TaskId>,
    means: HashMap<TaskKey, u64>, //~ hash-map
    seen: BTreeMap<TaskKey, u64>,
}

impl Policy for Shortest {
    const NAME: &'static str = "shortest";
    const SUMMARY: &'static str = "the shortest mean burst first";
    type Task = u64;

    fn new(_: &Setup<'_>) -> Self {
        Self {
            queue: VecDeque::new(),
            means: HashMap::new(), //~ hash-map
            seen: BTreeMap::new(),
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, u64>, task: TaskId, enqueue: &Enqueue) {
        self.seen.insert(cx.task(task).key, enqueue.burst_ns); //~ unbounded-memory
        self.queue.push_back(task);
        self.dispatch(cx);
    }

    fn dequeue(&mut self, _: &mut Context<'_, u64>, task: TaskId) {
        self.queue.retain(|other| *other != task); //~ unbounded-loop
    }

    fn batch_end(&mut self, cx: &mut Context<'_, u64>) {
        while !self.queue.is_empty() {
            self.dispatch(cx);
            self.queue.pop_front();
        }
    }
}

impl Shortest {
    fn dispatch(&mut self, cx: &mut Context<'_, u64>) {
        let best = self
            .queue
            .iter() //~ unbounded-loop
            .enumerate()
            .min_by_key(|(_, task)| cx.tasks().get(**task).map_or(0, |task| task.state));
        if let Some((place, _)) = best {
            let Some(task) = self.queue.remove(place) else { panic!("gone") }; //~ panics
            cx.ready(task, 0);
        }
        let total: u64 = cx.tasks().iter().map(|(_, task)| task.state).sum(); //~ unbounded-loop
        debug_assert!(total > 0, "nothing ran");
    }
}

baton::main!(Shortest);

//! CPUs that differ: a queue for each, and who computes stays where its caches are warm.

use std::collections::VecDeque;

use baton::prelude::*;

/// For each CPU, who computed there and waits to go on.
struct Near(Vec<VecDeque<TaskId>>);

impl Policy for Near {
    const NAME: &'static str = "near";
    const SUMMARY: &'static str =
        "who computes stays on its CPU, until another one has nothing to do";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        let queue = |_| VecDeque::with_capacity(64);
        Self(setup.machine.cpus.iter().map(queue).collect())
    }

    fn options(&self) -> Options {
        let mut options = Options {
            slice_ns: 8 * MS,
            ..Options::default()
        };
        options.interests.dry = true;
        options.interests.alone = true;
        options
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue) {
        use EnqueueReason::{Preempted, SliceOver};
        let computes = matches!(enqueue.reason, SliceOver | Preempted);
        match self.0.get_mut(enqueue.cpu as usize) {
            Some(queue) if computes => {
                queue.push_back(task);
                cx.hold(task, SEC);
            }
            _ => {
                cx.ready(task, cx.now_ns());
            }
        }
    }

    /// A CPU has nothing to do: it takes from its own queue, or else from the longest one behind its
    /// cache, or else from the longest.
    fn cpu_dry(&mut self, cx: &mut Context<'_, ()>, own: u32) {
        let cpus = &cx.machine().cpus;
        let cache = cpus.get(own as usize).map(|cpu| cpu.llc);
        let waits = cpus
            .iter()
            .zip(&mut self.0)
            .filter(|(_, queue)| !queue.is_empty());
        let chosen =
            waits.max_by_key(|(cpu, queue)| (cpu.id == own, Some(cpu.llc) == cache, queue.len()));
        let Some((_, queue)) = chosen else { return };
        let tasks = cx.tasks();
        queue.retain(|&id| tasks.get(id).is_some_and(|task| task.waiting));
        let found = queue
            .iter()
            .position(|&id| tasks[id].info.allowed.contains(own));
        if let Some(task) = found.and_then(|at| queue.remove(at)) {
            cx.on_cpu(task, own);
        }
    }
}

baton::main!(Near);

//~ passes
//! Turns by process: tasks of one process share a place, and whole names and pids are keys.

use std::collections::{BTreeMap, VecDeque};

use baton::prelude::*;

/// Most families; further ones share the last place.
const FAMILIES_MAX: usize = 256;

#[derive(Default)]
struct Family {
    used_ns: u64,
    members: u32,
}

struct Families {
    by_process: BTreeMap<u32, Family>,
    waiting: VecDeque<TaskId>,
}

#[derive(Clone, Copy, Default)]
struct Member {
    process: u32,
    started: bool,
}

impl Policy for Families {
    const NAME: &'static str = "families";
    const SUMMARY: &'static str = "turns by process";
    type Task = Member;

    fn new(_: &Setup<'_>) -> Self {
        Self { by_process: BTreeMap::new(), waiting: VecDeque::with_capacity(64) }
    }

    fn join(&mut self, cx: &mut Context<'_, Member>, task: TaskId) {
        let process = cx.task(task).info.tgid;
        if self.by_process.len() < FAMILIES_MAX {
            self.by_process.entry(process).or_default().members += 1;
        }
        *cx.state(task) = Member { process, started: false };
    }

    fn enqueue(&mut self, cx: &mut Context<'_, Member>, task: TaskId, enqueue: &Enqueue) {
        let process = cx.state(task).process;
        let info = &cx.task(task).info;
        let woken_by_own = enqueue.waker != 0 && self.by_process.contains_key(&enqueue.waker);
        let in_container = info.cgroup != 0;
        let first = self.waiting.front().and_then(|other| cx.tasks().get(*other));
        let alike = first.is_some_and(|first| first.info.name == info.name && first.info.tgid == process);
        let used_ns = self.by_process.get(&process).map_or(0, |family| family.used_ns);
        let bonus_ns = if woken_by_own || in_container || alike { MS } else { 0 };
        if let Some(family) = self.by_process.get_mut(&process) {
            family.used_ns += enqueue.burst_ns;
        }
        // Spread over time, not by who it is.
        let spread_ns = u64::from(cx.task(task).key.pid % 8) * US;
        let jitter_ns = cx.rng().below(US);
        self.waiting.push_back(task);
        cx.ready(task, cx.now_ns() + used_ns + spread_ns + jitter_ns - bonus_ns.min(used_ns));
    }

    fn batch_end(&mut self, cx: &mut Context<'_, Member>) {
        while let Some(task) = self.waiting.pop_front() {
            if let Some(task) = cx.tasks_mut().get_mut(task) {
                task.state.started = true;
            }
        }
    }

    fn exit(&mut self, cx: &mut Context<'_, Member>, task: TaskId) {
        let process = cx.state(task).process;
        let Some(family) = self.by_process.get_mut(&process) else {
            return;
        };
        family.members -= 1;
        if family.members == 0 {
            self.by_process.remove(&process);
        }
    }
}

baton::main!(Families);

//~ passes
//! Virtual runtime by weight; what woke recently goes first.

use std::collections::BTreeMap;

use baton::prelude::*;

const SLICE_NS: u64 = 4 * MS;
const SLEEP_CREDIT_NS: u64 = 8 * MS;

#[derive(Debug)]
struct Vruntime {
    min_ns: u64,
    slice_ns: u64,
    /// Tasks that wait for more than one CPU's worth of time, by virtual time.
    late: BTreeMap<(u64, usize), TaskId>,
    /// What runs on each CPU.
    running: Vec<Option<TaskId>>,
    load: Vec<u64>,
    decided: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    virtual_ns: u64,
    mean_ns: u64,
    key: Option<(u64, usize)>,
}

impl Policy for Vruntime {
    const NAME: &'static str = "vruntime";
    const SUMMARY: &'static str = "virtual runtime by weight, with a credit for sleep";
    type Task = Account;

    fn new(setup: &Setup<'_>) -> Self {
        let ms = |name, default: u64| setup.param(name, default).clamp(1, 100) * MS;
        Self {
            min_ns: 0,
            slice_ns: ms("slice_ms", 4),
            late: BTreeMap::new(),
            running: vec![None; setup.machine.cpus.len()],
            load: vec![0; setup.machine.cpus.len()],
            decided: 0,
        }
    }

    fn options(&self) -> Options {
        Options {
            interests: Interests { running: true, stopping: true, ..Interests::default() },
            slice_ns: self.slice_ns,
            ..Options::default()
        }
    }

    fn join(&mut self, cx: &mut Context<'_, Account>, task: TaskId) {
        cx.state(task).virtual_ns = self.min_ns;
    }

    fn enqueue(&mut self, cx: &mut Context<'_, Account>, task: TaskId, enqueue: &Enqueue) {
        if enqueue.decided {
            return;
        }
        let weight = cx.task(task).info.weight;
        let floor = self.min_ns.saturating_sub(SLEEP_CREDIT_NS);
        let state = cx.state(task);
        if enqueue.reason == EnqueueReason::Wakeup {
            state.virtual_ns = state.virtual_ns.max(floor);
            state.mean_ns = (state.mean_ns * 3 + enqueue.burst_ns) / 4;
        }
        let key = state.virtual_ns + weighted(state.mean_ns.min(SLICE_NS), weight);
        if key > self.min_ns + 100 * SLICE_NS {
            let place = (key, task.index());
            state.key = Some(place);
            self.late.insert(place, task);
            cx.hold(task, 50 * MS);
            return;
        }
        self.decided += 1;
        debug_assert!(key >= floor, "{key} is below {floor}");
        cx.ready(task, key).slice_ns(self.slice_ns).preempt(enqueue.reason == EnqueueReason::Wakeup);
    }

    fn running(&mut self, _: &mut Context<'_, Account>, task: TaskId, cpu: u32) {
        if let Some(slot) = self.running.get_mut(cpu as usize) {
            *slot = Some(task);
        }
    }

    fn stopping(&mut self, cx: &mut Context<'_, Account>, task: TaskId, cpu: u32, runtime_ns: u64, _: StopReason) {
        let weight = cx.task(task).info.weight;
        let state = cx.state(task);
        state.virtual_ns = state.virtual_ns.wrapping_add(weighted(runtime_ns, weight));
        self.min_ns = self.min_ns.max(state.virtual_ns.saturating_sub(SLEEP_CREDIT_NS));
        let cpu = cpu as usize;
        if let Some(slot) = self.running.get_mut(cpu).filter(|slot| **slot == Some(task)) {
            *slot = None;
        }
        self.load[cpu] = self.load[cpu] / 2 + runtime_ns;
        let busiest = self.load.iter().copied().max().unwrap_or(0);
        let idle = self.running.iter().filter(|slot| slot.is_none()).count();
        if idle > 0 && busiest > SEC {
            self.release(cx, idle);
        }
    }

    fn exit(&mut self, cx: &mut Context<'_, Account>, task: TaskId) {
        if let Some(place) = cx.state(task).key.take() {
            self.late.remove(&place);
        }
        for slot in &mut self.running {
            *slot = slot.filter(|other| *other != task);
        }
    }

    fn cpu_dry(&mut self, cx: &mut Context<'_, Account>, _: u32) {
        self.release(cx, 1);
    }

    fn batch_end(&mut self, cx: &mut Context<'_, Account>) {
        while let Some(entry) = self.late.first_entry() {
            if entry.key().0 > self.min_ns {
                break;
            }
            let task = entry.remove();
            cx.ready(task, self.min_ns);
        }
    }

    fn counts(&self, tell: &mut dyn FnMut(&'static str, u64)) {
        for (name, count) in [("decided", self.decided), ("late", self.late.len() as u64)] {
            tell(name, count);
        }
    }
}

impl Vruntime {
    fn release(&mut self, cx: &mut Context<'_, Account>, most: usize) {
        for _ in 0..most {
            let Some((place, task)) = self.late.pop_first() else {
                return;
            };
            if let Some(known) = cx.tasks_mut().get_mut(task) {
                known.state.key = None;
                cx.ready(task, place.0);
            }
        }
    }
}

baton::main!(Vruntime);

//~ passes
//! A lottery with levels and feedback, in the ways in which such things are mostly written.

use std::{cmp::Reverse, collections::{BTreeMap, BinaryHeap, VecDeque}, fmt};

use baton::{CpuSet, TaskKey, prelude::*};

const LEVELS: usize = 4;
const SLICES_NS: [u64; LEVELS] = [2 * MS, 4 * MS, 8 * MS, 16 * MS];
const NICE_TO_WEIGHT: [u32; 8] = [88_761, 71_755, 56_483, 46_273, 36_291, 29_154, 23_254, 18_705];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiter {
    key: u64,
    id: TaskId,
}

#[derive(Debug, Default)]
struct Level {
    queue: VecDeque<TaskId>,
    tickets: u64,
}

#[derive(Debug)]
struct Cpu {
    current: Option<Waiter>,
    recent: VecDeque<u64>,
    idle: bool,
}

struct Lottery {
    levels: [Level; LEVELS],
    heap: BinaryHeap<Reverse<(u64, TaskId)>>,
    cpus: Vec<Cpu>,
    by_llc: BTreeMap<u32, CpuSet>,
    sleepers: BTreeMap<TaskKey, u64>,
    batch: Vec<TaskId>,
}

#[derive(Clone, Debug, Default)]
struct Ticket {
    level: usize,
    history: [u64; 8],
    at: usize,
    enqueued_ns: Option<u64>,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tickets, {} waiting", self.tickets, self.queue.len())
    }
}

impl Ticket {
    fn learn(&mut self, burst_ns: u64) {
        self.history[self.at % 8] = burst_ns;
        self.at += 1;
    }

    fn mean_ns(&self) -> u64 {
        self.history.iter().sum::<u64>() / self.history.len() as u64
    }
}

impl Policy for Lottery {
    const NAME: &'static str = "lottery_2";
    const SUMMARY: &'static str = "levels with feedback, and a draw among them";
    type Task = Ticket;

    fn new(setup: &Setup<'_>) -> Self {
        let count = setup.machine.cpus.len();
        let mut by_llc = BTreeMap::new();
        for cpu in &setup.machine.cpus {
            by_llc.entry(cpu.llc).or_insert(CpuSet::EMPTY).insert(cpu.id);
        }
        Self {
            levels: Default::default(),
            heap: BinaryHeap::with_capacity(1024),
            cpus: (0..count).map(|_| Cpu { current: None, recent: VecDeque::new(), idle: true }).collect(),
            by_llc,
            sleepers: BTreeMap::new(),
            batch: Vec::new(),
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, Self::Task>, id: TaskId, enqueue: &Enqueue) {
        let now_ns = cx.now_ns();
        let key = cx.task(id).key;
        let slept = self.sleepers.remove(&key).map_or(0, |since| now_ns - since);
        let ticket = cx.state(id);
        ticket.enqueued_ns = Some(now_ns);
        ticket.learn(enqueue.burst_ns);
        let mean_ns = ticket.mean_ns();
        let level = SLICES_NS.iter().position(|slice| mean_ns <= *slice).unwrap_or(LEVELS - 1);
        ticket.level = if slept > SEC { 0 } else { level };
        self.levels[level].queue.push_back(id);
        self.levels[level].tickets += 1;
        self.heap.push(Reverse((now_ns + mean_ns, id)));
        self.batch.push(id);
    }

    fn stopping(&mut self, cx: &mut Context<'_, Self::Task>, id: TaskId, cpu: u32, runtime_ns: u64, reason: StopReason) {
        let key = cx.task(id).key;
        let cpu = &mut self.cpus[cpu as usize];
        cpu.recent.push_back(runtime_ns);
        while cpu.recent.len() > 16 {
            cpu.recent.pop_front();
        }
        let mean_ns = cpu.recent.iter().sum::<u64>() / cpu.recent.len() as u64;
        cpu.idle = mean_ns < MS;
        match reason {
            StopReason::Slept => drop(self.sleepers.insert(key, cx.now_ns())),
            StopReason::SliceOver | StopReason::Preempted | StopReason::Yielded => {}
        }
    }

    fn exit(&mut self, cx: &mut Context<'_, Self::Task>, id: TaskId) {
        self.sleepers.remove(&cx.task(id).key);
        for cpu in self.cpus.iter_mut() {
            if cpu.current.is_some_and(|waiter| waiter.id == id) {
                cpu.current = None;
            }
        }
    }

    fn batch_end(&mut self, cx: &mut Context<'_, Self::Task>) {
        for level in self.levels.iter_mut() {
            let Some(first) = level.queue.front().copied() else { continue };
            if cx.tasks().get(first).is_none() {
                level.queue.pop_front();
            }
        }
        let winner = cx.rng().below(LEVELS as u64) as usize;
        let most = self.levels.iter().map(|level| level.queue.len()).max().unwrap_or(0);
        while let Some(Reverse((key, id))) = self.heap.pop() {
            let Some(task) = cx.tasks().get(id) else { continue };
            let weight = NICE_TO_WEIGHT[task.state.level];
            let slice_ns = SLICES_NS[winner] * u64::from(weight) / 88_761;
            let idle = self.cpus.iter().position(|cpu| cpu.idle && cpu.current.is_none());
            match idle {
                Some(cpu) if task.info.allowed.contains(cpu as u32) && most > 1 => {
                    cx.on_cpu(id, cpu as u32).slice_ns(slice_ns);
                    self.cpus[cpu].current = Some(Waiter { key, id });
                }
                _ => {
                    cx.ready(id, key).slice_ns(slice_ns);
                }
            }
        }
        for level in &mut self.levels {
            level.queue.clear();
            level.tickets = 0;
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort_by_key(|id| id.index());
        for id in batch.drain(..) {
            if let Some(task) = cx.tasks_mut().get_mut(id) {
                task.state.enqueued_ns = None;
            }
        }
        self.batch = batch;
    }
}

baton::main!(Lottery);

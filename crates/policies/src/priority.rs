//! Strict priority by class, with a floor against starvation.
//!
//! ```text
//! place = the highest priority first; within one, the earliest arrival + deadline_ms
//!         of the class (100 ms without one)
//! owed  = floor_percent of the CPU time that higher priorities used while a task of
//!         this one was kept waiting, less the time that this one used itself
//! slice = slice_ms x weight / 100,                        1 to 100 ms
//! ```
//!
//! - **Strict.** A task takes the CPU from one of a lower priority at once, the lowest
//!   first. While there are as many tasks of higher priorities as CPUs, the tasks of a
//!   lower one are kept in hand, so that no CPU can take them at the end of a slice. As
//!   soon as the higher ones leave a CPU free, they go to the ready queue.
//! - **Floor.** When what a priority is owed makes a slice, its first task takes the CPU
//!   that a higher one has had for longest, and is not preempted for that slice.
//!   So each priority has at least `floor_percent` of the CPU time of those above it,
//!   together. Beside that no task is kept in hand for longer than the backend's
//!   `starve_after`, a second: then rescue runs it, whatever its priority.
//! - **Weights** divide the time of one priority: its tasks take turns of slices that
//!   are longer for heavier ones.
//! - **CPUs** that a class does not allow are not used for its tasks, by decisions of
//!   this policy: rescue knows no classes. Such a task is sent to a CPU, or kept in hand
//!   until one is free, rather than put into the ready queue, which any CPU takes from.
//!   Preferred CPUs are used while they are free, and for preemption first.
//!
//! A task without a class has priority 0; a kernel thread without one stands with the
//! highest, for the others may wait for it. Where all have one priority, arrival and
//! deadline alone decide, in the ready queue.
//!
//! Sources: fixed priorities with preemption are those of POSIX's SCHED_FIFO and
//! SCHED_RR; the floor is the idea of the kernel's bandwidth reserve for tasks beneath
//! real-time ones (`kernel/sched/deadline.c`, the fair server), by accounting
//! instead of a timer. Written anew.

mod level;
mod send;

use alloc::vec::Vec;
use core::cmp::Reverse;

use baton_policy::{
    ClassUse, Context, Enqueue, Interests, KeyRule, MS, Options, Policy, Preemption, SEC, Setup,
    StopReason, TaskId,
};

use crate::{
    Param,
    cpus::{Cpus, Reach},
    held::Fresh,
};
use level::{Found, Level, Phase, Turn};

/// Deadline of a task whose class has none.
const DEADLINE_NS: u64 = 100 * MS;
/// Between the keys of two priorities: more than deadlines and waits in ready make.
const BAND_NS: u64 = 60 * SEC;
const SLICE_MIN_NS: u64 = MS;

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "slice_ms",
        default: "10",
        meaning: "slice of a task of the default weight, 1 to 100",
    },
    Param {
        name: "floor_percent",
        default: "5",
        meaning: "what a priority gets at least of the time of those above it, 0 to 50",
    },
];

/// Runs the highest priority first.
#[derive(Debug)]
pub struct Priority {
    slice_ns: u64,
    floor_percent: u64,
    /// The highest priority first; two at least, or one where classes name CPUs.
    levels: Vec<Level>,
    cpus: Cpus,
    turns: Vec<Turn>,
    fresh: Fresh,
    online: u32,
    /// Whether there is anything to watch: priorities that differ, or CPUs to choose.
    watches: bool,
}

/// What the policy keeps of a task.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorityTask {
    phase: Phase,
    /// Its place in the levels.
    level: usize,
    granted: bool,
    /// Whether its waker is about to sleep and is not lower.
    follows: bool,
}

impl Policy for Priority {
    const NAME: &'static str = "priority";
    const SUMMARY: &'static str = "strict priority by task class, with a floor for the lower ones";
    const CLASS_USE: ClassUse = ClassUse {
        weight: true,
        deadline: true,
        priority: true,
        cpus: true,
    };
    type Task = PriorityTask;

    fn new(setup: &Setup<'_>) -> Self {
        let slice_ms: u64 = setup.param("slice_ms", 10);
        let floor_percent: u64 = setup.param("floor_percent", 5);
        // A task without a class has priority 0.
        let given = setup.classes.iter().map(|class| class.priority);
        let mut priorities: Vec<i32> = given.chain([0]).collect();
        priorities.sort_unstable_by_key(|priority| Reverse(*priority));
        priorities.dedup();
        let watches = priorities.len() > 1 || setup.classes.name_cpus();
        Self {
            slice_ns: slice_ms.clamp(1, 100) * MS,
            floor_percent: floor_percent.min(50),
            levels: priorities.into_iter().map(Level::new).collect(),
            cpus: Cpus::new(setup.machine.cpus.len()),
            turns: alloc::vec![Turn::default(); setup.machine.cpus.len()],
            fresh: Fresh::new(),
            online: setup.machine.online().len() as u32,
            watches,
        }
    }

    fn options(&self) -> Options {
        let plain = Options {
            slice_ns: self.slice_ns,
            key_rule: KeyRule::EnqueueTime,
            sync_fast_path: !self.watches,
            ..Options::default()
        };
        if !self.watches {
            return plain;
        }
        Options {
            interests: Interests {
                decided: false,
                ..Interests::ALL
            },
            // Whom to preempt is decided here, and then it is at once.
            preemption: Preemption {
                min_burst_ns: 0,
                ..Preemption::default()
            },
            requeue_patience_ns: 0,
            ..plain
        }
    }

    fn join(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        cx.state(id).level = self.level_of(cx, id);
    }

    fn update(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        let level = self.level_of(cx, id);
        let state = cx.state(id);
        let phase = state.phase;
        if self.watches && (level != state.level || phase == Phase::Held) {
            self.enter(state, id, Phase::Away);
            state.level = level;
            match phase {
                // Its class may reach other CPUs, too.
                Phase::Held => self.place(cx, id),
                phase => self.enter(state, id, phase),
            }
        }
        for (cpu, turn) in self.turns.iter_mut().enumerate() {
            if self.cpus.has(cpu as u32, id) {
                turn.level = level;
            }
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId, enqueue: &Enqueue) {
        if !self.watches {
            return self.make_ready(cx, id);
        }
        self.cpus.left(enqueue.cpu, id, cx.now_ns());
        self.enter(cx.state(id), id, Phase::Away);
        // A waker that is about to sleep leaves its CPU to the highest that waits.
        let level = cx.task(id).state.level;
        let waker = self.waker_level(cx, enqueue.waker);
        cx.state(id).follows = enqueue.sync && waker.is_some_and(|waker| waker <= level);
        if !self.fresh.push(id) {
            self.place(cx, id);
        }
    }

    fn running(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId, cpu: u32) {
        let now_ns = cx.now_ns();
        let bound = Reach::of(cx, id).bound;
        let state = cx.state(id);
        if let Some(turn) = self.turns.get_mut(cpu as usize) {
            *turn = Turn {
                level: state.level,
                by_floor: state.granted,
                charged_ns: now_ns,
            };
        }
        self.cpus.running(cpu, id, bound, now_ns);
        self.enter(state, id, Phase::Running);
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, PriorityTask>,
        id: TaskId,
        cpu: u32,
        _: u64,
        reason: StopReason,
    ) {
        self.settle(cpu, cx.now_ns());
        self.cpus.stopping(cpu, reason, cx.now_ns());
        if reason != StopReason::Preempted {
            self.enter(cx.state(id), id, Phase::Away);
        }
    }

    fn dequeue(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        self.enter(cx.state(id), id, Phase::Away);
    }

    fn rescued(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        self.enter(cx.state(id), id, Phase::Away);
    }

    fn exit(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        self.enter(cx.state(id), id, Phase::Away);
        self.cpus.leave(id);
    }

    /// The CPU has nothing but what it ran. What is kept in hand and is not lower gets
    /// its turn there.
    fn cpu_dry(&mut self, cx: &mut Context<'_, PriorityTask>, cpu: u32) {
        let now_ns = cx.now_ns();
        self.settle(cpu, now_ns);
        let runs = self.cpus.runs(cpu).map(|_| self.turns[cpu as usize].level);
        if runs.is_some() && self.cpus.is_claimed(cpu, now_ns) {
            return;
        }
        let lowest = runs.unwrap_or(self.levels.len() - 1);
        let here = |id| Reach::of(cx, id).cpus.contains(cpu);
        let first = self.levels[..=lowest]
            .iter()
            .find_map(|level| level.held.find(here));
        let Some(id) = first else { return };
        let higher = runs.is_some_and(|runs| cx.task(id).state.level < runs);
        if Reach::of(cx, id).bound || higher {
            self.send(cx, id, cpu, higher);
        } else {
            self.make_ready(cx, id);
        }
    }

    fn cpu_online(&mut self, cx: &mut Context<'_, PriorityTask>, cpu: u32, _: bool) {
        self.online = cx.online().len() as u32;
        self.cpus.vacate(cpu, cx.now_ns());
    }

    /// What is kept in hand stays there; of all else nothing is known.
    fn lost(&mut self, cx: &mut Context<'_, PriorityTask>, _: u64) {
        self.cpus.forget();
        let ids: Vec<TaskId> = cx.tasks().iter().map(|(id, _)| id).collect();
        for id in ids {
            let state = cx.state(id);
            if state.phase != Phase::Held {
                self.enter(state, id, Phase::Away);
            }
        }
    }

    fn batch_end(&mut self, cx: &mut Context<'_, PriorityTask>) {
        if self.fresh.is_empty() && self.levels.iter().all(|level| level.held.is_empty()) {
            return;
        }
        for cpu in cx.online().iter() {
            self.settle(cpu, cx.now_ns());
        }
        let fresh = self.fresh.take();
        for level in 0..self.levels.len() {
            while let Some(id) = self.placeable(cx, level) {
                self.place(cx, id);
            }
            for id in fresh.iter() {
                let task = cx.tasks().get(id);
                if task.is_some_and(|task| task.waiting && task.state.level == level) {
                    self.place(cx, id);
                }
            }
            self.pay(cx, level);
        }
        self.fresh.reuse(fresh);
    }
}

impl Priority {
    fn level_of(&self, cx: &Context<'_, PriorityTask>, id: TaskId) -> usize {
        let priority = match cx.class(id) {
            Some(class) => class.priority,
            None if cx.task(id).info.kernel_thread => return 0,
            None => 0,
        };
        let mut levels = self.levels.iter();
        levels
            .position(|level| level.priority == priority)
            .unwrap_or(0)
    }

    /// The priority of the task that wakes another, as long as it runs.
    fn waker_level(&self, cx: &Context<'_, PriorityTask>, pid: u32) -> Option<usize> {
        let cpu = self.cpus.runs_pid(cx, pid)?;
        Some(self.turns[cpu as usize].level)
    }

    /// Notes where a task is now.
    fn enter(&mut self, state: &mut PriorityTask, id: TaskId, phase: Phase) {
        let level = &mut self.levels[state.level];
        level.leave(state.phase, id);
        if state.granted && phase != Phase::Running {
            state.granted = false;
            level.granted -= 1;
        }
        level.enter(phase);
        state.phase = phase;
    }

    /// Accounts for the time of what runs on a CPU.
    fn settle(&mut self, cpu: u32, now_ns: u64) {
        if self.cpus.runs(cpu).is_none() {
            return;
        }
        let turn = &mut self.turns[cpu as usize];
        let used_ns = now_ns.saturating_sub(turn.charged_ns);
        turn.charged_ns += used_ns;
        self.levels[turn.level].use_up(used_ns);
        let owed_ns = used_ns.min(SEC) * self.floor_percent / 100;
        for level in &mut self.levels[turn.level + 1..] {
            level.owe(owed_ns, self.slice_ns);
        }
    }

    /// Whether tasks of higher priorities could fill all CPUs.
    fn is_saturated(&self, level: usize) -> bool {
        let higher: u32 = self.levels[..level].iter().map(|level| level.active).sum();
        higher >= self.online
    }

    /// A CPU for a task that waits: a free one, else one that runs a lower priority.
    fn find(&self, cx: &Context<'_, PriorityTask>, id: TaskId, reach: &Reach) -> Found {
        let (now_ns, task) = (cx.now_ns(), cx.task(id));
        let (own, level) = (task.cpu, task.state.level);
        let ready = |levels: &[Level]| levels.iter().any(|level| level.ready > 0);
        let (upto, below) = self.levels.split_at(level + 1);
        let (others_first, lower) = (ready(upto), ready(below));
        let is_open = |cpu| match others_first {
            true => self.cpus.rests(cpu, now_ns),
            false => self.cpus.is_open(cpu, now_ns),
        };
        if let Some(cpu) = reach.first(cx, own, is_open) {
            // It may have taken a lower one from ready meanwhile.
            return if reach.bound || reach.choosy || lower && !others_first {
                Found::Cpu(cpu)
            } else {
                Found::Idle(cpu)
            };
        }
        let turn = |cpu: u32| self.turns[cpu as usize];
        let victims = reach.cpus.iter().filter(|cpu| {
            let turn = turn(*cpu);
            turn.level > level && !turn.by_floor && !self.cpus.is_claimed(*cpu, now_ns)
        });
        let best = victims.max_by_key(|&cpu| {
            let preferred = reach.choosy && reach.preferred.contains(cpu);
            let at_once = !self.cpus.is_interrupted(cpu);
            (
                at_once,
                preferred,
                turn(cpu).level,
                cpu == own,
                Reverse(cpu),
            )
        });
        if let Some(cpu) = best {
            return Found::Cpu(cpu);
        }
        // From ready any CPU could take it; so it takes turns with what comes from there.
        let behind = reach.first(cx, own, |cpu| {
            let equal = turn(cpu).level == level && !self.cpus.runs_bound(cpu);
            reach.bound && equal && !self.cpus.is_claimed(cpu, now_ns)
        });
        behind.map_or(Found::Nothing, Found::Behind)
    }

    /// A task in hand that need not stay there.
    fn placeable(&self, cx: &Context<'_, PriorityTask>, level: usize) -> Option<TaskId> {
        let is_saturated = self.is_saturated(level);
        self.levels[level].held.find_near(|id| {
            let reach = Reach::of(cx, id);
            match self.find(cx, id, &reach) {
                Found::Cpu(_) | Found::Idle(_) | Found::Behind(_) => true,
                Found::Nothing => !reach.bound && !is_saturated,
            }
        })
    }

    /// Sends a task to a CPU, puts it into ready, or keeps it in hand. One that
    /// follows its waker gets that CPU from ready.
    fn place(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        let reach = Reach::of(cx, id);
        let is_saturated = self.is_saturated(cx.task(id).state.level);
        if core::mem::take(&mut cx.state(id).follows) && !reach.bound {
            return self.make_ready(cx, id);
        }
        match self.find(cx, id, &reach) {
            Found::Cpu(cpu) => self.send(cx, id, cpu, true),
            Found::Behind(cpu) => self.send(cx, id, cpu, false),
            Found::Idle(cpu) => {
                self.make_ready(cx, id);
                // It does not stay there: one task for one free CPU.
                self.cpus.claim(cpu, id, cx.now_ns());
                self.enter(cx.state(id), id, Phase::Placed);
            }
            Found::Nothing if (reach.bound || is_saturated) && self.hold(cx, id) => {}
            Found::Nothing => self.make_ready(cx, id),
        }
    }
}

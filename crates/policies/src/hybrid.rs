//! Fast and slow CPUs: short work where it is fast, long work where it does not disturb.
//!
//! ```text
//! order       = that of edf, with its parameters
//! interactive = its class has a deadline, or
//!               mean and present work between sleeps <= interactive_ms
//! work        = CPU time x capacity / 1,024
//! CPU         = a free one: the largest for interactive tasks, the smallest for others
//! ```
//!
//! - **Interactive** tasks prefer large CPUs: when one is woken and only smaller ones
//!   than that are free, or none, it takes the largest CPU that runs a background task
//!   for 2 ms at least. That task goes on elsewhere, on a free CPU if there is one.
//! - **Background** tasks go to small CPUs while these are free, to large ones otherwise,
//!   and stay where they run as long as nobody wants the CPU.
//! - **Nobody waits while a CPU idles**: what finds no free CPU stands in edf's order, in
//!   the ready queue, from which the first CPU that runs dry takes it, whatever its size.
//! - **Classes**: CPUs that a class prefers come before its others, whatever their
//!   size. Those that it does not allow are not used by this policy's decisions, only by
//!   rescue: its tasks are sent to a CPU, or kept in hand until one is free or runs
//!   something that may run elsewhere.
//!
//! Where all CPUs are alike and no class names any, this is edf: the same decisions, and
//! the same fast paths. Otherwise every wakeup is decided here, as a fast path knows
//! nothing of sizes, and two more events tell of each switch.
//!
//! Capacity is the machine's, 1,024 for the fastest CPU. That two hyperthreads share a
//! core is not looked at.
//!
//! Source: the kernel places by utilisation and capacity
//! (`Documentation/scheduler/sched-capacity.rst`), from which capacity is taken; the
//! mean length of bursts as the measure is that of edf's habit. Written anew.

use alloc::vec::Vec;
use core::cmp::Reverse;

use baton_policy::{
    CAPACITY_SCALE, ClassUse, Context, Enqueue, EnqueueReason, Interests, MS, Machine, Mode,
    Options, Policy, Preemption, Setup, StopReason, TaskId,
};

use crate::{
    Param,
    cpus::{Cpus, Reach},
    edf::{Asked, Deadline, Edf, EdfTask},
    held::{Fresh, Held},
};

/// A task that just got its CPU keeps it for so long.
const MIN_BURST_NS: u64 = 2 * MS;
/// Longest burst that the mean takes into account.
const BURST_MAX_NS: u64 = 100 * MS;

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "interactive_ms",
        default: "4",
        meaning: "a task is interactive whose bursts are at most so long on the fastest CPU",
    },
    Param {
        name: "slice_ms",
        default: "20",
        meaning: "as for edf",
    },
    Param {
        name: "debt_ms",
        default: "200",
        meaning: "as for edf",
    },
    Param {
        name: "credit_ms",
        default: "20",
        meaning: "as for edf",
    },
    Param {
        name: "habit_ms",
        default: "10",
        meaning: "as for edf",
    },
    Param {
        name: "sync",
        default: "true",
        meaning: "as for edf, where all CPUs are alike",
    },
];

/// Chooses CPUs by their size.
#[derive(Debug)]
pub struct Hybrid {
    edf: Edf,
    interactive_ns: u64,
    cpus: Cpus,
    fresh: Fresh,
    /// Tasks bound to CPUs that are all in use.
    held: Held,
    /// Number of tasks in the ready queue.
    ready: u32,
    /// Whether there is a choice of CPUs.
    chooses: bool,
    mode: Mode,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Anywhere else.
    #[default]
    Away,
    Ready,
    Held,
}

/// What the policy keeps of a task.
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridTask {
    edf: EdfTask,
    phase: Phase,
    interactive: bool,
    /// Work since its last sleep, and its mean over whole bursts: CPU time as it would be
    /// on the fastest CPU, so that a slow one does not make long work of short.
    burst_ns: u64,
    mean_ns: u64,
    /// Whether its last enqueue was a wakeup by one that goes on.
    woken: bool,
    /// Its place in edf's order, at its last enqueue.
    key: u64,
    offset: i64,
}

impl Policy for Hybrid {
    const NAME: &'static str = "hybrid";
    const SUMMARY: &'static str =
        "for fast and slow CPUs: short bursts on the fast, edf among them";
    const CLASS_USE: ClassUse = ClassUse {
        weight: true,
        deadline: true,
        priority: false,
        cpus: true,
    };
    type Task = HybridTask;

    fn new(setup: &Setup<'_>) -> Self {
        let interactive_ms: u64 = setup.param("interactive_ms", 4);
        Self {
            edf: Edf::new(setup),
            interactive_ns: interactive_ms.min(100) * MS,
            cpus: Cpus::new(setup.machine.cpus.len()),
            fresh: Fresh::new(),
            held: Held::new(),
            ready: 0,
            chooses: setup.machine.is_hybrid() || setup.classes.name_cpus(),
            mode: setup.mode,
        }
    }

    fn options(&self) -> Options {
        let options = self.edf.options();
        if !self.chooses {
            return options;
        }
        Options {
            mode: Mode::Decide,
            idle_fast_path: false,
            sync_fast_path: false,
            // What is judged here is time on the CPU, interruptions included.
            preemption: Preemption {
                min_burst_ns: MIN_BURST_NS / 2,
                ..options.preemption
            },
            interests: Interests {
                decided: false,
                ..Interests::ALL
            },
            requeue_patience_ns: 0,
            ..options
        }
    }

    fn join(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        self.edf.welcome(&mut cx.state(id).edf);
    }

    fn update(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        if cx.state(id).phase == Phase::Held {
            // Its class may reach other CPUs now.
            self.place(cx, id);
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId, enqueue: &Enqueue) {
        let (asked, now_ns) = (Asked::of(cx, id), cx.now_ns());
        let state = cx.state(id);
        let Deadline { key, offset } = self.edf.deadline(&mut state.edf, asked, enqueue, now_ns);
        if enqueue.decided && self.mode == Mode::Decide {
            return;
        }
        state.key = key;
        state.offset = offset;
        state.woken = enqueue.reason == EnqueueReason::Wakeup && !enqueue.sync;
        if !self.chooses {
            return self.make_ready(cx, id);
        }
        let is_short = state.mean_ns.max(state.burst_ns) <= self.interactive_ns;
        state.interactive = asked.has_deadline() || is_short;
        self.enter(state, id, Phase::Away);
        self.cpus.left(enqueue.cpu, id, now_ns);
        if !self.fresh.push(id) {
            self.place(cx, id);
        }
    }

    fn running(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId, cpu: u32) {
        let bound = Reach::of(cx, id).bound;
        self.cpus.running(cpu, id, bound, cx.now_ns());
        self.enter(cx.state(id), id, Phase::Away);
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, HybridTask>,
        id: TaskId,
        cpu: u32,
        runtime_ns: u64,
        reason: StopReason,
    ) {
        self.cpus.stopping(cpu, reason, cx.now_ns());
        let work_ns = scaled(runtime_ns, capacity(cx.machine(), cpu));
        cx.state(id).learn(work_ns, reason);
    }

    fn dequeue(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        self.enter(cx.state(id), id, Phase::Away);
    }

    fn rescued(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        self.enter(cx.state(id), id, Phase::Away);
    }

    fn exit(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        self.enter(cx.state(id), id, Phase::Away);
        self.cpus.leave(id);
    }

    /// The CPU has nothing but what it ran: a turn for what is kept in hand.
    fn cpu_dry(&mut self, cx: &mut Context<'_, HybridTask>, cpu: u32) {
        let is_coming = self.cpus.is_claimed(cpu, cx.now_ns());
        if is_coming && self.cpus.runs(cpu).is_some() {
            return;
        }
        let here = |id| Reach::of(cx, id).cpus.contains(cpu);
        if let Some(id) = self.held.find(here) {
            self.send(cx, id, cpu, false);
        }
    }

    fn cpu_online(&mut self, cx: &mut Context<'_, HybridTask>, cpu: u32, _: bool) {
        self.edf.set_cpus(cx.online().len());
        self.cpus.vacate(cpu, cx.now_ns());
    }

    /// What is kept in hand stays there; of all else nothing is known.
    fn lost(&mut self, cx: &mut Context<'_, HybridTask>, _: u64) {
        self.cpus.forget();
        let ids: Vec<TaskId> = cx.tasks().iter().map(|(id, _)| id).collect();
        for id in ids {
            let state = cx.state(id);
            if state.phase == Phase::Ready {
                self.enter(state, id, Phase::Away);
            }
        }
    }

    fn batch_end(&mut self, cx: &mut Context<'_, HybridTask>) {
        while let Some(id) = self.placeable(cx) {
            self.place(cx, id);
        }
        let fresh = self.fresh.take();
        // The large CPUs are for these.
        for interactive in [true, false] {
            for id in fresh.iter() {
                let task = cx.tasks().get(id);
                if task.is_some_and(|task| task.waiting && task.state.interactive == interactive) {
                    self.place(cx, id);
                }
            }
        }
        self.fresh.reuse(fresh);
    }
}

impl Hybrid {
    /// Notes where a task is now; who holds it puts it into `held`.
    fn enter(&mut self, state: &mut HybridTask, id: TaskId, phase: Phase) {
        if state.phase == Phase::Held {
            self.held.remove(id);
        }
        self.ready -= u32::from(state.phase == Phase::Ready);
        self.ready += u32::from(phase == Phase::Ready);
        state.phase = phase;
    }

    /// A task in hand that need not stay there.
    fn placeable(&self, cx: &Context<'_, HybridTask>) -> Option<TaskId> {
        let find = |id| self.find(cx, id, &Reach::of(cx, id)).is_some();
        self.held.find_near(find)
    }

    /// Sends a task to a CPU, keeps one in hand that ready could take anywhere, or puts
    /// it into ready.
    fn place(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        let reach = Reach::of(cx, id);
        if let Some((cpu, preempt)) = self.find(cx, id, &reach) {
            return self.send(cx, id, cpu, preempt);
        }
        self.enter(cx.state(id), id, Phase::Away);
        if reach.bound && self.held.push(cx.task(id).state.key, id) {
            cx.state(id).phase = Phase::Held;
            cx.hold(id, Options::LEASE_MAX_NS);
        } else {
            self.make_ready(cx, id);
        }
    }

    fn make_ready(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId) {
        let HybridTask {
            key, offset, woken, ..
        } = *cx.state(id);
        cx.ready(id, key)
            .preempt(woken || self.mode == Mode::Hint)
            .key_offset(offset);
        if self.chooses {
            self.enter(cx.state(id), id, Phase::Ready);
        }
    }

    fn send(&mut self, cx: &mut Context<'_, HybridTask>, id: TaskId, cpu: u32, preempt: bool) {
        cx.on_cpu(id, cpu).preempt(preempt);
        self.cpus.claim(cpu, id, cx.now_ns());
        self.enter(cx.state(id), id, Phase::Away);
    }

    /// The CPU for a task, and whether to take it from what runs there.
    fn find(&self, cx: &Context<'_, HybridTask>, id: TaskId, reach: &Reach) -> Option<(u32, bool)> {
        let (now_ns, task) = (cx.now_ns(), cx.task(id));
        let HybridTask {
            interactive, woken, ..
        } = task.state;
        // How well a CPU suits: by wish, then by size.
        let suits = |cpu: u32| {
            let wished = reach.choosy && reach.preferred.contains(cpu);
            let size = i64::from(capacity(cx.machine(), cpu));
            (wished, if interactive { size } else { -size })
        };
        let best = |fits: &dyn Fn(u32) -> bool| {
            let cpus = reach.cpus.iter().filter(|cpu| fits(*cpu));
            cpus.max_by_key(|&cpu| {
                let at_once = !self.cpus.is_interrupted(cpu);
                (suits(cpu), at_once, cpu == task.cpu, Reverse(cpu))
            })
        };
        let free = best(&|cpu| self.is_free(cpu, reach.bound, now_ns));
        if interactive && woken {
            let victim = best(&|cpu| self.is_in_background(cx, cpu));
            let worth = |victim: &u32| free.is_none_or(|free| suits(*victim) > suits(free));
            if let Some(victim) = victim.filter(worth) {
                return Some((victim, true));
            }
        }
        // From ready any CPU could take it; so it takes turns with what comes from there.
        let behind = |cpu: u32| !self.cpus.is_claimed(cpu, now_ns) && !self.cpus.runs_bound(cpu);
        let free = free.or_else(|| reach.bound.then(|| best(&behind)).flatten());
        free.map(|cpu| (cpu, false))
    }

    /// Whether a task can be sent to the CPU at once. One that is bound must not stay in
    /// hand beside a CPU of which nothing is known; others find that from ready.
    fn is_free(&self, cpu: u32, bound: bool, now_ns: u64) -> bool {
        match (self.ready > 0, bound) {
            (true, _) => self.cpus.rests(cpu, now_ns),
            (false, true) => self.cpus.is_open(cpu, now_ns),
            (false, false) => self.cpus.is_free(cpu, now_ns),
        }
    }

    /// Whether the CPU runs a background task that had its turn.
    fn is_in_background(&self, cx: &Context<'_, HybridTask>, cpu: u32) -> bool {
        let now_ns = cx.now_ns();
        let Some((id, since_ns)) = self.cpus.runs(cpu) else {
            return false;
        };
        let Some(task) = cx.tasks().get(id) else {
            return false;
        };
        let ran_ns = now_ns.saturating_sub(since_ns);
        // It may have begun to compute since it was last judged.
        let work_ns = scaled(ran_ns, capacity(cx.machine(), cpu));
        let computes = work_ns > self.interactive_ns && !Asked::of(cx, id).has_deadline();
        let in_background = computes || !task.state.interactive;
        in_background && ran_ns >= MIN_BURST_NS && !self.cpus.is_claimed(cpu, now_ns)
    }
}

impl HybridTask {
    /// Takes what it did into account; with its sleep a burst is whole.
    const fn learn(&mut self, work_ns: u64, reason: StopReason) {
        self.burst_ns = self.burst_ns.saturating_add(work_ns);
        if matches!(reason, StopReason::Slept) {
            let burst_ns = if self.burst_ns < BURST_MAX_NS {
                self.burst_ns
            } else {
                BURST_MAX_NS
            };
            self.mean_ns = self.mean_ns - self.mean_ns / 4 + burst_ns / 4;
            self.burst_ns = 0;
        }
    }
}

/// How fast a CPU is; nothing is known of one that the machine lacks.
fn capacity(machine: &Machine, cpu: u32) -> u32 {
    let cpu = machine.cpus.get(cpu as usize);
    cpu.map_or(CAPACITY_SCALE, |cpu| cpu.capacity)
}

/// CPU time as it would be on the fastest CPU.
const fn scaled(runtime_ns: u64, capacity: u32) -> u64 {
    (runtime_ns as u128 * capacity as u128 / CAPACITY_SCALE as u128) as u64
}

//! Earliest eligible virtual deadline first.
//!
//! ```text
//! vruntime = weighted CPU time that the task used while others waited
//! V        = average of the competing tasks' vruntimes, weighted by their weights
//! lag      = V - vruntime: what the task is owed, negative what it owes
//! eligible = lag >= 0
//! deadline = vruntime + weighted slice
//! ```
//!
//! "Weighted" is CPU time divided by the task's weight (in units of the default
//! weight). Of the eligible tasks the one with the earliest deadline runs. So shares
//! follow weights, no task gets far ahead of its share, and a task that has its
//! share coming waits no longer than about its slice divided by its share.
//!
//! # How it is queued
//!
//! A deadline is a fixed key; whether a task is eligible changes with time. So the
//! policy holds tasks that are not eligible, ordered by vruntime, and releases each
//! into the backend's ready queue when `V` has come to it. Among the released ones the
//! backend picks the earliest deadline at the moment a CPU is free. Where too few are
//! eligible, the next ones are released early, one for each CPU that will be done
//! with what runs there and two for each idle CPU: no CPU waits for the policy.
//!
//! - **Keys.** With `sync`, the backend queues tasks that are woken synchronously by
//!   itself, and its keys are times. So are the policy's then: the time at which `V`
//!   comes to the deadline at the present load, which keeps the order while the load
//!   stays. The backend cannot know whether such a task is eligible. Without `sync`,
//!   keys are the deadlines themselves, and every wakeup waits for a decision.
//! - **Leases.** `V` moves as fast as CPUs divided by weights, so the policy knows how
//!   long a task will be held; its lease is a multiple of that, within the backend's
//!   bound of a second. Where the running tasks are to go on, because their weights are
//!   many times those of the held ones, no event wakes the policy when a held task's
//!   turn comes. Then the lease is that very time, and rescue is what runs the task.
//! - **Long slices.** A CPU takes the next released task when a slice is over, even if
//!   what ran there would be picked again. So a slice is prolonged, up to 20 times, as
//!   long as the deadline that goes with it comes before all others.
//! - **Overdue tasks.** A CPU that finds nothing released when a slice is over lets its
//!   task go on. An eligible task that is released later is sent to such a CPU.
//! - **Short slices.** A slice is shorter where its weight would make a task wait half
//!   a second for the next.
//! - **Preemption** is allowed to eligible tasks that wake; the backend compares the
//!   deadlines.
//!
//! # Lag
//!
//! - **Sleep.** A task that sleeps leaves the competition with its lag, cut to two
//!   slices. A credit is kept; a debt is paid by what `V` moves meanwhile and by time in
//!   which nobody waited. It comes back at `V` less its lag, a new task at `V`. As
//!   joining moves `V`, its vruntime is set so that the lag is right afterwards.
//! - **What the backend places itself** (an idle CPU, rescue) is charged like all else.
//! - **Affinity.** Tasks that may run on the same CPUs form a group. Held tasks are
//!   queued by group, so that none stands in the way of another. Where affinity makes
//!   the weights' shares impossible, a whole group is moved along with `V`, its order
//!   within unchanged. A single task whose weight is due more than one CPU is forgiven
//!   what it cannot get.
//!
//! Sources: Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First: A
//! Flexible and Accurate Mechanism for Proportional Share Resource Allocation"
//! (1995), for all definitions; Andrea Righi's talk "Exploring AI-powered kernel
//! schedulers with Rust" (2025) for the deadline in terms of runtime, slice and
//! weight; Linux, Documentation/scheduler/sched-eevdf.rst, for lag over sleep.

mod clock;
mod compete;
mod groups;
#[cfg(test)]
mod history;
mod order;
mod release;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use baton_policy::{
    ClassUse, Context, CpuSet, Enqueue, EnqueueReason, Interests, MS, Options, Policy, Setup,
    StopReason, TaskId, WEIGHT_DEFAULT, weighted,
};

use crate::Param;
use clock::Clock;
use groups::Groups;
use order::Order;

/// So many slices is the most that a task is owed, or owes, over a sleep.
const SLEEP_SLICES: u64 = 2;
/// And while it competes, before what it cannot get is forgiven.
const LAG_SLICES: u64 = 10;
/// A slice is prolonged at most to so many.
const LONG_SLICES: u64 = 20;
/// A held task is released early if it is eligible within so many slices.
const SOON_SLICES: u64 = 4;
/// A slice is not so long that the task waits longer than this for its next.
const WAIT_MAX_NS: u64 = 500 * MS;
/// Virtual time is translated into time by the load, up to so many tasks a CPU.
const LOAD_MAX: u64 = 8;
/// A lease is so many times the expected wait, and at least [`LEASE_MIN_NS`].
const LEASE_WAITS: u64 = 4;
const LEASE_MIN_NS: u64 = 20 * MS;

/// The queues of released and of running tasks, after those of all groups.
const RELEASED: u32 = u32::MAX - 2;
const RUNNING: u32 = u32::MAX - 1;

/// Bound of one step of virtual time, so that absurd events do not overflow.
const VIRTUAL_MAX: u64 = 1 << 60;
const WEIGHT_MAX: u32 = 10_000;
/// A time that does not come.
const NEVER: i64 = i64::MAX;

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "slice_ms",
        default: "3",
        meaning: "slice that a deadline is made of, 1 to 100",
    },
    Param {
        name: "sync",
        default: "true",
        meaning: "whether a task woken by one that is about to sleep is queued without a decision",
    },
];

/// Runs the eligible task with the earliest virtual deadline.
#[derive(Debug)]
pub struct Eevdf {
    options: Options,
    clock: Clock,
    groups: Groups,
    /// Held tasks by vruntime, a queue for each group; all others by deadline.
    order: Order,
    /// What runs on each CPU, or was interrupted there.
    running: Vec<Option<TaskId>>,
    /// What was sent to each CPU.
    sent: Vec<Option<TaskId>>,
    /// CPUs of either.
    busy: CpuSet,
    /// When, by the contended time, the slice of the task that runs there is over.
    over_ns: Vec<i64>,
    /// When running tasks were last forgiven what they cannot get.
    forgiven_ns: u64,
    /// CPUs that are online.
    cpus: u64,
    /// Tasks that came since the last batch and have no lease yet.
    fresh: Vec<TaskId>,
    scratch: Vec<TaskId>,
}

/// Where a task is, as far as the policy knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Asleep, or on its way from a CPU to a queue.
    #[default]
    Away,
    /// In the policy's hand.
    Held,
    /// In one of the backend's queues.
    Released,
    /// Sent to this CPU, past the queues.
    Sent { cpu: u32 },
    /// On this CPU since this time, which the clock calls contended.
    Running { cpu: u32, began_ns: i64 },
    /// It left this CPU and wants to go on: it will be enqueued, or run again after
    /// something beyond the policy's reach took the CPU.
    Paused { cpu: u32 },
}

/// What the policy keeps of a task.
#[derive(Clone, Copy, Debug, Default)]
pub struct EevdfTask {
    place: Place,
    /// Whether it counts in `V`: it runs or wants to.
    competes: bool,
    weight: u32,
    group: u32,
    /// Virtual times, relative to the group's base.
    vruntime: i64,
    deadline: i64,
    /// Lag when it left the competition, and where `V` and the clock were.
    lag: i64,
    left_average: i64,
    left_free_ns: u64,
    /// It woke and has not run since.
    woken: bool,
    /// It stands among those that have no lease yet.
    fresh: bool,
}

impl Policy for Eevdf {
    const NAME: &'static str = "eevdf";
    const SUMMARY: &'static str = "earliest eligible virtual deadline first: fair by weight";
    const CLASS_USE: ClassUse = ClassUse {
        weight: true,
        ..ClassUse::NONE
    };
    type Task = EevdfTask;

    fn new(setup: &Setup<'_>) -> Self {
        // The kernel's own is 0.7 ms times one to four, by the number of CPUs. Here
        // each slice costs an answer of the process, so it is the longest of those.
        let slice_ns = setup.param("slice_ms", 3_u64).clamp(1, 100) * MS;
        let sync: bool = setup.param("sync", true);
        let options = Options {
            interests: Interests::ALL,
            sync_fast_path: sync,
            slice_ns,
            rescue_slice_ns: slice_ns,
            requeue_patience_ns: 0,
            ..Options::default()
        };
        let groups = Groups::new(setup.machine);
        Self {
            options,
            clock: Clock::new(groups.len()),
            groups,
            order: Order::new(options.tasks_max),
            running: alloc::vec![None; setup.machine.cpus.len()],
            sent: alloc::vec![None; setup.machine.cpus.len()],
            busy: CpuSet::EMPTY,
            over_ns: alloc::vec![NEVER; setup.machine.cpus.len()],
            forgiven_ns: 0,
            cpus: setup.machine.online().len() as u64,
            fresh: Vec::with_capacity(options.tasks_max as usize),
            scratch: Vec::with_capacity(options.tasks_max as usize),
        }
    }

    fn options(&self) -> Options {
        self.options
    }

    fn join(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId) {
        let info = &cx.task(id).info;
        let (weight, group) = (
            info.weight.clamp(1, WEIGHT_MAX),
            self.groups.join(&info.allowed),
        );
        *cx.state(id) = EevdfTask {
            weight,
            group,
            left_average: self.clock.average(),
            left_free_ns: self.clock.free_ns(),
            ..EevdfTask::default()
        };
    }

    fn update(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId) {
        self.clock.advance(cx.now_ns());
        let info = &cx.task(id).info;
        let (weight, allowed) = (info.weight.clamp(1, WEIGHT_MAX), info.allowed);
        let mut task = *cx.state(id);
        let (place, competes) = (task.place, task.competes);
        self.put(&mut task, id, Place::Away);
        let left = rescale(
            task.deadline.saturating_sub(task.vruntime),
            u64::from(task.weight),
            u64::from(weight),
        );
        self.leave(&mut task);
        self.groups.quit(task.group);
        task.group = self.groups.join(&allowed);
        // What it is owed, and what is left of its slice, is CPU time.
        task.lag = rescale(task.lag, u64::from(task.weight), u64::from(weight));
        task.weight = weight;
        if competes {
            self.enter(&mut task);
            task.deadline = task.vruntime.saturating_add(left);
        }
        self.put(&mut task, id, place);
        *cx.state(id) = task;
    }

    fn enqueue(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId, enqueue: &Enqueue) {
        self.clock.advance(cx.now_ns());
        let mut task = *cx.state(id);
        self.put(&mut task, id, Place::Away);
        let woke = matches!(enqueue.reason, EnqueueReason::Wakeup | EnqueueReason::New);
        if woke {
            self.leave(&mut task);
        }
        self.enter(&mut task);
        task.woken = woke || (task.woken && enqueue.reason == EnqueueReason::Requeued);
        let slice = virtual_ns(self.slice_ns(task.weight), task.weight);
        let next = task.vruntime.saturating_add(slice);
        task.deadline = if enqueue.reason == EnqueueReason::Yielded {
            // It lets one slice of its own pass.
            next.saturating_add(slice)
        } else if woke || task.vruntime >= task.deadline {
            next
        } else {
            // The rest of a slice; of a long one no more than a whole.
            task.deadline.min(next)
        };
        if enqueue.decided {
            self.put(&mut task, id, Place::Released);
        } else {
            self.put(&mut task, id, Place::Held);
            if !task.fresh && self.fresh.len() < self.fresh.capacity() {
                task.fresh = true;
                self.fresh.push(id);
            }
        }
        *cx.state(id) = task;
    }

    fn running(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId, cpu: u32) {
        self.clock.advance(cx.now_ns());
        if compete::at(&self.running, cpu) != Some(id) {
            self.vacate(cx, cpu);
        }
        let began_ns = self.clock.contended_ns(cx.now_ns());
        self.step(cx, id, |policy, task| {
            policy.enter(task);
            policy.put(task, id, Place::Running { cpu, began_ns });
        });
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, EevdfTask>,
        id: TaskId,
        _cpu: u32,
        runtime_ns: u64,
        reason: StopReason,
    ) {
        self.clock.advance(cx.now_ns());
        let now_ns = cx.now_ns();
        self.step(cx, id, |policy, task| {
            if let Place::Running { cpu, began_ns } = task.place {
                let contended_ns = policy.clock.contended_ns(now_ns).saturating_sub(began_ns);
                policy.put(task, id, Place::Paused { cpu });
                policy.charge(task, runtime_ns.min(contended_ns.max(0) as u64));
            }
            if reason == StopReason::Slept {
                policy.put(task, id, Place::Away);
                policy.leave(task);
            }
        });
    }

    fn dequeue(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId) {
        self.clock.advance(cx.now_ns());
        self.withdraw(cx, id);
    }

    fn rescued(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId) {
        self.clock.advance(cx.now_ns());
        self.step(cx, id, |policy, task| {
            if matches!(task.place, Place::Held | Place::Sent { .. }) {
                policy.put(task, id, Place::Released);
            }
        });
    }

    fn exit(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId) {
        self.dequeue(cx, id);
        self.groups.quit(cx.state(id).group);
    }

    fn cpu_dry(&mut self, cx: &mut Context<'_, EevdfTask>, cpu: u32) {
        self.clock.advance(cx.now_ns());
        self.vacate(cx, cpu);
        // Whatever the counts say, nothing that is released can run there.
        let held = self.held_queues();
        let here = held.filter(|entry| self.groups.cpus(entry.queue).contains(cpu));
        if let Some(soonest) = here.min_by_key(|entry| self.vruntime_of(entry)) {
            self.release(cx, soonest);
        }
    }

    fn cpu_online(&mut self, cx: &mut Context<'_, EevdfTask>, cpu: u32, _online: bool) {
        self.clock.advance(cx.now_ns());
        self.cpus = cx.online().len() as u64;
        self.vacate(cx, cpu);
    }

    fn lost(&mut self, cx: &mut Context<'_, EevdfTask>, _count: u64) {
        // Every task may be elsewhere than it seems. What is held goes; then nobody
        // competes until its next event.
        self.clock.advance(cx.now_ns());
        while let Some(entry) = self.held_from(0) {
            self.release(cx, entry);
        }
        let mut all = core::mem::take(&mut self.scratch);
        all.extend(cx.tasks().iter().map(|(id, _)| id));
        for id in all.drain(..) {
            self.withdraw(cx, id);
        }
        self.scratch = all;
    }

    fn batch_end(&mut self, cx: &mut Context<'_, EevdfTask>) {
        self.clock.advance(cx.now_ns());
        // It looks at every CPU, so not after each batch.
        if cx.now_ns().saturating_sub(self.forgiven_ns) >= self.options.slice_ns {
            self.forgiven_ns = cx.now_ns();
            self.forgive_running(cx);
        }
        let mut queue = 0;
        while let Some(entry) = self.held_from(queue) {
            self.release_due(cx, entry.queue);
            queue = entry.queue + 1;
        }
        while let Some(id) = self.fresh.pop() {
            // It may have ended since.
            let Some(task) = cx.tasks_mut().get_mut(id) else {
                continue;
            };
            task.state.fresh = false;
            let task = task.state;
            if task.place == Place::Held {
                cx.hold(id, self.lease_ns(&task));
            }
        }
        if self.clock.running() + self.groups.released_in_all() <= self.cpus {
            self.set_alarms(cx);
        }
    }
}

/// What CPU time adds to the vruntime of a task.
fn virtual_ns(runtime_ns: u64, weight: u32) -> i64 {
    weighted(runtime_ns, weight).min(VIRTUAL_MAX) as i64
}

/// The virtual time that is the same CPU time at another weight.
fn rescale(virtual_ns: i64, from: u64, to: u64) -> i64 {
    let scaled = i128::from(virtual_ns) * i128::from(from) / i128::from(to);
    scaled.clamp(-i128::from(VIRTUAL_MAX), i128::from(VIRTUAL_MAX)) as i64
}

/// The CPU time that adds `virtual_ns` to the vruntime of a task; 0 for a negative one.
fn unweighted(virtual_ns: i64, weight: u32) -> u64 {
    let runtime_ns = virtual_ns.max(0) as u128 * u128::from(weight) / u128::from(WEIGHT_DEFAULT);
    runtime_ns.min(u128::from(u64::MAX / 4)) as u64
}

//! Earliest deadline first, where a task's deadline says how soon it will sleep
//! and whether it had its share.
//!
//! ```text
//! key    = now + burst + habit + lead
//! burst  = weighted CPU time since the last sleep,           0 to 100 ms
//! habit  = weighted mean CPU time between its sleeps,        0 to habit_ms
//! lead   = weighted CPU time ahead of the average task,      -credit_ms to debt_ms,
//!          where the first slice_ms in either direction count as none
//! slice  = slice_ms / (waiting / CPUs + 1), by the backend,  2 ms to slice_ms
//! ```
//!
//! "Weighted" is CPU time divided by the task's weight (in units of the default
//! weight), so a heavy task has nearer deadlines and falls behind later.
//!
//! - **burst** puts tasks that sleep soon before those that compute. It is all that
//!   the backend itself knows at a synchronous wakeup; the rest goes along as the
//!   decision's key offset, so a task has one deadline on both paths.
//! - **habit** tells a task that always sleeps soon from one that sleeps rarely at
//!   the moment of waking, where both have used nothing: an exponential mean of whole
//!   bursts, a new one counting a quarter. A burst that slices divided is one burst.
//! - **lead** makes the shares fair in the long run. The average task's virtual time
//!   moves with every charge by that charge divided by the number of tasks that
//!   compete; a task's lead is its own virtual time less that. It is cut at the
//!   credit for a task that slept and at the debt for one that computes, so that
//!   none saves up or owes without end; and a sleep repays a debt, one for one. A
//!   lead of less than a slice is what slices make of fairness anyhow, and to follow
//!   it costs switches: ordered by virtual time alone, messaging programs took half
//!   as long again.
//! - **In hint mode** the backend computes `now + burst` and the slice itself; habit and lead
//!   are the hint's key offset.
//! - A **class's deadline** stands in for habit and lead: such a task wants to run
//!   within that time of waking, whatever it is used to and whatever share it had. Its
//!   burst counts as ever, so that it falls behind while it computes.
//! - **Preemption** is allowed at wakeups that are not synchronous; the backend
//!   judges it by the thresholds in [`Options::preemption`]. Without `sync` it is allowed
//!   at all: by the time of the decision the waker's CPU runs something else.
//!
//! No task starves: whatever comes more than `100 + habit_ms + debt_ms + credit_ms`
//! later stands behind it, 330 ms with the defaults. A class's deadline beyond a second
//! counts as one.
//!
//! Shares follow the weights as far as this window allows; a task with a
//! hundredth of the others' weight gets more than its hundredth, for it never waits
//! longer than that.
//!
//! Sources: `scx_rustland` and Andrea Righi's talk "Crafting a Linux kernel
//! scheduler in Rust" (2024) for a deadline from virtual time and the habit of
//! sleeping, and for the slice; Stoica and Abdel-Wahab, "Earliest Eligible Virtual
//! Deadline First" (1995) for virtual time and its average. Written anew.

use baton_policy::{
    ClassUse, Context, Enqueue, EnqueueReason, KeyRule, MS, Mode, Options, Policy, SEC, Setup,
    SliceRule, TaskId, weighted,
};

use crate::Param;

/// Most that the CPU time since the last sleep adds; also the longest burst that
/// the mean takes into account.
const BURST_MAX_NS: u64 = 100 * MS;

/// No slice is shorter: as long as a running task is safe from preemption.
pub(crate) const SLICE_MIN_NS: u64 = 2 * MS;

/// Hints are multiples of this: less than the lead that preemption asks for, so that it
/// changes no order that matters.
pub(crate) const HINT_STEP_NS: i64 = MS as i64 / 4;

pub(crate) const RULE: KeyRule = KeyRule::Deadline {
    burst_max_ns: BURST_MAX_NS,
};

/// Most that a class's deadline delays, so that no task starves behind its own class.
const DEADLINE_MAX_NS: u64 = SEC;

/// Bound of every duration that a user gives, so that sums of them do not overflow.
pub(crate) const PARAM_MAX_MS: u64 = 10_000;

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "slice_ms",
        default: "20",
        meaning: "longest slice, when nobody waits",
    },
    Param {
        name: "debt_ms",
        default: "200",
        meaning: "most that using too much delays a task",
    },
    Param {
        name: "credit_ms",
        default: "20",
        meaning: "most that having slept hastens a task",
    },
    Param {
        name: "habit_ms",
        default: "10",
        meaning: "most that a habit of long bursts delays",
    },
    Param {
        name: "sync",
        default: "true",
        meaning: "whether a task woken by one that is about to sleep is queued without a decision",
    },
];

/// Runs tasks in the order of their deadlines.
#[derive(Debug)]
pub struct Edf {
    slice_ns: u64,
    debt_ns: u64,
    credit_ns: u64,
    habit_ns: u64,
    cpus: u64,
    sync: bool,
    mode: Mode,
    /// Where the average task stands, weighted CPU time; wraps around.
    average_ns: u64,
}

/// What the policy keeps of a task.
#[derive(Clone, Copy, Debug, Default)]
pub struct EdfTask {
    /// Its virtual time, on the scale of [`Edf::average_ns`].
    virtual_ns: u64,
    /// CPU time in its life, at its last enqueue.
    runtime_ns: u64,
    /// CPU time since its last sleep, at its last enqueue.
    burst_ns: u64,
    /// Number of its last enqueue.
    seq: u64,
    /// Mean CPU time between sleeps.
    habit_ns: u64,
}

impl Policy for Edf {
    const NAME: &'static str = "edf";
    const SUMMARY: &'static str = "earliest deadline first: soon asleep and fair share";
    const CLASS_USE: ClassUse = ClassUse {
        weight: true,
        deadline: true,
        ..ClassUse::NONE
    };
    type Task = EdfTask;

    fn new(setup: &Setup<'_>) -> Self {
        let param_ns = |name, default: u64| setup.param(name, default).min(PARAM_MAX_MS) * MS;
        Self {
            slice_ns: param_ns("slice_ms", 20).clamp(SLICE_MIN_NS, Options::SLICE_MAX_NS),
            debt_ns: param_ns("debt_ms", 200),
            credit_ns: param_ns("credit_ms", 20),
            habit_ns: param_ns("habit_ms", 10),
            sync: setup.param("sync", true),
            cpus: setup.machine.online().len() as u64,
            mode: setup.mode,
            average_ns: 0,
        }
    }

    fn options(&self) -> Options {
        Options {
            slice_ns: self.slice_ns,
            slice_rule: SliceRule::WaitingPerCpu,
            slice_min_ns: SLICE_MIN_NS,
            mode: self.mode,
            key_rule: RULE,
            sync_fast_path: self.sync,
            ..Options::default()
        }
    }

    fn join(&mut self, cx: &mut Context<'_, EdfTask>, task: TaskId) {
        self.welcome(cx.state(task));
    }

    fn enqueue(&mut self, cx: &mut Context<'_, EdfTask>, id: TaskId, enqueue: &Enqueue) {
        let asked = Asked::of(cx, id);
        let now_ns = cx.now_ns();
        let Deadline { key, offset } = self.deadline(cx.state(id), asked, enqueue, now_ns);
        // In hint mode all are decided already. What a sync wakeup placed gets no hint, as
        // it would get no decision in the other mode.
        if enqueue.decided && (enqueue.sync || self.mode == Mode::Decide) {
            return;
        }
        // A hint that says nothing new costs nothing.
        let offset = match self.mode {
            Mode::Hint | Mode::Infer => offset - offset % HINT_STEP_NS,
            Mode::Decide => offset,
        };
        // Who wakes it leaves its CPU to it; but not for as long as a decision takes.
        let leaves = enqueue.sync && self.sync;
        let woken = enqueue.reason == EnqueueReason::Wakeup && !leaves;
        cx.ready(id, key)
            .preempt(woken || self.mode == Mode::Hint)
            .key_offset(offset);
    }

    fn cpu_online(&mut self, cx: &mut Context<'_, EdfTask>, _: u32, _: bool) {
        self.set_cpus(cx.online().len());
    }
}

/// What is asked for a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    weight: u32,
    /// Of its class.
    deadline_ns: Option<u64>,
}

impl Asked {
    pub(crate) fn of<S>(cx: &Context<'_, S>, id: TaskId) -> Self {
        Self {
            weight: cx.task(id).info.weight,
            deadline_ns: cx.class(id).and_then(|class| class.deadline_ns),
        }
    }

    pub(crate) const fn weight(self) -> u32 {
        self.weight
    }

    /// The deadline that its class gives it, cut.
    pub(crate) fn deadline_ns(self) -> Option<u64> {
        self.deadline_ns.map(|ns| ns.min(DEADLINE_MAX_NS))
    }

    pub(crate) const fn has_deadline(self) -> bool {
        self.deadline_ns.is_some()
    }
}

/// A task's place in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) key: u64,
    /// What of it is not in the backend's own rule.
    pub(crate) offset: i64,
}

impl Edf {
    /// Charges a task for what it used since its last enqueue, and gives it its place.
    pub(crate) fn deadline(
        &mut self,
        state: &mut EdfTask,
        asked: Asked,
        enqueue: &Enqueue,
        now_ns: u64,
    ) -> Deadline {
        let weight = asked.weight;
        let lead_ns = self.lead(state, weight, enqueue);
        let habit_ns = weighted(state.habit_ns, weight).min(self.habit_ns);
        let offset = match asked.deadline_ns() {
            Some(deadline_ns) => deadline_ns as i64,
            None => lead_ns + habit_ns as i64,
        };
        let key = RULE
            .key(now_ns, enqueue.burst_ns, weight)
            .wrapping_add_signed(offset);
        Deadline { key, offset }
    }

    /// Charges a task for what it used since its last enqueue; how far it is ahead of the average task beyond a
    /// slice, or behind.
    pub(crate) fn lead(&mut self, state: &mut EdfTask, weight: u32, enqueue: &Enqueue) -> i64 {
        let (used_ns, enqueues) = state.since_last(enqueue);
        if enqueue.reason == EnqueueReason::Wakeup {
            state.learn_habit(used_ns, enqueues);
        }
        // An enqueue comes here when no CPU idles. What went beyond a slice since the
        // last one was used while CPUs idled or nobody waited: it was nobody's share.
        let charge_ns = weighted(used_ns.min(self.slice_ns), weight);
        let lead_ns = self.charge(state, charge_ns, enqueue);
        state.runtime_ns = enqueue.runtime_ns;
        state.burst_ns = enqueue.burst_ns;
        state.seq = enqueue.seq;
        beyond(lead_ns, self.slice_ns as i64)
    }

    /// Whether synchronous wakeups are placed without a decision.
    pub(crate) const fn heeds_sync(&self) -> bool {
        self.sync
    }

    /// CPUs that are online.
    pub(crate) const fn cpus(&self) -> u32 {
        self.cpus as u32
    }

    /// A task became known: it stands with the average.
    pub(crate) const fn welcome(&self, state: &mut EdfTask) {
        state.virtual_ns = self.average_ns;
    }

    /// The number of CPUs changed.
    pub(crate) const fn set_cpus(&mut self, count: usize) {
        self.cpus = count as u64;
    }

    /// Moves a task's virtual time, and with it the average. Returns the task's lead
    /// over the average, from minus credit to debt and a slice beyond each.
    fn charge(&mut self, task: &mut EdfTask, charge_ns: u64, enqueue: &Enqueue) -> i64 {
        let least = -((self.slice_ns + self.credit_ns) as i64);
        let most = (self.slice_ns + self.debt_ns) as i64;
        let lead = task.virtual_ns.wrapping_sub(self.average_ns) as i64;
        let lead = lead.clamp(least, most);
        let repaid = lead.max(0).min(enqueue.slept_ns.min(most as u64) as i64);
        let start = lead - repaid;
        // The average moves by what the task moved: a debt beyond the bound is
        // forgiven, so it must not push the others into credit.
        let moved = charge_ns.min((most - start) as u64);
        // This task was on a CPU or takes the place of one that is.
        let competing = (self.cpus + u64::from(enqueue.waiting))
            .saturating_sub(1)
            .max(1);
        let share = moved / competing;
        task.virtual_ns = self
            .average_ns
            .wrapping_add_signed(start)
            .wrapping_add(moved);
        self.average_ns = self.average_ns.wrapping_add(share);
        start + moved as i64 - share as i64
    }
}

impl EdfTask {
    /// CPU time used since the last enqueue that was heard of, and the number of
    /// enqueues since: those that the backend served itself were not heard of, but
    /// numbered. A task that ran before the policy came starts afresh.
    const fn since_last(&self, enqueue: &Enqueue) -> (u64, u64) {
        if self.seq == 0 {
            return (0, 1);
        }
        let enqueues = enqueue.seq.saturating_sub(self.seq);
        let used_ns = enqueue.runtime_ns.saturating_sub(self.runtime_ns);
        (used_ns, if enqueues == 0 { 1 } else { enqueues })
    }

    /// Takes what ended with the last sleep into the mean; several bursts count as
    /// one of their average length.
    fn learn_habit(&mut self, used_ns: u64, bursts: u64) {
        let burst_ns = self.burst_ns.saturating_add(used_ns) / bursts;
        self.habit_ns = self.habit_ns - self.habit_ns / 4 + burst_ns.min(BURST_MAX_NS) / 4;
    }
}

/// How far `value` lies outside `-slack..=slack`.
const fn beyond(value: i64, slack: i64) -> i64 {
    if value > slack {
        value - slack
    } else if value < -slack {
        value + slack
    } else {
        0
    }
}

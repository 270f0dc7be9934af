//! Policies that each do one thing, to the suite's own tasks; all others are first come, first served, and
//! before them.

use baton_policy::{
    Context, Enqueue, EnqueueReason, Interests, KeyRule, MS, Options, Policy, SEC, Setup, TaskId,
};

use crate::PREFIX;

/// Where keys of the suite's tasks begin: far behind those of others.
const LATER_NS: u64 = 1000 * SEC;
/// The lease that [`Keep`] takes.
pub(crate) const LEASE_NS: u64 = 30 * MS;
/// When [`Mute`]'s tasks are rescued.
pub(crate) const RESCUE_NS: u64 = 20 * MS;
/// The slice that [`Slices`] gives.
pub(crate) const SLICE_NS: u64 = 3 * MS;
/// After how long [`Ladder`]'s last ones run all the same.
pub(crate) const STARVE_NS: u64 = 300 * MS;

fn is_ours<S>(cx: &Context<'_, S>, task: TaskId) -> bool {
    let name = cx.task(task).info.name;
    name.as_bytes().starts_with(PREFIX.as_bytes())
}

/// Everything is heard, and everything is decided here.
fn options() -> Options {
    Options {
        interests: Interests::ALL,
        key_rule: KeyRule::EnqueueTime,
        idle_fast_path: false,
        requeue_patience_ns: 0,
        ..Options::default()
    }
}

/// Makes a policy that keeps nothing of tasks and treats the suite's by one function.
macro_rules! probe {
    ($policy:ident, $name:literal, $summary:literal, $options:expr, $enqueue:expr) => {
        #[doc = $summary]
        #[derive(Debug)]
        pub(crate) struct $policy;

        impl Policy for $policy {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            type Task = ();

            fn new(_: &Setup<'_>) -> Self {
                Self
            }

            fn options(&self) -> Options {
                $options
            }

            fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue) {
                if enqueue.decided {
                    return;
                }
                if !is_ours(cx, task) {
                    cx.ready(task, cx.now_ns());
                    return;
                }
                let decide: fn(&mut Context<'_, ()>, TaskId, &Enqueue) = $enqueue;
                decide(cx, task, enqueue);
            }
        }
    };
}

probe!(
    Listen,
    "listen",
    "first come, first served, and hears everything",
    Options {
        idle_fast_path: true,
        ..options()
    },
    |cx, task, _| {
        cx.ready(task, cx.now_ns());
    }
);

probe!(
    Keep,
    "keep",
    "keeps tasks in hand until their leases end",
    options(),
    |cx, task, _| {
        cx.hold(task, LEASE_NS);
    }
);

probe!(
    Mute,
    "mute",
    "decides nothing",
    Options {
        rescue_after_ns: RESCUE_NS,
        ..options()
    },
    |_, _, _| {}
);

probe!(
    ToCpu,
    "to-cpu",
    "sends each task to a CPU by its number",
    options(),
    |cx, task, _| {
        let cpu = cx.task(task).key.pid % 2;
        cx.on_cpu(task, cpu);
    }
);

probe!(
    Astray,
    "astray",
    "sends every other enqueue to the other CPU",
    options(),
    |cx, task, enqueue| {
        let cpu = (enqueue.seq % 2) as u32;
        if cx.task(task).info.name.as_bytes() == b"cf-hog" {
            cx.ready(task, cx.now_ns() + LATER_NS);
        } else {
            cx.on_cpu(task, cpu).preempt(true);
        }
    }
);

probe!(
    Eager,
    "eager",
    "who wakes takes a CPU",
    options(),
    |cx, task, enqueue| wake(cx, task, enqueue, true)
);

probe!(
    Meek,
    "meek",
    "who wakes goes first, and takes nothing",
    options(),
    |cx, task, enqueue| wake(cx, task, enqueue, false)
);

probe!(Slices, "slices", "short turns", options(), |cx, task, _| {
    cx.ready(task, cx.now_ns() + LATER_NS).slice_ns(SLICE_NS);
});

fn wake(cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue, preempt: bool) {
    let wakes = enqueue.reason == EnqueueReason::Wakeup;
    // Hogs wake once, when they begin.
    let later_ns = if wakes { LATER_NS } else { 2 * LATER_NS };
    cx.ready(task, cx.now_ns() + later_ns)
        .slice_ns(20 * MS)
        .preempt(wakes && preempt);
}

/// The first to come always goes before the second, and so on.
#[derive(Debug)]
pub(crate) struct Ladder {
    known: u64,
}

impl Policy for Ladder {
    const NAME: &'static str = "ladder";
    const SUMMARY: &'static str = "the first to come always goes first";
    /// The task's place.
    type Task = u64;

    fn new(_: &Setup<'_>) -> Self {
        Self { known: 0 }
    }

    fn options(&self) -> Options {
        Options {
            slice_ns: 4 * MS,
            starve_after_ns: STARVE_NS,
            ..options()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, u64>, task: TaskId, enqueue: &Enqueue) {
        if enqueue.decided {
            return;
        }
        if !is_ours(cx, task) {
            cx.ready(task, cx.now_ns());
            return;
        }
        if *cx.state(task) == 0 {
            self.known += 1;
            *cx.state(task) = self.known;
        }
        // Keys of the same place are the same, whenever they were given.
        let key = (1 << 62) + *cx.state(task) * SEC;
        cx.ready(task, key);
    }
}

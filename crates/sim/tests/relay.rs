//! What the relay does with a policy's decisions, seen by policies made for that: what they hear, in
//! which order, and what becomes of what they say.

mod common;

use std::sync::{Mutex, PoisonError};

use baton_policy::{
    Context, Enqueue, EnqueueReason, Interests, KeyRule, MS, Options, Policy, Preemption, SEC,
    Setup, StopReason, TaskId, US,
};
use baton_sim::{Report, Spawn, Stage, run};
use common::{Beat, beats, play};

/// Decides nothing at all.
struct Mute;

impl Policy for Mute {
    const NAME: &'static str = "mute";
    const SUMMARY: &'static str = "never decides";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            idle_fast_path: false,
            rescue_after_ns: 10 * MS,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, _: &mut Context<'_, ()>, _: TaskId, _: &Enqueue) {}
}

#[test]
fn what_nobody_decides_is_rescued_in_time() {
    let config = play(2 * SEC, |stage| beats(stage, 3, MS, 5 * MS));
    let report = run::<Mute>(&config).unwrap();
    assert!(report.counter("rescues") > 100, "{report}");
    assert_eq!(report.counter("decisions"), 0);
    // rescue_after, five runnable tasks on two CPUs with slices of 5 ms, the timer's period, ticks.
    assert!(
        report.longest_wait.ms < 10.0 + 2.5 * 8.0 + 5.0 + 4.0,
        "{report}"
    );
}

/// Keeps every task in hand until its lease ends.
struct Keep;

impl Policy for Keep {
    const NAME: &'static str = "keep";
    const SUMMARY: &'static str = "holds everything";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            idle_fast_path: false,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.hold(task, 30 * MS);
    }
}

#[test]
fn a_lease_ends_in_rescue() {
    let config = play(2 * SEC, |stage| beats(stage, 2, MS, 5 * MS));
    let report = run::<Keep>(&config).unwrap();
    assert!(
        report.counter("holds") > 50 && report.counter("rescues") > 50,
        "{report}"
    );
    let waits = report
        .latencies
        .iter()
        .find(|found| found.name == "wait")
        .unwrap();
    // The lease's 30 ms and up to a period of the timer, not rescue_after's 20.
    assert!(waits.p50 >= 30_000.0 && waits.p90 < 50_000.0, "{waits:?}");
}

/// Sends every task to CPU 0, whatever waits there.
struct Crowd;

impl Policy for Crowd {
    const NAME: &'static str = "crowd";
    const SUMMARY: &'static str = "all on one CPU";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            idle_fast_path: false,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.on_cpu(task, 0);
    }
}

#[test]
fn a_local_queue_takes_eight() {
    let few = play(SEC, |stage| beats(stage, 4, MS, 5 * MS));
    let report = run::<Crowd>(&few).unwrap();
    assert_eq!(
        (report.counter("invalid"), report.counter("rescues")),
        (0, 0)
    );
    let many = play(SEC, |stage| beats(stage, 20, 20 * MS, MS));
    let report = run::<Crowd>(&many).unwrap();
    assert!(
        report.counter("invalid") > 0 && report.counter("rescues") > 0,
        "{report}"
    );
}

/// First come, first served, where a wakeup may preempt what had its turn.
struct Eager {
    min_burst_ns: u64,
}

impl Policy for Eager {
    const NAME: &'static str = "eager";
    const SUMMARY: &'static str = "preempts at wakeups";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        Self {
            min_burst_ns: setup.param("min_burst_ms", 2) * MS,
        }
    }

    fn options(&self) -> Options {
        Options {
            key_rule: KeyRule::EnqueueTime,
            preemption: Preemption {
                min_burst_ns: self.min_burst_ns,
                min_lead_ns: MS,
            },
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue) {
        let wakes = enqueue.reason == EnqueueReason::Wakeup;
        // A hog's key is far behind that of a task that wakes.
        let key = cx.now_ns() + if wakes { 0 } else { SEC };
        cx.ready(task, key).preempt(wakes);
    }
}

fn median_wakeup_us(report: &Report) -> f64 {
    let found = report.latencies.iter().find(|found| found.name == "wakeup");
    found.unwrap().p50
}

#[test]
fn a_wakeup_preempts_what_had_its_turn() {
    let mut config = play(SEC, |stage| beats(stage, 1, MS, 30 * MS));
    let report = run::<Eager>(&config).unwrap();
    assert!(report.counter("preemptions") > 20, "{report}");
    assert!(median_wakeup_us(&report) < 20.0, "{report}");
    // Nobody ever computes for so long.
    config.params = vec![("min_burst_ms".into(), "5000".into())];
    let report = run::<Eager>(&config).unwrap();
    assert_eq!(report.counter("preemptions"), 0);
    assert!(median_wakeup_us(&report) > 100.0, "{report}");
}

/// What a listener heard of one task: the kinds of events, a letter each.
static HEARD: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());

/// Decides as fifo does and writes down what it hears.
struct Listen;

impl Listen {
    fn note(pid: u32, what: char) {
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.iter_mut().find(|(known, _)| *known == pid) {
            Some((_, text)) => text.push(what),
            None => heard.push((pid, what.to_string())),
        }
    }
}

/// What the listener keeps of a task.
#[derive(Default)]
struct Ear {
    seq: u64,
    burst_ns: u64,
}

impl Policy for Listen {
    const NAME: &'static str = "listen";
    const SUMMARY: &'static str = "writes down what it hears";
    type Task = Ear;

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            interests: Interests::ALL,
            ..Options::default()
        }
    }

    fn join(&mut self, cx: &mut Context<'_, Ear>, task: TaskId) {
        Self::note(cx.task(task).key.pid, 'j');
    }

    fn enqueue(&mut self, cx: &mut Context<'_, Ear>, task: TaskId, enqueue: &Enqueue) {
        Self::note(cx.task(task).key.pid, 'e');
        let ear = cx.state(task);
        assert_eq!(enqueue.seq, ear.seq + 1, "an enqueue is missing");
        ear.seq = enqueue.seq;
        match enqueue.reason {
            EnqueueReason::Wakeup | EnqueueReason::New => assert_eq!(enqueue.burst_ns, 0),
            _ => assert_eq!(enqueue.burst_ns, ear.burst_ns, "the burst is what it ran"),
        }
        cx.ready(task, cx.now_ns());
    }

    fn running(&mut self, cx: &mut Context<'_, Ear>, task: TaskId, _: u32) {
        Self::note(cx.task(task).key.pid, 'r');
    }

    fn stopping(
        &mut self,
        cx: &mut Context<'_, Ear>,
        task: TaskId,
        _: u32,
        runtime_ns: u64,
        reason: StopReason,
    ) {
        let letter = if reason == StopReason::Slept {
            's'
        } else {
            'p'
        };
        Self::note(cx.task(task).key.pid, letter);
        let ear = cx.state(task);
        ear.burst_ns = match reason {
            StopReason::Slept => 0,
            _ => ear.burst_ns + runtime_ns,
        };
    }

    fn exit(&mut self, cx: &mut Context<'_, Ear>, task: TaskId) {
        Self::note(cx.task(task).key.pid, 'x');
    }
}

#[test]
fn events_of_a_task_come_in_the_order_of_its_life() {
    let config = play(SEC, |stage| {
        // Nobody waits for the process once the others ended, and what is left in its ring would be
        // unheard.
        beats(stage, 1, MS, 20 * MS);
        for _ in 0..3 {
            let beat = Beat {
                burst_ns: 7 * MS,
                sleep_ns: 500 * US,
                left: 8,
            };
            stage.spawn(Spawn::new("beat", Stage::NO_PART, beat));
        }
    });
    run::<Listen>(&config).unwrap();
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(heard.len(), 6);
    for (pid, text) in heard.iter() {
        let life = text.strip_prefix('j').expect("a task is introduced first");
        let mut last = 's';
        for what in life.trim_end_matches('x').chars() {
            let follows = match last {
                // Interrupted by the policy's own process, it goes on without an enqueue.
                's' => "e",
                'p' => "er",
                'e' => "r",
                _ => "sp",
            };
            assert!(
                follows.contains(what),
                "task {pid}: {what} after {last} in {text}"
            );
            last = what;
        }
    }
    let ended = heard
        .iter()
        .filter(|(_, text)| text.ends_with("sx"))
        .count();
    assert_eq!(ended, 3, "{heard:?}");
}

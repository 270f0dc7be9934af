//! When the policy's process is woken, and when it may sleep on.

mod common;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use baton_policy::{
    Context, Enqueue, EnqueueReason, Interests, KeyRule, MS, Mode, Options, Policy, SEC, Setup,
    TaskId, US,
};
use baton_sim::{
    Actor, Cast, Channel, Config, Fault, Plan, Report, Spawn, Stage, Step, Wakeups, run,
};
use common::{Beat, beats, config, play};

/// First come, first served, with a patience and a slice of so many milliseconds. In hint mode it says
/// the same of each task each time, or something new if asked.
struct Calm {
    options: Options,
    news: bool,
    said: i64,
}

impl Policy for Calm {
    const NAME: &'static str = "calm";
    const SUMMARY: &'static str = "first come, first served, patiently";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        let options = Options {
            mode: setup.mode,
            sync_fast_path: setup.param("sync", 1) > 0,
            requeue_patience_ns: setup.param("patience_ms", 4) * MS,
            slice_ns: setup.param("slice_ms", 20) * MS,
            key_rule: KeyRule::EnqueueTime,
            ..Options::default()
        };
        Self {
            options,
            news: setup.param("news", 0) > 0,
            said: 0,
        }
    }

    fn options(&self) -> Options {
        self.options
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue) {
        if enqueue.reason == EnqueueReason::Wakeup
            && enqueue.decided
            && !self.options.sync_fast_path
        {
            return;
        }
        self.said += i64::from(self.news);
        cx.ready(task, cx.now_ns()).key_offset(self.said);
    }
}

fn with(config: &Config, params: &[(&str, u64)]) -> Report {
    let named = |(name, value): &(&str, u64)| ((*name).to_owned(), value.to_string());
    let params = params.iter().map(named).collect();
    run::<Calm>(&Config {
        params,
        ..config.clone()
    })
    .unwrap()
}

/// The longest from an enqueue to its decision, microseconds.
fn slowest_decision_us(report: &Report) -> f64 {
    let mut latencies = report.latencies.iter();
    latencies
        .find(|found| found.name == "decision")
        .unwrap()
        .max
}

#[test]
fn a_task_that_only_lost_its_cpu_wakes_nobody_for_a_while() {
    let mut config = config("2-cpu", "hogs:count=6,seconds=5");
    config.costs = config.costs.with("noise_ns", 0).unwrap();
    let (urgent, patient) = (
        with(&config, &[("slice_ms", 4), ("patience_ms", 0)]),
        with(&config, &[("slice_ms", 4), ("patience_ms", 6)]),
    );
    assert_eq!(urgent.counter("deferred"), 0);
    assert!(slowest_decision_us(&urgent) < 50.0, "{urgent}");
    assert!(patient.counter("deferred") > 200, "{patient}");
    // What loses its CPU in two ticks waits for one batch.
    let (often, seldom) = (urgent.counter("wakeups"), patient.counter("wakeups"));
    assert!(seldom * 10 < often * 7, "{seldom} {often}");
    // The first tick after 6 ms, and the batch.
    let slowest_us = slowest_decision_us(&patient);
    assert!((6_000.0..8_200.0).contains(&slowest_us), "{slowest_us}");
    assert_eq!(patient.counter("rescues"), 0);
}

#[test]
fn a_cpu_without_work_ends_the_patience() {
    // Two hogs, and three that compute for a millisecond: where they took over from the hogs, a CPU is
    // free when they sleep again.
    let config = play(4 * SEC, |stage| beats(stage, 3, MS, 3 * MS + 300 * US));
    let report = with(&config, &[("patience_ms", 10), ("slice_ms", 8)]);
    assert!(report.counter("deferred") > 100, "{report}");
    let slowest_us = slowest_decision_us(&report);
    assert!((900.0..2_000.0).contains(&slowest_us), "{slowest_us}");
}

/// Wakes so many others, and sleeps a while later until the first of them answers.
struct Stages {
    inbox: Channel,
    others: Vec<Channel>,
    after_ns: u64,
    state: u32,
}

impl Actor for Stages {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.state = (self.state + 1) % 3;
        match self.state {
            1 => Step::Receive(self.inbox),
            2 => {
                stage.receive(self.inbox);
                Step::Compute(100 * US)
            }
            _ => {
                for other in &self.others {
                    stage.send(*other, 1);
                }
                Step::Compute(self.after_ns)
            }
        }
    }
}

/// A ring of three that wake each other as futexes do, beside a hog for each CPU.
fn ring(after_ns: u64, more: bool) -> Config {
    let mut config = config("2-cpu", "hogs:seconds=10");
    config.costs = config.costs.with("noise_ns", 0).unwrap();
    config.cast = Some(Cast::new(move |stage| {
        let channels: Vec<_> = (0..3)
            .map(|_| stage.channel(8, 0, Wakeups::Plain))
            .collect();
        stage.send(channels[0], 1);
        for at in 0..3 {
            let mut others = vec![channels[(at + 1) % 3]];
            if more {
                let inbox = stage.channel(1, 0, Wakeups::Plain);
                others.push(inbox);
                let drain = Stages {
                    inbox,
                    others: Vec::new(),
                    after_ns: 0,
                    state: 0,
                };
                stage.spawn(Spawn::new("drain", Stage::NO_PART, drain));
            }
            let actor = Stages {
                inbox: channels[at],
                others,
                after_ns,
                state: 0,
            };
            stage.spawn(Spawn::new("stage", Stage::NO_PART, actor));
        }
    }));
    config
}

#[test]
fn who_always_sleeps_after_a_wakeup_hands_its_cpu_over() {
    let report = with(&ring(1000, false), &[]);
    assert!(report.counter("handovers") > 100, "{report}");
    // All but the first few, and what found an idle CPU.
    let fast = report.counter("fast_sync");
    assert!(fast * 10 > report.counter("handovers") * 9, "{report}");
    let plain = with(&ring(1000, false), &[("sync", 0)]);
    assert_eq!(plain.counter("handovers"), 0);
    assert_eq!(plain.counter("fast_sync"), 0);
}

#[test]
fn who_goes_on_after_a_wakeup_or_wakes_two_hands_nothing_over() {
    let slow = with(&ring(300 * US, false), &[]);
    assert_eq!(slow.counter("handovers"), 0, "{slow}");
    let two = with(&ring(1000, true), &[]);
    assert_eq!(two.counter("handovers"), 0, "{two}");
}

#[test]
fn without_news_the_process_looks_less_often() {
    let mut config = play(10 * SEC, |stage| beats(stage, 3, MS, 5 * MS));
    config.mode = Mode::Hint;
    let batches = |news| with(&config, &[("news", news)]).counter("batches");
    // Each 100 ms and each 40.
    assert!((100..110).contains(&batches(0)), "{}", batches(0));
    assert!((245..260).contains(&batches(1)), "{}", batches(1));
}

/// Where tasks of the name `beat` run: on the hinted CPU, elsewhere.
static RAN: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// Hints the last CPU for them.
struct Point;

fn is_beat(cx: &Context<'_, ()>, task: TaskId) -> bool {
    cx.task(task).info.name.to_string() == "beat"
}

impl Policy for Point {
    const NAME: &'static str = "point";
    const SUMMARY: &'static str = "hints a CPU";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            mode: Mode::Hint,
            idle_fast_path: false,
            interests: Interests::ALL,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        if is_beat(cx, task) {
            cx.hint(task, Some(3));
        }
    }

    fn running(&mut self, cx: &mut Context<'_, ()>, task: TaskId, cpu: u32) {
        if is_beat(cx, task) {
            RAN[usize::from(cpu != 3)].fetch_add(1, Relaxed);
        }
    }
}

#[test]
fn a_hinted_cpu_is_taken_while_it_idles() {
    let mut config = config("4-cpu-smt", "hogs:count=1,seconds=3");
    config.mode = Mode::Hint;
    config.cast = Some(Cast::new(|stage| beats(stage, 1, MS, 5 * MS)));
    run::<Point>(&config).unwrap();
    let [there, elsewhere] = [0, 1].map(|index: usize| RAN[index].load(Relaxed));
    // Before its first hint, and while another was there.
    assert!(there > 300 && elsewhere < 20, "{there} {elsewhere}");
}

#[test]
fn a_process_that_never_sleeps_naps() {
    let mut config = config("4-cpu-smt", "hogs:count=2,seconds=5");
    config.cast = Some(Cast::new(|stage| {
        for _ in 0..8 {
            let beat = Beat {
                burst_ns: 100 * US,
                sleep_ns: 100 * US,
                left: u32::MAX,
            };
            stage.spawn(Spawn::new("beat", Stage::NO_PART, beat));
        }
    }));
    config.plans = vec![(0, Plan::Fault(Fault::Late { by_ns: 2 * MS }))];
    let report = run::<Calm>(&config).unwrap();
    // 250 us in each 100 ms, which is where the kernel would stop it.
    let share = report.cpu_time.policy_s / report.sim_s;
    assert!((0.99..0.9985).contains(&share), "{share} {report}");
}

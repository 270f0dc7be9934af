//! What the simulated workloads must show beside running: accounts that add up, and cgroups by weight.

mod common;

use baton_machine::MachineFile;
use baton_policy::{CpuSet, MS};
use baton_sim::{Actor, Cast, Channel, Config, Report, Spawn, Stage, Step, Wakeups, run_named};
use common::config;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

#[track_caller]
fn value(report: &Report, part: &str, name: &str) -> f64 {
    let metric = report.metric(part, name);
    metric
        .unwrap_or_else(|| panic!("no {part} {name}: {report}"))
        .value
}

fn check_near(value: f64, expected: f64, tolerance: f64) {
    let close = (value - expected).abs() <= tolerance;
    assert!(close, "{value} is not within {tolerance} of {expected}");
}

#[test]
fn requests_come_at_their_rate_and_are_all_answered() {
    // 1 ms in two parts, half of two CPUs: 1000 a second.
    let config = config("2-cpu", "requests:work_us=500,seconds=2");
    for name in ["kernel", "edf", "fifo"] {
        let report = run_named(name, &config).unwrap();
        assert_eq!(report.histograms[0].count, 2000, "{report}");
        assert_eq!(value(&report, "requests", "unanswered"), 0.0, "{report}");
        let rate = value(&report, "requests", "requests_per_s");
        check_near(rate, 1000.0, 20.0);
        // Two parts on two CPUs at the least; at half load not ten times that.
        let p50_us = value(&report, "requests", "request_p50_us");
        assert!((500.0..5000.0).contains(&p50_us), "{report}");
        assert!(
            value(&report, "requests", "wakeup_p50_us") < 1000.0,
            "{report}"
        );
    }
}

#[test]
fn what_is_not_answered_in_time_counts() {
    // Twice what two CPUs can do, and hogs beside it.
    let config = config("2-cpu", "requests:load=2,seconds=1+hogs:count=2");
    let report = run_named("kernel", &config).unwrap();
    assert!(report.complete, "{report}");
    let unanswered = value(&report, "requests", "unanswered");
    let answered = report.histograms[0].count as f64 - unanswered;
    assert_eq!(report.histograms[0].count, 2000, "{report}");
    assert!(unanswered > 200.0 && answered > 200.0, "{report}");
    assert!(
        value(&report, "requests", "request_p99_us") > 1e6,
        "{report}"
    );
}

#[test]
fn a_game_and_a_stream_keep_their_pace_where_there_is_room() {
    let quiet = run_named("edf", &config("2-cpu", "game:seconds=2")).unwrap();
    check_near(value(&quiet, "audio", "beats"), 400.0, 15.0);
    assert_eq!(value(&quiet, "audio", "missed"), 0.0, "{quiet}");
    let both = run_named("edf", &config("2-cpu", "game:seconds=2+stream")).unwrap();
    check_near(value(&both, "stream", "beats"), 122.0, 3.0);
    assert!(value(&both, "stream", "on_time_share") > 0.9, "{both}");
    // Crowded out, a queue without order misses what an order by need keeps.
    let crowded = |name| {
        let config = config("2-cpu", "game:seconds=2+stream+hogs");
        value(&run_named(name, &config).unwrap(), "audio", "on_time_share")
    };
    assert!(crowded("edf") > crowded("fifo") + 0.1);
}

#[test]
fn the_kernels_cgroups_share_by_weight_and_policies_do_not() {
    for weights in ["100/300", "50/100/200/400", "100/100"] {
        let text = format!("tenants:weights={weights},seconds=4");
        let config = config("2-cpu", &text);
        let report = run_named("kernel", &config).unwrap();
        assert!(report.complete, "{report}");
        assert!(value(&report, "tenants", "share_error") < 0.03, "{report}");
    }
    let config = config("2-cpu", "tenants:weights=100/300,seconds=4");
    let report = run_named("fifo", &config).unwrap();
    check_near(value(&report, "tenants", "share_error"), 0.25, 0.05);
}

#[test]
fn a_hostile_cgroup_leaves_a_polite_one_its_share() {
    let config = config("2-cpu", "isolation:seconds=2");
    let report = run_named("kernel", &config).unwrap();
    // 10 % of a CPU, mostly at once, whatever the other does; and the other has all the rest.
    assert!(
        value(&report, "isolation", "served_share") > 0.9,
        "{report}"
    );
    check_near(value(&report, "isolation", "polite_cpu_share"), 0.05, 0.01);
    assert!(
        value(&report, "isolation", "hostile_cpu_share") > 0.9,
        "{report}"
    );
    assert!(
        value(&report, "isolation", "wakeup_p50_us") < 100.0,
        "{report}"
    );
    assert!(
        value(&report, "isolation", "forks_per_s") > 50.0,
        "{report}"
    );
    // One queue for all makes it wait through the hogs.
    let fifo = run_named("fifo", &config).unwrap();
    assert!(value(&fifo, "isolation", "served_share") < 0.8, "{fifo}");
}

#[test]
fn messages_wake_more_often_where_receivers_preempt() {
    // The kernel's own scheduler was seen to switch six times as often as fifo.
    let config = config("2-cpu-emulated", "messaging:loops=20");
    let wakeups = |name: &str| {
        let report = run_named(name, &config).unwrap();
        assert!(report.complete, "{report}");
        report.wakeups
    };
    let (kernel, fifo) = (wakeups("kernel"), wakeups("fifo"));
    assert!(kernel > 3 * fifo, "{kernel} and {fifo} wakeups");
}

/// Wakes another now and then.
struct Waker {
    to: Channel,
    wakes: bool,
}

impl Actor for Waker {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.wakes = !self.wakes;
        if self.wakes {
            // Never at a tick.
            return Step::SleepUntil((stage.now_ns() / (4 * MS) + 2) * 4 * MS + MS);
        }
        stage.send(self.to, stage.now_ns());
        Step::Compute(MS / 100)
    }
}

/// Notes how long it took from the message to its turn.
struct Wakee {
    from: Channel,
    waits_ns: Arc<AtomicU64>,
}

impl Actor for Wakee {
    fn step(&mut self, stage: &mut Stage) -> Step {
        let Some(sent_ns) = stage.receive(self.from) else {
            return Step::Receive(self.from);
        };
        let waited_ns = stage.now_ns() - sent_ns;
        self.waits_ns.store(waited_ns, Relaxed);
        Step::Compute(MS / 100)
    }
}

/// The time from the last wakeup, by a task on this CPU, to the turn of one on CPU 1 beside a hog.
fn wait_beside_a_hog(waker: u32) -> u64 {
    let last = Arc::new(AtomicU64::new(0));
    let waits_ns = last.clone();
    let cast = Cast::new(move |stage: &mut Stage| {
        let to = stage.channel(8, 0, Wakeups::Plain);
        let on = |cpu: u32, name: &str, actor: Box<dyn Actor>| {
            let mut spawn = Spawn::new(name, Stage::NO_PART, Hog(Arc::default()));
            spawn.actor = actor;
            spawn.allowed = Some(CpuSet::from_iter([cpu]));
            spawn
        };
        let waits_ns = waits_ns.clone();
        stage.spawn(on(waker, "waker", Box::new(Waker { to, wakes: false })));
        stage.spawn(on(1, "wakee", Box::new(Wakee { from: to, waits_ns })));
        stage.spawn(on(1, "hog", Box::new(Endless)));
    });
    let mut config = config("2-cpu", "audio:load=0,seconds=1");
    config.cast = Some(cast);
    config.costs = config.costs.with("noise_ns", 0).unwrap();
    run_named("kernel", &config).unwrap();
    last.load(Relaxed)
}

struct Endless;

impl Actor for Endless {
    fn step(&mut self, _: &mut Stage) -> Step {
        Step::Compute(u64::MAX)
    }
}

#[test]
fn a_busy_cpu_hears_of_a_wakeup_at_its_tick() {
    // No interrupt is sent for it (`PREEMPT_LAZY`): 3 ms are left to the tick.
    let there_ns = wait_beside_a_hog(0);
    assert!((2 * MS..4 * MS).contains(&there_ns), "{there_ns} ns");
    // On its own CPU a waker, itself woken by a timer there, hands over when it sleeps.
    let here_ns = wait_beside_a_hog(1);
    assert!(here_ns < MS / 10, "{here_ns} ns");
}

/// Computes for ever and counts the milliseconds.
struct Hog(Arc<AtomicU64>);

impl Actor for Hog {
    fn step(&mut self, _: &mut Stage) -> Step {
        self.0.fetch_add(1, Relaxed);
        Step::Compute(MS)
    }
}

/// Starts eight hogs, one after the other.
struct Founder(u32, Arc<AtomicU64>);

impl Actor for Founder {
    fn step(&mut self, stage: &mut Stage) -> Step {
        if self.0 == 8 {
            return Step::Exit;
        }
        self.0 += 1;
        stage.spawn(Spawn::new("crowd", Stage::NO_PART, Hog(self.1.clone())));
        Step::SleepUntil(stage.now_ns() + MS)
    }
}

/// What a hog gets of a CPU beside eight others; in a cgroup beside theirs, or all together.
fn share_beside_a_crowd(name: &str, grouped: bool) -> f64 {
    let (one, others) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (alone, crowd) = (one.clone(), others.clone());
    let cast = Cast::new(move |stage: &mut Stage| {
        let mut founder = Spawn::new("founder", Stage::NO_PART, Founder(0, crowd.clone()));
        let mut alone = Spawn::new("alone", Stage::NO_PART, Hog(alone.clone()));
        if grouped {
            founder = founder.cgroup("/crowd");
            alone = alone.cgroup("/single");
        }
        stage.spawn(founder);
        stage.spawn(alone);
    });
    let text = "name = \"one\"\nsockets = 1\nllcs_per_socket = 1\ncores_per_llc = 1\n\
                threads_per_core = 1\n";
    let machine = MachineFile::parse("one.toml", text).unwrap();
    let config = Config {
        cast: Some(cast),
        ..Config::on(&machine, "audio:load=0,seconds=4".parse().unwrap())
    };
    run_named(name, &config).unwrap();
    let (one, others) = (one.load(Relaxed) as f64, others.load(Relaxed) as f64);
    one / (one + others)
}

#[test]
fn a_crowd_in_a_cgroup_gets_no_more_than_one_task_in_another() {
    for name in ["kernel", "cfs"] {
        check_near(share_beside_a_crowd(name, false), 1.0 / 9.0, 0.02);
        // CFS here counts in whole weights: the crowd's are 12 each instead of 12.5.
        check_near(share_beside_a_crowd(name, true), 0.5, 0.03);
    }
}

/// A policy cannot know a benchmark by its tasks' names, and the kernel's model does not look at them.
#[test]
fn salted_names_say_nothing_and_change_nothing_else() {
    let machine = MachineFile::find("2-cpu").unwrap();
    let run = |salt: Option<&str>| {
        let config = Config {
            salt: salt.map(str::to_owned),
            ..Config::on(&machine, "frames:seconds=1+hogs:count=3".parse().unwrap())
        };
        let mut report = run_named("kernel", &config).unwrap();
        let name = std::mem::take(&mut report.longest_wait.name);
        (report, name)
    };
    let (plain, one, other) = (run(None), run(Some("a")), run(Some("b")));
    assert_eq!(plain.0, one.0);
    assert_eq!(plain.0, other.0);
    let known = |name: &str| name.starts_with("hog") || name.starts_with("frame-");
    assert!(
        known(&plain.1) && !known(&one.1) && one.1 != other.1,
        "{one:?}"
    );
}

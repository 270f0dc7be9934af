//! What the simulator models: each test looks at one cost or rule by its effect.

mod common;

use baton_machine::MachineFile;
use baton_policies::{Edf, Eevdf, Fifo};
use baton_policy::{Context, Enqueue, MS, Mode, Options, Policy, SEC, Setup, TaskId};
use baton_sim::{Actor, Cast, Config, Fault, Plan, Spawn, Stage, Step, run, run_named, schedulers};
use common::config;

#[track_caller]
fn check_near(value: f64, expected: f64, tolerance: f64) {
    let apart = (value - expected).abs() / expected;
    assert!(apart <= tolerance, "{value} is not {expected}");
}

/// Work done in a second of hogs, in CPUs of full capacity.
fn work(machine: &str, workload: &str) -> f64 {
    let report = run::<Fifo>(&config(machine, workload)).unwrap();
    report.metric("hogs", "work_per_s").unwrap().value / 1e9
}

#[test]
fn siblings_share_a_core() {
    check_near(
        work("4-cpu-smt", "hogs:count=1/cpu,seconds=1"),
        4.0 * 0.62,
        0.01,
    );
    // Two tasks get a core each.
    check_near(work("4-cpu-smt", "hogs:count=2,seconds=1"), 2.0, 0.01);
}

#[test]
fn slow_cores_do_less() {
    let all = 12.0 * 0.62 + 8.0 * 563.0 / 1024.0;
    check_near(
        work("laptop-hybrid", "hogs:count=1/cpu,seconds=1"),
        all,
        0.01,
    );
}

#[test]
fn the_same_seed_gives_the_same_digest_and_another_seed_another() {
    let mut config = config("2-cpu", "frames:seconds=0.5+hogs");
    let digest = |config: &Config| run::<Edf>(config).unwrap().digest;
    let first = digest(&config);
    assert_eq!(first, digest(&config));
    config.seed = 2;
    assert_ne!(first, digest(&config));
}

/// Written down once, from a release build: builds with and without optimization agree. A change of the
/// model or of a cost changes it, and nothing else may.
#[test]
fn digests_are_the_same_in_every_build() {
    let digest = |name: &str| {
        let config = config("4-cpu-smt", "frames:seconds=0.2+hogs:count=5");
        run_named(name, &config).unwrap().digest
    };
    let digests: Vec<_> = ["fifo", "eevdf", "kernel"]
        .into_iter()
        .map(digest)
        .collect();
    assert_eq!(digests, GOLDEN);
}

const GOLDEN: [&str; 3] = ["7b5710c23b70ce3c", "ac5f47da2d63ec10", "9df4250146e44177"];

#[test]
fn every_scheduler_runs_every_workload_on_every_kind_of_machine() {
    let workloads = [
        "messaging:groups=1,fan=4,loops=10",
        "pipe:rounds=50",
        "frames:seconds=0.2",
        "build:units=8,unit_ms=5",
        "frames:seconds=0.2+hogs",
        "requests:work_us=300,seconds=0.1",
        "game:seconds=0.2+stream",
        "tenants:seconds=0.2",
        "isolation:forks=3,seconds=0.2",
        "pipe:rounds=20+build:units=5,unit_ms=5",
    ];
    for machine in ["2-cpu", "4-cpu-smt", "laptop-hybrid", "8-node-numa"] {
        for workload in workloads {
            for name in schedulers() {
                let config = config(machine, workload);
                let report = run_named(name, &config)
                    .unwrap_or_else(|error| panic!("{name} {workload} {machine}: {error}"));
                assert!(report.complete, "{name} {workload} {machine}: {report}");
            }
        }
    }
}

/// Computes for ever, or sleeps between bursts.
struct Periodic {
    burst_ns: u64,
    sleep_ns: u64,
    computes: bool,
}

impl Actor for Periodic {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.computes = !self.computes;
        if self.computes || self.sleep_ns == 0 {
            Step::Compute(self.burst_ns)
        } else {
            Step::SleepUntil(stage.now_ns() + self.sleep_ns)
        }
    }

    fn burst_ns(&self) -> u64 {
        if self.computes { 0 } else { self.burst_ns }
    }
}

fn hogs_of_weights(weights: &'static [u32]) -> Config {
    let cast = Cast::new(move |stage: &mut Stage| {
        for weight in weights {
            let hog = Periodic {
                burst_ns: SEC,
                sleep_ns: 0,
                computes: false,
            };
            let mut spawn = Spawn::new("weighted", Stage::NO_PART, hog);
            spawn.weight = *weight;
            stage.spawn(spawn);
        }
    });
    Config {
        cast: Some(cast),
        ..config("2-cpu", "hogs:count=1,seconds=4")
    }
}

#[test]
fn shares_follow_weights() {
    // Five tasks of 800 in all on two CPUs, none of which wants more than a CPU.
    let config = hogs_of_weights(&[100, 200, 200, 200]);
    for name in ["eevdf", "kernel"] {
        let error = run_named(name, &config).unwrap().fairness_error.unwrap();
        assert!(error < 0.06, "{name}: {error}");
    }
    let fifo = run::<Fifo>(&config).unwrap().fairness_error.unwrap();
    assert!(fifo > 0.08, "fifo knows no weights: {fifo}");
}

#[test]
fn a_silent_process_costs_no_throughput_and_little_latency() {
    let mut config = config("2-cpu", "hogs:seconds=1");
    let work = |config: &Config| {
        let report = run::<Fifo>(config).unwrap();
        (report.metric("hogs", "work_per_s").unwrap().value, report)
    };
    let (whole, report) = work(&config);
    assert_eq!(report.counter("bypassed"), 0);
    let silent = Plan::Fault(Fault::Silent { for_ns: 900 * MS });
    config.plans = vec![(50 * MS, silent)];
    let (work, report) = work(&config);
    check_near(work, whole, 0.02);
    assert!(report.counter("bypassed") > 100, "{report}");
    // Rescue after 20 ms, a timer's period of 5, a slice of 5 for each of two runnable tasks, ticks.
    assert!(report.longest_wait.ms < 60.0, "{}", report.longest_wait.ms);
}

#[test]
fn a_wrong_policy_is_counted_and_harms_nobody() {
    let mut config = config("4-cpu-smt", "messaging:groups=2,fan=5,loops=50+hogs");
    config.plans = vec![(0, Plan::Fault(Fault::Wrong { one_in: 2 }))];
    let report = run::<Edf>(&config).unwrap();
    assert!(report.complete);
    assert!(
        report.counter("stale") + report.counter("invalid") > 0,
        "{report}"
    );
}

#[test]
fn lost_events_are_told_and_made_up_for() {
    let mut config = config("2-cpu", "build:units=30,unit_ms=3");
    let lose = Plan::Fault(Fault::Lose { events: 20 });
    config.plans = (1..10).map(|step| (step * 5 * MS, lose)).collect();
    let report = run::<Eevdf>(&config).unwrap();
    assert!(report.complete);
    assert!(report.counter("lost") > 50, "{report}");
}

#[test]
fn cpus_come_and_go() {
    let mut config = config("4-cpu-smt", "build:units=40,unit_ms=5");
    let plug = |cpu, online| Plan::Hotplug { cpu, online };
    config.plans = vec![
        (20 * MS, plug(3, false)),
        (30 * MS, plug(0, false)),
        (60 * MS, plug(3, true)),
        (90 * MS, plug(0, true)),
    ];
    for name in schedulers() {
        let report = run_named(name, &config).unwrap();
        assert!(report.complete, "{name}");
        check_near(report.cpu_time.offline_s, 0.1, 0.001);
    }
}

#[test]
fn hints_replace_decisions() {
    let mut config = config("2-cpu", "messaging:groups=2,fan=5,loops=50");
    config.mode = Mode::Hint;
    let report = run::<Edf>(&config).unwrap();
    assert!(report.complete && report.counter("hinted") > 0);
    assert_eq!(
        (report.counter("held"), report.counter("decisions")),
        (0, 0)
    );
    // Nobody waits for a decision, so none is late.
    assert_eq!(report.counter("rescues"), 0);
    let error = run::<Eevdf>(&config).unwrap_err().to_string();
    assert!(error.contains("no hint mode"), "{error}");
}

#[test]
fn decisions_take_the_time_that_the_costs_say() {
    let workload = "hogs:count=4,seconds=0.5";
    let mut config = config("2-cpu", workload);
    let quick = run::<Fifo>(&config).unwrap();
    config.costs = config.costs.with("process_wake_ns", 400_000).unwrap();
    let slow = run::<Fifo>(&config).unwrap();
    let decision = |report: &baton_sim::Report| {
        let found = report
            .latencies
            .iter()
            .find(|found| found.name == "decision");
        found.unwrap().p50
    };
    let added_us = decision(&slow) - decision(&quick);
    assert!((380.0..420.0).contains(&added_us), "{added_us}");
}

#[test]
fn far_moves_cost_more() {
    // One task more than CPUs, and nothing holds them.
    let cold = |machine: &str| {
        let config = config(machine, "build:units=60,unit_ms=3,jobs=3/cpu");
        let report = run::<Fifo>(&config).unwrap();
        let moved = report.migrations;
        let moves = moved.core + moved.llc + moved.node + moved.remote;
        moved.cold_us as f64 / moves.max(1) as f64
    };
    let (near, far) = (cold("2-cpu"), cold("8-cpu-2-socket-numa"));
    assert!(near > 0.0 && far > 2.0 * near, "{near} {far}");
}

#[test]
fn the_oracle_is_best_at_waiting_times() {
    let config = config("2-cpu", "build:units=60,unit_ms=4,jobs=4/cpu");
    let median = |name: &str| {
        let report = run_named(name, &config).unwrap();
        report.metric("build", "unit_p50_ms").unwrap().value
    };
    let oracle = median("oracle");
    for name in ["fifo", "kernel", "cfs", "bfs"] {
        assert!(oracle < median(name), "{name}: {} {oracle}", median(name));
    }
}

/// The parts of a request are woken at once, and the kernel puts both on the one CPU that idles: until the
/// interrupt comes there, nobody sees the first.
#[test]
fn two_that_are_woken_at_once_share_an_idle_cpu() {
    let config = config("2-cpu-emulated", "requests:seconds=3");
    let median_us = |name: &str| {
        let report = run_named(name, &config).unwrap();
        report.metric("requests", "request_p50_us").unwrap().value
    };
    // Two parts of 1 ms each, one after the other, where the VM has 2.3 ms; the waker's CPU takes one of them
    // where a policy chooses.
    let (kernel_us, fifo_us) = (median_us("kernel"), median_us("fifo"));
    assert!((1800.0..2400.0).contains(&kernel_us), "{kernel_us}");
    assert!(fifo_us < 1500.0, "{fifo_us}");
}

#[test]
fn idle_cpus_sink_into_the_deep_state() {
    let rare = Cast::new(|stage: &mut Stage| {
        let actor = Periodic {
            burst_ns: MS,
            sleep_ns: 10 * MS,
            computes: false,
        };
        stage.spawn(Spawn::new("rare", Stage::NO_PART, actor));
    });
    let config = Config {
        cast: Some(rare),
        limit_ns: SEC,
        ..config("2-cpu", "pipe:rounds=10000000")
    };
    let report = run::<Fifo>(&config).unwrap();
    assert!(!report.complete);
    assert!(
        report.notes[0].contains("pipe is not complete"),
        "{:?}",
        report.notes
    );
    assert!(report.energy.busy_j > report.energy.deep_j);
    let time = report.cpu_time;
    let sum_s = time.busy_s + time.policy_s + time.idle_s + time.deep_s + time.offline_s;
    check_near(sum_s, 2.0, 1e-9);
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let check = |name: &str, config: &Config, expected: &str| {
        let error = run_named(name, config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let good = config("2-cpu", "pipe");
    check("fifa", &good, "there is no policy or baseline `fifa`");
    check(
        "fifo",
        &config("2-cpu", "compile"),
        "`compile` cannot be simulated",
    );
    let hinted = Config {
        mode: Mode::Hint,
        ..good.clone()
    };
    check("kernel", &hinted, "kernel is no policy");
    let params = vec![("slice_ms".to_owned(), "many".to_owned())];
    check("fifo", &Config { params, ..good }, "slice_ms=many");
}

#[test]
fn idle_cpus_cost_no_events() {
    let events = |machine: &str| {
        let file = MachineFile::find(machine).unwrap();
        let config = Config::on(&file, "pipe:rounds=500".parse().unwrap());
        run::<Fifo>(&config).unwrap().events
    };
    assert!(events("1024-cpu") <= events("2-cpu") * 11 / 10);
}

/// First come, first served, at so much of the CPUs' performance.
struct Slow {
    performance: u16,
    asked: bool,
}

impl Policy for Slow {
    const NAME: &'static str = "slow";
    const SUMMARY: &'static str = "saves energy";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        Self {
            performance: setup.param("performance", 1024),
            asked: setup.param("asked", true),
        }
    }

    fn options(&self) -> Options {
        Options {
            // Each task is decided about before it runs.
            idle_fast_path: false,
            performance: self.asked,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        cx.ready(task, cx.now_ns()).performance(self.performance);
    }
}

#[test]
fn less_performance_takes_longer_and_less_power() {
    let run_at = |performance: &str, asked: &str| {
        let mut config = config("2-cpu", "hogs:count=2,seconds=1");
        config.costs = config.costs.with("noise_ns", 0).unwrap();
        let params = [("performance", performance), ("asked", asked)];
        config.params = params.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let report = run::<Slow>(&config).unwrap();
        let work = report.metric("hogs", "work_per_s").unwrap().value / 2e9;
        (work, report.energy.busy_j, report.counter("perf_set"))
    };
    let (full, full_j, set) = run_at("1024", "true");
    check_near(full, 1.0, 0.01);
    check_near(full_j, 8.0, 0.01);
    assert_eq!(set, 0);
    let (half, half_j, set) = run_at("512", "true");
    check_near(half, 0.5, 0.01);
    // Each CPU takes 0.6 W at any speed, and an eighth of 3.4.
    check_near(half_j, 2.0 * (0.6 + 3.4 / 8.0), 0.01);
    assert_eq!(set, 2);
    // There is a slowest, and no target counts unless the policy says that it has some.
    check_near(run_at("0", "true").0, 0.2, 0.01);
    check_near(run_at("0", "false").0, 1.0, 0.01);
}

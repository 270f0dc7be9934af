//! Recordings played again.

mod common;

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use baton_machine::MachineFile;
use baton_sim::{Config, Outcome, Replay, Report, simulate};
use baton_trace::{Bursts, Event, Left, Losses, What, Woken};
use baton_workload::Workload;
use common::config;

/// A run of a workload on two CPUs, as a recording.
fn record(scheduler: &str, workload: &str) -> Outcome {
    simulate(scheduler, &config("2-cpu", workload), true).unwrap()
}

fn replay_of(events: &[Event]) -> Replay {
    let events = events.iter().map(|event| Ok::<_, Infallible>(*event));
    Replay::new("recorded", &[1024, 1024], u64::MAX, events).unwrap()
}

fn play(scheduler: &str, replay: &Arc<Replay>, machine: &str) -> Outcome {
    let file = MachineFile::find(machine).unwrap();
    let config = Config {
        replay: Some(Arc::clone(replay)),
        ..Config::on(&file, Workload::none())
    };
    simulate(scheduler, &config, true).unwrap()
}

/// When tasks of each name ended, the last of each.
fn ends(outcome: &Outcome) -> HashMap<String, u64> {
    let (mut names, mut ends) = (HashMap::new(), HashMap::new());
    for event in outcome.trace.as_ref().unwrap().events() {
        match event.what {
            What::Task(info) => {
                let name = info.name.iter().take_while(|byte| **byte != 0);
                let name: Vec<u8> = name.copied().collect();
                names.insert(info.pid, String::from_utf8(name).unwrap());
            }
            What::Exit { pid } => {
                ends.insert(names[&pid].clone(), event.time_ns);
            }
            _ => {}
        }
    }
    ends
}

fn wakeup(report: &Report) -> (f64, f64, u64) {
    let found = report.latencies.iter().find(|found| found.name == "wakeup");
    let found = found.unwrap();
    (found.p50, found.p99, found.count)
}

/// Plays a run again under the scheduler that it was recorded under.
fn round_trip(scheduler: &str, workload: &str) -> (Outcome, Outcome) {
    let recorded = record(scheduler, workload);
    let replay = Arc::new(replay_of(recorded.trace.as_ref().unwrap().events()));
    let played = play(scheduler, &replay, "2-cpu");
    assert!(played.report.complete, "{:?}", played.report.notes);
    (recorded, played)
}

#[test]
fn the_same_scheduler_gives_nearly_the_same_times() {
    for scheduler in ["kernel", "cfs", "edf"] {
        for workload in [
            "requests:seconds=1",
            "build:units=20",
            "frames:seconds=1+hogs:count=2",
        ] {
            let (recorded, played) = round_trip(scheduler, workload);
            let case = format!("{workload} under {scheduler}");
            let near = |one: f64, other: f64, share: f64| (one / other - 1.0).abs() <= share;
            // The foreground; hogs that ran to the end have to do again what they did.
            let (before, after) = (ends(&recorded), ends(&played));
            let name = ["req-messenger", "build-link", "frame-input"]
                .into_iter()
                .find(|name| before.contains_key(*name))
                .unwrap();
            let (one, other) = (after[name] as f64, before[name] as f64);
            assert!(near(one, other, 0.06), "{case}: {one} after {other} ns");
            let (old, new) = (wakeup(&recorded.report), wakeup(&played.report));
            assert!(
                near(new.2 as f64, old.2 as f64, 0.06),
                "{case}: {new:?} after {old:?}"
            );
            assert!(
                near(new.1 + 500.0, old.1 + 500.0, 0.5),
                "{case}: {new:?} after {old:?}"
            );
        }
    }
}

#[test]
fn another_scheduler_gives_other_times() {
    let recorded = record("kernel", "frames:seconds=1+hogs:count=2");
    let replay = Arc::new(replay_of(recorded.trace.as_ref().unwrap().events()));
    let [kernel, fifo, oracle] = ["kernel", "fifo", "oracle"].map(|scheduler| {
        let played = play(scheduler, &replay, "2-cpu");
        assert!(played.report.complete);
        wakeup(&played.report)
    });
    // Behind hogs, first in first out, everybody waits for a slice; the oracle lets short ones pass.
    assert!(fifo.0 > 1000.0 && kernel.0 < 10.0, "{fifo:?} {kernel:?}");
    assert!(oracle.1 <= kernel.1, "{oracle:?} {kernel:?}");
    // More CPUs, less waiting.
    let wide = play("fifo", &replay, "laptop-hybrid");
    assert!(wakeup(&wide.report).1 < fifo.1 / 2.0);
}

#[test]
fn a_replay_is_the_same_each_time() {
    let recorded = record("kernel", "build:units=10+hogs:count=1");
    let replay = Arc::new(replay_of(recorded.trace.as_ref().unwrap().events()));
    let (first, second) = (play("edf", &replay, "2-cpu"), play("edf", &replay, "2-cpu"));
    assert_eq!(first.report, second.report);
    assert_eq!(first.report.workload, "recorded");
    assert!(first.report.metric("replay", "time_s").unwrap().primary);
}

fn at(time_us: u64, cpu: u32, what: What) -> Event {
    let time_ns = time_us * 1000;
    Event { time_ns, cpu, what }
}

fn switch(time_us: u64, cpu: u32, prev: u32, left: Left, next: u32) -> Event {
    at(time_us, cpu, What::Switch { prev, left, next })
}

fn wake(time_us: u64, cpu: u32, pid: u32, waker: u32) -> Event {
    let how = Woken::Sleep;
    let target = cpu;
    at(
        time_us,
        cpu,
        What::Wakeup {
            pid,
            waker,
            how,
            target,
        },
    )
}

/// Task 7 wakes 8 in the midst of its computing; 9 is woken by a timer, on the CPU that 7 has.
fn three(timer_has_waker: bool) -> Vec<Event> {
    use Left::{Exits, Runnable, Sleeps};
    vec![
        switch(0, 0, 0, Runnable, 7),
        switch(1, 1, 8, Sleeps, 0),
        wake(4000, 0, 8, 7),
        switch(4001, 1, 0, Runnable, 8),
        switch(5001, 1, 8, Exits, 0),
        wake(6000, 0, 9, if timer_has_waker { 7 } else { 0 }),
        switch(6001, 1, 0, Runnable, 9),
        switch(7001, 1, 9, Exits, 0),
        switch(10_000, 0, 7, Exits, 0),
    ]
}

/// When each task of this machine ended, by name.
fn played_ends(events: &[Event], others: &str) -> HashMap<String, u64> {
    let file = MachineFile::find("2-cpu").unwrap();
    let workload = match others {
        "" => Workload::none(),
        others => others.parse().unwrap(),
    };
    let config = Config {
        replay: Some(Arc::new(replay_of(events))),
        ..Config::on(&file, workload)
    };
    ends(&simulate("kernel", &config, true).unwrap())
}

#[test]
fn who_was_woken_by_a_task_waits_for_it_and_who_was_by_a_timer_does_not() {
    let near = |ends: &HashMap<String, u64>, name: &str, expected_us: u64| {
        let found_us = ends[name] / 1000;
        assert!(
            found_us.abs_diff(expected_us) < 200,
            "{name}: {found_us} us"
        );
    };
    // The replay begins at 1 ms.
    let alone = played_ends(&three(false), "");
    near(&alone, "task-8", 6001);
    near(&alone, "task-9", 8001);
    near(&alone, "task-7", 11_000);
    // Beside four hogs, 7 needs three times as long for its first 4 ms.
    let beside = played_ends(&three(false), "hogs:count=4,seconds=1");
    assert!(beside["task-8"] > 10_000_000, "{beside:?}");
    assert!(beside["task-9"] < 16_000_000, "{beside:?}");
}

#[test]
fn who_only_computes_was_interrupted_where_the_recording_does_not_tell() {
    // It has no wakeup without a waker on a busy CPU; 7 never sleeps: 8 and 9 come when they came.
    let beside = played_ends(&three(true), "hogs:count=4,seconds=1");
    assert!(beside["task-8"] < 10_000_000, "{beside:?}");
}

#[test]
fn a_real_recording_of_perfs_can_be_played() {
    let file = include_bytes!("../../trace/tests/perf/pipe+hogs.perf.data");
    let imported = baton_trace::perf::import_from(std::io::Cursor::new(file)).unwrap();
    let replay = Arc::new(replay_of(&imported.events));
    for scheduler in ["kernel", "fifo", "edf"] {
        let played = play(scheduler, &replay, "2-cpu");
        assert!(played.report.complete, "{:?}", played.report.notes);
        // Two CPUs did it in 1.7 s.
        let time_s = played.report.metric("replay", "time_s").unwrap().value;
        assert!((1.6..2.2).contains(&time_s), "{scheduler}: {time_s} s");
        // The hog's CPU time is that of the recording.
        let ends = ends(&played);
        assert!(ends.contains_key("hog") && ends.contains_key("pipe-pong"));
    }
}

#[test]
fn whatever_the_events_are_the_replay_comes_to_its_end() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..60 {
        let mut time_us = 0;
        let events: Vec<Event> = (0..400)
            .map(|_| {
                time_us += rng.u64(0..50);
                let (cpu, pid) = (rng.u32(0..3), rng.u32(0..8));
                let left = [Left::Runnable, Left::Sleeps, Left::Blocks, Left::Exits];
                let left = left[rng.usize(0..4)];
                match rng.u8(0..8) {
                    0 | 1 => wake(time_us, cpu, pid, rng.u32(0..8)),
                    2 => at(
                        time_us,
                        cpu,
                        What::Lost {
                            count: 1,
                            of: Losses::Any,
                        },
                    ),
                    3 => {
                        let parent = rng.u32(0..8);
                        at(time_us, cpu, What::Fork { parent, child: pid })
                    }
                    _ => switch(time_us, cpu, pid, left, rng.u32(0..8)),
                }
            })
            .collect();
        let played = play("kernel", &Arc::new(replay_of(&events)), "2-cpu");
        assert!(played.report.complete, "{:?}", played.report.notes);
    }
}

#[test]
fn what_leaves_a_cpu_after_a_loss_did_not_run_since_the_beginning() {
    let lost = |time_us, cpu| {
        at(
            time_us,
            cpu,
            What::Lost {
                count: 1,
                of: Losses::Any,
            },
        )
    };
    // CPU 0 loses events at its beginning, CPU 1 after it was heard.
    let events = [
        lost(1000, 0),
        switch(1000, 1, 0, Left::Runnable, 9),
        lost(2000, 1),
        switch(500_000, 0, 7, Left::Exits, 0),
        switch(500_000, 1, 8, Left::Exits, 0),
    ];
    let played = play("kernel", &Arc::new(replay_of(&events)), "2-cpu");
    let busy_ns = busy_ns(&played);
    assert!(busy_ns < 10_000_000, "{busy_ns} ns of CPU time");
    // Where nothing was lost, it did.
    let whole = [switch(500_000, 0, 7, Left::Exits, 0)];
    let played = play("kernel", &Arc::new(replay_of(&whole)), "2-cpu");
    let busy_ns = self::busy_ns(&played);
    assert!(busy_ns >= 500_000_000, "{busy_ns} ns of CPU time");
}

/// CPU time of all tasks in a trace.
fn busy_ns(outcome: &Outcome) -> u64 {
    let events = outcome.trace.as_ref().unwrap().events();
    Bursts::of(events.iter().copied())
        .iter()
        .map(|burst| burst.ran_ns)
        .sum()
}

/// Events are to come in the order of time; others do no harm.
#[test]
fn times_that_go_back_do_no_harm() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..20 {
        let events: Vec<Event> = (0..200)
            .map(|_| {
                let (time_us, cpu, pid) = (rng.u64(0..5000), rng.u32(0..3), rng.u32(0..8));
                let left = [Left::Runnable, Left::Sleeps, Left::Blocks, Left::Exits];
                match rng.u8(0..4) {
                    0 => wake(time_us, cpu, pid, rng.u32(0..8)),
                    _ => switch(time_us, cpu, pid, left[rng.usize(0..4)], rng.u32(0..8)),
                }
            })
            .collect();
        let played = play("kernel", &Arc::new(replay_of(&events)), "2-cpu");
        assert!(played.report.complete, "{:?}", played.report.notes);
    }
}

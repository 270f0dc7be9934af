//! Earliest deadline first: order, shares and bounds.

mod script;

use baton_policies::Edf;
use baton_policy::{
    Class, Classes, Decision, Driver, Enqueue, EnqueueReason, Event, EventKind, MS, Machine,
    Options, Rng, SEC, Setup, TaskInfo, TaskKey, US, key_before,
};
use script::{Script, key};

const BURST_MAX: i64 = 100 * MS as i64;
const OFFSET_MIN: i64 = -20 * MS as i64;
const OFFSET_MAX: i64 = 210 * MS as i64;

#[test]
fn one_who_sleeps_goes_before_one_who_computes() {
    let mut script = Script::<Edf>::new(1);
    let mut now = 0;
    let (mut sleeper, mut hog) = (0, 0);
    for _ in 0..50 {
        now += 10 * MS;
        hog = key(script.ran("hog", 10 * MS).slice_over("hog", now));
        sleeper = key(script.ran("sleeper", 100 * US).wakeup("sleeper", now + MS));
    }
    assert!(key_before(sleeper, hog));
    assert!(hog - sleeper > 100 * MS);
}

#[test]
fn the_habit_counts_at_the_moment_of_waking() {
    let mut script = Script::<Edf>::new(2);
    for round in 1..20 {
        script
            .ran("short", 100 * US)
            .wakeup("short", round * 50 * MS);
        script.ran("long", 5 * MS).wakeup("long", round * 50 * MS);
    }
    let short = script.wakeup("short", 2 * SEC);
    let long = script.wakeup("long", 2 * SEC);
    assert!(key_before(key(short), key(long)), "{short:?} {long:?}");
}

/// Half of the wakeups are served by the backend: the habit is still a burst's length.
#[test]
fn wakeups_that_the_policy_does_not_hear_of_do_not_lengthen_the_habit() {
    let offset = |unseen: bool| {
        let mut script = Script::<Edf>::new(2);
        for round in 1..100 {
            script.ran("task", 2 * MS);
            if unseen {
                script.unseen_wakeup("task").ran("task", 2 * MS);
            }
            script.wakeup("task", round * 50 * MS);
        }
        script.wakeup("task", 6 * SEC).key_offset
    };
    let (heard, unheard) = (offset(false), offset(true));
    assert!((unheard - heard).unsigned_abs() < MS, "{heard} {unheard}");
}

#[test]
fn a_burst_that_slices_divided_is_one_burst() {
    let mut script = Script::<Edf>::new(4);
    for round in 1..30 {
        let now = round * 100 * MS;
        script.ran("task", 3 * MS).slice_over("task", now);
        script.ran("task", 3 * MS).wakeup("task", now + 50 * MS);
    }
    let offset = script.wakeup("task", 4 * SEC).key_offset;
    assert!(
        (3 * MS as i64..=6 * MS as i64).contains(&offset),
        "{offset}"
    );
}

#[test]
fn slices_shrink_with_the_number_that_wait() {
    let mut script = Script::<Edf>::new(2);
    for (waiting, expected_ms) in [
        (0, 20),
        (1, 20),
        (2, 10),
        (4, 6),
        (8, 4),
        (100, 2),
        (u32::MAX, 2),
    ] {
        script.waiting = waiting;
        assert_eq!(
            script.wakeup("task", SEC).slice_ns / MS,
            expected_ms,
            "{waiting}"
        );
    }
}

#[test]
fn only_wakeups_that_are_not_synchronous_preempt() {
    let mut script = Script::<Edf>::new(2);
    assert!(script.wakeup("task", 1).preempt);
    assert!(!script.sync_wakeup("task", 2).preempt);
    assert!(!script.slice_over("task", 3).preempt);
}

/// Without the fast path the waker has left its CPU to somebody by the time of the decision.
#[test]
fn without_sync_every_wakeup_preempts() {
    let mut script = Script::<Edf>::with_params(1, &[("sync", "false")]);
    assert!(script.sync_wakeup("task", 1).preempt);
    assert!(!script.slice_over("task", 2).preempt);
}

#[test]
fn a_task_that_ran_for_hours_before_owes_nothing() {
    let mut script = Script::<Edf>::new(2);
    assert_eq!(
        script.ran("old", 3600 * SEC).wakeup("old", SEC).key_offset,
        0
    );
    // Nor does one that ran alone: it took nobody's share.
    let alone = script.ran("old", 3600 * SEC).slice_over("old", 3601 * SEC);
    assert_eq!(alone.key_offset, 0);
}

#[test]
fn a_class_says_when_a_task_wants_to_run() {
    let class = |deadline_ns, weight| Class {
        deadline_ns,
        weight,
        ..Class::default()
    };
    let classes = [
        class(Some(5 * MS), None),
        class(Some(9 * SEC), Some(200)),
        class(None, Some(200)),
    ];
    let classes = Classes::new(classes.to_vec()).unwrap();
    let machine = Machine::uniform("classes", 2);
    let mut script = Script::<Edf>::with_classes(machine, &classes, &[]);
    script
        .join_class("near", 0)
        .join_class("far", 1)
        .join_class("heavy", 2);
    for round in 1..20 {
        // Long bursts and more than a share: without a class that would delay it.
        script
            .ran("near", 20 * MS)
            .slice_over("near", round * 20 * MS);
    }
    assert_eq!(script.wakeup("near", SEC).key_offset, 5 * MS as i64);
    // Too late is a second, and the backend's own path leaves weights to the policy.
    assert_eq!(script.wakeup("far", SEC).key_offset, SEC as i64);
    assert!(!script.driver().options().sync_fast_path);
    // A burst counts by the class's weight.
    let heavy = script.ran("heavy", 20 * MS).slice_over("heavy", SEC);
    let own = script.ran("own", 20 * MS).slice_over("own", SEC);
    let burst = |decision: Decision| key(decision).wrapping_add_signed(-decision.key_offset) - SEC;
    assert_eq!((burst(heavy), burst(own)), (10 * MS, 20 * MS));
}

/// Tasks that always compute, on `cpus` CPUs, for a minute; CPU time in milliseconds.
fn shares(cpus: u32, weights: &[(&'static str, u32)]) -> Vec<u64> {
    let mut script = Script::<Edf>::new(cpus);
    let mut used = vec![0; weights.len()];
    let mut ready: Vec<(usize, Decision)> = Vec::new();
    let mut running: Vec<(u64, usize, u64)> = Vec::new();
    script.waiting = weights.len() as u32;
    for (index, (name, weight)) in weights.iter().enumerate() {
        let decision = script.join(name, *weight).slice_over(name, index as u64);
        ready.push((index, decision));
    }
    let mut now = 0;
    while now < 60 * SEC {
        while running.len() < cpus as usize && !ready.is_empty() {
            let first = (0..ready.len()).reduce(|a, b| {
                if key_before(key(ready[b].1), key(ready[a].1)) {
                    b
                } else {
                    a
                }
            });
            let (index, decision) = ready.remove(first.unwrap());
            running.push((now + decision.slice_ns, index, decision.slice_ns));
        }
        let over = (0..running.len()).min_by_key(|&at| running[at].0).unwrap();
        let (end, index, slice) = running.remove(over);
        now = end;
        used[index] += slice / US;
        script.waiting = ready.len() as u32 + 1;
        let name = weights[index].0;
        ready.push((index, script.ran(name, slice).slice_over(name, now)));
    }
    used.iter().map(|us| us / 1000).collect()
}

#[test]
fn shares_follow_the_weights() {
    type Case<'a> = (u32, &'a [(&'static str, u32)]);
    let cases: [Case<'_>; 5] = [
        (1, &[("a", 100), ("b", 100), ("c", 100)]),
        (1, &[("a", 100), ("b", 200)]),
        (1, &[("a", 100), ("b", 200), ("c", 400)]),
        (
            2,
            &[("a", 50), ("b", 100), ("c", 100), ("d", 200), ("e", 100)],
        ),
        (1, &[("a", 1000), ("b", 2000)]),
    ];
    for (cpus, weights) in cases {
        let used = shares(cpus, weights);
        let all: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        for (used_ms, (name, weight)) in used.iter().zip(weights) {
            let fair_ms = 60_000 * u64::from(cpus) * u64::from(*weight) / all;
            let off = used_ms.abs_diff(fair_ms) * 100 / fair_ms;
            assert!(
                off <= 10,
                "{weights:?}: {name} has {used_ms} ms, fair are {fair_ms}"
            );
        }
    }
}

#[test]
fn the_lightest_task_is_not_starved_by_the_heaviest() {
    let used = shares(1, &[("light", 1), ("heavy", 10_000)]);
    assert!(used[0] * 100 > 60_000 && used[0] < used[1] / 5, "{used:?}");
}

#[test]
fn absurd_numbers_stay_within_bounds() {
    let extremes = [0, 1, 20 * MS, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for seed in 1..=20 {
        let mut rng = Rng::new(seed);
        let mut pick = || extremes[rng.below(extremes.len() as u64) as usize];
        let mut driver = Driver::<Edf>::new(&Setup::new(&Machine::uniform("two", 2), 1)).unwrap();
        for round in 0..2_000_u64 {
            let task = TaskKey {
                pid: (round % 5) as u32,
                start_ns: 0,
            };
            let weight = [0, 1, 100, 10_000, u32::MAX][(pick() % 5) as usize];
            let info = TaskInfo {
                weight,
                ..TaskInfo::default()
            };
            let enqueue = Enqueue {
                seq: pick(),
                reason: if pick() == 0 {
                    EnqueueReason::SliceOver
                } else {
                    EnqueueReason::Wakeup
                },
                burst_ns: pick(),
                runtime_ns: pick(),
                slept_ns: pick(),
                waiting: pick() as u32,
                ..Enqueue::default()
            };
            let time_ns = pick();
            driver.clear_decisions();
            driver.event(&Event {
                time_ns,
                task,
                kind: EventKind::Join(info),
            });
            driver.event(&Event {
                time_ns,
                task,
                kind: EventKind::CpuOffline { cpu: 0 },
            });
            driver.event(&Event {
                time_ns,
                task,
                kind: EventKind::CpuOffline { cpu: 1 },
            });
            driver.event(&Event {
                time_ns,
                task,
                kind: EventKind::Enqueue(enqueue),
            });
            check_bounds(
                &driver.decisions()[0],
                time_ns,
                &format!("seed {seed} round {round}"),
            );
        }
    }
}

fn check_bounds(decision: &Decision, time_ns: u64, when: &str) {
    let offset = decision.key_offset;
    assert!(
        (OFFSET_MIN..=OFFSET_MAX).contains(&offset),
        "{when}: {decision:?}"
    );
    let after = key(*decision).wrapping_sub(time_ns) as i64;
    assert!(
        (offset..=offset + BURST_MAX).contains(&after),
        "{when}: {decision:?} at {time_ns}"
    );
    let slices = Options::SLICE_MIN_NS..=Options::SLICE_MAX_NS;
    let is_fine = decision.slice_ns == 0 || slices.contains(&decision.slice_ns);
    assert!(is_fine, "{when}: {decision:?}");
}

/// A random history of tasks of many weights, twice.
#[test]
fn the_same_events_give_the_same_decisions() {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let history = |seed| {
        let mut rng = Rng::new(seed);
        let mut script = Script::<Edf>::new(2);
        for name in NAMES {
            script.join(name, 1 + rng.below(10_000) as u32);
        }
        let mut now = rng.next_u64();
        let mut decisions = Vec::new();
        for step in 0..5_000 {
            now = now.wrapping_add(rng.below(30 * MS));
            script.waiting = rng.below(9) as u32;
            let name = NAMES[rng.below(6) as usize];
            script.ran(name, rng.below(20 * MS));
            let decision = match rng.below(3) {
                0 => script.slice_over(name, now),
                1 => script.wakeup(name, now),
                _ => script.sync_wakeup(name, now),
            };
            check_bounds(&decision, now, &format!("seed {seed} step {step}"));
            decisions.push(decision);
        }
        decisions
    };
    for seed in 1..=10 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
}

#[test]
fn the_defaults_are_those_of_the_list() {
    let entries = baton_policies::list();
    let entry = entries.iter().find(|entry| entry.name == "edf").unwrap();
    let params: Vec<_> = entry
        .params
        .iter()
        .map(|param| (param.name, param.default))
        .collect();
    let given = Script::<Edf>::with_params(2, &params);
    let defaults = Script::<Edf>::new(2);
    let show = |script: &Script<Edf>| format!("{:?}", script.driver().policy());
    assert_eq!(show(&given), show(&defaults));
}

/// Whatever comes 330 ms later stands behind.
#[test]
fn every_wait_is_bounded() {
    let bound = (BURST_MAX + OFFSET_MAX - OFFSET_MIN) as u64;
    let mut script = Script::<Edf>::new(1);
    script.join("guilty", 1);
    let mut guilty = 0;
    for round in 1..100 {
        guilty = key(script
            .ran("guilty", 20 * MS)
            .slice_over("guilty", round * 20 * MS));
    }
    let now = 99 * 20 * MS;
    script.join("pampered", 10_000);
    let pampered = key(script.wakeup("pampered", now + bound + 1));
    assert!(key_before(guilty, pampered), "{guilty} {pampered}");
}

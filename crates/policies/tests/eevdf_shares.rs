//! Earliest eligible virtual deadline first, on CPUs: shares, waits, and that no CPU
//! idles while somebody waits.

mod script;

use baton_policies::Eevdf;
use baton_policy::{CpuSet, MS, Rng, SEC, US};
use script::cpus::{Cpus, Does, HOG};

/// Tasks of these weights that compute for 20 s; the machine afterwards.
fn compute(cpus: u32, weights: &[u32], tick_ns: u64, latency_ns: u64) -> Cpus<Eevdf> {
    let mut machine = Cpus::new(cpus);
    machine.tick_ns = tick_ns;
    machine.latency_ns = latency_ns;
    for weight in weights {
        machine.task(*weight, HOG);
    }
    machine.run(20 * SEC);
    machine
}

/// Periods of a kernel's tick, and how late decisions are.
const TICKS: [(u64, u64); 5] = [
    (1, 0),
    (4 * MS, 20 * US),
    (4 * MS, 300 * US),
    (MS, 20 * US),
    (MS, 2 * MS),
];

/// How far each task is off its share, in thousandths of it.
fn off(machine: &Cpus<Eevdf>, tasks: std::ops::Range<usize>) -> Vec<i64> {
    let tasks = &machine.tasks[tasks];
    let used_all: u64 = tasks.iter().map(|task| task.used_ns).sum();
    let weight_all: u64 = tasks.iter().map(|task| u64::from(task.weight)).sum();
    let off = |used_ns: u64, weight: u32| {
        let fair_ns = u128::from(used_all) * u128::from(weight) / u128::from(weight_all);
        (i128::from(used_ns) - fair_ns as i128) * 1000 / fair_ns as i128
    };
    let off = tasks
        .iter()
        .map(|task| off(task.used_ns, task.weight) as i64);
    off.collect()
}

#[test]
fn shares_follow_the_weights() {
    let cases: [(u32, &[u32]); 14] = [
        (1, &[100, 100, 100]),
        (1, &[100, 200]),
        (1, &[305, 100, 33]),
        (1, &[100, 1]),
        (1, &[1000, 2000]),
        (2, &[100, 100, 100]),
        (2, &[305, 100, 100, 100, 100, 33, 33]),
        (2, &[190, 100, 100]),
        (2, &[50, 100, 100, 200, 100]),
        (4, &[200, 200, 100, 100, 100, 100, 33, 33, 33]),
        (4, &[100; 40]),
        // As many as leave a CPU to some, who must not be the same ones all the time.
        (4, &[100; 6]),
        (1, &[100, 10]),
        (2, &[100, 100, 1, 1]),
    ];
    for (cpus, weights) in cases {
        for (tick_ns, latency_ns) in TICKS {
            let machine = compute(cpus, weights, tick_ns, latency_ns);
            let off = off(&machine, 0..weights.len());
            let what = format!("{cpus} CPUs, {weights:?}, tick {tick_ns}, late {latency_ns}");
            let worst = off.iter().map(|off| off.abs()).max().unwrap();
            assert!(worst <= 50, "{what}: {off:?}");
            // All but the first decisions come before a CPU wants them.
            assert!(
                machine.idled_ns <= 2 * latency_ns,
                "{what}: {}",
                machine.idled_ns
            );
            // A light task's turn comes by the end of its lease, a few times a second.
            assert!(machine.rescues <= 160, "{what}: {}", machine.rescues);
        }
    }
}

/// A weight that is due more than one CPU gets one, and the others share the rest.
#[test]
fn a_weight_that_no_machine_can_honour() {
    let machine = compute(2, &[10_000, 200, 100], 4 * MS, 0);
    let used_ms = machine.used_ms();
    assert!(used_ms[0] > 19_500, "{used_ms:?}");
    let off = off(&machine, 1..3);
    assert!(off.iter().all(|off| off.abs() <= 50), "{off:?}");
    // Whoever comes now neither takes all nor waits for them.
    let mut machine = machine;
    let new = machine.task(100, HOG);
    machine.run(4 * SEC);
    let used_ms = machine.tasks[new].used_ns / MS;
    assert!((800..1200).contains(&used_ms), "{used_ms}");
}

/// Where the shares are too small for a slice in half a second, slices are shorter,
/// and in the end the backend's bound of a second holds.
#[test]
fn the_lightest_task_is_not_starved_by_the_heaviest() {
    let machine = compute(1, &[1, 10_000], MS, 0);
    let wait_ms = machine.tasks[0].waits_ns.iter().max().unwrap() / MS;
    let used_ms = machine.used_ms();
    assert!(
        wait_ms <= 1_000 && used_ms[0] >= 20,
        "{wait_ms} {used_ms:?}"
    );
    assert!(used_ms[0] < 100, "{used_ms:?}");
}

#[test]
fn who_sleeps_does_not_wait_for_who_computes() {
    let mut machine = Cpus::<Eevdf>::new(2);
    for _ in 0..6 {
        machine.task(100, HOG);
    }
    let sleeper = machine.task(
        100,
        Does {
            burst_ns: 200 * US,
            sleep_ns: 10 * MS,
        },
    );
    machine.run(10 * SEC);
    let mut waits_ns = machine.tasks[sleeper].waits_ns.clone();
    waits_ns.sort_unstable();
    let median_us = waits_ns[waits_ns.len() / 2] / US;
    let mean_us = waits_ns.iter().sum::<u64>() / waits_ns.len() as u64 / US;
    let worst_us = waits_ns[waits_ns.len() - 1] / US;
    // Now and then what runs has the earlier deadline.
    assert!(median_us < 100 && mean_us < 1_500, "{median_us} {mean_us}");
    assert!(worst_us < 10_000, "{worst_us}");
}

/// Sleeping pays no debts that others have to bear, and saves nothing up.
#[test]
fn who_sleeps_now_and_then_gets_no_more_than_its_share() {
    for (burst_ms, sleep_ms) in [(3, 1), (1, 1), (30, 3), (200, 300), (5, 20)] {
        let mut machine = Cpus::<Eevdf>::new(1);
        machine.task(100, HOG);
        machine.task(100, HOG);
        machine.task(
            100,
            Does {
                burst_ns: burst_ms * MS,
                sleep_ns: sleep_ms * MS,
            },
        );
        machine.run(20 * SEC);
        let used_ms = machine.used_ms();
        let what = format!("{burst_ms} {sleep_ms}: {used_ms:?}");
        let fair_ms = 20_000 / 3;
        assert!(used_ms[2] <= fair_ms * 106 / 100, "{what}");
        // What it would use alone, or two thirds of a share, if that is less.
        let wants_ms = 20_000 * burst_ms / (burst_ms + sleep_ms);
        assert!(used_ms[2] >= wants_ms.min(fair_ms) * 2 / 3, "{what}");
        assert!(used_ms[0].abs_diff(used_ms[1]) <= 40, "{what}");
    }
}

#[test]
fn tasks_of_one_cpu_share_it_by_weight() {
    let zero: CpuSet = [0].into_iter().collect();
    let mut machine = Cpus::<Eevdf>::new(2);
    for weight in [100, 100, 200, 400] {
        machine.task_on(weight, HOG, zero);
    }
    let wide = machine.task(100, HOG);
    machine.run(10 * SEC);
    let used_ms = machine.used_ms();
    assert!(used_ms[wide] > 9_900, "{used_ms:?}");
    let off_before = off(&machine, 0..4);
    assert!(off_before.iter().all(|off| off.abs() <= 50), "{used_ms:?}");
    assert_eq!((machine.idled_ns, machine.rescues), (0, 0));
    // Newcomers there and elsewhere start as all others go on: 1/9 and 1/2 of a CPU.
    let pinned = machine.task_on(100, HOG, zero);
    let free = machine.task(100, HOG);
    machine.run(2 * SEC);
    let used_ms = [pinned, free].map(|task| machine.tasks[task].used_ns / MS);
    assert!((200..=245).contains(&used_ms[0]), "{used_ms:?}");
    assert!((950..=1050).contains(&used_ms[1]), "{used_ms:?}");
}

/// While their CPU is crowded, tasks of one CPU get less than their weights are due,
/// for as long as you like. Once there is room, what they missed is forgotten.
#[test]
fn what_affinity_cost_is_not_paid_back() {
    let zero: CpuSet = [0].into_iter().collect();
    let mut machine = Cpus::<Eevdf>::new(2);
    let pinned = [(); 8].map(|()| machine.task_on(100, HOG, zero));
    let wide = [(); 4].map(|()| machine.task(100, HOG));
    machine.run(10 * SEC);
    let before = machine.used_ms();
    assert!((1230..=1270).contains(&before[pinned[0]]), "{before:?}");
    assert!((2450..=2550).contains(&before[wide[0]]), "{before:?}");
    for task in &pinned[2..] {
        machine.end(*task);
    }
    machine.run(3 * SEC);
    let after = machine.used_ms();
    for task in pinned[..2].iter().chain(&wide) {
        let used_ms = after[*task] - before[*task];
        assert!((950..=1050).contains(&used_ms), "{before:?} {after:?}");
    }
}

/// Tasks with many different sets of CPUs, of which few have a group of their own.
#[test]
fn many_sets_of_cpus_come_and_go() {
    let mut machine = Cpus::<Eevdf>::new(64);
    let mut tasks = Vec::new();
    for round in 0..4 {
        for cpu in 0..63 {
            let pair: CpuSet = [cpu, cpu + 1].into_iter().collect();
            let alone: CpuSet = [cpu].into_iter().collect();
            let cpus = if round % 2 == 0 { pair } else { alone };
            tasks.push(machine.task_on(100, HOG, cpus));
        }
        machine.run(20 * MS);
        for task in tasks.drain(..) {
            assert!(machine.tasks[task].used_ns > 0, "{:?}", machine.tasks[task]);
            machine.end(task);
        }
    }
    // There is room again: four tasks have two CPUs, which count as one group.
    let pinned: Vec<_> = (0..40)
        .map(|cpu| machine.task_on(100, HOG, [cpu].into_iter().collect()))
        .collect();
    let pair: CpuSet = [62, 63].into_iter().collect();
    let four = [(); 4].map(|()| machine.task_on(100, HOG, pair));
    machine.run(SEC);
    for task in pinned {
        assert!(machine.tasks[task].used_ns > 990 * MS);
    }
    for task in four {
        let used_ms = machine.tasks[task].used_ns / MS;
        assert!((480..=520).contains(&used_ms), "{used_ms}");
    }
}

#[test]
fn a_task_that_ends_leaves_its_share_to_the_others() {
    let mut machine = Cpus::<Eevdf>::new(2);
    machine.latency_ns = 20 * US;
    let tasks: Vec<_> = (0..6).map(|_| machine.task(100, HOG)).collect();
    machine.run(SEC);
    for task in &tasks[..3] {
        machine.end(*task);
    }
    machine.run(3 * SEC);
    let used_ms = machine.used_ms();
    for task in &tasks[3..] {
        let after_ms = used_ms[*task] - 333;
        assert!((1950..=2050).contains(&after_ms), "{used_ms:?}");
    }
    assert!(machine.idled_ns <= 100 * US && machine.rescues == 0);
}

#[test]
fn a_new_weight_counts_from_then_on() {
    let mut machine = Cpus::<Eevdf>::new(1);
    let (a, b) = (machine.task(100, HOG), machine.task(100, HOG));
    machine.run(2 * SEC);
    machine.set_weight(a, 300);
    machine.run(4 * SEC);
    let used_ms = machine.used_ms();
    assert!((3950..=4050).contains(&used_ms[a]), "{used_ms:?}");
    assert!((1950..=2050).contains(&used_ms[b]), "{used_ms:?}");
}

#[test]
fn cpus_go_and_come_back() {
    let mut machine = Cpus::<Eevdf>::new(3);
    machine.latency_ns = 20 * US;
    for weight in [100, 100, 100, 200, 100] {
        machine.task(weight, HOG);
    }
    for _ in 0..10 {
        for cpu in [1, 2] {
            machine.run(100 * MS);
            machine.plug(cpu, false);
        }
        machine.run(200 * MS);
        machine.plug(2, true);
        machine.run(100 * MS);
        machine.plug(1, true);
        machine.run(500 * MS);
    }
    let off = off(&machine, 0..5);
    assert!(off.iter().all(|off| off.abs() <= 50), "{off:?}");
    assert!(machine.idled_ns <= MS && machine.rescues <= 10);
}

/// Tasks of all kinds come and go, CPUs too, and events are lost; nobody is forgotten.
#[test]
fn nobody_is_forgotten_in_any_disorder() {
    for seed in 1..=10 {
        let mut rng = Rng::new(seed);
        let mut machine = Cpus::<Eevdf>::new(3);
        machine.latency_ns = rng.below(3) * 200 * US;
        machine.tick_ns = MS;
        machine.task(100, HOG);
        for round in 0..400 {
            if rng.below(3) == 0 && machine.tasks.len() < 60 {
                let weight = [1, 33, 100, 305, 1000][rng.below(5) as usize];
                let does = Does {
                    burst_ns: 1 + rng.below(20 * MS),
                    sleep_ns: 1 + rng.below(40 * MS),
                };
                let cpus = [0b111, 0b001, 0b110, 0b101][rng.below(4) as usize];
                let cpus = (0..3).filter(|cpu| cpus >> cpu & 1 == 1).collect();
                machine.task_on(weight, does, cpus);
            }
            match rng.below(30) {
                0 => machine.plug(2, false),
                1 => machine.plug(2, true),
                2 => machine.lose(1),
                3 if round > 200 => machine.end(rng.below(machine.tasks.len() as u64) as usize),
                _ => {}
            }
            machine.run(rng.below(10 * MS));
        }
        machine.plug(2, true);
        let before: Vec<_> = machine
            .tasks
            .iter()
            .map(|task| task.waits_ns.len())
            .collect();
        machine.run(3 * SEC);
        for (task, before) in machine.tasks.iter().zip(before) {
            let longest_ms = task.waits_ns.iter().max().map_or(0, |wait_ns| wait_ns / MS);
            assert!(
                task.has_ended() || task.waits_ns.len() > before,
                "seed {seed}: {task:?}"
            );
            assert!(
                longest_ms <= 1_100,
                "seed {seed}: {longest_ms} ms, {task:?}"
            );
        }
    }
}

#[test]
fn the_same_events_give_the_same_decisions() {
    let history = || {
        let mut machine = Cpus::<Eevdf>::new(2);
        machine.task(100, HOG);
        machine.task(305, HOG);
        for burst_ms in 1..8 {
            machine.task(
                100,
                Does {
                    burst_ns: burst_ms * MS,
                    sleep_ns: 7 * MS,
                },
            );
        }
        machine.run(2 * SEC);
        let stats = *machine.driver().stats();
        (
            stats,
            machine
                .tasks
                .iter()
                .map(|task| task.used_ns)
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(history(), history());
}

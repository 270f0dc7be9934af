//! Earliest eligible virtual deadline first: sequences of events written by hand.

mod script;

use baton_policies::Eevdf;
use baton_policy::{
    CpuSet, Driver, Enqueue,
    EnqueueReason::{New, Preempted, Requeued, SliceOver, Wakeup, Yielded},
    Event, EventKind, MAX_CPUS, MS, Machine, Options, Placement, Rng, Setup, StopReason, TaskInfo,
    TaskKey,
};
use script::tale::Tale as TaleOf;

type Tale = TaleOf<Eevdf>;

/// Keys are virtual deadlines.
fn begin(cpus: u32, weights: &[u32]) -> Tale {
    Tale::new(cpus, weights, &[("sync", "false")])
}

#[test]
fn who_has_run_waits_until_the_average_has_come_to_it() {
    let mut tale = begin(1, &[100, 100, 100, 100]);
    for name in ['a', 'b', 'c', 'd'] {
        tale.enqueue(name, SliceOver);
    }
    tale.expect(
        "a ready at 3000 for 3000, b ready at 3000 for 3000, c ready at 3000 for 3000, \
         d ready at 3000 for 3000",
    );
    // After 3 ms of a the average is 0.75; a at 3 waits four times 2.25 ms.
    tale.runs('a', 0).expect("");
    tale.after_us(3000)
        .switch('a', 'b', 0, 3000)
        .expect("a held for 36000");
    tale.after_us(3000)
        .switch('b', 'c', 0, 3000)
        .expect("b held for 24000");
    tale.after_us(3000).switch('c', 'd', 0, 3000);
    // Nobody else is left for the CPU: the next in order goes early.
    tale.expect("a ready at 6000 for 3000, c held for 20000");
    // The average comes to 3 with the end of d's slice, for all of them.
    tale.after_us(3000).switch('d', 'a', 0, 3000);
    tale.expect("b ready at 6000 for 3000, c ready at 6000 for 3000, d ready at 6000 for 3000");
}

#[test]
fn deadlines_are_slices_divided_by_weights() {
    let mut tale = begin(4, &[50, 100, 200, 400]);
    tale.enqueue('a', New)
        .expect("a ready at 6000 for 3000 preempting");
    tale.enqueue('b', New)
        .expect("b ready at 3000 for 3000 preempting");
    tale.enqueue('c', New)
        .expect("c ready at 1500 for 3000 preempting");
    tale.enqueue('d', New)
        .expect("d ready at 750 for 3000 preempting");
}

#[test]
fn cpu_time_counts_by_weight() {
    let mut tale = begin(1, &[200, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .decided();
    tale.runs('a', 0).expect("");
    // a: 1.5, b: 0, so 1 on average. b runs 3 ms: 3, and 2 on average.
    tale.after_us(3000)
        .switch('a', 'b', 0, 3000)
        .expect("a ready at 3000 for 3000");
    tale.after_us(3000).switch('b', 'a', 0, 3000);
    // b is to wait for 1.5 ms at the speed of a third, so it waits for a's slice.
    tale.expect("b ready at 6000 for 3000");
}

#[test]
fn time_that_nobody_waits_for_is_free() {
    let mut tale = begin(1, &[100, 100]);
    tale.enqueue('a', Wakeup)
        .expect("a ready at 3000 for 3000 preempting");
    tale.runs('a', 0);
    tale.after_us(5_000_000).enqueue('b', Wakeup);
    tale.expect("b ready at 3000 for 3000 preempting");
    // Of five seconds and two milliseconds a is charged the two.
    tale.after_us(2000)
        .stops('a', 0, 5_002_000, StopReason::Preempted)
        .enqueue('a', Preempted);
    tale.runs('b', 0).expect("a ready at 3000 for 1000");
}

#[test]
fn the_rest_of_a_slice_keeps_its_deadline() {
    let mut tale = begin(1, &[100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .decided();
    tale.runs('a', 0);
    tale.after_us(1000)
        .stops('a', 0, 1000, StopReason::Preempted)
        .enqueue('a', Preempted);
    tale.runs('b', 0).expect("a ready at 3000 for 2000");
    // Yielding gives it up, and lets another pass.
    tale.after_us(1000)
        .stops('b', 0, 1000, StopReason::Yielded)
        .enqueue('b', Yielded);
    tale.runs('a', 0).expect("b ready at 7000 for 3000");
}

#[test]
fn a_credit_is_kept_over_a_sleep() {
    let mut tale = begin(1, &[100, 100, 100, 100]);
    for name in ['a', 'b', 'c', 'd'] {
        tale.enqueue(name, SliceOver);
    }
    tale.decided();
    tale.runs('a', 0);
    let turns = [
        ('a', 'b'),
        ('b', 'c'),
        ('c', 'a'),
        ('a', 'b'),
        ('b', 'c'),
        ('c', 'd'),
    ];
    for (from, to) in turns {
        tale.after_us(3000).switch(from, to, 0, 3000).decided();
    }
    // 6, 6, 6 and soon 0.1: d is 4.425 behind the average.
    tale.after_us(100)
        .sleeps('d', 0, 100)
        .runs('a', 0)
        .decided();
    // The others are at 7 on average when it wakes. Its coming moves the average back by
    // a third of its lag, so it comes back 5.9 behind.
    tale.after_us(3000).enqueue('d', Wakeup);
    tale.expect("d ready at 4100 for 3000 preempting");
}

#[test]
fn a_credit_is_cut_to_two_slices() {
    let mut tale = begin(1, &[100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .decided();
    tale.runs('a', 0);
    // a has 20, b nothing: b is 10 behind the average, but sleeps with 6.
    tale.after_us(20_000).switch('a', 'b', 0, 20_000).decided();
    tale.after_us(1)
        .sleeps('b', 0, 1)
        .runs('a', 0)
        .enqueue('b', Wakeup);
    tale.expect("b ready at 11000 for 3000 preempting");
}

#[test]
fn a_debt_is_paid_by_what_passes_meanwhile() {
    // a runs its slice while b waits, and sleeps owing half of it.
    let slept = |pass: fn(&mut Tale)| {
        let mut tale = begin(1, &[100, 100, 100]);
        tale.enqueue('a', SliceOver)
            .enqueue('b', SliceOver)
            .enqueue('c', SliceOver);
        tale.decided();
        tale.runs('a', 0)
            .after_us(3000)
            .sleeps('a', 0, 3000)
            .runs('b', 0);
        pass(&mut tale);
        tale.enqueue('a', Wakeup).decided()
    };
    // At once: a owes 2 of its 3, which the average of three needs 6 ms for.
    assert_eq!(slept(|_| {}), "a held for 24000");
    // After 2 ms of b the average has moved by 1.
    let later = slept(|tale| {
        tale.after_us(2000);
    });
    assert_eq!(later, "a held for 20000");
    // After 4 ms a is quit. It stands at the average, and b, whose slice was over long
    // ago, at twice that: a replaces it at once.
    let even_later = slept(|tale| {
        tale.after_us(100_000);
    });
    assert_eq!(even_later, "a on 0");
    // The CPU idles for 2 ms: nobody waited, so the debt shrinks by that.
    let idle = slept(|tale| {
        tale.event('c', EventKind::Dequeue)
            .sleeps('b', 0, 0)
            .after_us(2000);
        tale.enqueue('b', Wakeup).enqueue('c', Wakeup);
    });
    assert!(idle.contains("a ready at 3000"), "{idle}");
}

#[test]
fn new_tasks_start_at_the_average() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .decided();
    tale.runs('a', 0).after_us(2000).enqueue('c', New);
    tale.expect("c ready at 4000 for 3000 preempting");
}

#[test]
fn a_task_that_ends_while_it_is_held_is_forgotten() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .enqueue('c', SliceOver);
    tale.decided();
    tale.runs('a', 0);
    tale.after_us(3000)
        .switch('a', 'b', 0, 3000)
        .expect("a held for 24000");
    tale.event('a', EventKind::Exit).expect("");
    // The average is that of b and c, and a is nobody's rival.
    tale.after_us(3000)
        .switch('b', 'c', 0, 3000)
        .expect("b ready at 6000 for 3000");
    // In the same batch as its enqueue, with another in its slot.
    tale.enqueue('b', Requeued).event('b', EventKind::Exit);
    tale.join(100, CpuSet::first(MAX_CPUS));
    tale.enqueue('d', New)
        .expect("d ready at 3000 for 3000 preempting");
}

#[test]
fn what_the_backend_places_is_charged_all_the_same() {
    let mut tale = begin(1, &[100, 100]);
    // a takes the idle CPU at once, b comes, and a owes what it used since.
    tale.enqueue_as('a', Wakeup, true).runs('a', 0).expect("");
    tale.enqueue('b', Wakeup)
        .expect("b ready at 3000 for 3000 preempting");
    tale.after_us(4000)
        .switch('a', 'b', 0, 4000)
        .expect("a ready at 7000 for 3000");
    // Rescued in spite of its debt: it owes more.
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .enqueue('c', SliceOver);
    tale.decided();
    tale.runs('a', 0)
        .after_us(3000)
        .switch('a', 'b', 0, 3000)
        .expect("a held for 24000");
    tale.event('a', EventKind::Rescued).expect("");
    tale.after_us(3000)
        .switch('b', 'a', 0, 3000)
        .expect("b held for 20000");
    tale.after_us(3000)
        .switch('a', 'c', 0, 3000)
        .expect("b ready at 6000 for 3000, a held for 36000");
}

#[test]
fn a_change_of_weight_keeps_what_is_owed() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .enqueue('c', SliceOver);
    tale.decided();
    tale.runs('a', 0)
        .after_us(3000)
        .switch('a', 'b', 0, 3000)
        .expect("a held for 24000");
    // It owes 2 ms of CPU time, which is 0.2 at ten times the weight; all weights
    // together the average moves by that in 2.4 ms.
    let info = TaskInfo {
        weight: 1000,
        ..TaskInfo::default()
    };
    tale.event('a', EventKind::Update(info)).expect("");
    tale.after_us(2399).expect("");
    tale.after_us(1).expect("a ready at 1500 for 3000");
}

#[test]
fn absurd_numbers_stay_within_bounds() {
    let extremes = [0, 1, 20 * MS, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for seed in 1..=20 {
        let mut rng = Rng::new(seed);
        let mut pick = |from: &[u64]| from[rng.below(from.len() as u64) as usize];
        let mut driver = Driver::<Eevdf>::new(&Setup::new(&Machine::uniform("two", 2), 1)).unwrap();
        for round in 0..3_000 {
            let info = TaskInfo {
                weight: pick(&[0, 1, 100, 10_000, u64::from(u32::MAX)]) as u32,
                allowed: [0, 1, 1023][..pick(&[0, 1, 2, 3]) as usize]
                    .iter()
                    .copied()
                    .collect(),
                ..TaskInfo::default()
            };
            let enqueue = Enqueue {
                seq: pick(&extremes),
                reason: [New, Preempted, Requeued, SliceOver, Wakeup, Yielded]
                    [pick(&[0, 1, 2, 3, 4, 5]) as usize],
                decided: pick(&[0, 1]) == 0,
                slept_ns: pick(&extremes),
                ..Enqueue::default()
            };
            let cpu = pick(&[0, 1, 2, u64::from(u32::MAX)]) as u32;
            let runtime_ns = pick(&extremes);
            let reason = [StopReason::Slept, StopReason::Preempted][pick(&[0, 1]) as usize];
            let kinds = [
                EventKind::Join(info),
                EventKind::Update(info),
                EventKind::Enqueue(enqueue),
                EventKind::Enqueue(enqueue),
                EventKind::Running { cpu },
                EventKind::Running { cpu },
                EventKind::Stopping {
                    cpu,
                    runtime_ns,
                    reason,
                },
                EventKind::Dequeue,
                EventKind::Rescued,
                EventKind::Exit,
                EventKind::CpuDry { cpu },
                EventKind::CpuOffline { cpu },
                EventKind::CpuOnline { cpu },
                EventKind::Lost { count: 1 },
            ];
            let task = TaskKey {
                pid: pick(&[1, 2, 3, 4, 5, 6]) as u32,
                start_ns: 0,
            };
            let time_ns = pick(&extremes);
            driver.event(&Event {
                time_ns,
                task,
                kind: kinds[round % kinds.len()],
            });
            driver.batch_end(pick(&extremes));
            let slices = Options::SLICE_MIN_NS..=Options::SLICE_MAX_NS;
            for decision in driver.decisions() {
                let what = format!("seed {seed} round {round}: {decision:?}");
                match decision.placement {
                    Placement::Hold { lease_ns } => {
                        assert!(lease_ns <= Options::LEASE_MAX_NS, "{what}");
                    }
                    _ => assert!(slices.contains(&decision.slice_ns), "{what}"),
                }
                assert!(decision.key_offset.unsigned_abs() <= 500 * MS, "{what}");
            }
            driver.clear_decisions();
        }
    }
}

#[test]
fn parameters() {
    let driver = |params: &[(&str, &str)]| {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let params: Vec<_> = params.iter().map(owned).collect();
        let machine = Machine::uniform("two", 2);
        Driver::<Eevdf>::new(&Setup::with_params(&machine, 1, &params)).unwrap()
    };
    for (given, expected_ns) in [
        ("3", 3 * MS),
        ("0", MS),
        ("18446744073709551615", Options::SLICE_MAX_NS),
    ] {
        let driver = driver(&[("slice_ms", given)]);
        assert_eq!(driver.options().slice_ns, expected_ns);
        assert!(driver.options().sync_fast_path);
    }
    assert!(!driver(&[("sync", "false")]).options().sync_fast_path);
}

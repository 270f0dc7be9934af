//! Earliest eligible virtual deadline first: who is released when, in
//! sequences of events written by hand.

mod script;

use baton_policies::Eevdf;
use baton_policy::{
    CpuSet,
    EnqueueReason::{New, Preempted, Requeued, SliceOver, Wakeup},
    EventKind, StopReason, TaskInfo,
};
use script::tale::Tale as TaleOf;

type Tale = TaleOf<Eevdf>;

/// Keys are virtual deadlines.
fn begin(cpus: u32, weights: &[u32]) -> Tale {
    Tale::new(cpus, weights, &[("sync", "false")])
}

#[test]
fn a_task_that_cannot_run_there_is_in_nobodys_way() {
    let mut tale = begin(2, &[100, 100]);
    let zero: CpuSet = [0].into_iter().collect();
    for _ in 0..3 {
        tale.join(100, zero);
    }
    for name in ['a', 'b', 'c', 'd', 'e'] {
        tale.enqueue(name, SliceOver);
    }
    tale.decided();
    tale.runs('c', 0).runs('a', 1).expect("");
    // Both of CPU 0's other tasks are released, and so is b. a goes on when its slice
    // is over, for it is less ahead than anybody: nobody asks whom CPU 0 could take.
    tale.after_us(3000)
        .switch('c', 'd', 0, 3000)
        .switch('a', 'b', 1, 3000);
    let text = tale.decided();
    assert!(text.contains("a ready at 6000"), "{text}");
}

#[test]
fn a_dry_cpu_gets_what_may_run_there() {
    let mut tale = begin(2, &[100]);
    for _ in 0..3 {
        tale.join(100, [0].into_iter().collect());
    }
    for name in ['a', 'b', 'c', 'd'] {
        tale.enqueue(name, SliceOver);
    }
    tale.decided();
    tale.runs('b', 0).runs('a', 1);
    tale.after_us(3000).switch('b', 'c', 0, 3000);
    assert!(tale.decided().starts_with("b held"));
    // Nothing that is held may run on CPU 1. On CPU 0 b has its turn when c has used as
    // much, and should nothing else happen, the end of its lease sees to that.
    tale.sleeps('a', 1, 3000)
        .machine(EventKind::CpuDry { cpu: 1 })
        .expect("b held for 3000");
    tale.machine(EventKind::CpuDry { cpu: 0 });
    assert!(tale.decided().starts_with("b ready"));
}

/// `a` computes, and `b`, a light task that had a slice, is far ahead of it.
fn light_and_ahead() -> Tale {
    let mut tale = begin(1, &[100, 1, 100]);
    tale.enqueue('a', SliceOver).enqueue('b', SliceOver);
    tale.decided();
    tale.runs('b', 0).after_us(3000).switch('b', 'a', 0, 3000);
    tale.expect("b held for 1000000, b held for 300000");
    tale
}

#[test]
fn who_is_to_go_on_is_left_alone() {
    let mut tale = light_and_ahead();
    // Interrupted by something that is no business of the policy, too.
    tale.after_us(1000)
        .stops('a', 0, 1000, StopReason::Preempted);
    tale.expect("b held for 299000");
    tale.after_us(1000).runs('a', 0).expect("b held for 299000");
}

#[test]
fn who_woke_will_sleep_and_somebody_must_follow() {
    let mut tale = light_and_ahead();
    tale.enqueue('c', New).decided();
    tale.after_us(3000).switch('a', 'c', 0, 3000).decided();
    // c sleeps with a credit; when it wakes, the idle CPU takes it and only b waits, far
    // ahead of it.
    tale.after_us(100).sleeps('c', 0, 100).runs('a', 0);
    tale.after_us(100).sleeps('a', 0, 100);
    tale.enqueue_as('c', Wakeup, true).runs('c', 0);
    let text = tale.decided();
    assert!(text.starts_with("b ready"), "{text}");
}

#[test]
fn an_idle_cpu_gets_the_next_in_order() {
    let mut tale = begin(2, &[100, 1, 100]);
    tale.enqueue('a', SliceOver).enqueue('b', SliceOver);
    tale.enqueue('c', SliceOver).decided();
    tale.runs('a', 1).runs('b', 0).after_us(3000);
    tale.switch('b', 'c', 0, 3000).decided();
    // Far ahead of a and c, b lets them go on, until one of them sleeps.
    tale.after_us(1000).event(
        'b',
        EventKind::Update(TaskInfo {
            weight: 1,
            ..TaskInfo::default()
        }),
    );
    let text = tale.decided();
    assert!(!text.contains("ready"), "{text}");
    tale.after_us(1000).sleeps('c', 0, 2000);
    let text = tale.decided();
    assert!(text.starts_with("b ready"), "{text}");
}

#[test]
fn a_light_task_asks_for_less_at_a_time() {
    let mut tale = begin(2, &[1000, 1]);
    tale.enqueue('a', SliceOver);
    tale.expect("a ready at 300 for 3000");
    // Half a second of two CPUs by its share of a 1001st, which is weighted a hundredfold.
    tale.enqueue('b', SliceOver)
        .expect("b ready at 99900 for 999");
}

#[test]
fn keys_are_times_where_the_backend_computes_keys_from_the_time() {
    let mut tale = Tale::new(2, &[100, 100, 100, 100], &[]);
    tale.after_us(1_000_000).enqueue('a', New);
    // A task that is woken synchronously is taken to have the credit of two slices.
    tale.expect("a ready at 1003000 for 3000 preempting");
    assert_eq!(tale.key_offsets_us(), [-3000]);
    // Four tasks for two CPUs: the average needs twice as long for a slice.
    tale.enqueue('b', New).enqueue('c', New).enqueue('d', New);
    tale.decided();
    tale.runs('a', 0).runs('b', 1).after_us(3000);
    tale.switch('a', 'c', 0, 3000).enqueue('a', Requeued);
    tale.expect("a ready at 1012000 for 3000");
    // Its debt is 1.5, the slice 3, and that twice.
    assert_eq!(tale.key_offsets_us(), [9000]);
}

#[test]
fn only_eligible_tasks_that_woke_preempt() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .enqueue('c', SliceOver);
    let text = tale.decided();
    assert!(!text.contains("preempting"), "{text}");
    tale.runs('a', 0)
        .after_us(3000)
        .sleeps('a', 0, 3000)
        .runs('b', 0);
    // In debt and woken: held, and released early it does not preempt.
    tale.enqueue('a', Wakeup).expect("a held for 24000");
    tale.after_us(3000).switch('b', 'c', 0, 3000);
    let text = tale.decided();
    assert!(
        text.starts_with("a ready") && !text.contains("preempting"),
        "{text}"
    );
}

#[test]
fn a_cpu_goes_and_its_tasks_do_not_wait_for_it() {
    let mut tale = begin(2, &[100, 100]);
    let one: CpuSet = [1].into_iter().collect();
    tale.join(100, one);
    for name in ['a', 'b', 'c'] {
        tale.enqueue(name, SliceOver);
    }
    tale.decided();
    tale.runs('a', 0).runs('c', 1).after_us(3000);
    tale.machine(EventKind::CpuOffline { cpu: 1 });
    tale.stops('c', 1, 3000, StopReason::Preempted)
        .enqueue('c', Preempted);
    // Held it could not be rescued by anybody but the kernel.
    let text = tale.decided();
    assert!(text.starts_with("c ready"), "{text}");
    tale.machine(EventKind::CpuOnline { cpu: 1 }).expect("");
}

#[test]
fn after_a_loss_nobody_is_held_and_all_goes_on() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .enqueue('c', SliceOver);
    tale.decided();
    tale.runs('a', 0)
        .after_us(3000)
        .switch('a', 'b', 0, 3000)
        .expect("a held for 24000");
    tale.machine(EventKind::Lost { count: 3 })
        .expect("a ready at 6000 for 3000");
    // b stopped and c ran unheard; the next events are taken as they come.
    tale.after_us(6000)
        .runs('a', 0)
        .after_us(1000)
        .switch('a', 'b', 0, 1000);
    let text = tale.decided();
    assert!(text.starts_with("a "), "{text}");
    tale.after_us(1000)
        .sleeps('b', 0, 1000)
        .event('c', EventKind::Exit);
    tale.runs('a', 0).after_us(1000).enqueue('b', Wakeup);
    let text = tale.decided();
    assert!(text.starts_with("b "), "{text}");
}

#[test]
fn who_was_sent_and_did_not_arrive_leaves_the_cpu_to_others() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver).enqueue('b', SliceOver);
    tale.decided();
    // a is enqueued again when b is long overdue, but rescue comes first.
    tale.runs('b', 0).after_us(50_000).enqueue('a', Requeued);
    tale.expect("a on 0");
    tale.event('a', EventKind::Rescued).expect("");
    tale.enqueue('c', SliceOver).expect("c on 0");
}

#[test]
fn who_left_without_a_word_is_charged() {
    let mut tale = begin(1, &[100, 100, 100]);
    tale.enqueue('a', SliceOver)
        .enqueue('b', SliceOver)
        .enqueue('c', SliceOver);
    tale.decided();
    tale.runs('a', 0).after_us(3000);
    // That it stopped was not heard.
    tale.runs('b', 0).enqueue('a', SliceOver);
    let text = tale.decided();
    assert!(text.starts_with("a held"), "{text}");
}

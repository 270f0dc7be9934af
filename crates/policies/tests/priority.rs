//! Strict priority: order, preemption, the floor, CPUs, bounds.

mod model;
mod script;

use baton_policies::Priority;
use baton_policy::{Class, Classes, CpuSet, Driver, MS, Machine, Placement, Rng, SEC, Setup, US};
use model::{Model, Spec};
use script::{Script, key};

const HIGH: Option<usize> = Some(0);
const LOW: Option<usize> = Some(1);

fn class(name: &str, priority: i32) -> Class {
    Class {
        name: name.into(),
        priority,
        ..Class::default()
    }
}

fn high_and_low() -> Classes {
    Classes::new(vec![class("high", 10), class("low", -10)]).unwrap()
}

fn model(cpus: u32, classes: Classes, params: &[(&str, &str)], specs: &[Spec]) -> Model<Priority> {
    Model::new(Machine::uniform("model", cpus), classes, params, specs)
}

fn total_ms(model: &Model<Priority>, class: Option<usize>) -> u64 {
    let tasks = model.tasks.iter().filter(|task| task.spec.class == class);
    tasks.map(|task| task.total_ns() / MS).sum()
}

#[test]
fn without_priorities_it_is_first_come_first_served() {
    let mut script = Script::<Priority>::new(2);
    let options = *script.driver().options();
    assert!(options.idle_fast_path && options.sync_fast_path);
    let first = script.wakeup("first", MS);
    let second = script.join("heavy", 1_000).slice_over("heavy", 2 * MS);
    assert_eq!(key(second) - key(first), MS);
    assert_eq!((first.slice_ns, second.slice_ns), (10 * MS, 100 * MS));
}

#[test]
fn a_nearer_deadline_goes_first_among_equals() {
    let near = Class {
        deadline_ns: Some(5 * MS),
        ..class("near", 0)
    };
    let classes = Classes::new(vec![near, class("other", 0)]).unwrap();
    let mut script = Script::<Priority>::with_classes(Machine::uniform("m", 1), &classes, &[]);
    script.join_class("near", 0).join_class("far", 1);
    let far = script.wakeup("far", MS);
    let near = script.wakeup("near", 50 * MS);
    assert_eq!(key(far) - key(near), 46 * MS);
    assert_eq!(near.key_offset, 5 * MS as i64);
}

/// Every step by hand: two CPUs, low on both.
#[test]
fn a_higher_task_takes_the_cpu_of_the_lowest() {
    let classes = high_and_low();
    let mut script = Script::<Priority>::with_classes(Machine::uniform("m", 2), &classes, &[]);
    script
        .join_class("low", 1)
        .join_class("high", 0)
        .join_class("high2", 0);
    script.running("low", 1, MS).running("middle", 0, MS);
    let first = script.wakeup("high", 2 * MS);
    assert_eq!(first.placement, Placement::Cpu { cpu: 1 });
    assert!(first.preempt);
    // That CPU is taken, though nothing was heard of it yet.
    let second = script.wakeup("high2", 2 * MS);
    assert_eq!(second.placement, Placement::Cpu { cpu: 0 });
    script
        .stopped("low", 1, 2 * MS)
        .stopped("middle", 0, 2 * MS);
    script
        .running("high", 1, 2 * MS)
        .running("high2", 0, 2 * MS);
    // Higher ones fill the machine: lower ones stay in hand, in order, equals wait.
    let middle = script.preempted("middle", 3 * MS);
    let low = script.preempted("low", 3 * MS);
    assert!(
        matches!(middle.placement, Placement::Hold { .. }),
        "{middle:?}"
    );
    assert!(matches!(low.placement, Placement::Hold { .. }), "{low:?}");
    script.join_class("high3", 0);
    assert!(matches!(
        script.wakeup("high3", 4 * MS).placement,
        Placement::Ready { .. }
    ));
    // One that leaves makes room, for the one in ready first, then for the middle.
    script.stopped("high2", 0, 5 * MS);
    assert!(script.decisions().is_empty());
    script
        .running("high3", 0, 5 * MS)
        .stopped("high3", 0, 6 * MS);
    let out = script.decisions().iter().map(|decision| decision.task);
    assert_eq!(out.collect::<Vec<_>>(), [middle.task]);
    script.running("middle", 0, 6 * MS);
    // The high one sleeps too, and that CPU is left for the low.
    script.stopped("high", 1, 7 * MS);
    let out = script.decisions()[0];
    assert_eq!(out.task, low.task);
    assert!(matches!(out.placement, Placement::Ready { .. }), "{out:?}");
}

#[test]
fn a_wakeup_of_the_high_class_hardly_waits() {
    let mut specs = vec![Spec::hog(LOW); 4];
    specs.push(Spec::periodic(HIGH, 2 * MS, 3 * MS));
    specs.push(Spec::periodic(HIGH, MS, 7 * MS));
    let mut model = model(2, high_and_low(), &[], &specs);
    model.run(10 * SEC);
    for task in &model.tasks[4..] {
        assert!(
            task.wakeups > 1000 && task.wakeup_max_ns < 100 * US,
            "{task:?}"
        );
    }
    // What the high class leaves, the low class has: two CPUs less 0.4 and 0.125.
    let low_ms = total_ms(&model, LOW);
    assert!((14_500..15_000).contains(&low_ms), "{low_ms}");
    assert!(model.wasted_max_ns < 100 * US, "{}", model.wasted_max_ns);
    assert_eq!((model.rescues, model.invalid), (0, 0));
}

#[test]
fn the_floor_holds_and_no_more_than_the_floor() {
    for (percent, lows) in [(5, 1), (5, 2), (5, 8), (20, 3), (50, 2)] {
        let mut specs = vec![Spec::hog(HIGH); 3];
        specs.extend(vec![Spec::hog(LOW); lows]);
        let text = percent.to_string();
        let mut model = model(2, high_and_low(), &[("floor_percent", &text)], &specs);
        model.run(20 * SEC);
        let (high_ms, low_ms) = (total_ms(&model, HIGH), total_ms(&model, LOW));
        let expected_ms = high_ms * percent / 100;
        let case = format!("{percent} %, {lows} low: {high_ms} ms, {low_ms} ms");
        assert!(high_ms + low_ms > 39_900, "{case}");
        assert!(low_ms >= expected_ms * 95 / 100, "{case}");
        assert!(low_ms <= expected_ms * 115 / 100 + 100, "{case}");
        let least = model.tasks[3..]
            .iter()
            .map(|task| task.total_ns() / MS)
            .min();
        assert!(least >= Some(low_ms / lows as u64 / 2), "{case}: {least:?}");
    }
}

#[test]
fn each_of_three_priorities_has_its_floor() {
    let mut specs = vec![Spec::hog(HIGH); 2];
    specs.extend(vec![Spec::hog(None); 2]);
    specs.extend(vec![Spec::hog(LOW); 2]);
    let mut model = model(2, high_and_low(), &[("floor_percent", "10")], &specs);
    model.run(20 * SEC);
    let [high, middle, low] = [HIGH, None, LOW].map(|class| total_ms(&model, class));
    assert!(middle * 10 >= high * 9 / 10, "{high} {middle} {low}");
    assert!(
        low * 10 >= (high + middle) * 9 / 10,
        "{high} {middle} {low}"
    );
    assert!(high > 30_000, "{high} {middle} {low}");
}

#[test]
fn without_a_floor_only_rescue_is_left() {
    let specs = [Spec::hog(HIGH), Spec::hog(HIGH), Spec::hog(LOW)];
    let mut model = model(2, high_and_low(), &[("floor_percent", "0")], &specs);
    model.run(20 * SEC);
    let low = &model.tasks[2];
    assert!(low.wait_max_ns < 1100 * MS, "{low:?}");
    assert!(model.rescues >= 15 && low.total_ns() < 200 * MS, "{low:?}");
}

#[test]
fn weights_divide_the_time_of_a_priority() {
    let heavy = Spec {
        weight: 300,
        ..Spec::hog(HIGH)
    };
    let mut model = model(
        1,
        high_and_low(),
        &[],
        &[heavy, Spec::hog(HIGH), Spec::hog(LOW)],
    );
    model.run(20 * SEC);
    let [heavy, light, _] = [0, 1, 2].map(|task: usize| model.tasks[task].total_ns() / MS);
    assert!(
        (270..330).contains(&(heavy * 100 / light)),
        "{heavy} {light}"
    );
}

fn bound(cpus: &str) -> Classes {
    let bound = Class {
        allowed: Some(cpus.parse().unwrap()),
        ..class("bound", 0)
    };
    Classes::new(vec![bound, class("low", -10)]).unwrap()
}

#[test]
fn a_class_keeps_to_its_cpus_and_leaves_them_to_others_too() {
    // Three bound tasks and three free ones, one of them on the bound ones' CPU alone.
    let mut specs = vec![Spec::hog(HIGH); 3];
    specs.extend(vec![Spec::hog(None); 2]);
    specs.push(Spec {
        allowed: CpuSet::first(1),
        ..Spec::hog(None)
    });
    let mut model = model(2, bound("0"), &[], &specs);
    model.run(20 * SEC);
    for task in &model.tasks[..3] {
        assert_eq!(task.ran_ns[1], 0, "{task:?}");
        assert!(task.total_ns() > 2 * SEC, "{task:?}");
    }
    for task in &model.tasks[3..] {
        assert!(task.total_ns() > 2 * SEC, "{task:?}");
    }
    assert_eq!((model.rescues, model.invalid), (0, 0));
    assert!(model.wasted_max_ns < 100 * US, "{}", model.wasted_max_ns);
}

#[test]
fn a_bound_task_does_not_wait_beside_its_idle_cpu() {
    let mut specs = vec![Spec::periodic(HIGH, 3 * MS, 2 * MS); 2];
    specs.push(Spec::periodic(None, 4 * MS, MS));
    let mut model = model(2, bound("1"), &[], &specs);
    model.run(10 * SEC);
    assert!(model.tasks[..2].iter().all(|task| task.ran_ns[0] == 0));
    assert!(model.wasted_max_ns < 100 * US, "{}", model.wasted_max_ns);
}

#[test]
fn a_class_prefers_cpus_while_they_are_free() {
    let wish = Class {
        preferred: Some(CpuSet::first(1)),
        ..class("wish", 0)
    };
    let classes = Classes::new(vec![wish]).unwrap();
    let alone = [Spec::periodic(HIGH, MS, MS)];
    let mut model_alone = model(3, classes.clone(), &[], &alone);
    model_alone.run(SEC);
    assert_eq!(model_alone.tasks[0].ran_ns[1..], [0, 0]);
    let crowd = vec![Spec::periodic(HIGH, 5 * MS, MS); 3];
    let mut model_crowd = model(3, classes, &[], &crowd);
    model_crowd.run(SEC);
    assert!(model_crowd.wasted_max_ns < 100 * US);
    assert!(
        model_crowd
            .tasks
            .iter()
            .all(|task| task.total_ns() > 700 * MS)
    );
}

/// Random machines, tasks and classes: nobody waits beyond the floor and the lease, no
/// CPU idles beside work, and the same events give the same decisions.
#[test]
fn nobody_starves_whatever_comes() {
    for seed in 1..=60 {
        let interrupts = seed % 2 == 0;
        let make = || {
            let mut rng = Rng::new(seed);
            let cpus = 1 + rng.below(4) as u32;
            let mut classes = vec![class("high", 5), class("low", -5), class("lower", -9)];
            for class in &mut classes {
                if rng.below(4) == 0 {
                    class.allowed = Some(CpuSet::first(1 + rng.below(cpus.into()) as usize));
                }
                if rng.below(4) == 0 {
                    class.preferred = Some([rng.below(cpus.into()) as u32].into_iter().collect());
                }
                class.deadline_ns = (rng.below(2) == 0).then(|| rng.below(50 * MS));
            }
            let specs: Vec<Spec> = (0..2 + rng.below(12))
                .map(|_| Spec {
                    class: [None, Some(0), Some(1), Some(2)][rng.below(4) as usize],
                    weight: 1 + rng.below(1000) as u32,
                    ..match rng.below(2) {
                        0 => Spec::hog(None),
                        _ => {
                            Spec::periodic(None, 100 * US + rng.below(20 * MS), rng.below(20 * MS))
                        }
                    }
                })
                .collect();
            let mut model = model(cpus, Classes::new(classes).unwrap(), &[], &specs);
            model.interrupts = interrupts;
            model.run(10 * SEC);
            model
        };
        let model = make();
        let decisions = &model.decisions;
        assert!(*decisions == make().decisions, "seed {seed}");
        assert_eq!(model.invalid, 0, "seed {seed}");
        // A bound task that stands behind another on one CPU cannot go to the next that
        // is free.
        let is_bound = model.classes().iter().any(|class| class.allowed.is_some());
        let wasted_ns = if is_bound { 101 * MS } else { 200 * US };
        assert!(
            model.wasted_max_ns < wasted_ns,
            "seed {seed}: {}",
            model.wasted_max_ns
        );
        for task in &model.tasks {
            assert!(task.wait_max_ns < 1500 * MS, "seed {seed}: {task:?}");
        }
        // A priority with a task that always computes has its floor of those above it.
        let mut higher_ms = 0;
        for (class, place) in [
            (HIGH, Some(0)),
            (None, None),
            (LOW, Some(1)),
            (Some(2), Some(2)),
        ] {
            let tasks = model.tasks.iter().filter(|task| task.spec.class == class);
            let computes = tasks.clone().any(|task| task.spec.burst_ns == u64::MAX);
            let own_ms: u64 = tasks.map(|task| task.total_ns() / MS).sum();
            let class = place.and_then(|place: usize| model.classes().iter().nth(place));
            let bound = class.is_some_and(|class| class.allowed.is_some());
            assert!(
                !computes || bound || own_ms + 300 >= higher_ms * 5 / 100,
                "seed {seed}: {class:?} has {own_ms} ms beside {higher_ms}"
            );
            higher_ms += own_ms;
        }
    }
}

#[test]
fn the_defaults_are_those_of_the_list() {
    let entry = baton_policies::list()
        .iter()
        .find(|entry| entry.name == "priority");
    let params: Vec<_> = entry
        .unwrap()
        .params
        .iter()
        .map(|param| (param.name, param.default))
        .collect();
    let show = |params: &[(&str, &str)]| {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let params: Vec<_> = params.iter().map(owned).collect();
        let (machine, classes) = (Machine::uniform("two", 2), high_and_low());
        let setup = Setup::with_params(&machine, 1, &params).with_classes(&classes);
        format!("{:?}", Driver::<Priority>::new(&setup).unwrap().policy())
    };
    assert_eq!(show(&params), show(&[]));
}

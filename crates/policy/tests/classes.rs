//! Classes reach a policy, live and in a replay.
#![cfg(feature = "log")]

use baton_policy::log::{self, Ending, Header, replay};
use baton_policy::{
    Class, ClassId, ClassUse, Classes, Context, CpuSet, Driver, Enqueue, Event, EventKind, KeyRule,
    Machine, Options, Policy, Setup, TaskId, TaskInfo, TaskKey,
};

/// The key tells all that the policy sees of a task's class.
struct Shows;

impl Policy for Shows {
    const NAME: &'static str = "shows";
    const SUMMARY: &'static str = "shows classes";
    const CLASS_USE: ClassUse = ClassUse {
        weight: true,
        deadline: false,
        priority: true,
        cpus: true,
    };
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            key_rule: KeyRule::Deadline { burst_max_ns: 1 },
            sync_fast_path: true,
            tasks_max: 8,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let priority = cx.class(task).map_or(0, |class| class.priority);
        let weight = cx.task(task).info.weight;
        cx.ready(task, priority as u64 * 1_000_000 + u64::from(weight));
    }
}

const TASK: TaskKey = TaskKey {
    pid: 5,
    start_ns: 9,
};

fn classes() -> Classes {
    let class = |name: &str, priority, weight| Class {
        name: name.into(),
        priority,
        weight,
        ..Class::default()
    };
    Classes::new(vec![class("high", 9, None), class("heavy", 1, Some(300))]).unwrap()
}

fn info(class: Option<usize>) -> TaskInfo {
    TaskInfo {
        weight: 50,
        class: class.and_then(ClassId::new),
        ..TaskInfo::default()
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        time_ns: 1,
        task: TASK,
        kind,
    }
}

fn enqueue(seq: u64) -> Event {
    event(EventKind::Enqueue(Enqueue {
        seq,
        ..Enqueue::default()
    }))
}

/// A life: no class, one with a weight, one without, and one that the table lacks.
fn history() -> Vec<Event> {
    vec![
        event(EventKind::Join(info(None))),
        enqueue(1),
        event(EventKind::Update(info(Some(1)))),
        enqueue(2),
        event(EventKind::Update(info(Some(0)))),
        enqueue(3),
        event(EventKind::Update(info(Some(40)))),
        enqueue(4),
    ]
}

fn keys(driver: &Driver<Shows>) -> Vec<u64> {
    let keys = driver.decisions().iter().map(|decision| {
        let baton_policy::Placement::Ready { key } = decision.placement else {
            panic!("not ready: {decision:?}")
        };
        key
    });
    keys.collect()
}

#[test]
fn a_policy_sees_the_class_and_its_weight() {
    let (machine, classes) = (Machine::uniform("two", 2), classes());
    let setup = Setup::new(&machine, 1).with_classes(&classes);
    let mut driver = Driver::<Shows>::new(&setup).unwrap();
    history().iter().for_each(|event| driver.event(event));
    // The task's own weight is back once no class replaces it.
    assert_eq!(keys(&driver), [50, 1_000_300, 9_000_050, 50]);
}

#[test]
fn a_replay_has_the_same_classes() {
    let (machine, classes) = (Machine::uniform("two", 2), classes());
    let setup = Setup::new(&machine, 1).with_classes(&classes);
    let mut driver = Driver::<Shows>::new(&setup).unwrap();
    let header = |classes| Header {
        policy: Shows::NAME.into(),
        params: Vec::new(),
        seed: 1,
        machine: machine.clone(),
        classes,
        model: None,
        options: *driver.options(),
        kernel: String::new(),
        baton: String::new(),
    };
    let mut with = Vec::new();
    log::encode_header(&header(classes.clone()), &mut with);
    let mut without = Vec::new();
    log::encode_header(&header(Classes::NONE), &mut without);
    for event in history() {
        driver.event(&event);
        for bytes in [&mut with, &mut without] {
            log::encode_event(&event, bytes);
        }
    }
    for bytes in [&mut with, &mut without] {
        log::encode_batch_end(2, bytes);
        log::encode_decisions(driver.decisions(), bytes);
        log::encode_end(bytes);
    }
    let report = replay::<Shows>(&with).unwrap();
    assert!(report.is_equal() && report.decisions == 4, "{report:?}");
    let report = replay::<Shows>(&without).unwrap();
    assert!(matches!(report.ending, Ending::Differs(_)), "{report:?}");
}

#[test]
fn fast_paths_stay_off_where_they_would_pass_over_a_class() {
    let machine = Machine::uniform("two", 2);
    let fast_paths = |class: Class| {
        let classes = Classes::new(vec![class]).unwrap();
        let setup = Setup::new(&machine, 1).with_classes(&classes);
        let options = *Driver::<Shows>::new(&setup).unwrap().options();
        (options.idle_fast_path, options.sync_fast_path)
    };
    let cpus = Some(CpuSet::first(1));
    assert_eq!(fast_paths(Class::default()), (true, true));
    let weight = Class {
        weight: Some(1),
        ..Class::default()
    };
    assert_eq!(fast_paths(weight), (true, false));
    for (allowed, preferred) in [(cpus, None), (None, cpus)] {
        let class = Class {
            allowed,
            preferred,
            ..Class::default()
        };
        assert_eq!(fast_paths(class), (false, false));
    }
}

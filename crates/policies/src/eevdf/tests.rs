//! The parts by themselves: order and groups.

use alloc::vec::Vec;

use baton_policy::{CpuSet, Driver, Event, EventKind, Machine, Rng, Setup, TaskInfo, TaskKey};

use super::*;

/// Ids to fill queues with.
fn ids(count: u32) -> Vec<TaskId> {
    let machine = Machine::uniform("one", 1);
    let mut driver = Driver::<Eevdf>::new(&Setup::new(&machine, 1)).unwrap();
    for pid in 1..=count {
        driver.event(&Event {
            time_ns: 1,
            task: TaskKey { pid, start_ns: 0 },
            kind: EventKind::Join(TaskInfo::default()),
        });
    }
    driver.tasks().iter().map(|(id, _)| id).collect()
}

#[test]
fn order_is_that_of_a_sorted_list() {
    const SLOTS: u64 = 50;
    let ids = ids(SLOTS as u32);
    for seed in 1..=20 {
        let mut rng = Rng::new(seed);
        let mut order = Order::new(SLOTS as u32);
        let mut list: Vec<(u32, i64, u32, TaskId)> = Vec::new();
        for step in 0..2000 {
            let task = ids[rng.below(SLOTS) as usize];
            let slot = task.index() as u32;
            list.retain(|entry| entry.3 != task);
            if rng.below(3) == 0 {
                order.remove(slot);
            } else {
                let (queue, value) = (rng.below(4) as u32, rng.below(20) as i64 - 10);
                order.insert(order::Entry { queue, value, task });
                list.push((queue, value, slot, task));
                list.sort_unstable();
            }
            for queue in 0..5 {
                let expected = list.iter().find(|entry| entry.0 >= queue);
                let found = order.first_from(queue);
                assert_eq!(
                    found.map(|entry| (entry.queue, entry.value, entry.task)),
                    expected.map(|entry| (entry.0, entry.1, entry.3)),
                    "seed {seed} step {step} queue {queue}"
                );
                let first = order.first(queue).map(|entry| entry.task);
                let here = expected.filter(|entry| entry.0 == queue);
                assert_eq!(first, here.map(|entry| entry.3), "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn sets_of_cpus_have_groups_as_long_as_there_is_room() {
    let machine = Machine::uniform("sixty-four", 64);
    let mut groups = Groups::new(&machine);
    let pair = |cpu: u32| [cpu, cpu + 1].into_iter().collect::<CpuSet>();
    // Single CPUs have theirs, and take no room from others.
    for cpu in 0..40 {
        let alone: CpuSet = [cpu].into_iter().collect();
        let group = groups.join(&alone);
        assert_eq!(*groups.cpus(group), alone);
    }
    let joined: Vec<_> = (0..32).map(|cpu| groups.join(&pair(cpu))).collect();
    for (cpu, group) in (0..32).zip(&joined) {
        assert_eq!(*groups.cpus(*group), pair(cpu));
        assert_eq!(groups.join(&pair(cpu)), *group);
        groups.quit(*group);
    }
    // Who finds no room counts to its first CPU, until somebody is gone.
    let crowded = groups.join(&pair(50));
    assert_eq!(groups.cpus(crowded).lowest(), Some(50));
    assert_eq!(groups.cpus(crowded).len(), 1);
    groups.quit(joined[7]);
    assert_eq!(groups.join(&pair(50)), joined[7]);
    assert_eq!(*groups.cpus(joined[7]), pair(50));
    let everywhere = groups.join(&CpuSet::first(1024));
    assert_eq!(*groups.cpus(everywhere), CpuSet::first(64));
}

#[test]
fn who_ends_leaves_its_group() {
    let machine = Machine::uniform("four", 4);
    let mut driver = Driver::<Eevdf>::new(&Setup::new(&machine, 1)).unwrap();
    // Far more tasks with sets of their own than there is room for, one at a time.
    for round in 0..100_u32 {
        let task = TaskKey {
            pid: 1,
            start_ns: u64::from(round),
        };
        let allowed: CpuSet = [round % 3, 3].into_iter().collect();
        let info = TaskInfo {
            allowed,
            ..TaskInfo::default()
        };
        for kind in [EventKind::Join(info), EventKind::Exit] {
            driver.event(&Event {
                time_ns: 1,
                task,
                kind,
            });
        }
    }
    let groups = &driver.policy().groups;
    assert!((0..groups.len()).all(|group| groups.members(group as u32) == 0));
}

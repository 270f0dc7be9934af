//! Records in, events out.

use std::collections::VecDeque;

use baton_trace::TaskInfo;

use super::*;

/// Records of the shared ring; one that is being written hides those behind it.
#[derive(Default)]
struct Shared {
    ready: VecDeque<abi::Task>,
    busy: bool,
}

impl Source for Shared {
    fn next(&mut self) -> Option<abi::Task> {
        if self.busy {
            return None;
        }
        self.ready.pop_front()
    }

    fn is_clear(&self) -> bool {
        !self.busy && self.ready.is_empty()
    }

    fn used(&self) -> u64 {
        self.ready.len() as u64 * 64
    }
}

impl Sink for Vec<Event> {
    fn push(&mut self, event: &Event) -> Result<(), WriteError> {
        Self::push(self, *event);
        Ok(())
    }
}

const SIZES: Sizes = Sizes {
    cpus: 2,
    rings: 2,
    words: 16,
    shared_bytes: 4096,
};

fn word(a: u32, b: u32, c: u64) -> u64 {
    u64::from(a) | u64::from(b) << PID_BITS | c << 48
}

fn stamp(time_ns: u64, kind: u8) -> u64 {
    time_ns << 8 | u64::from(kind)
}

fn task(time_ns: u64, kind: u8, pid: u32, parent: u32) -> abi::Task {
    abi::Task {
        stamp: stamp(time_ns, kind),
        cpu: 1,
        pid,
        tgid: pid,
        parent,
        prio: 120,
        kernel: 0,
        pad: [0; 6],
        name: *b"make\0rubbish\0\0\0\0",
    }
}

fn named(pid: u32) -> What {
    What::Task(TaskInfo {
        pid,
        tgid: pid,
        name: *b"make\0\0\0\0\0\0\0\0\0\0\0\0",
        prio: 120,
        kernel: false,
    })
}

fn whats(events: &[Event]) -> Vec<(u64, u32, What)> {
    let parts = events
        .iter()
        .map(|event| (event.time_ns, event.cpu, event.what));
    parts.collect()
}

#[test]
fn records_of_all_rings_are_merged_by_time() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    let list = [task(0, kind::TASK, 7, 0)];
    merge.introduce(&list, &mut events).unwrap();
    let mut shared = Shared::default();
    shared.ready.push_back(task(150, kind::FORK, 8, 7));
    shared.ready.push_back(task(120, kind::EXIT, 9, 0));
    rings.write(0, [stamp(100, kind::SWITCH), word(0, 7, 120)]);
    rings.write(1, [stamp(160, kind::WAKEUP_NEW), word(8, 7, 1)]);
    rings.write(1, [stamp(180, kind::MIGRATE), 8 | 1 << 24]);
    rings.write(0, [stamp(170, kind::CANT_MIGRATE), 8 | 1 << 24]);
    merge.drain(&rings, &mut shared, None, &mut events).unwrap();
    let expected = vec![
        (0, 0, named(7)),
        (
            100,
            0,
            What::Switch {
                prev: 0,
                left: Left::Runnable,
                next: 7,
            },
        ),
        (120, 1, What::Exit { pid: 9 }),
        (150, 1, named(8)),
        (
            150,
            1,
            What::Fork {
                parent: 7,
                child: 8,
            },
        ),
        (
            160,
            1,
            What::Wakeup {
                pid: 8,
                waker: 7,
                how: Woken::New,
                target: 1,
            },
        ),
        (
            170,
            0,
            What::CanMigrate {
                pid: 8,
                from: 1,
                to: 0,
                allowed: false,
            },
        ),
        (
            180,
            1,
            What::Migrate {
                pid: 8,
                from: 1,
                to: 0,
            },
        ),
    ];
    assert_eq!(whats(&events), expected);
    assert_eq!(merge.late, 0);
}

/// What is young waits, and so does all behind a record that is being written.
#[test]
fn records_wait_until_all_before_them_are_there() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    let mut shared = Shared::default();
    let mut at = |merge: &mut Merge, shared: &mut Shared, now_ns| {
        merge
            .drain(&rings, shared, Some(now_ns), &mut events)
            .unwrap();
        events.len()
    };
    rings.write(0, [stamp(1000, kind::SWITCH), word(5, 0, 0)]);
    assert_eq!(at(&mut merge, &mut shared, LAG_NS + 999), 0);
    shared.busy = true;
    assert_eq!(at(&mut merge, &mut shared, LAG_NS + 1001), 0);
    shared.busy = false;
    shared.ready.push_back(task(900, kind::EXIT, 5, 0));
    assert_eq!(at(&mut merge, &mut shared, LAG_NS + 1002), 2);
    assert_eq!(merge.late, 0);
    // But nobody waits for ever, and what comes too late is counted.
    rings.write(0, [stamp(5000, kind::SWITCH), word(0, 6, 0)]);
    shared.busy = true;
    assert_eq!(at(&mut merge, &mut shared, LAG_NS + 6000), 2);
    // A task that was never told of is, now.
    assert_eq!(at(&mut merge, &mut shared, LAG_NS + 6000 + PATIENCE_NS), 4);
    shared.busy = false;
    shared.ready.push_back(task(4000, kind::EXIT, 6, 0));
    assert_eq!(
        at(&mut merge, &mut shared, 2 * LAG_NS + 6000 + PATIENCE_NS),
        5
    );
    assert_eq!(merge.late, 1);
    assert_eq!(events[4].time_ns, 5000);
}

/// A CPU whose next record is young holds no other up.
#[test]
fn what_is_old_enough_is_told_of_every_cpu() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    for (cpu, time_ns) in [(0, 10), (0, 5000), (1, 20), (1, 30), (1, 6000)] {
        rings.write(cpu, [stamp(time_ns, kind::SWITCH), word(0, 0, 0)]);
    }
    let mut shared = Shared::default();
    let mut times = |merge: &mut Merge, now_ns| {
        events.clear();
        let now_ns = Some(LAG_NS + now_ns);
        merge
            .drain(&rings, &mut shared, now_ns, &mut events)
            .unwrap();
        events.iter().map(|event| event.time_ns).collect::<Vec<_>>()
    };
    assert_eq!(times(&mut merge, 100), [10, 20, 30]);
    assert_eq!(times(&mut merge, 5500), [5000]);
    assert_eq!(times(&mut merge, 6500), [6000]);
}

/// At one time: the shared ring's first, which may tell of the task, then CPU by CPU; the last moment
/// that is old enough counts.
#[test]
fn records_of_one_time_have_an_order() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    let mut shared = Shared::default();
    for cpu in [1, 0] {
        rings.write(cpu, [stamp(50, kind::WAKEUP), word(7, 0, 0)]);
        rings.write(cpu, [stamp(50, kind::SWITCH), word(0, 0, 0)]);
    }
    shared.ready.push_back(task(50, kind::EXIT, 9, 0));
    merge
        .drain(&rings, &mut shared, Some(LAG_NS + 50), &mut events)
        .unwrap();
    let order: Vec<_> = events
        .iter()
        .map(|event| (event.cpu, matches!(event.what, What::Exit { .. })))
        .collect();
    assert_eq!(
        order,
        [(1, true), (0, false), (0, false), (1, false), (1, false)]
    );
    assert!(matches!(events[1].what, What::Wakeup { .. }));
    assert!(matches!(events[2].what, What::Switch { .. }));
}

/// The ring is read around its end, and what found no room is told where it was.
#[test]
fn rings_wrap_and_losses_are_told() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    let mut shared = Shared::default();
    for time_ns in 0..100 {
        assert!(rings.write(1, [stamp(time_ns, kind::SWITCH), word(0, 0, 1 << 8)]));
        merge.drain(&rings, &mut shared, None, &mut events).unwrap();
    }
    assert_eq!(events.len(), 100);
    assert!(
        events
            .iter()
            .zip(0..)
            .all(|(event, time_ns)| event.time_ns == time_ns)
    );
    let wrote =
        (100..120).filter(|time_ns| rings.write(0, [stamp(*time_ns, kind::SWITCH), word(0, 0, 0)]));
    assert_eq!(wrote.count(), 8);
    merge.drain(&rings, &mut shared, None, &mut events).unwrap();
    rings.lose_shared(1, 3);
    merge.tell_last_losses(&rings, 200, &mut events).unwrap();
    let lost = |count, of| What::Lost { count, of };
    assert_eq!(
        whats(&events[108..]),
        [
            (200, 0, lost(12, Losses::Any)),
            (200, 1, lost(3, Losses::Tasks))
        ]
    );
}

/// A loss stands where its CPU told of it, whichever ring had no room, and is told once.
#[test]
fn losses_of_either_ring_stand_in_their_cpus_order() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    let mut shared = Shared::default();
    rings.write(0, [stamp(10, kind::SWITCH), word(0, 0, 0)]);
    rings.write(0, [stamp(30, kind::LOST_SHARED), 5]);
    rings.write(0, [stamp(30, kind::SWITCH), word(0, 0, 0)]);
    rings.write(1, [stamp(20, kind::SWITCH), word(0, 0, 0)]);
    rings.write(1, [stamp(40, kind::LOST), 7]);
    merge
        .drain(&rings, &mut shared, Some(LAG_NS + 50), &mut events)
        .unwrap();
    merge.tell_last_losses(&rings, 60, &mut events).unwrap();
    let lost = whats(&events).into_iter().zip(0..);
    let lost: Vec<_> = lost
        .filter(|((_, _, what), _)| matches!(what, What::Lost { .. }))
        .collect();
    let of = |count, of| What::Lost { count, of };
    assert_eq!(
        lost,
        [
            ((30, 0, of(5, Losses::Tasks)), 2),
            ((40, 1, of(7, Losses::Any)), 4)
        ]
    );
}

#[test]
fn a_changed_priority_is_told_before_the_switch() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, Some(NameHider::with_key([1; 16])));
    let mut events = Vec::new();
    let list = [task(0, kind::TASK, 7, 0)];
    merge.introduce(&list, &mut events).unwrap();
    for (time_ns, prio) in [(10, 120), (20, 110)] {
        rings.write(0, [stamp(time_ns, kind::SWITCH), word(0, 7, prio)]);
    }
    let mut shared = Shared::default();
    merge.drain(&rings, &mut shared, None, &mut events).unwrap();
    assert_eq!(events.len(), 4);
    let (What::Task(first), What::Task(second)) = (events[0].what, events[2].what) else {
        panic!("{events:?}");
    };
    assert_eq!((first.prio, second.prio), (120, 110));
    assert!(first.name == second.name && first.name.iter().all(u8::is_ascii_hexdigit));
}

#[test]
fn the_fullest_ring_is_told_whichever_it_is() {
    let rings = Rings::anonymous(SIZES, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let mut fill = |shared: &mut Shared, own: u64| {
        for at in 0..own {
            assert!(rings.write(1, [stamp(at, kind::WAKEUP), word(7, 8, 0)]));
        }
        merge.drain(&rings, shared, None, &mut Vec::new()).unwrap()
    };
    let mut shared = Shared::default();
    assert_eq!(fill(&mut shared, 0), 0.0);
    assert_eq!(fill(&mut shared, 2), 0.25);
    let many = (0..48).map(|at| task(at, kind::ENQUEUE, 7, 0));
    shared.ready.extend(many.clone());
    assert_eq!(fill(&mut shared, 2), 0.75);
    assert_eq!(fill(&mut shared, 0), 0.0, "it was emptied");
    shared.ready.extend(many.take(8));
    assert_eq!(fill(&mut shared, 8), 1.0);
}

/// CPU 1 came online later: what it has to tell stands among the others', by its time.
#[test]
fn a_cpu_without_a_ring_is_heard_by_the_shared_one() {
    let sizes = Sizes { rings: 1, ..SIZES };
    let rings = Rings::anonymous(sizes, &[0]);
    let mut merge = Merge::new(2, None);
    let mut events = Vec::new();
    let mut shared = Shared::default();
    for (time_ns, kind, word) in [
        (15, kind::SWITCH, word(0, 0, 2 << 8)),
        (25, kind::WAKEUP, word(8, 7, 1)),
        (35, kind::LOST, 4),
    ] {
        let mut name = [0; NAME_LEN];
        name[..8].copy_from_slice(&word.to_ne_bytes());
        let record = abi::Task {
            name,
            ..task(time_ns, kind, 0, 0)
        };
        shared.ready.push_back(record);
    }
    for time_ns in [10, 20, 30] {
        assert!(rings.write(0, [stamp(time_ns, kind::SWITCH), word(0, 0, 0)]));
    }
    merge.drain(&rings, &mut shared, None, &mut events).unwrap();
    let places: Vec<_> = events
        .iter()
        .map(|event| (event.time_ns, event.cpu))
        .collect();
    assert_eq!(
        places,
        [(10, 0), (15, 1), (20, 0), (25, 1), (30, 0), (35, 1)]
    );
    let (prev, left, next) = (0, Left::Blocks, 0);
    assert_eq!(events[1].what, What::Switch { prev, left, next });
    assert!(matches!(
        events[3].what,
        What::Wakeup {
            pid: 8,
            waker: 7,
            ..
        }
    ));
    let of = Losses::Any;
    assert_eq!(events[5].what, What::Lost { count: 4, of });
}

/// For a profiler, which counts what the process does for an event: switches and wakeups of two CPUs,
/// tasks and times as `messaging` has them. What follows from earlier records does, as it nearly
/// always does in a recording, so these are the events that take the least.
#[test]
#[ignore = "for a profiler"]
fn many_records() {
    const EVENTS: u64 = 800_000;
    const ROUND: u64 = 8_000;
    let sizes = Sizes {
        words: 32_768,
        ..SIZES
    };
    let rings = Rings::anonymous(sizes, &[0, 1]);
    let mut merge = Merge::new(2, None);
    let machine = baton_policy::Machine::uniform("test", 2);
    let header = baton_trace::Header::new("test", machine);
    let mut writer = baton_trace::Writer::new(std::io::sink(), &header).unwrap();
    let tasks: Vec<_> = (1000..1040)
        .map(|pid| task(0, kind::TASK, pid, 0))
        .collect();
    merge.introduce(&tasks, &mut writer).unwrap();
    let mut running = [0u32; 2];
    let mut rng = baton_policy::Rng::new(1);
    let mut time_ns = [1_000u64, 2_000];
    for round in 0..EVENTS / ROUND {
        for step in 0..ROUND {
            let cpu = (step % 2) as u32;
            let index = cpu as usize;
            let other = 1000 + rng.below(40) as u32;
            time_ns[index] += 10_000 + rng.below(24_000);
            let now_ns = time_ns[index];
            let woken =
                u64::from(running[index]) << PID_BITS | u64::from(other) | u64::from(cpu) << 48;
            let record = if rng.below(2) == 0 {
                [stamp(now_ns, kind::WAKEUP), woken]
            } else {
                let left = if rng.below(2) == 0 { 0 } else { 1 << 8 };
                let switch = word(running[index], other, 120 | left);
                running[index] = other;
                [stamp(now_ns, kind::SWITCH), switch]
            };
            assert!(rings.write(cpu, record), "room in round {round}");
        }
        let now_ns = time_ns[0].min(time_ns[1]) + LAG_NS;
        merge
            .drain(&rings, &mut Shared::default(), Some(now_ns), &mut writer)
            .unwrap();
    }
    merge
        .drain(&rings, &mut Shared::default(), None, &mut writer)
        .unwrap();
    assert_eq!(writer.events(), EVENTS + 40);
}

//! Tracepoints in, events out: what `perf` rarely meets.

use super::*;
use crate::{Audit, Bursts};

const SWITCH: u16 = 1;
const WAKING: u16 = 2;
const MIGRATE: u16 = 3;

/// Descriptions as the kernel gives them, of tracepoints whose fields lie one behind the other.
fn section() -> Vec<u8> {
    let describe = |name: &str, id: u16, fields: &[(&str, usize)]| {
        let mut text = format!("name: {name}\nID: {id}\nformat:\n");
        let common = [("unsigned short common_type", 2), ("int common_flags", 4)];
        let mut offset = 0;
        for (field, size) in common.iter().chain(fields) {
            let line = format!("\tfield:{field};\toffset:{offset};\tsize:{size};\tsigned:1;\n");
            text.push_str(&line);
            offset += size;
        }
        text
    };
    let texts = [
        describe(
            "sched_switch",
            SWITCH,
            &[
                ("char prev_comm[16]", 16),
                ("int prev_pid", 4),
                ("int prev_prio", 4),
                ("long prev_state", 8),
                ("char next_comm[16]", 16),
                ("int next_pid", 4),
                ("int next_prio", 4),
            ],
        ),
        describe(
            "sched_waking",
            WAKING,
            &[
                ("int common_pid", 4),
                ("char comm[16]", 16),
                ("int pid", 4),
                ("int prio", 4),
                ("int target_cpu", 4),
            ],
        ),
        describe(
            "sched_migrate_task",
            MIGRATE,
            &[("int pid", 4), ("int orig_cpu", 4), ("int dest_cpu", 4)],
        ),
    ];
    let mut bytes = b"\x17\x08\x44tracing0.6\0".to_vec();
    bytes.extend([0; 6]);
    for page in [&b"header_page\0"[..], b"header_event\0"] {
        bytes.extend(page);
        bytes.extend(0_u64.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(b"sched\0");
    bytes.extend(3_u32.to_le_bytes());
    for text in texts {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn name(pid: u32) -> [u8; 16] {
    let mut name = [0; 16];
    let text = format!("task-{pid}");
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

struct Told(Converter);

impl Told {
    fn new() -> Self {
        Self(Converter::new(Tracepoints::parse(&section()).unwrap()))
    }

    fn point(&mut self, time_ns: u64, cpu: u32, id: u16, parts: &[&[u8]]) {
        let mut raw = id.to_le_bytes().to_vec();
        raw.extend([0; 4]);
        parts.iter().for_each(|part| raw.extend(*part));
        let raw = &raw;
        self.0.point(&Point { raw, time_ns, cpu }).unwrap();
    }

    /// State 0: it could go on; 1: it sleeps; 16: it ends (X).
    fn switch(&mut self, time_ns: u64, cpu: u32, prev: u32, state: u64, next: u32) {
        let (prev_name, next_name) = (name(prev), name(next));
        let prio = 120_u32.to_le_bytes();
        let (prev, next) = (prev.to_le_bytes(), next.to_le_bytes());
        let state = state.to_le_bytes();
        let parts: [&[u8]; 7] = [&prev_name, &prev, &prio, &state, &next_name, &next, &prio];
        self.point(time_ns, cpu, SWITCH, &parts);
    }

    fn waking(&mut self, time_ns: u64, cpu: u32, waker: u32, pid: u32) {
        let woken = name(pid);
        let (waker, pid, prio) = (
            waker.to_le_bytes(),
            pid.to_le_bytes(),
            120_u32.to_le_bytes(),
        );
        let parts: [&[u8]; 5] = [&waker, &woken, &pid, &prio, &[0; 4]];
        self.point(time_ns, cpu, WAKING, &parts);
    }

    fn migrate(&mut self, time_ns: u64, cpu: u32, pid: u32, to: u32) {
        let parts: [&[u8]; 3] = [&pid.to_le_bytes(), &[0; 4], &to.to_le_bytes()];
        self.point(time_ns, cpu, MIGRATE, &parts);
    }

    /// What is told, without the names; that it contradicts itself nowhere is looked at.
    fn events(self) -> Vec<Event> {
        let header = Header::new("test", baton_policy::Machine::uniform("two", 2));
        let imported = self.0.finish(&header).unwrap();
        assert_eq!(imported.trailer.events, imported.events.len() as u64);
        assert!(imported.events.is_sorted_by_key(|event| event.time_ns));
        let mut audit = Audit::default();
        imported.events.iter().for_each(|event| audit.add(event));
        assert!(audit.holds(), "{audit:?}");
        let events = imported.events.into_iter();
        events
            .filter(|event| !matches!(event.what, What::Task(_)))
            .collect()
    }
}

fn wakeups(events: &[Event]) -> Vec<(u64, u32, u32, u32)> {
    let found = events.iter().filter_map(|event| match event.what {
        What::Wakeup {
            pid, waker, target, ..
        } => Some((event.time_ns, pid, waker, target)),
        _ => None,
    });
    found.collect()
}

/// The waking of a task that is off its queue may be told before the switch with which it leaves.
#[test]
fn a_waking_just_before_the_switch_ends_the_sleep() {
    let mut told = Told::new();
    told.switch(10, 0, 0, 0, 7);
    told.switch(15, 1, 0, 0, 8);
    told.waking(20, 1, 8, 7);
    told.switch(21, 0, 7, 1, 0);
    told.migrate(22, 1, 7, 1);
    told.switch(23, 1, 8, 1, 7);
    told.switch(30, 1, 7, 1, 0);
    let events = told.events();
    assert_eq!(wakeups(&events), [(21, 7, 8, 1)]);
    let whats: Vec<_> = events.iter().map(|event| event.what).collect();
    assert!(
        matches!(whats[2], What::Switch { prev: 7, .. }),
        "{whats:?}"
    );
    assert!(matches!(whats[3], What::Wakeup { pid: 7, .. }), "{whats:?}");
    let bursts = Bursts::of(events);
    let woken = bursts
        .iter()
        .find(|burst| burst.pid == 7 && burst.is_whole());
    let woken = woken.expect("the burst that this waking began");
    assert_eq!(
        (woken.latency_ns, woken.slept_ns, woken.ran_ns),
        (Some(2), Some(0), 7)
    );
}

/// Who asked to sleep and is woken before it left its queue goes on; its next sleep is another's to
/// end.
#[test]
fn a_waking_of_a_task_that_never_slept_is_none() {
    let mut told = Told::new();
    told.switch(10, 0, 0, 0, 7);
    told.waking(20, 1, 0, 7);
    told.switch(50, 0, 7, 1, 0);
    told.waking(90, 1, 0, 7);
    told.switch(91, 0, 0, 0, 7);
    // Preempted, it did not sleep either.
    told.waking(95, 1, 0, 7);
    told.switch(96, 0, 7, 0, 0);
    told.switch(97, 0, 0, 0, 7);
    // And what follows the last sleep is not known.
    told.waking(98, 1, 0, 7);
    told.switch(99, 0, 7, 1, 0);
    assert_eq!(wakeups(&told.events()), [(90, 7, 0, 0)]);
}

/// Nothing is concluded over a loss: the waking that decides may be among what was lost.
#[test]
fn a_loss_leaves_early_wakings_open() {
    let mut told = Told::new();
    told.switch(10, 0, 0, 0, 7);
    told.waking(20, 1, 0, 7);
    told.switch(50, 0, 7, 1, 0);
    told.0.lose(60, 1, 3);
    told.switch(91, 0, 0, 0, 7);
    assert_eq!(wakeups(&told.events()), []);
}

/// A thread that executes a program comes to its CPU under its own number and leaves it under that
/// of its process.
#[test]
fn an_executing_thread_takes_its_processs_number() {
    let mut told = Told::new();
    for pid in [7, 9] {
        told.0.know(pid, |info| info.tgid = 7);
    }
    told.switch(10, 0, 0, 0, 9);
    told.switch(15, 1, 0, 0, 7);
    told.switch(20, 1, 7, 16, 0);
    // 9 has become 7.
    told.switch(40, 0, 7, 0, 8);
    told.switch(45, 0, 8, 1, 7);
    told.switch(60, 0, 7, 1, 0);
    let events = told.events();
    let exits = events.iter().filter(|event| {
        let left_for_good = |what| {
            matches!(
                what,
                What::Switch {
                    prev: 9,
                    left: Left::Exits,
                    next: 7
                }
            )
        };
        left_for_good(event.what) || event.what == What::Exit { pid: 9 }
    });
    assert_eq!(exits.count(), 2, "{events:?}");
    let bursts = Bursts::of(events);
    let ran = |pid| {
        let of = bursts.iter().filter(|burst| burst.pid == pid);
        of.map(|burst| burst.ran_ns).collect::<Vec<_>>()
    };
    assert_eq!((ran(9), ran(7)), (vec![30], vec![5, 15]));
}

/// A switch that was missed is none of that: the process's first thread lives.
#[test]
fn a_missed_switch_renames_nobody() {
    let mut told = Told::new();
    for pid in [7, 9] {
        told.0.know(pid, |info| info.tgid = 7);
    }
    told.switch(10, 0, 0, 0, 9);
    told.switch(40, 0, 7, 0, 8);
    let header = Header::new("test", baton_policy::Machine::uniform("two", 2));
    let imported = told.0.finish(&header).unwrap();
    let switches = imported.events.iter();
    let switches = switches.filter(|event| matches!(event.what, What::Switch { .. }));
    assert_eq!(switches.count(), 2);
}

//! Logs whose bytes are whole and whose words cannot be: whatever a policy takes a machine's and an event's
//! word for is looked at by the reader.
#![cfg(feature = "log")]

use baton_policy::log::{self, Header, LogError, Reader};
use baton_policy::{
    Class, Classes, Enqueue, Event, EventKind, Machine, Options, StopReason, TaskInfo, TaskKey,
};

fn header() -> Header {
    Header {
        policy: "any".into(),
        params: Vec::new(),
        seed: 1,
        machine: Machine::uniform("two", 2),
        classes: Classes::NONE,
        model: None,
        options: Options::default(),
        kernel: String::new(),
        baton: String::new(),
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        time_ns: 1,
        task: TaskKey::default(),
        kind,
    }
}

/// What is said of a log with this header, and of one with this event.
fn complaint(header: &Header, event: Option<Event>) -> Option<&'static str> {
    let mut bytes = Vec::new();
    log::encode_header(header, &mut bytes);
    if let Some(event) = event {
        log::encode_event(&event, &mut bytes);
    }
    match Reader::open(&bytes).and_then(|(_, mut reader)| reader.next().unwrap()) {
        Err(LogError::Damaged { what, .. }) => Some(what),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    }
}

/// Policies index arrays by what a machine and its events say.
#[test]
fn a_machine_that_cannot_be_is_refused() {
    assert_eq!(complaint(&header(), None), None);
    let machines: [fn(&mut Machine); 5] = [
        |machine| machine.cpus.clear(),
        |machine| machine.cpus[1].id = 700,
        |machine| machine.cpus[1].llc = u32::MAX,
        |machine| machine.cpus.iter_mut().for_each(|cpu| cpu.online = false),
        |machine| machine.node_distance.clear(),
    ];
    for change in machines {
        let mut header = header();
        change(&mut header.machine);
        let said = complaint(&header, None);
        assert_eq!(
            said,
            Some("a machine that cannot be"),
            "{:?}",
            header.machine
        );
    }
    let mut header = header();
    header.classes = Classes::new(vec![Class {
        weight: Some(0),
        ..Class::default()
    }])
    .unwrap();
    assert_eq!(
        complaint(&header, None),
        Some("task classes that cannot be")
    );
}

#[test]
fn events_that_cannot_be_are_refused() {
    let refused = |kind| complaint(&header(), Some(event(kind)));
    let enqueue = |cpu| {
        EventKind::Enqueue(Enqueue {
            cpu,
            ..Enqueue::default()
        })
    };
    let stopping = |cpu| EventKind::Stopping {
        cpu,
        runtime_ns: 0,
        reason: StopReason::Slept,
    };
    for cpu in [0, 1, 2, 64, u32::MAX] {
        let kinds = [
            enqueue(cpu),
            stopping(cpu),
            EventKind::Running { cpu },
            EventKind::CpuDry { cpu },
            EventKind::CpuOnline { cpu },
            EventKind::CpuOffline { cpu },
        ];
        let expected = (cpu > 1).then_some("a CPU that the header's machine does not have");
        for kind in kinds {
            assert_eq!(refused(kind), expected, "{kind:?}");
        }
    }
    for (weight, good) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        let info = TaskInfo {
            weight,
            ..TaskInfo::default()
        };
        let expected = (!good).then_some("a task's weight that is not 1 to 10000");
        assert_eq!(refused(EventKind::Join(info)), expected);
        assert_eq!(refused(EventKind::Update(info)), expected);
    }
}

//! A log may come from anywhere: policies index arrays by what it says of the machine and its CPUs, so
//! that a replay must refuse what cannot be.

use baton_policies::{Visitor, list, with_policy};
use baton_policy::log::{self, Header, LogError, ReplayError, replay};
use baton_policy::{
    Classes, CpuSet, Enqueue, Event, EventKind, Machine, Mode, Options, Policy, TaskInfo, TaskKey,
};

/// Replays a log of a machine with these events.
struct Log<'a> {
    machine: &'a Machine,
    events: &'a [EventKind],
}

impl Visitor for Log<'_> {
    type Output = Result<(), ReplayError>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        let header = Header {
            policy: P::NAME.into(),
            params: Vec::new(),
            seed: 1,
            machine: self.machine.clone(),
            classes: Classes::NONE,
            model: None,
            options: Options {
                mode: Mode::Decide,
                ..Options::default()
            },
            kernel: String::new(),
            baton: String::new(),
        };
        let mut bytes = Vec::new();
        log::encode_header(&header, &mut bytes);
        for (time_ns, kind) in self.events.iter().enumerate() {
            let event = Event {
                time_ns: time_ns as u64,
                task: TaskKey::default(),
                kind: *kind,
            };
            log::encode_event(&event, &mut bytes);
        }
        replay::<P>(&bytes).map(drop)
    }
}

#[track_caller]
fn check(machine: &Machine, events: &[EventKind], expected: &'static str) {
    for policy in list() {
        let replayed = with_policy(policy.name, Log { machine, events });
        match replayed {
            Some(Err(ReplayError::Log(LogError::Damaged { what, .. }))) => {
                assert_eq!(what, expected, "{}", policy.name);
            }
            other => panic!("{}: {other:?}", policy.name),
        }
    }
}

fn joined_on(cpu: u32) -> EventKind {
    EventKind::Join(TaskInfo {
        allowed: [cpu].into_iter().collect::<CpuSet>(),
        ..TaskInfo::default()
    })
}

#[test]
fn a_machine_whose_cpus_are_numbered_with_gaps() {
    let mut machine = Machine::uniform("gaps", 2);
    machine.cpus[1].id = 900;
    check(&machine, &[joined_on(900)], "a machine that cannot be");
}

#[test]
fn a_cpu_beyond_the_machine() {
    let machine = Machine::uniform("two", 2);
    let enqueue = Enqueue {
        seq: 1,
        cpu: 5_000,
        ..Enqueue::default()
    };
    let events = [
        joined_on(1),
        EventKind::Running { cpu: 1 },
        EventKind::Enqueue(enqueue),
        EventKind::CpuDry { cpu: 5_000 },
        EventKind::Running { cpu: 5_000 },
    ];
    let expected = "a CPU that the header's machine does not have";
    check(&machine, &events, expected);
}

//! The reader of policies' logs and their replay: whatever a log holds, it is refused or replayed; and
//! one of a policy that heard any events is repeated.
#![no_main]

use baton_fuzz::{Words, any_machine, machine_file};
use baton_policies::{Visitor, with_policy};
use baton_policy::{
    Classes, CpuSet, Driver, Enqueue, EnqueueReason, Event, EventKind, Machine, Mode, Options,
    Policy, Setup, StopReason, TaskInfo, TaskKey, TaskName,
    log::{self, Ending, Header, Reader, Record},
};
use libfuzzer_sys::fuzz_target;

/// Tasks' numbers are below this, mostly.
const PIDS: u8 = 8;
/// More events say no more.
const EVENTS_MAX: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, _)) = Reader::open(bytes) {
        with_policy(&header.policy.clone(), Again(bytes));
    }
    let mut words = Words::new(bytes);
    let policies = baton_policies::list();
    let policy = words.one_of(policies).name;
    let machine = match words.flag() {
        true => machine_file(&mut words).machine(),
        false => any_machine(&mut words),
    };
    let mode = *words.one_of(&Mode::ALL);
    with_policy(
        policy,
        Live {
            words,
            machine,
            mode,
        },
    );
});

/// Replays a log.
struct Again<'a>(&'a [u8]);

impl Visitor for Again<'_> {
    type Output = Option<Ending>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        log::replay::<P>(self.0).ok().map(|report| report.ending)
    }
}

/// Makes a log of events, and replays it.
struct Live<'a> {
    words: Words<'a>,
    machine: Machine,
    mode: Mode,
}

impl Visitor for Live<'_> {
    type Output = ();

    fn visit<P: Policy + 'static>(mut self) {
        let header = Header {
            policy: P::NAME.to_owned(),
            params: Vec::new(),
            seed: 1,
            machine: self.machine.clone(),
            classes: Classes::NONE,
            model: None,
            options: Options::default(),
            kernel: String::new(),
            baton: String::new(),
        };
        let events = events(&mut self.words);
        let heard = unchecked::<P>(&header, &events, self.mode);
        let setup = Setup::new(&self.machine, header.seed).with_mode(self.mode);
        if heard.is_empty() {
            return;
        }
        let Ok(mut driver) = Driver::<P>::new(&setup) else {
            return;
        };
        let mut bytes = Vec::new();
        let options = *driver.options();
        log::encode_header(&Header { options, ..header }, &mut bytes);
        for batch in heard.chunks(3) {
            for event in batch {
                log::encode_event(event, &mut bytes);
                driver.event(event);
            }
            let now_ns = batch[batch.len() - 1].time_ns;
            log::encode_batch_end(now_ns, &mut bytes);
            driver.batch_end(now_ns);
            log::encode_decisions(driver.decisions(), &mut bytes);
            driver.clear_decisions();
        }
        log::encode_end(&mut bytes);
        let report = log::replay::<P>(&bytes).expect("a log that was written just now");
        assert!(
            report.is_equal() && report.ending == Ending::Complete,
            "{report:?}"
        );
        assert_eq!(report.events, heard.len() as u64);
    }
}

/// Replays a log of these events as they are, and returns those that a reader lets through.
fn unchecked<P: Policy>(header: &Header, events: &[Event], mode: Mode) -> Vec<Event> {
    let mut bytes = Vec::new();
    let options = Options {
        mode,
        ..header.options
    };
    let header = Header {
        options,
        ..header.clone()
    };
    log::encode_header(&header, &mut bytes);
    events
        .iter()
        .for_each(|event| log::encode_event(event, &mut bytes));
    log::encode_batch_end(events.last().map_or(0, |event| event.time_ns), &mut bytes);
    log::encode_decisions(&[], &mut bytes);
    let _ = log::replay::<P>(&bytes);
    let Ok((_, reader)) = Reader::open(&bytes) else {
        return Vec::new();
    };
    let event = |record| match record {
        Record::Event(event) => Some(event),
        _ => None,
    };
    reader.map_while(Result::ok).filter_map(event).collect()
}

fn events(words: &mut Words<'_>) -> Vec<Event> {
    let (mut events, mut time_ns, mut seq): (Vec<Event>, u64, u64) = (Vec::new(), 0, 0);
    while !words.is_empty() && events.len() < EVENTS_MAX {
        time_ns = time_ns.saturating_add(words.number());
        let task = TaskKey {
            pid: words.index(PIDS),
            start_ns: u64::from(words.byte() / 128),
        };
        let kind = kind(words, &mut seq);
        events.push(Event {
            time_ns,
            task,
            kind,
        });
    }
    events
}

fn kind(words: &mut Words<'_>, seq: &mut u64) -> EventKind {
    let kind = words.byte();
    let cpu = words.index(8);
    match kind % 16 {
        0 => EventKind::Join(info(words)),
        1 => EventKind::Update(info(words)),
        2..=6 => EventKind::Enqueue(enqueue(words, cpu, seq)),
        7 | 8 => EventKind::Running { cpu },
        9 | 10 => EventKind::Stopping {
            cpu,
            runtime_ns: words.number(),
            reason: *words.one_of(&[
                StopReason::Slept,
                StopReason::Preempted,
                StopReason::SliceOver,
                StopReason::Yielded,
            ]),
        },
        11 => *words.one_of(&[EventKind::Dequeue, EventKind::Rescued]),
        12 => EventKind::Exit,
        13 => EventKind::CpuDry { cpu },
        14 if words.flag() => EventKind::CpuOnline { cpu },
        14 => EventKind::CpuOffline { cpu },
        _ => EventKind::Lost {
            count: words.number(),
        },
    }
}

fn enqueue(words: &mut Words<'_>, cpu: u32, seq: &mut u64) -> Enqueue {
    let flags = words.byte();
    *seq = match flags & 0xe0 {
        0xe0 => words.number(),
        _ => seq.wrapping_add(1),
    };
    Enqueue {
        seq: *seq,
        reason: *words.one_of(&[
            EnqueueReason::Wakeup,
            EnqueueReason::New,
            EnqueueReason::SliceOver,
            EnqueueReason::Preempted,
            EnqueueReason::Yielded,
            EnqueueReason::Requeued,
        ]),
        cpu,
        waker: words.index(PIDS),
        sync: flags & 1 != 0,
        decided: flags & 6 == 6,
        burst_ns: words.number(),
        runtime_ns: words.number(),
        slept_ns: words.number(),
        waiting: words.index(16),
        features: (flags & 8 != 0)
            .then(|| std::array::from_fn(|_| (words.number() & 0x3fff) as u16)),
        truth_ns: (flags & 16 != 0).then(|| words.number()),
        ..Enqueue::default()
    }
}

fn info(words: &mut Words<'_>) -> TaskInfo {
    let allowed = match words.byte() % 4 {
        0 => CpuSet::EMPTY,
        1 => [words.index(8)].into_iter().collect(),
        _ => CpuSet::first(usize::from(words.byte() % 16)),
    };
    TaskInfo {
        tgid: words.index(PIDS),
        name: TaskName([words.byte(); 16]),
        weight: match words.byte() {
            byte @ 0..200 => u32::from(byte) + 1,
            _ => words.number() as u32,
        },
        allowed,
        cgroup: words.number(),
        kernel_thread: words.flag(),
        class: None,
    }
}

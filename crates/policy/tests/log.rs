//! The log is read as it was written, whatever was done to it, and replayed.
#![cfg(feature = "log")]

use baton_model::{Feature, Input, Inputs, Layer, Network, Range};
use baton_policy::log::{
    self, Ending, Header, LogError, MAGIC, Reader, Record, ReplayError, VERSION, replay,
};
use baton_policy::{
    Class, ClassId, Classes, Context, Cpu, CpuSet, Decision, Driver, Enqueue, EnqueueReason, Event,
    EventKind, Guess, Interests, KeyRule, Machine, Mode, Model, Options, Placement, Policy,
    Prediction, Predictor, Preemption, Rng, Setup, SliceRule, StopReason, TaskId, TaskInfo,
    TaskKey, TaskName, Whose,
};

/// Draws keys by lot; `OFF_BY` is added from the eleventh enqueue on.
struct Lottery<const OFF_BY: u64> {
    seen: u64,
    range: u64,
}

impl<const OFF_BY: u64> Policy for Lottery<OFF_BY> {
    const NAME: &'static str = "lottery";
    const SUMMARY: &'static str = "by lot";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        Self {
            seen: 0,
            range: setup.param("range", 1 << 40),
        }
    }

    fn options(&self) -> Options {
        small()
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        self.seen += 1;
        let drawn = cx.rng().below(self.range);
        let key = if self.seen > 10 {
            drawn + OFF_BY
        } else {
            drawn
        };
        cx.ready(task, key)
            .slice_ns(drawn % 1000)
            .preempt(drawn % 2 == 0)
            .performance((drawn % 1025) as u16);
    }
}

/// A small slab: thousands of drivers are made here.
fn small() -> Options {
    Options {
        tasks_max: 64,
        ..Options::default()
    }
}

fn classes() -> Classes {
    let game = Class {
        name: "game".into(),
        deadline_ns: Some(5_000_000),
        weight: Some(300),
        priority: -7,
        allowed: Some(CpuSet::first(2)),
        preferred: Some(CpuSet::first(1)),
    };
    let rest = Class {
        name: "rest".into(),
        ..Class::default()
    };
    Classes::new(vec![game, rest]).unwrap()
}

/// A network and its like in a log: relative inputs, and weights of both signs.
fn model() -> Model {
    let input = |feature, relative| Input {
        feature,
        relative,
        range: Range { low: 3, high: 9000 },
    };
    let inputs = Inputs {
        base: Some(Feature::Average),
        list: vec![input(Feature::Last1, true), input(Feature::Known, false)],
    };
    let layer = Layer {
        weights: vec![vec![-7, 300]],
        bias: vec![-70_000],
        shift: 3,
    };
    Model::Network(Network::new(inputs, vec![layer]).unwrap())
}

#[test]
fn a_model_comes_back_with_its_log() {
    let mut header = header();
    header.model = Some(model());
    let mut bytes = Vec::new();
    log::encode_header(&header, &mut bytes);
    let (read, _) = Reader::open(&bytes).unwrap();
    assert_eq!(read, header);
}

fn header() -> Header {
    Header {
        policy: "lottery".into(),
        params: vec![("range".into(), "1000000".into())],
        seed: 42,
        machine: Machine::uniform("two", 2),
        classes: classes(),
        model: None,
        options: small(),
        kernel: "7.0.13".into(),
        baton: "0.1.0".into(),
    }
}

fn task(pid: u32) -> TaskKey {
    TaskKey {
        pid,
        start_ns: u64::from(pid) * 1000,
    }
}

fn event(time_ns: u64, pid: u32, kind: EventKind) -> Event {
    Event {
        time_ns,
        task: task(pid),
        kind,
    }
}

/// One event of every kind.
fn every_event() -> Vec<Event> {
    let info = TaskInfo {
        name: TaskName::new("bash"),
        ..TaskInfo::default()
    };
    let enqueue = Enqueue {
        seq: 1,
        reason: EnqueueReason::Preempted,
        cpu: 1,
        waker: 9,
        sync: true,
        decided: true,
        burst_ns: 300,
        runtime_ns: 70_000,
        slept_ns: 5,
        waiting: 3,
        features: Some(std::array::from_fn(|index| index as u16 * 1000)),
        guess: Guess {
            burst: 1,
            model: 300,
            average: 10_000,
            whose: Whose::Unsure,
        },
        truth_ns: Some(1 << 40),
    };
    let stopping = EventKind::Stopping {
        cpu: 1,
        runtime_ns: 1 << 33,
        reason: StopReason::Yielded,
    };
    [
        EventKind::Join(info),
        EventKind::Update(TaskInfo {
            weight: 10_000,
            allowed: CpuSet::first(3),
            class: ClassId::new(1),
            ..info
        }),
        EventKind::Enqueue(enqueue),
        EventKind::Running { cpu: 1 },
        stopping,
        EventKind::Dequeue,
        EventKind::Rescued,
        EventKind::CpuDry { cpu: 0 },
        EventKind::CpuOnline { cpu: 1 },
        EventKind::CpuOffline { cpu: 1 },
        EventKind::Lost { count: 4 },
        EventKind::Exit,
    ]
    .into_iter()
    .map(|kind| event(u64::MAX, 7, kind))
    .collect()
}

fn every_decision() -> Vec<Decision> {
    let mut cpu = Decision::new(task(2), 8, Placement::Cpu { cpu: 3 });
    cpu.slice_ns(5)
        .preempt(true)
        .key_offset(-9)
        .performance(600);
    vec![
        Decision::new(task(1), 7, Placement::Ready { key: u64::MAX }),
        cpu,
        Decision::new(task(3), 9, Placement::Hold { lease_ns: 1 }),
        Decision::new(task(4), 0, Placement::Hint { cpu: Some(5) }),
    ]
}

/// What a backend would write: 20 batches of enqueues of three tasks.
fn recorded(close: bool) -> Vec<u8> {
    let header = header();
    let mut bytes = Vec::new();
    log::encode_header(&header, &mut bytes);
    let setup = Setup::with_params(&header.machine, header.seed, &header.params);
    let mut driver = Driver::<Lottery<0>>::new(&setup).unwrap();
    for batch in 0..20 {
        for pid in 1..=batch % 3 + 1 {
            let kind = match batch {
                0..=2 => EventKind::Join(TaskInfo::default()),
                _ => EventKind::Enqueue(Enqueue {
                    seq: u64::from(batch),
                    ..Enqueue::default()
                }),
            };
            let event = event(u64::from(batch) * 10, pid, kind);
            log::encode_event(&event, &mut bytes);
            driver.event(&event);
        }
        let now_ns = u64::from(batch) * 10 + 5;
        driver.batch_end(now_ns);
        log::encode_batch_end(now_ns, &mut bytes);
        log::encode_decisions(driver.decisions(), &mut bytes);
        driver.clear_decisions();
    }
    if close {
        log::encode_end(&mut bytes);
    }
    bytes
}

#[test]
fn records_are_read_as_they_were_written() {
    let mut bytes = Vec::new();
    log::encode_header(&header(), &mut bytes);
    for event in every_event() {
        log::encode_event(&event, &mut bytes);
    }
    log::encode_batch_end(77, &mut bytes);
    log::encode_decisions(&every_decision(), &mut bytes);
    log::encode_gap(3, &mut bytes);
    log::encode_end(&mut bytes);

    let (read, records) = Reader::open(&bytes).unwrap();
    assert_eq!(read, header());
    let records: Vec<_> = records.map(Result::unwrap).collect();
    let mut expected: Vec<_> = every_event().into_iter().map(Record::Event).collect();
    expected.extend([
        Record::BatchEnd { now_ns: 77 },
        Record::Decisions(every_decision()),
        Record::Gap { lost: 3 },
        Record::End,
    ]);
    assert_eq!(records, expected);
}

/// If this fails, the format changed: raise `VERSION`, say so in CHANGELOG.md, and
/// take the new values. Every type of the payloads takes part.
#[test]
fn the_format_is_what_this_version_says() {
    let mut header = header();
    header.model = Some(model());
    header.machine.cpus[1] = Cpu {
        id: 1,
        core: 2,
        llc: 3,
        node: 4,
        package: 5,
        capacity: 6,
        online: false,
    };
    header.options = Options {
        interests: Interests {
            stopping: true,
            ..Interests::default()
        },
        slice_ns: 1,
        slice_rule: SliceRule::Waiting,
        slice_min_ns: 9,
        mode: Mode::Hint,
        idle_fast_path: false,
        key_rule: KeyRule::Deadline { burst_max_ns: 2 },
        sync_fast_path: true,
        preemption: Preemption {
            min_burst_ns: 3,
            min_lead_ns: 4,
        },
        requeue_patience_ns: 9,
        rescue_after_ns: 5,
        rescue_slice_ns: 6,
        starve_after_ns: 7,
        performance: true,
        prediction: Some(Prediction {
            by: Predictor::Constant(700),
            delay_max_ns: 10,
            spread_max: 11,
            is_guarded: true,
            is_shadow: false,
            slices: true,
        }),
        tasks_max: 8,
    };
    let mut bytes = Vec::new();
    log::encode_header(&header, &mut bytes);
    every_event()
        .iter()
        .for_each(|event| log::encode_event(event, &mut bytes));
    log::encode_batch_end(77, &mut bytes);
    log::encode_decisions(&every_decision(), &mut bytes);
    let fingerprint = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    assert_eq!(
        (VERSION, bytes.len(), fingerprint),
        (5, 831, 10_347_434_668_569_536_918)
    );
}

#[test]
fn encoding_takes_no_memory_where_there_is_room() {
    let absurd = TaskInfo {
        tgid: u32::MAX,
        name: TaskName([0xff; 16]),
        weight: u32::MAX,
        allowed: CpuSet::first(1024),
        cgroup: u64::MAX,
        kernel_thread: true,
        class: ClassId::new(63),
    };
    let longest = Event {
        time_ns: u64::MAX,
        task: TaskKey {
            pid: u32::MAX,
            start_ns: u64::MAX,
        },
        kind: EventKind::Update(absurd),
    };
    let mut longest_decision =
        Decision::new(longest.task, u64::MAX, Placement::Ready { key: u64::MAX });
    longest_decision
        .slice_ns(u64::MAX)
        .preempt(true)
        .key_offset(i64::MIN)
        .performance(u16::MAX);
    let decisions = vec![longest_decision; 50];

    let room = log::EVENT_BYTES_MAX * 2 + decisions.len() * log::DECISION_BYTES_MAX;
    let mut bytes = Vec::with_capacity(room);
    let before = (bytes.as_ptr(), bytes.capacity());
    log::encode_event(&longest, &mut bytes);
    assert!(bytes.len() <= log::EVENT_BYTES_MAX, "{}", bytes.len());
    log::encode_decisions(&decisions, &mut bytes);
    assert_eq!((bytes.as_ptr(), bytes.capacity()), before);
}

#[test]
fn a_log_cut_anywhere_is_read_up_to_the_cut() {
    let whole = recorded(true);
    let (_, reader) = Reader::open(&whole).unwrap();
    let header_end = reader.offset();
    let mut records_before = 0;
    for length in 0..whole.len() {
        let cut = &whole[..length];
        if length < header_end {
            assert_eq!(
                Reader::open(cut).unwrap_err(),
                LogError::NoHeader,
                "{length}"
            );
            continue;
        }
        let (_, reader) = Reader::open(cut).unwrap();
        let records: Vec<_> = reader.map(Result::unwrap).collect();
        let Some(Record::Cut { offset }) = records.last() else {
            panic!("{length}: no cut")
        };
        assert!((header_end..=length).contains(offset), "{length}");
        assert!(records.len() >= records_before, "{length}");
        records_before = records.len();
        let report = replay::<Lottery<0>>(cut).unwrap();
        assert_eq!(report.ending, Ending::Cut { offset: *offset }, "{length}");
        assert!(report.is_equal());
    }
}

#[test]
fn a_changed_byte_is_an_error() {
    let whole = recorded(true);
    let seed = 20_261_121;
    let mut rng = Rng::new(seed);
    for round in 0..2_000 {
        let mut bytes = whole.clone();
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= rng.below(255) as u8 + 1;
        let result = replay::<Lottery<0>>(&bytes);
        let error = matches!(result, Err(ReplayError::Log(_)));
        assert!(error, "seed {seed} round {round} byte {at}: {result:?}");
    }
}

#[test]
fn noise_with_a_good_beginning_does_not_panic() {
    let whole = recorded(true);
    let seed = 7;
    let mut rng = Rng::new(seed);
    for _ in 0..2_000 {
        let keep = rng.below(whole.len() as u64) as usize;
        let mut bytes = whole[..keep].to_vec();
        bytes.extend((0..rng.below(400)).map(|_| rng.next_u64() as u8));
        let _ = replay::<Lottery<0>>(&bytes);
    }
}

#[test]
fn what_is_not_a_log_is_refused() {
    assert_eq!(Reader::open(b"ELF").unwrap_err(), LogError::NotALog);
    assert_eq!(Reader::open(b"").unwrap_err(), LogError::NoHeader);
    let other = [&MAGIC[..], &[9, 0]].concat();
    assert_eq!(Reader::open(&other).unwrap_err(), LogError::Version(9));
    let old = [&MAGIC[..], &[2, 0]].concat();
    assert_eq!(
        Reader::open(&old).unwrap_err().to_string(),
        "the log has format version 2, this program reads version 5; use the version of Baton \
         that wrote the log"
    );
    let mut twice = recorded(true);
    twice.extend(recorded(true));
    assert!(matches!(
        replay::<Lottery<0>>(&twice),
        Err(ReplayError::Log(_))
    ));
}

#[test]
fn a_policy_that_draws_lots_is_replayed() {
    let report = replay::<Lottery<0>>(&recorded(true)).unwrap();
    assert_eq!(report.ending, Ending::Complete);
    assert!(report.is_equal() && report.same_options);
    assert_eq!(
        (report.events, report.batches, report.decisions),
        (39, 20, 33)
    );
    let killed = replay::<Lottery<0>>(&recorded(false)).unwrap();
    assert_eq!(
        killed.ending,
        Ending::Cut {
            offset: recorded(false).len()
        }
    );
}

#[test]
fn another_policy_is_found_out() {
    let Ending::Differs(mismatch) = replay::<Lottery<5>>(&recorded(true)).unwrap().ending else {
        panic!("not found out");
    };
    // Enqueues per batch from batch 3 on: 1, 2, 3, 1, 2, 3: the eleventh is in batch 8.
    assert_eq!(
        (mismatch.batch, mismatch.decision, mismatch.time_ns),
        (8, 1, 85)
    );
    assert_eq!(mismatch.event, Some(16));
    let text = mismatch.to_string();
    assert!(
        text.starts_with("decision 1 of batch 8 (ended at 85 ns, event 16) differs:"),
        "{text}"
    );
    assert!(text.contains("recorded   task 2 (started at 2000 ns) enqueue 8: ready at key"));
}

#[test]
fn replay_stops_at_a_gap() {
    let mut bytes = recorded(false);
    log::encode_gap(12, &mut bytes);
    log::encode_batch_end(1, &mut bytes);
    log::encode_decisions(&every_decision(), &mut bytes);
    let report = replay::<Lottery<0>>(&bytes).unwrap();
    assert_eq!(
        (report.ending, report.batches),
        (Ending::Gap { lost: 12 }, 20)
    );
}

#[test]
fn a_log_that_does_not_fit_the_policy_is_refused() {
    let refused = |header: Header| {
        let mut bytes = Vec::new();
        log::encode_header(&header, &mut bytes);
        replay::<Lottery<0>>(&bytes).unwrap_err()
    };
    let other = Header {
        policy: "fifo".into(),
        ..header()
    };
    assert_eq!(refused(other), ReplayError::OtherPolicy("fifo".into()));
    let unknown = Header {
        params: vec![("x".into(), "1".into())],
        ..header()
    };
    assert!(matches!(refused(unknown), ReplayError::Setup(_)));
    let mut bytes = Vec::new();
    let options = Options {
        slice_ns: 1,
        ..Options::default()
    };
    log::encode_header(
        &Header {
            options,
            ..header()
        },
        &mut bytes,
    );
    log::encode_end(&mut bytes);
    assert!(!replay::<Lottery<0>>(&bytes).unwrap().is_equal());
}

//! Files of `perf sched record`, imported.
//!
//! `pipe+hogs.perf.data` is of `baton workload pipe:rounds=60+hogs:count=1` in a VM with two CPUs
//! (`baton vm -- perf sched record ...`), by perf 6.1 on Linux 7.0. What is expected of it was
//! counted and summed from `perf script --ns`.

use std::{collections::HashMap, io::Cursor};

use baton_trace::{
    Event, Left, What, Woken, Writer,
    perf::{ImportFault, import, import_from},
};

const FILE: &[u8] = include_bytes!("pipe+hogs.perf.data");

fn read(bytes: &[u8]) -> Result<Vec<Event>, ImportFault> {
    import_from(Cursor::new(bytes)).map(|imported| imported.events)
}

#[test]
fn everything_that_perf_script_shows_is_there() {
    let imported = import_from(Cursor::new(FILE)).unwrap();
    let count = |is: fn(&What) -> bool| {
        imported
            .events
            .iter()
            .filter(|event| is(&event.what))
            .count()
    };
    assert_eq!(count(|what| matches!(what, What::Switch { .. })), 334);
    assert_eq!(count(|what| matches!(what, What::Fork { .. })), 4);
    assert_eq!(count(|what| matches!(what, What::Exit { .. })), 5);
    assert_eq!(count(|what| matches!(what, What::Migrate { .. })), 17);
    assert_eq!(count(|what| matches!(what, What::Lost { .. })), 0);
    let new = |what: &What| {
        matches!(
            what,
            What::Wakeup {
                how: Woken::New,
                ..
            }
        )
    };
    assert_eq!(count(new), 4);
    // 168 with those of tasks that had not left their CPU yet.
    let woken = count(|what| {
        matches!(
            what,
            What::Wakeup {
                how: Woken::Sleep,
                ..
            }
        )
    });
    assert!((150..=168).contains(&woken), "{woken}");
    assert_eq!(
        imported.passed_over,
        [("sched_stat_runtime".to_owned(), 590)]
    );
    assert_eq!(imported.header.cpus(), 2);
    assert_eq!(imported.header.kernel, "7.0.13+deb13-cloud-amd64");
    assert!(
        imported.header.writer.contains("perf version 6.1")
            || imported.header.writer.contains("perf 6.1")
    );
    let times = imported.events.iter().map(|event| event.time_ns);
    assert!(times.is_sorted());
    assert_eq!(imported.trailer.late, 0);
}

#[test]
fn tasks_run_as_long_as_perf_script_says() {
    let events = read(FILE).unwrap();
    // By task: how often it came to a CPU, and for how long it ran.
    let (mut came, mut ran_ns) = (HashMap::<u32, u64>::new(), HashMap::<u32, u64>::new());
    let mut since: HashMap<u32, (u32, u64)> = HashMap::new();
    for event in &events {
        if let What::Switch { prev, next, .. } = event.what {
            if let Some((pid, since_ns)) = since.insert(event.cpu, (next, event.time_ns)) {
                assert_eq!(pid, prev, "at {}", event.time_ns);
                *ran_ns.entry(pid).or_default() += event.time_ns - since_ns;
            }
            *came.entry(next).or_default() += 1;
        }
    }
    for (pid, times, sum_ns) in [
        (130, 69, 183_349_787),
        (132, 65, 23_687_946),
        (133, 4, 312_778_375),
    ] {
        assert_eq!(came[&pid], times, "task {pid}");
        assert_eq!(ran_ns[&pid], sum_ns, "task {pid}");
    }
}

#[test]
fn tasks_have_names_processes_wakers_and_ends() {
    let events = read(FILE).unwrap();
    let mut tasks = HashMap::new();
    let (mut by_ping, mut by_interrupt) = (0, 0);
    let mut exits = Vec::new();
    for event in &events {
        match event.what {
            What::Task(info) => {
                tasks.insert(info.pid, info);
            }
            What::Wakeup {
                pid: 132,
                waker: 130,
                how: Woken::Sleep,
                ..
            } => by_ping += 1,
            What::Wakeup { waker: 0, .. } => by_interrupt += 1,
            What::Switch {
                prev,
                left: Left::Exits,
                ..
            } => exits.push(prev),
            _ => {}
        }
    }
    let name = |pid: u32| {
        let name = tasks[&pid]
            .name
            .split(|byte| *byte == 0)
            .next()
            .unwrap()
            .to_vec();
        String::from_utf8(name).unwrap()
    };
    assert_eq!(
        (name(130), name(132), name(133)),
        ("pipe-ping".into(), "pipe-pong".into(), "hog".into())
    );
    assert_eq!((tasks[&130].tgid, tasks[&133].tgid), (128, 128));
    assert!(
        !tasks[&130].kernel && tasks[&15].kernel,
        "rcu_preempt is the kernel's"
    );
    assert!((50..=61).contains(&by_ping), "{by_ping}");
    assert!(by_interrupt > 20, "{by_interrupt}");
    for pid in [130, 131, 132, 133, 128] {
        assert!(exits.contains(&pid), "{pid}");
    }
}

#[test]
fn what_is_no_file_of_perfs_is_refused() {
    let fault = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(
        fault(b"BATONREC and so on"),
        "this is no file of perf's: it does not begin with PERFILE2"
    );
    assert!(matches!(read(b"").unwrap_err(), ImportFault::Foreign));
    assert_eq!(
        fault(&FILE[..50]),
        "the file is damaged at byte 50: the file ends within its header; record again"
    );
    let cut = fault(&FILE[..FILE.len() / 2]);
    assert!(
        cut.starts_with("the file is damaged at byte 40: records beyond"),
        "{cut}"
    );
    let mut pipe = b"PERFILE2".to_vec();
    pipe.extend(16u64.to_le_bytes());
    pipe.extend([0; 100]);
    assert!(matches!(read(&pipe).unwrap_err(), ImportFault::Pipe));
    let mut unfinished = FILE.to_vec();
    unfinished[48..56].fill(0);
    assert!(matches!(
        read(&unfinished).unwrap_err(),
        ImportFault::Unfinished
    ));
    // Without the descriptions of tracepoints.
    let mut plain = FILE.to_vec();
    plain[72] &= !2;
    assert!(matches!(read(&plain).unwrap_err(), ImportFault::Missing(_)));
    let missing = import("/nowhere/perf.data").unwrap_err().to_string();
    assert!(
        missing.starts_with("/nowhere/perf.data: No such file"),
        "{missing}"
    );
}

/// Makes records of mappings, which are passed over, ones of another type with this count.
fn with_counts(bytes: &[u8], kind: u32, counts: &[(u64, u16)]) -> Vec<u8> {
    const MMAP2: u32 = 10;
    let mut bytes = bytes.to_vec();
    let long = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (mut at, mut end) = (long(&bytes, 40) as usize, long(&bytes, 48) as usize);
    end += at;
    let mut counts = counts.iter();
    while at < end {
        let head = long(&bytes, at);
        if head as u32 == MMAP2 {
            let Some((count, misc)) = counts.next() else {
                break;
            };
            bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            bytes[at + 4..at + 6].copy_from_slice(&misc.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&count.to_le_bytes());
            // That of PERF_RECORD_LOST stands behind an identifier.
            bytes[at + 16..at + 24].copy_from_slice(&count.to_le_bytes());
        }
        at += (head >> 48) as usize;
    }
    assert!(counts.next().is_none(), "the file has enough mappings");
    bytes
}

#[test]
fn what_perf_lost_is_told() {
    const LOST: u32 = 2;
    const LOST_SAMPLES: u32 = 13;
    let lost = |bytes: &[u8]| {
        let imported = import_from(Cursor::new(bytes)).unwrap();
        let told = imported.events.iter().map(|event| match event.what {
            What::Lost { count, .. } => count,
            _ => 0,
        });
        assert_eq!(told.sum::<u64>(), imported.trailer.lost);
        assert!(imported.events.is_sorted_by_key(|event| event.time_ns));
        imported.trailer.lost
    };
    // What a filter left out is not lost.
    let at_end = [(40, 0), (0, 0), (9, 1 << 15), (2, 0)];
    assert_eq!(lost(&with_counts(FILE, LOST_SAMPLES, &at_end)), 42);
    let on_the_way = with_counts(FILE, LOST, &[(30, 0)]);
    assert_eq!(lost(&on_the_way), 30);
    // perf counts those at the end again.
    let both = with_counts(&on_the_way, LOST_SAMPLES, &[(40, 0)]);
    assert_eq!(lost(&both), 40);
}

#[test]
fn damage_gives_an_error_or_other_events_and_no_panic() {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    println!("seed {seed}");
    for _ in 0..400 {
        let mut bytes = FILE.to_vec();
        // Lengths and types stand in the first bytes, in the features' table and in heads of records.
        for _ in 0..rng.usize(1..6) {
            let at = match rng.u8(0..4) {
                0 => rng.usize(8..104),
                1 => rng.usize(bytes.len() - 8000..bytes.len()),
                _ => rng.usize(0..bytes.len()),
            };
            bytes[at] = match rng.u8(0..3) {
                0 => 0xff,
                1 => 0,
                _ => rng.u8(..),
            };
        }
        if rng.u8(0..8) == 0 {
            bytes.truncate(rng.usize(0..bytes.len()));
        }
        let Ok(imported) = import_from(Cursor::new(&bytes)) else {
            continue;
        };
        let cpus = imported.header.cpus();
        assert!(imported.events.iter().all(|event| event.cpu < cpus));
        assert!(imported.events.is_sorted_by_key(|event| event.time_ns));
        // What is imported can be written as a recording.
        let mut writer = Writer::new(Vec::new(), &imported.header).unwrap();
        for event in &imported.events {
            writer.push(event).unwrap();
        }
    }
}

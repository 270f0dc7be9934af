//! Files that are cut, damaged, foreign, or of a later format.

use baton_policy::Machine;
use baton_trace::{
    Bursts, Ending, Event, Fault, Header, Left, NameHider, Recording, Summary, Trailer, What,
    WriteError, Writer,
};
use fastrand::Rng;

use crate::{events::random_events, file_of, header, read_all, seeds};

fn some(seed: u64, count: usize) -> (Vec<Event>, Vec<u8>) {
    let mut rng = Rng::with_seed(seed);
    let events = random_events(&mut rng, count);
    let bytes = file_of(&events, |at| at % 17 == 16);
    (events, bytes)
}

/// Wherever a file is cut, whole blocks before that are read, and the place is told.
#[test]
fn cut_files_read_up_to_the_cut() {
    for seed in seeds(3) {
        let (events, bytes) = some(seed, 60);
        let header_end = file_of(&[], |_| false).len() - end_len(&[]);
        let mut most = 0;
        for length in 0..bytes.len() {
            let (read, ending) = read_all(&bytes[..length]);
            assert!(events.starts_with(&read), "seed {seed}, {length} bytes");
            assert!(read.len() >= most && (read.len() % 17 == 0 || read.len() == events.len()));
            most = read.len();
            match ending {
                Ok(Ending::Cut { offset }) => assert!(offset as usize <= length),
                Ok(ending) => panic!("seed {seed}, {length} bytes: {ending:?}"),
                Err(error) => {
                    assert!(length < header_end, "seed {seed}, {length} bytes: {error}");
                    let fits = match error.fault {
                        Fault::Foreign => length == 0,
                        Fault::NoHeader { offset } => offset as usize == length,
                        _ => false,
                    };
                    assert!(fits, "seed {seed}, {length} bytes: {error}");
                }
            }
        }
        assert_eq!(most, events.len(), "seed {seed}");
    }
}

/// Bytes of the end of a file with these events.
fn end_len(events: &[Event]) -> usize {
    let trailer = Trailer {
        duration_ns: 99,
        events: events.len() as u64,
        ..Trailer::default()
    };
    let text = serde_json::to_vec(&trailer).unwrap();
    24 + text.len()
}

/// No bit can change without notice, and what was read before the damage is right.
#[test]
fn every_changed_bit_is_noticed() {
    for seed in seeds(2) {
        let (events, bytes) = some(seed, 60);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let (read, ending) = read_all(&damaged);
            assert!(events.starts_with(&read), "seed {seed}, byte {at}");
            match ending {
                Err(error) => {
                    if let Fault::Damaged { offset, .. } = error.fault {
                        assert!(offset as usize <= at, "seed {seed}, byte {at}: {error}");
                    }
                }
                // A length that reaches beyond the end looks like a cut.
                Ok(Ending::Cut { offset }) => assert!(offset as usize <= at),
                Ok(Ending::Whole(_)) => panic!("seed {seed}: byte {at} changed unnoticed"),
            }
        }
    }
}

/// Bytes at random behind right checksums: the reader takes no harm, and gives no CPU that there
/// is not, nor a time that goes back.
#[test]
fn nonsense_with_right_checksums_does_no_harm() {
    for seed in seeds(300) {
        let mut rng = Rng::with_seed(seed);
        let (_, mut bytes) = some(seed, 40);
        let blocks = blocks_of(&bytes);
        for _ in 0..rng.usize(1..20) {
            let (start, end) = blocks[rng.usize(..blocks.len())];
            let at = rng.usize(start + 8..end);
            bytes[at] = rng.u8(..);
            // A count that is too high is found, too.
            if rng.u8(..8) == 0 {
                bytes[start + 8] = rng.u8(..);
            }
        }
        for (start, end) in blocks {
            seal(&mut bytes, start, end);
        }
        let (read, _) = read_all(&bytes);
        // What is read can be written, which looks at the CPUs and the times.
        let mut writer = Writer::new(Vec::new(), &header()).unwrap();
        for event in &read {
            let written = writer.push(event);
            written.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        let mut recording = Recording::read_from(&bytes[..], "test").unwrap();
        let _ = Summary::of(&mut recording);
        for burst in Bursts::of(read) {
            assert!(burst.ran_ns <= burst.ended_ns, "seed {seed}: {burst:?}");
        }
    }
}

/// The times of a file's blocks are no more to be trusted than the rest of it.
#[test]
fn a_block_that_goes_back_in_time_is_refused() {
    let switch = |time_ns, prev, next| Event {
        time_ns,
        cpu: 0,
        what: What::Switch {
            prev,
            left: Left::Sleeps,
            next,
        },
    };
    let events = [switch(100, 0, 7), switch(900, 7, 0), switch(950, 0, 7)];
    let mut bytes = file_of(&events, |at| at == 0);
    let (start, end) = blocks_of(&bytes)[1];
    bytes[start + 12..start + 20].copy_from_slice(&100u64.to_le_bytes());
    seal(&mut bytes, start, end);
    assert_eq!(read_all(&bytes).0.len(), 3, "as early as the last event");
    bytes[start + 12..start + 20].copy_from_slice(&99u64.to_le_bytes());
    seal(&mut bytes, start, end);
    let (read, ending) = read_all(&bytes);
    assert_eq!(read, events[..1]);
    let error = ending.unwrap_err();
    match error.fault {
        Fault::Damaged { offset, .. } => assert_eq!(offset, start as u64),
        _ => panic!("{error}"),
    }
    assert!(error.to_string().contains("begins before"), "{error}");
    let mut recording = Recording::read_from(&bytes[..], "test").unwrap();
    assert!(Summary::of(&mut recording).is_err());
}

/// Gives a block the checksum of its bytes.
fn seal(bytes: &mut [u8], start: usize, end: usize) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[start..start + 20]);
    hasher.update(&bytes[start + 24..end]);
    bytes[start + 20..start + 24].copy_from_slice(&hasher.finalize().to_le_bytes());
}

/// Where each block begins and ends.
fn blocks_of(bytes: &[u8]) -> Vec<(usize, usize)> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut start = 20 + word(12);
    let mut blocks = Vec::new();
    while start < bytes.len() {
        let end = start + 24 + word(start + 4);
        blocks.push((start, end));
        start = end;
    }
    blocks
}

#[test]
fn other_files_are_told_apart() {
    let fault = |bytes: &[u8]| read_all(bytes).1.unwrap_err().to_string();
    let foreign = fault(b"\x7fELF, and much more than a recording's first bytes");
    assert_eq!(
        foreign,
        "test: this is no recording of Baton's: it does not begin with BATONREC"
    );
    assert!(fault(b"").contains("no recording"));
    let mut later = file_of(&[], |_| false);
    later[8] = 9;
    assert!(fault(&later).contains("has format 9"), "{}", fault(&later));
    assert!(fault(&later).contains("use a newer Baton"));
    later[8] = 0;
    assert!(fault(&later).contains("a format that never was"));
    let missing = Recording::open("/nonexistent/recording").unwrap_err();
    assert!(missing.to_string().starts_with("/nonexistent/recording: "));
}

#[test]
fn what_no_reader_takes_is_not_written() {
    let event = |time_ns, what| Event {
        time_ns,
        cpu: 0,
        what,
    };
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.push(&event(5, What::Exit { pid: 1 })).unwrap();
    let early = writer.push(&event(4, What::Exit { pid: 1 }));
    assert!(matches!(early, Err(WriteError::Order { .. })));
    let (pid, from, to) = (1, 0, 5);
    let far = writer.push(&event(6, What::Migrate { pid, from, to }));
    assert!(matches!(far, Err(WriteError::Cpu { cpu: 5, cpus: 5 })));
    let huge = Header::new(&"x".repeat(5 << 20), Machine::uniform("test", 1));
    let huge = Writer::new(Vec::new(), &huge);
    assert!(matches!(huge, Err(WriteError::Description)));
}

/// Readers index by what the header says of the machine.
/// A disk that is full from the first block on: each event after it says so again.
#[test]
fn a_full_disk_is_told_of_every_event() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            match taken {
                0 => Err(std::io::ErrorKind::StorageFull.into()),
                _ => Ok(taken),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(Full(16 << 10), &header()).unwrap();
    let event = Event {
        time_ns: 1,
        cpu: 0,
        what: What::Exit { pid: 70_000 },
    };
    let refused = (0..40_000).filter(|_| writer.push(&event).is_err()).count();
    assert!((1_000..39_000).contains(&refused), "{refused}");
    assert!(writer.push(&event).is_err());
    assert!(writer.flush().is_err());
}

#[test]
fn machines_that_cannot_be_are_refused() {
    let fault = |change: &dyn Fn(&mut Machine)| {
        let mut wrong = header();
        change(&mut wrong.machine);
        let unwritten = Writer::new(Vec::new(), &wrong);
        assert!(matches!(unwritten, Err(WriteError::Machine(_))));
        // As a hand writes it.
        let text = serde_json::to_vec(&wrong).unwrap();
        let mut bytes = file_of(&[], |_| false)[..12].to_vec();
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes);
        hasher.update(&text);
        bytes.extend_from_slice(&hasher.finalize().to_le_bytes());
        bytes.extend_from_slice(&text);
        let error = Recording::read_from(&bytes[..], "test").unwrap_err();
        assert!(matches!(error.fault, Fault::Machine(_)), "{error}");
        error.to_string()
    };
    let many = fault(&|machine| *machine = Machine::uniform("many", 1025));
    assert!(many.contains("1025 CPUs"), "{many}");
    assert!(fault(&|machine| machine.cpus.clear()).contains("0 CPUs"));
    let listed = fault(&|machine| machine.cpus[2].id = 3);
    assert!(listed.contains("CPU 3 is listed where 2"), "{listed}");
    assert!(fault(&|machine| machine.cpus[1].core = 5).contains("core 5"));
    let cache = fault(&|machine| machine.cpus[1].llc = 4_000_000_000);
    assert!(cache.contains("cache 4000000000"), "{cache}");
    assert!(fault(&|machine| machine.cpus[1].package = u32::MAX).contains("package"));
    assert!(fault(&|machine| machine.cpus[1].node = 9).contains("node 9"));
    assert!(fault(&|machine| machine.cpus[1].node = 1).contains("distances"));
    assert!(fault(&|machine| machine.node_distance.clear()).contains("distances"));
    assert!(fault(&|machine| machine.node_distance[0].push(1)).contains("distances"));
    assert!(fault(&|machine| machine.cpus[0].capacity = 0).contains("capacity 0"));
    assert!(fault(&|machine| machine.cpus[0].capacity = 1025).contains("capacity 1025"));
    let offline = fault(&|machine| machine.cpus.iter_mut().for_each(|cpu| cpu.online = false));
    assert!(offline.contains("online"), "{offline}");
}

#[test]
fn hidden_names_are_equal_for_equal_names_alone() {
    let hider = NameHider::with_key([7; 16]);
    let name = |text: &str| {
        let mut name = [0; 16];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    };
    let hidden = hider.hidden(name("make"));
    assert_eq!(hidden, hider.hidden(name("make")));
    assert_ne!(hidden, hider.hidden(name("cc1")));
    assert!(hidden.iter().all(u8::is_ascii_hexdigit));
    let other = NameHider::with_key([8; 16]);
    assert_ne!(hidden, other.hidden(name("make")));
    assert_ne!(
        NameHider::random().unwrap().hidden(name("make")),
        NameHider::random().unwrap().hidden(name("make"))
    );
}

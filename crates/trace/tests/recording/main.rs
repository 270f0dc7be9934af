//! The file: what is written is read again, and what is damaged is told.

mod events;
mod faults;

use baton_policy::Machine;
use baton_trace::{Ending, Event, Header, ReadError, Recording, Trailer, What, Writer};

use events::{CPUS, random_events};

/// The seed of a test: given in `BATON_TEST_SEED`, else a new one.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let given = std::env::var("BATON_TEST_SEED").ok();
    let given = given.and_then(|seed| seed.parse::<u64>().ok());
    let first = given.unwrap_or_else(|| fastrand::u64(..u64::MAX - count));
    first..first + given.map_or(count, |_| 1)
}

/// Of the tests' machine.
pub fn header() -> Header {
    let mut header = Header::new("test", Machine::uniform("test", CPUS));
    header.kernel = "7.0.13".into();
    header.began_unix_ns = 1_800_000_000_000_000_000;
    header
}

/// The events as a file, whose blocks end where `flush_after` says so.
pub fn file_of(events: &[Event], mut flush_after: impl FnMut(usize) -> bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    for (at, event) in events.iter().enumerate() {
        writer.push(event).unwrap();
        if flush_after(at) {
            writer.flush().unwrap();
        }
    }
    let trailer = Trailer {
        duration_ns: 99,
        ..Trailer::default()
    };
    writer.finish(&trailer).unwrap().0
}

/// Every event up to the end or the first error, and which of the two it was.
pub fn read_all(bytes: &[u8]) -> (Vec<Event>, Result<Ending, ReadError>) {
    let mut recording = match Recording::read_from(bytes, "test") {
        Ok(recording) => recording,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut events = Vec::new();
    for event in recording.by_ref() {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Err(error)),
        }
    }
    assert!(recording.next().is_none(), "the end is the end");
    (events, Ok(recording.ending().cloned().expect("it ended")))
}

#[test]
fn what_is_written_is_read() {
    for seed in seeds(50) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let events = random_events(&mut rng, 3000);
        let rare = rng.usize(1..500);
        let bytes = file_of(&events, |at| at % rare == 0);
        let (read, ending) = read_all(&bytes);
        assert_eq!(read, events, "seed {seed}");
        let lost = events.iter().map(|event| match event.what {
            What::Lost { count, .. } => count,
            _ => 0,
        });
        let expected = Trailer {
            duration_ns: 99,
            events: events.len() as u64,
            lost: lost.sum(),
            late: 0,
        };
        assert_eq!(ending.unwrap(), Ending::Whole(expected), "seed {seed}");
    }
}

#[test]
fn the_header_is_read() {
    let bytes = file_of(&[], |_| false);
    let recording = Recording::read_from(&bytes[..], "test").unwrap();
    assert_eq!(*recording.header(), header());
    assert_eq!(recording.header().cpus(), CPUS);
}

/// The cost of an event is what a recording's size comes from.
#[test]
fn usual_events_are_short() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut time_ns = 0;
    let mut running = 4000;
    let mut events = Vec::new();
    for _ in 0..10_000 {
        time_ns += rng.u64(1000..10_000);
        let next = rng.u32(4000..4100);
        let cpu = 1;
        events.push(Event {
            time_ns,
            cpu,
            what: What::Wakeup {
                pid: next,
                waker: running,
                how: baton_trace::Woken::Sleep,
                target: cpu,
            },
        });
        time_ns += rng.u64(1000..10_000);
        events.push(Event {
            time_ns,
            cpu,
            what: What::Switch {
                prev: running,
                left: baton_trace::Left::Sleeps,
                next,
            },
        });
        running = next;
    }
    let bytes = file_of(&events, |_| false);
    let each = bytes.len() as f64 / events.len() as f64;
    assert!(each < 6.2, "{each} bytes an event");
}

//! Recordings from bytes.

use baton_policy::Machine;
use baton_trace::{Event, Header, Left, RelayEvent, TaskInfo, What, Woken, Writer};

use crate::Words;

/// Tasks' numbers are below this, mostly.
const PIDS: u8 = 8;
/// More events say no more.
const EVENTS_MAX: usize = 4096;

/// The bytes as two blocks with the right checksums behind a good header: what lies behind these is
/// hardly reached else.
pub fn as_blocks(bytes: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (first, second) = rest.split_at(length);
    let mut file = Vec::new();
    let header = Header::new("fuzz", Machine::uniform("fuzz", 4));
    Writer::new(&mut file, &header).ok()?;
    push_block(first, &mut file)?;
    push_block(second, &mut file);
    Some(file)
}

fn push_block(bytes: &[u8], file: &mut Vec<u8>) -> Option<()> {
    let (events, rest) = bytes.split_first_chunk::<4>()?;
    let (time, payload) = rest.split_first_chunk::<8>()?;
    let length = (payload.len() as u32).to_le_bytes();
    let prefix = [b"EVTS".as_slice(), &length, events, time].concat();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&prefix);
    hasher.update(payload);
    file.extend_from_slice(&prefix);
    file.extend_from_slice(&hasher.finalize().to_le_bytes());
    file.extend_from_slice(payload);
    Some(())
}

/// Events on so many CPUs as a reader gives them: in the order of time, each on one of the CPUs.
/// Tasks do what they like.
pub fn events(words: &mut Words<'_>, cpus: u32) -> Vec<Event> {
    let mut events = Vec::new();
    let mut time_ns: u64 = 0;
    while !words.is_empty() && events.len() < EVENTS_MAX {
        let cpu = u32::from(words.byte()) % cpus;
        time_ns = time_ns.saturating_add(words.number());
        let what = what(words, cpus);
        events.push(Event { time_ns, cpu, what });
    }
    events
}

fn what(words: &mut Words<'_>, cpus: u32) -> What {
    let kind = words.byte();
    let pid = words.index(PIDS);
    let cpu = |words: &mut Words<'_>| u32::from(words.byte()) % cpus;
    match kind % 16 {
        0 => What::Task(TaskInfo {
            pid,
            tgid: words.index(PIDS),
            name: [words.byte(); 16],
            prio: words.byte(),
            kernel: words.flag(),
        }),
        // What a machine does most.
        1..=5 => What::Switch {
            prev: pid,
            left: *words.one_of(&[
                Left::Runnable,
                Left::Sleeps,
                Left::Blocks,
                Left::Stopped,
                Left::Exits,
            ]),
            next: words.index(PIDS),
        },
        6..=8 => What::Wakeup {
            pid,
            waker: words.index(PIDS),
            how: *words.one_of(&[Woken::Sleep, Woken::New]),
            target: cpu(words),
        },
        9 => What::Fork {
            parent: pid,
            child: words.index(PIDS),
        },
        10 => What::Exit { pid },
        11 => What::Migrate {
            pid,
            from: cpu(words),
            to: cpu(words),
        },
        12 => What::CanMigrate {
            pid,
            from: cpu(words),
            to: cpu(words),
            allowed: words.flag(),
        },
        13 => What::Relay(RelayEvent::Decided {
            pid,
            cpu: words.flag().then(|| cpu(words)),
            slice_ns: words.number(),
            waited_ns: words.number(),
        }),
        14 => What::Relay(match words.flag() {
            true => RelayEvent::Enqueue { pid },
            false => RelayEvent::Rescued { pid },
        }),
        _ => What::Lost {
            count: words.number(),
            of: baton_trace::Losses::Any,
        },
    }
}

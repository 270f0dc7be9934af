//! Events at random, in the order of their time.

use baton_trace::{Event, Left, Losses, RelayEvent, TaskInfo, What, Woken};
use fastrand::Rng;

/// CPUs of the tests' machine.
pub const CPUS: u32 = 5;

/// So many events, of every kind, some with numbers at their bounds.
pub fn random_events(rng: &mut Rng, count: usize) -> Vec<Event> {
    let mut time_ns = 0_u64;
    (0..count)
        .map(|_| {
            time_ns += match rng.u8(..10) {
                0 => 0,
                1 => rng.u64(..1 << 40),
                _ => rng.u64(..20_000),
            };
            Event {
                time_ns,
                cpu: rng.u32(..CPUS),
                what: what(rng),
            }
        })
        .collect()
}

fn pid(rng: &mut Rng) -> u32 {
    match rng.u8(..8) {
        0 => 0,
        1 => rng.u32(..),
        _ => rng.u32(1..300),
    }
}

fn what(rng: &mut Rng) -> What {
    let cpu = |rng: &mut Rng| rng.u32(..CPUS);
    match rng.u8(..10) {
        0 => What::Task(task(rng)),
        1..=3 => What::Switch {
            prev: pid(rng),
            left: [
                Left::Runnable,
                Left::Sleeps,
                Left::Blocks,
                Left::Stopped,
                Left::Exits,
            ][rng.usize(..5)],
            next: pid(rng),
        },
        4 | 5 => What::Wakeup {
            pid: pid(rng),
            waker: pid(rng),
            how: [Woken::Sleep, Woken::New][rng.usize(..2)],
            target: cpu(rng),
        },
        6 => What::Fork {
            parent: pid(rng),
            child: pid(rng),
        },
        7 => [
            What::Exit { pid: pid(rng) },
            What::Lost {
                count: rng.u64(..1 << 30),
                of: [Losses::Any, Losses::Tasks][rng.usize(..2)],
            },
        ][rng.usize(..2)],
        8 => [
            What::Migrate {
                pid: pid(rng),
                from: cpu(rng),
                to: cpu(rng),
            },
            What::CanMigrate {
                pid: pid(rng),
                from: cpu(rng),
                to: cpu(rng),
                allowed: rng.bool(),
            },
        ][rng.usize(..2)],
        _ => What::Relay(match rng.u8(..3) {
            0 => RelayEvent::Enqueue { pid: pid(rng) },
            1 => RelayEvent::Decided {
                pid: pid(rng),
                cpu: rng.bool().then(|| cpu(rng)),
                slice_ns: rng.u64(..),
                waited_ns: rng.u64(..),
            },
            _ => RelayEvent::Rescued { pid: pid(rng) },
        }),
    }
}

fn task(rng: &mut Rng) -> TaskInfo {
    let mut name = [0; 16];
    let length = rng.usize(..=16);
    name[..length].fill_with(|| rng.u8(..));
    TaskInfo {
        pid: pid(rng),
        tgid: pid(rng),
        name,
        prio: rng.u8(..),
        kernel: rng.bool(),
    }
}

//! Events as bytes, within one block.
//!
//! A tag (kind and flags), the CPU, the time since the event before, and then what the
//! kind has. Numbers are little-endian base 128. Most events say what follows from the
//! ones before, such as the task that leaves a CPU; a flag stands for that then.

use crate::event::{Event, Left, Losses, RelayEvent, TaskInfo, What, Woken};

/// No event takes more bytes than this.
const EVENT_MAX: usize = 64;
/// What [`State::encode`] may write to: behind the event stand bytes that mean nothing.
pub(crate) const ROOM: usize = EVENT_MAX + size_of::<u32>();

mod kind {
    pub(super) const TASK: u8 = 0;
    pub(super) const SWITCH: u8 = 1;
    pub(super) const WAKEUP: u8 = 2;
    pub(super) const FORK: u8 = 3;
    pub(super) const EXIT: u8 = 4;
    pub(super) const MIGRATE: u8 = 5;
    pub(super) const CAN_MIGRATE: u8 = 6;
    pub(super) const ENQUEUE: u8 = 7;
    pub(super) const DECIDED: u8 = 8;
    pub(super) const RESCUED: u8 = 9;
    pub(super) const LOST: u8 = 10;
}

const KIND_MASK: u8 = 0x0f;
/// [`What::Switch`]: three bits of [`Left`] from here.
const LEFT_SHIFT: u8 = 4;
/// [`What::Switch`]: the task that leaves is the one that came last.
const PREV_KNOWN: u8 = 1 << 7;
/// The task that acts is the one that runs on the CPU.
const BY_CURRENT: u8 = 1 << 4;
/// The CPU that is meant is the event's.
const OWN_CPU: u8 = 1 << 5;
/// [`What::Wakeup`]: of a new task; [`What::CanMigrate`]: the answer is yes; [`What::Task`]: a
/// thread of the kernel.
const YES: u8 = 1 << 6;
/// [`RelayEvent::Decided`]: no CPU.
const NO_CPU: u8 = 1 << 6;
/// [`What::Lost`]: of [`Losses::Tasks`].
const OF_TASKS: u8 = 1 << 6;

const LEFT: [Left; 5] = [
    Left::Runnable,
    Left::Sleeps,
    Left::Blocks,
    Left::Stopped,
    Left::Exits,
];

/// What the events so far tell: the time, and what runs on each CPU.
#[derive(Debug)]
pub(crate) struct State {
    time_ns: u64,
    running: Vec<u32>,
}

/// Where and why bytes are no event.
pub(crate) type Wrong = &'static str;

impl State {
    pub(crate) fn new(cpus: u32) -> Self {
        Self {
            time_ns: 0,
            running: vec![0; cpus as usize],
        }
    }

    /// At the beginning of a block.
    pub(crate) fn reset(&mut self, time_ns: u64) {
        self.time_ns = time_ns;
        self.running.fill(0);
    }

    /// Of the last event, or of the block's beginning.
    pub(crate) const fn time_ns(&self) -> u64 {
        self.time_ns
    }

    #[inline]
    fn running(&self, cpu: u32) -> u32 {
        self.running.get(cpu as usize).copied().unwrap_or(0)
    }

    #[inline]
    fn note(&mut self, event: &Event) {
        self.time_ns = event.time_ns;
        if let (What::Switch { next, .. }, Some(running)) =
            (event.what, self.running.get_mut(event.cpu as usize))
        {
            *running = next;
        }
    }

    /// Writes an event, which is no earlier than the one before; how many bytes it has.
    #[inline]
    pub(crate) fn encode(&mut self, event: &Event, room: &mut [u8; ROOM]) -> usize {
        let mut out = Bytes {
            bytes: room,
            length: 1,
        };
        put(u64::from(event.cpu), &mut out);
        put(event.time_ns.wrapping_sub(self.time_ns), &mut out);
        out.bytes[0] = self.encode_what(event, &mut out);
        let length = out.length;
        debug_assert!(length <= EVENT_MAX, "{event:?} takes {length} bytes");
        self.note(event);
        length
    }

    #[inline]
    fn encode_what(&self, event: &Event, out: &mut Bytes<'_>) -> u8 {
        let running = self.running(event.cpu);
        // A value, unless it is the one that is expected.
        let mut unless = |flag: u8, value: u32, expected: u32| {
            if value == expected {
                return flag;
            }
            put(value.into(), out);
            0
        };
        match event.what {
            What::Task(info) => {
                put(info.pid.into(), out);
                put(info.tgid.into(), out);
                out.push(info.prio);
                let length = info.name.iter().rposition(|byte| *byte != 0);
                let length = length.map_or(0, |last| last + 1);
                out.push(length as u8);
                info.name[..length].iter().for_each(|byte| out.push(*byte));
                kind::TASK | flag(YES, info.kernel)
            }
            What::Switch { prev, left, next } => {
                let known = unless(PREV_KNOWN, prev, running);
                put(next.into(), out);
                kind::SWITCH | known | (left as u8) << LEFT_SHIFT
            }
            What::Wakeup {
                pid,
                waker,
                how,
                target,
            } => {
                let by = unless(BY_CURRENT, waker, running);
                let own = unless(OWN_CPU, target, event.cpu);
                put(pid.into(), out);
                kind::WAKEUP | by | own | flag(YES, how == Woken::New)
            }
            What::Fork { parent, child } => {
                let by = unless(BY_CURRENT, parent, running);
                put(child.into(), out);
                kind::FORK | by
            }
            What::Exit { pid } => kind::EXIT | unless(BY_CURRENT, pid, running),
            What::Migrate { pid, from, to } => {
                let own = unless(OWN_CPU, to, event.cpu);
                put(from.into(), out);
                put(pid.into(), out);
                kind::MIGRATE | own
            }
            What::CanMigrate {
                pid,
                from,
                to,
                allowed,
            } => {
                let own = unless(OWN_CPU, to, event.cpu);
                put(from.into(), out);
                put(pid.into(), out);
                kind::CAN_MIGRATE | own | flag(YES, allowed)
            }
            What::Relay(RelayEvent::Enqueue { pid }) => {
                put(pid.into(), out);
                kind::ENQUEUE
            }
            What::Relay(RelayEvent::Decided {
                pid,
                cpu,
                slice_ns,
                waited_ns,
            }) => {
                put(pid.into(), out);
                put(slice_ns, out);
                put(waited_ns, out);
                cpu.into_iter().for_each(|cpu| put(cpu.into(), out));
                kind::DECIDED | flag(NO_CPU, cpu.is_none())
            }
            What::Relay(RelayEvent::Rescued { pid }) => {
                put(pid.into(), out);
                kind::RESCUED
            }
            What::Lost { count, of } => {
                put(count, out);
                kind::LOST | flag(OF_TASKS, of == Losses::Tasks)
            }
        }
    }

    /// Takes an event from the front of the bytes.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<Event, Wrong> {
        let tag = byte(bytes)?;
        let cpu = self.cpu(bytes)?;
        let time_ns = self
            .time_ns
            .checked_add(number(bytes)?)
            .ok_or("a time beyond all times")?;
        let what = self.decode_what(tag, cpu, bytes)?;
        let event = Event { time_ns, cpu, what };
        self.note(&event);
        Ok(event)
    }

    fn decode_what(&self, tag: u8, cpu: u32, bytes: &mut &[u8]) -> Result<What, Wrong> {
        let running = self.running(cpu);
        let acting = |bytes: &mut &[u8], by: u8| match tag & by {
            0 => pid(bytes),
            _ => Ok(running),
        };
        let place = |bytes: &mut &[u8]| match tag & OWN_CPU {
            0 => self.cpu(bytes),
            _ => Ok(cpu),
        };
        Ok(match tag & KIND_MASK {
            kind::TASK => What::Task(decode_task(tag, bytes)?),
            kind::SWITCH => What::Switch {
                prev: acting(bytes, PREV_KNOWN)?,
                left: *LEFT
                    .get(usize::from(tag >> LEFT_SHIFT & 7))
                    .ok_or("an unknown reason to leave a CPU")?,
                next: pid(bytes)?,
            },
            kind::WAKEUP => What::Wakeup {
                waker: acting(bytes, BY_CURRENT)?,
                target: place(bytes)?,
                pid: pid(bytes)?,
                how: if tag & YES == 0 {
                    Woken::Sleep
                } else {
                    Woken::New
                },
            },
            kind::FORK => What::Fork {
                parent: acting(bytes, BY_CURRENT)?,
                child: pid(bytes)?,
            },
            kind::EXIT => What::Exit {
                pid: acting(bytes, BY_CURRENT)?,
            },
            kind::MIGRATE => What::Migrate {
                to: place(bytes)?,
                from: self.cpu(bytes)?,
                pid: pid(bytes)?,
            },
            kind::CAN_MIGRATE => What::CanMigrate {
                to: place(bytes)?,
                from: self.cpu(bytes)?,
                pid: pid(bytes)?,
                allowed: tag & YES != 0,
            },
            kind::ENQUEUE => What::Relay(RelayEvent::Enqueue { pid: pid(bytes)? }),
            kind::DECIDED => What::Relay(RelayEvent::Decided {
                pid: pid(bytes)?,
                slice_ns: number(bytes)?,
                waited_ns: number(bytes)?,
                cpu: match tag & NO_CPU {
                    0 => Some(self.cpu(bytes)?),
                    _ => None,
                },
            }),
            kind::RESCUED => What::Relay(RelayEvent::Rescued { pid: pid(bytes)? }),
            kind::LOST => What::Lost {
                count: number(bytes)?,
                of: match tag & OF_TASKS {
                    0 => Losses::Any,
                    _ => Losses::Tasks,
                },
            },
            _ => return Err("an unknown kind of event"),
        })
    }

    fn cpu(&self, bytes: &mut &[u8]) -> Result<u32, Wrong> {
        let cpu = number(bytes)?;
        if cpu < self.running.len() as u64 {
            return Ok(cpu as u32);
        }
        Err("a CPU that the header does not have")
    }
}

fn decode_task(tag: u8, bytes: &mut &[u8]) -> Result<TaskInfo, Wrong> {
    let (pid, tgid, prio) = (pid(bytes)?, pid(bytes)?, byte(bytes)?);
    let length = usize::from(byte(bytes)?);
    let mut name = [0; 16];
    let room = name.get_mut(..length).ok_or("a name beyond 16 bytes")?;
    let (text, rest) = bytes.split_at_checked(length).ok_or(SHORT)?;
    room.copy_from_slice(text);
    *bytes = rest;
    Ok(TaskInfo {
        pid,
        tgid,
        name,
        prio,
        kernel: tag & YES != 0,
    })
}

const SHORT: Wrong = "an event that its block does not hold in full";

fn flag(flag: u8, set: bool) -> u8 {
    if set { flag } else { 0 }
}

/// An event that is being encoded: this runs while a machine is recorded, and a vector that may grow
/// costs at each byte.
struct Bytes<'a> {
    bytes: &'a mut [u8; ROOM],
    length: usize,
}

impl Bytes<'_> {
    #[inline]
    fn push(&mut self, byte: u8) {
        self.bytes[self.length % EVENT_MAX] = byte;
        self.length += 1;
    }

    /// The lowest of the four bytes.
    #[inline]
    fn push_low(&mut self, bytes: u32, count: usize) {
        let at = self.length % EVENT_MAX;
        self.bytes[at..at + size_of::<u32>()].copy_from_slice(&bytes.to_le_bytes());
        self.length += count;
    }
}

/// Most numbers have up to three digits, which are put at once.
#[inline]
fn put(mut value: u64, out: &mut Bytes<'_>) {
    let low = value as u32;
    if value < 1 << 7 {
        out.push(low as u8);
    } else if value < 1 << 14 {
        out.push_low(0x80 | low & 0x7f | low << 1 & 0x7f00, 2);
    } else if value < 1 << 21 {
        out.push_low(
            0x8080 | low & 0x7f | low << 1 & 0x7f00 | low << 2 & 0x7f_0000,
            3,
        );
    } else {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
}

fn byte(bytes: &mut &[u8]) -> Result<u8, Wrong> {
    let (&first, rest) = bytes.split_first().ok_or(SHORT)?;
    *bytes = rest;
    Ok(first)
}

fn number(bytes: &mut &[u8]) -> Result<u64, Wrong> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let next = byte(bytes)?;
        let digit = u64::from(next & 0x7f);
        if digit << shift >> shift != digit {
            break;
        }
        value |= digit << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number beyond 64 bits")
}

fn pid(bytes: &mut &[u8]) -> Result<u32, Wrong> {
    number(bytes)?
        .try_into()
        .map_err(|_| "a task's number beyond 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader takes numbers with more digits than they need, so the bytes are compared.
    #[test]
    fn numbers_have_no_digit_too_many() {
        let around = |value: u64| [value - 1, value, value + 1];
        let borders = (1..10).flat_map(|digits| around(1 << (7 * digits)));
        for value in borders.chain([0, 1, u64::MAX - 1, u64::MAX]) {
            let mut room = [0xff; ROOM];
            let mut out = Bytes {
                bytes: &mut room,
                length: 1,
            };
            put(value, &mut out);
            let length = out.length;
            let mut expected = vec![0xff];
            let mut rest = value;
            loop {
                let digit = rest as u8 & 0x7f;
                rest >>= 7;
                expected.push(digit | if rest > 0 { 0x80 } else { 0 });
                if rest == 0 {
                    break;
                }
            }
            assert_eq!(room[..length], expected, "{value}");
        }
    }
}

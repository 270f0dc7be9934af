//! `requests`: what it is, who serves which request, and what is measured.
//!
//! A service as schbench (Chris Mason) sees it: message threads get requests and wake worker threads,
//! which compute. Here a request has several parts, each for one worker, and is answered when the last
//! of them is done; so its latency is that of the slowest, as in J. Dean and L. A. Barroso, "The Tail
//! at Scale" (CACM 2013). And requests come at a rate of their own, whoever is late: a service that
//! waits for its answers would measure least where it is worst ("coordinated omission").

use crate::histogram::Durations;
use crate::report::{Better, PartReport, micros, seconds};
use crate::spec::Count;
use std::collections::VecDeque;

/// Message threads that wake worker threads, see [the module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Requests {
    /// Message threads.
    pub messengers: u32,
    /// Worker threads of each.
    pub workers: Count,
    /// Parts of a request, each for one worker.
    pub fan: u32,
    /// What a worker computes for a part, in microseconds on an undisturbed CPU.
    pub work_us: u32,
    /// What all requests compute, as a share of what all CPUs do.
    pub load: f64,
    /// Duration in seconds, from the first request to the last.
    pub seconds: f64,
}

impl Requests {
    /// The most requests of one message thread that are under way; it waits then, and the next ones
    /// are late.
    pub const ROOM: u32 = 1024;
    /// How long the workers have after the last request was due, for those not answered yet.
    pub const DRAIN_NS: u64 = 1_000_000_000;

    /// The mean time between two requests of one message thread, on a machine with so many CPUs.
    pub fn period_ns(&self, cpus: usize) -> u64 {
        let work_ns = u64::from(self.work_us) * 1000 * u64::from(self.fan);
        let all_ns = (work_ns * u64::from(self.messengers)) as f64;
        ((all_ns / (self.load * cpus.max(1) as f64)) as u64).max(1)
    }

    /// How many requests each message thread gets, at least one.
    pub fn requests(&self, cpus: usize) -> u64 {
        ((self.seconds * 1e9) as u64 / self.period_ns(cpus)).max(1)
    }

    /// When a request is due, in nanoseconds since the start: one in each period, anywhere in it. The
    /// same for the same seed, message thread and number, whatever happened to other requests.
    pub fn due_ns(&self, seed: u64, messenger: u32, number: u64, cpus: usize) -> u64 {
        let period_ns = self.period_ns(cpus);
        let thread = (u64::from(messenger) + 1) << 48;
        let mixed = seed ^ thread ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        number * period_ns + fastrand::Rng::with_seed(mixed).u64(..period_ns)
    }

    /// When the last request of all is due at the latest, in nanoseconds since the start.
    pub fn end_ns(&self, cpus: usize) -> u64 {
        self.requests(cpus) * self.period_ns(cpus)
    }
}

/// Who serves what of one message thread's requests. It is the same for real and simulated threads;
/// who calls it waits and wakes.
#[derive(Clone, Debug)]
pub struct Desk {
    fan: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Parts that wait for a worker, by their slots.
    pending: VecDeque<u32>,
    /// Workers that wait for a part, the longest first.
    idle: VecDeque<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    due_ns: u64,
    left: u32,
}

impl Desk {
    /// For requests of so many parts; all workers are still to come.
    pub fn new(fan: u32) -> Self {
        let slot = Slot { due_ns: 0, left: 0 };
        Self {
            fan,
            slots: vec![slot; Requests::ROOM as usize],
            free: (0..Requests::ROOM).rev().collect(),
            pending: VecDeque::with_capacity((Requests::ROOM * fan) as usize),
            idle: VecDeque::new(),
        }
    }

    /// Whether another request has room.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Begins a request: calls `hand` with a worker that waits and its part's slot, for each part
    /// that finds a worker; the others wait. Only where there is room.
    pub fn begin(&mut self, due_ns: u64, mut hand: impl FnMut(u32, u32)) {
        let Some(slot) = self.free.pop() else {
            return;
        };
        self.slots[slot as usize] = Slot {
            due_ns,
            left: self.fan,
        };
        for _ in 0..self.fan {
            match self.idle.pop_front() {
                Some(worker) => hand(worker, slot),
                None => self.pending.push_back(slot),
            }
        }
    }

    /// A worker has nothing to do: the slot of the part that waits longest. If there is none the
    /// worker waits until it is handed one.
    pub fn take(&mut self, worker: u32) -> Option<u32> {
        let slot = self.pending.pop_front();
        if slot.is_none() {
            self.idle.push_back(worker);
        }
        slot
    }

    /// A part is done: when its request was due, if that is answered now.
    pub fn done(&mut self, slot: u32) -> Option<u64> {
        let served = &mut self.slots[slot as usize];
        served.left -= 1;
        let answered = served.left == 0;
        let due_ns = served.due_ns;
        if answered {
            self.free.push(slot);
        }
        answered.then_some(due_ns)
    }

    /// Whether all requests that were begun are answered.
    pub fn is_clear(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// When the requests were due that are begun and not answered.
    pub fn open(&self) -> impl Iterator<Item = u64> + '_ {
        let open = self.slots.iter().filter(|slot| slot.left > 0);
        open.map(|slot| slot.due_ns)
    }
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// From when a request was due to the end of its last part.
    pub requests: Durations,
    /// From a worker's wakeup to its first instruction.
    pub wakeups: Durations,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were not; their age at the end is among `requests`.
    pub unanswered: u64,
}

impl Answers {
    /// A request was answered so long after it was due.
    pub fn answer(&mut self, latency_ns: u64) {
        self.requests.record_ns(latency_ns);
        self.answered += 1;
    }

    /// At the end of a message thread: all its requests that were due and are not answered, of which it
    /// had begun as many as `begun`. Times are since the start.
    pub fn close(&mut self, open: impl Iterator<Item = u64>, due: &Due<'_>, now_ns: u64) {
        let requests = due.requests;
        let late = due.begun..requests.requests(due.cpus);
        let late = late
            .map(|number| requests.due_ns(due.seed, due.messenger, number, due.cpus))
            .take_while(|due_ns| *due_ns <= now_ns);
        for due_ns in open.chain(late) {
            self.requests.record_ns(now_ns.saturating_sub(due_ns));
            self.unanswered += 1;
        }
    }

    /// Counts all of another's.
    pub fn add(&mut self, other: &Self) {
        self.requests.add(&other.requests);
        self.wakeups.add(&other.wakeups);
        self.answered += other.answered;
        self.unanswered += other.unanswered;
    }

    /// The figures, of a run that took so long.
    pub fn report(&self, elapsed_ns: u64) -> PartReport {
        let mut report = PartReport::new("requests");
        let (requests, wakeups) = (&self.requests, &self.wakeups);
        let us = |durations: &Durations, quantile| micros(durations.quantile_ns(quantile));
        report.metric("request_p99_us", "us", us(requests, 0.99), Better::Lower);
        report.metric("request_p50_us", "us", us(requests, 0.5), Better::Lower);
        report.metric("wakeup_p99_us", "us", us(wakeups, 0.99), Better::Lower);
        report.metric("wakeup_p50_us", "us", us(wakeups, 0.5), Better::Lower);
        let rate = self.answered as f64 / seconds(elapsed_ns.max(1));
        report.metric("requests_per_s", "1/s", rate, Better::Higher);
        let unanswered = self.unanswered as f64;
        report.metric("unanswered", "requests", unanswered, Better::Lower);
        report.histogram("request", requests);
        report.histogram("wakeup", wakeups);
        report
    }
}

/// Which requests of a message thread were due.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// What was to be done.
    pub requests: &'a Requests,
    /// The seed of the run.
    pub seed: u64,
    /// The message thread.
    pub messenger: u32,
    /// The machine's CPUs.
    pub cpus: usize,
    /// How many requests it has begun.
    pub begun: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: Requests = Requests {
        messengers: 2,
        workers: Count::Fixed(2),
        fan: 2,
        work_us: 1000,
        load: 0.5,
        seconds: 2.0,
    };

    #[test]
    fn the_rate_is_the_load() {
        // 2 ms a request, two threads, half of four CPUs: each gets one in 2 ms.
        assert_eq!(REQUESTS.period_ns(4), 2_000_000);
        assert_eq!(REQUESTS.requests(4), 1000);
        let due = |number| REQUESTS.due_ns(1, 0, number, 4);
        for number in 0..1000 {
            assert_eq!(due(number) / 2_000_000, number);
        }
        assert_ne!(due(7), REQUESTS.due_ns(1, 1, 7, 4));
        assert_ne!(due(7), REQUESTS.due_ns(2, 0, 7, 4));
        assert_eq!(REQUESTS.end_ns(4), 2_000_000_000);
    }

    #[test]
    fn parts_go_to_who_waits_longest_and_wait_otherwise() {
        let mut desk = Desk::new(2);
        assert_eq!((desk.take(5), desk.take(6)), (None, None));
        let mut handed = Vec::new();
        desk.begin(10, |worker, slot| handed.push((worker, slot)));
        desk.begin(20, |_, _| panic!("nobody waits"));
        assert_eq!(handed, [(5, 0), (6, 0)]);
        assert_eq!(desk.done(0), None);
        let next = desk.take(5).unwrap();
        assert_eq!(desk.done(0), Some(10));
        assert_eq!(desk.open().collect::<Vec<_>>(), [20]);
        assert_eq!((desk.take(6), desk.take(7)), (Some(next), None));
        assert_eq!(desk.done(next), None);
        assert!(!desk.is_clear());
        assert_eq!(desk.done(next), Some(20));
        assert!(desk.is_clear());
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut desk = Desk::new(1);
        for _ in 0..Requests::ROOM {
            assert!(desk.has_room());
            desk.begin(0, |_, _| ());
        }
        assert!(!desk.has_room());
        desk.done(0);
        assert!(desk.has_room());
    }

    #[test]
    fn what_is_not_answered_counts_with_its_age() {
        let mut answers = Answers::default();
        answers.answer(5);
        let due = Due {
            requests: &REQUESTS,
            seed: 1,
            messenger: 0,
            cpus: 4,
            begun: 998,
        };
        // One that was begun, the two last ones of which one is due later.
        let now_ns = REQUESTS.due_ns(1, 0, 998, 4);
        answers.close([now_ns - 3_000_000].into_iter(), &due, now_ns);
        assert_eq!((answers.answered, answers.unanswered), (1, 2));
        assert_eq!(answers.requests.max_ns(), 3_000_000);
    }
}

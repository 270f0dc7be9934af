//! What a log tells of rescues.

use baton_policy::{EnqueueReason, EventKind, MS};

use crate::{
    Note, Seen,
    checks::{CLOCK_NS, Found, LATE_NS, demand_in_time, median},
};

/// A wait that nobody decided about; each since when.
#[derive(Clone, Copy)]
enum Undecided {
    Waits(u64),
    Rescued(u64),
    /// It runs, and its rescue was not told yet: the kernel tells after the deed, and another CPU may
    /// be quicker.
    Owed(u64),
}

/// What became of the waits that nobody decided about.
#[derive(Default)]
struct Rescues {
    /// From enqueue to rescue, nanoseconds.
    waits: Vec<u64>,
    /// Rescues that were told when the task ran already.
    late: u32,
    /// Turns that no rescue was told for: the process was taken for silent for a moment.
    untold: u32,
}

impl Rescues {
    fn of(seen: &Seen) -> Self {
        let mut found = Self::default();
        for life in seen.lives() {
            let mut wait = None;
            for note in &life.notes {
                if let Note::Heard(time_ns, kind) = note {
                    wait = found.step(wait, *time_ns, kind);
                }
            }
            found.end(wait);
        }
        found
    }

    fn step(
        &mut self,
        wait: Option<Undecided>,
        time_ns: u64,
        kind: &EventKind,
    ) -> Option<Undecided> {
        match (kind, wait) {
            (EventKind::Enqueue(enqueue), Some(Undecided::Rescued(since_ns)))
                if enqueue.reason == EnqueueReason::Requeued && !enqueue.decided =>
            {
                Some(Undecided::Waits(since_ns))
            }
            (EventKind::Enqueue(enqueue), wait) if !enqueue.decided => {
                if enqueue.reason == EnqueueReason::Requeued {
                    return wait;
                }
                self.end(wait);
                Some(Undecided::Waits(time_ns))
            }
            (EventKind::Enqueue(_) | EventKind::Dequeue, wait) => {
                self.end(wait);
                None
            }
            (EventKind::Rescued, Some(wait)) => {
                let (Undecided::Waits(since_ns)
                | Undecided::Rescued(since_ns)
                | Undecided::Owed(since_ns)) = wait;
                self.waits.push(time_ns.saturating_sub(since_ns));
                if matches!(wait, Undecided::Owed(_)) {
                    self.late += 1;
                    return None;
                }
                Some(Undecided::Rescued(since_ns))
            }
            (EventKind::Running { .. }, wait) => {
                self.end(wait);
                match wait {
                    Some(Undecided::Waits(since_ns)) => Some(Undecided::Owed(since_ns)),
                    _ => None,
                }
            }
            (_, wait) => wait,
        }
    }

    /// Nothing more will be told of a wait.
    fn end(&mut self, wait: Option<Undecided>) {
        self.untold += u32::from(matches!(wait, Some(Undecided::Owed(_))));
    }
}

/// Rescue comes after its time, and is told.
pub(crate) fn judge(seen: &Seen, after_ns: u64) -> Found {
    let Rescues {
        mut waits,
        late,
        untold,
    } = Rescues::of(seen);
    let (count, median_ns) = (waits.len() as u32, median(&mut waits));
    let is_early = |wait_ns: &&u64| **wait_ns + CLOCK_NS < after_ns;
    let early = waits.iter().filter(is_early).count() as u32;
    let text = format!(
        "{count} rescues, {:.1} ms after the enqueue in the median, {early} too early by the clock; \
         {late} told late, {untold} never",
        median_ns as f64 / MS as f64
    );
    // The enqueue's time is read in another moment than the rescue's clock starts.
    let in_time = seen.is_rare(early, count) && median_ns < after_ns + LATE_NS;
    let told = seen.are_few(late, count) && seen.is_rare(untold, count);
    demand_in_time(count > 30 && in_time && told, &text)?;
    Ok(text)
}

//! What is looked for in a log.

use std::collections::BTreeMap;

use baton_policy::{
    Enqueue, EnqueueReason, EventKind, MS, Placement, StopReason, TaskInfo, TaskKey, US, key_before,
};

use crate::{
    Fault, Life, Note, Seen,
    policies::{LEASE_NS, RESCUE_NS, SLICE_NS, STARVE_NS},
    rescues,
};

/// By how much two readings of one clock may differ: the relay reads it more than once.
pub(crate) const CLOCK_NS: u64 = MS;
/// How late a timer may be on an emulated machine.
pub(crate) const LATE_NS: u64 = 60 * MS;

/// What a wakeup that preempts takes less than, also on an emulated machine, and one that waits for slices
/// of 20 ms more.
const PREEMPTED_NS: u64 = 7 * MS;

pub(crate) type Found = Result<String, Fault>;

/// What a backend does whatever the time is.
fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Wrong(what()))
    }
}

/// What it does if the machine gives it the time.
pub(crate) fn demand_in_time(holds: bool, what: &str) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Late(what.to_owned()))
    }
}

pub(crate) fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Where a task is, by what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Nothing is known yet.
    Unknown,
    Asleep,
    Waiting,
    /// On a CPU, since then.
    On(u32, u64),
    /// Interrupted, and not enqueued yet: a higher class has its CPU.
    Between,
}

/// What is known of a task on its way through its life.
struct Walk {
    at: At,
    seq: u64,
    /// Since its last sleep; `None` until it sleeps for the first time.
    burst_ns: Option<u64>,
    stopped_ns: u64,
    turns: u32,
    /// Enqueues that were not told of.
    gaps: u32,
    /// What does not fit together because the machine stood still between two readings of the clock, or
    /// between a deed and its telling.
    torn: u32,
}

impl Walk {
    fn step(&mut self, time_ns: u64, kind: &EventKind) -> Result<(), Fault> {
        match *kind {
            EventKind::Enqueue(enqueue) => self.enqueue(time_ns, &enqueue)?,
            EventKind::Running { cpu } => {
                demand(!matches!(self.at, At::On(..)), || {
                    format!("runs while {:?}", self.at)
                })?;
                if self.at == At::Asleep {
                    // Its enqueue was not told of; or its affinity was changed while it ran,
                    // for which the kernel takes it off its CPU and puts it back.
                    self.gaps += 1;
                    self.burst_ns = None;
                }
                self.at = At::On(cpu, time_ns);
                self.turns += 1;
            }
            EventKind::Stopping {
                cpu,
                runtime_ns,
                reason,
            } => self.stopping(time_ns, cpu, runtime_ns, reason)?,
            EventKind::Dequeue => self.at = At::Asleep,
            // Told after the deed: a CPU may be quicker than the one that tells.
            EventKind::Rescued => self.torn += u32::from(self.at != At::Waiting),
            _ => {}
        }
        Ok(())
    }

    fn enqueue(&mut self, time_ns: u64, enqueue: &Enqueue) -> Result<(), Fault> {
        let moved = enqueue.reason == EnqueueReason::Requeued;
        if self.at == At::Waiting && enqueue.seq == self.seq {
            // Enqueued in the very moment in which another process takes over, it is told of as new and
            // as one that waits: a decision about either holds.
            self.torn += 1;
            return Ok(());
        }
        if self.seq != 0 && enqueue.seq != self.seq + 1 {
            // A backend tells nothing while it takes the process for silent.
            self.gaps += 1;
            self.at = At::Unknown;
            self.burst_ns = None;
        }
        let fits = match self.at {
            At::Unknown => true,
            At::Asleep => enqueue.reason == EnqueueReason::Wakeup,
            At::Between => !matches!(enqueue.reason, EnqueueReason::Wakeup | EnqueueReason::New),
            At::Waiting => moved,
            At::On(..) => false,
        };
        demand(fits, || {
            format!("enqueued ({:?}) while {:?}", enqueue.reason, self.at)
        })?;
        demand(enqueue.seq > self.seq, || {
            format!("enqueue {} came after {}", enqueue.seq, self.seq)
        })?;
        if let (Some(burst_ns), false) = (self.burst_ns, moved) {
            demand(enqueue.burst_ns == burst_ns, || {
                format!("a burst of {burst_ns} ns is told as {}", enqueue.burst_ns)
            })?;
        }
        if self.at == At::Asleep {
            let slept_ns = time_ns.saturating_sub(self.stopped_ns);
            self.torn += u32::from(slept_ns.abs_diff(enqueue.slept_ns) > CLOCK_NS);
        }
        self.seq = enqueue.seq;
        self.at = At::Waiting;
        Ok(())
    }

    fn stopping(
        &mut self,
        time_ns: u64,
        cpu: u32,
        runtime_ns: u64,
        reason: StopReason,
    ) -> Result<(), Fault> {
        if let At::On(on, since_ns) = self.at {
            demand(on == cpu, || format!("ran on CPU {on} and stops on {cpu}"))?;
            let span_ns = time_ns.saturating_sub(since_ns);
            self.torn += u32::from(runtime_ns > span_ns + CLOCK_NS);
        } else {
            demand(self.at == At::Unknown, || {
                format!("stops while {:?}", self.at)
            })?;
        }
        self.stopped_ns = time_ns;
        let slept = reason == StopReason::Slept;
        self.at = if slept { At::Asleep } else { At::Between };
        self.burst_ns = match self.burst_ns {
            _ if slept => Some(0),
            known => known.map(|burst_ns| burst_ns + runtime_ns),
        };
        Ok(())
    }
}

/// Order, numbers and times of all that a policy can hear.
pub(crate) fn lives(seen: &Seen) -> Found {
    let (mut tasks, mut turns, mut gaps, mut torn, mut ended) = (0, 0, 0, 0, 0);
    for life in seen.lives() {
        let mut walk = Walk {
            at: At::Unknown,
            seq: 0,
            burst_ns: None,
            stopped_ns: 0,
            turns: 0,
            gaps: 0,
            torn: 0,
        };
        let mut over = false;
        for note in &life.notes {
            let Note::Heard(time_ns, kind) = note else {
                continue;
            };
            demand(!over, || format!("{kind:?} after the exit"))?;
            over = *kind == EventKind::Exit;
            walk.step(*time_ns, kind)
                .map_err(|fault| fault.of(&format!("{} ({})", life.info.name, life.key.pid)))?;
        }
        tasks += 1;
        turns += walk.turns;
        gaps += walk.gaps;
        torn += walk.torn;
        ended += u32::from(over);
    }
    let text = format!(
        "{turns} turns of {tasks} tasks, {ended} of which ended, with {gaps} gaps and {torn} told late"
    );
    demand_in_time(
        tasks >= 7 && turns > 100 && seen.are_few(gaps, turns) && seen.is_rare(torn, turns),
        &text,
    )?;
    Ok(text)
}

/// A task that stands in ready.
#[derive(Clone, Copy, Debug)]
struct Standing {
    key: u64,
    /// When it was decided about, at the earliest.
    since_ns: u64,
    /// When it began to wait.
    enqueued_ns: u64,
}

/// Whoever gets a CPU from ready has the earliest key of those that stood there, unless it starved.
pub(crate) fn ladder(seen: &Seen) -> Found {
    let mut ready: BTreeMap<TaskKey, Standing> = BTreeMap::new();
    let mut enqueued: BTreeMap<TaskKey, u64> = BTreeMap::new();
    let (mut right, mut wrong, mut starved) = (0_u32, 0_u32, 0_u32);
    for (task, note) in seen.all() {
        match *note {
            Note::Heard(time_ns, EventKind::Enqueue(enqueue)) => {
                if enqueue.reason != EnqueueReason::Requeued {
                    enqueued.insert(*task, time_ns);
                }
                ready.remove(task);
            }
            Note::Heard(time_ns, EventKind::Running { .. }) => {
                let Some(taken) = ready.remove(task) else {
                    continue;
                };
                // One that was decided about a moment ago may have come too late.
                let before = |other: &Standing| {
                    key_before(other.key, taken.key) && other.since_ns + seen.moment_ns() < time_ns
                };
                if !ready.values().any(before) {
                    right += 1;
                } else if time_ns >= taken.enqueued_ns + STARVE_NS {
                    starved += 1;
                } else {
                    wrong += 1;
                }
            }
            Note::Heard(..) => {
                ready.remove(task);
            }
            Note::Decided(since_ns, decision) => {
                if let Placement::Ready { key } = decision.placement {
                    let enqueued_ns = enqueued.get(task).copied().unwrap_or(since_ns);
                    let standing = Standing {
                        key,
                        since_ns,
                        enqueued_ns,
                    };
                    ready.insert(*task, standing);
                }
            }
        }
    }
    let text =
        format!("{right} turns in order, {wrong} out of it, {starved} of tasks that starved");
    demand(wrong * 4 <= right, || text.clone())?;
    demand_in_time(
        right > 100 && wrong * 50 < right && seen.is_rare(wrong, right) && starved > 0,
        &text,
    )?;
    Ok(text)
}

/// The next thing that is heard of a task after a note.
fn next_of(life: &Life, from: usize, wanted: fn(&EventKind) -> bool) -> Option<(u64, EventKind)> {
    life.notes[from..].iter().find_map(|note| match note {
        Note::Heard(time_ns, kind) if wanted(kind) => Some((*time_ns, *kind)),
        _ => None,
    })
}

/// Who was sent to a CPU runs there next.
pub(crate) fn sent(seen: &Seen) -> Found {
    let (mut right, mut wrong) = (0_u32, 0_u32);
    for life in seen.lives() {
        for (index, note) in life.notes.iter().enumerate() {
            let Note::Decided(_, decision) = note else {
                continue;
            };
            let Placement::Cpu { cpu } = decision.placement else {
                continue;
            };
            let goes_on = |kind: &EventKind| {
                matches!(
                    kind,
                    EventKind::Running { .. } | EventKind::Rescued | EventKind::Enqueue(_)
                )
            };
            match next_of(life, index, goes_on) {
                Some((_, EventKind::Running { cpu: on })) if on == cpu => right += 1,
                Some((_, EventKind::Running { .. })) => wrong += 1,
                _ => {}
            }
        }
    }
    let text = format!("{right} times on the CPU that was named, {wrong} times on another");
    demand(wrong * 4 <= right, || text.clone())?;
    demand_in_time(right > 100 && wrong * 50 < right, &text)?;
    Ok(text)
}

/// A lease is kept, and ends in rescue.
pub(crate) fn leases(seen: &Seen) -> Found {
    rescues::judge(seen, LEASE_NS)
}

/// Rescue comes after its time.
pub(crate) fn rescues(seen: &Seen) -> Found {
    rescues::judge(seen, RESCUE_NS)
}

/// How long the short task waited each time that it woke.
fn wakeup_waits(seen: &Seen) -> Vec<u64> {
    let mut waits = Vec::new();
    for life in seen.named("cf-short") {
        for (index, note) in life.notes.iter().enumerate() {
            let Note::Heard(since_ns, EventKind::Enqueue(enqueue)) = note else {
                continue;
            };
            if enqueue.reason != EnqueueReason::Wakeup {
                continue;
            }
            let runs = |kind: &EventKind| matches!(kind, EventKind::Running { .. });
            if let Some((time_ns, _)) = next_of(life, index, runs) {
                waits.push(time_ns.saturating_sub(*since_ns));
            }
        }
    }
    waits
}

/// Turns of hogs that something else ended.
fn preempted(seen: &Seen) -> usize {
    let is_preempted = |note: &&Note| {
        let Note::Heard(_, EventKind::Stopping { reason, .. }) = note else {
            return false;
        };
        *reason == StopReason::Preempted
    };
    let hogs = seen.named("cf-hog");
    hogs.map(|life| life.notes.iter().filter(is_preempted).count())
        .sum()
}

/// With preemption a wakeup waits for the decision alone.
pub(crate) fn preempts(seen: &Seen) -> Found {
    let mut waits = wakeup_waits(seen);
    let (count, median_ns) = (waits.len(), median(&mut waits));
    let text = format!(
        "{count} wakeups, {} us in the median; {} turns of hogs cut short",
        median_ns / US,
        preempted(seen)
    );
    let quick = median_ns < PREEMPTED_NS && preempted(seen) * 2 > count;
    demand_in_time(count > 20 && quick, &text)?;
    Ok(text)
}

/// Without, it waits for the end of a slice.
pub(crate) fn waits(seen: &Seen) -> Found {
    let mut waits = wakeup_waits(seen);
    let (count, median_ns) = (waits.len(), median(&mut waits));
    let text = format!("{count} wakeups, {} us in the median", median_ns / US);
    demand_in_time(count > 10 && median_ns > PREEMPTED_NS, &text)?;
    Ok(text)
}

/// Who may use one CPU alone runs nowhere else.
pub(crate) fn affinity(seen: &Seen) -> Found {
    let mut turns = 0;
    let is_bound = |info: &TaskInfo| info.allowed.len() == 1;
    for life in seen.named("cf-pinned") {
        // A thread binds itself when it has begun; the kernel takes it off its CPU, tells, and puts it
        // back there before it moves it. From its next enqueue on it is where it may be.
        let (mut bound, mut judged) = (is_bound(&life.info), false);
        for note in &life.notes {
            match note {
                Note::Heard(_, EventKind::Update(info)) => {
                    bound = is_bound(info);
                    judged = false;
                }
                Note::Heard(_, EventKind::Enqueue(_)) => judged = bound,
                Note::Heard(_, EventKind::Running { cpu }) if judged => {
                    demand(*cpu == 1, || format!("{} ran on CPU {cpu}", life.info.name))?;
                    turns += 1;
                }
                _ => {}
            }
        }
    }
    let text = format!("{turns} turns, all on the only CPU");
    demand_in_time(turns > 20, &text)?;
    Ok(text)
}

/// Turns that the slice ended are about as long as the slice, up to the tick that sees it.
pub(crate) fn slices(seen: &Seen) -> Found {
    let mut turns: Vec<u64> = Vec::new();
    for life in seen.named("cf-hog") {
        turns.extend(life.notes.iter().filter_map(|note| match note {
            Note::Heard(
                _,
                EventKind::Stopping {
                    runtime_ns,
                    reason: StopReason::SliceOver,
                    ..
                },
            ) => Some(*runtime_ns),
            _ => None,
        }));
    }
    let (count, median_ns) = (turns.len(), median(&mut turns));
    let text = format!("{count} slices, {} us in the median", median_ns / US);
    // Ticks come every 4 ms at the most seldom, and accounting lags by one.
    let fits = median_ns + CLOCK_NS >= SLICE_NS && median_ns < SLICE_NS + 2 * 4 * MS + CLOCK_NS;
    demand_in_time(count > 50 && fits, &text)?;
    Ok(text)
}

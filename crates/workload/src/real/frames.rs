//! Runs [`Frames`]: a game's pipeline of four threads.
//!
//! Ticks are absolute, so that a late wakeup or a blocked stage shows in the frame time; and a
//! dropped frame is in the figures too, see [`Frames`].

use super::Context;
use super::handoff::{CloseOnDrop, Handoff};
use crate::calibration::compute;
use crate::error::{Error, TOO_MANY_TASKS};
use crate::histogram::Durations;
use crate::names;
use crate::report::{Better, PartReport, millis};
use crate::spec::{FrameStage, Frames};
use crate::sys::clock;
use std::thread::{self, Scope, ScopedJoinHandle};

const PART: &str = "frames";

/// What goes down the pipeline.
#[derive(Clone, Copy)]
struct Ticket {
    frame: u64,
    tick_ns: u64,
    /// The frames dropped directly before this one.
    dropped: u64,
    /// No frame, but the end: only `dropped` counts.
    last: bool,
}

/// What the presenting stage counts.
struct Presented {
    on_time: u64,
    missed: u64,
    dropped: u64,
    frame_times: Durations,
}

/// The handoffs into the second, third and fourth stage.
type Handoffs = [Handoff<Ticket>; 3];

/// The calling thread is the first stage.
pub(crate) fn run(frames: &Frames, context: &Context<'_>) -> Result<PartReport, Error> {
    let handoffs: Handoffs = [Handoff::new(), Handoff::new(), Handoff::new()];
    let [to_simulate, to_render, to_present] = &handoffs;
    thread::scope(|scope| {
        // Its drop ends the stages behind, also when this returns early.
        let first = CloseOnDrop(to_simulate);
        spawn(scope, names::FRAME_SIMULATE, context, move || {
            pass_on(
                frames,
                context,
                FrameStage::Simulate,
                to_simulate,
                to_render,
            );
        })?;
        spawn(scope, names::FRAME_RENDER, context, move || {
            pass_on(frames, context, FrameStage::Render, to_render, to_present);
        })?;
        let present = spawn(scope, names::FRAME_PRESENT, context, move || {
            present(frames, context, to_present)
        })?;
        let mut lateness = Durations::new();
        context.gate.ready();
        if context.gate.wait_foreground() {
            tick(frames, context, to_simulate, &mut lateness);
        }
        drop(first);
        let presented = present
            .join()
            .map_err(|_| Error::worker(PART, "a stage died"))?;
        Ok(report(frames, &presented, &lateness))
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    role: &str,
    context: &Context<'_>,
    stage: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let thread = thread::Builder::new().name(names::task_name(role, context.salt));
    thread
        .spawn_scoped(scope, stage)
        .map_err(Error::os(PART, "thread", TOO_MANY_TASKS))
}

/// The first stage: wakes for each tick and starts its frame, unless it cannot be on time any more.
fn tick(frames: &Frames, context: &Context<'_>, next: &Handoff<Ticket>, lateness: &mut Durations) {
    let period_ns = frames.period_ns();
    let start_ns = clock::now_ns() + period_ns;
    let mut dropped = 0;
    let mut end = frames.frames();
    for frame in 0..frames.frames() {
        let tick_ns = start_ns + frame * period_ns;
        let early = clock::now_ns() < tick_ns;
        clock::sleep_until_ns(tick_ns);
        if context.gate.is_cancelled() {
            end = frame;
            break;
        }
        let late_ns = clock::now_ns() - tick_ns;
        if early {
            // Otherwise it did not sleep, and the delay is not the timer's.
            lateness.record_ns(late_ns);
        }
        if late_ns > deadline_ns(frames) {
            dropped += 1;
            continue;
        }
        work(frames, context, frame, FrameStage::Input);
        if !next.push(Ticket {
            frame,
            tick_ns,
            dropped,
            last: false,
        }) {
            return;
        }
        dropped = 0;
    }
    // Frames dropped at the end have no successor; their times run to the end itself.
    next.push(Ticket {
        frame: end,
        tick_ns: start_ns + end * period_ns,
        dropped,
        last: true,
    });
}

/// A stage in the middle.
fn pass_on(
    frames: &Frames,
    context: &Context<'_>,
    stage: FrameStage,
    from: &Handoff<Ticket>,
    to: &Handoff<Ticket>,
) {
    let (_from, _to) = (CloseOnDrop(from), CloseOnDrop(to));
    while let Some(ticket) = from.pop() {
        if !ticket.last {
            work(frames, context, ticket.frame, stage);
        }
        if !to.push(ticket) {
            return;
        }
    }
}

/// The last stage.
fn present(frames: &Frames, context: &Context<'_>, from: &Handoff<Ticket>) -> Presented {
    let _from = CloseOnDrop(from);
    let mut presented = Presented {
        on_time: 0,
        missed: 0,
        dropped: 0,
        frame_times: Durations::new(),
    };
    while let Some(ticket) = from.pop() {
        if !ticket.last {
            work(frames, context, ticket.frame, FrameStage::Present);
        }
        presented.count(frames, ticket, clock::now_ns());
    }
    presented
}

impl Presented {
    fn count(&mut self, frames: &Frames, ticket: Ticket, now_ns: u64) {
        for back in 1..=ticket.dropped {
            let tick_ns = ticket.tick_ns - back * frames.period_ns();
            self.frame_times.record_ns(now_ns.saturating_sub(tick_ns));
            self.missed += 1;
        }
        self.dropped += ticket.dropped;
        if ticket.last {
            return;
        }
        let frame_time_ns = now_ns - ticket.tick_ns;
        self.frame_times.record_ns(frame_time_ns);
        if frame_time_ns <= deadline_ns(frames) {
            self.on_time += 1;
        } else {
            self.missed += 1;
        }
    }
}

fn work(frames: &Frames, context: &Context<'_>, frame: u64, stage: FrameStage) {
    let work_ns = frames.stage_ns(context.seed, frame, stage);
    compute(context.calibration.units(work_ns));
}

fn deadline_ns(frames: &Frames) -> u64 {
    u64::from(frames.deadline) * frames.period_ns()
}

fn report(frames: &Frames, presented: &Presented, lateness: &Durations) -> PartReport {
    let mut report = PartReport::new(PART);
    let times = &presented.frame_times;
    let counted = presented.on_time + presented.missed;
    let share = presented.on_time as f64 / counted.max(1) as f64;
    report.metric(
        "frame_p99_ms",
        "ms",
        millis(times.quantile_ns(0.99)),
        Better::Lower,
    );
    report.metric(
        "frame_p50_ms",
        "ms",
        millis(times.quantile_ns(0.5)),
        Better::Lower,
    );
    report.metric("on_time_share", "1", share, Better::Higher);
    report.metric("frames", "frames", counted as f64, Better::Higher);
    report.metric(
        "on_time",
        "frames",
        presented.on_time as f64,
        Better::Higher,
    );
    report.metric("missed", "frames", presented.missed as f64, Better::Lower);
    report.metric("dropped", "frames", presented.dropped as f64, Better::Lower);
    report.histogram("frame_time", times);
    report.histogram("tick_lateness", lateness);
    if counted < frames.frames() {
        report.unfinished = Some(format!("{counted} of {} frames", frames.frames()));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_is_counted_with_its_own_time() {
        let frames = Frames {
            fps: 100,
            load: 0.5,
            jitter: 0.0,
            deadline: 1,
            seconds: 1.0,
        };
        let mut presented = Presented {
            on_time: 0,
            missed: 0,
            dropped: 0,
            frame_times: Durations::new(),
        };
        let tick_ns = 1_000_000_000;
        let ticket = Ticket {
            frame: 3,
            tick_ns,
            dropped: 0,
            last: false,
        };
        presented.count(&frames, ticket, tick_ns + 10_000_000);
        presented.count(&frames, ticket, tick_ns + 10_000_001);
        assert_eq!((presented.on_time, presented.missed), (1, 1));
        // Two dropped frames were due one and two periods before their successor.
        presented.count(
            &frames,
            Ticket {
                dropped: 2,
                ..ticket
            },
            tick_ns + 5_000_000,
        );
        assert_eq!(
            (presented.on_time, presented.missed, presented.dropped),
            (2, 3, 2)
        );
        assert!(presented.frame_times.max_ns().abs_diff(25_000_000) < 50_000);
        presented.count(
            &frames,
            Ticket {
                dropped: 1,
                last: true,
                ..ticket
            },
            tick_ns,
        );
        assert_eq!(
            (presented.on_time, presented.missed, presented.dropped),
            (2, 4, 3)
        );
    }
}

//! Runs [`Periodic`] parts: a thread that wakes for each tick, and helpers that share its work.
//!
//! Ticks are absolute, so that a late wakeup or a slow helper shows in the response time.

use super::Context;
use super::handoff::{CloseOnDrop, Handoff};
use crate::calibration::compute;
use crate::error::{Error, TOO_MANY_TASKS};
use crate::names;
use crate::periodic::{Beats, Periodic};
use crate::report::PartReport;
use crate::sys::clock;
use std::thread;

/// Units to compute, on the way to a helper; and that it has done so, on the way back.
struct Helper {
    to: Handoff<u64>,
    from: Handoff<()>,
}

/// The calling thread is the one that wakes. `helper` is the others' role.
pub(crate) fn run(
    part: &'static str,
    helper: &str,
    periodic: &Periodic,
    context: &Context<'_>,
) -> Result<PartReport, Error> {
    let helpers: Vec<Helper> = (1..periodic.threads)
        .map(|_| Helper {
            to: Handoff::new(),
            from: Handoff::new(),
        })
        .collect();
    thread::scope(|scope| {
        // Their drop ends the helpers, also when this returns early.
        let closers: Vec<_> = helpers
            .iter()
            .map(|helper| CloseOnDrop(&helper.to))
            .collect();
        let mut handles = Vec::with_capacity(helpers.len());
        for this in &helpers {
            let thread = thread::Builder::new().name(names::task_name(helper, context.salt));
            let handle = thread.spawn_scoped(scope, || this.help());
            handles.push(handle.map_err(Error::os(part, "thread", TOO_MANY_TASKS))?);
        }
        context.gate.ready();
        let beats = match context.gate.wait_background() {
            Some(start_ns) => beat(periodic, context, &helpers, start_ns),
            None => Beats::default(),
        };
        drop(closers);
        for handle in handles {
            handle
                .join()
                .map_err(|_| Error::worker(part, "a helper died"))?;
        }
        let mut report = beats.report(part);
        if context.gate.is_cancelled() {
            report.unfinished = Some("ended early".to_owned());
        }
        Ok(report)
    })
}

/// Wakes for each tick until the run ends.
fn beat(periodic: &Periodic, context: &Context<'_>, helpers: &[Helper], start_ns: u64) -> Beats {
    let period_ns = periodic.period_ns();
    let mut beats = Beats::default();
    let mut came = false;
    let mut tick_ns = start_ns;
    for beat in 0.. {
        tick_ns = start_ns + (beat + 1) * period_ns;
        let early = clock::now_ns() < tick_ns;
        clock::sleep_until_ns(tick_ns);
        if context.gate.is_background_over() {
            break;
        }
        let late_ns = clock::now_ns() - tick_ns;
        if early {
            // Otherwise it did not sleep, and the delay is not the timer's.
            beats.wakeups.record_ns(late_ns);
        }
        if late_ns > period_ns {
            beats.skip();
            continue;
        }
        let units = context
            .calibration
            .units(periodic.work_ns(context.seed, beat));
        // A helper that died is told at its join.
        let shared: Vec<bool> = helpers.iter().map(|helper| helper.to.push(units)).collect();
        compute(units);
        for (helper, _) in helpers.iter().zip(shared).filter(|(_, shared)| *shared) {
            helper.from.pop();
        }
        beats.done(tick_ns, clock::now_ns(), period_ns);
        if !std::mem::replace(&mut came, true) {
            context.gate.background_running();
        }
    }
    beats.settle(tick_ns, clock::now_ns(), period_ns);
    beats
}

impl Helper {
    fn help(&self) {
        let (_to, _from) = (CloseOnDrop(&self.to), CloseOnDrop(&self.from));
        while let Some(units) = self.to.pop() {
            compute(units);
            if !self.from.push(()) {
                return;
            }
        }
    }
}

//! Runs [`Hogs`]: threads that compute until the run ends.

use super::Context;
use super::spinner::{self, Gaps};
use crate::error::{Error, TOO_MANY_TASKS};
use crate::histogram::Durations;
use crate::names;
use crate::report::{Better, PartReport, millis, seconds};
use crate::spec::Hogs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const PART: &str = "hogs";

pub(crate) fn run(hogs: &Hogs, context: &Context<'_>) -> Result<PartReport, Error> {
    let count = hogs.count.on(context.cpus);
    let still_to_come = AtomicUsize::new(count);
    let found = thread::scope(|scope| {
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            let hog = thread::Builder::new().name(names::task_name(names::HOG, context.salt));
            match hog.spawn_scoped(scope, || spin(context, &still_to_come)) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    // Those already made wait at the gate.
                    context.gate.abandon();
                    return Err(Error::os(PART, "thread", TOO_MANY_TASKS)(error));
                }
            }
        }
        context.gate.ready();
        let joined = handles.into_iter().map(|handle| handle.join());
        joined
            .map(|gaps| gaps.map_err(|_| Error::worker(PART, "a hog died")))
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(report(&found, context))
}

/// One hog: the time of the start and what it noticed; none if there was no start.
fn spin(context: &Context<'_>, still_to_come: &AtomicUsize) -> Option<(u64, Gaps)> {
    let start_ns = context.gate.wait_background()?;
    let mut first = true;
    let come = || {
        if first {
            first = false;
            if still_to_come.fetch_sub(1, Ordering::Relaxed) == 1 {
                context.gate.background_running();
            }
        }
    };
    let end = context.gate.background_end();
    Some((
        start_ns,
        spinner::spin(start_ns, &context.calibration, end, come),
    ))
}

fn report(found: &[Option<(u64, Gaps)>], context: &Context<'_>) -> PartReport {
    let mut report = PartReport::new(PART);
    let mut gaps = Durations::new();
    let (mut units_per_s, mut max_ns, mut stolen_ns) = (0.0, 0, 0);
    for (start_ns, hog) in found.iter().flatten() {
        units_per_s += hog.units as f64 / seconds((hog.end_ns - start_ns).max(1));
        max_ns = max_ns.max(hog.gaps.max_ns());
        stolen_ns += hog.stolen_ns;
        gaps.add(&hog.gaps);
    }
    report.metric("work_per_s", "units/s", units_per_s, Better::Higher);
    report.metric("max_gap_ms", "ms", millis(max_ns), Better::Lower);
    report.metric(
        "gap_p99_ms",
        "ms",
        millis(gaps.quantile_ns(0.99)),
        Better::Lower,
    );
    // Not the scheduler's doing, but a reader of the other figures must know.
    report.metric("stolen_ms", "ms", millis(stolen_ns), Better::Lower);
    report.histogram("gap", &gaps);
    if found.iter().any(Option::is_none) {
        report.unfinished = Some("not started".to_owned());
    } else if context.gate.is_cancelled() {
        report.unfinished = Some("ended early".to_owned());
    }
    report
}

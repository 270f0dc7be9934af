//! Runs a workload as real threads and processes of this machine.
//!
//! Each part has a supervisor thread, and starts in three steps: it makes its tasks, which wait;
//! background parts are let go and compute; then all others are let go. So no creation is
//! measured, and the foreground meets its background from the first moment.

pub(crate) mod build;
pub(crate) mod compile;
mod crowd;
mod frames;
mod gate;
mod handoff;
mod hogs;
mod isolation;
mod make;
mod messaging;
mod periodic;
mod pipe;
mod requests;
pub(crate) mod spinner;
mod tenants;

use crate::calibration::Calibration;
use crate::error::{Error, TOO_MANY_TASKS};
use crate::report::{PartReport, Report, seconds};
use crate::spec::{Part, Workload};
use crate::stop::NEVER;
use crate::sys::{clock, sched};
use gate::Gate;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

/// How often those who wait look whether they should stop. Seldom, since each look is a wakeup on
/// the machine being measured.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long background tasks get to come to their CPUs before the foreground starts.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(5);
/// What the background has for its start, before anything is measured: page faults of new threads
/// and their memory's lock take a short foreground longer than its own work.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// What a run depends on beside its workload.
#[derive(Clone, Debug)]
pub struct RunOptions<'a> {
    /// The seed of everything random.
    pub seed: u64,
    /// Replaces the tasks' names by ones that say nothing and depend on this.
    pub salt: Option<String>,
    /// The duration of parts that are bounded by time, instead of the workload's own.
    pub duration: Option<Duration>,
    /// The capacity of a CPU; measured before the run if not given.
    pub calibration: Option<Calibration>,
    /// The program that is executed for tasks that are programs. It must call
    /// [`run_if_child`](crate::run_if_child) first thing in `main`. By default the calling program
    /// itself, which then must do so.
    pub program: Option<PathBuf>,
    /// The source that `compile` compiles: the directory into which the Debian source package named
    /// by [`Workload::source_package`] was unpacked.
    pub source: Option<PathBuf>,
    /// Ends the run early when set, see [`crate::stop::on_signals`].
    pub stop: &'a AtomicBool,
    /// Ends the run early after this, so that a scheduler that starves the workload cannot keep
    /// the caller for ever.
    pub time_limit: Duration,
}

impl Default for RunOptions<'_> {
    /// Seed 1, no salt, no stop, and a time limit of 120 s.
    fn default() -> Self {
        Self {
            seed: 1,
            salt: None,
            duration: None,
            calibration: None,
            program: None,
            source: None,
            stop: &NEVER,
            time_limit: Duration::from_secs(120),
        }
    }
}

/// What the parts of one run share.
pub(crate) struct Context<'a> {
    pub(crate) seed: u64,
    pub(crate) salt: Option<&'a str>,
    pub(crate) calibration: Calibration,
    pub(crate) cpus: usize,
    pub(crate) program: Option<&'a Path>,
    pub(crate) source: Option<&'a Path>,
    pub(crate) gate: Gate,
}

/// Runs the workload and measures it.
///
/// A run that is stopped, or meets its time limit, still gives a report, with `complete` false.
///
/// # Errors
/// When the kernel refuses a task or descriptor, or when a task of the workload dies.
pub fn run(workload: &Workload, options: &RunOptions<'_>) -> Result<Report, Error> {
    let workload = match options.duration {
        Some(duration) => workload.clone().with_duration(duration),
        None => workload.clone(),
    };
    let bounded = workload
        .parts()
        .iter()
        .filter(|part| part.is_bounded())
        .count();
    let context = Context {
        seed: options.seed,
        salt: options.salt.as_deref(),
        calibration: options.calibration.unwrap_or_else(Calibration::measure),
        cpus: sched::allowed_cpus().len(),
        program: options.program.as_deref(),
        source: options.source.as_deref(),
        gate: Gate::new(workload.parts().len(), bounded),
    };
    let (reports, notes, wall_s) = thread::scope(|scope| {
        let mut handles = Vec::with_capacity(workload.parts().len());
        let mut refused = None;
        for part in workload.parts() {
            let supervisor = thread::Builder::new().name(supervisor_name(part, &context));
            match supervisor.spawn_scoped(scope, || supervise(part, &context)) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    context.gate.abandon();
                    refused = Some(error);
                    break;
                }
            }
        }
        let (notes, start_ns) = conduct(&workload, options, &context.gate);
        let reports = join(workload.parts(), handles);
        let wall_s = seconds(clock::now_ns() - start_ns);
        match refused {
            Some(error) => Err(Error::os(
                workload.parts()[0].kind().name,
                "thread",
                TOO_MANY_TASKS,
            )(error)),
            None => reports.map(|reports| (reports, notes, wall_s)),
        }
    })?;
    Ok(sum_up(
        &workload,
        options,
        context.calibration,
        reports,
        notes,
        wall_s,
    ))
}

/// The files that a run needs beside the calling program and `source`, by their paths on this
/// machine, for whoever has it run in another place.
///
/// # Errors
/// When this machine lacks what the workload needs.
pub fn files(workload: &Workload, source: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for part in workload.parts() {
        if let (Part::Compile(compile), Some(source)) = (part, source) {
            files.extend(compile::files(compile, source)?);
        }
    }
    Ok(files)
}

/// The time sequence of a run: everybody ready, background, foreground, end. Returns notes and the
/// time of the first start.
fn conduct(workload: &Workload, options: &RunOptions<'_>, gate: &Gate) -> (Vec<String>, u64) {
    let mut notes = Vec::new();
    while !gate.all_ready(LOOK_INTERVAL) {
        if options.stop.load(Ordering::Relaxed) {
            gate.abandon();
        }
    }
    let start_ns = clock::now_ns();
    gate.open_background();
    if !gate.background_runs(BACKGROUND_LIMIT) {
        notes.push("not all background tasks had run before the foreground started".to_owned());
    }
    if gate.has_background() {
        gate.wait_failure(SETTLE_TIME);
    }
    gate.open_foreground();
    let limit_ns = clock::now_ns() + options.time_limit.as_nanos() as u64;
    let end_ns = unbounded_seconds(workload).map(|limit_s| start_ns + (limit_s * 1e9) as u64);
    while !gate.foreground_done(until(end_ns).min(LOOK_INTERVAL)) {
        let now_ns = clock::now_ns();
        if options.stop.load(Ordering::Relaxed) {
            gate.cancel();
            notes.push("stopped before its end".to_owned());
        } else if now_ns > limit_ns {
            gate.cancel();
            notes.push(format!(
                "stopped at the time limit of {:?}",
                options.time_limit
            ));
        } else if end_ns.is_none_or(|end_ns| now_ns < end_ns) {
            continue;
        }
        break;
    }
    gate.end_background();
    (notes, start_ns)
}

/// The duration of a workload that has no bounded part.
fn unbounded_seconds(workload: &Workload) -> Option<f64> {
    workload.parts().iter().try_fold(0.0, |longest, part| {
        Some(f64::max(longest, part.unbounded_seconds()?))
    })
}

fn until(end_ns: Option<u64>) -> Duration {
    end_ns.map_or(Duration::MAX, |end_ns| {
        Duration::from_nanos(end_ns.saturating_sub(clock::now_ns()).max(1))
    })
}

fn supervise(part: &Part, context: &Context<'_>) -> Result<PartReport, Error> {
    let mut attendance = context.gate.attend(part.is_bounded());
    let report = match part {
        Part::Messaging(messaging) => messaging::run(messaging, context),
        Part::Pipe(pipe) => pipe::run(pipe, context),
        Part::Frames(frames) => frames::run(frames, context),
        Part::Hogs(hogs) => hogs::run(hogs, context),
        Part::Build(build) => build::run(build, context),
        Part::Compile(compile) => compile::run(compile, context),
        Part::Isolation(isolation) => isolation::run(isolation, context),
        Part::Requests(requests) => requests::run(requests, context),
        Part::Audio(audio) => periodic::run("audio", crate::names::AUDIO, audio, context),
        Part::Stream(stream) => {
            periodic::run("stream", crate::names::ENCODER_SLICE, stream, context)
        }
        Part::Tenants(tenants) => tenants::run(tenants, context),
    };
    attendance.succeeded = report.is_ok();
    report
}

fn supervisor_name(part: &Part, context: &Context<'_>) -> String {
    crate::names::task_name(supervisor_role(part), context.salt)
}

/// A supervisor that is itself a task of its part bears that task's name.
fn supervisor_role(part: &Part) -> &'static str {
    match part {
        Part::Messaging(_) => "messaging",
        Part::Pipe(_) => crate::names::PING,
        Part::Frames(_) => crate::names::FRAME_INPUT,
        Part::Hogs(_) => "hogs",
        Part::Build(_) => "build",
        Part::Compile(_) => "compile",
        Part::Isolation(_) => "isolation",
        Part::Requests(_) => "requests",
        Part::Audio(_) => crate::names::AUDIO,
        Part::Stream(_) => crate::names::ENCODER,
        Part::Tenants(_) => "tenants",
    }
}

fn join(
    parts: &[Part],
    handles: Vec<ScopedJoinHandle<'_, Result<PartReport, Error>>>,
) -> Result<Vec<PartReport>, Error> {
    // All are joined before the first error is returned.
    let results: Vec<_> = handles.into_iter().map(ScopedJoinHandle::join).collect();
    let named = parts.iter().zip(results);
    named
        .map(|(part, result)| {
            result.unwrap_or_else(|_| Err(Error::worker(part.kind().name, "its supervisor died")))
        })
        .collect()
}

fn sum_up(
    workload: &Workload,
    options: &RunOptions<'_>,
    calibration: Calibration,
    reports: Vec<PartReport>,
    mut notes: Vec<String>,
    wall_s: f64,
) -> Report {
    notes.extend(calibration.note());
    let complete = reports.iter().all(|report| report.unfinished.is_none());
    let (mut metrics, mut histograms) = (Vec::new(), Vec::new());
    for (part, report) in workload.parts().iter().zip(reports) {
        metrics.extend(report.metrics);
        histograms.extend(report.histograms);
        let kind = part.kind().name;
        let said = report.unfinished.into_iter().chain(report.notes);
        notes.extend(said.map(|note| format!("{kind}: {note}")));
    }
    Report {
        workload: workload.to_string(),
        parameters: format!("{workload:#}"),
        seed: options.seed,
        complete,
        metrics,
        histograms,
        wall_s,
        calibration,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{role, task_name};

    #[test]
    fn supervisors_are_told_by_their_names_too() {
        for kind in crate::list() {
            let workload: Workload = kind.example.parse().unwrap();
            for part in workload.parts() {
                let expected = supervisor_role(part);
                let name = task_name(expected, Some("a"));
                assert_eq!(role(&name, "a"), Some(expected), "{}", kind.name);
            }
        }
    }
}

//! Runs on this machine, which may be a guest: a scheduler is started for each run, a process
//! measured, the scheduler stopped.
//!
//! Each run has its scheduler afresh, so that none carries over what it learned or broke, and is a
//! process of its own, so that the kernel tells the CPU time of it and its descendants. A run that is
//! recorded has one more process beside it, and its figures are thrown away.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use baton_workload::{Calibration, Report, Workload, names};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Assignment, Ended, Error, Outcome, Recording, Tell, Told,
    child::{self, End, Finished},
    duration, fill,
    recorder::{Recorder, monotonic_ns},
};
use crate::{
    charge::{Charge, Output, STOP_LIMIT, check_free, given_back},
    experiment::{Figure, Runs},
    journal::Booted,
    plan::Cell,
    report::Timeline,
    results::{Metric, Run, Status},
};

/// What a report calls the tasks of a machine that are none of the experiment's: reports are passed on,
/// and who runs what beside it is nobody's business.
const STRANGER: &str = "another";
/// How the names of a policy's threads begin.
const OWN_THREADS: &str = "baton-";

/// What one of our workloads gets beyond its limit, at which it tells how far it came.
const GRACE: Duration = Duration::from_secs(20);

/// What the process of one run of our workloads is told, as JSON on standard input: a scheduler could
/// read arguments. It prints the report as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellRun {
    /// The workload.
    pub workload: Workload,
    /// Its seed.
    pub seed: u64,
    /// What the names of its tasks depend on.
    pub salt: String,
    /// The capacity of a CPU.
    pub calibration: Calibration,
    /// What it may take, in seconds.
    pub limit_s: f64,
}

/// Makes runs on this machine.
pub struct Local<'a> {
    /// The program, and its first arguments, that runs one of our workloads, given a [`CellRun`].
    pub cell: Vec<OsString>,
    /// The program, and its first arguments, that records this machine's scheduling into the file that
    /// is its last argument, from when that file is there until SIGTERM. Empty where there is none.
    pub record: Vec<OsString>,
    /// Measures the capacity of a CPU.
    pub calibrate: &'a dyn Fn() -> Calibration,
    /// Stops all when set.
    pub stop: &'a AtomicBool,
    /// When set, schedulers are not given time to end by themselves.
    pub hurry: &'a AtomicBool,
    /// Whether this is a guest.
    pub is_guest: bool,
}

impl Local<'_> {
    /// Makes the runs of an assignment in their order, then its recordings.
    ///
    /// # Errors
    /// What keeps all further runs from being made.
    pub fn make(&self, assignment: &Assignment, tell: Tell<'_>) -> Result<Ended, Error> {
        let begin = Instant::now();
        let left = assignment.total_left_s.map(duration);
        let is_late = || left.is_some_and(|left| begin.elapsed() >= left);
        check_free()?;
        // Once, before any scheduler: all runs mean the same by a load.
        let calibration = assignment.calibration.unwrap_or_else(|| (self.calibrate)());
        tell(Told::Boot(self.booted(calibration)))?;
        let cells = assignment.shape.cells();
        let to_do = cells.get(assignment.from..assignment.to);
        let to_record = assignment.recordings.iter().map(|place| cells.get(*place));
        let (Some(to_do), Some(to_record)) = (to_do, to_record.collect::<Option<Vec<_>>>()) else {
            return Err(Error::Guest(
                "has an assignment that is not in the plan".into(),
            ));
        };
        let first = to_do.first().or(to_record.first().copied());
        if let Some(&first) = first
            && self.warm_up(assignment, first, to_do.is_empty(), calibration, tell)?
        {
            return Ok(Ended::Stopped);
        }
        for (position, cell) in (assignment.from..).zip(to_do) {
            if is_late() {
                tell(Told::Limit)?;
                return Ok(Ended::Limit);
            }
            tell(Told::Begin(position))?;
            let made = self.run(assignment, cell, calibration)?;
            // What was cut short is made again when the experiment goes on.
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stopped);
            }
            let (run, metrics) = made;
            tell(Told::Run(Box::new(Outcome {
                position,
                run,
                metrics,
            })))?;
        }
        for (&position, cell) in assignment.recordings.iter().zip(to_record) {
            if is_late() {
                tell(Told::Limit)?;
                return Ok(Ended::Limit);
            }
            tell(Told::Recording(position))?;
            let timeline = self.recorded(assignment, cell, calibration)?;
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stopped);
            }
            tell(Told::Recorded(Box::new(Recording { position, timeline })))?;
        }
        Ok(Ended::Done)
    }

    /// Makes the warm-up runs: of all workloads, or of the only one. Whether it was stopped.
    fn warm_up(
        &self,
        assignment: &Assignment,
        first: Cell,
        only: bool,
        calibration: Calibration,
        tell: Tell<'_>,
    ) -> Result<bool, Error> {
        for _ in 0..assignment.warmup {
            for workload in 0..assignment.works.len() {
                if only && workload != first.workload {
                    continue;
                }
                tell(Told::Warming { workload })?;
                let cell = Cell { workload, ..first };
                // What goes wrong here goes wrong again below, and is told then.
                let _ = self.measure(assignment, &cell, calibration, &salt())?;
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn booted(&self, calibration: Calibration) -> Booted {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let accelerated =
            read("/sys/devices/system/clocksource/clocksource0/available_clocksource")
                .contains("kvm-clock");
        let accelerator = if accelerated { "kvm" } else { "emulation" };
        let cpus = std::thread::available_parallelism();
        Booted {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpus: cpus.map_or(0, |cpus| u32::try_from(cpus.get()).unwrap_or(0)),
            accelerator: self.is_guest.then(|| accelerator.to_owned()),
            calibration: Some(calibration),
        }
    }

    /// One run, its scheduler included.
    fn run(
        &self,
        assignment: &Assignment,
        cell: &Cell,
        calibration: Calibration,
    ) -> Result<(Run, Vec<Metric>), Error> {
        let act = || self.measure(assignment, cell, calibration, &salt());
        let scheduled = match self.scheduled(assignment, cell, act)? {
            Ok(scheduled) => scheduled,
            Err(problem) => {
                let run = assignment.failed(cell, Status::Unloadable, problem);
                return Ok((run, Vec::new()));
            }
        };
        let (mut run, metrics) = outcome(assignment, cell, scheduled.done);
        run.counters = scheduled.counters;
        if let Some(problem) = scheduled.problem {
            run.status = Status::Ejected;
            run.problem = Some(problem);
        }
        Ok((run, metrics))
    }

    /// One run more, recorded: the piece that is shown of it, or why there is none.
    fn recorded(
        &self,
        assignment: &Assignment,
        cell: &Cell,
        calibration: Calibration,
    ) -> Result<Result<Timeline, String>, Error> {
        let salt = salt();
        let act = || {
            let recorder = match Recorder::start(&self.record, self.stop) {
                Ok(recorder) => recorder,
                Err(problem) => return Ok(Err(problem)),
            };
            let begun_ns = monotonic_ns();
            let finished = self.measure(assignment, cell, calibration, &salt)?;
            let written = recorder.finish();
            Ok(written.map(|written| (written, begun_ns, finished)))
        };
        let scheduled = self.scheduled(assignment, cell, act)?;
        Ok(scheduled.and_then(|scheduled| {
            let (written, begun_ns, finished) = scheduled.done?;
            let process_s = finished.as_ref().map_or(0.0, |finished| finished.wall_s);
            let (run, _) = outcome(assignment, cell, finished);
            if let Some(problem) = scheduled.problem.or(run.problem) {
                return Err(problem);
            }
            let ns = |seconds| duration(seconds).as_nanos() as u64;
            // The measured part is over when the process is, or just before.
            let made = written.piece(begun_ns + ns(process_s), ns(run.wall_s))?;
            let shown = self.shown(assignment, cell);
            Ok(made.renamed(|name| match names::role(name, &salt) {
                Some(role) => role.to_owned(),
                None if self.is_guest || shown.iter().any(|shown| shown == name) => name.to_owned(),
                None if name.starts_with(OWN_THREADS) => name.to_owned(),
                None => STRANGER.to_owned(),
            }))
        }))
    }

    /// Names of tasks that the experiment brought with it: of the programs that it starts.
    fn shown(&self, assignment: &Assignment, cell: &Cell) -> Vec<String> {
        let launch = &assignment.launches[cell.variant];
        let work = match &assignment.works[cell.workload] {
            Runs::Ours(_) => None,
            Runs::Command { argv, .. } => argv.first(),
        };
        let named = [launch.argv.first(), launch.prefix.first(), work];
        let named = named.into_iter().flatten().map(OsStr::new);
        let own = [self.cell.first(), self.record.first()];
        let own = own.into_iter().flatten().map(OsString::as_os_str);
        named.chain(own).map(task_name).collect()
    }

    /// Does something while the cell's scheduler has the machine; why not, if it does not take it.
    fn scheduled<T>(
        &self,
        assignment: &Assignment,
        cell: &Cell,
        act: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Result<Scheduled<T>, String>, Error> {
        check_free()?;
        let launch = &assignment.launches[cell.variant];
        let argv = with_seed(&launch.argv, assignment.shape.run_seed(cell.round));
        let Some((program, arguments)) = argv.split_first() else {
            return Ok(Ok(Scheduled {
                done: act()?,
                counters: BTreeMap::new(),
                problem: None,
            }));
        };
        let output = if launch.reports {
            Output::Report
        } else {
            Output::Aside
        };
        let charge = match Charge::take(OsStr::new(program), arguments, output, self.stop) {
            Ok(charge) => charge,
            Err(error) => {
                // It may have had the machine for a moment.
                given_back(STOP_LIMIT)?;
                return Ok(Err(error.to_string()));
            }
        };
        let done = act()?;
        let ended = charge.stop(self.hurry)?;
        Ok(Ok(Scheduled {
            done,
            counters: counters(&ended.report),
            // A command may end as it likes when it is told to; ours says 0 if all was well.
            problem: ended.problem.filter(|_| ended.early || launch.reports),
        }))
    }

    /// Runs the workload's process.
    fn measure(
        &self,
        assignment: &Assignment,
        cell: &Cell,
        calibration: Calibration,
        salt: &str,
    ) -> Result<Result<Finished, String>, Error> {
        let seed = assignment.shape.run_seed(cell.round);
        let limit = duration(assignment.run_limit_s);
        let prefix = &assignment.launches[cell.variant].prefix;
        let (words, input, limit) = match &assignment.works[cell.workload] {
            Runs::Ours(workload) => {
                let run = CellRun {
                    workload: workload.clone(),
                    seed,
                    salt: salt.to_owned(),
                    calibration,
                    limit_s: assignment.run_limit_s,
                };
                let run = serde_json::to_string(&run).map_err(|error| Error::Os {
                    what: "cannot describe a run",
                    source: error.into(),
                })?;
                (self.cell.clone(), run, limit + GRACE)
            }
            Runs::Command { argv, .. } => {
                let words = with_seed(argv, seed).into_iter();
                (words.map(OsString::from).collect(), String::new(), limit)
            }
        };
        let prefix = with_seed(prefix, seed).into_iter().map(OsString::from);
        let mut words = prefix.chain(words);
        let program = words.next();
        let program =
            program.ok_or_else(|| Error::Guest("has no program to run workloads with".into()))?;
        let mut command = Command::new(program);
        command.args(words);
        let program = command.get_program().to_string_lossy().into_owned();
        let finished = child::run(command, &input, limit, self.stop);
        Ok(finished.map_err(|error| format!("cannot run {program}: {error}")))
    }
}

/// What came of what was done under a scheduler.
struct Scheduled<T> {
    done: T,
    /// The scheduler's, where it has some.
    counters: BTreeMap<String, u64>,
    /// Why it did not have the machine all the time.
    problem: Option<String>,
}

/// A task's name as the kernel gives it to a program that is started.
fn task_name(program: &OsStr) -> String {
    const LENGTH: usize = 15;
    let name = Path::new(program).file_name().unwrap_or_default();
    let bytes = name.as_encoded_bytes();
    String::from_utf8_lossy(&bytes[..bytes.len().min(LENGTH)]).into_owned()
}

/// What the names of tasks in a run depend on: nothing that a scheduler could work out, as it could from
/// the seed. Nobody needs the same names again.
fn salt() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A command with the run's seed where it wants it.
fn with_seed(argv: &[String], seed: u64) -> Vec<String> {
    let seed = seed.to_string();
    argv.iter()
        .map(|word| word.replace("{seed}", &seed))
        .collect()
}

/// A run as results have it, of what its process left behind.
fn outcome(
    assignment: &Assignment,
    cell: &Cell,
    finished: Result<Finished, String>,
) -> (Run, Vec<Metric>) {
    let failed = |status, problem| assignment.failed(cell, status, problem);
    let finished = match finished {
        Ok(finished) => finished,
        Err(problem) => return (failed(Status::Failed, problem), Vec::new()),
    };
    let mut run = failed(Status::Ok, String::new());
    let read = match &assignment.works[cell.workload] {
        Runs::Ours(_) => ours(&mut run, &finished),
        Runs::Command { figures, .. } => command(&mut run, figures, &finished),
    };
    run.cpu_s = Some(finished.cpu_s);
    if run.wall_s == 0.0 {
        run.wall_s = finished.wall_s;
    }
    let (metrics, problem) = read;
    let (status, problem) = match (finished.end, problem) {
        (End::TimedOut | End::Stopped, _) => {
            let limit_s = assignment.run_limit_s;
            (
                Status::Timeout,
                Some(format!("it did not end within {limit_s} s")),
            )
        }
        (End::Exited(status), _) if !status.success() => {
            let said = finished
                .stderr
                .lines()
                .rfind(|line| !line.trim().is_empty());
            let said = said.map_or(String::new(), |line| format!(": {}", line.trim()));
            (
                Status::Failed,
                Some(format!("the workload ended with {status}{said}")),
            )
        }
        (_, Some((status, problem))) => (status, Some(problem)),
        (_, None) => (Status::Ok, None),
    };
    run.status = status;
    run.problem = problem;
    (run, metrics)
}

/// What is wrong with what a workload said.
type Problem = Option<(Status, String)>;

/// The report in what a workload of ours printed. A prefix may print something of its own on other
/// lines.
fn report_in(stdout: &str) -> Result<Report, String> {
    let mut problem = "it printed none".to_owned();
    for line in stdout.lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line) {
            Ok(report) => return Ok(report),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

fn ours(run: &mut Run, finished: &Finished) -> (Vec<Metric>, Problem) {
    let report = match report_in(&finished.stdout) {
        Ok(report) => report,
        Err(why) => {
            let problem = format!("the workload's report cannot be read: {why}");
            return (Vec::new(), Some((Status::Failed, problem)));
        }
    };
    run.wall_s = report.wall_s;
    let metrics = fill(run, &report.metrics, &report.histograms);
    if report.complete {
        return (metrics, None);
    }
    (metrics, Some((Status::Timeout, report.notes.join("; "))))
}

fn command(run: &mut Run, figures: &[Figure], finished: &Finished) -> (Vec<Metric>, Problem) {
    let mut problem = None;
    let mut metrics = Vec::new();
    for figure in figures {
        match figure.value(&finished.stdout, &finished.stderr) {
            Ok(value) => {
                run.values.insert(figure.name.clone(), value);
            }
            Err(text) => problem = Some((Status::Failed, text)),
        }
        metrics.push(Metric {
            workload: run.workload.clone(),
            name: figure.name.clone(),
            unit: figure.unit.clone(),
            better: figure.better,
            primary: figure.primary,
        });
    }
    (metrics, problem)
}

/// The counters in a policy's report.
fn counters(report: &str) -> BTreeMap<String, u64> {
    let report: Value = serde_json::from_str(report.trim()).unwrap_or_default();
    let counters = report["stats"]["counters"]
        .as_object()
        .into_iter()
        .flatten();
    let mut counters: BTreeMap<String, u64> = counters
        .filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)))
        .collect();
    if let Some(wait_ns) = report["stats"]["wait_max_ns"].as_u64() {
        counters.insert("wait_max_ns".to_owned(), wait_ns);
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::{report_in, task_name};

    #[test]
    fn a_program_names_its_task_by_fifteen_bytes_of_its_file() {
        assert_eq!(task_name("/usr/bin/perf".as_ref()), "perf");
        assert_eq!(
            task_name("a-very-long-name-of-a-program".as_ref()),
            "a-very-long-nam"
        );
    }

    #[test]
    fn a_report_is_found_beside_what_a_prefix_prints() {
        let own = r#"{"workload":"pipe","parameters":"pipe","seed":7,"complete":true,"metrics":[],
            "histograms":[],"wall_s":1.5,"calibration":{"units_per_ms":9.0,"spread":0.1},"notes":[]}"#
            .replace('\n', "");
        for stdout in [
            format!("{own}\n"),
            format!("recording {{\n{{\"file\":1}}\n{own}\nrecorded 9 events\n"),
        ] {
            let report = report_in(&stdout).unwrap();
            assert_eq!((report.seed, report.wall_s), (7, 1.5), "{stdout}");
        }
        assert_eq!(report_in("").unwrap_err(), "it printed none");
        let cut = report_in(&own[..60]).unwrap_err();
        assert!(cut.contains("EOF"), "{cut}");
    }
}

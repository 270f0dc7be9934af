//! Runs on simulated machines, on as many threads as there are CPUs. What comes of a run depends on
//! the experiment alone.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use baton_model::ModelFile;
use baton_sim::{Config, Report, schedulers, simulate};

use super::{
    Assignment, Backend, Ended, Error, Outcome, Tell, Told, duration, fill,
    foreign::{ByProgram, Foreign, Simulate},
};
use crate::{
    Experiment,
    experiment::{Runs, Scheduler},
    journal::Booted,
    plan::Cell,
    results::{Run, Status},
};

/// How often the flag that stops all is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The simulator.
pub struct Sim<'a> {
    experiment: &'a Experiment,
    stop: &'a AtomicBool,
    foreign: &'a dyn Simulate,
}

impl<'a> Sim<'a> {
    /// For the runs of a checked experiment, until the flag is set.
    #[must_use]
    pub const fn new(experiment: &'a Experiment, stop: &'a AtomicBool) -> Self {
        let foreign = &ByProgram;
        Self {
            experiment,
            stop,
            foreign,
        }
    }

    /// The same, with another way to run policies that are not built in than to start their programs.
    #[must_use]
    pub const fn with_foreign(mut self, foreign: &'a dyn Simulate) -> Self {
        self.foreign = foreign;
        self
    }

    /// One run.
    fn simulated(&self, assignment: &Assignment, cell: &Cell) -> Outcome {
        let made = self.try_simulated(assignment, cell);
        let (run, metrics) = made.unwrap_or_else(|problem| {
            (assignment.failed(cell, Status::Failed, problem), Vec::new())
        });
        Outcome {
            position: 0,
            run,
            metrics,
        }
    }

    fn try_simulated(
        &self,
        assignment: &Assignment,
        cell: &Cell,
    ) -> Result<(Run, Vec<crate::results::Metric>), String> {
        let workload = &assignment.works[cell.workload];
        let seed = assignment.shape.run_seed(cell.round);
        let (name, mut config) = prepared(self.experiment, cell.variant, workload, seed)?;
        config.salt = Some(assignment.shape.salt(cell));
        config.limit_ns = duration(assignment.run_limit_s).as_nanos() as u64;
        if schedulers().any(|known| known == name) {
            let simulated = simulate(name, &config, false).map_err(|error| error.to_string())?;
            return Ok(run_of(assignment, cell, &simulated.report));
        }
        let run = Foreign {
            workload: config.workload.to_string(),
            machine: self.experiment.machine.clone(),
            seed,
            salt: assignment.shape.salt(cell),
            limit: duration(assignment.run_limit_s),
            mode: config.mode,
            params: config.params.clone(),
            model: self.model(cell.variant),
        };
        let report = self.foreign.simulate(name, &run)?;
        Ok(run_of(assignment, cell, &report))
    }

    /// The file of a variant's model, if it names one.
    fn model(&self, variant: usize) -> Option<String> {
        match &self.experiment.variants[variant].scheduler {
            Scheduler::Policy { model, .. } => model.clone(),
            _ => None,
        }
    }
}

/// The name of a variant's scheduler, and what its run depends on; tasks bear their own names.
pub(super) fn prepared<'a>(
    experiment: &'a Experiment,
    variant: usize,
    workload: &Runs,
    seed: u64,
) -> Result<(&'a str, Config), String> {
    let machine = experiment
        .machine_file()
        .ok_or("the experiment was not checked")?;
    let Runs::Ours(workload) = workload else {
        return Err("the simulator runs no commands".to_owned());
    };
    let mut config = Config::on(machine, workload.clone());
    config.seed = seed;
    let name = match &experiment.variants[variant].scheduler {
        Scheduler::Kernel => "kernel",
        Scheduler::Policy {
            policy,
            mode,
            params,
            model,
        } => {
            let read = |path: &String| {
                let file = ModelFile::read(path);
                file.map_err(|error| format!("{path}: {error}"))
            };
            config.model = model.as_ref().map(read).transpose()?.map(Arc::new);
            config.mode = *mode;
            config.params.clone_from(params);
            policy
        }
        Scheduler::Command { .. } => return Err("the simulator runs no commands".to_owned()),
    };
    Ok((name, config))
}

/// A simulated run as results have it: times are simulated ones.
fn run_of(
    assignment: &Assignment,
    cell: &Cell,
    report: &Report,
) -> (Run, Vec<crate::results::Metric>) {
    let status = if report.complete {
        Status::Ok
    } else {
        Status::Timeout
    };
    let mut run = assignment.failed(cell, status, report.notes.join("; "));
    if report.complete {
        run.problem = None;
    }
    let histograms = [&report.histograms[..], &report.latencies[..]].concat();
    let metrics = fill(&mut run, &report.metrics, &histograms);
    run.cpu_s = Some(report.cpu_time.busy_s);
    run.wall_s = report.sim_s;
    let counters = report.counters.iter();
    run.counters = counters
        .map(|counter| (counter.name.to_string(), counter.value))
        .collect();
    (run, metrics)
}

impl fmt::Debug for Sim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").finish_non_exhaustive()
    }
}

impl Backend for Sim<'_> {
    fn make(
        &mut self,
        places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error> {
        let cpus = self
            .experiment
            .machine_file()
            .map_or(0, |machine| machine.cpu_count());
        tell(Told::Boot(Booted {
            kernel: String::new(),
            cpus,
            accelerator: None,
            calibration: None,
        }))?;
        let cells = assignment.shape.cells();
        let begin = Instant::now();
        let left = assignment.total_left_s.map(duration);
        let is_late = || left.is_some_and(|left| begin.elapsed() >= left);
        let next = AtomicUsize::new(0);
        let enough = AtomicBool::new(false);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads.min(places.len()) {
                let (sender, this) = (sender.clone(), &*self);
                let (next, cells, enough) = (&next, &cells, &enough);
                scope.spawn(move || {
                    while !enough.load(Ordering::Relaxed) {
                        let Some(&position) = places.get(next.fetch_add(1, Ordering::Relaxed))
                        else {
                            return;
                        };
                        let mut outcome = this.simulated(assignment, &cells[position]);
                        outcome.position = position;
                        let begun = Told::Begin(position);
                        if sender.send(begun).is_err()
                            || sender.send(Told::Run(Box::new(outcome))).is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let ended = loop {
                match receiver.recv_timeout(LOOK_INTERVAL) {
                    Ok(told) => {
                        if let Err(error) = tell(told) {
                            break Err(error);
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break Ok(Ended::Done),
                }
                if self.stop.load(Ordering::Relaxed) {
                    break Ok(Ended::Stopped);
                }
                if is_late() {
                    break Ok(Ended::Limit);
                }
            };
            // Whatever ended the loop early ends the threads too.
            enough.store(true, Ordering::Relaxed);
            ended
        })
    }

    fn is_free(&self) -> bool {
        true
    }
}

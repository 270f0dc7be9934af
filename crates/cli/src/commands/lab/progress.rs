//! How far an experiment is, for a person who waits.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use baton_lab::{Experiment, engine::Seen, results::Status, table::printable};

/// Writes one line to standard error over and over, if a person watches; what went wrong it tells
/// in any case.
pub(super) struct Progress<'a> {
    experiment: &'a Experiment,
    watched: bool,
    all: usize,
    /// When the first run of this session began, and how many had been made before.
    first: Option<(Instant, usize)>,
}

impl<'a> Progress<'a> {
    /// For this experiment.
    pub(super) fn new(experiment: &'a Experiment) -> Self {
        Self {
            experiment,
            watched: std::io::stderr().is_terminal(),
            all: experiment.shape().cells().len(),
            first: None,
        }
    }

    /// Tells what happened.
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Boot(_) => {}
            Seen::Warming(workload) => self.line(&format!("warming up: {workload}")),
            Seen::Begin { cell, made } => {
                let (begin, before) = *self.first.get_or_insert((Instant::now(), *made));
                let workload = &self.experiment.workloads[cell.workload].name;
                let variant = &self.experiment.variants[cell.variant].name;
                let left = time_left(begin.elapsed(), made - before, self.all - made);
                let left = left.map_or(String::new(), |left| format!(", {left} left"));
                let (now, all, round) = (made + 1, self.all, cell.round + 1);
                self.line(&format!(
                    "[{now}/{all}] round {round}: {workload} under {variant}{left}"
                ));
            }
            Seen::Made { run, .. } if run.status != Status::Ok => {
                let status = run.status.text();
                let problem = run.problem.as_deref().unwrap_or("no reason is known");
                let (round, workload, variant) = (run.round + 1, &run.workload, &run.variant);
                self.clear();
                let line =
                    format!("round {round}, {workload} under {variant}: {status}: {problem}");
                eprintln!("{}", printable(&line));
            }
            Seen::Made { .. } => {}
            Seen::Recording(cell) => {
                let workload = &self.experiment.workloads[cell.workload].name;
                let variant = &self.experiment.variants[cell.variant].name;
                self.line(&format!(
                    "recorded for the report: {workload} under {variant}"
                ));
            }
            Seen::Died(why) => {
                self.clear();
                let why = printable(why);
                eprintln!("the guest died, going on in another one: {why}");
            }
        }
    }

    fn line(&self, text: &str) {
        if self.watched {
            eprint!("\r\x1b[K{}", printable(text));
        }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.line("");
    }
}

/// What is left if the runs to come take as long as those that were made.
fn time_left(spent: Duration, made: usize, to_come: usize) -> Option<String> {
    if made == 0 {
        return None;
    }
    let left_s = (spent.as_secs_f64() / made as f64 * to_come as f64).round() as u64;
    Some(match (left_s / 3600, left_s / 60 % 60, left_s % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_in_its_unit() {
        let check = |spent_s, made, to_come, expected: Option<&str>| {
            let left = time_left(Duration::from_secs(spent_s), made, to_come);
            assert_eq!(left.as_deref(), expected);
        };
        check(5, 0, 10, None);
        check(10, 10, 30, Some("30 s"));
        check(10, 2, 13, Some("1 min 05 s"));
        check(100, 1, 73, Some("2 h 01 min"));
    }
}

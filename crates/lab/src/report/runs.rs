//! The runs of an experiment by workload and variant.

use std::collections::BTreeMap;

use crate::judge::Judgement;
use crate::results::{Results, Run, Status};

/// The runs by workload and variant, in the order in which they ran.
pub(super) struct Runs<'a> {
    by_cell: BTreeMap<&'a str, BTreeMap<&'a str, Vec<Ended<'a>>>>,
}

/// A run and how it ended: a run that the judge does not believe is refused.
#[derive(Clone, Copy)]
pub(super) struct Ended<'a> {
    pub(super) run: &'a Run,
    pub(super) status: Status,
    /// Why it ended so, if not well.
    pub(super) problem: Option<&'a str>,
}

impl<'a> Runs<'a> {
    pub(super) fn of(results: &'a Results, judgement: &'a Judgement) -> Self {
        let mut by_cell: BTreeMap<&str, BTreeMap<&str, Vec<_>>> = BTreeMap::new();
        for ended in ended(results, judgement) {
            let of_workload = by_cell.entry(&ended.run.workload).or_default();
            of_workload
                .entry(&ended.run.variant)
                .or_default()
                .push(ended);
        }
        Self { by_cell }
    }

    /// All of them.
    pub(super) fn all(&self, workload: &str, variant: &str) -> &[Ended<'a>] {
        let of_cell = self.by_cell.get(workload).and_then(|all| all.get(variant));
        of_cell.map_or(&[], Vec::as_slice)
    }

    /// Those that went well.
    pub(super) fn well(&self, workload: &str, variant: &str) -> impl Iterator<Item = &'a Run> {
        let runs = self.all(workload, variant).iter();
        runs.filter(|ended| ended.status == Status::Ok)
            .map(|ended| ended.run)
    }

    /// The values that are judged.
    pub(super) fn values(&self, workload: &str, metric: &str, variant: &str) -> Vec<f64> {
        let values = self
            .well(workload, variant)
            .filter_map(|run| run.values.get(metric).copied());
        values.filter(|value| value.is_finite()).collect()
    }

    /// How many ended otherwise than well, by how.
    pub(super) fn troubles(&self, workload: &str, variant: &str) -> BTreeMap<Status, usize> {
        let mut troubles = BTreeMap::new();
        for ended in self.all(workload, variant) {
            if ended.status != Status::Ok {
                *troubles.entry(ended.status).or_insert(0) += 1;
            }
        }
        troubles
    }
}

/// All runs, in the order in which they ran, with how they ended.
pub(super) fn ended<'a>(results: &'a Results, judgement: &'a Judgement) -> Vec<Ended<'a>> {
    let as_it_says = |run: &'a Run| Ended {
        run,
        status: run.status,
        problem: run.problem.as_deref(),
    };
    let mut all: Vec<Ended<'_>> = results.runs.iter().map(as_it_says).collect();
    for refusal in &judgement.refused {
        if let Some(ended) = all.get_mut(refusal.run) {
            ended.status = Status::Refused;
            ended.problem = Some(&refusal.reason);
        }
    }
    all
}

/// How runs ended, as in `3 of 12 ejected`.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Failed => "failed",
        Status::Ejected => "ejected",
        Status::Unloadable => "did not start",
        Status::Timeout => "out of time",
        Status::Refused => "refused",
    }
}

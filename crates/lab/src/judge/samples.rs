//! Which runs count, and how they pair.

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;
use crate::results::{Metric, Results, Run, Status};

/// Runs by workload and variant, each round once.
pub(crate) struct Runs<'a> {
    by_workload: BTreeMap<&'a str, BTreeMap<&'a str, Rounds<'a>>>,
    /// Rounds that were run at all.
    rounds: BTreeSet<u32>,
}

/// The runs of one variant on one workload, by round.
type Rounds<'a> = BTreeMap<u32, (&'a Run, Status)>;

/// How the runs of a variant ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) by_status: BTreeMap<Status, usize>,
    /// Rounds in which there is no run.
    pub(crate) missing: usize,
}

impl<'a> Runs<'a> {
    /// All runs, those that are refused marked so. Of a round that was repeated the last run counts.
    pub(crate) fn new(results: &'a Results, refused: &[Refusal]) -> Self {
        let refused: BTreeSet<usize> = refused.iter().map(|refusal| refusal.run).collect();
        let mut by_workload: BTreeMap<&str, BTreeMap<&str, Rounds<'_>>> = BTreeMap::new();
        let mut rounds = BTreeSet::new();
        for (index, run) in results.runs.iter().enumerate() {
            let status = match refused.contains(&index) {
                true => Status::Refused,
                false => run.status,
            };
            rounds.insert(run.round);
            let variants = by_workload.entry(&run.workload).or_default();
            let cell = variants.entry(&run.variant).or_default();
            cell.insert(run.round, (run, status));
        }
        Self {
            by_workload,
            rounds,
        }
    }

    fn of(&self, workload: &str, variant: &str) -> Option<&Rounds<'a>> {
        self.by_workload.get(workload)?.get(variant)
    }

    pub(crate) fn counts(&self, workload: &str, variant: &str) -> Counts {
        let mut counts = Counts::default();
        let runs = self.of(workload, variant);
        for (_, status) in runs.into_iter().flat_map(BTreeMap::values) {
            *counts.by_status.entry(*status).or_default() += 1;
        }
        counts.missing = self.rounds.len() - runs.map_or(0, BTreeMap::len);
        counts
    }

    /// The values of two variants in the rounds in which both have one.
    pub(crate) fn pairs(&self, metric: &Metric, old: &str, new: &str) -> (Vec<f64>, Vec<f64>) {
        let runs = |variant| self.of(&metric.workload, variant);
        let (Some(old), Some(new)) = (runs(old), runs(new)) else {
            return (Vec::new(), Vec::new());
        };
        let value = |run: &(&Run, Status)| {
            let value = run.0.values.get(&metric.name).copied();
            value.filter(|value| run.1 == Status::Ok && value.is_finite())
        };
        new.iter()
            .filter_map(|(round, new)| Some((value(old.get(round)?)?, value(new)?)))
            .unzip()
    }
}

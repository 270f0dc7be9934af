//! Two results of the same experiment: what changed from the one to the other.
//!
//! The runs of two files do not pair, so samples are compared as they are, and what changed between the
//! two sessions beside the variant (another machine, a warmer room) counts as the variant's. Relative
//! comparison takes each value by the baseline's of its round first: what meets both variants alike is
//! then gone.

use std::collections::BTreeSet;

use baton_workload::Better;
use serde::{Deserialize, Serialize};

use crate::judge::{Cell, Effect, Rules, Runs, Sample, Scale, account, correct, verdict};
use crate::results::{Environment, Metric, Results, Variant};
use crate::stats;

/// Draws the intervals; the same files give the same ones.
const SEED: u64 = 0x00ba_7011;

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// By which rules.
    pub rules: Rules,
    /// Whether values were taken by the baseline's first.
    pub relative: bool,
    /// What differs between the two beside the figures, and makes verdicts doubtful.
    pub warnings: Vec<String>,
    /// What is in both. The baseline of each cell is the old file's sample of the same variant.
    pub cells: Vec<Cell>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Compares what both have.
pub fn compare(old: &Results, new: &Results, rules: &Rules, relative: bool) -> Comparison {
    let sides = [old, new].map(|results| Side::new(results, rules, relative));
    let mut comparison = Comparison {
        rules: *rules,
        relative,
        warnings: warnings(old, new),
        cells: Vec::new(),
        notes: lonely(old, new),
    };
    for (side, name) in sides.iter().zip(["old", "new"]) {
        let refused = side.audit.refused.iter();
        comparison.notes.extend(refused.map(|refusal| {
            let (round, variant) = (refusal.round + 1, &refusal.variant);
            let (workload, reason) = (&refusal.workload, &refusal.reason);
            format!(
                "refused in the {name} results: round {round}, {variant}, {workload}: {reason}."
            )
        }));
    }
    let first = usize::from(relative);
    for metric in new.metrics_in_order() {
        let same =
            |other: &&Metric| (&other.workload, &other.name) == (&metric.workload, &metric.name);
        let Some(before) = old.metrics.iter().find(same) else {
            continue;
        };
        if before.better != metric.better || before.unit != metric.unit {
            comparison.notes.push(format!(
                "{} of {} was measured in another unit or direction: not compared.",
                metric.name, metric.workload
            ));
            continue;
        }
        for variant in new.variants.iter().skip(first) {
            if old.variants.iter().any(|other| other.name == variant.name) {
                comparison.cells.push(cell(&sides, metric, variant, rules));
            }
        }
    }
    correct(&mut comparison.cells);
    for cell in &mut comparison.cells {
        (cell.verdict, cell.why) = verdict::of(cell, rules, "before");
    }
    comparison
}

/// One of the two files.
struct Side<'a> {
    audit: account::Audit,
    runs: Runs<'a>,
    /// What values are taken by.
    baseline: Option<&'a str>,
}

impl<'a> Side<'a> {
    fn new(results: &'a Results, rules: &Rules, relative: bool) -> Self {
        let audit = account::audit(results, &rules.limits);
        let runs = Runs::new(results, &audit.refused);
        let baseline = results.variants.first().filter(|_| relative);
        Self {
            audit,
            runs,
            baseline: baseline.map(|variant| variant.name.as_str()),
        }
    }

    /// The values of a metric, and how many of them there are at most.
    fn sample(&self, metric: &Metric, variant: &str, on: Scale) -> Sample {
        let counts = self.runs.counts(&metric.workload, variant);
        let values = match (self.baseline, on) {
            (None, _) => self.runs.pairs(metric, variant, variant).1,
            (Some(baseline), Scale::Ratio) => {
                self.relative(metric, baseline, variant, |own, by| own / by)
            }
            (Some(baseline), Scale::Difference) => {
                self.relative(metric, baseline, variant, |own, by| own - by)
            }
        };
        Sample::of(values, counts)
    }

    fn relative(
        &self,
        metric: &Metric,
        baseline: &str,
        variant: &str,
        by: impl Fn(f64, f64) -> f64,
    ) -> Vec<f64> {
        let (old, new) = self.runs.pairs(metric, baseline, variant);
        let pairs = old.iter().zip(&new);
        pairs
            .map(|(old, new)| by(*new, *old))
            .filter(|value| value.is_finite())
            .collect()
    }

    /// Whether values can be divided by the baseline's.
    fn divides(&self, metric: &Metric, variant: &str) -> bool {
        self.baseline.is_none_or(|baseline| {
            let (old, new) = self.runs.pairs(metric, baseline, variant);
            old.iter().chain(&new).all(|value| *value > 0.0)
        })
    }
}

fn cell(sides: &[Side<'_>; 2], metric: &Metric, variant: &Variant, rules: &Rules) -> Cell {
    let scale = match sides.iter().all(|side| side.divides(metric, &variant.name)) {
        true => Scale::Ratio,
        false => Scale::Difference,
    };
    let [old, new] = [0, 1].map(|index: usize| sides[index].sample(metric, &variant.name, scale));
    let better: Better = metric.better;
    let test = stats::mann_whitney(&new.values, &old.values);
    let few = old.values.len().min(new.values.len());
    let least = (few > 0).then(|| stats::least_p(old.values.len(), new.values.len()));
    Cell {
        workload: metric.workload.clone(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        better,
        primary: metric.primary,
        variant: variant.name.clone(),
        same_as: None,
        pairs: few,
        effect: Effect::unpaired(
            scale,
            &old.values,
            &new.values,
            better,
            rules.confidence,
            SEED,
        ),
        p: test.map(|test| test.p),
        p_corrected: None,
        p_unpaired: None,
        p_least: least,
        p_least_planned: least,
        family: 0,
        aa_spread: None,
        verdict: crate::judge::Verdict::TooFew,
        why: String::new(),
        sample: new,
        baseline: old,
    }
}

/// What else differs.
fn warnings(old: &Results, new: &Results) -> Vec<String> {
    let (before, after) = (&old.environment, &new.environment);
    let accelerator =
        |environment: &Environment| environment.accelerator.clone().unwrap_or_default();
    let pairs = [
        ("experiment", old.experiment.clone(), new.experiment.clone()),
        ("backend", before.backend.clone(), after.backend.clone()),
        ("kernel", before.kernel.clone(), after.kernel.clone()),
        ("machine", before.machine.clone(), after.machine.clone()),
        (
            "number of CPUs",
            before.cpus.to_string(),
            after.cpus.to_string(),
        ),
        (
            "processor",
            before.processor.clone(),
            after.processor.clone(),
        ),
        ("accelerator", accelerator(before), accelerator(after)),
        ("seed", old.seed.to_string(), new.seed.to_string()),
    ];
    let differs = |(what, old, new): (&str, String, String)| {
        (old != new).then(|| format!("The {what} differs: `{old}` before, `{new}` now."))
    };
    let mut warnings: Vec<String> = pairs.into_iter().filter_map(differs).collect();
    let names: BTreeSet<&String> = before
        .versions
        .keys()
        .chain(after.versions.keys())
        .collect();
    for name in names {
        let version =
            |environment: &Environment| environment.versions.get(name).cloned().unwrap_or_default();
        warnings.extend(differs((
            &format!("version of {name}"),
            version(before),
            version(after),
        )));
    }
    for now in &new.workloads {
        let other = old.workloads.iter().find(|other| other.name == now.name);
        let others = other
            .map(|other| other.what.clone())
            .unwrap_or_else(|| now.what.clone());
        warnings.extend(differs((
            &format!("workload {}", now.name),
            others,
            now.what.clone(),
        )));
    }
    warnings
}

/// What only one of them has.
fn lonely(old: &Results, new: &Results) -> Vec<String> {
    let variants = |results: &Results| names(results.variants.iter().map(|variant| &variant.name));
    let workloads = |results: &Results| names(results.workloads.iter().map(|load| &load.name));
    let kinds = [
        ("variants", variants(old), variants(new)),
        ("workloads", workloads(old), workloads(new)),
    ];
    let mut notes = Vec::new();
    for (kind, old, new) in kinds {
        for (age, mine, other) in [("old", &old, &new), ("new", &new, &old)] {
            let lonely: Vec<&str> = mine.difference(other).map(String::as_str).collect();
            if !lonely.is_empty() {
                notes.push(format!(
                    "Only the {age} results have the {kind} {}.",
                    lonely.join(", ")
                ));
            }
        }
    }
    notes
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    names.cloned().collect()
}

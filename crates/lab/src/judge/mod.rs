//! From results to verdicts: each metric of each workload under each variant, against the first
//! variant.
//!
//! - here: what a judgement is, and the order of its making;
//! - `samples`: which runs count, and how they pair;
//! - [`effect`]: how far two samples differ;
//! - [`account`]: whether a run can have done the work that it reports;
//! - `verdict`: the rules.
//!
//! docs/statistics.md tells the method, and what was measured of it.

pub mod account;
pub mod effect;
pub(crate) mod samples;
pub(crate) mod verdict;

use std::collections::BTreeMap;

use baton_workload::Better;
use serde::{Deserialize, Serialize};

use crate::results::{Metric, Results, Status, Variant};
use crate::stats;

pub use account::{Limits, Refusal};
pub use effect::{Effect, Scale};
pub(crate) use samples::{Counts, Runs};

/// What a verdict takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Pairs of runs below which nothing is called better or worse.
    pub runs_min: usize,
    /// The greatest corrected p that shows a difference.
    pub level: f64,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// What is believed of CPU time.
    pub limits: Limits,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            runs_min: 10,
            level: 0.05,
            confidence: 0.95,
            limits: Limits::default(),
        }
    }
}

/// What is said of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Better than the baseline, and shown to be.
    Better,
    /// Worse than the baseline, and shown to be.
    Worse,
    /// No difference was shown. There may be one.
    NoDifference,
    /// There are too few runs to say anything.
    TooFew,
    /// Runs of the variant failed, and what is left is too little.
    Failed,
    /// The variant reports what it cannot have done.
    Refused,
}

impl Verdict {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no difference shown",
            Self::TooFew => "too few runs",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.text())
    }
}

/// What all values of one variant in a cell are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The values that were compared, round by round.
    pub values: Vec<f64>,
    /// Their median.
    pub median: Option<f64>,
    /// The middle half of them lies between these.
    pub quartiles: Option<[f64; 2]>,
    /// The median absolute deviation times 1.4826, as a share of the median.
    pub spread: Option<f64>,
    /// How its runs of the workload ended, whether compared or not.
    pub runs: BTreeMap<Status, usize>,
    /// Rounds in which it was not run at all.
    pub missing: usize,
}

impl Sample {
    pub(crate) fn of(values: Vec<f64>, counts: Counts) -> Self {
        Self {
            median: stats::median(&values),
            quartiles: stats::quartiles(&values),
            spread: stats::spread(&values),
            values,
            runs: counts.by_status,
            missing: counts.missing,
        }
    }

    /// Runs that did not end well, refused ones included.
    pub fn failures(&self) -> usize {
        let failed = self
            .runs
            .iter()
            .filter(|(status, _)| **status != Status::Ok);
        failed.map(|(_, count)| count).sum()
    }
}

/// One metric of one workload under one variant, against the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The workload.
    pub workload: String,
    /// The metric.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether the metric stands for the workload.
    pub primary: bool,
    /// The variant.
    pub variant: String,
    /// Of an A/A check, the variant that it is the same as.
    pub same_as: Option<String>,
    /// The variant's values.
    pub sample: Sample,
    /// The baseline's.
    pub baseline: Sample,
    /// Rounds in which both have a value.
    pub pairs: usize,
    /// How far the two differ; none of no pairs.
    pub effect: Option<Effect>,
    /// p of Wilcoxon's test of the pairs, two-sided; of samples that do not pair, that of Mann and Whitney. None
    /// of no values.
    pub p: Option<f64>,
    /// The same, corrected for the number of cells in the family.
    pub p_corrected: Option<f64>,
    /// p of Mann and Whitney's test, which takes no notice of pairs. No verdict rests on it: under drift it
    /// sees little.
    pub p_unpaired: Option<f64>,
    /// The smallest p that these runs can lead to, whichever way the pairs differ: equal pairs say
    /// nothing.
    pub p_least: Option<f64>,
    /// The smallest p that this number of runs can lead to, if no pairs are equal.
    pub p_least_planned: Option<f64>,
    /// How many cells are corrected together.
    pub family: usize,
    /// What the A/A check found for this metric: how far the same thing differs from itself. On the scale
    /// of [`Cell::effect`]: the greatest factor, at least 1, or the greatest difference, at least 0.
    pub aa_spread: Option<f64>,
    /// What is said of it.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub why: String,
}

/// What is to be said of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// By which rules.
    pub rules: Rules,
    /// What the others are compared with.
    pub baseline: String,
    /// All cells, workload by workload, metric by metric, variant by variant.
    pub cells: Vec<Cell>,
    /// Runs that are not believed.
    pub refused: Vec<Refusal>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Judges.
pub fn judge(results: &Results, rules: &Rules) -> Judgement {
    let mut judgement = Judgement {
        rules: *rules,
        baseline: String::new(),
        cells: Vec::new(),
        refused: Vec::new(),
        notes: Vec::new(),
    };
    let Some(baseline) = results.variants.first() else {
        judgement.notes.push("There are no variants.".into());
        return judgement;
    };
    judgement.baseline.clone_from(&baseline.name);
    let audit = account::audit(results, &rules.limits);
    judgement.notes.extend(audit.notes);
    judgement.refused = audit.refused;
    let runs = Runs::new(results, &judgement.refused);
    for metric in results.metrics_in_order() {
        for variant in results.variants.iter().skip(1) {
            let cell = compare(&runs, metric, variant, baseline, rules);
            judgement.cells.push(cell);
        }
        add_aa_spread(&mut judgement.cells, &runs, metric, results, rules);
    }
    correct(&mut judgement.cells);
    for cell in &mut judgement.cells {
        (cell.verdict, cell.why) = verdict::of(cell, rules, "the baseline");
    }
    judgement.notes.extend(notes(&judgement, results));
    judgement
}

fn compare(
    runs: &Runs<'_>,
    metric: &Metric,
    variant: &Variant,
    baseline: &Variant,
    rules: &Rules,
) -> Cell {
    let (old, new) = runs.pairs(metric, &baseline.name, &variant.name);
    let pairs = new.len();
    let effect = Effect::paired(&old, &new, metric.better, rules.confidence);
    let unpaired = stats::mann_whitney(&new, &old);
    let shifts = effect.and_then(|effect| effect::shifts(effect.scale, &old, &new));
    Cell {
        workload: metric.workload.clone(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        better: metric.better,
        primary: metric.primary,
        variant: variant.name.clone(),
        same_as: variant.same_as.clone(),
        sample: Sample::of(new, runs.counts(&metric.workload, &variant.name)),
        baseline: Sample::of(old, runs.counts(&metric.workload, &baseline.name)),
        pairs,
        effect,
        p: shifts.as_deref().and_then(stats::signed_rank),
        p_corrected: None,
        p_unpaired: unpaired.map(|test| test.p),
        p_least: shifts.as_deref().and_then(stats::least_signed_p_of),
        p_least_planned: (pairs > 0).then(|| stats::least_signed_p(pairs)),
        family: 0,
        aa_spread: None,
        verdict: Verdict::TooFew,
        why: String::new(),
    }
}

/// Gives the cells of this metric what its A/A checks found. A check's own cell has no use of it: it
/// is judged as any other, and what it finds is a false alarm.
fn add_aa_spread(
    cells: &mut [Cell],
    runs: &Runs<'_>,
    metric: &Metric,
    results: &Results,
    rules: &Rules,
) {
    let checks = results.variants.iter().filter_map(|variant| {
        let original = variant.same_as.as_ref()?;
        let (old, new) = runs.pairs(metric, original, &variant.name);
        let both = [Scale::Ratio, Scale::Difference];
        Some(both.map(|scale| Effect::on(scale, &old, &new, metric.better, rules.confidence)))
    });
    let checks: Vec<[Option<Effect>; 2]> = checks.collect();
    let cells = cells.iter_mut().filter(|cell| {
        cell.workload == metric.workload && cell.metric == metric.name && cell.same_as.is_none()
    });
    for cell in cells {
        let Some(effect) = cell.effect else { continue };
        let middle = cell.baseline.median.unwrap_or_default().abs();
        let reach = |[ratio, difference]: &[Option<Effect>; 2]| match (effect.scale, ratio) {
            (Scale::Ratio, Some(ratio)) => Some(ratio.reach()),
            // The check has values of 0, and the cell has none.
            (Scale::Ratio, None) => Some(1.0 + difference.as_ref()?.reach() / middle),
            (Scale::Difference, _) => Some(difference.as_ref()?.reach()),
        };
        cell.aa_spread = checks.iter().filter_map(reach).reduce(f64::max);
    }
}

/// Corrects p within each family, which is what one question is answered by: the primary metrics of a
/// variant; its other metrics of one workload; and the same of A/A checks. What is the same in all pairs can
/// show nothing whichever is which, and makes nothing harder to show.
pub(crate) fn correct(cells: &mut [Cell]) {
    let family = |cell: &Cell| {
        let workload = (!cell.primary).then(|| cell.workload.clone());
        (cell.variant.clone(), workload)
    };
    let mut families: BTreeMap<(String, Option<String>), Vec<usize>> = BTreeMap::new();
    for (index, cell) in cells.iter_mut().enumerate() {
        match cell.sample.values == cell.baseline.values {
            true => (cell.p_corrected, cell.family) = (cell.p, 1),
            false if cell.p.is_some() => families.entry(family(cell)).or_default().push(index),
            false => {}
        }
    }
    for members in families.values() {
        let ps: Vec<f64> = members.iter().filter_map(|&index| cells[index].p).collect();
        for (&index, corrected) in members.iter().zip(stats::holm(&ps)) {
            cells[index].p_corrected = Some(corrected);
            cells[index].family = members.len();
        }
    }
}

fn notes(judgement: &Judgement, results: &Results) -> Vec<String> {
    let alarms = judgement.cells.iter().filter(|cell| {
        cell.same_as.as_ref() == Some(&judgement.baseline)
            && matches!(cell.verdict, Verdict::Better | Verdict::Worse)
    });
    let mut notes: Vec<String> = alarms
        .map(|cell| {
            let (metric, variant) = (&cell.metric, &cell.variant);
            let verdict = cell.verdict;
            format!(
                "The A/A check failed: {variant} is the same as {} and was judged {verdict} in \
                 {metric} of {}. Believe no verdict on this metric before it is known why.",
                judgement.baseline, cell.workload
            )
        })
        .collect();
    if !results
        .variants
        .iter()
        .any(|variant| variant.same_as.is_some())
    {
        notes.push(
            "There is no A/A check: nothing tells how far a variant differs from itself.".into(),
        );
    }
    notes
}

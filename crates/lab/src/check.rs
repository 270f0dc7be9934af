//! Whether results are good enough for somebody's continuous integration: no metric is worse than a
//! threshold allows, and shown to be.

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::judge::{Cell, Effect, Scale, Verdict, verdict::failures};
use crate::results::{Metric, Results, Status};
use crate::table;

/// How much worse a metric may be, by what it is called: `primary`, `secondary`, a metric's name, or
/// `WORKLOAD/METRIC`. The closest counts; what nothing names is not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    ratios: BTreeMap<String, f64>,
}

/// Why thresholds cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// It is not `NAME=RATIO`.
    #[error("`{0}` is no threshold: give a name and a ratio, such as primary=1.05")]
    Form(String),
    /// A ratio that would call the better worse, or everything good.
    #[error("the threshold of `{0}` is {1}: a ratio from 1 to 1000 is needed, such as 1.05")]
    Ratio(String, f64),
    /// The file is no TOML of names and numbers.
    #[error("the thresholds cannot be read: {0}")]
    File(String),
    /// Nothing is called so.
    #[error(
        "nothing is called `{0}`: name `primary`, `secondary`, a metric, or WORKLOAD/METRIC; there are {1}"
    )]
    Unknown(String, String),
}

impl Default for Thresholds {
    /// Primary metrics may be 5 % worse.
    fn default() -> Self {
        Self {
            ratios: BTreeMap::from([("primary".to_owned(), 1.05)]),
        }
    }
}

impl Thresholds {
    /// Nothing is checked.
    pub const fn none() -> Self {
        Self {
            ratios: BTreeMap::new(),
        }
    }

    /// Adds others, which count where both name the same.
    pub fn add(&mut self, other: Self) {
        self.ratios.extend(other.ratios);
    }

    /// From texts such as `primary=1.05`.
    ///
    /// # Errors
    ///
    /// One of them has another form, or a ratio out of range.
    pub fn from_words(words: &[String]) -> Result<Self, Error> {
        let mut ratios = BTreeMap::new();
        for word in words {
            // Names of workloads have equals signs too.
            let (name, ratio) = word
                .rsplit_once('=')
                .ok_or_else(|| Error::Form(word.clone()))?;
            let ratio = f64::from_str(ratio.trim()).map_err(|_| Error::Form(word.clone()))?;
            ratios.insert(name.trim().to_owned(), ratio);
        }
        Self::checked(ratios)
    }

    /// From TOML: `primary = 1.05`, `"pipe/pipe.time_s" = 1.1`.
    ///
    /// # Errors
    ///
    /// It is no TOML, or a value is no ratio.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let ratios = toml::from_str(text).map_err(|error| Error::File(error.to_string()))?;
        Self::checked(ratios)
    }

    fn checked(ratios: BTreeMap<String, f64>) -> Result<Self, Error> {
        let wrong = ratios
            .iter()
            .find(|(_, ratio)| !(1.0..=1000.0).contains(*ratio));
        match wrong {
            Some((name, ratio)) => Err(Error::Ratio(name.clone(), *ratio)),
            None => Ok(Self { ratios }),
        }
    }

    /// Whether each name means something among these cells.
    ///
    /// # Errors
    ///
    /// One does not.
    pub fn fit(&self, cells: &[Cell]) -> Result<(), Error> {
        let known = |name: &str| {
            matches!(name, "primary" | "secondary")
                || cells
                    .iter()
                    .any(|cell| cell.metric == name || full_name(cell) == name)
        };
        let Some(name) = self.ratios.keys().find(|name| !known(name)) else {
            return Ok(());
        };
        let mut metrics: Vec<&str> = cells.iter().map(|cell| cell.metric.as_str()).collect();
        metrics.sort_unstable();
        metrics.dedup();
        let metrics = table::printable(&metrics.join(", "));
        Err(Error::Unknown(name.clone(), metrics))
    }

    /// How much worse this cell may be; none if it is not checked.
    pub fn of(&self, cell: &Cell) -> Option<f64> {
        self.named(&cell.workload, &cell.metric, cell.primary)
    }

    fn named(&self, workload: &str, metric: &str, primary: bool) -> Option<f64> {
        let kind = if primary { "primary" } else { "secondary" };
        let full = format!("{workload}/{metric}");
        let names = [full.as_str(), metric, kind];
        names
            .iter()
            .find_map(|&name| self.ratios.get(name))
            .copied()
    }
}

fn full_name(cell: &Cell) -> String {
    format!("{}/{}", cell.workload, cell.metric)
}

/// What the check says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether there is no regression and no problem.
    pub passed: bool,
    /// Why the results cannot be checked as they should be. Each fails the check.
    pub problems: Vec<String>,
    /// What is worse than allowed, and shown to be; what failed, and what is refused.
    pub regressions: Vec<Finding>,
    /// What there are too few runs for to say anything.
    pub unsure: Vec<Finding>,
    /// How many cells have a threshold.
    pub checked: usize,
    /// What a reader must know of the results.
    pub warnings: Vec<String>,
}

/// One cell of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The workload.
    pub workload: String,
    /// The metric.
    pub metric: String,
    /// The variant.
    pub variant: String,
    /// The verdict on it.
    pub verdict: Verdict,
    /// How far it differs.
    pub effect: Option<Effect>,
    /// How much worse it might be, as a ratio.
    pub threshold: f64,
    /// Why it is here, in a sentence.
    pub why: String,
}

impl Outcome {
    /// Adds problems; any fails the check.
    pub fn add(&mut self, problems: impl IntoIterator<Item = String>) {
        self.problems.extend(problems);
        self.passed &= self.problems.is_empty();
    }
}

/// Workloads of which no run came to its end: nothing is known of them.
pub fn unmeasured(results: &Results) -> Vec<String> {
    let is_measured = |name: &str| {
        let mut runs = results.runs.iter();
        runs.any(|run| run.workload == name && run.status == Status::Ok)
    };
    let names = results.workloads.iter().map(|workload| &workload.name);
    names
        .filter(|name| !is_measured(name))
        .map(|name| format!("no run of the workload {name} came to its end"))
        .collect()
}

/// What the old results have and the new ones lack, so that it cannot be held against them: variants,
/// workloads, and metrics with a threshold.
pub fn missing(old: &Results, new: &Results, thresholds: &Thresholds) -> Vec<String> {
    let mut missing = Vec::new();
    for old in &old.variants {
        if !new.variants.iter().any(|new| new.name == old.name) {
            missing.push(format!("the variant {} is missing now", old.name));
        }
    }
    for old in &old.workloads {
        if !new.workloads.iter().any(|new| new.name == old.name) {
            missing.push(format!("the workload {} is missing now", old.name));
        }
    }
    let same = |old: &Metric, new: &Metric| {
        let what = |metric: &Metric| (metric.unit.clone(), metric.better);
        (&old.workload, &old.name) == (&new.workload, &new.name) && what(old) == what(new)
    };
    let checked = old.metrics.iter().filter(|metric| {
        let (workload, name) = (&metric.workload, &metric.name);
        thresholds.named(workload, name, metric.primary).is_some()
    });
    for old in checked {
        if !new.metrics.iter().any(|new| same(old, new)) {
            missing.push(format!(
                "the metric {} of {} is missing now, or has another unit or direction",
                old.name, old.workload
            ));
        }
    }
    missing
}

/// Checks cells, of a judgement or a comparison, whose notes are passed on. A/A checks are left out.
/// That nothing is left to check is a problem.
pub fn check(cells: &[Cell], thresholds: &Thresholds, warnings: Vec<String>) -> Outcome {
    let mut outcome = Outcome {
        passed: true,
        problems: Vec::new(),
        regressions: Vec::new(),
        unsure: Vec::new(),
        checked: 0,
        warnings,
    };
    let mut pairs = 0;
    for cell in cells.iter().filter(|cell| cell.same_as.is_none()) {
        let Some(threshold) = thresholds.of(cell) else {
            continue;
        };
        outcome.checked += 1;
        pairs += cell.pairs;
        let finding = Finding {
            workload: cell.workload.clone(),
            metric: cell.metric.clone(),
            variant: cell.variant.clone(),
            verdict: cell.verdict,
            effect: cell.effect,
            threshold,
            why: reason(cell, threshold),
        };
        match cell.verdict {
            _ if fails_more(cell) => outcome.regressions.push(finding),
            Verdict::Failed | Verdict::Refused => outcome.regressions.push(finding),
            Verdict::Worse if is_beyond(cell, threshold) => outcome.regressions.push(finding),
            Verdict::TooFew => outcome.unsure.push(finding),
            Verdict::Worse | Verdict::Better | Verdict::NoDifference => {}
        }
    }
    outcome.passed = outcome.regressions.is_empty();
    if outcome.checked == 0 || pairs == 0 {
        outcome.add([
            "nothing was checked: there is no metric with a threshold, measured under two variants"
                .to_owned(),
        ]);
    }
    outcome
}

/// Whether more runs of the variant failed than of what it is compared with. What is left of them may
/// look well.
fn fails_more(cell: &Cell) -> bool {
    cell.sample.failures() > cell.baseline.failures()
}

/// A difference has no ratio to be held against the threshold: that it is shown is enough.
fn is_beyond(cell: &Cell, threshold: f64) -> bool {
    cell.effect.is_some_and(|effect| match effect.scale {
        Scale::Ratio => effect.median > threshold,
        Scale::Difference => true,
    })
}

fn reason(cell: &Cell, threshold: f64) -> String {
    match (cell.verdict, cell.effect) {
        (Verdict::Worse, Some(effect)) => format!(
            "{} ({}), allowed {}",
            table::on_scale(effect.scale, effect.median),
            table::interval(&effect),
            match effect.scale {
                Scale::Ratio => table::ratio(threshold),
                Scale::Difference => "no shown difference, for there is no ratio".to_owned(),
            }
        ),
        (Verdict::Better | Verdict::NoDifference | Verdict::TooFew, _) if fails_more(cell) => {
            format!(
                "{}, and {} of what it is compared with",
                failures(&cell.sample).unwrap_or_default(),
                failures(&cell.baseline).unwrap_or_else(|| "none".to_owned())
            )
        }
        _ => cell.why.clone(),
    }
}

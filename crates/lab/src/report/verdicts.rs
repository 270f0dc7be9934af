//! The tables of verdicts: every metric of every workload under every variant.

use std::collections::BTreeMap;

use baton_workload::Better;

use super::forest::{Axis, Forest};
use super::numbers::{Scale, align, digits, probability};
use super::runs::{Runs, word};
use crate::judge::{self, Cell, Effect, Judgement, Verdict};
use crate::results::{Metric, Results};
use crate::stats::median;

/// A table: one group of rows for each metric, all on one axis.
pub(super) struct Table {
    pub(super) axis: Axis,
    pub(super) groups: Vec<Group>,
}

/// A metric.
pub(super) struct Group {
    pub(super) workload: String,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) better: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A metric under a variant.
pub(super) struct Row {
    pub(super) variant: String,
    /// The variant's place, for its colour.
    pub(super) index: usize,
    pub(super) base: bool,
    pub(super) median: String,
    pub(super) ratio: String,
    pub(super) interval: String,
    pub(super) forest: Option<Forest>,
    pub(super) mark: Mark,
    pub(super) word: String,
    /// Why the verdict is what it is.
    pub(super) why: String,
    /// What is to be said of its runs.
    pub(super) note: String,
    pub(super) runs: String,
    pub(super) p: String,
    /// p of the test that takes no notice of pairs.
    pub(super) p_unpaired: String,
    pub(super) p_corrected: String,
    pub(super) p_least: String,
}

/// What a verdict looks like, also without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Base,
    Better,
    Worse,
    Same,
    Few,
    Broken,
}

impl Mark {
    /// Of a verdict.
    pub(super) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Better => Self::Better,
            Verdict::Worse => Self::Worse,
            Verdict::NoDifference => Self::Same,
            Verdict::TooFew => Self::Few,
            Verdict::Failed | Verdict::Refused => Self::Broken,
        }
    }

    /// Whether there is nothing to compare.
    pub(super) fn is_broken(self) -> bool {
        self == Self::Broken
    }

    /// Its class in the page.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Few => "few",
            Self::Broken => "broken",
        }
    }

    /// Its shape around the origin: a triangle to the side on which it lies, a circle, a dashed
    /// circle, a cross.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Better => "M-6 0L4 -5.2V5.2Z",
            Self::Worse => "M6 0L-4 -5.2V5.2Z",
            Self::Broken => "M-4.2 -4.2L4.2 4.2M-4.2 4.2L4.2 -4.2",
            Self::Base | Self::Same | Self::Few => "M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z",
        }
    }
}

/// The metrics that stand for their workloads, or the others.
pub(super) fn table(
    results: &Results,
    judgement: &Judgement,
    runs: &Runs<'_>,
    primary: bool,
) -> Table {
    let mut by_cell: BTreeMap<(&str, &str, &str), &Cell> = BTreeMap::new();
    for cell in judgement
        .cells
        .iter()
        .filter(|cell| cell.primary == primary)
    {
        by_cell.insert((&cell.workload, &cell.metric, &cell.variant), cell);
    }
    let axis = Axis::over(
        by_cell.values().filter_map(|cell| cell.effect),
        by_cell.values().filter_map(|cell| band(cell)),
    );
    let groups = metrics(results, primary).map(|metric| {
        let scale = scale(results, runs, metric);
        let rows = results.variants.iter().enumerate().map(|(index, variant)| {
            let key = (
                metric.workload.as_str(),
                metric.name.as_str(),
                variant.name.as_str(),
            );
            let cell = by_cell.get(&key).copied();
            let about = About {
                runs,
                metric,
                variant: &variant.name,
                index,
                scale: &scale,
            };
            about.row(cell, &axis)
        });
        let mut rows: Vec<Row> = rows.collect();
        align(
            &mut rows
                .iter_mut()
                .map(|row| &mut row.median)
                .collect::<Vec<_>>(),
        );
        align(
            &mut rows
                .iter_mut()
                .map(|row| &mut row.ratio)
                .collect::<Vec<_>>(),
        );
        Group {
            workload: metric.workload.clone(),
            metric: name(metric).to_owned(),
            unit: scale.unit,
            better: direction(metric.better),
            rows,
        }
    });
    Table {
        groups: groups.collect(),
        axis,
    }
}

/// The metrics, workload by workload.
pub(super) fn metrics(results: &Results, primary: bool) -> impl Iterator<Item = &Metric> {
    results.workloads.iter().flat_map(move |workload| {
        let metrics = results.metrics.iter();
        metrics.filter(move |m| m.workload == workload.name && m.primary == primary)
    })
}

/// The band in which ratios of the same thing lay; none where that is not known as a ratio.
fn band(cell: &Cell) -> Option<(f64, f64)> {
    let effect = cell
        .effect
        .filter(|effect| effect.scale == judge::Scale::Ratio)?;
    let spread = cell
        .aa_spread
        .filter(|spread| spread.is_finite() && *spread >= 1.0)?;
    effect.median.is_finite().then_some((1.0 / spread, spread))
}

/// A metric's name without its unit, which is shown beside it and may be another.
pub(super) fn name(metric: &Metric) -> &str {
    let stripped = metric.name.strip_suffix(metric.unit.as_str());
    stripped
        .and_then(|name| name.strip_suffix('_'))
        .unwrap_or(&metric.name)
}

/// How the values of a metric are shown: as suits the first variant that has some.
pub(super) fn scale(results: &Results, runs: &Runs<'_>, metric: &Metric) -> Scale {
    let values = |variant: &str| runs.values(&metric.workload, &metric.name, variant);
    let medians = results
        .variants
        .iter()
        .filter_map(|variant| median(&values(&variant.name)));
    let size = medians.map(f64::abs).find(|median| *median > 0.0);
    let largest = || {
        let all = results
            .variants
            .iter()
            .flat_map(|variant| values(&variant.name));
        all.map(f64::abs).fold(0.0, f64::max)
    };
    Scale::of(&metric.unit, size.unwrap_or_else(largest))
}

/// The direction in which a metric improves.
pub(super) fn direction(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
    }
}

/// A row that is to be made.
struct About<'a> {
    runs: &'a Runs<'a>,
    metric: &'a Metric,
    variant: &'a str,
    index: usize,
    scale: &'a Scale,
}

impl About<'_> {
    fn row(&self, cell: Option<&Cell>, axis: &Axis) -> Row {
        let base = self.index == 0;
        let values = self
            .runs
            .values(&self.metric.workload, &self.metric.name, self.variant);
        let (mark, word) = match cell {
            _ if base && !values.is_empty() => (Mark::Base, "baseline".to_owned()),
            Some(cell) => (Mark::of(cell.verdict), self.word(cell.verdict)),
            None => (Mark::Broken, "no value".to_owned()),
        };
        let effect = cell.and_then(|cell| cell.effect);
        let (ratio, interval) = match effect {
            Some(effect) => self.effect(effect),
            None if base => Default::default(),
            None => ("–".to_owned(), String::new()),
        };
        let pairs = cell.map_or(values.len(), |cell| cell.pairs);
        let or_nothing = |p: fn(&Cell) -> Option<f64>| match base {
            true => String::new(),
            false => probability(cell.and_then(p)),
        };
        Row {
            variant: self.variant.to_owned(),
            index: self.index,
            base,
            median: median(&values).map_or("–".to_owned(), |median| self.scale.show(median)),
            ratio,
            interval,
            forest: effect.and_then(|effect| axis.draw(effect, cell.and_then(band))),
            mark,
            word,
            why: cell.map_or(String::new(), |cell| cell.why.clone()),
            note: self.troubles(),
            runs: pairs.to_string(),
            p: or_nothing(|cell| cell.p),
            p_unpaired: or_nothing(|cell| cell.p_unpaired),
            p_corrected: or_nothing(|cell| cell.p_corrected),
            p_least: or_nothing(|cell| cell.p_least),
        }
    }

    /// A verdict; where all runs failed, how they did.
    fn word(&self, verdict: Verdict) -> String {
        let troubles = self.runs.troubles(&self.metric.workload, self.variant);
        let all = self.runs.all(&self.metric.workload, self.variant).len();
        let only = troubles.iter().find(|(_, count)| **count == all);
        match (verdict, only) {
            (Verdict::Failed, Some((status, _))) => word(*status).to_owned(),
            (Verdict::Failed, None) => "too many failed".to_owned(),
            (verdict, _) => verdict.text().to_owned(),
        }
    }

    fn troubles(&self) -> String {
        let all = self.runs.all(&self.metric.workload, self.variant).len();
        let troubles = self.runs.troubles(&self.metric.workload, self.variant);
        if all == 0 {
            return "not run".to_owned();
        }
        let texts = troubles
            .iter()
            .map(|(status, count)| format!("{count} of {all} {}", word(*status)));
        texts.collect::<Vec<_>>().join(", ")
    }

    /// An effect and its interval as texts.
    fn effect(&self, effect: Effect) -> (String, String) {
        let show = |value: f64| match effect.scale {
            judge::Scale::Ratio => digits(value),
            judge::Scale::Difference => {
                let sign = if value > 0.0 { "+" } else { "" };
                format!("{sign}{}", self.scale.show(value))
            }
        };
        let interval = format!("{} – {}", show(effect.low), show(effect.high));
        (show(effect.median), interval)
    }
}

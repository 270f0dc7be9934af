//! Medians and ratios of what was measured.

use std::{collections::BTreeMap, time::Duration};

use baton_workload::{Better, Metric};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    BASELINE,
    guest::{Line, Plan},
};

/// What a bench found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Workload by workload, metric by metric, variant by variant.
    pub(crate) cells: Vec<Cell>,
    /// The relay's counters of each policy, summed over the rounds.
    pub(crate) counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Longest wait of a runnable task under each policy, in milliseconds.
    pub(crate) wait_max_ms: BTreeMap<String, f64>,
    /// What could not be measured.
    pub(crate) failures: Vec<String>,
    /// The guest's kernel.
    pub(crate) kernel: String,
    /// The guest's machine.
    pub(crate) machine: String,
    /// Rounds.
    pub(crate) runs: u32,
    /// The seed.
    pub(crate) seed: u64,
    /// How many VMs it took: more than one where a guest died; 0 in files of earlier builds.
    #[serde(default)]
    pub(crate) boots: u32,
    /// All of it, boots included.
    pub(crate) wall_s: f64,
}

/// Where and how long it ran.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// The guest's kernel.
    pub(crate) kernel: String,
    /// The guest's machine.
    pub(crate) machine: String,
    /// VMs.
    pub(crate) boots: u32,
    /// From the first boot to the last end.
    pub(crate) wall: Duration,
}

/// One metric of one workload under one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The workload.
    pub(crate) workload: String,
    /// The policy, or the baseline.
    pub(crate) variant: String,
    /// The part of the workload that the metric is of: the first, which is the one that is
    /// measured, or one beside it.
    pub(crate) part: String,
    /// The metric.
    pub(crate) metric: String,
    /// Its unit.
    pub(crate) unit: String,
    /// Whether it stands for the workload.
    pub(crate) primary: bool,
    /// The median over the rounds; none if nothing was measured.
    pub(crate) median: Option<f64>,
    /// Between the lower quartile and the upper one lies the middle half of the rounds.
    pub(crate) quartiles: Option<[f64; 2]>,
    /// To the baseline's median, turned so that above 1 is worse; none where there is
    /// nothing to compare with.
    pub(crate) ratio: Option<f64>,
    /// How many rounds were measured to their end.
    pub(crate) n: usize,
}

/// Sums the guest's lines up.
pub(crate) fn summarise(plan: &Plan, lines: Vec<Line>, ran: Ran) -> Summary {
    let mut summary = Summary {
        cells: cells(plan, &lines),
        counters: BTreeMap::new(),
        wait_max_ms: BTreeMap::new(),
        failures: Vec::new(),
        kernel: ran.kernel,
        machine: ran.machine,
        runs: plan.runs,
        seed: plan.seed,
        boots: ran.boots,
        wall_s: ran.wall.as_secs_f64(),
    };
    for line in lines {
        match line {
            Line::Policy {
                variant, report, ..
            } => summary.add_counters(&variant, &report),
            Line::Failed {
                round,
                variant,
                problem,
            } => {
                summary
                    .failures
                    .push(format!("round {}, {variant}: {problem}", round + 1));
            }
            Line::Cell {
                round,
                variant,
                report,
                ..
            } if !report.complete => {
                let notes = report.notes.join("; ");
                let workload = report.workload;
                let problem = format!("round {}, {variant}: {workload}: {notes}", round + 1);
                summary.failures.push(problem);
            }
            Line::Cell { .. } | Line::Round { .. } => {}
        }
    }
    summary
}

impl Summary {
    fn add_counters(&mut self, variant: &str, report: &Value) {
        let sums = self.counters.entry(variant.to_owned()).or_default();
        let counters = report["stats"]["counters"].as_object();
        for (name, value) in counters.into_iter().flatten() {
            *sums.entry(name.clone()).or_default() += value.as_u64().unwrap_or(0);
        }
        let wait_ms = report["stats"]["wait_max_ns"].as_f64().unwrap_or(0.0) / 1e6;
        let longest = self.wait_max_ms.entry(variant.to_owned()).or_default();
        *longest = longest.max(wait_ms);
    }
}

/// The values of one metric by variant, and what the metric is.
struct Series {
    metric: Metric,
    /// Whether it stands for the workload.
    primary: bool,
    values: BTreeMap<String, Vec<f64>>,
}

fn cells(plan: &Plan, lines: &[Line]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (index, named) in plan.workloads.iter().enumerate() {
        for series in series(index, lines) {
            let median_of = |variant: &str| series.values.get(variant).and_then(|v| median(v));
            for variant in plan.variants() {
                let value = median_of(variant);
                cells.push(Cell {
                    workload: named.name.clone(),
                    variant: variant.to_owned(),
                    part: series.metric.part.clone(),
                    metric: series.metric.name.clone(),
                    unit: series.metric.unit.clone(),
                    primary: series.primary,
                    median: value,
                    quartiles: series.values.get(variant).and_then(|v| quartiles(v)),
                    ratio: value
                        .and_then(|value| ratio(value, median_of(BASELINE)?, series.metric.better)),
                    n: series.values.get(variant).map_or(0, Vec::len),
                });
            }
        }
    }
    cells
}

/// The metrics of a workload's first part, which is the one that is measured, and the
/// primary ones of the others, which tell what the first one cost them; from the runs
/// that came to their end.
fn series(index: usize, lines: &[Line]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for line in lines {
        let Line::Cell {
            variant,
            workload,
            report,
            ..
        } = line
        else {
            continue;
        };
        let Some(first) = report
            .primary()
            .filter(|_| *workload == index && report.complete)
        else {
            continue;
        };
        for metric in report
            .metrics
            .iter()
            .filter(|metric| metric.part == first.part || metric.primary)
        {
            let same = |other: &Metric| (&other.part, &other.name) == (&metric.part, &metric.name);
            let at = all.iter().position(|series| same(&series.metric));
            let at = at.unwrap_or_else(|| {
                all.push(Series {
                    metric: metric.clone(),
                    primary: metric.part == first.part && metric.primary,
                    values: BTreeMap::new(),
                });
                all.len() - 1
            });
            all[at]
                .values
                .entry(variant.clone())
                .or_default()
                .push(metric.value);
        }
    }
    all
}

pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The values below which a quarter and three quarters lie, between neighbours in
/// proportion.
fn quartiles(values: &[f64]) -> Option<[f64; 2]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some([0.25, 0.75].map(|part| {
        let place = part * last as f64;
        let below = place as usize;
        let above = sorted[(below + 1).min(last)];
        sorted[below] + (above - sorted[below]) * place.fract()
    }))
}

/// How much worse `value` is than `baseline`; none if one of them is 0 and the other
/// is not, for then there is no ratio.
fn ratio(value: f64, baseline: f64, better: Better) -> Option<f64> {
    let (over, under) = match better {
        Better::Lower => (value, baseline),
        Better::Higher => (baseline, value),
    };
    if value == baseline {
        return Some(1.0);
    }
    (over > 0.0 && under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::{super::guest::Named, *};

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn quarters() {
        assert_eq!(quartiles(&[]), None);
        assert_eq!(quartiles(&[7.0]), Some([7.0, 7.0]));
        assert_eq!(quartiles(&[5.0, 1.0, 2.0, 4.0, 3.0]), Some([2.0, 4.0]));
        assert_eq!(quartiles(&[1.0, 2.0]), Some([1.25, 1.75]));
    }

    #[test]
    fn above_one_is_worse() {
        assert_eq!(ratio(3.0, 2.0, Better::Lower), Some(1.5));
        assert_eq!(ratio(3.0, 6.0, Better::Higher), Some(2.0));
        assert_eq!(ratio(0.0, 0.0, Better::Lower), Some(1.0));
        assert_eq!(ratio(1.0, 0.0, Better::Lower), None);
        assert_eq!(ratio(0.0, 1.0, Better::Higher), None);
    }

    #[test]
    fn cells_of_a_small_bench() {
        let plan = Plan {
            first: 0,
            runs: 3,
            seed: 1,
            policies: vec!["fifo".into()],
            peers: Vec::new(),
            workloads: vec![Named {
                name: "pipe+hogs".into(),
                workload: "pipe+hogs".parse().unwrap(),
            }],
        };
        let lines: Vec<Line> = [
            ("kernel", 1.0),
            ("fifo", 3.0),
            ("kernel", 2.0),
            ("fifo", 4.0),
        ]
        .into_iter()
        .map(|(variant, value)| cell(variant, value))
        .collect();
        let cells = cells(&plan, &lines);
        assert_eq!(cells.len(), 4);
        let found = (cells[1].median, cells[1].n, cells[1].primary);
        assert_eq!(found, (Some(3.5), 2, true));
        assert_eq!(cells[1].ratio, Some(3.5 / 1.5));
        // The hogs' work, of which more is better, does not stand for the workload.
        let hogs = (cells[3].part.as_str(), cells[3].ratio, cells[3].primary);
        assert_eq!(hogs, ("hogs", Some(1.5 / 3.5), false));
    }

    fn cell(variant: &str, value: f64) -> Line {
        let report = serde_json::json!({
            "workload": "pipe", "parameters": "pipe", "seed": 1, "complete": true,
            "metrics": [
                {"part": "pipe", "name": "time_s", "unit": "s", "value": value,
                    "better": "lower", "primary": true},
                {"part": "hogs", "name": "work_per_s", "unit": "units/s", "value": value,
                    "better": "higher", "primary": true},
                {"part": "hogs", "name": "max_gap_ms", "unit": "ms", "value": value,
                    "better": "lower", "primary": false},
            ],
            "histograms": [], "wall_s": 1.0,
            "calibration": {"units_per_ms": 1.0, "spread": 0.0}, "notes": [],
        });
        let report = serde_json::from_value(report).unwrap();
        Line::Cell {
            round: 0,
            variant: variant.into(),
            workload: 0,
            report,
        }
    }
}

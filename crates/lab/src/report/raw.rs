//! Every value as it was measured, and what the schedulers counted.

use std::collections::BTreeSet;

use super::numbers::{digits, whole};
use super::runs::{Ended, Runs, ended, word};
use crate::judge::Judgement;
use crate::results::{Results, Run, Status};
use crate::stats::median;

/// A table of plain texts.
pub(super) struct Plain {
    pub(super) title: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<PlainRow>,
}

/// A row of it: the first cells are words, the others numbers.
pub(super) struct PlainRow {
    pub(super) well: bool,
    pub(super) words: Vec<String>,
    pub(super) numbers: Vec<String>,
}

/// The runs of each workload, in the order in which they ran. Runs of workloads that the
/// experiment does not name come last.
pub(super) fn tables(results: &Results, judgement: &Judgement) -> Vec<Plain> {
    let all = ended(results, judgement);
    let named = results
        .workloads
        .iter()
        .map(|workload| workload.name.as_str());
    let mut names: Vec<&str> = named.collect();
    for run in &results.runs {
        if !names.contains(&run.workload.as_str()) {
            names.push(&run.workload);
        }
    }
    names
        .into_iter()
        .map(|name| table(results, &all, name))
        .collect()
}

fn table(results: &Results, all: &[Ended<'_>], workload: &str) -> Plain {
    let of_it = all.iter().filter(|ended| ended.run.workload == workload);
    let runs: Vec<&Ended<'_>> = of_it.collect();
    let metrics = metrics(results, &runs, workload);
    let mut head: Vec<String> = ["round", "variant", "ended"].map(str::to_owned).to_vec();
    head.extend(metrics.iter().map(|(name, unit)| match *unit {
        "" | "1" => (*name).to_owned(),
        unit if name.ends_with(&format!("_{unit}")) => (*name).to_owned(),
        unit => format!("{name} ({unit})"),
    }));
    head.extend(["cpu_s", "wall_s", "boot", "seed"].map(str::to_owned));
    let exact = |value: Option<f64>| value.map_or("–".to_owned(), |value| value.to_string());
    let rows = runs.iter().map(|ended| {
        let run = ended.run;
        let how = match ended.problem {
            Some(problem) => format!("{}: {problem}", word(ended.status)),
            None => word(ended.status).to_owned(),
        };
        let values = metrics
            .iter()
            .map(|(name, _)| exact(run.values.get(*name).copied()));
        let mut numbers: Vec<String> = values.collect();
        numbers.extend([exact(run.cpu_s), run.wall_s.to_string()]);
        numbers.extend([run.boot.to_string(), run.seed.to_string()]);
        let round = (u64::from(run.round) + 1).to_string();
        PlainRow {
            well: ended.status == Status::Ok,
            words: vec![round, run.variant.clone(), how],
            numbers,
        }
    });
    Plain {
        title: workload.to_owned(),
        head,
        rows: rows.collect(),
    }
}

/// Names and units: of metrics that are described, then of values that no metric describes.
fn metrics<'a>(
    results: &'a Results,
    runs: &[&Ended<'a>],
    workload: &str,
) -> Vec<(&'a str, &'a str)> {
    let known = results
        .metrics
        .iter()
        .filter(|metric| metric.workload == workload);
    let mut metrics: Vec<(&str, &str)> = known
        .map(|metric| (metric.name.as_str(), metric.unit.as_str()))
        .collect();
    let values = runs.iter().flat_map(|ended| ended.run.values.keys());
    let measured: BTreeSet<&str> = values.map(String::as_str).collect();
    for name in measured {
        if !metrics.iter().any(|(known, _)| *known == name) {
            metrics.push((name, ""));
        }
    }
    metrics
}

/// What the schedulers counted: the median of each workload's runs under each variant.
pub(super) fn counters(results: &Results, runs: &Runs<'_>) -> Option<Plain> {
    let counted = results.runs.iter().flat_map(|run| run.counters.iter());
    let names: BTreeSet<&str> = counted
        .filter(|(_, count)| **count > 0)
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for workload in &results.workloads {
        for variant in &results.variants {
            let of_cell: Vec<&Run> = runs.well(&workload.name, &variant.name).collect();
            if of_cell.iter().all(|run| run.counters.is_empty()) {
                continue;
            }
            let number = |name: &&str| {
                let counts = of_cell.iter().filter_map(|run| run.counters.get(*name));
                let counts: Vec<f64> = counts.map(|count| *count as f64).collect();
                median(&counts).map_or("–".to_owned(), |median| match median.fract() == 0.0 {
                    true => whole(median as u64),
                    false => digits(median),
                })
            };
            rows.push(PlainRow {
                well: true,
                words: vec![workload.name.clone(), variant.name.clone()],
                numbers: names.iter().map(number).collect(),
            });
        }
    }
    let head = ["workload", "variant"]
        .into_iter()
        .chain(names.iter().copied());
    Some(Plain {
        title: "Counters of the schedulers, medians".to_owned(),
        head: head.map(str::to_owned).collect(),
        rows,
    })
}

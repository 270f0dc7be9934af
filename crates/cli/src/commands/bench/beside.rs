//! `baton bench sim`: what a VM measured, and beside it what the simulator says of the same cells.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, process::ExitCode};

use baton::{Mode, app::Failure};
use baton_machine::MachineFile;
use baton_sim::{Config, schedulers, simulate};
use baton_workload::{Workload, number};
use serde::Serialize;

use super::{
    BASELINE,
    print::is_shown,
    summary::{Cell, Summary, median},
};

/// In the simulator, beside what was measured
///
/// Simulates the workloads and policies of a bench again and prints, as Markdown, both
/// sides of each metric with the simulator's error, and whether the order of the
/// schedulers is the same where the measurement separates them: where the middle halves
/// of two schedulers' rounds lie apart.
#[derive(clap::Args)]
#[command(after_help = "Example:
  baton bench kernel --runs 5 --json > results.json
  baton bench sim results.json")]
pub(super) struct SimArgs {
    /// What `bench kernel --json` printed
    results: PathBuf,
    /// The machine whose costs the simulator takes: a name or a file
    #[arg(long, default_value = "2-cpu-emulated")]
    machine: String,
    /// Seeds to simulate, the first one that of the results
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Print JSON: `{"rows":[{"workload","metric","variant","measured","simulated","error"}], "pairs":[...]}`
    #[arg(long)]
    json: bool,
}

/// Both sides of a bench.
#[derive(Debug, Serialize)]
struct Comparison {
    rows: Vec<Row>,
    pairs: Vec<Pair>,
    /// What cannot be compared, and why.
    left_out: Vec<String>,
}

/// One metric of one workload under one scheduler.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    workload: String,
    part: String,
    metric: String,
    unit: String,
    primary: bool,
    variant: String,
    /// The median over the rounds, and the middle half of them.
    measured: f64,
    quartiles: [f64; 2],
    /// The median over the seeds.
    simulated: f64,
    /// Of the simulated to the measured one, less 1; none where that is 0.
    error: Option<f64>,
}

/// Two schedulers under one workload, by its primary metric.
#[derive(Debug, PartialEq, Serialize)]
struct Pair {
    workload: String,
    metric: String,
    /// The one with the lower value where they were measured.
    lower: String,
    higher: String,
    /// Whether the middle halves of their rounds lie apart.
    separated: bool,
    /// Whether the simulator has them in the same order.
    agrees: bool,
}

pub(super) fn execute(args: &SimArgs) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.results)
        .map_err(|error| Failure::io("read", &args.results, &error))?;
    let summary: Summary = serde_json::from_str(&text).map_err(|error| {
        let error = std::io::Error::other(format!("it is not of `bench kernel --json`: {error}"));
        Failure::io("read", &args.results, &error)
    })?;
    let machine = MachineFile::find(&args.machine)?;
    let comparison = compare(&summary, |workload, variant| {
        simulate_cell(&machine, workload, variant, summary.seed, args.runs)
    });
    if args.json {
        outln!("{}", serde_json::to_string(&comparison)?);
    } else {
        out!("{}", markdown(&summary, &comparison));
    }
    Ok(ExitCode::SUCCESS)
}

/// The unit of what is told as a share of what it is under the kernel's own scheduler.
const RELATED: &str = "of kernel's";

/// Values of each seed, by part and metric.
type Values = BTreeMap<(String, String), Vec<f64>>;

/// Simulates a workload under a variant; or why that cannot be.
fn simulate_cell(
    machine: &MachineFile,
    workload: &str,
    variant: &str,
    seed: u64,
    runs: u32,
) -> Result<Values, String> {
    let parsed = Workload::find(workload).map_err(|error| error.to_string())?;
    let mut words = variant.split('/');
    let name = words.next().unwrap_or_default();
    if !schedulers().any(|known| known == name) {
        return Err(format!("the simulator has no {name}"));
    }
    let mut config = Config::on(machine, parsed);
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => config.params.push((key.to_owned(), value.to_owned())),
            None if let Some(mode) = Mode::named(word) => config.mode = mode,
            None => config.mode = Mode::Decide,
        }
    }
    let mut values = Values::new();
    for run in 0..u64::from(runs) {
        config.seed = seed + run;
        let outcome = simulate(name, &config, false).map_err(|error| error.to_string())?;
        for metric in outcome.report.metrics {
            let key = (metric.part, metric.name);
            values.entry(key).or_default().push(metric.value);
        }
    }
    Ok(values)
}

fn compare(
    summary: &Summary,
    mut simulated: impl FnMut(&str, &str) -> Result<Values, String>,
) -> Comparison {
    let mut comparison = Comparison {
        rows: Vec::new(),
        pairs: Vec::new(),
        left_out: Vec::new(),
    };
    let mut found: BTreeMap<(&str, &str), Option<Values>> = BTreeMap::new();
    for cell in summary.cells.iter().filter(|cell| is_shown(cell)) {
        let key = (cell.workload.as_str(), cell.variant.as_str());
        let values = found.entry(key).or_insert_with(|| {
            let values = simulated(key.0, key.1);
            let problem = |problem| {
                let text = format!("{} under {}: {problem}", key.0, key.1);
                comparison.left_out.push(text);
            };
            values.map_err(problem).ok()
        });
        let values = values.as_ref();
        let metric = (cell.part.clone(), cell.metric.clone());
        let values = values.and_then(|values| median(values.get(&metric)?));
        if let (Some(measured), Some(simulated)) = (cell.median, values) {
            comparison.rows.push(row(cell, measured, simulated));
        }
    }
    relate_work(&mut comparison.rows);
    comparison.pairs = pairs(&comparison.rows);
    comparison
}

fn row(cell: &Cell, measured: f64, simulated: f64) -> Row {
    Row {
        workload: cell.workload.clone(),
        part: cell.part.clone(),
        metric: cell.metric.clone(),
        unit: cell.unit.clone(),
        primary: cell.primary,
        variant: cell.variant.clone(),
        measured,
        quartiles: cell.quartiles.unwrap_or([measured; 2]),
        simulated,
        error: error(measured, simulated),
    }
}

fn error(measured: f64, simulated: f64) -> Option<f64> {
    (measured > 0.0).then(|| simulated / measured - 1.0)
}

/// Work is counted in units that differ from machine to machine: each side is told as a share of what it
/// is under the kernel's own scheduler.
fn relate_work(rows: &mut [Row]) {
    let base: BTreeMap<(String, String), (f64, f64)> = rows
        .iter()
        .filter(|row| row.variant == BASELINE)
        .map(|row| {
            let key = (row.workload.clone(), row.part.clone() + &row.metric);
            (key, (row.measured, row.simulated))
        })
        .collect();
    for row in rows.iter_mut().filter(|row| row.unit == "units/s") {
        let key = (row.workload.clone(), row.part.clone() + &row.metric);
        let Some((measured, simulated)) = base.get(&key) else {
            continue;
        };
        row.measured /= measured;
        row.quartiles = row.quartiles.map(|quartile| quartile / measured);
        row.simulated /= simulated;
        row.unit = RELATED.to_owned();
        row.error = error(row.measured, row.simulated);
    }
}

fn pairs(rows: &[Row]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let primary: Vec<&Row> = rows.iter().filter(|row| row.primary).collect();
    for (index, one) in primary.iter().enumerate() {
        for other in &primary[index + 1..] {
            if one.workload != other.workload {
                continue;
            }
            let (lower, higher) = if one.measured <= other.measured {
                (one, other)
            } else {
                (other, one)
            };
            pairs.push(Pair {
                workload: one.workload.clone(),
                metric: one.metric.clone(),
                lower: lower.variant.clone(),
                higher: higher.variant.clone(),
                separated: lower.quartiles[1] < higher.quartiles[0],
                agrees: lower.simulated < higher.simulated,
            });
        }
    }
    pairs
}

fn markdown(summary: &Summary, comparison: &Comparison) -> String {
    let mut text = String::from(
        "| workload | metric | scheduler | measured | middle half | simulated | error |\n\
         |---|---|---|---:|---:|---:|---:|\n",
    );
    let (mut last, mut first_part) = ((String::new(), String::new()), "");
    for row in &comparison.rows {
        if row.workload != last.0 {
            first_part = &row.part;
        }
        let mut metric = match row.part == first_part {
            true => row.metric.clone(),
            false => format!("{} {}", row.part, row.metric),
        };
        if row.unit == RELATED {
            metric.push_str(", of kernel's");
        }
        // What stands in the row above is not repeated.
        let new = |text: &str, above: &str| if text == above { "" } else { text }.to_owned();
        let workload = new(&row.workload, &last.0);
        let shown = if workload.is_empty() {
            new(&metric, &last.1)
        } else {
            metric.clone()
        };
        last = (row.workload.clone(), metric);
        let error = row
            .error
            .map_or("-".to_owned(), |error| format!("{:+.0} %", error * 100.0));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} to {} | {} | {error} |",
            workload,
            shown,
            row.variant,
            number(row.measured),
            number(row.quartiles[0]),
            number(row.quartiles[1]),
            number(row.simulated),
        );
    }
    let separated = || comparison.pairs.iter().filter(|pair| pair.separated);
    let agreeing = separated().filter(|pair| pair.agrees).count();
    let _ = writeln!(
        text,
        "\nLinux {}, {} rounds. Of {} pairs of schedulers the measurement separates {}; the simulator has \
         {agreeing} of these in the same order.",
        summary.kernel,
        summary.runs,
        comparison.pairs.len(),
        separated().count(),
    );
    for pair in separated().filter(|pair| !pair.agrees) {
        let _ = writeln!(
            text,
            "- {}: {} is below {} in {}, in the simulator it is not.",
            pair.workload, pair.lower, pair.higher, pair.metric
        );
    }
    for problem in &comparison.left_out {
        let _ = writeln!(text, "- not compared: {problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(workload: &str, variant: &str, metric: &str, values: [f64; 3]) -> serde_json::Value {
        serde_json::json!({
            "workload": workload, "variant": variant, "part": "pipe", "metric": metric,
            "unit": if metric == "work_per_s" { "units/s" } else { "s" },
            "primary": metric == "time_s", "median": values[1],
            "quartiles": [values[0], values[2]], "ratio": 1.0, "n": 3,
        })
    }

    fn summary(cells: &[serde_json::Value]) -> Summary {
        let summary = serde_json::json!({
            "cells": cells, "counters": {}, "wait_max_ms": {}, "failures": [],
            "kernel": "7.0", "machine": "2-cpu", "runs": 3, "seed": 1, "wall_s": 1.0,
        });
        serde_json::from_value(summary).unwrap()
    }

    fn values(time_s: f64, work: f64) -> Values {
        let key = |name: &str| ("pipe".to_owned(), name.to_owned());
        Values::from([
            (key("time_s"), vec![time_s]),
            (key("work_per_s"), vec![work]),
        ])
    }

    #[test]
    fn order_counts_where_the_measurement_separates() {
        let summary = summary(&[
            cell("pipe", "kernel", "time_s", [1.0, 2.0, 3.0]),
            cell("pipe", "fifo", "time_s", [4.0, 5.0, 6.0]),
            cell("pipe", "edf", "time_s", [2.5, 4.0, 4.5]),
            cell("other", "edf", "time_s", [0.0, 0.0, 0.0]),
        ]);
        let comparison = compare(&summary, |_, variant| match variant {
            "kernel" => Ok(values(3.0, 0.0)),
            "fifo" => Ok(values(2.0, 0.0)),
            _ => Ok(values(4.0, 0.0)),
        });
        let pairs: Vec<_> = comparison
            .pairs
            .iter()
            .map(|pair| {
                (
                    pair.lower.as_str(),
                    pair.higher.as_str(),
                    pair.separated,
                    pair.agrees,
                )
            })
            .collect();
        assert_eq!(
            pairs,
            [
                ("kernel", "fifo", true, false),
                ("kernel", "edf", false, true),
                ("edf", "fifo", false, false)
            ]
        );
        assert_eq!(comparison.rows[0].error, Some(0.5));
        assert_eq!(comparison.rows[3].error, None);
        let text = markdown(&summary, &comparison);
        assert!(
            text.contains("| pipe | time_s | kernel | 2 | 1 to 3 | 3 | +50 % |"),
            "{text}"
        );
        assert!(
            text.contains("Of 3 pairs of schedulers the measurement separates 1"),
            "{text}"
        );
        assert!(text.contains("kernel is below fifo"), "{text}");
    }

    #[test]
    fn work_is_told_as_a_share() {
        let summary = summary(&[
            cell("pipe", "kernel", "work_per_s", [7.0, 8.0, 9.0]),
            cell("pipe", "fifo", "work_per_s", [3.0, 4.0, 5.0]),
        ]);
        let comparison = compare(&summary, |_, variant| {
            Ok(values(1.0, if variant == "kernel" { 1e9 } else { 4e8 }))
        });
        let fifo = &comparison.rows[1];
        assert_eq!((fifo.measured, fifo.simulated), (0.5, 0.4));
        assert!((fifo.error.unwrap() + 0.2).abs() < 1e-9);
    }

    #[test]
    fn the_simulator_runs_the_cells() {
        let machine = MachineFile::find("2-cpu").unwrap();
        let cell = |variant| simulate_cell(&machine, "pipe:rounds=20", variant, 1, 3);
        for variant in ["kernel", "fifo", "edf/hint", "edf/sync=false"] {
            let values = cell(variant).unwrap();
            let times = &values[&("pipe".to_owned(), "time_s".to_owned())];
            assert_eq!(times.len(), 3, "{variant}");
            assert!(times.iter().all(|time| *time > 0.0), "{variant}");
        }
        let refused = cell("scx_rustland").unwrap_err();
        assert!(refused.contains("scx_rustland"), "{refused}");
    }
}

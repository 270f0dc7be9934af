//! What the page's script draws: series, curves and timelines, as data. The single values it takes
//! from the results, which lie in the page too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::latency::{Drawn, Pooled};
use super::numbers::{digits, whole};
use super::runs::Runs;
use super::timeline::{MOST_CPUS, Timeline};
use super::verdicts::scale;
use crate::judge::Judgement;
use crate::results::Results;
use crate::stats::{median, median_interval};

/// Kinds of tasks that have a colour of their own.
const MOST_KINDS: usize = 6;

/// Lines of variants differ by more than colour.
const DASHES: [&str; 8] = [
    "none",
    "6 3",
    "2 2.5",
    "9 3 2 3",
    "4 2",
    "1 3",
    "12 3",
    "6 2 1 2 1 2",
];

/// Everything that is drawn.
#[derive(Serialize)]
pub(super) struct Charts {
    pub(super) variants: Vec<String>,
    pub(super) dashes: [&'static str; 8],
    pub(super) metrics: Vec<Series>,
    pub(super) latencies: Vec<Curves>,
    pub(super) timelines: Vec<Tracks>,
    /// Whether there are runs that were made for a timeline.
    #[serde(skip)]
    pub(super) recorded: bool,
    /// Places of runs that are not believed, in the list of runs.
    pub(super) refused: Vec<usize>,
    /// Names of the kinds of tasks that have a colour of their own, those of most CPU time first.
    pub(super) kinds: Vec<String>,
}

/// A metric: the script adds the points.
#[derive(Serialize)]
pub(super) struct Series {
    pub(super) workload: String,
    pub(super) metric: String,
    /// Its name without the unit.
    pub(super) title: String,
    pub(super) unit: String,
    pub(super) factor: f64,
    pub(super) better: &'static str,
    /// By variant: median, and the interval that holds it.
    pub(super) medians: Vec<Option<Median>>,
    #[serde(skip)]
    pub(super) primary: bool,
}

/// The middle of a series, in the unit that is shown.
#[derive(Serialize)]
pub(super) struct Median {
    pub(super) value: f64,
    pub(super) text: String,
    pub(super) interval: (f64, f64),
}

/// The latencies of one name of a workload.
#[derive(Serialize)]
pub(super) struct Curves {
    pub(super) workload: String,
    pub(super) name: String,
    /// By variant.
    pub(super) curves: Vec<Option<Drawn>>,
    #[serde(skip)]
    pub(super) rows: Vec<QuantileRow>,
}

/// The quantiles of one variant, as texts.
pub(super) struct QuantileRow {
    pub(super) variant: String,
    pub(super) index: usize,
    pub(super) count: String,
    pub(super) quantiles: Vec<String>,
}

/// The shares whose quantiles are told.
pub(super) const QUANTILES: [(f64, &str); 4] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// A timeline, packed: lists of numbers one after the other.
#[derive(Serialize)]
pub(super) struct Tracks {
    pub(super) variant: usize,
    pub(super) cpus: u32,
    pub(super) length_ns: u64,
    /// Name and kind; a kind that is no index into the list of kinds has no colour.
    pub(super) tasks: Vec<(String, usize)>,
    /// CPU, begin, length, task.
    pub(super) slices: Vec<[u64; 4]>,
    /// CPU, time of the wakeup, how long until it ran, task.
    pub(super) wakeups: Vec<[u64; 4]>,
    /// Time, count.
    pub(super) waiting: Vec<(u64, u32)>,
    #[serde(skip)]
    pub(super) title: String,
    #[serde(skip)]
    pub(super) facts: String,
}

impl Charts {
    pub(super) fn of(
        results: &Results,
        judgement: &Judgement,
        runs: &Runs<'_>,
        timelines: &[Timeline],
    ) -> Self {
        let kinds = kinds(timelines);
        let of_workloads = results.workloads.iter().flat_map(|workload| {
            let metrics = results.metrics.iter();
            metrics.filter(move |metric| metric.workload == workload.name)
        });
        let series = of_workloads.map(|metric| {
            let scale = scale(results, runs, metric);
            let medians = results.variants.iter().map(|variant| {
                let values = runs.values(&metric.workload, &metric.name, &variant.name);
                let interval = median_interval(&values, judgement.rules.confidence)?;
                let interval = interval.map(|value| value * scale.factor);
                Some(Median {
                    value: interval.median,
                    text: digits(interval.median),
                    interval: (interval.low, interval.high),
                })
            });
            Series {
                workload: metric.workload.clone(),
                metric: metric.name.clone(),
                title: super::verdicts::name(metric).to_owned(),
                medians: medians.collect(),
                unit: scale.unit.clone(),
                factor: scale.factor,
                better: super::verdicts::direction(metric.better),
                primary: metric.primary,
            }
        });
        Self {
            dashes: DASHES,
            variants: results
                .variants
                .iter()
                .map(|variant| variant.name.clone())
                .collect(),
            metrics: series.collect(),
            latencies: latencies(results, runs),
            timelines: timelines
                .iter()
                .map(|made| tracks(results, made, &kinds))
                .collect(),
            recorded: timelines.iter().any(|made| made.recorded),
            refused: judgement
                .refused
                .iter()
                .map(|refusal| refusal.run)
                .collect(),
            kinds,
        }
    }
}

fn latencies(results: &Results, runs: &Runs<'_>) -> Vec<Curves> {
    let mut all = Vec::new();
    for workload in &results.workloads {
        let mut names: Vec<&str> = Vec::new();
        for variant in &results.variants {
            for run in runs.well(&workload.name, &variant.name) {
                let new = run
                    .latencies
                    .keys()
                    .filter(|name| !names.contains(&name.as_str()));
                let new: Vec<&str> = new.map(String::as_str).collect();
                names.extend(new);
            }
        }
        for name in names {
            let pooled = results.variants.iter().map(|variant| {
                let of_cell = runs.well(&workload.name, &variant.name);
                Pooled::of(of_cell.filter_map(|run| run.latencies.get(name)))
            });
            let pooled: Vec<Option<Pooled<'_>>> = pooled.collect();
            let with_names = results.variants.iter().zip(&pooled).enumerate();
            let rows = with_names.filter_map(|(index, (variant, pooled))| {
                let pooled = pooled.as_ref()?;
                Some(quantile_row(&variant.name, index, pooled))
            });
            all.push(Curves {
                workload: workload.name.clone(),
                name: name.to_owned(),
                rows: rows.collect(),
                curves: pooled
                    .iter()
                    .map(|pooled| Some(pooled.as_ref()?.draw()))
                    .collect(),
            });
        }
    }
    // A name under which no variant has a distribution is no chart.
    all.retain(|curves| !curves.rows.is_empty());
    all
}

fn quantile_row(variant: &str, index: usize, pooled: &Pooled<'_>) -> QuantileRow {
    let shown = |us: Option<f64>| us.map_or("–".to_owned(), micros);
    let mut quantiles: Vec<String> = QUANTILES
        .iter()
        .map(|(share, _)| shown(pooled.quantile(*share)))
        .collect();
    quantiles.push(micros(pooled.longest()));
    QuantileRow {
        variant: variant.to_owned(),
        index,
        count: whole(pooled.count),
        quantiles,
    }
}

/// Microseconds, in the unit that suits them.
fn micros(us: f64) -> String {
    let scale = super::numbers::Scale::of("us", us);
    format!("{} {}", scale.show(us), scale.unit)
}

/// The kind of a task: its name without pid and without the number of the thread.
fn kind(name: &str) -> &str {
    let without_pid = name.rsplit_once(' ').map_or(name, |(name, _)| name);
    let end = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | ':' | '/' | '.' | '#');
    match without_pid.trim_end_matches(end) {
        "" => without_pid,
        kind => kind,
    }
}

/// The kinds of most CPU time in all timelines.
fn kinds(timelines: &[Timeline]) -> Vec<String> {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for made in timelines {
        for slice in &made.slices {
            let Some(task) = made.tasks.get(slice.task as usize) else {
                continue;
            };
            if !task.kernel {
                *times.entry(kind(&task.name)).or_insert(0) +=
                    slice.end_ns.saturating_sub(slice.begin_ns);
            }
        }
    }
    let mut kinds: Vec<(&str, u64)> = times.into_iter().collect();
    kinds.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    kinds
        .into_iter()
        .take(MOST_KINDS)
        .map(|(kind, _)| kind.to_owned())
        .collect()
}

fn tracks(results: &Results, made: &Timeline, kinds: &[String]) -> Tracks {
    let variants = &results.variants;
    let variant = variants
        .iter()
        .position(|variant| variant.name == made.variant);
    let kind_of = |task: &super::timeline::Task| {
        let found = kinds
            .iter()
            .position(|known| !task.kernel && known == kind(&task.name));
        (task.name.clone(), found.unwrap_or(kinds.len()))
    };
    let shown = made.cpus.min(MOST_CPUS);
    let slices = made.slices.iter().filter(|slice| slice.cpu < shown);
    let wakeups = made.wakeups.iter().filter(|wakeup| wakeup.cpu < shown);
    Tracks {
        variant: variant.unwrap_or(variants.len()),
        cpus: shown,
        length_ns: made.length_ns,
        tasks: made.tasks.iter().map(kind_of).collect(),
        slices: slices
            .map(|slice| {
                let length_ns = slice.end_ns.saturating_sub(slice.begin_ns);
                [
                    u64::from(slice.cpu),
                    slice.begin_ns,
                    length_ns,
                    u64::from(slice.task),
                ]
            })
            .collect(),
        wakeups: wakeups
            .map(|wakeup| {
                let ran_ns = wakeup.ran_ns.unwrap_or(made.length_ns);
                let waited_ns = ran_ns.saturating_sub(wakeup.time_ns);
                [
                    u64::from(wakeup.cpu),
                    wakeup.time_ns,
                    waited_ns,
                    u64::from(wakeup.task),
                ]
            })
            .collect(),
        waiting: made.waiting.clone(),
        title: title(made),
        facts: facts(made),
    }
}

fn title(made: &Timeline) -> String {
    let run = match made.recorded {
        true => "recorded".to_owned(),
        false => format!("round {}", u64::from(made.round) + 1),
    };
    format!("{}, {}, {run}", made.variant, made.workload)
}

/// What a timeline shows, in numbers.
fn facts(made: &Timeline) -> String {
    let shown = made.cpus.min(MOST_CPUS);
    let mut words = Vec::new();
    let busy_ns: u64 = made
        .slices
        .iter()
        .map(|s| s.end_ns.saturating_sub(s.begin_ns))
        .sum();
    let of_all = busy_ns as f64 / (made.length_ns as f64 * f64::from(shown)).max(1.0);
    words.push(format!("CPUs busy {:.0} %", of_all * 100.0));
    words.push(format!(
        "{} stays on a CPU",
        whole(made.slices.len() as u64)
    ));
    let waits: Vec<f64> = made
        .wakeups
        .iter()
        .filter_map(|wakeup| Some(wakeup.ran_ns?.saturating_sub(wakeup.time_ns) as f64 / 1e3))
        .collect();
    if let (Some(middle), Some(longest)) = (median(&waits), waits.iter().copied().reduce(f64::max))
    {
        words.push(format!(
            "{} wakeups, which waited {} in the median and {} at most",
            whole(waits.len() as u64),
            micros(middle),
            micros(longest)
        ));
    }
    if made.cpus > shown {
        words.push(format!(
            "{shown} of {} CPUs shown",
            whole(u64::from(made.cpus))
        ));
    }
    if made.lost > 0 {
        words.push(format!("{} events were lost", whole(made.lost)));
    }
    if made.cut {
        words.push("it ends early because so much happened".to_owned());
    }
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_leave_numbers_out() {
        let check = |name: &str, expected: &str| assert_eq!(kind(name), expected);
        check("hog 1007", "hog");
        check("hog-3 1007", "hog");
        check("kworker/0:1 12", "kworker");
        check("frame-render 9", "frame-render");
        check("1234 7", "1234");
        check("", "");
    }
}

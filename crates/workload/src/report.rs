//! What a run found: metrics and quantiles, as data and as a table for people.

use crate::calibration::Calibration;
use crate::histogram::Durations;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// One figure of one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The kind of the part that it belongs to, such as `pipe`.
    pub part: String,
    /// The name, such as `time_s`.
    pub name: String,
    /// The unit, such as `s`.
    pub unit: String,
    /// The value.
    pub value: f64,
    /// Which direction is an improvement.
    pub better: Better,
    /// Whether it stands for its part; each part has exactly one.
    pub primary: bool,
}

/// Which direction is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// The quantiles of one histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The kind of the part that it belongs to.
    pub part: String,
    /// What was measured, such as `round_trip`.
    pub name: String,
    /// The unit of all values: `us`.
    pub unit: String,
    /// How many values there are; with none, the others are 0.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The greatest.
    pub max: f64,
    /// The distribution for a plot: the share of values, from 0 to 1, that are at most so great;
    /// rising in both, closer towards the tail. Reports of earlier builds have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<(f64, f64)>,
}

impl Quantiles {
    /// Of these durations, in microseconds.
    pub fn of(part: &str, name: &str, durations: &Durations) -> Self {
        let at = |quantile| micros(durations.quantile_ns(quantile));
        // Eight digits keep files short and tell shares apart.
        let point = |(share, ns): (f64, u64)| ((share * 1e8).round() / 1e8, micros(ns));
        Self {
            part: part.to_owned(),
            name: name.to_owned(),
            unit: "us".to_owned(),
            count: durations.count(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(durations.max_ns()),
            points: durations.points_ns().into_iter().map(point).collect(),
        }
    }
}

/// What a run of a workload found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The workload, with the parameters that differ from the defaults.
    pub workload: String,
    /// The workload, with every parameter.
    pub parameters: String,
    /// The seed of everything random in it.
    pub seed: u64,
    /// Whether it ran to its end. If not, `notes` tells why, and the metrics cover what was done.
    pub complete: bool,
    /// The metrics, part by part in the workload's order.
    pub metrics: Vec<Metric>,
    /// The histograms behind them.
    pub histograms: Vec<Quantiles>,
    /// From the start of the first part to the end of the last, in seconds.
    pub wall_s: f64,
    /// How fast a CPU was before the run.
    pub calibration: Calibration,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

impl Report {
    /// The metric that stands for the workload: the primary one of its first part.
    pub fn primary(&self) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.primary)
    }

    /// The metric of this part and name.
    pub fn metric(&self, part: &str, name: &str) -> Option<&Metric> {
        self.metrics
            .iter()
            .find(|metric| metric.part == part && metric.name == name)
    }
}

impl fmt::Display for Report {
    /// Aligned tables; a star marks each part's primary metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calibration = &self.calibration;
        writeln!(f, "{}", self.parameters)?;
        writeln!(
            f,
            "seed {}, {} s, calibrated at {} units/ms (spread {} %)",
            self.seed,
            number(self.wall_s),
            number(calibration.units_per_ms),
            number(calibration.spread * 100.0)
        )?;
        let mut rows = Vec::with_capacity(self.metrics.len());
        for metric in &self.metrics {
            let better = match metric.better {
                Better::Lower => "lower is better",
                Better::Higher => "higher is better",
            };
            let star = if metric.primary { "*" } else { "" };
            let (part, name) = (metric.part.clone(), metric.name.clone());
            let value = number(metric.value);
            rows.push([
                part,
                star.into(),
                name,
                value,
                metric.unit.clone(),
                better.into(),
            ]);
        }
        writeln!(f)?;
        f.write_str(&table(&rows, &[false, false, false, true, false, false]))?;
        if !self.histograms.is_empty() {
            writeln!(f)?;
            let mut rows =
                vec![["", "", "count", "p50", "p90", "p99", "p99.9", "max", ""].map(str::to_owned)];
            rows.extend(self.histograms.iter().map(quantile_row));
            let right = [false, false, true, true, true, true, true, true, false];
            f.write_str(&table(&rows, &right))?;
        }
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

fn quantile_row(quantiles: &Quantiles) -> [String; 9] {
    [
        quantiles.part.clone(),
        quantiles.name.clone(),
        quantiles.count.to_string(),
        number(quantiles.p50),
        number(quantiles.p90),
        number(quantiles.p99),
        number(quantiles.p999),
        number(quantiles.max),
        quantiles.unit.clone(),
    ]
}

/// Rows with columns as wide as their widest cell, to the right where told, two spaces between.
pub fn table<const N: usize>(rows: &[[String; N]], right: &[bool; N]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for column in 0..N {
            let (cell, width) = (&row[column], widths[column]);
            // Writing to a String cannot fail.
            let _ = match right[column] {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// At least three significant digits, and no more places than they need.
pub fn number(value: f64) -> String {
    let places = match value.abs() {
        magnitude if magnitude == 0.0 || magnitude >= 1000.0 => 0,
        magnitude if magnitude >= 100.0 => 1,
        magnitude if magnitude >= 10.0 => 2,
        magnitude if magnitude >= 0.1 => 3,
        _ => 5,
    };
    let text = format!("{value:.places$}");
    if value.fract() == 0.0 && places > 0 {
        format!("{value:.0}")
    } else {
        text
    }
}

/// Collects what one part found.
#[derive(Clone, Debug)]
pub struct PartReport {
    part: &'static str,
    /// Its figures, the primary one first.
    pub metrics: Vec<Metric>,
    /// The histograms behind them.
    pub histograms: Vec<Quantiles>,
    /// Why the part ended early, if it did.
    pub unfinished: Option<String>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

impl PartReport {
    /// Nothing yet.
    pub fn new(part: &'static str) -> Self {
        Self {
            part,
            metrics: Vec::new(),
            histograms: Vec::new(),
            unfinished: None,
            notes: Vec::new(),
        }
    }

    /// Adds a figure. The first metric of a part is its primary one.
    pub fn metric(&mut self, name: &str, unit: &str, value: f64, better: Better) {
        self.metrics.push(Metric {
            part: self.part.to_owned(),
            name: name.to_owned(),
            unit: unit.to_owned(),
            value,
            better,
            primary: self.metrics.is_empty(),
        });
    }

    /// Adds the quantiles of a histogram.
    pub fn histogram(&mut self, name: &str, durations: &Durations) {
        let quantiles = Quantiles::of(self.part, name, durations);
        self.histograms.push(quantiles);
    }
}

/// Nanoseconds as seconds.
pub fn seconds(duration_ns: u64) -> f64 {
    duration_ns as f64 / 1e9
}

/// Nanoseconds as milliseconds.
pub fn millis(duration_ns: u64) -> f64 {
    duration_ns as f64 / 1e6
}

/// Nanoseconds as microseconds.
pub fn micros(duration_ns: u64) -> f64 {
    duration_ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.0, "0");
        check(3000.0, "3000");
        check(123_456.7, "123457");
        check(123.45, "123.5");
        check(20.0, "20");
        check(2.5183, "2.518");
        check(0.0425, "0.04250");
    }

    #[test]
    fn the_table_lines_up() {
        let mut part = PartReport::new("pipe");
        part.metric("time_s", "s", 0.3712, Better::Lower);
        part.metric("rounds_per_s", "1/s", 8081.9, Better::Higher);
        let mut durations = Durations::new();
        (1..=100).for_each(|micros| durations.record_ns(micros * 1000));
        part.histogram("round_trip", &durations);
        let report = Report {
            workload: "pipe".into(),
            parameters: "pipe:rounds=3000,threads=yes".into(),
            seed: 7,
            complete: true,
            metrics: part.metrics,
            histograms: part.histograms,
            wall_s: 0.4,
            calibration: Calibration {
                units_per_ms: 9000.0,
                spread: 0.02,
            },
            notes: vec!["one note".into()],
        };
        let expected = "\
pipe:rounds=3000,threads=yes
seed 7, 0.400 s, calibrated at 9000 units/ms (spread 2 %)

pipe  *  time_s        0.371  s    lower is better
pipe     rounds_per_s   8082  1/s  higher is better

                  count    p50    p90    p99  p99.9  max
pipe  round_trip    100  50.02  90.05  99.01    100  100  us

note: one note
";
        assert_eq!(report.to_string(), expected);
        assert_eq!(
            report.primary().map(|metric| metric.name.as_str()),
            Some("time_s")
        );
    }
}

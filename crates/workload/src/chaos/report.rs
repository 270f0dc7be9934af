//! What chaos did and what the witnesses saw.

use super::Scene;
use super::witness::{Duty, Testimony};
use crate::calibration::Calibration;
use crate::report::{millis, number, seconds, table};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::Ordering;

/// One kind of disturbance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbed {
    /// The kind, such as `affinity`.
    pub name: String,
    /// How often it was done.
    pub done: u64,
    /// How often the kernel refused it.
    pub refused: u64,
    /// What the kernel said the first time.
    pub refusal: Option<String>,
}

/// What one witness saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WitnessReport {
    /// Which witness, such as `pinned-cpu1`.
    pub name: String,
    /// What it measures: `gap`, the time it was kept off a CPU, or `wakeup_lateness`.
    pub measures: String,
    /// How often that occurred. Gaps below 0.5 ms do not count.
    pub count: u64,
    /// 99 % were at most this, in milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
    /// When the longest ended, in seconds from the start.
    pub max_at_s: f64,
    /// What a hypervisor took from a spinning witness, in milliseconds; in no gap.
    pub stolen_ms: f64,
}

/// What a run of chaos did and found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosReport {
    /// The seed; it gives the same sequences of disturbances again.
    pub seed: u64,
    /// How long it took, with its end, in seconds.
    pub wall_s: f64,
    /// Whether it ran its full time.
    pub complete: bool,
    /// The longest time that any witness wanted a CPU and had none, in milliseconds.
    pub max_gap_ms: f64,
    /// The longest time from when a witness was to wake until it ran, in milliseconds.
    pub max_wakeup_late_ms: f64,
    /// All kinds of disturbance, also those that did not occur.
    pub disturbances: Vec<Disturbed>,
    /// All witnesses.
    pub witnesses: Vec<WitnessReport>,
    /// How fast a CPU was before.
    pub calibration: Calibration,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
}

impl ChaosReport {
    /// How often this kind of disturbance was done.
    pub fn done(&self, name: &str) -> u64 {
        let found = self
            .disturbances
            .iter()
            .find(|disturbed| disturbed.name == name);
        found.map_or(0, |disturbed| disturbed.done)
    }
}

pub(super) fn compile(
    scene: &Scene<'_>,
    testimonies: Vec<Testimony>,
    wall_s: f64,
    mut notes: Vec<String>,
) -> ChaosReport {
    let worst = |sleeping: bool| {
        let asked = testimonies
            .iter()
            .filter(|found| (found.duty == Duty::Sleep) == sleeping);
        millis(asked.map(|found| found.waits.max_ns()).max().unwrap_or(0))
    };
    let (max_gap_ms, max_wakeup_late_ms) = (worst(false), worst(true));
    let disturbances = scene.tallies.compile();
    for refused in disturbances
        .iter()
        .filter(|disturbed| disturbed.refused > 0)
    {
        let reason = refused.refusal.as_deref().unwrap_or("no reason");
        notes.push(format!(
            "{} refused {} times: {reason}",
            refused.name, refused.refused
        ));
    }
    notes.extend(scene.calibration.note());
    let complete = !scene.options.stop.load(Ordering::Relaxed);
    if !complete {
        notes.push("stopped before its end".to_owned());
    }
    let mut spinning = 0..;
    let mut sleeping = 0..;
    let witnesses = testimonies.iter().map(|found| {
        let (name, measures) = match found.duty {
            Duty::Spin => (format!("spinning-{}", spinning.next().unwrap_or(0)), "gap"),
            Duty::SpinOn(cpu) => (format!("pinned-cpu{cpu}"), "gap"),
            Duty::Sleep => (
                format!("sleeping-{}", sleeping.next().unwrap_or(0)),
                "wakeup_lateness",
            ),
        };
        WitnessReport {
            name,
            measures: measures.to_owned(),
            count: found.waits.count(),
            p99_ms: millis(found.waits.quantile_ns(0.99)),
            max_ms: millis(found.waits.max_ns()),
            max_at_s: seconds(found.max_at_ns.saturating_sub(scene.start_ns)),
            stolen_ms: millis(found.stolen_ns),
        }
    });
    ChaosReport {
        seed: scene.options.seed,
        wall_s,
        complete,
        max_gap_ms,
        max_wakeup_late_ms,
        witnesses: witnesses.collect(),
        disturbances,
        calibration: scene.calibration,
        notes,
    }
}

impl fmt::Display for ChaosReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "chaos with seed {}, {} s; longest gap {} ms, latest wakeup {} ms\n",
            self.seed,
            number(self.wall_s),
            number(self.max_gap_ms),
            number(self.max_wakeup_late_ms)
        )?;
        let mut rows = vec![["disturbance", "done", "refused"].map(str::to_owned)];
        rows.extend(self.disturbances.iter().map(|disturbed| {
            [
                disturbed.name.clone(),
                disturbed.done.to_string(),
                disturbed.refused.to_string(),
            ]
        }));
        f.write_str(&table(&rows, &[false, true, true]))?;
        writeln!(f)?;
        let head = [
            "witness",
            "measures",
            "count",
            "p99 ms",
            "max ms",
            "at s",
            "stolen ms",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.witnesses.iter().map(|witness| {
            [
                witness.name.clone(),
                witness.measures.clone(),
                witness.count.to_string(),
                number(witness.p99_ms),
                number(witness.max_ms),
                number(witness.max_at_s),
                number(witness.stolen_ms),
            ]
        }));
        f.write_str(&table(&rows, &[false, false, true, true, true, true, true]))?;
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_line_up() {
        let report = ChaosReport {
            seed: 7,
            wall_s: 10.02,
            complete: true,
            max_gap_ms: 31.25,
            max_wakeup_late_ms: 4.5,
            disturbances: vec![Disturbed {
                name: "affinity".into(),
                done: 1234,
                refused: 1,
                refusal: None,
            }],
            witnesses: vec![WitnessReport {
                name: "pinned-cpu1".into(),
                measures: "gap".into(),
                count: 99,
                p99_ms: 12.5,
                max_ms: 31.25,
                max_at_s: 3.0,
                stolen_ms: 0.0,
            }],
            calibration: Calibration {
                units_per_ms: 9000.0,
                spread: 0.02,
            },
            notes: vec!["no hotplug: not asked for".into()],
        };
        let expected = "\
chaos with seed 7, 10.02 s; longest gap 31.25 ms, latest wakeup 4.500 ms

disturbance  done  refused
affinity     1234        1

witness      measures  count  p99 ms  max ms  at s  stolen ms
pinned-cpu1  gap          99   12.50   31.25     3          0

note: no hotplug: not asked for
";
        assert_eq!(report.to_string(), expected);
    }
}

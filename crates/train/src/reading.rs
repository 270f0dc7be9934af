//! What the numbers mean that a model trained elsewhere takes and gives.

use std::io::{self, Write};

use baton_model::{Feature, Input, Inputs, RELATIVE_ZERO, Range};

use crate::{Data, Look, look::value};

/// Which features such a model takes, in their order, and in which unit.
///
/// It takes features as they are, or distances from the base, which are negative below it. It gives
/// the burst, or where there is a base, its distance from that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The features.
    pub look: Look,
    /// The unit of all that it takes and gives.
    pub unit: Unit,
}

/// What counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// The step of [`log2_q8`](baton_model::log2_q8): whole numbers, as features are.
    #[default]
    Steps,
    /// 256 steps; of a feature that is no logarithm as well.
    Octaves,
}

impl Unit {
    /// How many steps it is.
    #[must_use]
    pub const fn steps(self) -> f64 {
        match self {
            Self::Steps => 1.0,
            Self::Octaves => 256.0,
        }
    }
}

/// Writes what there is to learn from as a table of comma-separated values, with a head: the application, the
/// recording's number and the begin in milliseconds; then the features as the reading says; last the burst,
/// or its distance from the base. Bursts that were cut are left out. Tells how many rows there are.
///
/// # Errors
/// It cannot be written.
pub fn write_table(data: &Data, reading: &Reading, out: &mut impl Write) -> io::Result<usize> {
    let Reading { look, unit } = reading;
    let target = look.base.map_or_else(
        || "burst".to_owned(),
        |base| format!("burst-{}", base.name()),
    );
    let names = look.names().join(",");
    writeln!(out, "application,recording,began_ms,{names},{target}")?;
    let inputs = Inputs {
        base: look.base,
        list: Vec::new(),
    };
    let input = |(feature, relative): &(Feature, bool)| Input {
        feature: *feature,
        relative: *relative,
        range: Range { low: 0, high: 1 },
    };
    let columns: Vec<Input> = look.list.iter().map(input).collect();
    let applications: Vec<String> = data.applications.iter().map(|name| quoted(name)).collect();
    let mut rows = 0;
    for sample in data.samples.iter().filter(|sample| !sample.cut) {
        let application = &applications[usize::from(sample.application)];
        write!(
            out,
            "{application},{},{}",
            sample.recording, sample.began_ms
        )?;
        let features = columns.iter().map(|input| {
            let zero = if input.relative { RELATIVE_ZERO } else { 0 };
            i32::from(value(&inputs, input, sample)) - i32::from(zero)
        });
        let base = inputs.base_of(&sample.features);
        let burst = i32::from(sample.burst) - i32::from(base);
        for value in features.chain([burst]) {
            // 256 is a power of two: all digits are written, and they are few.
            write!(out, ",{}", f64::from(value) / unit.steps())?;
        }
        writeln!(out)?;
        rows += 1;
    }
    Ok(rows)
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::random;

    #[test]
    fn a_table_has_what_a_model_takes() {
        let mut data = random(200, 4);
        data.applications[0] = "a, or \"b\"".into();
        let look = Look::named(Some(Feature::Average), "last1-average,slept").expect("features");
        for unit in [Unit::Steps, Unit::Octaves] {
            let reading = Reading {
                look: look.clone(),
                unit,
            };
            let mut table = Vec::new();
            let rows = write_table(&data, &reading, &mut table).expect("it is written");
            let table = String::from_utf8(table).expect("text");
            let mut lines = table.lines();
            assert_eq!(
                lines.next(),
                Some("application,recording,began_ms,last1-average,slept,burst-average")
            );
            let whole: Vec<_> = data.samples.iter().filter(|sample| !sample.cut).collect();
            assert_eq!(rows, whole.len());
            assert!(table.contains("\n\"a, or \"\"b\"\"\",0,"), "{table}");
            for (line, sample) in lines.zip(whole) {
                let values: Vec<f64> = line
                    .rsplit(',')
                    .take(3)
                    .map(|value| value.parse::<f64>().expect("a number") * unit.steps())
                    .collect();
                let of = |feature: Feature| f64::from(sample.features[feature as usize]);
                let average = of(Feature::Average);
                let distance = (of(Feature::Last1) - average).clamp(-8192.0, 8191.0);
                let burst = f64::from(sample.burst) - average;
                assert_eq!(values, [burst, of(Feature::Slept), distance]);
            }
        }
    }
}

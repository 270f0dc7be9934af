//! Tables of scores.

use std::{collections::BTreeMap, path::Path};

use baton_train::{
    Data,
    judge::{By, HeldOut, SHARES, Scores, against_average, mean_agreement},
};
use serde_json::{Map, Value, json};

use crate::table::{Align, table};

/// Of one set of scores.
pub(super) fn scores_json(scores: &Scores) -> Value {
    json!({
        "name": scores.name,
        "pinball": scores.pinball,
        "covered": scores.covered,
        "auc": scores.auc,
        "agreement": scores.agreement,
    })
}

/// What was found with something held out.
pub(super) struct Report<'a> {
    pub(super) by: By,
    /// How many there were to train with.
    pub(super) samples: usize,
    /// The data's digest.
    pub(super) data: &'a str,
    pub(super) found: &'a [HeldOut],
    /// The model's file and digest, if one was written.
    pub(super) model: Option<(&'a Path, &'a str)>,
}

impl Report<'_> {
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            outln!("{}", serde_json::to_string(&self.json())?);
            return Ok(());
        }
        let by = self.by.text();
        outln!("Pinball loss in octaves, at the median and the 90th percentile together; {by}\n");
        let loss = |scores: &Scores| format!("{:.3}", scores.pinball.iter().sum::<f64>());
        let left = |name: &str| against_average(self.found, name);
        let ratio = |name: &str| left(name).map(|ratio| format!("{ratio:.3}x"));
        out!("{}", self.table(&loss, "of the average's", &ratio));
        outln!(
            "\nthe last row: geometric means of ratios to the exponential average; below 1 is better"
        );
        outln!(
            "\nAgreement: the share of median guesses within a factor of 2 of the slice that was used (the burst's \
             first piece)\n"
        );
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let agreement = |scores: &Scores| percent(scores.agreement);
        let mean = |name: &str| mean_agreement(self.found, name).map(percent);
        out!("{}", self.table(&agreement, "mean", &mean));
        if let Some((path, digest)) = self.model {
            outln!("\n{}: {}", path.display(), &digest[..16]);
        }
        Ok(())
    }

    /// Whose guesses there are.
    fn names(&self) -> impl Iterator<Item = &str> {
        let first = self.found.first().into_iter();
        first.flat_map(|first| first.scores.iter().map(|scores| scores.name.as_str()))
    }

    /// A column for everybody's figure, and a last row.
    fn table(
        &self,
        figure: &dyn Fn(&Scores) -> String,
        last: &str,
        of_all: &dyn Fn(&str) -> Option<String>,
    ) -> String {
        // Where an application is all that is held out, once is enough.
        let is_part = self.by != By::Application;
        let head = |held_out: &str, application: &str, bursts: String| {
            let application = is_part.then(|| application.to_owned());
            let head = std::iter::once(held_out.to_owned()).chain(application);
            head.chain([bursts]).collect::<Vec<_>>()
        };
        let mut rows = vec![head("held out", "application", "bursts".to_owned())];
        rows[0].extend(self.names().map(str::to_owned));
        for held_out in self.found {
            let bursts = held_out.samples.to_string();
            let mut row = head(&held_out.held_out, &held_out.application, bursts);
            row.extend(held_out.scores.iter().map(figure));
            rows.push(row);
        }
        let mut row = head(last, "", String::new());
        row.extend(
            self.names()
                .map(|name| of_all(name).unwrap_or("--".to_owned())),
        );
        rows.push(row);
        let texts = usize::from(is_part);
        table(&rows, move |column| align(column.saturating_sub(texts)))
    }

    fn json(&self) -> Value {
        let held_out = |held_out: &HeldOut| {
            json!({
                "held_out": held_out.held_out,
                "application": held_out.application,
                "samples": held_out.samples,
                "scores": held_out.scores.iter().map(scores_json).collect::<Vec<_>>(),
            })
        };
        let model = self
            .model
            .map(|(path, digest)| json!({ "file": path.to_string_lossy(), "digest": digest }));
        let by_name = |figure: &dyn Fn(&str) -> Option<f64>| -> Map<String, Value> {
            let known = self.names().filter_map(|name| Some((name, figure(name)?)));
            known
                .map(|(name, figure)| (name.to_owned(), json!(figure)))
                .collect()
        };
        json!({
            "split": match self.by {
                By::Application => "application",
                By::Machine => "machine",
                By::Time => "time",
            },
            "samples": self.samples,
            "data": self.data,
            "shares": SHARES,
            "held_out": self.found.iter().map(held_out).collect::<Vec<_>>(),
            "loss_against_exponential_average": by_name(&|name| against_average(self.found, name)),
            "agreement": by_name(&|name| mean_agreement(self.found, name)),
            "model": model,
        })
    }
}

/// What is in a data set that was written: samples of each application on each machine, and the digest.
pub(super) fn data(as_json: bool, path: &Path, data: &Data) -> anyhow::Result<()> {
    let mut counts = BTreeMap::new();
    for sample in &data.samples {
        let of = (data.machine_of(sample), sample.application);
        *counts.entry(of).or_insert(0_u64) += 1;
    }
    let groups = counts.iter().map(|((machine, application), count)| {
        let machine = data.machines[usize::from(*machine)].as_str();
        let application = data.applications[usize::from(*application)].as_str();
        (machine, application, *count)
    });
    let digest = data.digest();
    if as_json {
        let groups = groups.map(|(machine, application, count)| {
            json!({ "machine": machine, "application": application, "samples": count })
        });
        let report = json!({
            "file": path.to_string_lossy(),
            "data": digest,
            "samples": data.samples.len(),
            "groups": groups.collect::<Vec<_>>(),
        });
        outln!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let mut rows = vec![
        ["machine", "application", "samples"]
            .map(String::from)
            .to_vec(),
    ];
    rows.extend(groups.map(|(machine, application, count)| {
        vec![
            machine.to_owned(),
            application.to_owned(),
            count.to_string(),
        ]
    }));
    out!("{}", table(&rows, |column| align(column.saturating_sub(1))));
    let count = data.samples.len();
    outln!("\n{}: {count} samples, {digest}", path.display());
    Ok(())
}

pub(super) fn align(column: usize) -> Align {
    if column == 0 {
        Align::Left
    } else {
        Align::Right
    }
}

//! Tables of scores.

use std::path::Path;

use baton_train::judge::{HeldOut, SHARES, Scores};
use serde_json::{Value, json};

use crate::table::{Align, table};

/// Of one set of scores.
pub(super) fn scores_json(scores: &Scores) -> Value {
    json!({
        "name": scores.name,
        "pinball": scores.pinball,
        "covered": scores.covered,
        "auc": scores.auc,
    })
}

/// Prints what was found with each application held out: of so many samples of the data with this digest.
pub(super) fn report(
    as_json: bool,
    (samples, data): (usize, &str),
    found: &[HeldOut],
    model: Option<(&Path, &str)>,
) -> anyhow::Result<()> {
    let summary = super::summary(found);
    if as_json {
        let held_out = |held_out: &HeldOut| {
            json!({
                "application": held_out.application,
                "samples": held_out.samples,
                "scores": held_out.scores.iter().map(scores_json).collect::<Vec<_>>(),
            })
        };
        let model =
            model.map(|(path, digest)| json!({ "file": path.to_string_lossy(), "digest": digest }));
        let ratios: serde_json::Map<String, Value> = summary
            .iter()
            .map(|(name, ratio)| ((*name).to_owned(), json!(ratio)))
            .collect();
        let report = json!({
            "samples": samples,
            "data": data,
            "shares": SHARES,
            "held_out": found.iter().map(held_out).collect::<Vec<_>>(),
            "loss_against_exponential_average": ratios,
            "model": model,
        });
        outln!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    outln!(
        "Pinball loss in octaves, at the median and the 90th percentile together; each application held out\n"
    );
    let Some(first) = found.first() else {
        return Ok(());
    };
    let mut rows: Vec<Vec<String>> = vec![
        std::iter::once("held out".to_owned())
            .chain(["bursts".to_owned()])
            .chain(first.scores.iter().map(|scores| scores.name.clone()))
            .collect(),
    ];
    for held_out in found {
        let mut row = vec![held_out.application.clone(), held_out.samples.to_string()];
        let loss = |scores: &Scores| format!("{:.3}", scores.pinball.iter().sum::<f64>());
        row.extend(held_out.scores.iter().map(loss));
        rows.push(row);
    }
    let mut last = vec!["of the average's".to_owned(), String::new()];
    last.extend(summary.iter().map(|(_, ratio)| format!("{ratio:.3}x")));
    rows.push(last);
    out!("{}", table(&rows, align));
    outln!(
        "\nthe last row: geometric means of ratios to the exponential average; below 1 is better"
    );
    if let Some((path, digest)) = model {
        outln!("\n{}: {}", path.display(), &digest[..16]);
    }
    Ok(())
}

pub(super) fn align(column: usize) -> Align {
    if column == 0 {
        Align::Left
    } else {
        Align::Right
    }
}

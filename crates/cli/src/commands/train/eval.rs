//! `baton eval`: how good a model is.

use std::{path::PathBuf, process::ExitCode};

use baton::app::{Code, Failure};
use baton_train::{
    Sample, Split,
    judge::{Predictor, SHARES, Scores, judge},
    score::{pinball, quantile},
};
use serde_json::json;

use super::{load, print};
use crate::table::table;

/// Tell how good a model guesses the bursts of recordings, beside rules that need no training
///
/// The rules are fitted to the very bursts that they guess, the model is as it is. A model
/// that guesses no better than its mirror image, which takes short bursts for long ones, is
/// refused: exit status 1.
#[derive(clap::Args)]
#[command(after_help = "Example:
  baton eval bursts.json another.rec")]
pub(crate) struct Args {
    /// The model
    model: PathBuf,

    /// Recordings, or data sets that `baton train --data` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let file = baton::app::model(&args.model)?;
    let data = load::all(&args.files)?;
    let whole = data.samples.iter().filter(|sample| !sample.cut).copied();
    let samples: Vec<Sample> = whole.collect();
    if samples.is_empty() {
        return Err(Failure::new(
            Code::Other("too-few", 2),
            "the files hold no burst that is whole: record longer",
        )
        .into());
    }
    let predictor = Predictor::of_model(file.model.clone());
    let split = Split {
        train: samples.clone(),
        stop: Vec::new(),
        test: samples,
    };
    let scores = judge(&split, &[("model", &predictor)]);
    let inverted = inverted(&split.test, &predictor);
    let means_something = scores
        .last()
        .is_some_and(|model| model.pinball[0] < inverted);
    let digest = file.digest()?;
    if args.json {
        let report = json!({
            "model": digest,
            "samples": split.test.len(),
            "scores": scores.iter().map(print::scores_json).collect::<Vec<_>>(),
            "inverted_pinball": inverted,
            "refused": !means_something,
        });
        outln!("{report}");
    } else {
        outln!("{} bursts; model {}\n", split.test.len(), &digest[..16]);
        out!("{}", table(&rows(&scores), print::align));
        outln!(
            "\nagreement: the share of median guesses within a factor of 2 of the slice that was used (the burst's \
             first piece)"
        );
        outln!("inverted, the model's loss at the median is {inverted:.3}");
    }
    if means_something {
        return Ok(ExitCode::SUCCESS);
    }
    let message = format!(
        "{} is refused: its mirror image guesses these bursts no worse, so what it predicts means nothing \
         for them",
        args.model.display()
    );
    Err(Failure::new(Code::Other("model-refused", 1), message).into())
}

/// The loss at the median of guesses mirrored at their own median.
fn inverted(samples: &[Sample], predictor: &Predictor) -> f64 {
    let mut guesses: Vec<i32> = samples
        .iter()
        .map(|sample| predictor.guess(sample)[0])
        .collect();
    let mirror = quantile(&mut guesses, 0.5);
    let pairs = samples
        .iter()
        .map(|sample| (sample.burst, 2 * mirror - predictor.guess(sample)[0]));
    pinball(pairs, SHARES[0])
}

fn rows(scores: &[Scores]) -> Vec<Vec<String>> {
    let head = [
        "",
        "loss at 50 %",
        "at 90 %",
        "below 50 %",
        "below 90 %",
        "short or long",
        "agreement",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(scores.iter().map(|scores| {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        vec![
            scores.name.clone(),
            format!("{:.3}", scores.pinball[0]),
            format!("{:.3}", scores.pinball[1]),
            percent(scores.covered[0]),
            percent(scores.covered[1]),
            scores
                .auc
                .map_or("--".to_owned(), |auc| format!("{auc:.3}")),
            percent(scores.agreement),
        ]
    }));
    rows
}

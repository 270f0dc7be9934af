//! `baton learn import`: a model of what was learned elsewhere.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use baton::app::{Code, Failure};
use baton_model::{Model, ModelFile, Provenance};
use baton_train::{
    Data, Sample,
    onnx::{BYTES_MAX, Imported, Onnx, import},
};
use serde_json::json;

use crate::commands::{trace::not_the_same, train::load};

/// Make a model of one that was trained elsewhere, in ONNX's format
///
/// Dense networks with rectified layers and sums of trees can be imported; it must have learned
/// from a table of `baton learn export` with the same options. A model gives the median of a burst,
/// or the median and the 90th percentile; two models give one each. With `--data`, ranges of features
/// are those of the data, and features that do not vary there are left out: use what it learned from.
/// `baton eval` tells what it is worth.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton learn import network.onnx --data all.bursts -o bursts.json
  baton learn import median.onnx p90.onnx --data all.bursts -o bursts.json
  baton learn import model.onnx --base none --features last1,last2,slept --unit octaves -o bursts.json")]
pub(crate) struct Args {
    /// The model, or one for the median and one for the 90th percentile
    #[arg(required = true, num_args = 1..=2, value_name = "MODEL")]
    models: Vec<PathBuf>,

    /// The model to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Recordings, or data sets that `baton train --data` wrote; can be given several times
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,

    #[command(flatten)]
    reading: super::reading::Options,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let reading = args.reading.reading()?;
    let path = &args.output;
    for file in args.models.iter().chain(&args.data) {
        not_the_same(file, path)?;
    }
    let models: Vec<Onnx> = args
        .models
        .iter()
        .map(|path| read(path))
        .collect::<Result<_, _>>()?;
    let data = load::all(&args.data)?;
    let whole = data.samples.iter().filter(|sample| !sample.cut).copied();
    let samples: Vec<Sample> = whole.collect();
    if samples.is_empty() && !args.data.is_empty() {
        return Err(Failure::new(
            Code::Other("too-few", 2),
            "the data hold no burst that is whole: record longer, or leave --data out",
        )
        .into());
    }
    let imported = import(&models, &reading, &samples)
        .map_err(|error| Failure::new(Code::Other("bad-onnx", 2), error.to_string()))?;
    let file = ModelFile {
        model: imported.model.clone(),
        provenance: provenance(&models, &data),
        scores: Vec::new(),
    };
    file.write(path)
        .map_err(|error| load::io(path, "write", &error))?;
    print(args, &imported, &file.digest()?);
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Onnx, Failure> {
    let mut bytes = Vec::new();
    // What says that it has no length, such as a pipe, may have no end either.
    File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::io("read", path, &error))?;
    Onnx::parse(path.to_string_lossy(), &bytes)
        .map_err(|error| Failure::new(Code::Other("bad-onnx", 2), error.to_string()))
}

fn provenance(models: &[Onnx], data: &Data) -> Provenance {
    let origins: Vec<String> = models.iter().map(Onnx::origin).collect();
    Provenance {
        trainer: format!("elsewhere: {}", origins.join("; ")),
        data: match data.samples.is_empty() {
            true => String::new(),
            false => data.digest(),
        },
        split: "not known; the data gave the ranges of features".to_owned(),
        seed: 0,
    }
}

fn print(args: &Args, imported: &Imported, digest: &str) {
    let constant: Vec<&str> = imported
        .constant
        .iter()
        .map(|feature| feature.name())
        .collect();
    let (kind, what) = match &imported.model {
        Model::Network(network) => (
            "network",
            format!("a network of {} products", network.products()),
        ),
        Model::Forest(forest) => ("forest", format!("{} trees", forest.trees().len())),
    };
    let outputs = imported.model.outputs();
    let difference = imported.difference;
    if args.json {
        let report = json!({
            "file": args.output,
            "digest": digest,
            "kind": kind,
            "outputs": outputs,
            "constant": constant,
            "difference": {
                "predictions": difference.predictions,
                "mean_steps": difference.mean,
                "most_steps": difference.most,
            },
        });
        outln!("{report}");
        return;
    }
    let predicted = ["the median", "the median and the 90th percentile"][outputs.clamp(1, 2) - 1];
    outln!(
        "{}: {what} for {predicted}; model {}",
        args.output.display(),
        &digest[..16]
    );
    let of = match args.data.is_empty() {
        true => {
            "of random values; name what it learned from with --data to have the ranges of that"
        }
        false => "of the data",
    };
    outln!(
        "integers differ from floats by {:.2} steps on average, {:.2} at most, in {} predictions {of}",
        difference.mean,
        difference.most,
        difference.predictions
    );
    if !constant.is_empty() {
        outln!(
            "left out, as they do not vary in the data: {}",
            constant.join(", ")
        );
    }
}

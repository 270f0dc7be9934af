//! `baton learn export`: bursts as a table.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use baton::app::Failure;
use baton_train::write_table;
use serde_json::json;

use crate::commands::{trace::not_the_same, train::load};

/// Write bursts and what was known of them as a table, to learn from elsewhere
///
/// Comma-separated values with a head. A row is a burst: its application, the number of its
/// recording, when it began in milliseconds, the features, and what a model of them is to predict.
/// Sizes and times are logarithms to the base of 2 of nanoseconds, in steps of 1/256.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton learn export build.rec editor.rec -o bursts.csv
  baton learn export all.bursts --base none --features last1,last2,slept -o bursts.csv")]
pub(crate) struct Args {
    /// Recordings, or data sets that `baton train --data` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The table to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    reading: super::reading::Options,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let reading = args.reading.reading()?;
    let path = &args.output;
    for file in &args.files {
        not_the_same(file, path)?;
    }
    let data = load::all(&args.files)?;
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        let rows = write_table(&data, &reading, &mut out)?;
        out.flush()?;
        Ok(rows)
    });
    let rows = written.map_err(|error| Failure::io("write", path, &error))?;
    let features = reading.look.names();
    if args.json {
        outln!(
            "{}",
            json!({ "file": path, "rows": rows, "features": features })
        );
    } else {
        outln!(
            "{}: {rows} bursts, {} features",
            path.display(),
            features.len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

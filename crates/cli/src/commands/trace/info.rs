//! `baton trace info`: what a recording holds.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use baton::app::{Failure, open_recording};
use baton_trace::Summary;
use serde::Serialize;

use crate::summary;

/// Tell what a recording holds: events by kind, what ran and what waited, and whether it is whole
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton trace info build.rec
  baton trace info build.rec --json | jq .lost")]
pub(crate) struct Args {
    /// A recording
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    #[serde(flatten)]
    summary: &'a Summary,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut recording = open_recording(&args.file)?;
    let found = Summary::of(&mut recording).map_err(Failure::from)?;
    if args.json {
        let report = Report {
            file: &args.file,
            summary: &found,
        };
        outln!("{}", serde_json::to_string(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    summary::print(&args.file, &found);
    let kernel = if found.kernel.is_empty() {
        String::new()
    } else {
        format!(", on Linux {}", found.kernel)
    };
    outln!("\nwritten by {}{kernel}", found.writer);
    if let Some(offset) = found.cut_at {
        outln!("it was cut off at byte {offset}: its recorder was killed, or the disk was full");
    }
    Ok(ExitCode::SUCCESS)
}

//! `baton lab compare`: what changed from one results file to another.

use std::{path::PathBuf, process::ExitCode};

use baton_lab::{compare, judge::Rules, table};

/// What changed between two results of the same experiment
///
/// Each variant's values in the old file against those in the new one, metric by metric, with
/// a verdict. Runs of two files do not pair; what changed between the two sessions beside the
/// variant counts too, unless --relative takes values by the baseline's of their round first.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton lab compare old/results.json new/results.json
  baton lab compare --relative old/results.json new/results.json --json")]
pub(super) struct Args {
    /// Results of before
    old: PathBuf,
    /// Results of now
    new: PathBuf,
    /// Compare what each variant is relative to the baseline of its round
    #[arg(long)]
    relative: bool,
    /// Print JSON: `{"warnings":[...],"cells":[{"workload","metric","variant","effect","p_corrected","verdict","why", ...}],"notes":[...]}`
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let (old, new) = (super::results(&args.old)?, super::results(&args.new)?);
    let comparison = compare::compare(&old, &new, &Rules::default(), args.relative);
    if args.json {
        outln!("{}", serde_json::to_string(&comparison)?);
    } else {
        out!("{}", table::comparison(&comparison));
    }
    Ok(ExitCode::SUCCESS)
}

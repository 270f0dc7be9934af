//! `baton lab`: experiments.
//!
//! - `run` makes the runs of one, or what is left of them;
//! - `resolve` finds or builds what an experiment names;
//! - `progress` tells a person who waits how far it is;
//! - `summary` prints what was found;
//! - `guest` is what runs in a VM, and the process of one run;
//! - `compare` sets two results side by side;
//! - `check` holds results against thresholds.

mod check;
mod compare;
mod guest;
mod progress;
mod resolve;
mod run;
mod summary;

use std::{path::Path, process::ExitCode};

use baton::app::{Code, Failure};
use baton_lab::{Experiment, experiment, read, results::Results, table::printable};
use clap::Subcommand;

use crate::table::{Align, table};

/// Experiments: schedulers compared, with evidence
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton lab list
  baton lab run smoke
  baton lab run experiments/interactive.toml --runs 20
  baton lab compare old/results.json new/results.json
  baton lab check results.json --threshold primary=1.05")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    List(ListArgs),
    Compare(compare::Args),
    Check(check::Args),
    #[command(hide = true)]
    Guest(guest::Args),
    #[command(hide = true)]
    Cell(guest::CellArgs),
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Run(args) => run::execute(args),
        Command::List(args) => list(args),
        Command::Compare(args) => compare::execute(args),
        Command::Check(args) => check::execute(args),
        Command::Guest(args) => guest::execute(args),
        Command::Cell(args) => guest::execute_cell(args),
    }
}

/// Results from a file, or why not.
fn results(path: &Path) -> Result<Results, Failure> {
    Results::read(path).map_err(|error| {
        let code = match &error {
            read::Error::Io { .. } => Code::Io,
            read::Error::Bad { .. } => Code::Other("bad-results", 2),
        };
        // It may name what stands in somebody else's file.
        Failure::new(code, printable(&error.to_string()))
    })
}

/// List the experiments that come with Baton
#[derive(clap::Args)]
#[command(after_help = "Example:\n  baton lab list --json")]
struct ListArgs {
    /// Print JSON: a list of `name`, `backend`, `runs`, `variants`, `workloads` and `description`
    #[arg(long)]
    json: bool,
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let found = experiment::builtin_names()
        .into_iter()
        .map(Experiment::find);
    let found: Vec<Experiment> = found.collect::<Result<_, _>>()?;
    if args.json {
        let entries: Vec<_> = found.iter().map(describe).collect();
        outln!("{}", serde_json::to_string(&entries)?);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|experiment| {
            vec![
                experiment.name.clone(),
                experiment.backend.name().to_owned(),
                format!("{} runs", experiment.runs),
                experiment.description.clone(),
            ]
        })
        .collect();
    out!("{}", table(&rows, |_| Align::Left));
    Ok(ExitCode::SUCCESS)
}

fn describe(experiment: &Experiment) -> serde_json::Value {
    let variants: Vec<_> = experiment
        .variants
        .iter()
        .map(|variant| &variant.name)
        .collect();
    let workloads: Vec<_> = experiment.workloads.iter().map(|work| &work.name).collect();
    serde_json::json!({
        "name": experiment.name,
        "backend": experiment.backend,
        "runs": experiment.runs,
        "variants": variants,
        "workloads": workloads,
        "description": experiment.description,
    })
}

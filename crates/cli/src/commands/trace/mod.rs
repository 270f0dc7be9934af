//! `baton trace`: what to do with recordings.

mod export;
mod import;
mod info;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use export::not_the_same;

/// Look into a recording, export it, or make one of what perf recorded
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton trace info build.rec
  baton trace export build.rec --parquet build.parquet --perfetto build.pftrace
  baton trace import perf.data -o build.rec")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Args),
    Export(export::Args),
    Import(import::Args),
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Info(args) => info::execute(args),
        Command::Export(args) => export::execute(args),
        Command::Import(args) => import::execute(args),
    }
}

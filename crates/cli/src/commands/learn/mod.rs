//! `baton learn`: models from recordings, learned here in one command, or elsewhere.

mod bursts;
mod export;
mod import;
mod reading;

use std::process::ExitCode;

use clap::Subcommand;

/// Record this machine under several workloads and learn from that, or have others learn
///
/// `bursts` does all of it. `export` writes what there is to learn from as a table, for
/// scikit-learn, PyTorch and whatever else writes ONNX; `import` makes a model of what they learned.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo baton learn bursts --quick --out learned
  baton learn export learned/all.bursts -o bursts.csv
  baton learn import model.onnx --data learned/all.bursts -o bursts.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Bursts(bursts::Args),
    Export(export::Args),
    Import(import::Args),
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Bursts(args) => bursts::execute(args),
        What::Export(args) => export::execute(args),
        What::Import(args) => import::execute(args),
    }
}

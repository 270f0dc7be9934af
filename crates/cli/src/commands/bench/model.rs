//! `baton bench model`: what a prediction takes in the kernel.

use std::{path::PathBuf, process::ExitCode};

use baton::{
    app::{Code, Failure},
    kernel::inference::{Inference, InferenceError},
};
use baton_model::{
    Features, Model,
    samples::{self, forest, network},
};
use baton_policy::Rng;
use serde_json::json;

use crate::table::{Align, table};

/// On this machine's kernel: what one prediction takes, beside a BPF program that does nothing
///
/// Needs root, and loads programs that nothing is attached to. Rounds take every model
/// once; the table has medians and quartiles over the rounds of what the prediction adds to
/// the empty program measured beside it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo baton bench model
  sudo baton bench model bursts.json --rounds 50 --json")]
pub(crate) struct ModelArgs {
    /// A model of `baton train`, beside those of common shapes
    #[arg(value_name = "FILE")]
    models: Vec<PathBuf>,

    /// Rounds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,

    /// Predictions of a model in a round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1000..=10_000_000))]
    repeat: u32,

    /// Seed of the weights and inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A model, and what was measured of it.
struct Measured {
    name: String,
    model: Model,
    net_ns: Vec<f64>,
    /// As a share of what the plain network took beside it.
    of_plain: Vec<f64>,
}

pub(super) fn execute(args: &ModelArgs) -> anyhow::Result<ExitCode> {
    let mut rng = Rng::new(args.seed);
    let mut below = |bound| rng.below(bound);
    let shapes: [(&str, Model); 7] = [
        ("network 15-10-1", network(&[15, 10, 1], &mut below)),
        ("network 15-10-2", network(&[15, 10, 2], &mut below)),
        (
            "network 2-32-32-32-1",
            network(&[2, 32, 32, 32, 1], &mut below),
        ),
        (
            "network 15-32-32-32-1",
            network(&[15, 32, 32, 32, 1], &mut below),
        ),
        ("1 tree of depth 6", forest(1, 6, 1, &mut below)),
        ("16 trees of depth 6", forest(16, 6, 1, &mut below)),
        ("64 trees of depth 6", forest(64, 6, 2, &mut below)),
    ];
    let mut all: Vec<Measured> = shapes
        .into_iter()
        .map(|(name, model)| Measured {
            name: name.to_owned(),
            model,
            net_ns: Vec::new(),
            of_plain: Vec::new(),
        })
        .collect();
    for path in &args.models {
        let file = baton::app::model(path)?;
        all.push(Measured {
            name: path.display().to_string(),
            model: file.model,
            net_ns: Vec::new(),
            of_plain: Vec::new(),
        });
    }
    let mut kernel = Inference::load().map_err(refused)?;
    let (mut nothing_ns, mut plain_ns) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let features: Features = samples::features(&mut below);
        for measured in &mut all {
            kernel.set(&measured.model).map_err(refused)?;
            let times = kernel.time(&features, args.repeat).map_err(refused)?;
            nothing_ns.push(times.nothing_ns);
            plain_ns.push(times.plain_net_ns());
            measured.net_ns.push(times.net_ns());
            measured
                .of_plain
                .push(times.net_ns() / times.plain_net_ns());
        }
    }
    print(args, &mut all, &mut nothing_ns, &mut plain_ns)?;
    Ok(ExitCode::SUCCESS)
}

fn refused(error: InferenceError) -> Failure {
    let code = match error {
        InferenceError::NotRoot => Code::NoRoot,
        _ => Code::Machine,
    };
    Failure::new(code, error.to_string())
}

/// The quartiles.
fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

fn print(
    args: &ModelArgs,
    all: &mut [Measured],
    nothing_ns: &mut [f64],
    plain_ns: &mut [f64],
) -> anyhow::Result<()> {
    let (nothing, plain) = (quartiles(nothing_ns), quartiles(plain_ns));
    if args.json {
        let models = all.iter_mut().map(|measured| {
            let [low, median, high] = quartiles(&mut measured.net_ns);
            let of_plain = quartiles(&mut measured.of_plain)[1];
            json!({ "name": measured.name, "net_ns": median, "quartiles": [low, high], "of_plain": of_plain })
        });
        let report = json!({
            "nothing_ns": nothing[1],
            "plain_net_ns": plain[1],
            "rounds": args.rounds,
            "repeat": args.repeat,
            "models": models.collect::<Vec<_>>(),
        });
        outln!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let mut rows = vec![
        ["model", "products", "ns", "quartiles", "of plain"]
            .map(String::from)
            .to_vec(),
    ];
    for measured in all {
        let products = match &measured.model {
            Model::Network(network) => network.products().to_string(),
            Model::Forest(_) => "--".to_owned(),
        };
        let [low, median, high] = quartiles(&mut measured.net_ns);
        rows.push(vec![
            measured.name.clone(),
            products,
            format!("{median:.0}"),
            format!("{low:.0} to {high:.0}"),
            format!("{:.2}x", quartiles(&mut measured.of_plain)[1]),
        ]);
    }
    let align = |column| {
        if column == 0 {
            Align::Left
        } else {
            Align::Right
        }
    };
    out!("{}", table(&rows, align));
    outln!(
        "\nwhat a prediction adds to a program that does nothing, which takes {:.0} ns; of plain: of what a \
         network of\n15-10-1 takes that is computed a weight at a time, {:.0} ns, measured beside each; {} rounds of {}",
        nothing[1],
        plain[1],
        args.rounds,
        args.repeat
    );
    Ok(())
}

//! Trains a dense network by the squared error for so many epochs and prints its losses and the time as JSON:
//! one side of `scripts/compare-trainers`.
//!
//!     cargo run --release -p baton-train --example squared -- all.bursts 20 10

use std::{error::Error, time::Instant};

use baton_model::Feature;
use baton_train::{
    Data, Look, Split,
    mlp::{Config, Target, train},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, epochs, hidden @ ..] = &arguments[..] else {
        return Err("squared DATA EPOCHS HIDDEN...".into());
    };
    let split = Split::by_time(&Data::read(path)?, 0.0);
    let epochs: usize = epochs.parse()?;
    let hidden: Vec<usize> = hidden
        .iter()
        .map(|width| width.parse())
        .collect::<Result<_, _>>()?;
    let config = Config {
        look: Look::plain(Feature::ALL),
        hidden,
        target: Target::Octaves,
        rate: 1e-3,
        batch: 256,
        epochs,
        // Never ends early.
        patience: epochs,
        seed: 1,
        threads: 1,
    };
    let begin = Instant::now();
    let mlp = train(&split.train, &split.stop, &config, &mut |_, _, _| ())?;
    let seconds = begin.elapsed().as_secs_f64();
    let (first, last) = (mlp.losses.first(), mlp.losses.last());
    println!(
        "{}",
        serde_json::json!({
            "samples": split.train.len(),
            "inputs": Feature::ALL.len() - mlp.constant.len(),
            "seconds": seconds,
            "first": first,
            "last": last,
        })
    );
    Ok(())
}

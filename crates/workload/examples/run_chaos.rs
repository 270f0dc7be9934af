//! Disturbs the scheduler for the given seconds and prints what the witnesses saw:
//! `cargo run --release -p baton-workload --example run_chaos -- 10 SEED hotplug`

use baton_workload::chaos::{ChaosOptions, chaos};
use baton_workload::stop;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments
        .next()
        .unwrap_or_else(|| "10".to_owned())
        .parse()?;
    let seed = arguments.next().unwrap_or_else(|| "1".to_owned()).parse()?;
    let options = ChaosOptions {
        seed,
        duration: Duration::from_secs(seconds),
        stop: stop::on_signals()?,
        hotplug: arguments.next().as_deref() == Some("hotplug"),
        ..ChaosOptions::default()
    };
    print!("{}", chaos(&options)?);
    Ok(())
}

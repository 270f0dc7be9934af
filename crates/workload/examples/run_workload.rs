//! Runs a workload given as text and prints its report:
//! `cargo run --release -p baton-workload --example run_workload -- pipe+hogs`

use baton_workload::{RunOptions, Workload, list, run, stop};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(text) = std::env::args().nth(1) else {
        for kind in list() {
            println!(
                "{}: {}; for example {}",
                kind.name, kind.about, kind.example
            );
        }
        return Ok(());
    };
    let workload: Workload = text.parse()?;
    let options = RunOptions {
        stop: stop::on_signals()?,
        ..RunOptions::default()
    };
    print!("{}", run(&workload, &options)?);
    Ok(())
}

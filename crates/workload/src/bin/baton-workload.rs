//! Runs a workload given as text and prints its report: the smallest program that uses this crate,
//! by which it is tested alone. The product's own is `baton workload`.
//!
//! `baton-workload WORKLOAD [SOURCE]`

use baton_workload::{RunOptions, Workload, list, run, run_if_child, stop};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run_if_child();
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
        source: std::env::args_os().nth(2).map(Into::into),
        stop: stop::on_signals()?,
        ..RunOptions::default()
    };
    print!("{}", run(&workload, &options)?);
    Ok(())
}

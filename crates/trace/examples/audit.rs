//! Looks whether what must hold in a recording does: `cargo run -p baton-trace --example audit FILE`.

use baton_trace::{Audit, Recording};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let mut audit = Audit::default();
        let mut recording = Recording::open(&path)?;
        for event in recording.by_ref() {
            audit.add(&event?);
        }
        println!("{path}: {}, {:?}", audit.holds(), recording.ending());
        println!(
            "{} switches, out of turn {}, unwoken {}, twice {}, untold {}, unmade {}",
            audit.switches,
            audit.out_of_turn,
            audit.unwoken,
            audit.twice,
            audit.untold,
            audit.unmade
        );
        for example in &audit.examples {
            println!("  {example}");
        }
    }
    Ok(())
}

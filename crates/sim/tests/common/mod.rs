//! What the tests of the simulator share.
#![allow(dead_code)] // Each test file uses its own part.

use baton_machine::MachineFile;
use baton_sim::{Actor, Cast, Config, Spawn, Stage, Step};

/// A run of this workload on the built-in machine of this name.
pub fn config(machine: &str, workload: &str) -> Config {
    let file = MachineFile::find(machine).unwrap();
    Config::on(&file, workload.parse().unwrap())
}

/// Computes and sleeps so long, in turn, so often.
pub struct Beat {
    pub burst_ns: u64,
    pub sleep_ns: u64,
    pub left: u32,
}

impl Actor for Beat {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.left = self.left.saturating_sub(1);
        match self.left {
            0 => Step::Exit,
            left if left % 2 == 1 => Step::Compute(self.burst_ns),
            _ => Step::SleepUntil(stage.now_ns() + self.sleep_ns),
        }
    }
}

/// A run of these tasks beside two hogs on two CPUs.
pub fn play(for_ns: u64, tasks: impl Fn(&mut Stage) + Send + Sync + 'static) -> Config {
    let mut config = config("2-cpu", "hogs:count=2,seconds=60");
    config.cast = Some(Cast::new(tasks));
    config.limit_ns = for_ns;
    // Nobody else comes between.
    config.costs = config.costs.with("noise_ns", 0).unwrap();
    config
}

/// Starts so many that compute and sleep for ever.
pub fn beats(stage: &mut Stage, count: u32, burst_ns: u64, sleep_ns: u64) {
    for _ in 0..count {
        let beat = Beat {
            burst_ns,
            sleep_ns,
            left: u32::MAX,
        };
        stage.spawn(Spawn::new("beat", Stage::NO_PART, beat));
    }
}

//! Random machines, tasks, costs, hotplug and faults under every policy: the invariants hold, and the
//! same seed gives the same digest. A failure names its seed; `BATON_FUZZ_SEED` runs that one alone.

use baton_policy::{Mode, Rng};
use baton_sim::{Config, Report, random, run_named, schedulers};

const RUNS: u64 = 1000;

fn random_config(seed: u64) -> (&'static str, Config) {
    let mut config = random::config(seed);
    // Another sequence than the run's own.
    let mut rng = Rng::new(!seed);
    let names: Vec<_> = schedulers().collect();
    let name = names[rng.below(names.len() as u64) as usize];
    if matches!(name, "fifo" | "edf") && rng.below(3) == 0 {
        config.mode = Mode::Hint;
    }
    (name, config)
}

fn run(seed: u64) -> Report {
    let (name, config) = random_config(seed);
    run_named(name, &config).unwrap_or_else(|error| {
        let (machine, workload) = (&config.machine.cpus.len(), &config.workload);
        panic!(
            "{name}, {workload}, {machine} CPUs, {:?}: {error}",
            config.plans
        )
    })
}

#[test]
fn invariants_hold_in_a_thousand_random_runs() {
    if let Ok(seed) = std::env::var("BATON_FUZZ_SEED") {
        println!("{}", run(seed.parse().unwrap()));
        return;
    }
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..RUNS).step_by(threads as usize) {
                    let report = run(seed);
                    assert!(report.events > 0, "seed {seed}");
                    if seed % 16 == 0 {
                        assert_eq!(report, run(seed), "seed {seed}");
                    }
                }
            });
        }
    });
}

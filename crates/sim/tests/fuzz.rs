//! Random machines, tasks, costs, hotplug and faults under every policy: the invariants hold, and the
//! same seed gives the same digest. A failure names its seed; `BATON_FUZZ_SEED` runs that one alone.

mod common;

use baton_policy::{MS, Mode, Rng};
use baton_sim::{Cast, Config, Fault, Plan, Report, Spawn, Stage, Wakeups, run_named, schedulers};
use common::{Rover, random_costs, random_machine};

const RUNS: u64 = 1000;
const LIMIT_NS: u64 = 60 * MS;

/// Workloads that are over, or at least under way, within the limit.
const WORKLOADS: &[&str] = &[
    "hogs:count=3,seconds=0.06",
    "pipe:rounds=2000",
    "messaging:groups=1,fan=3,loops=10",
    "frames:fps=500,seconds=0.05,load=0.3",
    "build:units=40,unit_ms=3,jobs=3",
    "pipe:rounds=20+hogs:count=2",
    "requests:work_us=200,workers=3,seconds=0.05",
    "frames:fps=500,seconds=0.05,load=0.3+audio:rate=1000+stream:rate=500,threads=3",
    "isolation:hogs=3,forks=5,rate=1000,burst_us=100,seconds=0.05",
    "tenants:weights=100/300/50,hogs=2,rate=1000,burst_us=100,seconds=0.05",
];

fn plans(rng: &mut Rng, cpus: u32) -> Vec<(u64, Plan)> {
    let count = rng.below(8);
    let mut plan = || match rng.below(8) {
        0..=2 => Plan::Hotplug {
            cpu: rng.below(u64::from(cpus)) as u32,
            online: rng.below(2) == 0,
        },
        3 => Plan::Fault(Fault::Silent {
            for_ns: rng.below(50 * MS),
        }),
        4 => Plan::Fault(Fault::Late {
            by_ns: rng.below(3 * MS),
        }),
        5 => Plan::Fault(Fault::Wrong {
            one_in: 1 + rng.below(4) as u32,
        }),
        6 => Plan::Fault(Fault::TakeOver),
        _ => Plan::Fault(Fault::Lose {
            events: rng.below(50) as u32,
        }),
    };
    let mut plans: Vec<_> = (0..count).map(|_| (0, plan())).collect();
    for (time_ns, _) in &mut plans {
        *time_ns = rng.below(LIMIT_NS);
    }
    plans
}

fn random_config(seed: u64) -> (&'static str, Config) {
    let mut rng = Rng::new(seed);
    let machine = random_machine(&mut rng);
    let cpus = machine.cpus.len() as u32;
    let names: Vec<_> = schedulers().collect();
    let name = names[rng.below(names.len() as u64) as usize];
    let workload = WORKLOADS[rng.below(WORKLOADS.len() as u64) as usize];
    let rovers = rng.below(60);
    let cast = Cast::new(move |stage: &mut Stage| {
        let room = 1 + stage.rng().below(4) as usize;
        let channels = vec![
            stage.channel(room, 0, Wakeups::Sync),
            stage.channel(room, room, Wakeups::Plain),
        ];
        for _ in 0..rovers {
            let rng = Rng::new(stage.rng().next_u64());
            let rover = Rover {
                rng,
                channels: channels.clone(),
                cpus,
                generation: 0,
                steps: 1000,
            };
            stage.spawn(Spawn::new("rover", Stage::NO_PART, rover));
        }
    });
    let hints = matches!(name, "fifo" | "edf") && rng.below(3) == 0;
    let config = Config {
        seed,
        cast: Some(cast),
        limit_ns: LIMIT_NS,
        mode: if hints { Mode::Hint } else { Mode::Decide },
        plans: plans(&mut rng, cpus),
        audit_each: 1,
        ..Config::new(machine, random_costs(&mut rng), workload.parse().unwrap())
    };
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

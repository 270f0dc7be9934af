//! Random runs: machines, tasks, costs, hotplug and faults drawn from a seed, under which every scheduler
//! must keep what must hold.

use baton_machine::{Costs, MachineFile};
use baton_policy::{CpuSet, MS, Machine, Rng};

use crate::{Actor, Cast, Channel, Config, Fault, Plan, Spawn, Stage, Step, Wakeups};

/// How long such a run is at most, nanoseconds.
pub const LIMIT_NS: u64 = 60 * MS;

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

/// The run of this seed; each of its events is followed by an audit.
///
/// # Panics
/// Never: what is drawn can be read.
#[must_use]
pub fn config(seed: u64) -> Config {
    let mut rng = Rng::new(seed);
    let machine = machine(&mut rng);
    let cpus = machine.cpus.len() as u32;
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
    let workload = workload.parse();
    Config {
        seed,
        cast: Some(cast),
        limit_ns: LIMIT_NS,
        plans: plans(&mut rng, cpus),
        audit_each: 1,
        ..Config::new(
            machine,
            costs(&mut rng),
            workload.expect("it is one of the list"),
        )
    }
}

/// A machine of random shape, with up to 32 CPUs.
fn machine(rng: &mut Rng) -> Machine {
    let mut pick = |most: u64| 1 + rng.below(most);
    let (sockets, llcs, cores, threads) = (pick(2), pick(2), pick(4), pick(2));
    let nodes = if pick(2) == 1 { 1 } else { sockets };
    let classes = if pick(3) == 1 {
        "core_classes = [{ name = \"E\", cores = \"0\", capacity = 400 }]\n"
    } else {
        ""
    };
    let text = format!(
        "name = \"machine\"\nsockets = {sockets}\nllcs_per_socket = {llcs}\ncores_per_llc = {cores}\n\
         threads_per_core = {threads}\n{classes}[numa]\nnodes = {nodes}\n"
    );
    let file = MachineFile::parse("random.toml", &text);
    file.expect("a random machine is a machine").machine()
}

/// Costs that are up to four times the default, or nothing.
fn costs(rng: &mut Rng) -> Costs {
    let mut costs = Costs::default();
    let names: Vec<_> = costs.entries().collect();
    for (name, value) in names {
        if rng.below(4) == 0 {
            let other = costs.clone().with(name, value * rng.below(5));
            costs = other.unwrap_or(costs);
        }
    }
    costs
}

/// A task that does something else each time.
struct Rover {
    rng: Rng,
    channels: Vec<Channel>,
    cpus: u32,
    generation: u32,
    steps: u32,
}

impl Rover {
    fn child(&mut self) -> Spawn {
        let child = Self {
            rng: Rng::new(self.rng.next_u64()),
            channels: self.channels.clone(),
            cpus: self.cpus,
            generation: self.generation + 1,
            steps: 1 + self.rng.below(20) as u32,
        };
        let mut spawn = Spawn::new("rover", Stage::NO_PART, child);
        spawn.weight = 1 + self.rng.below(1000) as u32;
        spawn.working_set_kib = self.rng.below(4096) as u32;
        if self.rng.below(3) == 0 {
            spawn.allowed = Some(self.some_cpus());
        }
        spawn
    }

    /// One to all CPUs; some of them may not exist.
    fn some_cpus(&mut self) -> CpuSet {
        let count = 1 + self.rng.below(u64::from(self.cpus));
        let mut cpus: CpuSet = (0..count)
            .map(|_| self.rng.below(u64::from(self.cpus)) as u32)
            .collect();
        cpus.insert(self.cpus + 3);
        cpus
    }
}

impl Actor for Rover {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return Step::Exit;
        }
        let channel = self.channels[self.rng.below(self.channels.len() as u64) as usize];
        match self.rng.below(11) {
            0..=2 => Step::Compute(self.rng.below(3_000_000)),
            3 => Step::Compute(self.rng.below(20_000)),
            4 => Step::SleepUntil(stage.now_ns() + self.rng.below(5_000_000)),
            5 => Step::Yield,
            6 => {
                stage.send(channel, 1);
                Step::Compute(self.rng.below(1000))
            }
            7 => {
                stage.receive(channel);
                Step::Compute(self.rng.below(1000))
            }
            8 => Step::Receive(channel),
            9 if self.generation < 3 => {
                let child = self.child();
                stage.spawn(child);
                Step::Compute(1000)
            }
            _ => {
                let cpus = self.some_cpus();
                stage.set_affinity(cpus);
                Step::Compute(1 + self.rng.below(100_000))
            }
        }
    }
}

//! What the tests of the simulator share.
#![allow(dead_code)] // Each test file uses its own part.

use baton_machine::{Costs, MachineFile};
use baton_policy::{CpuSet, Machine, Rng};
use baton_sim::{Actor, Cast, Channel, Config, Spawn, Stage, Step};

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

/// A machine of random shape, with up to 32 CPUs.
pub fn random_machine(rng: &mut Rng) -> Machine {
    let mut pick = |most: u64| 1 + rng.below(most);
    let (sockets, llcs, cores, threads) = (pick(2), pick(2), pick(4), pick(2));
    let nodes = if pick(2) == 1 { 1 } else { sockets };
    let classes = if pick(3) == 1 {
        "core_classes = [{ name = \"E\", cores = \"0\", capacity = 400 }]\n"
    } else {
        ""
    };
    let text = format!(
        "name = \"random\"\nsockets = {sockets}\nllcs_per_socket = {llcs}\ncores_per_llc = {cores}\n\
         threads_per_core = {threads}\n{classes}[numa]\nnodes = {nodes}\n"
    );
    MachineFile::parse("random.toml", &text).unwrap().machine()
}

/// Costs that are up to four times the default, or nothing.
pub fn random_costs(rng: &mut Rng) -> Costs {
    let mut costs = Costs::default();
    let names: Vec<_> = costs.entries().collect();
    for (name, value) in names {
        if rng.below(4) == 0 {
            costs = costs.with(name, value * rng.below(5)).unwrap();
        }
    }
    costs
}

/// A task that does something else each time.
pub struct Rover {
    pub rng: Rng,
    pub channels: Vec<Channel>,
    pub cpus: u32,
    pub generation: u32,
    pub steps: u32,
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

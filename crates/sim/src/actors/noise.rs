//! The rest of the system: threads of the kernel that wake now and then, compute a little and sleep.
//!
//! Without them tasks would stay for ever where they began. On a real machine something always comes
//! between: a CPU is busy just when a task wakes, and what schedulers do then decides what they do next.

use crate::actor::{Actor, Spawn, Stage, Step};

struct Worker {
    wakes: bool,
}

impl Actor for Worker {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.wakes = !self.wakes;
        if !self.wakes {
            return Step::Compute(stage.costs().noise_ns);
        }
        let period_ns = stage.costs().noise_period_ns;
        // Evenly between nothing and twice the period.
        let pause_ns = stage.rng().below(2 * period_ns);
        Step::SleepUntil(stage.now_ns() + pause_ns)
    }
}

/// Puts one worker for each last-level cache on the stage.
pub(crate) fn install(stage: &mut Stage, llcs: usize) {
    let costs = stage.costs();
    if costs.noise_period_ns == 0 || costs.noise_ns == 0 {
        return;
    }
    for _ in 0..llcs {
        let worker = Worker { wakes: false };
        let mut spawn = Spawn::new("kworker", Stage::NO_PART, worker).working_set_kib(16);
        spawn.is_thread = false;
        stage.spawn(spawn);
    }
}

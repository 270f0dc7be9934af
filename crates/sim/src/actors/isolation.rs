//! [`Isolation`]: a polite cgroup beside one with hogs and a storm of forks.

use baton_policy::{Rng, SEC};
use baton_workload::{Isolation, PartReport, isolation::Seen, names};

use super::{
    PartView, Played, Setting,
    crowd::{self, Service, Shared},
    hogs,
};
use crate::actor::{Actor, Channel, Counter, Spawn, Stage, Step, Wakeups};

/// Both have the default weight.
const POLITE: &str = "/isolation/polite";
const HOSTILE: &str = "/isolation/hostile";
/// The longest that a forked process computes.
const FORK_WORK_MAX_NS: u64 = 1_000_000;
const FORK_SET_KIB: u32 = 64;

/// Forks processes that soon end, waits for them and forks the next.
struct Storm {
    rng: Rng,
    part: u32,
    forks: u32,
    /// Still to be forked this time, and forked and not ended.
    left: u32,
    running: u32,
    has_paid: bool,
    ends: Channel,
    counter: Counter,
}

impl Actor for Storm {
    fn step(&mut self, stage: &mut Stage) -> Step {
        if self.left == 0 {
            while self.running > 0 {
                if stage.receive(self.ends).is_none() {
                    return Step::Receive(self.ends);
                }
                self.running -= 1;
            }
            self.left = self.forks;
        }
        if !std::mem::replace(&mut self.has_paid, true) {
            return Step::Compute(stage.costs().fork_ns);
        }
        self.has_paid = false;
        self.left -= 1;
        self.running += 1;
        stage.count(self.counter, 1);
        let fork = Fork {
            work_ns: self.rng.below(FORK_WORK_MAX_NS),
            steps: 0,
            ends: self.ends,
        };
        let mut spawn = Spawn::new(names::HOSTILE_FORK, self.part, fork);
        spawn.is_thread = false;
        stage.spawn(spawn.working_set_kib(FORK_SET_KIB));
        Step::Compute(0)
    }
}

/// What it forks.
struct Fork {
    work_ns: u64,
    steps: u32,
    ends: Channel,
}

impl Actor for Fork {
    fn step(&mut self, stage: &mut Stage) -> Step {
        self.steps += 1;
        match self.steps {
            1 => Step::Compute(self.work_ns),
            2 => Step::Compute(stage.costs().exit_ns),
            _ => {
                stage.send(self.ends, 0);
                Step::Exit
            }
        }
    }

    fn burst_ns(&self) -> u64 {
        if self.steps == 0 { self.work_ns } else { 0 }
    }
}

/// Both cgroups on the stage.
pub(super) struct Scene {
    cpus: usize,
    log: Shared,
    forks: Counter,
    hogs: u32,
    end_ns: u64,
}

pub(super) fn install(isolation: &Isolation, stage: &mut Stage, setting: &Setting) -> Scene {
    let part = setting.part;
    let scene = Scene {
        cpus: setting.cpus,
        log: Shared::default(),
        forks: stage.counter(),
        hogs: isolation.hogs.on(setting.cpus) as u32,
        end_ns: setting.start_ns + (isolation.seconds * SEC as f64) as u64,
    };
    for _ in 0..scene.hogs {
        stage.spawn(hogs::spawn(names::HOSTILE_HOG, part).cgroup(HOSTILE));
    }
    if isolation.forks > 0 {
        let ends = stage.channel(isolation.forks as usize, 0, Wakeups::Plain);
        let storm = Storm {
            rng: Rng::new(setting.seed),
            part,
            forks: isolation.forks,
            left: isolation.forks,
            running: 0,
            has_paid: false,
            ends,
            counter: scene.forks,
        };
        let mut spawn = Spawn::new(names::HOSTILE_STORM, part, storm);
        spawn.is_thread = false;
        stage.spawn(spawn.working_set_kib(FORK_SET_KIB).cgroup(HOSTILE));
    }
    let (period_ns, burst_ns) = (isolation.period_ns(), u64::from(isolation.burst_us) * 1000);
    let service = Service::new(
        setting.start_ns + period_ns,
        period_ns,
        burst_ns,
        &scene.log,
    );
    stage.spawn(service.spawn(names::POLITE, part).cgroup(POLITE));
    crowd::end_at(scene.end_ns, "isolation", stage, setting);
    scene
}

impl Played for Scene {
    fn report(&self, stage: &Stage, view: &PartView) -> PartReport {
        let log = self.log.read();
        let seen = Seen {
            wakeups: log.wakeups.clone(),
            responses: log.responses.clone(),
            missed: log.missed,
            elapsed_ns: view.end_ns,
            polite_ns: view.cgroup_ns(POLITE),
            hostile_ns: view.cgroup_ns(HOSTILE),
            work: view.hogs_ns,
            forks: stage.counted(self.forks),
        };
        let mut report = seen.report(self.cpus);
        if view.end_ns < self.end_ns {
            report.unfinished = Some("ended early".to_owned());
        }
        report
    }
}

//! [`Periodic`]: a task that wakes for each tick, and helpers that share its work.

use std::sync::{Arc, Mutex, PoisonError};

use baton_workload::{PartReport, Periodic, periodic::Beats};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Channel, Spawn, Stage, Step, Wakeups};

/// A part of a picture, or a buffer of sound with what mixes it.
const WORKING_SET_KIB: u32 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for a tick or for work.
    Await,
    Begin,
    /// Has done its own share.
    Collect,
}

/// The task that wakes.
struct Lead {
    periodic: Periodic,
    seed: u64,
    state: State,
    beat: u64,
    early: bool,
    /// Helpers that are not done with this beat.
    out: u32,
    /// The first helper's channel; the others' follow.
    helpers: Channel,
    ends: Channel,
    beats: Arc<Mutex<Beats>>,
}

impl Lead {
    fn tick_ns(&self) -> u64 {
        (self.beat + 1) * self.periodic.period_ns()
    }

    fn work_ns(&self) -> u64 {
        self.periodic.work_ns(self.seed, self.beat) as u64
    }

    fn note(&self, what: impl FnOnce(&mut Beats)) {
        what(&mut self.beats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes up a beat, unless it cannot be on time any more.
    fn begin(&mut self, stage: &mut Stage) -> Step {
        let late_ns = stage.now_ns() - self.tick_ns();
        if self.early {
            self.note(|beats| beats.wakeups.record_ns(late_ns));
        }
        if late_ns > self.periodic.period_ns() {
            self.note(Beats::skip);
            self.beat += 1;
            self.state = State::Await;
            return Step::Compute(0);
        }
        let work_ns = self.work_ns();
        self.out = self.periodic.threads - 1;
        for helper in 0..self.out {
            stage.send(self.helpers.offset(helper), work_ns);
        }
        self.state = State::Collect;
        Step::Compute(work_ns)
    }
}

impl Actor for Lead {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Await => {
                self.early = stage.now_ns() < self.tick_ns();
                self.state = State::Begin;
                Step::SleepUntil(self.tick_ns())
            }
            State::Begin => self.begin(stage),
            State::Collect => {
                while self.out > 0 {
                    if stage.receive(self.ends).is_none() {
                        return Step::Receive(self.ends);
                    }
                    self.out -= 1;
                }
                let (tick_ns, period_ns) = (self.tick_ns(), self.periodic.period_ns());
                let now_ns = stage.now_ns();
                self.note(|beats| beats.done(tick_ns, now_ns, period_ns));
                self.beat += 1;
                self.state = State::Await;
                Step::Compute(0)
            }
        }
    }

    fn burst_ns(&self) -> u64 {
        match self.state {
            State::Await | State::Begin => self.work_ns(),
            State::Collect => 0,
        }
    }
}

struct Helper {
    state: State,
    work_ns: u64,
    inbox: Channel,
    ends: Channel,
}

impl Actor for Helper {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Await | State::Begin => {
                let Some(work_ns) = stage.receive(self.inbox) else {
                    return Step::Receive(self.inbox);
                };
                self.work_ns = work_ns;
                self.state = State::Collect;
                Step::Compute(work_ns)
            }
            State::Collect => {
                stage.send(self.ends, 0);
                self.state = State::Await;
                Step::Compute(0)
            }
        }
    }

    fn burst_ns(&self) -> u64 {
        match self.state {
            // What comes is about what came.
            State::Await | State::Begin => self.work_ns,
            State::Collect => 0,
        }
    }
}

/// A periodic part on the stage.
pub(super) struct Rhythm {
    kind: &'static str,
    period_ns: u64,
    beats: Arc<Mutex<Beats>>,
}

/// What the tasks of a periodic part are called.
pub(super) struct Roles {
    pub(super) kind: &'static str,
    pub(super) lead: &'static str,
    pub(super) helper: &'static str,
}

pub(super) fn install(
    periodic: &Periodic,
    roles: &Roles,
    stage: &mut Stage,
    setting: &Setting,
) -> Rhythm {
    let beats = Arc::new(Mutex::new(Beats::default()));
    let threads = periodic.threads as usize;
    let ends = stage.channel(threads, 0, Wakeups::Plain);
    let mut helpers = ends;
    for index in 1..threads {
        let inbox = stage.channel(1, 0, Wakeups::Plain);
        if index == 1 {
            helpers = inbox;
        }
        let helper = Helper {
            state: State::Await,
            work_ns: 0,
            inbox,
            ends,
        };
        let spawn = Spawn::new(roles.helper, setting.part, helper);
        stage.spawn(spawn.working_set_kib(WORKING_SET_KIB));
    }
    let lead = Lead {
        periodic: periodic.clone(),
        seed: setting.seed,
        state: State::Await,
        beat: 0,
        early: true,
        out: 0,
        helpers,
        ends,
        beats: Arc::clone(&beats),
    };
    let spawn = Spawn::new(roles.lead, setting.part, lead);
    stage.spawn(spawn.working_set_kib(WORKING_SET_KIB));
    Rhythm {
        kind: roles.kind,
        period_ns: periodic.period_ns(),
        beats,
    }
}

impl Played for Rhythm {
    fn report(&self, _: &Stage, view: &PartView) -> PartReport {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let last_ns = view.end_ns / self.period_ns * self.period_ns;
        beats.settle(last_ns, view.end_ns, self.period_ns);
        beats.report(self.kind)
    }
}

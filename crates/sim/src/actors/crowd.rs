//! Who lives in cgroups: services that wake at a rate, and who ends the part.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_workload::Durations;

use super::Setting;
use crate::actor::{Actor, Spawn, Stage, Step};

const SERVICE_SET_KIB: u32 = 64;

/// What a service measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) wakeups: Durations,
    pub(super) responses: Durations,
    pub(super) missed: u64,
}

/// A log that its service shares with the report.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Log>>);

impl Shared {
    /// A run is one thread, so nobody ever waits for the lock, and what it guards is whole.
    pub(super) fn read(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sleep,
    Woken,
    Done,
}

/// Wakes once a period and computes a little. A period that ends before its burst does is missed.
pub(super) struct Service {
    state: State,
    wake_ns: u64,
    late_ns: u64,
    period_ns: u64,
    burst_ns: u64,
    log: Shared,
}

impl Service {
    /// Wakes first at this time.
    pub(super) fn new(wake_ns: u64, period_ns: u64, burst_ns: u64, log: &Shared) -> Self {
        Self {
            state: State::Sleep,
            wake_ns,
            late_ns: 0,
            period_ns,
            burst_ns,
            log: log.clone(),
        }
    }

    /// As a task of this name.
    pub(super) fn spawn(self, name: &str, part: u32) -> Spawn {
        let mut spawn = Spawn::new(name, part, self).working_set_kib(SERVICE_SET_KIB);
        spawn.is_thread = false;
        spawn
    }
}

impl Actor for Service {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Sleep => {
                self.state = State::Woken;
                Step::SleepUntil(self.wake_ns)
            }
            State::Woken => {
                self.late_ns = stage.now_ns() - self.wake_ns;
                self.state = State::Done;
                Step::Compute(self.burst_ns)
            }
            State::Done => {
                let response_ns = stage.now_ns() - self.wake_ns;
                let missed = response_ns / self.period_ns;
                let mut log = self.log.read();
                log.wakeups.record_ns(self.late_ns);
                log.responses.record_ns(response_ns);
                log.missed += missed;
                drop(log);
                self.wake_ns += (missed + 1) * self.period_ns;
                self.state = State::Sleep;
                Step::Compute(0)
            }
        }
    }

    fn burst_ns(&self) -> u64 {
        match self.state {
            State::Sleep | State::Woken => self.burst_ns,
            State::Done => 0,
        }
    }
}

/// Ends a part: its supervisor, which is in no cgroup.
struct Supervisor {
    end_ns: u64,
    part: u32,
    slept: bool,
}

impl Actor for Supervisor {
    fn step(&mut self, stage: &mut Stage) -> Step {
        if !std::mem::replace(&mut self.slept, true) {
            return Step::SleepUntil(self.end_ns);
        }
        stage.end_part(self.part);
        Step::Exit
    }
}

/// Has a part end then.
pub(super) fn end_at(end_ns: u64, name: &str, stage: &mut Stage, setting: &Setting) {
    let supervisor = Supervisor {
        end_ns,
        part: setting.part,
        slept: false,
    };
    let mut spawn = Spawn::new(name, setting.part, supervisor);
    spawn.is_thread = false;
    stage.spawn(spawn);
}

//! A CPU: what it does, how fast, and for how long it did what.

use baton_policy::Decision;

use super::{core::Core, task::NONE};

/// The performance of a CPU that computes as fast as it can.
pub(crate) const FULL_SPEED: u32 = Decision::PERFORMANCE_MAX as u32;

/// Power of computing at a performance, both of [`FULL_SPEED`]: voltage falls with frequency, so power does
/// with its cube (Weiser et al., "Scheduling for reduced CPU energy", OSDI 1994).
const fn power_at(performance: u32) -> u64 {
    let full = FULL_SPEED as u64;
    let performance = performance as u64;
    performance * performance * performance / (full * full)
}

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Idle,
    /// A task of ours.
    Running,
    /// The policy's own process.
    RealTime,
    Offline,
}

#[derive(Clone, Debug)]
pub(crate) struct Cpu {
    pub(crate) mode: Mode,
    pub(crate) mode_since_ns: u64,
    pub(crate) curr: u32,
    /// Whether it was asked to look for work and has not yet.
    pub(crate) kicked: bool,
    /// Progress of the current task is accounted up to here.
    pub(crate) settled_ns: u64,
    pub(crate) token: u32,
    pub(crate) next_tick_ns: u64,
    /// Of [`baton_policy::CAPACITY_SCALE`].
    pub(crate) speed: u32,
    /// How fast it is to compute, of [`FULL_SPEED`].
    pub(crate) performance: u32,
    /// Time that it computed by the power that this took, times [`FULL_SPEED`].
    pub(crate) effort: u64,
    /// Key of the task that ran last.
    pub(super) last_pid: u32,
    pub(crate) busy_ns: u64,
    pub(crate) real_time_ns: u64,
    pub(crate) shallow_ns: u64,
    pub(crate) deep_ns: u64,
    pub(crate) offline_ns: u64,
}

impl Core {
    /// Accounts for CPUs that idled while tasks waited; called before either number changes.
    pub(super) fn settle_waste(&mut self) {
        let elapsed_ns = self.now_ns - self.waste_since_ns;
        self.waste_since_ns = self.now_ns;
        let resting = self.idle - self.kicked.min(self.idle);
        let unserved = self.waiting.saturating_sub(self.kicked);
        self.stats.wasted_ns += elapsed_ns * u64::from(resting.min(unserved));
    }

    pub(super) fn set_mode(&mut self, cpu: u32, mode: Mode) {
        let (now_ns, deep_after_ns) = (self.now_ns, self.costs.deep_after_ns);
        let was = self.cpus[cpu as usize].mode;
        if was == mode {
            return;
        }
        if was == Mode::Idle || mode == Mode::Idle {
            self.settle_waste();
            if mode == Mode::Idle {
                self.idle += 1;
            } else {
                self.idle -= 1;
            }
        }
        self.account_mode(cpu, now_ns, deep_after_ns);
        self.cpus[cpu as usize].mode = mode;
        let was_busy = matches!(was, Mode::Running | Mode::RealTime);
        let is_busy = matches!(mode, Mode::Running | Mode::RealTime);
        if was_busy != is_busy && self.topology.has_smt {
            self.slow_siblings(cpu);
        }
    }

    fn account_mode(&mut self, cpu: u32, now_ns: u64, deep_after_ns: u64) {
        let state = &mut self.cpus[cpu as usize];
        let elapsed_ns = now_ns - state.mode_since_ns;
        state.mode_since_ns = now_ns;
        match state.mode {
            Mode::Running => {
                state.busy_ns += elapsed_ns;
                state.effort += elapsed_ns * power_at(state.performance);
            }
            Mode::RealTime => {
                state.real_time_ns += elapsed_ns;
                state.effort += elapsed_ns * u64::from(FULL_SPEED);
            }
            Mode::Offline => state.offline_ns += elapsed_ns,
            Mode::Idle => {
                state.shallow_ns += elapsed_ns.min(deep_after_ns);
                state.deep_ns += elapsed_ns.saturating_sub(deep_after_ns);
            }
        }
    }

    /// Brings all accounts up to now.
    pub(crate) fn settle_all(&mut self) {
        let (now_ns, deep_after_ns) = (self.now_ns, self.costs.deep_after_ns);
        self.settle_waste();
        for cpu in 0..self.cpus.len() as u32 {
            self.settle(cpu);
            self.account_mode(cpu, now_ns, deep_after_ns);
        }
    }

    pub(super) fn speed_of(&self, cpu: u32) -> u32 {
        let capacity = u64::from(self.topology.capacity(cpu));
        let full = capacity * u64::from(self.cpu(cpu).performance) / u64::from(FULL_SPEED);
        let mut siblings = self.topology.siblings[cpu as usize].iter();
        let shares =
            siblings.any(|other| matches!(self.cpu(*other).mode, Mode::Running | Mode::RealTime));
        let percent = if shares { self.costs.smt_percent } else { 100 };
        (full * percent / 100).max(1) as u32
    }

    /// Has the CPU, whose task has just begun, compute so fast; none: as fast as it can. Whether that is
    /// something new.
    pub(crate) fn set_performance(&mut self, cpu: u32, performance: Option<u16>) -> bool {
        let least = u64::from(FULL_SPEED) * self.costs.slowest_percent / 100;
        let performance = performance.map_or(FULL_SPEED, |performance| {
            u32::from(performance).clamp(least as u32, FULL_SPEED)
        });
        if self.cpu(cpu).performance == performance {
            return false;
        }
        self.settle(cpu);
        self.account_mode(cpu, self.now_ns, self.costs.deep_after_ns);
        self.cpus[cpu as usize].performance = performance;
        self.cpus[cpu as usize].speed = self.speed_of(cpu);
        if self.cpu(cpu).curr != NONE {
            self.plan(cpu);
        }
        true
    }

    /// A CPU began or ceased to compute: its siblings are slower or faster from now on.
    fn slow_siblings(&mut self, cpu: u32) {
        for index in 0..self.topology.siblings[cpu as usize].len() {
            let sibling = self.topology.siblings[cpu as usize][index];
            if self.cpu(sibling).mode != Mode::Running {
                continue;
            }
            let speed = self.speed_of(sibling);
            if speed != self.cpu(sibling).speed {
                self.settle(sibling);
                self.cpus[sibling as usize].speed = speed;
                if self.cpu(sibling).curr != NONE {
                    self.plan(sibling);
                }
            }
        }
    }
}

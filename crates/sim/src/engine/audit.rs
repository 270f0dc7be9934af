//! What must hold between events, whoever schedules. What must hold at each start of a task is looked at
//! there, see [`Core::start`](super::core::Core::start).

use super::{
    Engine,
    class::Class,
    cpu::Mode,
    task::{NONE, State},
};

impl<C: Class> Engine<C> {
    /// What must hold between events, whoever schedules.
    pub(super) fn audit(&mut self) {
        let queued = self.class.queued();
        let waiting = self.core.waiting;
        if queued != waiting {
            self.core
                .violate(|| format!("{waiting} tasks wait, but {queued} are in queues"));
        }
        for cpu in 0..self.core.cpus.len() as u32 {
            let state = self.core.cpu(cpu);
            let curr = state.curr;
            if curr == NONE {
                continue;
            }
            let task = &self.core.tasks[curr];
            let (pid, is_right) = (
                task.key.pid,
                task.state == State::Running && task.cpu == cpu,
            );
            if !is_right || state.mode != Mode::Running {
                self.core
                    .violate(|| format!("CPU {cpu} runs task {pid}, which is elsewhere"));
            }
        }
        self.audit_time();
        self.class.audit(&mut self.core);
    }

    /// CPU time adds up: each CPU's modes to the time, and tasks' to what CPUs gave.
    fn audit_time(&mut self) {
        let now_ns = self.core.now_ns;
        for cpu in 0..self.core.cpus.len() as u32 {
            let state = self.core.cpu(cpu);
            let sum_ns = state.busy_ns
                + state.real_time_ns
                + state.shallow_ns
                + state.deep_ns
                + state.offline_ns;
            let accounted_ns = sum_ns + (now_ns - state.mode_since_ns);
            if accounted_ns != now_ns {
                self.core.violate(|| {
                    format!("CPU {cpu} has {accounted_ns} ns accounted for at {now_ns} ns")
                });
            }
        }
    }
}

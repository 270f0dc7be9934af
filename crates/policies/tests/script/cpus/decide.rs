//! What becomes of decisions.

use baton_policy::{Decision, EnqueueReason, Placement, Policy, StopReason, key_before};

use super::{Cpus, State, Task};

impl<P: Policy> Cpus<P> {
    /// Ends a batch, if anything happened, and carries out what was decided, until
    /// nothing more happens.
    pub(super) fn settle(&mut self) {
        while self.driver.stats().events > self.settled {
            self.settled = self.driver.stats().events;
            self.driver.batch_end(self.now_ns);
            let decisions = self.driver.decisions().to_vec();
            self.driver.clear_decisions();
            for decision in decisions {
                if self.latency_ns > 0 {
                    let due_ns = self.now_ns + self.latency_ns;
                    self.pending.push_back((due_ns, decision));
                } else {
                    self.carry_out(&decision);
                }
            }
        }
    }

    pub(super) fn carry_out(&mut self, decision: &Decision) {
        let named = |task: &Task| task.key == decision.task && task.seq == decision.seq;
        let Some(task) = self.tasks.iter().position(named) else {
            return;
        };
        let State::Custody { since_ns, .. } = self.tasks[task].state else {
            return;
        };
        match decision.placement {
            Placement::Hold { lease_ns } => {
                let last_ns = since_ns + self.driver.options().starve_after_ns;
                let due_ns = (self.now_ns + lease_ns).min(last_ns);
                self.tasks[task].state = State::Custody { since_ns, due_ns };
            }
            Placement::Ready { key } => {
                // While it waits, this is the slice's length.
                self.tasks[task].slice_end_ns = decision.slice_ns;
                self.tasks[task].running_key = Some(key);
                self.order += 1;
                let order = self.order;
                self.tasks[task].state = State::Ready {
                    since_ns,
                    key,
                    order,
                };
                if let Some(cpu) = self.idle_for(task) {
                    self.start(task, cpu, since_ns);
                } else if decision.preempt {
                    self.preempt(task, key, since_ns);
                }
            }
            Placement::Cpu { cpu } => self.place_on(task, cpu, since_ns, decision),
            Placement::Hint { .. } => panic!("a hint in decide mode: {decision:?}"),
        }
    }

    /// To a CPU's own queue, which is served first. A task that may not preempt stands
    /// in the ready queue with a key before all others, here.
    fn place_on(&mut self, task: usize, cpu: u32, since_ns: u64, decision: &Decision) {
        let min_burst_ns = self.driver.options().preemption.min_burst_ns;
        if !self.online[cpu as usize] || !self.tasks[task].allowed.contains(cpu) {
            return;
        }
        self.tasks[task].slice_end_ns = decision.slice_ns;
        match self.running(cpu) {
            None => self.start(task, cpu, since_ns),
            Some(victim) if decision.preempt && self.tasks[victim].burst_ns >= min_burst_ns => {
                self.replace(victim, task, since_ns);
            }
            Some(_) => {
                let key = self.now_ns.wrapping_sub(1 << 62);
                self.order += 1;
                let order = self.order;
                self.tasks[task].state = State::Ready {
                    since_ns,
                    key,
                    order,
                };
            }
        }
    }

    fn preempt(&mut self, task: usize, key: u64, since_ns: u64) {
        let preemption = self.driver.options().preemption;
        let victim = |victim: &Task| match (victim.state, victim.running_key) {
            (State::Running { cpu, .. }, Some(running)) => {
                self.tasks[task].allowed.contains(cpu)
                    && victim.burst_ns >= preemption.min_burst_ns
                    && key_before(key.wrapping_add(preemption.min_lead_ns), running)
            }
            _ => false,
        };
        if let Some(victim) = self.tasks.iter().position(victim) {
            self.replace(victim, task, since_ns);
        }
    }

    fn replace(&mut self, victim: usize, task: usize, since_ns: u64) {
        let State::Running { cpu, .. } = self.tasks[victim].state else {
            return;
        };
        let since = State::Running { cpu, since_ns };
        self.tasks[task].state = since;
        self.stop(victim, StopReason::Preempted);
        self.enqueue(victim, EnqueueReason::Preempted);
        self.start(task, cpu, since_ns);
    }
}

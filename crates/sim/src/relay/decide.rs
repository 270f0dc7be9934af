//! Decisions, process to relay; as `bpf/relay/decide.h`.

use baton_policy::{Decision, Mode, Options, Placement, Policy, key_before};

use super::{Relay, counters::Count};
use crate::engine::{
    core::{Core, Happened},
    cpu::Mode as CpuMode,
    task::NONE,
};

/// Tasks that decisions may put into one CPU's local queue.
const LOCAL_QUEUED_MAX: u32 = 8;

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Held,
    Stale,
    Invalid,
}

impl<P: Policy> Relay<P> {
    /// Carries a decision out.
    pub(super) fn decide(&mut self, core: &mut Core, decision: &Decision) {
        let Some(task) = core.tasks.find(decision.task) else {
            if !matches!(decision.placement, Placement::Hint { .. }) {
                self.count(Count::Gone);
            }
            return;
        };
        if let Placement::Hint { cpu } = decision.placement {
            return self.take_hint(task, decision, cpu);
        }
        let outcome = if self.tasks[task as usize].seq != decision.seq {
            Outcome::Stale
        } else {
            self.decide_held(core, task, decision)
        };
        match outcome {
            Outcome::Done | Outcome::Held => self.count(Count::Decisions),
            Outcome::Stale => self.count(Count::Stale),
            Outcome::Invalid => self.count(Count::Invalid),
        }
    }

    /// What the policy says of a task holds for all its enqueues to come.
    fn take_hint(&mut self, task: u32, decision: &Decision, cpu: Option<u32>) {
        let ctx = self.ctx(task);
        ctx.key_offset = decision.key_offset;
        ctx.slice_ns = decision.slice_ns;
        ctx.performance = decision.performance;
        ctx.hinted_preempt = decision.preempt;
        ctx.hint_cpu = cpu;
        self.count(Count::Hints);
    }

    fn decide_held(&mut self, core: &mut Core, task: u32, decision: &Decision) -> Outcome {
        if !self.in_custody(task) {
            return Outcome::Stale;
        }
        let now_ns = core.now_ns;
        let ctx = self.ctx(task);
        let enqueued_ns = ctx.enqueued_ns;
        if !matches!(decision.placement, Placement::Hold { .. }) {
            ctx.keyed = matches!(decision.placement, Placement::Ready { .. });
            ctx.key = match decision.placement {
                Placement::Ready { key } => key,
                _ => now_ns,
            };
            ctx.key_offset = decision.key_offset;
            ctx.performance = decision.performance;
            ctx.decided_ns = now_ns;
        }
        let outcome = match decision.placement {
            Placement::Ready { key } => self.decide_ready(core, task, decision, key),
            Placement::Cpu { cpu } => self.decide_cpu(core, task, decision, cpu),
            Placement::Hold { lease_ns } => self.decide_hold(core, task, lease_ns),
            Placement::Hint { .. } => Outcome::Invalid,
        };
        if outcome == Outcome::Done {
            self.decision.record_ns(now_ns.saturating_sub(enqueued_ns));
            core.happened(Happened::Decided, core.tasks[task].cpu, task);
        }
        outcome
    }

    fn decide_ready(
        &mut self,
        core: &mut Core,
        task: u32,
        decision: &Decision,
        key: u64,
    ) -> Outcome {
        let slice_ns = self.slice_of(core, decision.slice_ns);
        if let Some(cpu) = self.take_idle(core, task) {
            self.take_out(task);
            self.put_local(core, task, cpu, slice_ns, false);
            self.count(Count::ToIdle);
            return Outcome::Done;
        }
        let victim = if decision.preempt {
            self.find_victim(core, task, key)
        } else {
            None
        };
        self.take_out(task);
        if let Some(cpu) = victim {
            self.cpu_ctx(cpu).preempted = true;
            self.put_local(core, task, cpu, slice_ns, true);
            self.count(Count::Preemptions);
        } else {
            self.put_ready(core, task, key, slice_ns);
        }
        Outcome::Done
    }

    /// Whether a task of ours was interrupted there by the process, waits alone to go on, and had its
    /// turn.
    fn is_interrupted(&self, cpu: u32, queued: u32) -> bool {
        let cctx = &self.cpus[cpu as usize];
        queued == 1
            && cctx.running_ns == 0
            && !cctx.preempted
            && cctx.burst_ns >= self.options.preemption.min_burst_ns
    }

    fn decide_cpu(&mut self, core: &mut Core, task: u32, decision: &Decision, cpu: u32) -> Outcome {
        let is_there = (cpu as usize) < self.cpus.len() && core.is_online(cpu);
        if !is_there || !core.tasks[task].may_run_on(cpu) {
            return Outcome::Invalid;
        }
        let slice_ns = self.slice_of(core, decision.slice_ns);
        if self.idle_take(core, cpu) {
            self.take_out(task);
            self.put_local(core, task, cpu, slice_ns, false);
            return Outcome::Done;
        }
        let queued = self.queues.list_len(self.list_local(cpu));
        if queued >= LOCAL_QUEUED_MAX {
            return Outcome::Invalid;
        }
        let preempts = decision.preempt && queued == 0 && self.had_its_turn(core, cpu);
        let overtakes = !preempts && decision.preempt && self.is_interrupted(cpu, queued);
        self.take_out(task);
        if preempts {
            self.cpu_ctx(cpu).preempted = true;
            self.put_local(core, task, cpu, slice_ns, true);
        } else if overtakes {
            let cctx = self.cpu_ctx(cpu);
            cctx.evicted_pid = cctx.last_pid;
            core.tasks[task].slice_ns = slice_ns;
            let list = self.list_local(cpu);
            self.queues.push_front(list, task);
            if core.cpu(cpu).curr == NONE && core.cpu(cpu).mode == CpuMode::Idle {
                core.kick(cpu);
            }
        } else {
            self.put_local(core, task, cpu, slice_ns, false);
        }
        if preempts || overtakes {
            self.count(Count::Preemptions);
        }
        Outcome::Done
    }

    /// A lease can be renewed, but not for ever.
    fn decide_hold(&mut self, core: &mut Core, task: u32, lease_ns: u64) -> Outcome {
        let lease_ns = lease_ns.min(Options::LEASE_MAX_NS);
        let enqueued_ns = self.tasks[task as usize].enqueued_ns;
        let last_ns = enqueued_ns + self.options.starve_after_ns;
        let end_ns = core.now_ns + lease_ns;
        let end_ns = if key_before(last_ns, end_ns) {
            last_ns
        } else {
            end_ns
        };
        self.take_out(task);
        self.put_leased(core, task, end_ns);
        self.count(Count::Holds);
        Outcome::Held
    }

    /// Whether anybody waits for the process.
    pub(super) fn decides(&self) -> bool {
        self.options.mode == Mode::Decide
    }
}

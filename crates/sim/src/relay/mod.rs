//! The relay of `bpf/`, once more: custody, ready and pinned queues, leases, rescue, fast paths,
//! preemption, hints. The file names are those of `bpf/relay`, and so is what the functions do; the
//! kernel's side of a `sched_ext` scheduler (local queues, slices, who is kept) is in `dispatch`.
//!
//! What races there has one order here: an insertion is done when the enqueue returns, so that no
//! decision comes too early, and no wakeup is missed.

mod counters;
mod decide;
mod dispatch;
mod enqueue;
mod place;
mod predict;
mod process;
mod publish;
mod rescue;
mod switch;

use std::collections::VecDeque;

use baton_model::Drift;
use baton_policy::{CpuSet, Driver, Machine, Options, Policy, Rng, StopReason, TaskInfo};
use baton_workload::Durations;

use self::{
    counters::{Count, Counters},
    predict::Bursts,
    process::Process,
    publish::Record,
};
use crate::engine::{
    class::{Class, Fault, Wake},
    core::Core,
    idle::IdleCpus,
    queues::Queues,
};

/// Timers of the relay's.
const TIMER_RESCUE: u32 = 0;
const TIMER_PROCESS_BEGIN: u32 = 1;
const TIMER_PROCESS_END: u32 = 2;

/// What the relay keeps of a task; the names are those of its `task_ctx`.
#[derive(Clone, Copy, Debug, Default)]
struct TaskCtx {
    seq: u64,
    enqueued_ns: u64,
    decided_ns: u64,
    runtime_mark_ns: u64,
    burst_ns: u64,
    stopped_ns: u64,
    key: u64,
    key_offset: i64,
    slice_ns: u64,
    published_ns: u64,
    /// When it last woke somebody.
    woke_ns: u64,
    waker: u32,
    hint_cpu: Option<u32>,
    /// The performance that its CPU is to have.
    performance: Option<u16>,
    hinted_preempt: bool,
    woken: bool,
    sync: bool,
    slept: bool,
    fresh: bool,
    counted: bool,
    announced: bool,
    changed: bool,
    yielded: bool,
    keyed: bool,
    /// It may run on one CPU alone.
    pinned: bool,
    stop_reason: StopReason,
    /// How many it woke since it last slept, up to 2.
    wakes: u8,
    /// How surely it sleeps right after waking somebody.
    handover: u8,
}

/// What the relay keeps of a CPU; the names are those of its `cpu_ctx`.
#[derive(Clone, Copy, Debug, Default)]
struct CpuCtx {
    key: u64,
    burst_ns: u64,
    /// Since when a task of ours runs; plus one, so that 0 is none.
    running_ns: u64,
    turn: u32,
    last_pid: u32,
    /// Who gives way as soon as it runs there again; 0: nobody.
    evicted_pid: u32,
    keyed: bool,
    preempted: bool,
}

/// What the ring's reader must still hear.
#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Record>,
    /// Of the `Join` and `Update` records, in their order.
    infos: VecDeque<TaskInfo>,
    lost: u64,
    lost_seen: u64,
    /// So many records more are lost on purpose.
    to_lose: u32,
}

/// The relay with its policy.
pub(crate) struct Relay<P: Policy> {
    driver: Driver<P>,
    options: Options,
    tasks: Vec<TaskCtx>,
    /// Of tasks, while the options ask for predictions.
    bursts: Vec<Bursts>,
    /// Whether the model is still better than the average.
    drift: Drift,
    cpus: Vec<CpuCtx>,
    queues: Queues,
    /// CPUs that look idle and nobody claimed.
    idle: IdleCpus,
    /// LLCs with tasks in ready, and in rescue.
    ready_llcs: u64,
    rescue_llcs: u64,
    /// Tasks in custody, in pinned queues, in the global queue.
    held: u32,
    pinned: u32,
    waiting: u32,
    silent: bool,
    /// Whether a policy may be told how long bursts will be.
    pub(crate) tells_truth: bool,
    starve_scan_ns: u64,
    /// When rescue last left some for the next round.
    crowded_ns: u64,
    /// Since when a held task waits for which the sleeping process was not woken.
    deferred_ns: Option<u64>,
    process: Process,
    ring: Ring,
    counters: Counters,
    /// Enqueue to decision.
    pub(crate) decision: Durations,
    known_online: CpuSet,
    wrong_one_in: u32,
    rng: Rng,
    llcs: u32,
    /// Policies that will take over, the last one first.
    pub(crate) successors: Vec<Driver<P>>,
    /// What the policy saw and decided, if somebody wants to know: since it took over.
    pub(crate) log: Option<Vec<u8>>,
    /// How each log begins.
    pub(crate) log_head: Vec<u8>,
}

impl<P: Policy> Relay<P> {
    pub(crate) fn new(driver: Driver<P>, machine: &Machine, seed: u64) -> Self {
        let (llcs, cpus) = (machine.llc_count(), machine.cpus.len());
        assert!(llcs <= 64, "the relay has 64 last-level caches at most");
        Self {
            options: *driver.options(),
            driver,
            tasks: Vec::new(),
            bursts: Vec::new(),
            drift: Drift::default(),
            cpus: vec![CpuCtx::default(); cpus],
            queues: Queues::new(2 * llcs + cpus + 1, 2 * llcs + cpus),
            idle: IdleCpus::NONE,
            ready_llcs: 0,
            rescue_llcs: 0,
            held: 0,
            pinned: 0,
            waiting: 0,
            silent: false,
            tells_truth: true,
            starve_scan_ns: 0,
            crowded_ns: 0,
            deferred_ns: None,
            process: Process::new(machine),
            ring: Ring::default(),
            counters: Counters::default(),
            decision: Durations::new(),
            known_online: machine.online(),
            wrong_one_in: 0,
            rng: Rng::new(seed ^ 0x6661_756c_7473),
            llcs: llcs as u32,
            successors: Vec::new(),
            log: None,
            log_head: Vec::new(),
        }
    }

    pub(crate) const fn driver(&self) -> &Driver<P> {
        &self.driver
    }

    const fn list_hold(&self, llc: usize) -> u32 {
        llc as u32
    }

    const fn list_rescue(&self, llc: usize) -> u32 {
        self.llcs + llc as u32
    }

    const fn list_local(&self, cpu: u32) -> u32 {
        2 * self.llcs + cpu
    }

    const fn list_global(&self) -> u32 {
        2 * self.llcs + self.cpus.len() as u32
    }

    const fn heap_leased(&self, llc: usize) -> u32 {
        llc as u32
    }

    const fn heap_ready(&self, llc: usize) -> u32 {
        self.llcs + llc as u32
    }

    const fn heap_pinned(&self, cpu: u32) -> u32 {
        2 * self.llcs + cpu
    }

    fn ctx(&mut self, task: u32) -> &mut TaskCtx {
        &mut self.tasks[task as usize]
    }

    fn cpu_ctx(&mut self, cpu: u32) -> &mut CpuCtx {
        &mut self.cpus[cpu as usize]
    }

    fn count(&mut self, what: Count) {
        self.counters.count(what);
    }

    /// Options::granted_slice_ns, with what the relay knows.
    fn slice_of(&self, core: &Core, slice_ns: u64) -> u64 {
        self.options
            .granted_slice_ns(slice_ns, self.waiting, core.online_count)
    }

    /// The key that the options' rule gives, and what the guess of the task's burst adds: this burst's or, where it
    /// was not guessed, that of one before.
    fn rule_key(&self, core: &Core, task: u32) -> u64 {
        let ctx = &self.tasks[task as usize];
        let weight = core.tasks[task].weight;
        let mut key = self.options.key_rule.key(core.now_ns, ctx.burst_ns, weight);
        if let Some(rule) = self.options.prediction.filter(|_| self.infers()) {
            let guess = self.bursts[task as usize].guess;
            key = key.wrapping_add(rule.delay_ns(guess.burst, weight));
        }
        key.wrapping_add_signed(ctx.key_offset)
    }

    fn note_pinned(&mut self, core: &Core, task: u32) {
        let allowed = core.tasks[task].allowed.as_ref();
        self.ctx(task).pinned = allowed.is_some_and(|set| set.len() == 1);
    }

    fn task_stopping(&mut self, core: &Core, cpu: u32, task: u32, runnable: bool) {
        let preempted = self.cpus[cpu as usize].preempted;
        let running = &core.tasks[task];
        let slice_left = running.slice_ns > 0;
        let total_ns = running.runtime_ns;
        let (now_ns, pid) = (core.now_ns, running.key.pid);
        let ctx = &mut self.tasks[task as usize];
        let runtime_ns = total_ns - ctx.runtime_mark_ns;
        ctx.burst_ns += runtime_ns;
        ctx.runtime_mark_ns = total_ns;
        self.note_stop(task, runtime_ns, runnable);
        let ctx = &mut self.tasks[task as usize];
        ctx.stopped_ns = now_ns;
        ctx.stop_reason = if !runnable {
            ctx.slept = true;
            ctx.learn_handover(now_ns);
            StopReason::Slept
        } else if ctx.yielded {
            StopReason::Yielded
        } else if slice_left || preempted {
            StopReason::Preempted
        } else {
            StopReason::SliceOver
        };
        ctx.yielded = false;
        let (reason, burst_ns) = (ctx.stop_reason, ctx.burst_ns);
        let cctx = self.cpu_ctx(cpu);
        cctx.running_ns = 0;
        cctx.burst_ns = burst_ns;
        cctx.last_pid = pid;
        if self.options.interests.stopping {
            self.publish_stopping(core, task, cpu, runtime_ns, reason);
        }
    }
}

impl<P: Policy> Class for Relay<P> {
    fn begin(&mut self, core: &mut Core) {
        core.class_switch_ns = core.costs.relay_switch_ns;
        for cpu in core.online.iter() {
            self.idle_set(core, cpu);
        }
        core.timer(rescue::TIMER_BUSY_NS, TIMER_RESCUE, 0);
        self.process_begins(core);
    }

    fn wake(&mut self, core: &mut Core, task: u32, wake: Wake) {
        if wake.waker.is_some() {
            core.stall(wake.cpu, core.costs.relay_wake_ns);
        }
        if wake.fresh {
            if self.tasks.len() <= task as usize {
                self.tasks.resize(task as usize + 1, TaskCtx::default());
            }
            self.queues.admit(task);
            self.admit_bursts(task);
            *self.ctx(task) = TaskCtx {
                fresh: true,
                stopped_ns: core.now_ns,
                ..TaskCtx::default()
            };
            self.note_pinned(core, task);
        }
        // The kernel asks ops.select_cpu only where there is a choice.
        if self.tasks[task as usize].pinned {
            self.note_waker(core, task, wake.waker);
        }
        if self.tasks[task as usize].pinned || !self.select_cpu(core, task, &wake) {
            self.enqueue(core, task, !wake.fresh);
        }
    }

    fn schedule(&mut self, core: &mut Core, cpu: u32, prev: Option<u32>) -> Option<u32> {
        self.pick(core, cpu, prev)
    }

    fn running(&mut self, core: &mut Core, cpu: u32, task: u32) {
        self.idle_take(core, cpu);
        self.wake_begin(core, task);
        self.wait_end(task);
        let (now_ns, runtime_ns) = (core.now_ns, core.tasks[task].runtime_ns);
        let pid = core.tasks[task].key.pid;
        let ctx = self.ctx(task);
        ctx.runtime_mark_ns = runtime_ns;
        let (key, keyed, burst_ns) = (ctx.key, ctx.keyed, ctx.burst_ns);
        let performance = ctx.performance;
        if self.options.performance && core.set_performance(cpu, performance) {
            self.count(Count::PerfSet);
        }
        let cctx = self.cpu_ctx(cpu);
        cctx.key = key;
        cctx.keyed = keyed;
        cctx.burst_ns = burst_ns;
        cctx.preempted = false;
        cctx.running_ns = now_ns + 1;
        if cctx.evicted_pid == pid {
            cctx.evicted_pid = 0;
            cctx.preempted = true;
            core.tasks[task].slice_ns = 0;
            core.kick(cpu);
        }
        if self.options.interests.running {
            self.publish_running(core, task, cpu);
        }
    }

    fn slept(&mut self, core: &mut Core, cpu: u32, task: u32) {
        self.task_stopping(core, cpu, task, false);
    }

    fn exited(&mut self, core: &mut Core, task: u32) {
        self.wait_end(task);
        if self.tasks[task as usize].announced {
            self.publish_exit(core, task);
            self.ctx(task).announced = false;
        }
    }

    fn tick(&mut self, core: &mut Core, cpu: u32, task: u32) -> bool {
        if self.is_overdue(core) {
            self.wake_process(core);
        }
        let since_ns = self.cpus[cpu as usize].running_ns;
        let ran_ns = (core.now_ns + 1).saturating_sub(since_ns);
        let rescue = self.list_rescue(core.topology.llc(cpu));
        let is_over = since_ns != 0 && ran_ns >= self.options.rescue_slice_ns;
        if is_over && self.queues.list_len(rescue) > 0 && core.tasks[task].slice_ns > 0 {
            core.tasks[task].slice_ns = 0;
            self.count(Count::Cut);
        }
        core.tasks[task].slice_ns == 0
    }

    fn yielded(&mut self, core: &mut Core, _: u32, task: u32) {
        self.ctx(task).yielded = true;
        core.tasks[task].slice_ns = 0;
    }

    fn evicted(&mut self, core: &mut Core, cpu: u32, task: u32) {
        self.task_stopping(core, cpu, task, true);
        self.enqueue(core, task, false);
    }

    fn changed(&mut self, core: &mut Core, task: u32) {
        self.note_pinned(core, task);
        self.ctx(task).changed = true;
    }

    fn hotplug(&mut self, core: &mut Core, cpu: u32, online: bool) {
        if online {
            self.idle_set(core, cpu);
        } else {
            self.idle_take(core, cpu);
            *self.cpu_ctx(cpu) = CpuCtx::default();
            self.move_away(core, cpu);
        }
        self.publish_hotplug(core, cpu, online);
    }

    fn timer(&mut self, core: &mut Core, kind: u32, _: u32) {
        match kind {
            TIMER_RESCUE => self.rescue_tick(core),
            TIMER_PROCESS_BEGIN => self.process_begins(core),
            TIMER_PROCESS_END => self.process_ends(core),
            _ => unreachable!("the relay has three timers"),
        }
    }

    fn fault(&mut self, core: &mut Core, fault: Fault) {
        match fault {
            Fault::Silent { for_ns } => self.process.stop_until(core.now_ns + for_ns),
            Fault::Late { by_ns } => self.process.late_ns = by_ns,
            Fault::Wrong { one_in } => self.wrong_one_in = one_in,
            Fault::Lose { events } => self.ring.to_lose = events,
            Fault::TakeOver => self.take_over(core),
        }
    }

    fn queued(&self) -> u32 {
        self.queues.queued()
    }

    fn audit(&mut self, core: &mut Core) {
        self.audit_queues(core);
        self.audit_waits(core);
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let stats = self.driver.stats();
        let mut all = self.counters.entries();
        all.extend([
            ("policy_events", stats.events),
            ("policy_decisions", stats.decisions),
            ("slab_full", stats.slab_full),
            ("unknown", stats.unknown),
            ("guesses", stats.guesses),
            ("guesses_differ", stats.guesses_differ),
        ]);
        // What the relay counts in one mode, the policy counts in another.
        self.driver.policy().counts(&mut |name, count| match all
            .iter_mut()
            .find(|(known, _)| *known == name)
        {
            Some((_, sum)) => *sum += count,
            None => all.push((name, count)),
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuCtx, TaskCtx};
    use crate::engine::task::Task;

    #[test]
    fn a_task_is_small() {
        // docs/simulator.md says half a KiB, with its links in queues and its actor.
        assert!(size_of::<Task>() + size_of::<TaskCtx>() < 450);
        assert!(size_of::<CpuCtx>() <= 48);
    }
}

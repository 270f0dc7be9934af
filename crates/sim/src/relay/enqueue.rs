//! What is placed at once, without asking the process, and why; as `bpf/relay/enqueue.h` and the
//! operations `select_cpu` and `enqueue`.

use baton_policy::{EnqueueReason, Options, Policy, StopReason, US};

use super::{Relay, TaskCtx, counters::Count, publish::Told};
use crate::engine::{class::Wake, core::Core};

/// A waker that sleeps within this time left its CPU to the wakee.
const HANDOVER_NS: u64 = 200 * US;
const HANDOVER_SURE: u8 = 4;
const HANDOVER_MAX: u8 = 8;

impl TaskCtx {
    /// The task goes to sleep: what became of its last wakeup?
    pub(super) fn learn_handover(&mut self, now_ns: u64) {
        if self.wakes == 1 && now_ns - self.woke_ns < HANDOVER_NS {
            self.handover = (self.handover + 1).min(HANDOVER_MAX);
        } else if self.wakes > 0 {
            self.handover /= 2;
        }
        self.wakes = 0;
    }
}

impl<P: Policy> Relay<P> {
    /// Whether the keys of the relay's rule compare with those of the policy.
    fn rule_compares(&self) -> bool {
        self.options.sync_fast_path || self.options.mode.is_hinted()
    }

    /// Whether the waker will leave its CPU to the task that it wakes, by its habit: the first that it
    /// wakes after a sleep, if it always slept right after that. An interrupt has no habits.
    fn hands_over(&mut self, core: &Core, waker: Option<u32>) -> bool {
        let Some(waker) = waker.filter(|_| self.options.sync_fast_path) else {
            return false;
        };
        let ctx = self.ctx(waker);
        ctx.woke_ns = core.now_ns;
        ctx.wakes = (ctx.wakes + 1).min(2);
        ctx.wakes == 1 && ctx.handover >= HANDOVER_SURE
    }

    /// `ops.select_cpu`: whether the task went to a CPU at once.
    pub(super) fn select_cpu(&mut self, core: &mut Core, task: u32, wake: &Wake) -> bool {
        let hands_over = self.hands_over(core, wake.waker) && !wake.sync;
        if hands_over {
            self.count(Count::Handovers);
        }
        let sync = wake.sync || hands_over;
        let waker = wake.waker.map_or(0, |waker| core.tasks[waker].key.pid);
        let ctx = self.ctx(task);
        ctx.sync = sync;
        ctx.waker = waker;
        self.note_waker(core, task, wake.waker);
        if !self.options.idle_fast_path {
            return false;
        }
        let waker_cpu = wake.sync.then_some(wake.cpu);
        let hinted = self.take_hinted(core, task);
        let found = hinted.or_else(|| self.take_idle_default(core, task, waker_cpu));
        let Some(cpu) = found else { return false };
        core.tasks[task].cpu = cpu;
        self.ctx(task).woken = true;
        self.wake_begin(core, task);
        self.wait_begin(core, task);
        let ctx = self.ctx(task);
        ctx.seq += 1;
        ctx.fresh = false;
        let (hinted_slice_ns, stopped_ns) = (ctx.slice_ns, ctx.stopped_ns);
        let key = self.rule_key(core, task);
        let keyed = self.rule_compares();
        self.place_fast(core, task, key, keyed);
        let slice_ns = self.slice_of(core, hinted_slice_ns);
        self.put_local(core, task, cpu, slice_ns, false);
        self.count(Count::Enqueues);
        self.count(Count::FastIdle);
        let told = Told {
            reason: EnqueueReason::Wakeup,
            slept_ns: core.now_ns - stopped_ns,
            sync,
        };
        self.publish_decided(core, task, told);
        true
    }

    fn enqueue_reason(&self, task: u32, woken: bool, waited: bool) -> EnqueueReason {
        let ctx = &self.tasks[task as usize];
        if ctx.fresh {
            return EnqueueReason::New;
        }
        if woken {
            return EnqueueReason::Wakeup;
        }
        if waited {
            return EnqueueReason::Requeued;
        }
        match ctx.stop_reason {
            StopReason::SliceOver => EnqueueReason::SliceOver,
            StopReason::Yielded => EnqueueReason::Yielded,
            StopReason::Preempted | StopReason::Slept => EnqueueReason::Preempted,
        }
    }

    /// Whether the process can sleep on: the task only lost its CPU, and others are ready to run.
    fn can_wait(&self, core: &Core, task: u32, reason: EnqueueReason) -> bool {
        let lost_its_cpu = matches!(
            reason,
            EnqueueReason::Preempted | EnqueueReason::SliceOver | EnqueueReason::Yielded
        );
        let llc = core.topology.llc(core.tasks[task].cpu);
        self.options.requeue_patience_ns > 0
            && lost_its_cpu
            && self.queues.heap_len(self.heap_ready(llc)) > 0
    }

    /// Tells the process of an enqueue that it is to decide; false where it will not: a late process is
    /// not waited for, nor is one whose ring is full, and who is moved about may not grow old.
    fn ask(&mut self, core: &mut Core, task: u32, told: Told, waited: bool) -> bool {
        let old_ns = core
            .now_ns
            .saturating_sub(self.tasks[task as usize].enqueued_ns);
        if self.silent || waited && old_ns > self.options.rescue_after_ns {
            return false;
        }
        let urgent = !self.can_wait(core, task, told.reason);
        let will_hear = self.publish_enqueue(core, task, told, false, urgent);
        if will_hear && !urgent && self.process.is_asleep() {
            self.count(Count::Deferred);
            self.deferred_ns.get_or_insert(core.now_ns);
        }
        will_hear
    }

    /// `ops.enqueue`; the task is in no queue.
    pub(super) fn enqueue(&mut self, core: &mut Core, task: u32, woken: bool) {
        let now_ns = core.now_ns;
        self.count(Count::Enqueues);
        let mut slept_ns = 0;
        if woken {
            slept_ns = now_ns - self.tasks[task as usize].stopped_ns;
        }
        if woken || self.tasks[task as usize].fresh {
            self.wake_begin(core, task);
        }
        let waited = self.tasks[task as usize].enqueued_ns != 0;
        if !waited {
            self.ctx(task).woken = woken;
        }
        let reason = self.enqueue_reason(task, woken, waited);
        self.wait_begin(core, task);
        let ctx = self.ctx(task);
        ctx.seq += 1;
        ctx.fresh = false;
        let sync = woken && ctx.sync;
        let told = Told {
            reason,
            slept_ns,
            sync,
        };
        if woken && self.enqueue_fast(core, task) {
            self.publish_decided(core, task, told);
        } else if self.options.mode.is_hinted() {
            self.enqueue_hinted(core, task, woken);
            self.publish_decided(core, task, told);
        } else if self.ask(core, task, told, waited) {
            self.ctx(task).decided_ns = 0;
            self.put_held(core, task);
            self.count(Count::Held);
        } else {
            self.place_fast(core, task, now_ns, false);
            self.count(Count::Bypassed);
            self.put_rescue(core, task);
        }
        let ctx = self.ctx(task);
        ctx.sync = false;
        ctx.waker = 0;
    }

    /// Whether a woken task was placed without asking anybody.
    fn enqueue_fast(&mut self, core: &mut Core, task: u32) -> bool {
        let cpu = core.tasks[task].cpu;
        let ctx = &self.tasks[task as usize];
        let (pinned, sync, hinted_slice_ns) = (ctx.pinned, ctx.sync, ctx.slice_ns);
        if self.options.idle_fast_path && pinned && self.idle_take(core, cpu) {
            let key = self.rule_key(core, task);
            let keyed = self.rule_compares();
            self.place_fast(core, task, key, keyed);
            let slice_ns = self.slice_of(core, hinted_slice_ns);
            self.put_local(core, task, cpu, slice_ns, false);
            self.count(Count::FastIdle);
            return true;
        }
        if self.options.sync_fast_path && sync {
            if self.infers() {
                self.guess_burst(core, task);
            }
            let key = self.rule_key(core, task);
            self.place_fast(core, task, key, true);
            let slice_ns = self.slice_of(core, hinted_slice_ns);
            self.put_ready(core, task, key, slice_ns);
            self.count(Count::FastSync);
            return true;
        }
        false
    }

    /// By the policy's rules and what it last said of the task.
    fn enqueue_hinted(&mut self, core: &mut Core, task: u32, woken: bool) {
        if self.infers() {
            self.guess_burst(core, task);
        }
        let key = self.rule_key(core, task);
        let ctx = &self.tasks[task as usize];
        let may_preempt = woken && !ctx.sync && ctx.hinted_preempt;
        let (hinted_slice_ns, had_ns) = (ctx.slice_ns, ctx.burst_ns);
        let mut slice_ns = self.slice_of(core, hinted_slice_ns);
        let slices = self.options.prediction.is_some_and(|rule| rule.slices);
        if self.infers() && slices && hinted_slice_ns == 0 {
            let (burst, least_ns) = (
                self.bursts[task as usize].guess.burst,
                self.options.slice_min_ns,
            );
            let guessed_ns = baton_model::slice_ns(burst, had_ns, least_ns, slice_ns);
            slice_ns = guessed_ns.clamp(Options::SLICE_MIN_NS, Options::SLICE_MAX_NS);
        }
        self.place_fast(core, task, key, true);
        self.count(Count::Hinted);
        let hinted = self.take_hinted(core, task);
        if let Some(cpu) = hinted.or_else(|| self.take_idle(core, task)) {
            self.count(Count::ToIdle);
            return self.put_local(core, task, cpu, slice_ns, false);
        }
        let victim = if may_preempt {
            self.find_victim(core, task, key)
        } else {
            None
        };
        match victim {
            Some(cpu) => {
                self.cpu_ctx(cpu).preempted = true;
                self.count(Count::Preemptions);
                self.put_local(core, task, cpu, slice_ns, true);
            }
            None => self.put_ready(core, task, key, slice_ns),
        }
    }
}

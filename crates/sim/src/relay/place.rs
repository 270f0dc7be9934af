//! Where a task goes: idle CPU, preemption, queues; as `bpf/relay/place.h`.

use baton_policy::{Policy, key_before};

use super::Relay;
use crate::engine::{core::Core, queues::Place, task::NONE};

impl<P: Policy> Relay<P> {
    pub(super) fn idle_set(&mut self, core: &Core, cpu: u32) {
        self.idle.set(&core.topology, cpu);
    }

    /// Whether it was idle and unclaimed; then the caller has claimed it.
    pub(super) fn idle_take(&mut self, core: &Core, cpu: u32) -> bool {
        self.idle.take(&core.topology, cpu)
    }

    /// Claims an idle CPU that the task may use: where it was, near there, anywhere.
    pub(super) fn take_idle(&mut self, core: &Core, task: u32) -> Option<u32> {
        if self.idle.is_empty() {
            return None;
        }
        let near = core.tasks[task].cpu;
        if core.tasks[task].may_run_on(near) && self.idle_take(core, near) {
            return Some(near);
        }
        if self.tasks[task as usize].pinned {
            return None;
        }
        let (topology, allowed) = (&core.topology, core.tasks[task].allowed.as_deref());
        let cpu = self
            .idle
            .first(topology, Some(topology.llc(near)), allowed)
            .or_else(|| self.idle.first(topology, None, allowed))?;
        self.idle_take(core, cpu);
        Some(cpu)
    }

    /// Claims an idle CPU for a waking task as the kernel's own choice for `sched_ext` does: the waker's
    /// place for a synchronous wakeup, whole idle cores first, then the CPU where it was, then near it.
    pub(super) fn take_idle_default(
        &mut self,
        core: &Core,
        task: u32,
        waker_cpu: Option<u32>,
    ) -> Option<u32> {
        if self.idle.is_empty() {
            return None;
        }
        let near = core.tasks[task].cpu;
        let may_near = core.tasks[task].may_run_on(near);
        if let Some(waker) = waker_cpu.filter(|cpu| core.is_online(*cpu)) {
            let shares = core.topology.llc(waker) == core.topology.llc(near);
            if may_near && shares && self.idle_take(core, near) {
                return Some(near);
            }
            let is_free = self.queues.list_len(self.list_local(waker)) == 0;
            if is_free && core.tasks[task].may_run_on(waker) {
                return Some(waker);
            }
        }
        let allowed = core.tasks[task].allowed.as_deref();
        let found = self.idle.nearest(&core.topology, near, allowed)?;
        self.idle_take(core, found);
        Some(found)
    }

    /// Claims the idle CPU that the policy prefers for the task.
    pub(super) fn take_hinted(&mut self, core: &Core, task: u32) -> Option<u32> {
        let ctx = &self.tasks[task as usize];
        let cpu = ctx.hint_cpu.filter(|_| !ctx.pinned)?;
        let is_known = (cpu as usize) < self.cpus.len();
        (is_known && core.tasks[task].may_run_on(cpu) && self.idle_take(core, cpu)).then_some(cpu)
    }

    /// Whether what runs there has had its turn.
    pub(super) fn had_its_turn(&self, core: &Core, cpu: u32) -> bool {
        let cctx = &self.cpus[cpu as usize];
        let ran_ns = (core.now_ns + 1).saturating_sub(cctx.running_ns);
        cctx.running_ns != 0
            && !cctx.preempted
            && cctx.burst_ns + ran_ns >= self.options.preemption.min_burst_ns
    }

    fn may_preempt(&self, core: &Core, cpu: u32, key: u64) -> bool {
        let cctx = &self.cpus[cpu as usize];
        let lead = self.options.preemption.min_lead_ns;
        cctx.keyed && self.had_its_turn(core, cpu) && key_before(key.wrapping_add(lead), cctx.key)
    }

    /// A CPU whose task gives way to this key: the task's own, then a few more near it.
    pub(super) fn find_victim(&self, core: &Core, task: u32, key: u64) -> Option<u32> {
        let cpus = self.cpus.len() as u32;
        let near = core.tasks[task].cpu;
        let fits = |cpu: u32| core.tasks[task].may_run_on(cpu) && self.may_preempt(core, cpu, key);
        if fits(near) {
            return Some(near);
        }
        if self.tasks[task as usize].pinned {
            return None;
        }
        (1..8.min(cpus))
            .map(|step| (near + step) % cpus)
            .find(|cpu| fits(*cpu))
    }

    /// Takes a task out of whatever queue it is in.
    pub(super) fn take_out(&mut self, task: u32) {
        let place = self.queues.place(task);
        self.queues.remove(task);
        let (llcs, lists) = (self.llcs, 2 * self.llcs);
        match place {
            Place::List(list) if list < llcs => self.held -= 1,
            Place::List(list) if list < lists => {
                if self.queues.list_len(list) == 0 {
                    self.rescue_llcs &= !(1 << (list - llcs));
                }
            }
            Place::Heap(heap) if heap < llcs => self.held -= 1,
            Place::Heap(heap) if heap < lists => {
                if self.queues.heap_len(heap) == 0 {
                    self.ready_llcs &= !(1 << (heap - llcs));
                }
            }
            Place::Heap(_) => self.pinned -= 1,
            Place::List(_) | Place::Nowhere => {}
        }
    }

    pub(super) fn put_held(&mut self, core: &Core, task: u32) {
        let llc = core.topology.llc(core.tasks[task].cpu);
        self.queues.push_back(self.list_hold(llc), task);
        self.held += 1;
    }

    pub(super) fn put_leased(&mut self, core: &Core, task: u32, end_ns: u64) {
        let llc = core.topology.llc(core.tasks[task].cpu);
        self.queues.insert(self.heap_leased(llc), end_ns, task);
        self.held += 1;
    }

    pub(super) fn put_rescue(&mut self, core: &mut Core, task: u32) {
        let llc = core.topology.llc(core.tasks[task].cpu);
        core.tasks[task].slice_ns = self.options.rescue_slice_ns;
        self.queues.push_back(self.list_rescue(llc), task);
        self.rescue_llcs |= 1 << llc;
    }

    /// The queue that takes decided tasks of this task's kind.
    pub(super) fn put_ready(&mut self, core: &mut Core, task: u32, key: u64, slice_ns: u64) {
        let cpu = core.tasks[task].cpu;
        core.tasks[task].slice_ns = slice_ns;
        if self.tasks[task as usize].pinned {
            self.queues.insert(self.heap_pinned(cpu), key, task);
            self.pinned += 1;
        } else {
            let llc = core.topology.llc(cpu);
            self.queues.insert(self.heap_ready(llc), key, task);
            self.ready_llcs |= 1 << llc;
        }
    }

    /// To a CPU's local queue. An idle one wakes; with `preempt`, what runs there gives way.
    pub(super) fn put_local(
        &mut self,
        core: &mut Core,
        task: u32,
        cpu: u32,
        slice_ns: u64,
        preempt: bool,
    ) {
        let list = self.list_local(cpu);
        core.tasks[task].slice_ns = slice_ns;
        if preempt {
            self.queues.push_front(list, task);
            let curr = core.cpu(cpu).curr;
            if curr != NONE {
                core.settle(cpu);
                core.tasks[curr].slice_ns = 0;
            }
            core.kick(cpu);
        } else {
            self.queues.push_back(list, task);
            if core.cpu(cpu).curr == NONE {
                core.kick(cpu);
            }
        }
    }

    pub(super) fn in_custody(&self, task: u32) -> bool {
        match self.queues.place(task) {
            Place::List(list) => list < self.llcs,
            Place::Heap(heap) => heap < self.llcs,
            Place::Nowhere => false,
        }
    }

    pub(super) fn wait_begin(&mut self, core: &Core, task: u32) {
        let ctx = &mut self.tasks[task as usize];
        if ctx.enqueued_ns == 0 {
            ctx.enqueued_ns = core.now_ns.max(1);
        }
        if !ctx.counted {
            ctx.counted = true;
            self.waiting += 1;
        }
    }

    pub(super) fn wait_end(&mut self, task: u32) {
        let ctx = &mut self.tasks[task as usize];
        ctx.enqueued_ns = 0;
        ctx.decided_ns = 0;
        ctx.woken = false;
        if ctx.counted {
            ctx.counted = false;
            self.waiting -= 1;
        }
    }

    /// A wakeup starts a new burst.
    pub(super) fn wake_begin(&mut self, core: &Core, task: u32) {
        self.burst_begins(core, task);
        let ctx = &mut self.tasks[task as usize];
        if ctx.slept {
            ctx.burst_ns = 0;
            ctx.slept = false;
        }
    }

    /// Placed without asking; `keyed`: the key is of the policy's kind.
    pub(super) fn place_fast(&mut self, core: &Core, task: u32, key: u64, keyed: bool) {
        let ctx = self.ctx(task);
        ctx.key = key;
        ctx.keyed = keyed;
        ctx.decided_ns = core.now_ns;
    }
}

//! What a CPU takes next; as `bpf/relay/dispatch.h`, and around it what the kernel does for a
//! `sched_ext` scheduler: a task keeps its CPU while it has a slice, and local queues go first.

use baton_policy::{MS, Policy, key_before};

use super::{Relay, counters::Count};
use crate::engine::core::Core;

/// What the kernel grants a task that goes on for want of others, or came without a slice:
/// `SCX_SLICE_DFL`.
const KERNEL_SLICE_NS: u64 = 20 * MS;
/// What the relay leaves a task that goes on while others are in custody.
const BESIDE_HELD_NS: u64 = MS;

impl<P: Policy> Relay<P> {
    /// The kernel's side of it: `balance_one` and `pick_task_scx` in `kernel/sched/ext.c`.
    pub(super) fn pick(&mut self, core: &mut Core, cpu: u32, prev: Option<u32>) -> Option<u32> {
        if let Some(prev) = prev.filter(|prev| core.tasks[*prev].slice_ns > 0) {
            return Some(prev);
        }
        let local = self.list_local(cpu);
        if self.queues.first(local).is_none() && !self.take_global(core, cpu) {
            self.dispatch(core, cpu, prev);
            if let Some(prev) = prev.filter(|prev| core.tasks[*prev].slice_ns > 0) {
                return Some(prev);
            }
        }
        if self.queues.first(local).is_none() {
            match prev {
                Some(prev) => core.tasks[prev].slice_ns = KERNEL_SLICE_NS,
                None => self.idle_set(core, cpu),
            }
            return prev;
        }
        if let Some(prev) = prev {
            core.stop(cpu, true);
            self.task_stopping(core, cpu, prev, true);
            self.enqueue(core, prev, false);
        }
        let next = self.queues.first(local)?;
        self.queues.remove(next);
        let slice_ns = &mut core.tasks[next].slice_ns;
        if *slice_ns == 0 {
            *slice_ns = KERNEL_SLICE_NS;
        }
        Some(next)
    }

    /// The process takes the CPU from its task, which goes on first as soon as it is done.
    pub(super) fn interrupt(&mut self, core: &mut Core, cpu: u32) {
        let task = core.stop(cpu, true);
        self.task_stopping(core, cpu, task, true);
        if core.tasks[task].slice_ns > 0 {
            let local = self.list_local(cpu);
            self.queues.push_front(local, task);
        } else {
            self.enqueue(core, task, false);
        }
    }

    /// `ops.dispatch`: puts something into the local queue, or grants `prev` a slice.
    fn dispatch(&mut self, core: &mut Core, cpu: u32, prev: Option<u32>) {
        if self.take_any(core, cpu) {
            return;
        }
        let held = self.held > 0;
        if held && self.deferred_ns.is_some() {
            self.wake_process(core);
        }
        if let Some(prev) = prev {
            core.tasks[prev].slice_ns = if held {
                BESIDE_HELD_NS
            } else {
                self.slice_of(core, 0)
            };
            if held && self.options.interests.alone {
                self.publish_dry(core, cpu);
            }
            return;
        }
        self.count(Count::Dry);
        if held && self.options.interests.dry {
            self.publish_dry(core, cpu);
        }
    }

    fn take_any(&mut self, core: &mut Core, cpu: u32) -> bool {
        if self.rescue_llcs == 0 {
            return self.take_ready(core, cpu);
        }
        let cctx = self.cpu_ctx(cpu);
        let ready_first = cctx.turn & 1 == 1;
        cctx.turn = cctx.turn.wrapping_add(1);
        if !ready_first && self.take_rescued(core, cpu) {
            return true;
        }
        self.take_ready(core, cpu) || ready_first && self.take_rescued(core, cpu)
    }

    /// Moves a task of a shared queue to the CPU's own.
    fn move_to_local(&mut self, core: &mut Core, cpu: u32, task: u32) -> bool {
        self.take_out(task);
        core.tasks[task].cpu = cpu;
        let local = self.list_local(cpu);
        self.queues.push_back(local, task);
        true
    }

    fn first_allowed(&self, core: &Core, cpu: u32, list: u32) -> Option<u32> {
        let mut tasks = self.queues.iter(list);
        tasks.find(|task| core.tasks[*task].may_run_on(cpu))
    }

    fn take_global(&mut self, core: &mut Core, cpu: u32) -> bool {
        let list = self.list_global();
        if self.queues.list_len(list) == 0 {
            return false;
        }
        let found = self.first_allowed(core, cpu, list);
        found.is_some_and(|task| self.move_to_local(core, cpu, task))
    }

    /// The last-level caches of a set, this CPU's own first and then in order.
    fn llcs_from(own: usize, set: u64) -> impl Iterator<Item = usize> {
        let upper = set >> own << own;
        let bits = |mut rest: u64| {
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    bit as usize
                })
            })
        };
        bits(upper).chain(bits(set & !upper))
    }

    fn take_rescued(&mut self, core: &mut Core, cpu: u32) -> bool {
        for llc in Self::llcs_from(core.topology.llc(cpu), self.rescue_llcs) {
            if let Some(task) = self.first_allowed(core, cpu, self.list_rescue(llc)) {
                return self.move_to_local(core, cpu, task);
            }
        }
        false
    }

    /// The earliest key of this CPU's pinned tasks and all ready queues.
    fn take_ready(&mut self, core: &mut Core, cpu: u32) -> bool {
        let pinned = self.queues.head(self.heap_pinned(cpu));
        if self.ready_llcs == 0 {
            return pinned.is_some_and(|(_, task)| self.move_to_local(core, cpu, task));
        }
        let mut best = pinned.map(|(key, task)| (key, task, None));
        for llc in Self::llcs_from(core.topology.llc(cpu), self.ready_llcs) {
            if let Some((key, task)) = self.queues.head(self.heap_ready(llc))
                && best.is_none_or(|(least, ..)| key_before(key, least))
            {
                best = Some((key, task, Some(llc)));
            }
        }
        let Some((_, task, llc)) = best else {
            return false;
        };
        if core.tasks[task].may_run_on(cpu) {
            return self.move_to_local(core, cpu, task);
        }
        // The head may not run here: whoever else of its queue may, then all others.
        let own = llc.into_iter().chain(Self::llcs_from(0, self.ready_llcs));
        let mut others = own.filter_map(|llc| {
            let may = |task| core.tasks[task].may_run_on(cpu);
            self.queues.first_in_order(self.heap_ready(llc), may)
        });
        let found = others.next().or(pinned.map(|(_, task)| task));
        found.is_some_and(|task| self.move_to_local(core, cpu, task))
    }
}

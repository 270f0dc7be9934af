//! Another process takes over while tasks wait and run; as `bpf/relay/switch.h`.

use baton_policy::{EnqueueReason, Policy};

use super::{Relay, publish::Told};
use crate::engine::core::Core;

impl<P: Policy> Relay<P> {
    /// The next policy is in charge: it is told of everything anew, and what the last one said is
    /// forgotten. Keys of two policies do not compare, so what was decided goes to rescue.
    pub(super) fn take_over(&mut self, core: &mut Core) {
        let Some(successor) = self.successors.pop() else {
            return;
        };
        self.driver = successor;
        self.options = *self.driver.options();
        self.forget_guesses();
        if let Some(log) = &mut self.log {
            log.clone_from(&self.log_head);
        }
        self.ring.records.clear();
        self.ring.infos.clear();
        self.ring.lost_seen = self.ring.lost;
        self.known_online = core.online;
        self.silent = false;
        self.process.alive_ns = core.now_ns;
        for ctx in &mut self.tasks {
            ctx.announced = false;
            ctx.keyed = false;
            ctx.key_offset = 0;
            ctx.slice_ns = 0;
            ctx.published_ns = 0;
            ctx.hint_cpu = None;
            ctx.hinted_preempt = false;
        }
        for cpu in &mut self.cpus {
            cpu.keyed = false;
        }
        for llc in 0..self.llcs as usize {
            self.release(core, self.heap_ready(llc));
        }
        for cpu in 0..self.cpus.len() as u32 {
            self.release(core, self.heap_pinned(cpu));
        }
        for llc in 0..self.llcs as usize {
            let held: Vec<u32> = self.queues.iter(self.list_hold(llc)).collect();
            let leased: Vec<u32> = self.queues.members(self.heap_leased(llc)).collect();
            for task in held.into_iter().chain(leased) {
                self.hand_on(core, task);
            }
        }
        self.wake_process(core);
    }

    /// Sends the tasks of an ordered queue to rescue, in their order.
    fn release(&mut self, core: &mut Core, heap: u32) {
        while let Some((_, task)) = self.queues.head(heap) {
            self.take_out(task);
            self.put_rescue(core, task);
        }
    }

    /// A task in custody: the new policy is to decide, unless it gives hints alone.
    fn hand_on(&mut self, core: &mut Core, task: u32) {
        let told = Told {
            reason: EnqueueReason::Requeued,
            slept_ns: 0,
            sync: false,
        };
        let hints = self.options.mode.is_hinted();
        if hints || !self.publish_enqueue(core, task, told, false, true) {
            self.take_out(task);
            self.put_rescue(core, task);
        }
    }
}

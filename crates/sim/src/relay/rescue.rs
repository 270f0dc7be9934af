//! What happens without the process; as `bpf/relay/rescue.h`. And what the relay promises, looked at.

use baton_policy::{MS, Mode, Policy, key_before};

use super::{Relay, TIMER_RESCUE, counters::Count, publish::What};
use crate::engine::{
    core::{Core, Happened, arrival_max_ns},
    cpu::Mode as CpuMode,
    task::NONE,
};

pub(super) const TIMER_BUSY_NS: u64 = 5 * MS;
const TIMER_IDLE_NS: u64 = 20 * MS;
const STARVE_SCAN_NS: u64 = 100 * MS;
const RESCUE_SCAN_MAX: usize = 256;
const STARVE_SCAN_MAX: usize = 1024;
const FEED_SCAN_MAX: usize = 16;
/// Looking at the queue of every CPU each time is for machines of this size.
const FEED_CPUS_MAX: usize = 64;

impl<P: Policy> Relay<P> {
    pub(super) fn rescue_tick(&mut self, core: &mut Core) {
        self.judge_silence(core);
        if self.is_overdue(core) {
            self.wake_process(core);
        }
        for llc in 0..self.llcs as usize {
            self.rescue_held(core, llc);
            self.rescue_leased(core, llc);
            self.feed_list(core, self.list_rescue(llc));
            self.feed_heap(core, self.heap_ready(llc));
        }
        if self.waiting > 0 && self.cpus.len() <= FEED_CPUS_MAX {
            self.feed_pinned(core);
        }
        if core.now_ns - self.starve_scan_ns >= STARVE_SCAN_NS {
            self.starve_scan_ns = core.now_ns;
            for llc in 0..self.llcs as usize {
                self.rescue_starved(core, self.heap_ready(llc));
            }
            self.feed_pinned(core);
            if self.pinned > 0 {
                for cpu in 0..self.cpus.len() as u32 {
                    self.rescue_starved(core, self.heap_pinned(cpu));
                }
            }
        }
        let period_ns = if self.waiting > 0 {
            TIMER_BUSY_NS
        } else {
            TIMER_IDLE_NS
        };
        core.timer(period_ns, TIMER_RESCUE, 0);
    }

    fn feed_pinned(&mut self, core: &mut Core) {
        if self.pinned > 0 {
            for cpu in 0..self.cpus.len() as u32 {
                self.feed_heap(core, self.heap_pinned(cpu));
            }
        }
    }

    /// A process that has not looked at its ring for a whole `rescue_after` although it is not asleep
    /// is silent.
    fn judge_silence(&mut self, core: &Core) {
        let unseen_ns = core.now_ns - self.process.alive_ns;
        if self.options.mode == Mode::Decide
            && !self.silent
            && !self.process.is_asleep()
            && unseen_ns > self.options.rescue_after_ns
        {
            self.silent = true;
        }
    }

    /// Puts a task where it will run although nobody decides.
    fn rescue_move(&mut self, core: &mut Core, task: u32) {
        let slice_ns = self.options.rescue_slice_ns;
        let idle = self.take_idle(core, task);
        self.take_out(task);
        match idle {
            Some(cpu) => self.put_local(core, task, cpu, slice_ns, false),
            None => self.put_rescue(core, task),
        }
    }

    fn rescue(&mut self, core: &mut Core, task: u32) {
        let now_ns = core.now_ns;
        self.place_fast(core, task, now_ns, false);
        self.rescue_move(core, task);
        self.count(Count::Rescues);
        core.happened(Happened::Rescued, core.tasks[task].cpu, task);
        if self.options.interests.custody {
            self.publish(core, task, What::Rescued);
        }
    }

    /// The head of a holding queue is its oldest.
    fn rescue_held(&mut self, core: &mut Core, llc: usize) {
        for _ in 0..RESCUE_SCAN_MAX {
            let Some(task) = self.queues.first(self.list_hold(llc)) else {
                return;
            };
            let due_ns = self.tasks[task as usize].enqueued_ns + self.options.rescue_after_ns;
            if key_before(core.now_ns, due_ns) {
                return;
            }
            self.rescue(core, task);
        }
        // More than one round can take: the rest waits for the next.
        self.crowded_ns = core.now_ns;
    }

    /// A lease of a silent process is over.
    fn rescue_leased(&mut self, core: &mut Core, llc: usize) {
        for _ in 0..RESCUE_SCAN_MAX {
            let Some((end_ns, task)) = self.queues.head(self.heap_leased(llc)) else {
                return;
            };
            let due_ns = if self.silent {
                self.tasks[task as usize].enqueued_ns + self.options.rescue_after_ns
            } else {
                end_ns
            };
            if key_before(core.now_ns, due_ns) {
                return;
            }
            self.rescue(core, task);
        }
    }

    /// Takes tasks that wait too long for their key out of an ordered queue.
    fn rescue_starved(&mut self, core: &mut Core, heap: u32) {
        let starve_after_ns = self.options.starve_after_ns;
        let is_starved = |relay: &Self, task: u32| {
            let since_ns = relay.tasks[task as usize].enqueued_ns;
            since_ns != 0 && !key_before(core.now_ns, since_ns + starve_after_ns)
        };
        let members = self.queues.members(heap).take(STARVE_SCAN_MAX);
        let starved: Vec<u32> = members.filter(|task| is_starved(self, *task)).collect();
        for task in starved {
            self.rescue_move(core, task);
            self.count(Count::Starved);
            core.happened(Happened::Rescued, core.tasks[task].cpu, task);
        }
    }

    fn feed_list(&mut self, core: &mut Core, list: u32) {
        for _ in 0..FEED_SCAN_MAX {
            let Some(task) = self.queues.first(list) else {
                return;
            };
            if !self.feed(core, task) {
                return;
            }
        }
    }

    fn feed_heap(&mut self, core: &mut Core, heap: u32) {
        for _ in 0..FEED_SCAN_MAX {
            let Some((_, task)) = self.queues.head(heap) else {
                return;
            };
            if !self.feed(core, task) {
                return;
            }
        }
    }

    /// Gives the head of a queue to an idle CPU, should the two have missed each other.
    fn feed(&mut self, core: &mut Core, task: u32) -> bool {
        let Some(cpu) = self.take_idle(core, task) else {
            let own = core.tasks[task].cpu;
            if core.cpu(own).mode == CpuMode::Idle && !self.idle.contains(own) {
                core.kick(own);
            }
            return false;
        };
        self.count(Count::Fed);
        let slice_ns = core.tasks[task].slice_ns;
        self.take_out(task);
        self.put_local(core, task, cpu, slice_ns, false);
        true
    }

    /// The CPU is gone: what waits for it alone finds another place.
    pub(super) fn move_away(&mut self, core: &mut Core, cpu: u32) {
        let local = self.queues.iter(self.list_local(cpu));
        let stranded: Vec<u32> = local
            .chain(self.queues.members(self.heap_pinned(cpu)))
            .collect();
        for task in stranded {
            self.take_out(task);
            core.tasks[task].cpu = core.fallback_cpu(task);
            self.enqueue(core, task, false);
        }
    }

    /// An idle CPU with tasks of its own knows of them, and a claimed one was told.
    pub(super) fn audit_queues(&mut self, core: &mut Core) {
        for cpu in 0..self.cpus.len() as u32 {
            let queued = self.queues.list_len(self.list_local(cpu));
            let state = core.cpu(cpu);
            let (mode, kicked) = (state.mode, state.kicked);
            let is_idle = mode == CpuMode::Idle && state.curr == NONE;
            if is_idle && queued > 0 && !kicked {
                core.violate(|| {
                    format!("CPU {cpu} idles beside {queued} tasks in its local queue")
                });
            }
            if mode == CpuMode::Offline && queued > 0 {
                core.violate(|| format!("{queued} tasks wait for CPU {cpu}, which is offline"));
            }
            if self.idle.contains(cpu) && !core.is_resting(cpu) {
                core.violate(|| format!("CPU {cpu} looks idle and is {mode:?}"));
            }
        }
    }

    /// Custody ends in time, and no CPU idles for long beside ready tasks.
    pub(super) fn audit_waits(&mut self, core: &mut Core) {
        let late_ns = TIMER_IDLE_NS + MS + arrival_max_ns(&core.costs);
        if let Some(since_ns) = self.deferred_ns {
            let asleep_ns = core.now_ns - since_ns;
            if asleep_ns > self.options.requeue_patience_ns + late_ns {
                core.violate(|| format!("the process sleeps for {asleep_ns} ns beside held tasks"));
            }
        }
        for llc in 0..self.llcs as usize {
            let oldest = self.queues.first(self.list_hold(llc));
            let was_crowded = core.now_ns - self.crowded_ns <= late_ns && self.crowded_ns != 0;
            if let Some(task) = oldest.filter(|_| !was_crowded) {
                let since_ns = self.tasks[task as usize].enqueued_ns;
                let held_ns = core.now_ns.saturating_sub(since_ns);
                if held_ns > self.options.rescue_after_ns + late_ns {
                    let pid = core.tasks[task].key.pid;
                    core.violate(|| format!("task {pid} is held for {held_ns} ns without rescue"));
                }
            }
            let Some((_, task)) = self.queues.head(self.heap_ready(llc)) else {
                continue;
            };
            let waited_ns = core.now_ns - core.tasks[task].wait_since_ns;
            let allowed = core.tasks[task].allowed.as_deref();
            let Some(cpu) = self.idle.first(&core.topology, None, allowed) else {
                continue;
            };
            let idle_ns = core.now_ns - core.cpu(cpu).mode_since_ns;
            if waited_ns.min(idle_ns) > late_ns + TIMER_BUSY_NS {
                let pid = core.tasks[task].key.pid;
                core.violate(|| {
                    format!("CPU {cpu} idles for {idle_ns} ns while task {pid} is ready")
                });
            }
        }
    }
}

//! Events, relay to process; as `bpf/relay/publish.h`.

use baton_policy::{
    Enqueue, EnqueueReason, Event, EventKind, MS, Policy, StopReason, TaskInfo, TaskKey,
};

use super::{Relay, counters::Count};
use crate::engine::core::Core;

/// In hint mode, at least so long between events about one task.
const HINT_INTERVAL_NS: u64 = 4 * MS;

/// An event on its way. What is known of a task travels beside, because it is large and rare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    time_ns: u64,
    task: TaskKey,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Join,
    Update,
    Enqueue(Enqueue),
    Running(u32),
    Stopping(u32, u64, StopReason),
    Rescued,
    Exit,
    Dry(u32),
    Online(u32),
    Offline(u32),
}

/// What is told of an enqueue, beside the task itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) reason: EnqueueReason,
    pub(super) slept_ns: u64,
    pub(super) sync: bool,
}

impl Record {
    /// About a task, now.
    pub(super) fn new(core: &Core, task: u32, what: What) -> Self {
        Self {
            time_ns: core.now_ns,
            task: core.tasks[task].key,
            what,
        }
    }

    /// The event as the policy's driver takes it; `info` is of a `Join` or an `Update`.
    pub(super) fn event(&self, info: Option<TaskInfo>) -> Event {
        // The default is dear: it names every CPU.
        let known = || info.unwrap_or_default();
        let kind = match self.what {
            What::Join => EventKind::Join(known()),
            What::Update => EventKind::Update(known()),
            What::Enqueue(enqueue) => EventKind::Enqueue(enqueue),
            What::Running(cpu) => EventKind::Running { cpu },
            What::Stopping(cpu, runtime_ns, reason) => EventKind::Stopping {
                cpu,
                runtime_ns,
                reason,
            },
            What::Rescued => EventKind::Rescued,
            What::Exit => EventKind::Exit,
            What::Dry(cpu) => EventKind::CpuDry { cpu },
            What::Online(cpu) => EventKind::CpuOnline { cpu },
            What::Offline(cpu) => EventKind::CpuOffline { cpu },
        };
        Event {
            time_ns: self.time_ns,
            task: self.task,
            kind,
        }
    }
}

impl<P: Policy> Relay<P> {
    /// Puts a record into the ring; false if it is lost.
    fn push(&mut self, core: &Core, record: Record) -> bool {
        let is_full = self.ring.records.len() as u64 >= core.costs.ring_events;
        if is_full || self.ring.to_lose > 0 {
            self.ring.to_lose = self.ring.to_lose.saturating_sub(1);
            self.ring.lost += 1;
            self.count(Count::Lost);
            return false;
        }
        self.ring.records.push_back(record);
        self.count(Count::Events);
        true
    }

    /// The process hears of a task and of its changes before anything else about it.
    fn introduce(&mut self, core: &Core, task: u32) -> bool {
        let ctx = &self.tasks[task as usize];
        let what = if !ctx.announced {
            What::Join
        } else if ctx.changed {
            What::Update
        } else {
            return true;
        };
        if !self.push(core, Record::new(core, task, what)) {
            return false;
        }
        self.ring.infos.push_back(core.tasks[task].info());
        let ctx = self.ctx(task);
        ctx.announced = true;
        ctx.changed = false;
        true
    }

    /// An event about a task; false if it is lost.
    pub(super) fn publish(&mut self, core: &Core, task: u32, what: What) -> bool {
        self.introduce(core, task) && self.push(core, Record::new(core, task, what))
    }

    /// Whether the process will hear of it; where it is urgent, the process is woken.
    pub(super) fn publish_enqueue(
        &mut self,
        core: &mut Core,
        task: u32,
        told: Told,
        decided: bool,
        urgent: bool,
    ) -> bool {
        let ctx = &self.tasks[task as usize];
        let mut enqueue = Enqueue {
            seq: ctx.seq,
            reason: told.reason,
            cpu: core.tasks[task].cpu,
            waker: ctx.waker,
            sync: told.sync,
            decided,
            burst_ns: ctx.burst_ns,
            runtime_ns: core.tasks[task].runtime_ns,
            slept_ns: told.slept_ns,
            waiting: self.waiting,
            ..Enqueue::default()
        };
        self.tell_bursts(core, task, &mut enqueue);
        if !self.publish(core, task, What::Enqueue(enqueue)) {
            return false;
        }
        if urgent {
            self.wake_process(core);
        }
        true
    }

    /// Whether what the process was not woken for has waited long enough.
    pub(super) fn is_overdue(&self, core: &Core) -> bool {
        let patience_ns = self.options.requeue_patience_ns;
        self.deferred_ns
            .is_some_and(|since_ns| since_ns + patience_ns < core.now_ns)
    }

    /// An enqueue that was placed already.
    pub(super) fn publish_decided(&mut self, core: &mut Core, task: u32, told: Told) {
        if self.options.mode.is_hinted() {
            let now_ns = core.now_ns;
            let ctx = self.ctx(task);
            if ctx.published_ns != 0 && now_ns - ctx.published_ns < HINT_INTERVAL_NS {
                return;
            }
            ctx.published_ns = now_ns;
        } else if !self.options.interests.decided {
            return;
        }
        self.publish_enqueue(core, task, told, true, false);
    }

    pub(super) fn publish_running(&mut self, core: &Core, task: u32, cpu: u32) {
        self.publish(core, task, What::Running(cpu));
    }

    pub(super) fn publish_stopping(
        &mut self,
        core: &Core,
        task: u32,
        cpu: u32,
        runtime_ns: u64,
        reason: StopReason,
    ) {
        self.publish(core, task, What::Stopping(cpu, runtime_ns, reason));
    }

    pub(super) fn publish_exit(&mut self, core: &Core, task: u32) {
        self.publish(core, task, What::Exit);
    }

    fn publish_cpu(&mut self, core: &mut Core, what: What) {
        let record = Record {
            time_ns: core.now_ns,
            task: TaskKey::default(),
            what,
        };
        if self.push(core, record) {
            self.wake_process(core);
        }
    }

    pub(super) fn publish_dry(&mut self, core: &mut Core, cpu: u32) {
        self.publish_cpu(core, What::Dry(cpu));
    }

    pub(super) fn publish_hotplug(&mut self, core: &mut Core, cpu: u32, online: bool) {
        let what = if online {
            What::Online(cpu)
        } else {
            What::Offline(cpu)
        };
        self.publish_cpu(core, what);
    }
}

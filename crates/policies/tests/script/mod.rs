//! Event sequences written by hand, for tests of policies.
#![allow(dead_code)] // Each test file uses its own part.

pub mod cpus;
pub mod tale;

use std::collections::BTreeMap;

use baton_policy::{
    ClassId, Classes, Decision, Driver, Enqueue, EnqueueReason, Event, EventKind, Machine,
    Placement, Policy, Setup, StopReason, TaskInfo, TaskKey, TaskName,
};

/// A policy on a machine, and what happens there. Times are in nanoseconds.
pub struct Script<P: Policy> {
    driver: Driver<P>,
    tasks: BTreeMap<&'static str, Actor>,
    pub waiting: u32,
}

#[derive(Clone, Copy)]
struct Actor {
    key: TaskKey,
    weight: u32,
    seq: u64,
    runtime_ns: u64,
    burst_ns: u64,
    /// When it stopped running, if it ran at once when it was enqueued.
    stopped_ns: u64,
}

impl<P: Policy> Script<P> {
    pub fn new(cpus: u32) -> Self {
        Self::with_params(cpus, &[])
    }

    pub fn with_params(cpus: u32, params: &[(&str, &str)]) -> Self {
        Self::with_classes(Machine::uniform("script", cpus), &Classes::NONE, params)
    }

    pub fn with_classes(machine: Machine, classes: &Classes, params: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let params: Vec<_> = params.iter().map(owned).collect();
        let setup = Setup::with_params(&machine, 1, &params).with_classes(classes);
        let driver = Driver::new(&setup).unwrap();
        Self {
            driver,
            tasks: BTreeMap::new(),
            waiting: 1,
        }
    }

    pub fn driver(&self) -> &Driver<P> {
        &self.driver
    }

    pub fn event(&mut self, event: &Event) -> Option<Decision> {
        self.driver.clear_decisions();
        self.driver.event(event);
        self.driver.batch_end(event.time_ns);
        self.driver.decisions().first().copied()
    }

    /// A task appears. Others, if not named before, have the default weight.
    pub fn join(&mut self, name: &'static str, weight: u32) -> &mut Self {
        self.join_as(name, weight, None)
    }

    /// A task of a class appears.
    pub fn join_class(&mut self, name: &'static str, class: usize) -> &mut Self {
        self.join_as(name, 100, ClassId::new(class))
    }

    fn join_as(&mut self, name: &'static str, weight: u32, class: Option<ClassId>) -> &mut Self {
        let key = TaskKey {
            pid: self.tasks.len() as u32 + 1,
            start_ns: 1,
        };
        let actor = Actor {
            key,
            weight,
            seq: 0,
            runtime_ns: 0,
            burst_ns: 0,
            stopped_ns: 0,
        };
        self.tasks.insert(name, actor);
        let info = TaskInfo {
            name: TaskName::new(name),
            weight,
            class,
            ..TaskInfo::default()
        };
        self.event(&Event {
            time_ns: 0,
            task: key,
            kind: EventKind::Join(info),
        });
        self
    }

    /// The task used the CPU for so long.
    pub fn ran(&mut self, name: &'static str, ns: u64) -> &mut Self {
        let actor = self.actor(name);
        actor.runtime_ns = actor.runtime_ns.saturating_add(ns);
        actor.burst_ns = actor.burst_ns.saturating_add(ns);
        actor.stopped_ns = actor.stopped_ns.saturating_add(ns);
        self
    }

    pub fn wakeup(&mut self, name: &'static str, at_ns: u64) -> Decision {
        self.actor(name).burst_ns = 0;
        self.enqueue(name, at_ns, EnqueueReason::Wakeup, false)
    }

    pub fn sync_wakeup(&mut self, name: &'static str, at_ns: u64) -> Decision {
        self.actor(name).burst_ns = 0;
        self.enqueue(name, at_ns, EnqueueReason::Wakeup, true)
    }

    /// A wakeup that the backend serves itself: numbered, but not told.
    pub fn unseen_wakeup(&mut self, name: &'static str) -> &mut Self {
        let actor = self.actor(name);
        actor.burst_ns = 0;
        actor.seq += 1;
        self
    }

    /// The task got a CPU.
    pub fn running(&mut self, name: &'static str, cpu: u32, time_ns: u64) -> &mut Self {
        let task = self.actor(name).key;
        self.event(&Event {
            time_ns,
            task,
            kind: EventKind::Running { cpu },
        });
        self
    }

    /// The task left its CPU.
    pub fn stopped(&mut self, name: &'static str, cpu: u32, time_ns: u64) -> &mut Self {
        let task = self.actor(name).key;
        let (runtime_ns, reason) = (0, StopReason::Slept);
        self.event(&Event {
            time_ns,
            task,
            kind: EventKind::Stopping {
                cpu,
                runtime_ns,
                reason,
            },
        });
        self
    }

    /// What was decided at the last event.
    pub fn decisions(&self) -> &[Decision] {
        self.driver.decisions()
    }

    /// The task had a CPU for so long, up to now, and wants to go on.
    pub fn computed(&mut self, name: &'static str, cpu: u32, ns: u64, now_ns: u64) -> &mut Self {
        self.running(name, cpu, now_ns - ns).ran(name, ns);
        let task = self.actor(name).key;
        self.event(&Event {
            time_ns: now_ns,
            task,
            kind: EventKind::Stopping {
                cpu,
                runtime_ns: ns,
                reason: StopReason::SliceOver,
            },
        });
        self
    }

    /// A CPU has nothing to run; what is decided about whom.
    pub fn dry(&mut self, cpu: u32, time_ns: u64) -> Option<Decision> {
        self.event(&Event {
            time_ns,
            task: TaskKey::default(),
            kind: EventKind::CpuDry { cpu },
        })
    }

    pub fn preempted(&mut self, name: &'static str, at_ns: u64) -> Decision {
        self.enqueue(name, at_ns, EnqueueReason::Preempted, false)
    }

    pub fn slice_over(&mut self, name: &'static str, at_ns: u64) -> Decision {
        self.enqueue(name, at_ns, EnqueueReason::SliceOver, false)
    }

    fn actor(&mut self, name: &'static str) -> &mut Actor {
        if !self.tasks.contains_key(name) {
            self.join(name, 100);
        }
        self.tasks.get_mut(name).unwrap()
    }

    /// A decision about the enqueue, with the slice that the backend grants.
    fn enqueue(
        &mut self,
        name: &'static str,
        time_ns: u64,
        reason: EnqueueReason,
        sync: bool,
    ) -> Decision {
        let waiting = self.waiting;
        let actor = self.actor(name);
        actor.seq += 1;
        let slept_ns = match reason {
            EnqueueReason::Wakeup => time_ns.saturating_sub(actor.stopped_ns),
            _ => 0,
        };
        actor.stopped_ns = time_ns;
        let Actor {
            key: task,
            seq,
            runtime_ns,
            burst_ns,
            ..
        } = *actor;
        let enqueue = Enqueue {
            seq,
            reason,
            sync,
            burst_ns,
            runtime_ns,
            slept_ns,
            waiting,
            ..Enqueue::default()
        };
        let decision = self.event(&Event {
            time_ns,
            task,
            kind: EventKind::Enqueue(enqueue),
        });
        let mut decision = decision.expect("a decision about every enqueue");
        let cpus = self.driver.machine().online().len() as u32;
        let options = self.driver.options();
        decision.slice_ns = options.granted_slice_ns(decision.slice_ns, waiting, cpus);
        decision
    }
}

/// The key of a decision that puts a task into the ready queue.
pub fn key(decision: Decision) -> u64 {
    match decision.placement {
        Placement::Ready { key } => key,
        other => panic!("not ready but {other:?}"),
    }
}

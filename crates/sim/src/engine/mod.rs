//! The discrete-event simulator: machine, time and tasks, on which a [`Class`] schedules.
//!
//! - `queue`: what is to happen; `core`, `cpu`: CPUs and what happens to them; `task`: tasks;
//! - `class`: the interface to a scheduler;
//! - `topology`, `mask`, `idle`: who is near whom, and which CPUs are free;
//! - `queues`: dispatch queues, for schedulers; `stats`: what is counted;
//! - `audit`: what must hold; `hotplug`: CPUs that come and go; `cgroups`: their paths, and classes of
//!   tasks;
//! - here: the loop and the steps of tasks.

mod audit;
pub(crate) mod cgroups;
pub(crate) mod class;
pub(crate) mod core;
pub(crate) mod cpu;
mod hotplug;
pub(crate) mod idle;
pub(crate) mod mask;
pub(crate) mod queue;
pub(crate) mod queues;
pub(crate) mod stats;
pub(crate) mod task;
pub(crate) mod topology;

use baton_machine::ClassFile;
use baton_policy::TaskName;

use self::{
    cgroups::Cgroups,
    class::{Class, Fault, Wake},
    core::{Core, Happened},
    cpu::Mode,
    queue::What,
    task::{NONE, State, WORK_SCALE},
};
use crate::actor::{Actor, Spawn, Stage, Step};

/// Steps that a task may take at one instant; more is a loop without end.
const STEPS_MAX: u32 = 10_000;
/// Work that never ends.
const ENDLESS: u64 = u64::MAX / 4;

/// Something that the run plans: at a time, not by a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// A CPU comes or goes.
    Hotplug {
        /// The CPU.
        cpu: u32,
        /// Whether it comes.
        online: bool,
    },
    /// Something goes wrong.
    Fault(Fault),
}

/// A machine with a scheduler and a stage of tasks.
pub(crate) struct Engine<C> {
    pub(crate) core: Core,
    pub(crate) class: C,
    pub(crate) stage: Stage,
    pub(crate) plans: Vec<(u64, Plan)>,
    cgroups: Cgroups,
    /// Parts that must end before the run does.
    parts_left: Vec<u32>,
    audit_each: u64,
}

impl<C: Class> Engine<C> {
    pub(crate) fn new(mut core: Core, class: C, stage: Stage, classes: Option<ClassFile>) -> Self {
        core.know_cgroup(Cgroups::ROOT, "/");
        Self {
            core,
            class,
            stage,
            plans: Vec::new(),
            cgroups: Cgroups::new(classes),
            parts_left: Vec::new(),
            audit_each: 4096,
        }
    }

    /// Looks at the invariants after each so many events.
    pub(crate) fn audit_each(&mut self, events: u64) {
        self.audit_each = events.max(1);
    }

    /// Runs until the parts have ended, at most to `end_ns`; whether they have.
    pub(crate) fn run(&mut self, parts: Vec<u32>, end_ns: u64) -> bool {
        self.parts_left = parts;
        let waits_for_parts = !self.parts_left.is_empty();
        for (index, (time_ns, _)) in self.plans.iter().enumerate() {
            let index = index as u32;
            self.core.queue.push(*time_ns, What::Plan { index });
        }
        self.class.begin(&mut self.core);
        self.spawn_all(None, 0);
        let mut until_audit = self.audit_each;
        while let Some((time_ns, what)) = self.core.queue.pop() {
            if time_ns > end_ns {
                break;
            }
            self.core.now_ns = time_ns;
            if self.happen(what) {
                self.core.stats.events += 1;
                until_audit -= 1;
            }
            if until_audit == 0 {
                until_audit = self.audit_each;
                self.audit();
            }
            if self.core.violation.is_some() || (waits_for_parts && self.parts_left.is_empty()) {
                break;
            }
        }
        let ended = waits_for_parts && self.parts_left.is_empty();
        if !ended && self.core.violation.is_none() {
            self.core.now_ns = end_ns.max(self.core.now_ns);
        }
        self.core.settle_all();
        self.audit();
        ended || !waits_for_parts
    }

    /// Whether it still meant anything.
    fn happen(&mut self, what: What) -> bool {
        self.core.here = NONE;
        match what {
            What::Cpu { cpu, token } => {
                if self.core.cpu(cpu).token != token || self.core.cpu(cpu).curr == NONE {
                    return false;
                }
                self.core.here = cpu;
                self.cpu_event(cpu);
            }
            What::Resched { cpu } => {
                if !self.core.cpu(cpu).kicked {
                    return false;
                }
                self.core.here = cpu;
                self.schedule(cpu);
            }
            What::Wake { task, generation } => {
                let sleeper = &self.core.tasks[task];
                if sleeper.sleeps != generation || sleeper.state != State::Sleeping {
                    return false;
                }
                let cpu = sleeper.cpu;
                // Its timer's interrupt comes where it slept, if that CPU is there.
                if self.core.is_online(cpu) {
                    self.core.here = cpu;
                }
                self.wake(task, None, cpu, false);
            }
            What::Timer { kind, arg } => self.class.timer(&mut self.core, kind, arg),
            What::Plan { index } => self.carry_out(self.plans[index as usize].1),
        }
        self.settle_requests();
        true
    }

    /// CPUs that the policy's process gave back, or that just came, look for work.
    fn settle_requests(&mut self) {
        while let Some(cpu) = self.core.requests.pop() {
            self.core.here = cpu;
            self.schedule(cpu);
        }
    }

    /// The current task's step is done, or it is time for the tick.
    fn cpu_event(&mut self, cpu: u32) {
        self.core.settle(cpu);
        let task = self.core.cpu(cpu).curr;
        let is_tick = self.core.now_ns >= self.core.cpu(cpu).next_tick_ns;
        if is_tick {
            let period_ns = self.core.costs.tick_period_ns;
            self.core.cpus[cpu as usize].next_tick_ns =
                (self.core.now_ns / period_ns + 1) * period_ns;
            self.core.stats.ticks += 1;
            self.core.stall(cpu, self.core.costs.tick_ns);
            if self.class.tick(&mut self.core, cpu, task) {
                // At the interrupt's end, when the ticks of other CPUs have been, too.
                self.core.kick_after(cpu, self.core.costs.tick_ns);
            }
        }
        if self.core.is_step_done(task) {
            self.advance(cpu, task);
        } else {
            self.core.plan(cpu);
        }
    }

    /// The CPU looks for its next task.
    fn schedule(&mut self, cpu: u32) {
        self.core.unkick(cpu);
        if matches!(self.core.cpu(cpu).mode, Mode::RealTime | Mode::Offline) {
            return;
        }
        self.core.settle(cpu);
        let curr = self.core.cpu(cpu).curr;
        let prev = (curr != NONE).then_some(curr);
        let next = self.class.schedule(&mut self.core, cpu, prev);
        match next {
            Some(next) if prev == Some(next) => {
                if self.core.is_step_done(next) {
                    self.advance(cpu, next);
                } else {
                    self.core.plan(cpu);
                }
            }
            Some(next) => {
                self.core.start(cpu, next);
                self.class.running(&mut self.core, cpu, next);
            }
            None => self.core.idle(cpu),
        }
    }

    /// Takes the running task through its steps until one takes time.
    fn advance(&mut self, cpu: u32, task: u32) {
        let Some(mut actor) = self.core.tasks[task].actor.take() else {
            return;
        };
        for _ in 0..STEPS_MAX {
            let pending = self.core.tasks[task].pending.take();
            let step = pending.unwrap_or_else(|| {
                self.stage.now_ns = self.core.now_ns;
                actor.step(&mut self.stage)
            });
            self.carry_over(cpu, task);
            let step = self.pay_first(task, step);
            if self.take(cpu, task, step) {
                return self.put_back(cpu, task, actor, step);
            }
        }
        self.core
            .violate(|| "a task takes steps without end at one instant".to_owned());
    }

    /// What a task did beside its work is paid for before it sleeps.
    fn pay_first(&mut self, task: u32, step: Step) -> Step {
        if self.core.tasks[task].stall_ns == 0 || matches!(step, Step::Compute(_)) {
            return step;
        }
        self.core.tasks[task].pending = Some(step);
        Step::Compute(0)
    }

    /// After a step that takes time or the CPU.
    fn put_back(&mut self, cpu: u32, task: u32, actor: Box<dyn Actor>, step: Step) {
        if step != Step::Exit {
            self.core.tasks[task].actor = Some(actor);
        }
        if self.core.cpu(cpu).curr == task && !self.core.tasks[task].may_run_on(cpu) {
            self.core.stop(cpu, true);
            self.core.tasks[task].cpu = self.core.fallback_cpu(task);
            self.class.evicted(&mut self.core, cpu, task);
            return self.schedule(cpu);
        }
        match step {
            Step::Compute(_) if !self.class.gives_way(cpu) => self.core.plan(cpu),
            _ => self.schedule(cpu),
        }
    }

    /// Takes a step; whether it takes time or the CPU.
    fn take(&mut self, cpu: u32, task: u32, step: Step) -> bool {
        match step {
            Step::Compute(work_ns) => {
                let work = work_ns.min(ENDLESS / WORK_SCALE) * WORK_SCALE;
                self.core.tasks[task].work = work;
                work > 0 || self.core.tasks[task].stall_ns > 0
            }
            Step::SleepUntil(time_ns) => {
                if time_ns <= self.core.now_ns {
                    return false;
                }
                self.sleep(cpu, task);
                let generation = self.core.tasks[task].sleeps;
                self.core
                    .queue
                    .push(time_ns, What::Wake { task, generation });
                true
            }
            Step::Receive(channel) => {
                let waits = !self.stage.await_receive(channel, task);
                if waits {
                    self.sleep(cpu, task);
                }
                waits
            }
            Step::Send(channel) => {
                let waits = !self.stage.await_room(channel, task);
                if waits {
                    self.sleep(cpu, task);
                }
                waits
            }
            Step::Yield => {
                self.core.stall(cpu, self.core.costs.syscall_ns.max(1));
                self.class.yielded(&mut self.core, cpu, task);
                true
            }
            Step::Exit => {
                self.exit(cpu, task);
                true
            }
        }
    }

    fn sleep(&mut self, cpu: u32, task: u32) {
        self.core.stop(cpu, false);
        let sleeper = &mut self.core.tasks[task];
        sleeper.sleeps = sleeper.sleeps.wrapping_add(1);
        sleeper.sleeps_taken += 1;
        self.class.slept(&mut self.core, cpu, task);
    }

    fn exit(&mut self, cpu: u32, task: u32) {
        self.core.stop(cpu, false);
        self.class.slept(&mut self.core, cpu, task);
        self.core.happened(Happened::Exits, cpu, task);
        self.class.exited(&mut self.core, task);
        let (worked_ns, part) = (self.core.worked_ns(task), self.core.tasks[task].part);
        self.core.stats.part(part).worked_ns += worked_ns;
        let (cgroup, runtime_ns) = (
            self.core.tasks[task].cgroup,
            self.core.tasks[task].runtime_ns,
        );
        self.core.cgroup(cgroup).gone_ns += runtime_ns;
        self.core.tasks.remove(task);
    }

    /// Carries over what a step did at once: wakeups, new tasks, ends.
    fn carry_over(&mut self, cpu: u32, task: u32) {
        for index in 0..self.stage.woken.len() {
            let woken = self.stage.woken[index];
            self.core.stall(cpu, self.core.costs.wake_ns);
            self.wake(woken.task, Some(task), cpu, woken.sync);
        }
        self.stage.woken.clear();
        if !self.stage.spawned.is_empty() {
            self.spawn_all(Some(task), cpu);
        }
        if let Some(cpus) = self.stage.moved.pop() {
            self.stage.moved.clear();
            self.set_affinity(cpu, task, cpus);
        }
        if !self.stage.ended_parts.is_empty() {
            let ended = std::mem::take(&mut self.stage.ended_parts);
            self.parts_left.retain(|part| !ended.contains(part));
            let now_ns = self.core.now_ns;
            for part in ended {
                self.core.stats.part(part).end_ns.get_or_insert(now_ns);
            }
        }
    }

    fn set_affinity(&mut self, cpu: u32, task: u32, cpus: baton_policy::CpuSet) {
        let possible = cpus.intersection(&self.core.online);
        if possible.is_empty() {
            return;
        }
        self.core.tasks[task].allowed = Some(Box::new(cpus));
        self.core.happened(Happened::Moved, cpu, task);
        self.class.changed(&mut self.core, task);
    }

    fn wake(&mut self, task: u32, waker: Option<u32>, cpu: u32, sync: bool) {
        if self.core.tasks[task].state != State::Sleeping {
            return;
        }
        self.core.stats.wakeups += 1;
        self.core.tasks[task].cpu = self.core.fallback_cpu(task);
        self.core.begin_wait(task, true);
        self.core.happened_by(Happened::Woken, cpu, task, waker);
        let wake = Wake {
            waker,
            cpu,
            sync,
            fresh: false,
        };
        self.class.wake(&mut self.core, task, wake);
    }

    fn spawn_all(&mut self, creator: Option<u32>, cpu: u32) {
        self.weigh_cgroups();
        let mut spawned = std::mem::take(&mut self.stage.spawned);
        for spawn in spawned.drain(..) {
            self.spawn(spawn, creator, cpu);
        }
        // Its memory serves again.
        self.stage.spawned = spawned;
    }

    /// Gives cgroups the weights that were said since the last time.
    fn weigh_cgroups(&mut self) {
        for (path, weight) in self.stage.cgroup_weights.drain(..) {
            let number = self.cgroups.number(&path);
            self.core.know_cgroup(number, &path);
            self.core.cgroup(number).weight = weight;
        }
    }

    fn spawn(&mut self, spawn: Spawn, creator: Option<u32>, cpu: u32) {
        let index = self.core.tasks.insert(self.core.now_ns, cpu);
        let name = TaskName::new(&spawn.name);
        let (tgid, born) = match creator.map(|creator| &self.core.tasks[creator]) {
            Some(creator) => (Some(creator.tgid), creator.cgroup),
            None => (None, Cgroups::ROOT),
        };
        let cgroup = match &spawn.cgroup {
            Some(path) => {
                let number = self.cgroups.number(path);
                self.core.know_cgroup(number, path);
                number
            }
            None => born,
        };
        let class = self.cgroups.class(name.as_bytes(), cgroup);
        let task = &mut self.core.tasks[index];
        task.name = name;
        task.cgroup = cgroup;
        task.class = class;
        task.weight = spawn.weight.clamp(1, 10_000);
        task.allowed = spawn.allowed.map(Box::new);
        task.working_set_kib = spawn.working_set_kib;
        task.part = spawn.part;
        task.actor = Some(spawn.actor);
        if let (true, Some(tgid)) = (spawn.is_thread, tgid) {
            task.tgid = tgid;
        }
        self.core.break_affinity(index);
        self.core.tasks[index].cpu = self.core.fallback_cpu(index);
        self.core.begin_wait(index, false);
        self.core
            .happened_by(Happened::Created, cpu, index, creator);
        let wake = Wake {
            waker: creator,
            cpu,
            sync: false,
            fresh: true,
        };
        self.class.wake(&mut self.core, index, wake);
    }

    fn carry_out(&mut self, plan: Plan) {
        match plan {
            Plan::Fault(fault) => {
                self.core.happened(Happened::Fault, NONE, NONE);
                self.class.fault(&mut self.core, fault);
            }
            Plan::Hotplug { cpu, online } => self.hotplug(cpu, online),
        }
    }
}

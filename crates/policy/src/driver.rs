//! Drives a policy: events in, decisions out. Every backend and `replay` use it.

use alloc::{format, vec::Vec};

use baton_model::{Feature, Given, Guess, Whose};

use crate::{
    Classes, Context, CpuSet, Decision, Enqueue, EnqueueReason, Event, EventKind, Machine, Mode,
    Model, Options, Placement, Policy, Rng, Setup, SetupError, TaskId, TaskInfo, TaskKey, Tasks,
};

/// What a driver counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DriverStats {
    /// Events given to the policy.
    pub events: u64,
    /// Decisions that the policy took.
    pub decisions: u64,
    /// Events of tasks that found no room in the slab; those tasks are rescued.
    pub slab_full: u64,
    /// Events of tasks that nobody had announced, because events were lost.
    pub unknown: u64,
    /// Guesses of the backend that were made again from the features, see [`crate::Mode::Infer`].
    pub guesses: u64,
    /// Those of them that came out otherwise: there should be none.
    pub guesses_differ: u64,
}

/// A policy with its tasks. Feed it events in order; take its decisions.
#[derive(Debug)]
pub struct Driver<P: Policy> {
    policy: P,
    options: Options,
    machine: Machine,
    online: CpuSet,
    classes: Classes,
    model: Option<Model>,
    tasks: Tasks<P::Task>,
    rng: Rng,
    decisions: Vec<Decision>,
    scratch: Decision,
    stats: DriverStats,
}

impl<P: Policy> Driver<P> {
    /// Makes the policy and takes all the memory it will need.
    ///
    /// # Errors
    /// A parameter that the policy does not have, or a value that cannot be read.
    pub fn new(setup: &Setup<'_>) -> Result<Self, SetupError> {
        let policy = P::new(setup);
        setup.check()?;
        let options = policy.options().clamped();
        let infers = options.mode == Mode::Infer;
        if options.mode != setup.mode || infers && options.prediction.is_none() {
            let (name, mode) = (P::NAME, setup.mode.name());
            return Err(SetupError(format!(
                "{name} has no {mode} mode, or none on this machine with these classes: run it \
                 without --mode, or run a policy that has one"
            )));
        }
        if let Some(model) = setup.model.filter(|_| P::USES_MODEL)
            && model
                .inputs()
                .names()
                .any(|feature| feature == Feature::Name)
        {
            return Err(SetupError(
                "the model looks at tasks' names, so that whoever renames a task could get it a better place: \
                 train one that does not"
                    .into(),
            ));
        }
        let options = options.for_classes(setup.classes, P::CLASS_USE);
        Ok(Self {
            policy,
            options,
            machine: setup.machine.clone(),
            online: setup.machine.online(),
            classes: setup.classes.clone(),
            model: setup.model.cloned(),
            tasks: Tasks::with_capacity(options.tasks_max),
            rng: Rng::new(setup.seed),
            decisions: Vec::with_capacity(4096),
            scratch: Decision::new(TaskKey::default(), 0, Placement::Ready { key: 0 }),
            stats: DriverStats::default(),
        })
    }

    /// What the policy asks of the backend.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    /// The machine as it was at the start.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The model that it was made with.
    pub const fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// The tasks that the policy knows.
    pub const fn tasks(&self) -> &Tasks<P::Task> {
        &self.tasks
    }

    /// The counters.
    pub const fn stats(&self) -> &DriverStats {
        &self.stats
    }

    /// Decisions since the last [`Driver::clear_decisions`].
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// Forgets the decisions that were taken over.
    pub fn clear_decisions(&mut self) {
        self.decisions.clear();
    }

    /// Gives one event to the policy.
    pub fn event(&mut self, event: &Event) {
        self.stats.events += 1;
        let before = self.decisions.len();
        match event.kind {
            EventKind::CpuOnline { cpu } => self.hotplug(event.time_ns, cpu, true),
            EventKind::CpuOffline { cpu } => self.hotplug(event.time_ns, cpu, false),
            EventKind::CpuDry { cpu } => {
                self.with(event.time_ns, |policy, cx| policy.cpu_dry(cx, cpu));
            }
            EventKind::Lost { count } => {
                self.with(event.time_ns, |policy, cx| policy.lost(cx, count));
            }
            EventKind::Join(info) => self.join(event, info),
            _ => self.task_event(event),
        }
        self.drop_known_hints(before);
        self.stats.decisions += (self.decisions.len() - before) as u64;
    }

    /// Tells the policy that it has heard everything up to `now_ns`.
    pub fn batch_end(&mut self, now_ns: u64) {
        let before = self.decisions.len();
        self.with(now_ns, |policy, cx| policy.batch_end(cx));
        self.drop_known_hints(before);
        self.stats.decisions += (self.decisions.len() - before) as u64;
    }

    /// Removes hints that tell the backend what it was told before, from the decisions
    /// since `first`.
    fn drop_known_hints(&mut self, first: usize) {
        if !self.options.mode.is_hinted() {
            return;
        }
        let tasks = &mut self.tasks;
        let mut kept = first;
        for index in first..self.decisions.len() {
            let decision = self.decisions[index];
            let known = tasks.find(decision.task).is_some_and(|id| {
                let told = Decision { seq: 0, ..decision };
                let task = &mut tasks[id];
                task.hinted.replace(told) == Some(told)
            });
            if !known {
                self.decisions[kept] = decision;
                kept += 1;
            }
        }
        self.decisions.truncate(kept);
    }

    fn hotplug(&mut self, now_ns: u64, cpu: u32, online: bool) {
        if online {
            self.online.insert(cpu);
        } else {
            self.online.remove(cpu);
        }
        self.with(now_ns, |policy, cx| policy.cpu_online(cx, cpu, online));
    }

    fn join(&mut self, event: &Event, info: TaskInfo) {
        let info = self.classed(info);
        if let Some(id) = self.tasks.find(event.task) {
            // The backend introduces it anew: what it was told before it may have forgotten.
            self.tasks[id].hinted = None;
            return self.update(event.time_ns, id, info);
        }
        // Its exit was lost, and the kernel gave the pid to a new task.
        if let Some(old) = self.tasks.occupant(event.task.pid) {
            self.exit(event.time_ns, old);
        }
        match self.tasks.insert(event.task, info, P::Task::default()) {
            Some(id) => self.with(event.time_ns, |policy, cx| policy.join(cx, id)),
            None => self.stats.slab_full += 1,
        }
    }

    /// What a policy sees of a task: its class's weight stands for its own.
    fn classed(&self, info: TaskInfo) -> TaskInfo {
        let class = info.class.and_then(|id| self.classes.get(id));
        let weight = class.and_then(|class| class.weight);
        TaskInfo {
            weight: weight.unwrap_or(info.weight),
            ..info
        }
    }

    fn update(&mut self, now_ns: u64, id: TaskId, info: TaskInfo) {
        self.tasks[id].info = info;
        self.with(now_ns, |policy, cx| policy.update(cx, id));
    }

    fn exit(&mut self, now_ns: u64, id: TaskId) {
        self.with(now_ns, |policy, cx| policy.exit(cx, id));
        self.tasks.remove(id);
    }

    fn task_event(&mut self, event: &Event) {
        let now_ns = event.time_ns;
        let Some(id) = self.tasks.find(event.task) else {
            self.stats.unknown += 1;
            return;
        };
        match event.kind {
            EventKind::Update(info) => self.update(now_ns, id, self.classed(info)),
            EventKind::Enqueue(enqueue) => {
                let task = &mut self.tasks[id];
                task.seq = enqueue.seq;
                task.cpu = enqueue.cpu;
                task.waiting = !enqueue.decided;
                self.check_guess(event, &enqueue);
                self.with(now_ns, |policy, cx| policy.enqueue(cx, id, &enqueue));
            }
            EventKind::Running { cpu } => {
                let task = &mut self.tasks[id];
                task.cpu = cpu;
                task.waiting = false;
                self.with(now_ns, |policy, cx| policy.running(cx, id, cpu));
            }
            EventKind::Stopping {
                cpu,
                runtime_ns,
                reason,
            } => {
                self.with(now_ns, |policy, cx| {
                    policy.stopping(cx, id, cpu, runtime_ns, reason);
                });
            }
            EventKind::Dequeue => {
                self.tasks[id].waiting = false;
                self.with(now_ns, |policy, cx| policy.dequeue(cx, id));
            }
            EventKind::Rescued => {
                self.tasks[id].waiting = false;
                self.with(now_ns, |policy, cx| policy.rescued(cx, id));
            }
            EventKind::Exit => self.exit(now_ns, id),
            _ => unreachable!("events of the machine are handled by the caller"),
        }
    }

    /// Makes the backend's guess again, where all that it was made of is known.
    fn check_guess(&mut self, event: &Event, enqueue: &Enqueue) {
        let (Some(rule), Some(features)) = (self.options.prediction, enqueue.features) else {
            return;
        };
        let begins = matches!(enqueue.reason, EnqueueReason::Wakeup | EnqueueReason::New);
        let told = enqueue.guess;
        if !begins || told.whose == Whose::Nobody {
            return;
        }
        let given = Given {
            is_off: told.whose == Whose::Off,
            draw: (enqueue.seq, event.task.start_ns),
            truth_ns: enqueue.truth_ns,
        };
        let again: Guess = rule.guess(self.model.as_ref(), &features, &given);
        self.stats.guesses += 1;
        self.stats.guesses_differ += u64::from(again != told);
    }

    fn with(&mut self, now_ns: u64, call: impl FnOnce(&mut P, &mut Context<'_, P::Task>)) {
        let mut context = Context {
            now_ns,
            machine: &self.machine,
            online: &self.online,
            classes: &self.classes,
            tasks: &mut self.tasks,
            rng: &mut self.rng,
            decisions: &mut self.decisions,
            scratch: &mut self.scratch,
            mode: self.options.mode,
        };
        call(&mut self.policy, &mut context);
    }
}

//! The trait that a scheduling policy implements, and what it works with.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{cell::RefCell, fmt, str::FromStr};

use crate::{
    Class, ClassUse, Classes, CpuSet, Decision, Enqueue, Machine, Mode, Model, Options, Placement,
    Rng, StopReason, Task, TaskId, Tasks,
};

/// Decides which task runs where, when and for how long.
///
/// A policy is driven by events, one call each, in order, on one thread. It has no
/// clock, no I/O and no randomness of its own: the time, the machine and a seeded
/// generator come in through [`Context`]. Given the same events it must take the
/// same decisions; `baton replay` checks that. After [`Policy::new`] it should not
/// need new memory for each event.
///
/// Only [`Policy::enqueue`] has to be written. A task about which nothing is
/// decided is scheduled by the backend after [`Options::rescue_after_ns`].
///
/// # Example
///
/// A policy that runs tasks in the order of their names, 5 ms at a time:
///
/// ```
/// use baton_policy::{Context, Driver, Enqueue, Event, EventKind, Machine, MS, Placement};
/// use baton_policy::{Policy, Setup, TaskId, TaskInfo, TaskKey, TaskName};
///
/// struct Alphabet;
///
/// impl Policy for Alphabet {
///     const NAME: &'static str = "alphabet";
///     const SUMMARY: &'static str = "the earliest name first";
///     type Task = ();
///
///     fn new(_: &Setup<'_>) -> Self {
///         Alphabet
///     }
///
///     fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
///         let name = cx.task(task).info.name;
///         let key = u64::from(name.as_bytes().first().copied().unwrap_or(0));
///         cx.ready(task, key).slice_ns(5 * MS);
///     }
/// }
///
/// // A driver feeds events to a policy; here by hand, otherwise a backend does it.
/// let machine = Machine::uniform("example", 2);
/// let mut driver = Driver::<Alphabet>::new(&Setup::new(&machine, 1)).unwrap();
/// let task = TaskKey { pid: 7, start_ns: 1 };
/// let info = TaskInfo { name: TaskName::new("bash"), ..TaskInfo::default() };
/// driver.event(&Event { time_ns: 10, task, kind: EventKind::Join(info) });
/// let enqueue = Enqueue { seq: 1, ..Enqueue::default() };
/// driver.event(&Event { time_ns: 20, task, kind: EventKind::Enqueue(enqueue) });
/// assert_eq!(driver.decisions()[0].placement, Placement::Ready { key: u64::from(b'b') });
/// ```
pub trait Policy: Sized {
    /// What people call it on the command line.
    const NAME: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// Which settings of task classes the policy heeds. A user is told of the others,
    /// and the backend's fast paths stay off where they would pass over a setting that
    /// is heeded; see [`Options::for_classes`].
    const CLASS_USE: ClassUse = ClassUse::NONE;
    /// Whether it works with a model ([`Setup::model`]).
    const USES_MODEL: bool = false;
    /// What the policy keeps of each task; stored by the backend.
    type Task: Default;

    /// Makes the policy for a machine. Parameters are read with [`Setup::param`].
    fn new(setup: &Setup<'_>) -> Self;

    /// What the policy asks of the backend; called once, after [`Policy::new`].
    fn options(&self) -> Options {
        Options::default()
    }

    /// A task became known; its state is fresh.
    fn join(&mut self, _cx: &mut Context<'_, Self::Task>, _task: TaskId) {}

    /// Weight, affinity, name, cgroup or class of a task changed.
    fn update(&mut self, _cx: &mut Context<'_, Self::Task>, _task: TaskId) {}

    /// A task waits for a CPU. The policy places it with [`Context::ready`],
    /// [`Context::on_cpu`] or [`Context::hold`], now or later; where `enqueue.decided`,
    /// the backend did already, and these do nothing. In [`Mode::Hint`] and [`Mode::Infer`] every enqueue is
    /// decided, the policy hears of a part of them, and `ready` is a hint.
    fn enqueue(&mut self, cx: &mut Context<'_, Self::Task>, task: TaskId, enqueue: &Enqueue);

    /// A task got a CPU.
    fn running(&mut self, _cx: &mut Context<'_, Self::Task>, _task: TaskId, _cpu: u32) {}

    /// A task left its CPU after `runtime_ns` on it.
    fn stopping(
        &mut self,
        _cx: &mut Context<'_, Self::Task>,
        _task: TaskId,
        _cpu: u32,
        _runtime_ns: u64,
        _reason: StopReason,
    ) {
    }

    /// A waiting task no longer waits; it was not placed.
    fn dequeue(&mut self, _cx: &mut Context<'_, Self::Task>, _task: TaskId) {}

    /// The backend placed a task itself because the decision came too late.
    fn rescued(&mut self, _cx: &mut Context<'_, Self::Task>, _task: TaskId) {}

    /// A task ended or left the class. Its state is dropped after this call.
    fn exit(&mut self, _cx: &mut Context<'_, Self::Task>, _task: TaskId) {}

    /// A CPU found nothing to run although tasks are held: it idles or, for a policy that
    /// asks for that, goes on with the task whose slice is over.
    fn cpu_dry(&mut self, _cx: &mut Context<'_, Self::Task>, _cpu: u32) {}

    /// A CPU came online or went offline.
    fn cpu_online(&mut self, _cx: &mut Context<'_, Self::Task>, _cpu: u32, _online: bool) {}

    /// Events were lost: counts that the policy keeps over events may be off.
    fn lost(&mut self, _cx: &mut Context<'_, Self::Task>, _count: u64) {}

    /// What the policy counted, name and number each, for reports; asked once at the end.
    fn counts(&self, _tell: &mut dyn FnMut(&'static str, u64)) {}

    /// All events that had happened by now are delivered. A policy that collects
    /// before it decides does so here.
    fn batch_end(&mut self, _cx: &mut Context<'_, Self::Task>) {}
}

static NO_CLASSES: Classes = Classes::NONE;

/// What a policy is made from.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The machine to schedule.
    pub machine: &'a Machine,
    /// Seed of the policy's randomness.
    pub seed: u64,
    /// How the policy is to act; one that can takes it into [`Options::mode`].
    pub mode: Mode,
    /// The task classes of the run.
    pub classes: &'a Classes,
    /// The model of bursts, for a policy that uses one.
    pub model: Option<&'a Model>,
    params: &'a [(String, String)],
    seen: RefCell<Vec<&'static str>>,
    errors: RefCell<Vec<String>>,
}

impl<'a> Setup<'a> {
    /// A setup without parameters.
    #[must_use]
    pub fn new(machine: &'a Machine, seed: u64) -> Self {
        Self::with_params(machine, seed, &[])
    }

    /// A setup with parameters as the user gave them, `name` and `value`.
    #[must_use]
    pub fn with_params(machine: &'a Machine, seed: u64, params: &'a [(String, String)]) -> Self {
        Self {
            machine,
            seed,
            mode: Mode::Decide,
            classes: &NO_CLASSES,
            model: None,
            params,
            seen: RefCell::default(),
            errors: RefCell::default(),
        }
    }

    /// The setup for another mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The setup with these task classes.
    #[must_use]
    pub const fn with_classes(mut self, classes: &'a Classes) -> Self {
        self.classes = classes;
        self
    }

    /// The setup with this model.
    #[must_use]
    pub const fn with_model(mut self, model: Option<&'a Model>) -> Self {
        self.model = model;
        self
    }

    /// The parameter `name`, or `default` if the user gave none. A value that
    /// cannot be read is reported by [`crate::Driver::new`].
    pub fn param<T: FromStr + Copy>(&self, name: &'static str, default: T) -> T {
        let mut seen = self.seen.borrow_mut();
        if !seen.contains(&name) {
            seen.push(name);
        }
        drop(seen);
        let Some((_, value)) = self.params.iter().rev().find(|(given, _)| given == name) else {
            return default;
        };
        value.parse().unwrap_or_else(|_| {
            let expected = core::any::type_name::<T>();
            let message = format!("parameter {name}={value}: not a value of type {expected}");
            self.errors.borrow_mut().push(message);
            default
        })
    }

    /// Complaints about the parameters, once the policy was made.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        if let Some(error) = self.errors.borrow().first() {
            return Err(SetupError(error.clone()));
        }
        let seen = self.seen.borrow();
        let unknown = self
            .params
            .iter()
            .find(|(name, _)| !seen.contains(&name.as_str()));
        let Some((name, _)) = unknown else {
            return Ok(());
        };
        let known = if seen.is_empty() {
            "the policy has none".to_string()
        } else {
            seen.join(", ")
        };
        Err(SetupError(format!(
            "unknown parameter {name}; known: {known}"
        )))
    }
}

/// A parameter that the policy does not have, or a value it cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError(pub String);

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for SetupError {}

/// The world at the moment of one event: what a policy may look at, and where its
/// decisions go.
#[derive(Debug)]
pub struct Context<'a, S> {
    pub(crate) now_ns: u64,
    pub(crate) machine: &'a Machine,
    pub(crate) online: &'a CpuSet,
    pub(crate) classes: &'a Classes,
    pub(crate) tasks: &'a mut Tasks<S>,
    pub(crate) rng: &'a mut Rng,
    pub(crate) decisions: &'a mut Vec<Decision>,
    pub(crate) scratch: &'a mut Decision,
    pub(crate) mode: Mode,
}

impl<S> Context<'_, S> {
    /// Time of the event, nanoseconds of the backend's clock; at a batch's end that of the
    /// latest event.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The machine.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        self.machine
    }

    /// CPUs that are online.
    #[must_use]
    pub const fn online(&self) -> &CpuSet {
        self.online
    }

    /// The task classes of the run.
    #[must_use]
    pub const fn classes(&self) -> &Classes {
        self.classes
    }

    /// The class of a task that has not ended, if it has one.
    ///
    /// # Panics
    /// If the task has ended.
    #[must_use]
    pub fn class(&self, id: TaskId) -> Option<&Class> {
        self.classes.get(self.tasks[id].info.class?)
    }

    /// The policy's source of randomness.
    pub const fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// A task that has not ended.
    ///
    /// # Panics
    /// If it has; ids kept across events are looked up with [`Context::tasks`].
    #[must_use]
    pub fn task(&self, id: TaskId) -> &Task<S> {
        &self.tasks[id]
    }

    /// The policy's own state of a task that has not ended.
    ///
    /// # Panics
    /// If it has; ids kept across events are looked up with [`Context::tasks_mut`].
    pub fn state(&mut self, id: TaskId) -> &mut S {
        &mut self.tasks[id].state
    }

    /// All known tasks.
    #[must_use]
    pub const fn tasks(&self) -> &Tasks<S> {
        self.tasks
    }

    /// All known tasks.
    pub const fn tasks_mut(&mut self) -> &mut Tasks<S> {
        self.tasks
    }

    /// Puts a task into the ready queue at `key`. The slice and the rest can be set
    /// on what is returned. A task that has ended or does not wait for a decision is
    /// passed over.
    pub fn ready(&mut self, task: TaskId, key: u64) -> &mut Decision {
        self.place(task, Placement::Ready { key })
    }

    /// Puts a task on a CPU's own queue.
    pub fn on_cpu(&mut self, task: TaskId, cpu: u32) -> &mut Decision {
        self.place(task, Placement::Cpu { cpu })
    }

    /// Keeps a task in hand for at most `lease_ns`.
    pub fn hold(&mut self, task: TaskId, lease_ns: u64) -> &mut Decision {
        self.place(task, Placement::Hold { lease_ns })
    }

    /// Says how the backend is to schedule a task from now on, in [`Mode::Hint`]; the
    /// CPU is taken when it idles and the task may run there. Slice, preemption and key
    /// offset can be set on what is returned. In [`Mode::Decide`] it does nothing.
    pub fn hint(&mut self, task: TaskId, cpu: Option<u32>) -> &mut Decision {
        self.place(task, Placement::Hint { cpu })
    }

    /// A decision as it stands, about any task: for policies that keep keys and
    /// sequences themselves. The backend checks it.
    pub fn decide(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    fn place(&mut self, id: TaskId, placement: Placement) -> &mut Decision {
        let placement = match placement {
            Placement::Ready { .. } if self.mode.is_hinted() => Placement::Hint { cpu: None },
            placement => placement,
        };
        let is_hint = matches!(placement, Placement::Hint { .. });
        let wanted = |task: &&mut Task<S>| match self.mode {
            Mode::Decide => task.waiting && !is_hint,
            Mode::Hint | Mode::Infer => is_hint,
        };
        let Some(task) = self.tasks.get_mut(id).filter(wanted) else {
            *self.scratch = Decision::new(crate::TaskKey::default(), 0, placement);
            return self.scratch;
        };
        task.waiting = matches!(placement, Placement::Hold { .. });
        self.decisions
            .push(Decision::new(task.key, task.seq, placement));
        let last = self.decisions.len() - 1;
        &mut self.decisions[last]
    }
}

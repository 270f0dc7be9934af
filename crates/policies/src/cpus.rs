//! What a policy believes of the CPUs, from the tasks that it hears of getting and
//! leaving them. For policies that choose CPUs themselves.

use alloc::vec::Vec;

use baton_policy::{Class, Context, CpuSet, MS, StopReason, TaskId};

/// How long a CPU counts as taken by a task that was sent there and has not been heard
/// of; a decision can come too late.
const CLAIM_NS: u64 = 20 * MS;
/// By then a CPU's next task has been heard of.
const REST_NS: u64 = MS;

/// One CPU.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    task: Option<TaskId>,
    since_ns: u64,
    /// Whether the task is one that its class binds to some CPUs.
    bound: bool,
    /// Whether a higher class has the CPU for the moment: what is sent there would have
    /// to wait, and the interrupted task cannot go elsewhere.
    interrupted: bool,
    /// Whether anything was heard of it.
    known: bool,
    claim: Option<(TaskId, u64)>,
}

/// All CPUs.
#[derive(Debug)]
pub(crate) struct Cpus(Vec<Slot>);

impl Cpus {
    pub(crate) fn new(count: usize) -> Self {
        Self(alloc::vec![Slot::default(); count])
    }

    /// A task got the CPU, or goes on there.
    pub(crate) fn running(&mut self, cpu: u32, task: TaskId, bound: bool, now_ns: u64) {
        let Some(slot) = self.0.get_mut(cpu as usize) else {
            return;
        };
        if slot.task.replace(task) != Some(task) {
            slot.since_ns = now_ns;
        }
        slot.bound = bound;
        slot.interrupted = false;
        slot.known = true;
        if slot.claim.is_some_and(|(claimant, _)| claimant == task) {
            slot.claim = None;
        }
    }

    /// What ran on the CPU stopped. One that was preempted has the CPU still, until its
    /// enqueue says otherwise: a task of a higher class, such as the policy's own thread,
    /// interrupts it, and it goes on.
    pub(crate) fn stopping(&mut self, cpu: u32, reason: StopReason, now_ns: u64) {
        if reason != StopReason::Preempted {
            self.vacate(cpu, now_ns);
        } else if let Some(slot) = self.0.get_mut(cpu as usize) {
            slot.interrupted = true;
        }
    }

    /// The task waits again: it does not have the CPU any more.
    pub(crate) fn left(&mut self, cpu: u32, task: TaskId, now_ns: u64) {
        if self.has(cpu, task) {
            self.vacate(cpu, now_ns);
        }
    }

    /// The CPU has none of our tasks.
    pub(crate) fn vacate(&mut self, cpu: u32, now_ns: u64) {
        if let Some(slot) = self.0.get_mut(cpu as usize) {
            slot.task = None;
            slot.since_ns = now_ns;
            slot.interrupted = false;
            slot.known = true;
        }
    }

    /// The task is nowhere any more.
    pub(crate) fn leave(&mut self, task: TaskId) {
        for slot in &mut self.0 {
            slot.task = slot.task.filter(|other| *other != task);
            slot.claim = slot.claim.filter(|(claimant, _)| *claimant != task);
        }
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.0.fill(Slot::default());
    }

    /// What runs there, and since when.
    pub(crate) fn runs(&self, cpu: u32) -> Option<(TaskId, u64)> {
        let slot = self.0.get(cpu as usize)?;
        Some((slot.task?, slot.since_ns))
    }

    /// Whether the task runs there.
    pub(crate) fn has(&self, cpu: u32, task: TaskId) -> bool {
        self.runs(cpu).is_some_and(|(other, _)| other == task)
    }

    /// The CPU that runs the thread of this pid.
    pub(crate) fn runs_pid<S>(&self, cx: &Context<'_, S>, pid: u32) -> Option<u32> {
        let runs_here = |cpu: &u32| {
            let task = self.runs(*cpu).and_then(|(id, _)| cx.tasks().get(id));
            task.is_some_and(|task| task.key.pid == pid)
        };
        cx.online().iter().find(runs_here)
    }

    /// Whether what runs there is held up by a higher class.
    pub(crate) fn is_interrupted(&self, cpu: u32) -> bool {
        self.0
            .get(cpu as usize)
            .is_some_and(|slot| slot.interrupted)
    }

    /// Whether what runs there is bound: another such task would have to wait for more
    /// than its turn, and nobody else would get one.
    pub(crate) fn runs_bound(&self, cpu: u32) -> bool {
        let slot = self.0.get(cpu as usize);
        slot.is_some_and(|slot| slot.task.is_some() && slot.bound)
    }

    /// A task was sent there.
    pub(crate) fn claim(&mut self, cpu: u32, task: TaskId, now_ns: u64) {
        if let Some(slot) = self.0.get_mut(cpu as usize) {
            slot.claim = Some((task, now_ns.wrapping_add(CLAIM_NS)));
        }
    }

    /// Whether a task was sent there that has not been heard of yet.
    pub(crate) fn is_claimed(&self, cpu: u32, now_ns: u64) -> bool {
        let claim = self.0.get(cpu as usize).and_then(|slot| slot.claim);
        claim.is_some_and(|(_, until_ns)| baton_policy::key_before(now_ns, until_ns))
    }

    /// Whether the CPU is not known to be in use: a task that may run there must not be
    /// kept in hand, for nobody tells of a CPU that idles already.
    pub(crate) fn is_open(&self, cpu: u32, now_ns: u64) -> bool {
        self.runs(cpu).is_none() && !self.is_claimed(cpu, now_ns)
    }

    /// Whether the CPU has been open for long enough to be believed: one that left its
    /// task a moment ago has taken another, if one stood in ready.
    pub(crate) fn rests(&self, cpu: u32, now_ns: u64) -> bool {
        let slot = self.0.get(cpu as usize);
        let since_ns = slot.map_or(0, |slot| slot.since_ns);
        self.is_free(cpu, now_ns) && now_ns.saturating_sub(since_ns) >= REST_NS
    }

    /// Whether the CPU is known to be free.
    pub(crate) fn is_free(&self, cpu: u32, now_ns: u64) -> bool {
        let known = self.0.get(cpu as usize).is_some_and(|slot| slot.known);
        known && self.is_open(cpu, now_ns)
    }
}

/// Where one task may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// CPUs that are online and that affinity and class allow.
    pub(crate) cpus: CpuSet,
    /// Those of them that the class prefers; all, if it does not say.
    pub(crate) preferred: CpuSet,
    /// Whether the class leaves CPUs out: the ready queue knows nothing of that.
    pub(crate) bound: bool,
    /// Whether the class prefers some CPUs to others.
    pub(crate) choosy: bool,
}

impl Reach {
    pub(crate) fn of<S>(cx: &Context<'_, S>, id: TaskId) -> Self {
        let affinity = cx.task(id).info.allowed.intersection(cx.online());
        let class = cx.class(id);
        let cpus = class.map_or(affinity, |class| class.cpus(&affinity));
        let preferred = class.and_then(|class: &Class| class.preferred);
        let preferred = preferred.map_or(cpus, |preferred| preferred.intersection(&cpus));
        Self {
            cpus,
            preferred,
            bound: cpus != affinity,
            choosy: !preferred.is_empty() && preferred != cpus,
        }
    }

    /// The first of the CPUs that suit: preferred ones before others, and of either in
    /// the order in which the backend looks for an idle one, for a task that was on `own`.
    pub(crate) fn first<S>(
        &self,
        cx: &Context<'_, S>,
        own: u32,
        suits: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let llc = |cpu: u32| cx.machine().cpus.get(cpu as usize).map(|cpu| cpu.llc);
        let far = |cpu: u32| (cpu != own, llc(cpu) != llc(own), cpu);
        let suitable = self.cpus.iter().filter(|cpu| suits(*cpu));
        suitable.min_by_key(|cpu| (!self.preferred.contains(*cpu), far(*cpu)))
    }
}

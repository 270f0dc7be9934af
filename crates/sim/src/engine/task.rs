//! Tasks, in a slab: memory grows with the most tasks that live at a time, and no event takes any.

use baton_policy::{ClassId, CpuSet, TaskInfo, TaskKey, TaskName, WEIGHT_DEFAULT};

use crate::actor::{Actor, Step};

/// No CPU, or no task.
pub(crate) const NONE: u32 = u32::MAX;
/// Work is counted in nanoseconds of a CPU of full capacity, times this.
pub(crate) const WORK_SCALE: u64 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The slot is free.
    Dead,
    Sleeping,
    /// Runnable without a CPU.
    Queued,
    Running,
}

/// One task.
pub(crate) struct Task {
    pub(crate) key: TaskKey,
    /// Counts the tasks that had this slot.
    pub(crate) generation: u32,
    pub(crate) state: State,
    pub(crate) name: TaskName,
    pub(crate) tgid: u32,
    pub(crate) weight: u32,
    /// Where it may run; none: everywhere.
    pub(crate) allowed: Option<Box<CpuSet>>,
    /// Its number, see [`super::cgroups`].
    pub(crate) cgroup: u64,
    pub(crate) class: Option<ClassId>,
    /// Where it is, was, or was sent by its wakeup.
    pub(crate) cpu: u32,
    /// Where it last ran; its caches are there.
    pub(crate) warm_cpu: u32,
    pub(crate) working_set_kib: u32,
    /// What is left of its slice.
    pub(crate) slice_ns: u64,
    pub(crate) runtime_ns: u64,
    /// Time on a CPU before its work goes on: switch, cold cache, wakeups of others.
    pub(crate) stall_ns: u64,
    /// What is left to compute, times [`WORK_SCALE`].
    pub(crate) work: u64,
    /// What it computed in its life, times [`WORK_SCALE`].
    pub(crate) worked: u64,
    /// Since when it is in its state.
    pub(crate) since_ns: u64,
    /// When it was last woken or enqueued first; counts as waiting from then.
    pub(crate) wait_since_ns: u64,
    /// Whether it waits because it was woken.
    pub(crate) woken: bool,
    /// Counts its sleeps, so that an old timer wakes nobody.
    pub(crate) sleeps: u32,
    /// How often it slept.
    pub(crate) sleeps_taken: u64,
    /// The part of the workload that it belongs to.
    pub(crate) part: u32,
    pub(crate) actor: Option<Box<dyn Actor>>,
    /// A step that waits until what the task did beside its work is paid for.
    pub(crate) pending: Option<Step>,
}

impl Task {
    pub(crate) fn may_run_on(&self, cpu: u32) -> bool {
        self.allowed.as_ref().is_none_or(|set| set.contains(cpu))
    }

    pub(crate) fn info(&self) -> TaskInfo {
        TaskInfo {
            tgid: self.tgid,
            name: self.name,
            weight: self.weight,
            allowed: match &self.allowed {
                Some(set) => **set,
                None => TaskInfo::default().allowed,
            },
            cgroup: self.cgroup,
            kernel_thread: false,
            class: self.class,
        }
    }
}

/// All tasks.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: Vec<Task>,
    free: Vec<u32>,
    created: u32,
}

/// The first pid; those below belong to what every system runs.
const FIRST_PID: u32 = 1000;
/// Slots that pids can tell apart; four generations of each fit below the kernel's limit of 2^22.
const SLOTS_MAX: u32 = 1 << 20;

/// The pid of a slot's task. Pids come again, as in the kernel, but not at once.
const fn pid_of(slot: u32, generation: u32) -> u32 {
    FIRST_PID + slot % SLOTS_MAX + (generation % 4) * SLOTS_MAX
}

impl Tasks {
    /// A new task, asleep on a CPU.
    pub(crate) fn insert(&mut self, now_ns: u64, cpu: u32) -> u32 {
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        self.created += 1;
        let old = self.slots.get(index as usize);
        let (generation, sleeps) = old.map_or((0, 0), |old| (old.generation, old.sleeps));
        // No two tasks of one pid start at the same time.
        let start_ns = old.map_or(now_ns, |old| now_ns.max(old.key.start_ns + 1));
        let pid = pid_of(index, generation);
        let task = Task {
            key: TaskKey { pid, start_ns },
            generation,
            state: State::Sleeping,
            name: TaskName::default(),
            tgid: pid,
            weight: WEIGHT_DEFAULT,
            allowed: None,
            cgroup: 0,
            class: None,
            cpu,
            warm_cpu: NONE,
            working_set_kib: 0,
            slice_ns: 0,
            runtime_ns: 0,
            stall_ns: 0,
            work: 0,
            worked: 0,
            since_ns: now_ns,
            wait_since_ns: 0,
            woken: false,
            sleeps,
            sleeps_taken: 0,
            part: 0,
            actor: None,
            pending: None,
        };
        match self.slots.get_mut(index as usize) {
            Some(slot) => *slot = task,
            None => self.slots.push(task),
        }
        index
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let task = &mut self[index];
        task.state = State::Dead;
        task.generation = task.generation.wrapping_add(1);
        task.sleeps = task.sleeps.wrapping_add(1);
        task.actor = None;
        task.allowed = None;
        self.free.push(index);
    }

    /// The slot of a task that lives.
    pub(crate) fn find(&self, key: TaskKey) -> Option<u32> {
        let slot = key.pid.checked_sub(FIRST_PID)? % SLOTS_MAX;
        let task = self.slots.get(slot as usize)?;
        (task.state != State::Dead && task.key == key).then_some(slot)
    }

    /// Slots, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn created(&self) -> u32 {
        self.created
    }

    /// Tasks that live, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Task)> {
        let all = self.slots.iter().enumerate();
        all.filter(|(_, task)| task.state != State::Dead)
            .map(|(index, task)| (index as u32, task))
    }
}

impl std::ops::Index<u32> for Tasks {
    type Output = Task;

    fn index(&self, index: u32) -> &Task {
        &self.slots[index as usize]
    }
}

impl std::ops::IndexMut<u32> for Tasks {
    fn index_mut(&mut self, index: u32) -> &mut Task {
        &mut self.slots[index as usize]
    }
}

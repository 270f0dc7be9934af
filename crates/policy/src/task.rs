//! Tasks as a policy sees them, in a bounded slab that the backend's driver owns.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use hashbrown::HashMap;

use crate::{Decision, TaskInfo, TaskKey};

/// Names a known task; cheap to copy and to keep in a policy's own queues. After
/// the task's exit the same slot gets another generation, so that an old id never
/// names a new task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    index: u32,
    generation: u32,
}

impl TaskId {
    /// The task's slot, below [`crate::Options::tasks_max`]: an index for arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// One known task: what the backend says of it, and the policy's own state.
#[derive(Clone, Debug)]
pub struct Task<S> {
    /// The task's name to the backend.
    pub key: TaskKey,
    /// Name, weight, affinity, cgroup.
    pub info: TaskInfo,
    /// Its last enqueue.
    pub seq: u64,
    /// Whether the last enqueue waits for a decision of the policy.
    pub waiting: bool,
    /// CPU that it last ran on or that the last wakeup chose for it.
    pub cpu: u32,
    /// What the backend was last told by a hint.
    pub(crate) hinted: Option<Decision>,
    /// The policy's own.
    pub state: S,
}

#[derive(Debug)]
struct Slot<S> {
    generation: u32,
    task: Option<Task<S>>,
}

/// The tasks that a policy knows, at most [`crate::Options::tasks_max`].
/// All memory is taken at the start.
#[derive(Debug)]
pub struct Tasks<S> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    by_pid: HashMap<u32, u32>,
}

impl<S> Tasks<S> {
    pub(crate) fn with_capacity(tasks_max: u32) -> Self {
        Self {
            slots: (0..tasks_max)
                .map(|_| Slot {
                    generation: 0,
                    task: None,
                })
                .collect(),
            free: (0..tasks_max).rev().collect(),
            // Twice the entries, so that removals never make the map grow.
            by_pid: HashMap::with_capacity(tasks_max as usize * 2),
        }
    }

    /// Number of known tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no task is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The task, unless it has ended.
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&Task<S>> {
        let slot = self.slots.get(id.index())?;
        slot.task
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    /// The task, unless it has ended.
    pub fn get_mut(&mut self, id: TaskId) -> Option<&mut Task<S>> {
        let slot = self.slots.get_mut(id.index())?;
        slot.task
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// The known task of this key.
    #[must_use]
    pub fn find(&self, key: TaskKey) -> Option<TaskId> {
        let index = *self.by_pid.get(&key.pid)?;
        let slot = &self.slots[index as usize];
        let same = slot.task.as_ref().is_some_and(|task| task.key == key);
        same.then_some(TaskId {
            index,
            generation: slot.generation,
        })
    }

    /// Every known task, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, &Task<S>)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let id = TaskId {
                index: index as u32,
                generation: slot.generation,
            };
            slot.task.as_ref().map(|task| (id, task))
        })
    }

    /// The task that occupies `key`'s pid, whatever its start time.
    pub(crate) fn occupant(&self, pid: u32) -> Option<TaskId> {
        let index = *self.by_pid.get(&pid)?;
        Some(TaskId {
            index,
            generation: self.slots[index as usize].generation,
        })
    }

    /// Adds a task whose pid is not occupied; `None` when the slab is full.
    pub(crate) fn insert(&mut self, key: TaskKey, info: TaskInfo, state: S) -> Option<TaskId> {
        let index = self.free.pop()?;
        let slot = &mut self.slots[index as usize];
        slot.task = Some(Task {
            key,
            info,
            seq: 0,
            waiting: false,
            cpu: 0,
            hinted: None,
            state,
        });
        self.by_pid.insert(key.pid, index);
        Some(TaskId {
            index,
            generation: slot.generation,
        })
    }

    pub(crate) fn remove(&mut self, id: TaskId) {
        let slot = &mut self.slots[id.index()];
        if let Some(task) = slot.task.take() {
            slot.generation = slot.generation.wrapping_add(1);
            self.by_pid.remove(&task.key.pid);
            self.free.push(id.index);
        }
    }
}

/// # Panics
/// If the task has ended; a policy that keeps ids uses [`Tasks::get`].
impl<S> Index<TaskId> for Tasks<S> {
    type Output = Task<S>;

    fn index(&self, id: TaskId) -> &Task<S> {
        self.get(id)
            .expect("the task has ended; use Tasks::get for ids kept across events")
    }
}

/// # Panics
/// If the task has ended; a policy that keeps ids uses [`Tasks::get_mut`].
impl<S> IndexMut<TaskId> for Tasks<S> {
    fn index_mut(&mut self, id: TaskId) -> &mut Task<S> {
        self.get_mut(id)
            .expect("the task has ended; use Tasks::get_mut for ids kept across events")
    }
}

//! Tasks that wait for a policy: those in its hand, in the order of their keys, and those of
//! the present batch.

use alloc::vec::Vec;

use baton_policy::{TaskId, key_before};

/// Most tasks in one hand; who finds no room is not kept.
const HELD_MAX: usize = 1024;
/// How many of them are looked at where each look is dear.
const LOOK_MAX: usize = 32;

/// Most tasks that are decided together.
const FRESH_MAX: usize = 512;

/// Tasks that began to wait in this batch: where they go is decided at its end, when it is
/// known who got the CPUs that were left.
#[derive(Debug, Default)]
pub(crate) struct Fresh(Vec<TaskId>);

impl Fresh {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(FRESH_MAX))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a task; whether there was room.
    pub(crate) fn push(&mut self, task: TaskId) -> bool {
        let has_room = self.0.len() < FRESH_MAX;
        if has_room {
            self.0.push(task);
        }
        has_room
    }

    /// The tasks, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskId> {
        self.0.iter().copied()
    }

    /// Takes the batch, to go through it while the policy changes.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    /// Gives the room of a batch that is done back.
    pub(crate) fn reuse(&mut self, mut done: Self) {
        done.0.clear();
        *self = done;
    }
}

/// A bounded queue.
#[derive(Debug)]
pub(crate) struct Held(Vec<(u64, TaskId)>);

impl Held {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(HELD_MAX))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a task behind all with the same key; whether there was room.
    pub(crate) fn push(&mut self, key: u64, task: TaskId) -> bool {
        if self.0.len() == HELD_MAX {
            return false;
        }
        let place = self
            .0
            .partition_point(|(other, _)| !key_before(key, *other));
        self.0.insert(place, (key, task));
        true
    }

    /// Takes a task out, wherever it stands; its key.
    pub(crate) fn remove(&mut self, task: TaskId) -> Option<u64> {
        let place = self.0.iter().position(|(_, other)| *other == task)?;
        Some(self.0.remove(place).0)
    }

    /// The first task that suits.
    pub(crate) fn find(&self, suits: impl Fn(TaskId) -> bool) -> Option<TaskId> {
        let mut tasks = self.0.iter().map(|(_, task)| *task);
        tasks.find(|task| suits(*task))
    }

    /// The first task that suits among the first few.
    pub(crate) fn find_near(&self, suits: impl Fn(TaskId) -> bool) -> Option<TaskId> {
        let mut tasks = self.0.iter().take(LOOK_MAX).map(|(_, task)| *task);
        tasks.find(|task| suits(*task))
    }
}

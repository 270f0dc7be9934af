//! Waiting tasks in order: several queues, each by a value, in one tree.
//!
//! A treap (Aragon and Seidel, "Randomized search trees", 1989): ordered by queue,
//! value and slot from left to right, and by a priority from top to bottom. The
//! priority is a hash of the slot, so the shape depends on which tasks wait, not on
//! their history. Every slot of the slab has its node, so a task stands in one place
//! at most and nothing is ever allocated. All operations take O(log n) steps.

use alloc::vec::Vec;

use baton_policy::{Rng, TaskId};

const NONE: u32 = u32::MAX;

/// A waiting task and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The queue.
    pub(super) queue: u32,
    /// Its place there: the smallest is first. Equal ones stand by slot.
    pub(super) value: i64,
    /// The task.
    pub(super) task: TaskId,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    entry: Option<Entry>,
    left: u32,
    right: u32,
}

/// The tree and its nodes, one for each slot.
#[derive(Debug)]
pub(super) struct Order {
    nodes: Vec<Node>,
    root: u32,
}

type Key = (u32, i64, u32);

impl Order {
    /// An empty order for slots below `slots`.
    pub(super) fn new(slots: u32) -> Self {
        let node = Node {
            entry: None,
            left: NONE,
            right: NONE,
        };
        Self {
            nodes: alloc::vec![node; slots as usize],
            root: NONE,
        }
    }

    /// Puts a task in; if it stands somewhere already, it is moved.
    pub(super) fn insert(&mut self, entry: Entry) {
        let slot = entry.task.index() as u32;
        self.remove(slot);
        self.nodes[slot as usize] = Node {
            entry: Some(entry),
            left: NONE,
            right: NONE,
        };
        let (before, after) = self.split(self.root, self.key(slot));
        let before = self.merge(before, slot);
        self.root = self.merge(before, after);
    }

    /// Takes the task of a slot out, if it is in.
    pub(super) fn remove(&mut self, slot: u32) {
        if self.nodes[slot as usize].entry.is_none() {
            return;
        }
        let key = self.key(slot);
        let (mut parent, mut at) = (NONE, self.root);
        while at != slot {
            let node = &self.nodes[at as usize];
            parent = at;
            at = if key < self.key(at) {
                node.left
            } else {
                node.right
            };
        }
        let Node { left, right, .. } = self.nodes[slot as usize];
        let below = self.merge(left, right);
        match parent {
            NONE => self.root = below,
            parent => {
                let node = &mut self.nodes[parent as usize];
                if node.left == slot {
                    node.left = below;
                } else {
                    node.right = below;
                }
            }
        }
        self.nodes[slot as usize].entry = None;
    }

    /// The first task of a queue.
    pub(super) fn first(&self, queue: u32) -> Option<Entry> {
        self.first_from(queue).filter(|entry| entry.queue == queue)
    }

    /// The first task of the first queue at or after `queue` that has any.
    pub(super) fn first_from(&self, queue: u32) -> Option<Entry> {
        let (mut at, mut found) = (self.root, None);
        while at != NONE {
            let node = &self.nodes[at as usize];
            if node.entry.is_some_and(|entry| entry.queue >= queue) {
                found = node.entry;
                at = node.left;
            } else {
                at = node.right;
            }
        }
        found
    }

    fn key(&self, slot: u32) -> Key {
        self.nodes[slot as usize]
            .entry
            .map_or((NONE, i64::MAX, slot), |entry| {
                (entry.queue, entry.value, slot)
            })
    }

    /// Divides a tree into what stands before `key` and the rest.
    fn split(&mut self, root: u32, key: Key) -> (u32, u32) {
        if root == NONE {
            return (NONE, NONE);
        }
        if self.key(root) < key {
            let (before, after) = self.split(self.nodes[root as usize].right, key);
            self.nodes[root as usize].right = before;
            (root, after)
        } else {
            let (before, after) = self.split(self.nodes[root as usize].left, key);
            self.nodes[root as usize].left = after;
            (before, root)
        }
    }

    /// Joins two trees, of which all of the first stands before all of the second.
    fn merge(&mut self, before: u32, after: u32) -> u32 {
        if before == NONE || after == NONE {
            return if before == NONE { after } else { before };
        }
        if priority(before) > priority(after) {
            let right = self.merge(self.nodes[before as usize].right, after);
            self.nodes[before as usize].right = right;
            before
        } else {
            let left = self.merge(before, self.nodes[after as usize].left);
            self.nodes[after as usize].left = left;
            after
        }
    }
}

/// Independent of the slot's neighbours, and different for every slot but for ties
/// of 64 bits.
fn priority(slot: u32) -> u64 {
    Rng::new(u64::from(slot)).next_u64()
}

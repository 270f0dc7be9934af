//! Dispatch queues. Each is either a list, first in first out, or ordered by key, never both; a task is
//! in one of them at most. Lists are linked through an array of all tasks, ordered ones are heaps that
//! know each task's place, so that any task can leave from anywhere without looking for it.

use baton_policy::key_before;

use super::task::NONE;

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    List(u32),
    Heap(u32),
}

#[derive(Clone, Copy, Debug)]
struct Link {
    place: Place,
    /// In a list: who is before; in a heap: the index.
    before: u32,
    after: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    length: u32,
}

/// The same shape as a binary tree, but four wide: half as deep.
const CHILDREN: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    number: u64,
    task: u32,
}

impl Entry {
    const fn before(&self, other: &Self) -> bool {
        if self.key == other.key {
            self.number < other.number
        } else {
            key_before(self.key, other.key)
        }
    }
}

#[derive(Debug)]
pub(crate) struct Queues {
    links: Vec<Link>,
    lists: Vec<List>,
    heaps: Vec<Vec<Entry>>,
    inserted: u64,
    queued: u32,
}

impl Queues {
    pub(crate) fn new(lists: usize, heaps: usize) -> Self {
        let empty = List {
            first: NONE,
            last: NONE,
            length: 0,
        };
        Self {
            links: Vec::new(),
            lists: vec![empty; lists],
            heaps: vec![Vec::new(); heaps],
            inserted: 0,
            queued: 0,
        }
    }

    /// Makes room for the task of this slot.
    pub(crate) fn admit(&mut self, task: u32) {
        let nowhere = Link {
            place: Place::Nowhere,
            before: NONE,
            after: NONE,
        };
        if self.links.len() <= task as usize {
            self.links.resize(task as usize + 1, nowhere);
        }
    }

    /// Tasks in all queues.
    pub(crate) const fn queued(&self) -> u32 {
        self.queued
    }

    pub(crate) fn place(&self, task: u32) -> Place {
        self.links[task as usize].place
    }

    pub(crate) fn list_len(&self, list: u32) -> u32 {
        self.lists[list as usize].length
    }

    pub(crate) fn heap_len(&self, heap: u32) -> usize {
        self.heaps[heap as usize].len()
    }

    pub(crate) fn push_back(&mut self, list: u32, task: u32) {
        let last = self.lists[list as usize].last;
        self.links[task as usize] = Link {
            place: Place::List(list),
            before: last,
            after: NONE,
        };
        match last {
            NONE => self.lists[list as usize].first = task,
            last => self.links[last as usize].after = task,
        }
        self.lists[list as usize].last = task;
        self.lists[list as usize].length += 1;
        self.queued += 1;
    }

    pub(crate) fn push_front(&mut self, list: u32, task: u32) {
        let first = self.lists[list as usize].first;
        self.links[task as usize] = Link {
            place: Place::List(list),
            before: NONE,
            after: first,
        };
        match first {
            NONE => self.lists[list as usize].last = task,
            first => self.links[first as usize].before = task,
        }
        self.lists[list as usize].first = task;
        self.lists[list as usize].length += 1;
        self.queued += 1;
    }

    /// The tasks of a list, the first first.
    pub(crate) fn iter(&self, list: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.lists[list as usize].first;
        std::iter::successors((first != NONE).then_some(first), |task| {
            let after = self.links[*task as usize].after;
            (after != NONE).then_some(after)
        })
    }

    pub(crate) fn first(&self, list: u32) -> Option<u32> {
        let first = self.lists[list as usize].first;
        (first != NONE).then_some(first)
    }

    pub(crate) fn insert(&mut self, heap: u32, key: u64, task: u32) {
        let entry = Entry {
            key,
            number: self.inserted,
            task,
        };
        self.inserted += 1;
        self.queued += 1;
        let hole = self.heaps[heap as usize].len();
        self.heaps[heap as usize].push(entry);
        self.links[task as usize].place = Place::Heap(heap);
        self.sift_up(heap, hole, entry);
    }

    /// Key and task of the head of an ordered queue.
    pub(crate) fn head(&self, heap: u32) -> Option<(u64, u32)> {
        let entry = self.heaps[heap as usize].first()?;
        Some((entry.key, entry.task))
    }

    /// The first task in order for which this holds. The head at once, others by looking at all.
    pub(crate) fn first_in_order(&self, heap: u32, wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let entries = &self.heaps[heap as usize];
        let head = entries.first()?;
        if wanted(head.task) {
            return Some(head.task);
        }
        let mut best: Option<&Entry> = None;
        for entry in &entries[1..] {
            if best.is_none_or(|best| entry.before(best)) && wanted(entry.task) {
                best = Some(entry);
            }
        }
        best.map(|entry| entry.task)
    }

    /// The tasks of an ordered queue, in no order that means anything.
    pub(crate) fn members(&self, heap: u32) -> impl Iterator<Item = u32> + '_ {
        self.heaps[heap as usize].iter().map(|entry| entry.task)
    }

    /// Takes a task out of where it stands.
    pub(crate) fn remove(&mut self, task: u32) {
        let link = self.links[task as usize];
        match link.place {
            Place::Nowhere => return,
            Place::List(list) => self.unlink(list, link),
            Place::Heap(heap) => self.remove_at(heap, link.before as usize),
        }
        self.links[task as usize].place = Place::Nowhere;
        self.queued -= 1;
    }

    fn unlink(&mut self, list: u32, link: Link) {
        match link.before {
            NONE => self.lists[list as usize].first = link.after,
            before => self.links[before as usize].after = link.after,
        }
        match link.after {
            NONE => self.lists[list as usize].last = link.before,
            after => self.links[after as usize].before = link.before,
        }
        self.lists[list as usize].length -= 1;
    }

    fn remove_at(&mut self, heap: u32, index: usize) {
        let entries = &mut self.heaps[heap as usize];
        let last = entries.pop();
        let Some(last) = last.filter(|_| index < entries.len()) else {
            return;
        };
        let parent = index.saturating_sub(1) / CHILDREN;
        if index > 0 && last.before(&entries[parent]) {
            self.sift_up(heap, index, last);
        } else {
            self.sift_down(heap, index, last);
        }
    }

    fn sift_up(&mut self, heap: u32, mut hole: usize, entry: Entry) {
        let entries = &mut self.heaps[heap as usize];
        while hole > 0 {
            let parent = (hole - 1) / CHILDREN;
            if !entry.before(&entries[parent]) {
                break;
            }
            entries[hole] = entries[parent];
            self.links[entries[hole].task as usize].before = hole as u32;
            hole = parent;
        }
        entries[hole] = entry;
        self.links[entry.task as usize].before = hole as u32;
    }

    fn sift_down(&mut self, heap: u32, mut hole: usize, entry: Entry) {
        let entries = &mut self.heaps[heap as usize];
        loop {
            let child = hole * CHILDREN + 1;
            let end = (child + CHILDREN).min(entries.len());
            if child >= end {
                break;
            }
            let mut least = child;
            for other in child + 1..end {
                if entries[other].before(&entries[least]) {
                    least = other;
                }
            }
            if !entries[least].before(&entry) {
                break;
            }
            entries[hole] = entries[least];
            self.links[entries[hole].task as usize].before = hole as u32;
            hole = least;
        }
        entries[hole] = entry;
        self.links[entry.task as usize].before = hole as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_whoever_leaves() {
        let mut queues = Queues::new(2, 0);
        (0..5).for_each(|task| queues.admit(task));
        (0..4).for_each(|task| queues.push_back(0, task));
        queues.push_front(0, 4);
        queues.remove(2);
        assert_eq!(queues.iter(0).collect::<Vec<_>>(), [4, 0, 1, 3]);
        queues.remove(3);
        queues.remove(4);
        queues.push_back(1, 4);
        assert_eq!(queues.iter(0).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((queues.list_len(0), queues.queued()), (2, 3));
        assert_eq!(queues.place(4), Place::List(1));
    }

    #[test]
    fn heaps_order_by_key_and_then_by_arrival() {
        let mut rng = baton_policy::Rng::new(3);
        let mut queues = Queues::new(0, 1);
        let mut expected = Vec::new();
        for task in 0..300 {
            queues.admit(task);
            // Around the wrap, where plain comparison would be wrong.
            let key = rng.below(100).wrapping_sub(50);
            queues.insert(0, key, task);
            expected.push((key.wrapping_add(50), task));
        }
        for task in (0..300).step_by(3) {
            queues.remove(task);
        }
        expected.retain(|(_, task)| task % 3 != 0);
        expected.sort_unstable();
        let odd = queues.first_in_order(0, |task| task % 2 == 1);
        assert_eq!(
            odd,
            expected
                .iter()
                .find(|(_, task)| task % 2 == 1)
                .map(|(_, task)| *task)
        );
        for (key, task) in expected {
            assert_eq!(queues.head(0), Some((key.wrapping_sub(50), task)));
            queues.remove(task);
        }
        assert_eq!((queues.head(0), queues.queued()), (None, 0));
    }
}

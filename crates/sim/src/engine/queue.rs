//! What is to happen: a heap with four children a node, ordered by time and then by the order in which
//! things were planned, so that simultaneous events have one order.

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A CPU's next burst end or tick; void if the CPU planned anew since.
    Cpu { cpu: u32, token: u32 },
    /// A CPU looks for work, because somebody asked it to.
    Resched { cpu: u32 },
    /// A sleep is over; void if the task's slot has another generation.
    Wake { task: u32, generation: u32 },
    /// A timer of the scheduler's.
    Timer { kind: u32, arg: u32 },
    /// An entry of the run's own plan: hotplug and faults.
    Plan { index: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The time and, below it, the order of planning: one comparison for both.
    key: u128,
    what: What,
}

impl Entry {
    const fn before(&self, other: &Self) -> bool {
        self.key < other.key
    }

    const fn time_ns(&self) -> u64 {
        (self.key >> 64) as u64
    }
}

const CHILDREN: usize = 4;

/// The events to come.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    heap: Vec<Entry>,
    planned: u64,
}

impl EventQueue {
    pub(crate) fn push(&mut self, time_ns: u64, what: What) {
        let entry = Entry {
            key: u128::from(time_ns) << 64 | u128::from(self.planned),
            what,
        };
        self.planned += 1;
        let mut hole = self.heap.len();
        self.heap.push(entry);
        while hole > 0 {
            let parent = (hole - 1) / CHILDREN;
            if !entry.before(&self.heap[parent]) {
                break;
            }
            self.heap[hole] = self.heap[parent];
            hole = parent;
        }
        self.heap[hole] = entry;
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, What)> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first().copied() else {
            return Some((last.time_ns(), last.what));
        };
        let mut hole = 0;
        loop {
            let child = hole * CHILDREN + 1;
            let end = (child + CHILDREN).min(self.heap.len());
            if child >= end {
                break;
            }
            let mut least = child;
            for other in child + 1..end {
                if self.heap[other].before(&self.heap[least]) {
                    least = other;
                }
            }
            if !self.heap[least].before(&last) {
                break;
            }
            self.heap[hole] = self.heap[least];
            hole = least;
        }
        self.heap[hole] = last;
        Some((first.time_ns(), first.what))
    }

    /// Events that wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_and_then_by_the_order_of_planning() {
        let mut queue = EventQueue::default();
        let mut rng = baton_policy::Rng::new(1);
        let mut expected = Vec::new();
        for cpu in 0..1000 {
            let time_ns = rng.below(50);
            queue.push(time_ns, What::Resched { cpu });
            expected.push((time_ns, What::Resched { cpu }));
        }
        expected.sort_by_key(|(time_ns, _)| *time_ns);
        assert_eq!(queue.len(), 1000);
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(popped, expected);
    }
}

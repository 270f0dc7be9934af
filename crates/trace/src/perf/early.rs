//! Wakings that were met before their task had left its CPU.
//!
//! The kernel tells of a waking when it begins. The task may have asked to sleep and not be off its
//! queue yet: then it never slept. Or it is off its queue and its switch is about to be told: then it
//! slept, and this waking is the one that ends its sleep. Which it was shows in what follows: a task
//! that slept and comes to run again without another waking was woken by this one.

use std::collections::HashMap;

use crate::{Event, Left, What};

/// A waking that may be one.
#[derive(Clone, Copy, Debug)]
struct Waking {
    cpu: u32,
    what: What,
    /// Where it belongs, if it is one: behind the switch with which its task left.
    place: Option<(usize, u64)>,
}

/// What is not settled yet, and what was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Early {
    open: HashMap<u32, Waking>,
    /// By the number of events before each.
    found: Vec<(usize, Event)>,
}

impl Early {
    /// A task is woken while it is on a CPU.
    pub(super) fn meets(&mut self, pid: u32, cpu: u32, what: What) {
        let place = None;
        self.open.insert(pid, Waking { cpu, what, place });
    }

    /// A task is woken that is on no CPU, or is another from here: it is not the one before that
    /// counts.
    pub(super) fn forget(&mut self, pid: u32) {
        self.open.remove(&pid);
    }

    /// A task goes to another CPU: a waking is met before its CPU is chosen.
    pub(super) fn moves(&mut self, pid: u32, to: u32) {
        if let Some(waking) = self.open.get_mut(&pid)
            && let What::Wakeup { target, .. } = &mut waking.what
        {
            *target = to;
        }
    }

    /// A task leaves its CPU; so many events tell of it and of what was before.
    pub(super) fn leaves(&mut self, pid: u32, left: Left, time_ns: u64, events: usize) {
        if !matches!(left, Left::Sleeps | Left::Blocks | Left::Stopped) {
            self.open.remove(&pid);
        } else if let Some(waking) = self.open.get_mut(&pid) {
            waking.place = Some((events, time_ns));
        }
    }

    /// A task comes to a CPU.
    pub(super) fn comes(&mut self, pid: u32) {
        if let Some(Waking { cpu, what, place }) = self.open.remove(&pid)
            && let Some((events, time_ns)) = place
        {
            self.found.push((events, Event { time_ns, cpu, what }));
        }
    }

    /// Events were lost: what would have settled the rest may be among them.
    pub(super) fn lose(&mut self) {
        self.open.clear();
    }

    /// The events with what was found among them.
    pub(super) fn insert_into(mut self, events: Vec<Event>) -> Vec<Event> {
        if self.found.is_empty() {
            return events;
        }
        self.found.sort_by_key(|(before, _)| *before);
        let mut all = Vec::with_capacity(events.len() + self.found.len());
        let mut found = self.found.into_iter().peekable();
        for (at, event) in events.into_iter().enumerate() {
            while let Some((_, waking)) = found.next_if(|(before, _)| *before <= at) {
                all.push(waking);
            }
            all.push(event);
        }
        all.extend(found.map(|(_, waking)| waking));
        all
    }
}

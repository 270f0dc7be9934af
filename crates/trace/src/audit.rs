//! What must hold in a recording, whatever was recorded; looked at in tests of the recorder.

use std::collections::BTreeMap;

use crate::event::{Event, Left, Losses, What, Woken};

/// How often each thing did not hold. Where events were lost, nothing of what follows from the ones
/// before is looked at until it is known again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Switches looked at.
    pub switches: u64,
    /// A task left a CPU to which another had come.
    pub out_of_turn: u64,
    /// A task came to run after it slept, and nobody woke it.
    pub unwoken: u64,
    /// A task came to run that runs on another CPU.
    pub twice: u64,
    /// A task came to run of which no name was told.
    pub untold: u64,
    /// A new task was woken and nobody made it.
    pub unmade: u64,
    /// The first few of these, in words.
    pub examples: Vec<String>,
    /// What runs on each CPU, where that is known.
    running: BTreeMap<u32, u32>,
    tasks: BTreeMap<u32, Task>,
    /// From here on a new task need not have been told.
    forks_lost: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Task {
    told: bool,
    made: bool,
    sleeps: bool,
}

/// How many examples are kept.
const EXAMPLES: usize = 10;

impl Audit {
    /// Looks at an event.
    pub fn add(&mut self, event: &Event) {
        match event.what {
            What::Task(info) => {
                let task = self.task(info.pid);
                task.told = true;
                // It was there at the beginning.
                task.made |= event.time_ns == 0;
            }
            What::Switch { prev, left, next } => self.switch(event, prev, left, next),
            What::Wakeup { pid, how, .. } => {
                let forks_lost = self.forks_lost;
                let task = self.task(pid);
                task.sleeps = false;
                let unmade = how == Woken::New && !task.made && !forks_lost;
                if unmade {
                    self.unmade += 1;
                    self.note(event, "nobody made it");
                }
            }
            What::Fork { child, .. } => {
                let told = self.task(child).told;
                *self.task(child) = Task {
                    told,
                    made: true,
                    sleeps: false,
                };
            }
            What::Lost { of, .. } => {
                // Forks may be among them either way, of tasks that were never heard of.
                self.forks_lost = true;
                if of == Losses::Any {
                    // Wakeups of this CPU for others, too.
                    self.running.remove(&event.cpu);
                    self.tasks.values_mut().for_each(|task| task.sleeps = false);
                }
            }
            _ => {}
        }
    }

    fn task(&mut self, pid: u32) -> &mut Task {
        self.tasks.entry(pid).or_default()
    }

    fn switch(&mut self, event: &Event, prev: u32, left: Left, next: u32) {
        self.switches += 1;
        let came = self.running.insert(event.cpu, next);
        if came.is_some_and(|came| came != prev) {
            self.out_of_turn += 1;
            self.note(event, "another had come");
        }
        self.task(prev).sleeps = matches!(left, Left::Sleeps | Left::Blocks | Left::Stopped);
        if next == 0 {
            return;
        }
        let Task { told, sleeps, .. } = *self.task(next);
        if sleeps {
            self.unwoken += 1;
            self.note(event, "nobody woke it");
        }
        if !told {
            self.untold += 1;
            self.note(event, "no name was told");
        }
        let elsewhere = |(cpu, task): (&u32, &u32)| *cpu != event.cpu && *task == next;
        if self.running.iter().any(elsewhere) {
            self.twice += 1;
            self.note(event, "it runs elsewhere");
        }
    }

    fn note(&mut self, event: &Event, what: &str) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{what}: {event:?}"));
        }
    }

    /// Whether all holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.out_of_turn + self.unwoken + self.twice + self.untold + self.unmade == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TaskInfo;

    fn audit(whats: &[What]) -> Audit {
        let mut audit = Audit::default();
        for (at, what) in whats.iter().enumerate() {
            audit.add(&Event {
                time_ns: at as u64,
                cpu: 0,
                what: *what,
            });
        }
        audit
    }

    const fn switch(prev: u32, left: Left, next: u32) -> What {
        What::Switch { prev, left, next }
    }

    const fn told(pid: u32) -> What {
        What::Task(TaskInfo {
            pid,
            tgid: pid,
            name: *b"x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            prio: 120,
            kernel: false,
        })
    }

    const fn wakeup(pid: u32, how: Woken) -> What {
        What::Wakeup {
            pid,
            waker: 0,
            how,
            target: 0,
        }
    }

    #[test]
    fn what_does_not_hold_is_seen() {
        let good = [
            told(1),
            switch(0, Left::Runnable, 1),
            switch(1, Left::Sleeps, 0),
            wakeup(1, Woken::Sleep),
            switch(0, Left::Runnable, 1),
        ];
        assert!(audit(&good).holds(), "{:?}", audit(&good));
        assert_eq!(audit(&good[1..2]).untold, 1);
        assert_eq!(audit(&[good[0], good[1], good[4]]).out_of_turn, 1);
        assert_eq!(audit(&[good[0], good[1], good[2], good[4]]).unwoken, 1);
        assert_eq!(audit(&[wakeup(1, Woken::New)]).unmade, 1);
        assert_eq!(audit(&[told(1), wakeup(1, Woken::New)]).unmade, 0);
        let lost = |of| What::Lost { count: 3, of };
        let (any, tasks) = (lost(Losses::Any), lost(Losses::Tasks));
        assert!(audit(&[good[0], good[1], good[2], any, good[4]]).holds());
        // A lost fork explains a new task, and no wakeup that is missing.
        assert_eq!(audit(&[tasks, wakeup(1, Woken::New)]).unmade, 0);
        let unwoken = audit(&[good[0], good[1], good[2], tasks, good[4]]);
        assert_eq!((unwoken.unwoken, unwoken.out_of_turn), (1, 0));
        let other = audit(&[good[0], good[1], tasks, switch(7, Left::Sleeps, 0)]);
        assert_eq!(other.out_of_turn, 1);
    }
}

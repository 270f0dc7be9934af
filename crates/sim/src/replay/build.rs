//! From events to what tasks did.

use std::collections::{HashMap, HashSet};

use baton_trace::{Bursts, Event, Left, Losses, TaskInfo, What, Woken};

use super::{Act, NONE, Outside, Recorded, Replay, Script};

/// What a task does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Was started and not yet woken.
    New,
    Runs {
        cpu: u32,
        since_ns: u64,
    },
    Waits,
    Sleeps {
        since_ns: u64,
        blocks: bool,
    },
    Gone,
}

impl State {
    /// How a sleep that ends now ends, if something from outside does it.
    fn ended(self, time_ns: u64) -> Option<Outside> {
        match self {
            Self::Sleeps {
                since_ns,
                blocks: true,
            } => Some(Outside::After(time_ns.saturating_sub(since_ns))),
            Self::Sleeps { .. } => Some(Outside::At(time_ns)),
            _ => None,
        }
    }
}

/// A task under way.
struct Task {
    script: Script,
    state: State,
    /// Computed since the last act.
    ran_ns: u64,
    stays: u32,
    /// Whether it ever slept or started another: otherwise it is not one that wakes.
    sleeps: bool,
}

pub(super) struct Builder {
    capacities: Vec<u32>,
    tasks: Vec<Task>,
    by_pid: HashMap<u32, u32>,
    infos: HashMap<u32, TaskInfo>,
    /// What each CPU runs; none: not known.
    running: HashMap<u32, u32>,
    /// CPUs of which a switch or a loss was heard: what leaves one of them next need not have run
    /// since the beginning.
    heard: HashSet<u32>,
    bursts: Bursts,
    found: Vec<baton_trace::Burst>,
    recorded: Recorded,
}

impl Builder {
    pub(super) fn new(capacities: &[u32]) -> Self {
        Self {
            capacities: capacities.to_vec(),
            tasks: Vec::new(),
            by_pid: HashMap::new(),
            infos: HashMap::new(),
            running: HashMap::new(),
            heard: HashSet::new(),
            bursts: Bursts::new(),
            found: Vec::new(),
            recorded: Recorded::default(),
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let (time_ns, cpu) = (event.time_ns, event.cpu);
        self.recorded.duration_ns = self.recorded.duration_ns.max(time_ns);
        self.bursts.event(event, &mut self.found);
        match event.what {
            What::Task(info) => self.learn(info),
            What::Switch { prev, left, next } => {
                self.leave(time_ns, cpu, prev, left);
                self.running.insert(cpu, next);
                self.heard.insert(cpu);
                if next != 0 {
                    self.come(time_ns, cpu, next);
                }
            }
            What::Wakeup {
                pid,
                waker,
                how: Woken::Sleep,
                ..
            } => self.wake(time_ns, cpu, pid, waker),
            What::Wakeup {
                pid,
                how: Woken::New,
                ..
            } => {
                if let Some(task) = self.task(pid)
                    && task.state == State::New
                {
                    task.state = State::Waits;
                }
            }
            What::Fork { parent, child } => self.fork(time_ns, parent, child),
            What::Lost { count, of } => {
                self.recorded.lost = self.recorded.lost.saturating_add(count);
                if of == Losses::Tasks {
                    return;
                }
                self.heard.insert(cpu);
                if let Some(pid) = self.running.remove(&cpu) {
                    self.lose(time_ns, pid);
                }
            }
            What::Exit { .. } | What::Migrate { .. } | What::CanMigrate { .. } | What::Relay(_) => {
            }
        }
    }

    pub(super) fn finish(mut self, name: String) -> Replay {
        let end_ns = self.recorded.duration_ns;
        for index in 0..self.tasks.len() {
            if let State::Runs { .. } = self.tasks[index].state {
                self.settle(index as u32, end_ns);
            }
            self.tasks[index].flush();
        }
        if !self.recorded.knows_interrupts {
            self.free_from_interrupted();
        }
        let mut found = self.found;
        self.bursts.finish(&mut found);
        self.recorded.learn(&found);
        Replay {
            name,
            scripts: self.tasks.into_iter().map(|task| task.script).collect(),
            recorded: self.recorded,
        }
    }

    /// Where a recording has the interrupted task for the waker, one that never sleeps and starts
    /// nobody is taken for one that computes and is interrupted.
    fn free_from_interrupted(&mut self) {
        let wakes: Vec<bool> = self.tasks.iter().map(|task| task.sleeps).collect();
        for (index, task) in self.tasks.iter_mut().enumerate() {
            if !wakes[index] {
                let keep = |act: &Act| !matches!(act, Act::Wake(_));
                task.script.acts.retain(keep);
            }
            for act in &mut task.script.acts {
                if let Act::Await { by, or } = *act
                    && !wakes[by as usize]
                {
                    *act = Act::Sleep(or);
                }
            }
        }
    }

    fn task(&mut self, pid: u32) -> Option<&mut Task> {
        let index = *self.by_pid.get(&pid)?;
        Some(&mut self.tasks[index as usize])
    }

    fn learn(&mut self, info: TaskInfo) {
        self.infos.insert(info.pid, info);
        if let Some(task) = self.task(info.pid) {
            describe(&mut task.script, &info);
        }
    }

    /// A task that is met for the first time.
    fn meet(&mut self, pid: u32, parent: u32, seen_ns: u64, state: State) -> u32 {
        let mut script = Script {
            name: format!("task-{pid}"),
            tgid: pid,
            weight: baton_policy::WEIGHT_DEFAULT,
            parent,
            seen_ns,
            acts: Vec::new(),
        };
        if let Some(info) = self.infos.get(&pid) {
            describe(&mut script, info);
        }
        let index = self.tasks.len() as u32;
        self.tasks.push(Task {
            script,
            state,
            ran_ns: 0,
            stays: 0,
            sleeps: false,
        });
        self.by_pid.insert(pid, index);
        index
    }

    /// Takes in what a running task computed up to now.
    fn settle(&mut self, index: u32, time_ns: u64) {
        let task = &mut self.tasks[index as usize];
        if let State::Runs { cpu, since_ns } = &mut task.state {
            let capacity = self.capacities.get(*cpu as usize).copied().unwrap_or(1024);
            let elapsed_ns = u128::from(time_ns.saturating_sub(*since_ns));
            task.ran_ns += (elapsed_ns * u128::from(capacity) / 1024) as u64;
            *since_ns = time_ns.max(*since_ns);
        }
    }

    fn leave(&mut self, time_ns: u64, cpu: u32, prev: u32, left: Left) {
        if let Some(ran) = self.running.get(&cpu).copied()
            && ran != prev
        {
            self.lose(time_ns, ran);
        }
        if prev == 0 {
            return;
        }
        let index = match self.by_pid.get(&prev) {
            Some(index) => *index,
            None => {
                // It ran when the recording began, if nothing was heard of its CPU before.
                let since_ns = if self.heard.contains(&cpu) {
                    time_ns
                } else {
                    0
                };
                self.meet(prev, NONE, since_ns, State::Runs { cpu, since_ns })
            }
        };
        self.settle(index, time_ns);
        let task = &mut self.tasks[index as usize];
        task.state = match left {
            Left::Runnable => State::Waits,
            Left::Exits => State::Gone,
            Left::Sleeps | Left::Blocks | Left::Stopped => {
                task.sleeps = true;
                State::Sleeps {
                    since_ns: time_ns,
                    blocks: left != Left::Sleeps,
                }
            }
        };
        task.flush();
        if left == Left::Exits {
            self.by_pid.remove(&prev);
        }
    }

    fn come(&mut self, time_ns: u64, cpu: u32, next: u32) {
        let index = match self.by_pid.get(&next) {
            Some(index) => *index,
            None => self.meet(next, NONE, time_ns, State::Waits),
        };
        self.settle(index, time_ns);
        let task = &mut self.tasks[index as usize];
        // What woke it was lost.
        if let Some(or) = task.state.ended(time_ns) {
            task.script.acts.push(Act::Sleep(or));
        }
        task.stays += 1;
        let since_ns = time_ns;
        task.state = State::Runs { cpu, since_ns };
    }

    /// A task was running, and nobody saw what became of it.
    fn lose(&mut self, time_ns: u64, pid: u32) {
        if let Some(task) = self.task(pid)
            && let State::Runs { .. } = task.state
        {
            task.flush();
            task.state = State::Sleeps {
                since_ns: time_ns,
                blocks: true,
            };
        }
    }

    fn wake(&mut self, time_ns: u64, cpu: u32, pid: u32, waker: u32) {
        if waker == 0 && self.running.get(&cpu).is_some_and(|ran| *ran != 0) {
            self.recorded.knows_interrupts = true;
        }
        if pid == 0 {
            return;
        }
        let by = self.by_pid.get(&waker).copied().filter(|_| waker != 0);
        let Some(index) = self.by_pid.get(&pid).copied() else {
            // It slept when the recording began.
            let index = self.meet(pid, NONE, 0, State::Waits);
            return self.end_sleep(index, by, Outside::At(time_ns), time_ns);
        };
        let task = &mut self.tasks[index as usize];
        if let Some(or) = task.state.ended(time_ns) {
            task.state = State::Waits;
            // Nobody wakes himself.
            let by = by.filter(|by| *by != index);
            self.end_sleep(index, by, or, time_ns);
        }
    }

    fn end_sleep(&mut self, index: u32, by: Option<u32>, or: Outside, time_ns: u64) {
        let act = match by {
            Some(by) => Act::Await { by, or },
            None => Act::Sleep(or),
        };
        self.tasks[index as usize].script.acts.push(act);
        if let Some(by) = by {
            // One that sleeps by now woke it as the last thing.
            self.settle(by, time_ns);
            let waker = &mut self.tasks[by as usize];
            waker.flush();
            waker.script.acts.push(Act::Wake(index));
        }
    }

    fn fork(&mut self, time_ns: u64, parent: u32, child: u32) {
        if child == 0 {
            return;
        }
        let by = self.by_pid.get(&parent).copied().filter(|_| parent != 0);
        if let Some(by) = by {
            self.settle(by, time_ns);
            self.tasks[by as usize].flush();
            self.tasks[by as usize].sleeps = true;
        }
        let index = self.meet(child, by.unwrap_or(NONE), time_ns, State::New);
        if let Some(by) = by {
            self.tasks[by as usize].script.acts.push(Act::Fork(index));
        }
    }
}

impl Task {
    /// Makes an act of what it computed.
    fn flush(&mut self) {
        if self.ran_ns > 0 || self.stays > 0 {
            let (ran_ns, stays) = (self.ran_ns, self.stays);
            self.script.acts.push(Act::Compute { ran_ns, stays });
            self.ran_ns = 0;
            self.stays = 0;
        }
    }
}

fn describe(script: &mut Script, info: &TaskInfo) {
    let length = info.name.iter().position(|byte| *byte == 0);
    let name = &info.name[..length.unwrap_or(info.name.len())];
    script.name = String::from_utf8_lossy(name).into_owned();
    script.tgid = info.tgid;
    script.weight = info.weight();
}

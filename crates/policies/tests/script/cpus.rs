//! A backend in miniature: CPUs that run what a policy decides, by the rules of the
//! relay as far as tests of policies need them. What happens at one moment is a batch.
#![allow(dead_code)] // Each test file uses its own part.

mod decide;

use std::collections::VecDeque;

use baton_policy::{
    CpuSet, Decision, Driver, Enqueue, EnqueueReason, Event, EventKind, MAX_CPUS, MS, Machine,
    Options, Policy, Setup, StopReason, TaskInfo, TaskKey, key_before,
};

/// What a task does: it computes `burst_ns`, sleeps `sleep_ns`, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Does {
    pub burst_ns: u64,
    pub sleep_ns: u64,
}

/// It computes for ever.
pub const HOG: Does = Does {
    burst_ns: u64::MAX,
    sleep_ns: 0,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Asleep {
        until_ns: u64,
    },
    /// No decision yet, or a lease.
    Custody {
        since_ns: u64,
        due_ns: u64,
    },
    /// Decided; `order` breaks ties of keys.
    Ready {
        since_ns: u64,
        key: u64,
        order: u64,
    },
    Rescued {
        since_ns: u64,
        order: u64,
    },
    Running {
        cpu: u32,
        since_ns: u64,
    },
    Ended,
}

/// A task and what became of it.
#[derive(Debug)]
pub struct Task {
    pub key: TaskKey,
    pub weight: u32,
    pub used_ns: u64,
    /// From being runnable to running.
    pub waits_ns: Vec<u64>,
    allowed: CpuSet,
    does: Does,
    state: State,
    /// Key while it runs, if the policy gave it.
    running_key: Option<u64>,
    burst_ns: u64,
    left_ns: u64,
    slice_end_ns: u64,
    stopped_ns: u64,
    seq: u64,
}

impl Task {
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }
}

pub struct Cpus<P: Policy> {
    driver: Driver<P>,
    pub tasks: Vec<Task>,
    pub now_ns: u64,
    pub rescues: u64,
    /// CPU time for which a CPU idled although an allowed task waited.
    pub idled_ns: u64,
    online: Vec<bool>,
    order: u64,
    /// Slices end at multiples of this, as a kernel's do.
    pub tick_ns: u64,
    /// How long a decision takes to be carried out.
    pub latency_ns: u64,
    pending: VecDeque<(u64, Decision)>,
    /// Events of batches that have ended.
    settled: u64,
}

impl<P: Policy> Cpus<P> {
    pub fn new(cpus: u32) -> Self {
        let machine = Machine::uniform("cpus", cpus);
        Self {
            driver: Driver::new(&Setup::new(&machine, 1)).unwrap(),
            tasks: Vec::new(),
            now_ns: 0,
            rescues: 0,
            idled_ns: 0,
            online: vec![true; cpus as usize],
            order: 0,
            tick_ns: 1,
            latency_ns: 0,
            pending: VecDeque::new(),
            settled: 0,
        }
    }

    pub fn driver(&self) -> &Driver<P> {
        &self.driver
    }

    /// A new task; its number.
    pub fn task(&mut self, weight: u32, does: Does) -> usize {
        self.task_on(weight, does, CpuSet::first(MAX_CPUS))
    }

    pub fn task_on(&mut self, weight: u32, does: Does, allowed: CpuSet) -> usize {
        let key = TaskKey {
            pid: self.tasks.len() as u32 + 1,
            start_ns: self.now_ns,
        };
        self.tasks.push(Task {
            key,
            weight,
            used_ns: 0,
            waits_ns: Vec::new(),
            allowed,
            does,
            state: State::Ended,
            running_key: None,
            burst_ns: 0,
            left_ns: does.burst_ns,
            slice_end_ns: 0,
            stopped_ns: self.now_ns,
            seq: 0,
        });
        let task = self.tasks.len() - 1;
        self.tell(Some(task), EventKind::Join(self.info(task)));
        self.enqueue(task, EnqueueReason::New);
        self.settle();
        task
    }

    fn info(&self, task: usize) -> TaskInfo {
        TaskInfo {
            weight: self.tasks[task].weight,
            allowed: self.tasks[task].allowed,
            ..TaskInfo::default()
        }
    }

    pub fn set_weight(&mut self, task: usize, weight: u32) {
        self.tasks[task].weight = weight;
        self.tell(Some(task), EventKind::Update(self.info(task)));
        self.settle();
    }

    /// The task ends, whatever it does.
    pub fn end(&mut self, task: usize) {
        if let State::Running { cpu, .. } = self.tasks[task].state {
            self.stop(task, StopReason::Slept);
            self.fill(cpu);
        }
        self.tasks[task].state = State::Ended;
        self.tell(Some(task), EventKind::Exit);
        self.settle();
    }

    /// Takes a CPU away or gives it back.
    pub fn plug(&mut self, cpu: u32, online: bool) {
        self.online[cpu as usize] = online;
        if online {
            self.tell(None, EventKind::CpuOnline { cpu });
            self.fill(cpu);
        } else {
            self.tell(None, EventKind::CpuOffline { cpu });
            if let Some(task) = self.running(cpu) {
                self.stop(task, StopReason::Preempted);
                self.enqueue(task, EnqueueReason::Preempted);
            }
        }
        self.settle();
    }

    pub fn lose(&mut self, count: u64) {
        self.tell(None, EventKind::Lost { count });
        self.settle();
    }

    pub fn used_ms(&self) -> Vec<u64> {
        self.tasks.iter().map(|task| task.used_ns / MS).collect()
    }

    /// Lets so much time pass.
    pub fn run(&mut self, for_ns: u64) {
        let end_ns = self.now_ns + for_ns;
        while self.now_ns < end_ns {
            let (at_ns, task) = self.next_event();
            let decided_ns = self.pending.front().map_or(u64::MAX, |first| first.0);
            let to_ns = at_ns.min(decided_ns).clamp(self.now_ns, end_ns);
            self.pass(to_ns);
            if to_ns < at_ns.min(decided_ns) {
                return;
            }
            if decided_ns <= at_ns {
                let decided = self.pending.pop_front();
                decided
                    .iter()
                    .for_each(|(_, decision)| self.carry_out(decision));
            } else {
                self.happen(task);
            }
            self.settle();
        }
    }

    fn pass(&mut self, to_ns: u64) {
        let span_ns = to_ns - self.now_ns;
        let idle: Vec<u32> = self.idle_cpus().collect();
        let waits = |task: &Task| {
            matches!(task.state, State::Custody { .. } | State::Ready { .. })
                && idle.iter().any(|cpu| task.allowed.contains(*cpu))
        };
        if self.tasks.iter().any(waits) {
            self.idled_ns += span_ns;
        }
        for task in &mut self.tasks {
            if matches!(task.state, State::Running { .. }) {
                task.used_ns += span_ns;
                task.burst_ns += span_ns;
                task.left_ns = task.left_ns.saturating_sub(span_ns);
            }
        }
        self.now_ns = to_ns;
    }

    /// When something happens next, and to which task.
    fn next_event(&self) -> (u64, usize) {
        let when = |task: &Task| match task.state {
            State::Asleep { until_ns } => until_ns,
            State::Custody { due_ns, .. } => due_ns,
            State::Running { .. } => {
                let done_ns = self.now_ns.saturating_add(task.left_ns);
                done_ns.min(task.slice_end_ns.next_multiple_of(self.tick_ns))
            }
            State::Ready { since_ns, .. } => since_ns + self.driver.options().starve_after_ns,
            State::Rescued { .. } | State::Ended => u64::MAX,
        };
        let all = self.tasks.iter().map(when).zip(0..);
        all.min().expect("there are tasks")
    }

    fn happen(&mut self, task: usize) {
        match self.tasks[task].state {
            State::Asleep { .. } => {
                self.tasks[task].burst_ns = 0;
                self.enqueue(task, EnqueueReason::Wakeup);
            }
            State::Custody { since_ns, .. } => {
                self.rescues += 1;
                self.rescue(task, since_ns);
                self.tell(Some(task), EventKind::Rescued);
                if let Some(cpu) = self.idle_for(task) {
                    self.fill(cpu);
                }
            }
            State::Ready { since_ns, .. } => self.rescue(task, since_ns),
            State::Running { cpu, .. } if self.tasks[task].left_ns == 0 => {
                let does = self.tasks[task].does;
                self.stop(task, StopReason::Slept);
                self.tasks[task].left_ns = does.burst_ns;
                self.tasks[task].state = State::Asleep {
                    until_ns: self.now_ns + does.sleep_ns,
                };
                self.fill(cpu);
            }
            State::Running { cpu, .. } => self.slice_over(task, cpu),
            _ => {}
        }
    }

    fn rescue(&mut self, task: usize, since_ns: u64) {
        self.order += 1;
        let order = self.order;
        self.tasks[task].state = State::Rescued { since_ns, order };
        self.tasks[task].slice_end_ns = self.driver.options().rescue_slice_ns;
    }

    fn slice_over(&mut self, task: usize, cpu: u32) {
        let Some(next) = self.best(cpu) else {
            let held = self.tasks.iter();
            let held = held.filter(|task| matches!(task.state, State::Custody { .. }));
            let more_ns = if held.count() > 0 {
                MS
            } else {
                self.driver.options().slice_ns
            };
            self.tasks[task].slice_end_ns = self.now_ns + more_ns;
            return;
        };
        // The kernel chooses the next before the last one is enqueued.
        let since_ns = self.since(next);
        self.tasks[next].state = State::Running { cpu, since_ns };
        self.stop(task, StopReason::SliceOver);
        self.enqueue(task, EnqueueReason::SliceOver);
        self.start(next, cpu, since_ns);
    }

    fn stop(&mut self, task: usize, reason: StopReason) {
        let State::Running { cpu, since_ns } = self.tasks[task].state else {
            panic!("it runs");
        };
        self.tasks[task].state = State::Asleep { until_ns: u64::MAX };
        self.tasks[task].stopped_ns = self.now_ns;
        let kind = EventKind::Stopping {
            cpu,
            runtime_ns: self.now_ns - since_ns,
            reason,
        };
        self.tell(Some(task), kind);
    }

    fn start(&mut self, task: usize, cpu: u32, since_ns: u64) {
        self.tasks[task].waits_ns.push(self.now_ns - since_ns);
        let since_ns = self.now_ns;
        self.tasks[task].state = State::Running { cpu, since_ns };
        let slice_ns = self.tasks[task].slice_end_ns.max(Options::SLICE_MIN_NS);
        self.tasks[task].slice_end_ns = self.now_ns + slice_ns;
        self.tell(Some(task), EventKind::Running { cpu });
    }

    fn enqueue(&mut self, task: usize, reason: EnqueueReason) {
        let now_ns = self.now_ns;
        let idle = self.idle_for(task);
        let fast = reason == EnqueueReason::Wakeup && idle.is_some();
        let actor = &mut self.tasks[task];
        actor.seq += 1;
        actor.running_key = None;
        actor.state = State::Custody {
            since_ns: now_ns,
            due_ns: now_ns + self.driver.options().rescue_after_ns,
        };
        let enqueue = Enqueue {
            seq: actor.seq,
            reason,
            decided: fast,
            burst_ns: actor.burst_ns,
            runtime_ns: actor.used_ns,
            slept_ns: match reason {
                EnqueueReason::Wakeup => now_ns - actor.stopped_ns,
                _ => 0,
            },
            waiting: 1,
            ..Enqueue::default()
        };
        self.tell(Some(task), EventKind::Enqueue(enqueue));
        if let Some(cpu) = idle.filter(|_| fast) {
            self.tasks[task].slice_end_ns = self.driver.options().slice_ns;
            self.start(task, cpu, now_ns);
        }
    }

    /// An idle CPU takes what there is.
    fn fill(&mut self, cpu: u32) {
        if !self.online[cpu as usize] || self.running(cpu).is_some() {
            return;
        }
        if let Some(next) = self.best(cpu) {
            let since_ns = self.since(next);
            self.start(next, cpu, since_ns);
        } else if self
            .tasks
            .iter()
            .any(|task| matches!(task.state, State::Custody { .. }))
        {
            self.tell(None, EventKind::CpuDry { cpu });
        }
    }

    fn since(&self, task: usize) -> u64 {
        match self.tasks[task].state {
            State::Ready { since_ns, .. }
            | State::Rescued { since_ns, .. }
            | State::Custody { since_ns, .. } => since_ns,
            other => panic!("it waits: {other:?}"),
        }
    }

    fn running(&self, cpu: u32) -> Option<usize> {
        self.tasks
            .iter()
            .position(|task| matches!(task.state, State::Running { cpu: on, .. } if on == cpu))
    }

    fn idle_cpus(&self) -> impl Iterator<Item = u32> {
        let online = (0..self.online.len() as u32).filter(|cpu| self.online[*cpu as usize]);
        online.filter(|cpu| self.running(*cpu).is_none())
    }

    fn idle_for(&self, task: usize) -> Option<u32> {
        self.idle_cpus()
            .find(|cpu| self.tasks[task].allowed.contains(*cpu))
    }

    /// What a CPU takes next: rescued tasks, then the earliest key.
    fn best(&self, cpu: u32) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (index, task) in self.tasks.iter().enumerate() {
            let better = match (task.state, best.map(|best| self.tasks[best].state)) {
                _ if !task.allowed.contains(cpu) => false,
                (State::Rescued { order, .. }, Some(State::Rescued { order: least, .. })) => {
                    order < least
                }
                (State::Rescued { .. }, _) => true,
                (State::Ready { .. }, None) => true,
                (
                    State::Ready { key, order, .. },
                    Some(State::Ready {
                        key: least,
                        order: first,
                        ..
                    }),
                ) => key_before(key, least) || (key == least && order < first),
                _ => false,
            };
            if better {
                best = Some(index);
            }
        }
        best
    }

    /// Gives an event to the policy.
    fn tell(&mut self, task: Option<usize>, kind: EventKind) {
        let key = task.map_or_else(TaskKey::default, |task| self.tasks[task].key);
        self.driver.event(&Event {
            time_ns: self.now_ns,
            task: key,
            kind,
        });
    }
}

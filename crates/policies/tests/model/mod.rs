//! A small model of the relay under a policy: CPUs of different sizes, tasks that
//! compute and sleep, custody, the ready queue and the CPUs' own, leases, preemption.
//! The policy hears of what happened a little later, and its decisions count from then.
#![allow(dead_code)] // Each test file uses its own part.

mod relay;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use baton_policy::{
    CAPACITY_SCALE, ClassId, Classes, CpuSet, Decision, Driver, Enqueue, EnqueueReason, Event,
    EventKind, MS, Machine, Options, Policy, Setup, StopReason, TaskInfo, TaskKey, TaskName, US,
};

/// From an event to the decisions about it.
const DELAY_NS: u64 = 30 * US;
/// What a task gets for want of others while some are in custody.
const GOES_ON_NS: u64 = MS;
/// Tasks that decisions may put into one CPU's queue.
const LOCAL_MAX: usize = 8;
/// How often starving tasks are looked for.
const STARVE_SCAN_NS: u64 = 100 * MS;

/// A task: it computes for `burst_ns` of a large CPU, sleeps for `sleep_ns`, and so on.
#[derive(Clone, Debug)]
pub struct Spec {
    pub class: Option<usize>,
    pub weight: u32,
    pub allowed: CpuSet,
    pub burst_ns: u64,
    pub sleep_ns: u64,
}

impl Spec {
    /// A task that only computes.
    pub fn hog(class: Option<usize>) -> Self {
        Self::periodic(class, u64::MAX, 0)
    }

    pub fn periodic(class: Option<usize>, burst_ns: u64, sleep_ns: u64) -> Self {
        Self {
            class,
            weight: 100,
            allowed: CpuSet::first(64),
            burst_ns,
            sleep_ns,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Asleep,
    /// With the policy; the end of its lease, if it has one.
    Custody(Option<u64>),
    /// Decided, or rescued.
    Queued,
    Running(usize),
}

/// A task and what became of it.
#[derive(Debug)]
pub struct Task {
    pub spec: Spec,
    state: State,
    seq: u64,
    cpu: usize,
    left_ns: u64,
    burst_ns: u64,
    stopped_ns: u64,
    since_ns: u64,
    slice_ns: u64,
    waits_since: u64,
    woken: bool,
    key: u64,
    keyed: bool,
    /// CPU time on each CPU.
    pub ran_ns: Vec<u64>,
    /// Longest time from runnable to running.
    pub wait_max_ns: u64,
    /// The same, and their sum, of those that were woken.
    pub wakeup_max_ns: u64,
    pub wakeup_sum_ns: u64,
    pub wakeups: u64,
}

impl Task {
    pub fn total_ns(&self) -> u64 {
        self.ran_ns.iter().sum()
    }
}

#[derive(Debug, Default)]
struct Cpu {
    runs: Option<usize>,
    local: VecDeque<usize>,
    token: u64,
    slice_end_ns: u64,
    /// Whether the policy's own thread has the CPU for the moment.
    interrupted: bool,
    /// Who goes before the task that it interrupted.
    ahead: Option<usize>,
    idle_since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Wake(usize),
    Cpu(usize, u64),
    Batch,
    Lease(usize, u64),
    Starve,
}

pub struct Model<P: Policy> {
    driver: Driver<P>,
    options: Options,
    machine: Machine,
    classes: Classes,
    cpus: Vec<Cpu>,
    pub tasks: Vec<Task>,
    ready: Vec<(u64, usize)>,
    rescue: VecDeque<usize>,
    agenda: BinaryHeap<Reverse<(u64, u64, What)>>,
    agenda_seq: u64,
    inbox: Vec<Event>,
    is_batch_due: bool,
    batches: usize,
    pub now_ns: u64,
    /// Every decision, in order.
    pub decisions: Vec<Decision>,
    /// Leases that ended.
    pub rescues: u64,
    pub starved: u64,
    pub invalid: u64,
    pub preemptions: u64,
    /// Whether the policy's own thread takes a CPU each time that it decides.
    pub interrupts: bool,
    /// What it took.
    pub taken_ns: u64,
    /// Longest time that a CPU idled while a task that it could have run waited.
    pub wasted_max_ns: u64,
}

/// A machine whose CPUs have these capacities.
pub fn machine(capacities: &[u32]) -> Machine {
    let mut machine = Machine::uniform("model", capacities.len() as u32);
    for (cpu, capacity) in machine.cpus.iter_mut().zip(capacities) {
        cpu.capacity = *capacity;
    }
    machine
}

impl<P: Policy> Model<P> {
    pub fn new(
        machine: Machine,
        classes: Classes,
        params: &[(&str, &str)],
        specs: &[Spec],
    ) -> Self {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let params: Vec<_> = params.iter().map(owned).collect();
        let setup = Setup::with_params(&machine, 1, &params).with_classes(&classes);
        let driver = Driver::<P>::new(&setup).unwrap();
        let cpus = machine.cpus.len();
        let mut model = Self {
            options: *driver.options(),
            driver,
            cpus: (0..cpus).map(|_| Cpu::default()).collect(),
            machine,
            classes,
            tasks: Vec::new(),
            ready: Vec::new(),
            rescue: VecDeque::new(),
            agenda: BinaryHeap::new(),
            agenda_seq: 0,
            inbox: Vec::new(),
            is_batch_due: false,
            batches: 0,
            now_ns: MS,
            decisions: Vec::new(),
            rescues: 0,
            starved: 0,
            invalid: 0,
            preemptions: 0,
            interrupts: true,
            taken_ns: 0,
            wasted_max_ns: 0,
        };
        for spec in specs {
            model.add(spec.clone(), cpus);
        }
        model.plan(0, What::Starve);
        model
    }

    fn add(&mut self, spec: Spec, cpus: usize) {
        let index = self.tasks.len();
        let info = TaskInfo {
            name: TaskName::new(&format!("task-{index}")),
            weight: spec.weight,
            allowed: spec.allowed,
            class: spec.class.and_then(ClassId::new),
            ..TaskInfo::default()
        };
        self.tasks.push(Task {
            left_ns: spec.burst_ns,
            spec,
            state: State::Asleep,
            seq: 0,
            cpu: index % cpus,
            burst_ns: 0,
            stopped_ns: 0,
            since_ns: 0,
            slice_ns: 0,
            waits_since: 0,
            woken: false,
            key: 0,
            keyed: false,
            ran_ns: vec![0; cpus],
            wait_max_ns: 0,
            wakeup_max_ns: 0,
            wakeup_sum_ns: 0,
            wakeups: 0,
        });
        self.tell(index, EventKind::Join(info));
        self.plan(self.now_ns + index as u64 * 10 * US, What::Wake(index));
    }

    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Runs for so long.
    pub fn run(&mut self, ns: u64) {
        let end = self.now_ns + ns;
        while let Some(Reverse((time_ns, _, what))) = self.agenda.peek().copied() {
            if time_ns > end {
                break;
            }
            self.agenda.pop();
            self.now_ns = time_ns;
            self.note_waste();
            match what {
                What::Wake(task) => self.wake(task),
                What::Cpu(cpu, token) if self.cpus[cpu].token == token => self.cpu_event(cpu),
                What::Cpu(..) => {}
                What::Batch => self.batch(),
                What::Lease(task, seq) => self.lease_over(task, seq),
                What::Starve => self.rescue_starved(),
            }
        }
        self.now_ns = end;
        self.note_waste();
        for cpu in 0..self.cpus.len() {
            if let Some(task) = self.cpus[cpu].runs {
                self.charge(task, cpu);
            }
        }
        for task in 0..self.tasks.len() {
            self.note_wait(task);
        }
    }

    fn plan(&mut self, time_ns: u64, what: What) {
        self.agenda_seq += 1;
        self.agenda.push(Reverse((time_ns, self.agenda_seq, what)));
    }

    fn tell(&mut self, task: usize, kind: EventKind) {
        self.inbox.push(Event {
            time_ns: self.now_ns,
            task: key_of(task),
            kind,
        });
    }

    fn may_run(&self, task: usize, cpu: usize) -> bool {
        self.tasks[task].spec.allowed.contains(cpu as u32)
    }

    fn class_allows(&self, task: usize, cpu: usize) -> bool {
        let spec = &self.tasks[task].spec;
        let online = CpuSet::first(self.cpus.len()).intersection(&spec.allowed);
        let class = spec
            .class
            .and_then(ClassId::new)
            .and_then(|id| self.classes.get(id));
        class
            .map_or(online, |class| class.cpus(&online))
            .contains(cpu as u32)
    }

    fn wake(&mut self, task: usize) {
        let entry = &mut self.tasks[task];
        entry.left_ns = entry.spec.burst_ns;
        entry.burst_ns = 0;
        entry.woken = true;
        if self.options.idle_fast_path
            && let Some(cpu) = self.idle_for(task)
        {
            let entry = &mut self.tasks[task];
            entry.seq += 1;
            entry.waits_since = self.now_ns;
            entry.keyed = false;
            return self.start(cpu, task, self.options.slice_ns);
        }
        self.enqueue(task, EnqueueReason::Wakeup);
    }

    fn enqueue(&mut self, task: usize, reason: EnqueueReason) {
        let waiting = self
            .tasks
            .iter()
            .filter(|task| !matches!(task.state, State::Asleep | State::Running(_)));
        let waiting = waiting.count() as u32 + 1;
        let entry = &mut self.tasks[task];
        entry.seq += 1;
        entry.waits_since = self.now_ns;
        entry.state = State::Custody(None);
        let woken = reason == EnqueueReason::Wakeup;
        let enqueue = Enqueue {
            seq: entry.seq,
            reason,
            cpu: entry.cpu as u32,
            burst_ns: entry.burst_ns,
            runtime_ns: entry.total_ns(),
            slept_ns: if woken {
                self.now_ns - entry.stopped_ns
            } else {
                0
            },
            waiting,
            ..Enqueue::default()
        };
        self.tell(task, EventKind::Enqueue(enqueue));
        self.rouse();
    }

    fn start(&mut self, cpu: usize, task: usize, slice_ns: u64) {
        self.note_wait(task);
        let entry = &mut self.tasks[task];
        entry.state = State::Running(cpu);
        entry.cpu = cpu;
        entry.since_ns = self.now_ns;
        entry.woken = false;
        self.cpus[cpu].runs = Some(task);
        if self.options.interests.running {
            self.tell(task, EventKind::Running { cpu: cpu as u32 });
        }
        self.go_on(cpu, task, slice_ns);
    }

    fn go_on(&mut self, cpu: usize, task: usize, slice_ns: u64) {
        let entry = &mut self.tasks[task];
        entry.slice_ns = slice_ns.clamp(Options::SLICE_MIN_NS, Options::SLICE_MAX_NS);
        let capacity = u64::from(self.machine.cpus[cpu].capacity);
        let alone_ns = entry.left_ns.saturating_mul(u64::from(CAPACITY_SCALE)) / capacity;
        let end = self.now_ns + entry.slice_ns.min(alone_ns.max(1));
        self.cpus[cpu].slice_end_ns = self.now_ns + entry.slice_ns;
        if self.cpus[cpu].interrupted {
            return;
        }
        self.cpus[cpu].token += 1;
        let token = self.cpus[cpu].token;
        self.plan(end, What::Cpu(cpu, token));
    }

    /// Accounts for what the running task used.
    fn charge(&mut self, task: usize, cpu: usize) -> u64 {
        let capacity = u64::from(self.machine.cpus[cpu].capacity);
        let entry = &mut self.tasks[task];
        let used_ns = self.now_ns - entry.since_ns;
        entry.since_ns = self.now_ns;
        entry.ran_ns[cpu] += used_ns;
        entry.burst_ns += used_ns;
        // A nanosecond is lost to rounding now and then.
        let work_ns = used_ns * capacity / u64::from(CAPACITY_SCALE) + 1;
        entry.left_ns = entry.left_ns.saturating_sub(work_ns);
        used_ns
    }

    fn stop(&mut self, cpu: usize, reason: StopReason) -> usize {
        let task = self.cpus[cpu].runs.take().unwrap();
        self.cpus[cpu].token += 1;
        self.cpus[cpu].idle_since = self.now_ns;
        let runtime_ns = self.charge(task, cpu);
        self.tasks[task].stopped_ns = self.now_ns;
        self.tell_stop(task, cpu, runtime_ns, reason);
        task
    }

    fn tell_stop(&mut self, task: usize, cpu: usize, runtime_ns: u64, reason: StopReason) {
        if self.options.interests.stopping {
            let cpu = cpu as u32;
            let kind = EventKind::Stopping {
                cpu,
                runtime_ns,
                reason,
            };
            self.tell(task, kind);
        }
    }

    /// The running task slept, or its slice is over.
    fn cpu_event(&mut self, cpu: usize) {
        let task = self.cpus[cpu].runs.unwrap();
        self.charge(task, cpu);
        if self.tasks[task].left_ns == 0 {
            self.stop(cpu, StopReason::Slept);
            self.tasks[task].state = State::Asleep;
            let wakes_ns = self.now_ns + self.tasks[task].spec.sleep_ns.max(1);
            self.plan(wakes_ns, What::Wake(task));
            return self.dispatch(cpu);
        }
        let Some((next, slice_ns)) = self.take(cpu) else {
            let held = self.tell_dry(cpu);
            let slice_ns = if held {
                GOES_ON_NS
            } else {
                self.options.slice_ns
            };
            return self.go_on(cpu, task, slice_ns);
        };
        self.stop(cpu, StopReason::SliceOver);
        self.enqueue(task, EnqueueReason::SliceOver);
        self.start(cpu, next, slice_ns);
    }

    fn dispatch(&mut self, cpu: usize) {
        match self.take(cpu) {
            Some((next, slice_ns)) => self.start(cpu, next, slice_ns),
            None => {
                self.tell_dry(cpu);
            }
        }
    }

    fn note_wait(&mut self, task: usize) {
        let entry = &mut self.tasks[task];
        if matches!(entry.state, State::Asleep | State::Running(_))
            && entry.waits_since != self.now_ns
        {
            return;
        }
        let wait_ns = self.now_ns - entry.waits_since;
        entry.wait_max_ns = entry.wait_max_ns.max(wait_ns);
        if entry.woken {
            entry.wakeup_max_ns = entry.wakeup_max_ns.max(wait_ns);
            entry.wakeup_sum_ns += wait_ns;
            entry.wakeups += 1;
        }
    }

    fn note_waste(&mut self) {
        for cpu in 0..self.cpus.len() {
            if self.cpus[cpu].runs.is_some() {
                continue;
            }
            let idle_since = self.cpus[cpu].idle_since;
            for task in 0..self.tasks.len() {
                let waits = matches!(self.tasks[task].state, State::Custody(_) | State::Queued);
                if waits && self.may_run(task, cpu) && self.class_allows(task, cpu) {
                    let both = idle_since.max(self.tasks[task].waits_since);
                    self.wasted_max_ns = self.wasted_max_ns.max(self.now_ns - both);
                }
            }
        }
    }
}

fn key_of(task: usize) -> TaskKey {
    TaskKey {
        pid: task as u32 + 1,
        start_ns: 1,
    }
}

//! What must hold after every batch, on random histories, by looking at every task.

use alloc::{format, string::String, vec, vec::Vec};

use baton_policy::{
    CpuSet, Driver, Enqueue, Event, EventKind, Machine, Placement, Rng, Setup, TaskInfo, TaskKey,
    US,
};

use super::*;

const CPUS: u32 = 3;
const TASKS: usize = 24;

/// What the history knows of a task, without the policy.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    Gone,
    Asleep,
    Custody,
    /// Decided, with its key.
    Ready(u64),
    Running {
        cpu: u32,
        since_ns: u64,
    },
}

struct History {
    driver: Driver<Eevdf>,
    rng: Rng,
    now_ns: u64,
    tasks: Vec<(TaskKey, u64, CpuSet, Where)>,
    /// By CPU, when the policy looked last.
    earliest: Vec<Option<i64>>,
    affinity: bool,
    picks: u32,
    what: String,
}

impl History {
    fn new(seed: u64, affinity: bool) -> Self {
        let machine = Machine::uniform("three", CPUS);
        let params = [("sync".into(), "false".into())];
        let setup = Setup::with_params(&machine, seed, &params);
        let key = |index| TaskKey {
            pid: index as u32 + 1,
            start_ns: 0,
        };
        let task = |index| (key(index), 0, CpuSet::EMPTY, Where::Gone);
        Self {
            driver: Driver::new(&setup).unwrap(),
            rng: Rng::new(seed),
            now_ns: 1,
            tasks: (0..TASKS).map(task).collect(),
            earliest: vec![None; CPUS as usize],
            affinity,
            picks: 0,
            what: format!("seed {seed}"),
        }
    }

    fn tell(&mut self, task: usize, kind: EventKind) {
        self.driver.event(&Event {
            time_ns: self.now_ns,
            task: self.tasks[task].0,
            kind,
        });
    }

    /// Ends batches and takes the decisions over, until there is nothing more to do.
    fn settle(&mut self) {
        loop {
            self.driver.batch_end(self.now_ns);
            let mut replaced = Vec::new();
            for decision in self.driver.decisions().to_vec() {
                let task = decision.task.pid as usize - 1;
                let (_, seq, _, place) = &mut self.tasks[task];
                assert_eq!(*seq, decision.seq, "{}", self.what);
                // A hold and a release in one batch come in this order.
                assert!(*place == Where::Custody, "{}: {decision:?}", self.what);
                match decision.placement {
                    Placement::Hold { .. } => {}
                    Placement::Ready { key } => {
                        *place = Where::Ready(key);
                        self.check_release(decision.task, key);
                    }
                    Placement::Hint { .. } => panic!("a hint in decide mode: {decision:?}"),
                    Placement::Cpu { cpu } => {
                        self.check_replacement(decision.task, cpu);
                        replaced.push((task, cpu));
                    }
                }
            }
            self.driver.clear_decisions();
            self.earliest = (0..CPUS).map(|cpu| self.earliest(cpu)).collect();
            if replaced.is_empty() {
                return;
            }
            for (task, cpu) in replaced {
                self.replace(task, cpu);
            }
        }
    }

    fn replace(&mut self, task: usize, cpu: u32) {
        if let Some(running) = self.tasks.iter().position(|task| on(task.3, cpu)) {
            self.stop(running, StopReason::Preempted);
            self.enqueue(running, EnqueueReason::Preempted);
        }
        let since_ns = self.now_ns;
        self.tasks[task].3 = Where::Running { cpu, since_ns };
        self.tell(task, EventKind::Running { cpu });
    }

    fn step(&mut self) {
        let task = self.rng.below(TASKS as u64) as usize;
        self.now_ns += self.rng.below(4 * MS);
        match self.tasks[task].3 {
            Where::Gone => self.join(task),
            Where::Asleep if self.rng.below(20) == 0 => self.exit(task),
            Where::Asleep => self.enqueue(task, EnqueueReason::Wakeup),
            Where::Custody | Where::Ready(_) if self.rng.below(30) == 0 => self.disturb(task),
            Where::Custody | Where::Ready(_) => {
                let cpu = self.rng.below(u64::from(CPUS)) as u32;
                if let Some(task) = self.tasks.iter().position(|task| on(task.3, cpu)) {
                    self.slice_over(task, cpu);
                }
            }
            Where::Running { .. } if self.rng.below(4) == 0 => {
                self.stop(task, StopReason::Slept);
                self.tasks[task].3 = Where::Asleep;
            }
            Where::Running { cpu, .. } => self.slice_over(task, cpu),
        }
        self.settle();
        for cpu in 0..CPUS {
            if !self.tasks.iter().any(|task| on(task.3, cpu)) {
                self.pick(cpu);
                self.settle();
            }
        }
        self.check();
    }

    fn join(&mut self, task: usize) {
        let weight = [1, 33, 100, 100, 305, 10_000][self.rng.below(6) as usize];
        let allowed = match self.rng.below(6) {
            _ if !self.affinity => CpuSet::first(1024),
            0 => [self.rng.below(u64::from(CPUS)) as u32]
                .into_iter()
                .collect(),
            1 => CpuSet::first(2),
            _ => CpuSet::first(1024),
        };
        let info = TaskInfo {
            weight,
            allowed,
            ..TaskInfo::default()
        };
        self.tasks[task].2 = allowed;
        let known = self.tasks[task].3 != Where::Gone;
        self.tell(
            task,
            if known {
                EventKind::Update(info)
            } else {
                EventKind::Join(info)
            },
        );
        if !known {
            self.enqueue(task, EnqueueReason::New);
        }
    }

    fn exit(&mut self, task: usize) {
        self.tell(task, EventKind::Exit);
        self.tasks[task].0.start_ns += 1;
        self.tasks[task].3 = Where::Gone;
    }

    /// Something happens to a task that waits.
    fn disturb(&mut self, task: usize) {
        match self.rng.below(5) {
            0 => self.exit(task),
            1 => {
                self.tell(task, EventKind::Dequeue);
                self.tasks[task].3 = Where::Asleep;
            }
            2 if self.tasks[task].3 == Where::Custody => {
                self.tell(task, EventKind::Rescued);
                self.tasks[task].3 = Where::Ready(0);
            }
            3 => {
                self.join(task);
                self.enqueue(task, EnqueueReason::Requeued);
            }
            _ => self.enqueue(task, EnqueueReason::Requeued),
        }
    }

    fn enqueue(&mut self, task: usize, reason: EnqueueReason) {
        let decided = self.rng.below(10) == 0;
        let place = &mut self.tasks[task];
        place.1 += 1;
        place.3 = if decided {
            Where::Ready(0)
        } else {
            Where::Custody
        };
        let enqueue = Enqueue {
            seq: place.1,
            reason,
            decided,
            ..Enqueue::default()
        };
        self.tell(task, EventKind::Enqueue(enqueue));
    }

    fn stop(&mut self, task: usize, reason: StopReason) {
        let Where::Running { cpu, since_ns } = self.tasks[task].3 else {
            return;
        };
        let kind = EventKind::Stopping {
            cpu,
            runtime_ns: self.now_ns - since_ns,
            reason,
        };
        self.tell(task, kind);
    }

    fn slice_over(&mut self, task: usize, cpu: u32) {
        if self.ready(cpu).is_none() {
            return;
        }
        let reasons = [
            (StopReason::SliceOver, EnqueueReason::SliceOver),
            (StopReason::Preempted, EnqueueReason::Preempted),
            (StopReason::Yielded, EnqueueReason::Yielded),
        ];
        let (stop, enqueue) = reasons[self.rng.below(3) as usize];
        self.stop(task, stop);
        self.enqueue(task, enqueue);
        self.pick(cpu);
    }

    /// The earliest key that a CPU can take.
    fn ready(&self, cpu: u32) -> Option<usize> {
        let can = |task: &(TaskKey, u64, CpuSet, Where)| match task.3 {
            Where::Ready(key) if task.2.contains(cpu) => Some(key as i64),
            _ => None,
        };
        let keys = self.tasks.iter().map(can).enumerate();
        let best = keys.filter_map(|(task, key)| Some((key?, task))).min();
        best.map(|(_, task)| task)
    }

    /// An idle CPU takes what there is, or tells that it is dry.
    fn pick(&mut self, cpu: u32) {
        let held =
            |task: &(TaskKey, u64, CpuSet, Where)| task.3 == Where::Custody && task.2.contains(cpu);
        let held = self.tasks.iter().any(held);
        if self.ready(cpu).is_none() && held {
            self.tell(0, EventKind::CpuDry { cpu });
            self.settle();
            assert!(self.ready(cpu).is_some(), "{}: still dry", self.what);
        }
        let Some(task) = self.ready(cpu) else {
            return;
        };
        self.picks += 1;
        self.check_pick(task, cpu);
        self.replace(task, cpu);
    }

    fn states(&self) -> Vec<(usize, EevdfTask)> {
        let tasks = self.driver.tasks();
        let known = |(index, (key, ..)): (usize, &(TaskKey, u64, CpuSet, Where))| {
            Some((index, tasks[tasks.find(*key)?].state))
        };
        self.tasks.iter().enumerate().filter_map(known).collect()
    }

    /// Weighted average over all that compete, by the definition; twice its
    /// denominator's error.
    fn average(&self) -> (i128, i128) {
        let clock = &self.driver.policy().clock;
        let (mut moment, mut weights) = (0, 0);
        for (_, task) in self.states().iter().filter(|(_, task)| task.competes) {
            let used_ns = match task.place {
                Place::Running { began_ns, .. } => clock.contended_now_ns() - began_ns,
                _ => 0,
            };
            let vruntime = i128::from(task.vruntime) + i128::from(clock.base(task.group));
            moment += i128::from(task.weight) * vruntime + 100 * i128::from(used_ns);
            weights += i128::from(task.weight);
        }
        (moment, weights)
    }

    fn eligible(&self, task: &EevdfTask) -> bool {
        let (moment, weights) = self.average();
        let vruntime = task.vruntime + self.driver.policy().clock.base(task.group);
        i128::from(vruntime) * weights <= moment
    }

    /// The earliest deadline of all eligible tasks that wait and may run on a CPU,
    /// released or not.
    fn earliest(&self, cpu: u32) -> Option<i64> {
        let waits = |(task, state): &(usize, EevdfTask)| {
            let known = matches!(self.tasks[*task].3, Where::Custody | Where::Ready(1..));
            known && self.tasks[*task].2.contains(cpu) && self.eligible(state)
        };
        let base = |group| self.driver.policy().clock.base(group);
        let states = self.states().into_iter().filter(waits);
        states
            .map(|(_, state)| state.deadline + base(state.group))
            .min()
    }

    /// The key is the deadline, and who was released is eligible or would have been
    /// the next of its group.
    fn check_release(&self, task: TaskKey, key: u64) {
        let states = self.states();
        let own = |(index, _): &&(usize, EevdfTask)| self.tasks[*index].0 == task;
        let (_, released) = states.iter().find(own).unwrap();
        let base = self.driver.policy().clock.base(released.group);
        assert_eq!(key as i64, released.deadline + base, "{}", self.what);
        let ahead = |(_, other): &&(usize, EevdfTask)| {
            let rival = other.place == Place::Held && other.group == released.group;
            rival && other.vruntime < released.vruntime
        };
        let passed_over = states.iter().find(ahead);
        let fair = self.eligible(released) || passed_over.is_none();
        assert!(fair, "{}: {released:?} before {passed_over:?}", self.what);
    }

    /// What it replaces has used its slice, and would not be picked again by the rule.
    fn check_replacement(&self, task: TaskKey, cpu: u32) {
        let running = self.tasks.iter().position(|task| on(task.3, cpu));
        let states = self.states();
        let of = |index: usize| states.iter().find(|state| state.0 == index).unwrap().1;
        let (new, old) = (of(task.pid as usize - 1), of(running.unwrap()));
        let clock = &self.driver.policy().clock;
        let Place::Running { began_ns, .. } = old.place else {
            panic!("{}: {old:?}", self.what);
        };
        let used_ns = clock.contended_now_ns() - began_ns;
        let now = old.vruntime + virtual_ns(used_ns as u64, old.weight);
        let (moment, weights) = self.average();
        let next = now + virtual_ns(3 * MS, old.weight) + clock.base(old.group);
        let eligible = i128::from(now + clock.base(old.group)) * weights <= moment;
        let later = next > new.deadline + clock.base(new.group);
        assert!(now >= old.deadline, "{}: {old:?}", self.what);
        assert!(
            self.eligible(&new) && (!eligible || later),
            "{}: {new:?}",
            self.what
        );
    }

    /// What was picked has the earliest deadline of all that were eligible when the
    /// policy looked last. Keys do not move with a group, so there is only one here.
    fn check_pick(&self, picked: usize, cpu: u32) {
        let Where::Ready(key) = self.tasks[picked].3 else {
            panic!("{}: it was ready", self.what);
        };
        if let Some(earliest) = self.earliest[cpu as usize].filter(|_| !self.affinity) {
            assert!(key as i64 <= earliest, "{}: {key} {earliest}", self.what);
        }
    }

    /// What the policy notes of CPUs, found out anew: which have something, whose slice is
    /// over, and that every group has as many released tasks as will be wanted.
    fn check_cpus(&self) {
        let policy = self.driver.policy();
        let state = |id| self.driver.tasks()[id].state;
        let now_ns = policy.clock.contended_now_ns();
        for cpu in 0..CPUS as usize {
            let (runs, sent) = (policy.running[cpu], policy.sent[cpu]);
            let busy = policy.busy.contains(cpu as u32);
            assert_eq!(busy, runs.or(sent).is_some(), "{}: CPU {cpu}", self.what);
            let over = runs.map(state).is_some_and(|task| match task.place {
                Place::Running { began_ns, .. } => {
                    let used_ns = (now_ns - began_ns).max(0) as u64;
                    task.vruntime + virtual_ns(used_ns, task.weight) >= task.deadline
                }
                _ => false,
            });
            let noted = policy.over_ns[cpu] <= now_ns;
            assert_eq!(noted, over, "{}: CPU {cpu}", self.what);
        }
        for next in policy.held_queues() {
            let vruntime = policy.vruntime_of(&next);
            let gives_way = |id| policy.gives_way(&state(id), vruntime);
            let first = policy.order.first(RELEASED);
            let idle = 1 + usize::from(first.is_some_and(|first| gives_way(first.task)));
            let wanted = |cpu| match policy.soon_on(cpu) {
                Some(id) => usize::from(gives_way(id)),
                None => idle,
            };
            let wanted: usize = policy.groups.cpus(next.queue).iter().map(wanted).sum();
            let released = policy.groups.released(next.queue);
            assert!(released >= wanted, "{}: {released} {wanted}", self.what);
        }
    }

    /// Everything that the policy counts, counted anew.
    fn check(&self) {
        self.check_cpus();
        let policy = self.driver.policy();
        let (moment, weights) = self.average();
        if weights > 0 {
            let average = i128::from(policy.clock.average());
            assert_eq!(average, moment.div_euclid(weights), "{}", self.what);
        }
        let mut order: Vec<(u32, i64, usize)> = vec![];
        let mut released = vec![0; policy.groups.len()];
        for (task, state) in self.states() {
            let (_, _, allowed, place) = self.tasks[task];
            let group = policy.groups.cpus(state.group);
            assert_eq!(*group, allowed.intersection(&CpuSet::first(CPUS as usize)));
            let expected = match place {
                Where::Gone | Where::Asleep => (Place::Away, false),
                Where::Custody => (Place::Held, true),
                Where::Ready(_) => (Place::Released, true),
                Where::Running { cpu, .. } => {
                    let running = policy.running[cpu as usize].unwrap();
                    let running = self.driver.tasks().get(running).unwrap();
                    assert_eq!(running.key, self.tasks[task].0, "{}", self.what);
                    (state.place, true)
                }
            };
            assert_eq!((state.place, state.competes), expected, "{}", self.what);
            match state.place {
                Place::Held => {
                    order.push((state.group, state.vruntime, task));
                    assert!(!self.eligible(&state), "{}: {state:?}", self.what);
                }
                Place::Released => released[state.group as usize] += 1,
                _ => {}
            }
        }
        let held: Vec<_> = policy.held_queues().collect();
        order.sort_unstable();
        order.dedup_by_key(|(queue, _, _)| *queue);
        let firsts: Vec<_> = held
            .iter()
            .map(|entry| (entry.queue, entry.value))
            .collect();
        let expected: Vec<_> = order
            .iter()
            .map(|(queue, value, _)| (*queue, *value))
            .collect();
        assert_eq!(firsts, expected, "{}", self.what);
        for (group, released) in released.iter().enumerate() {
            assert_eq!(
                policy.groups.released(group as u32),
                *released,
                "{}",
                self.what
            );
        }
    }
}

fn on(place: Where, cpu: u32) -> bool {
    matches!(place, Where::Running { cpu: there, .. } if there == cpu)
}

#[test]
fn random_histories() {
    for seed in 1..=30 {
        let mut history = History::new(seed, seed % 2 == 0);
        for step in 0..600 {
            history.what = format!("seed {seed} step {step}");
            history.step();
        }
        assert!(history.picks > 200, "seed {seed}: {} picks", history.picks);
        assert!(history.now_ns > 100 * US);
    }
}

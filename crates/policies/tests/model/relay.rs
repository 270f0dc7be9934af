//! The relay's part: custody, the queues, and what becomes of decisions.

use baton_policy::{
    Decision, Event, EventKind, Options, Placement, Policy, StopReason, TaskKey, key_before,
};

use super::{DELAY_NS, EnqueueReason, LOCAL_MAX, Model, STARVE_SCAN_NS, State, Task, What, key_of};

impl<P: Policy> Model<P> {
    pub(super) fn idle_for(&self, task: usize) -> Option<usize> {
        let own = self.tasks[task].cpu;
        let order = std::iter::once(own).chain(0..self.cpus.len());
        let mut idle = order.filter(|cpu| self.cpus[*cpu].runs.is_none());
        idle.find(|cpu| self.may_run(task, *cpu))
    }

    /// What the CPU runs next.
    pub(super) fn take(&mut self, cpu: usize) -> Option<(usize, u64)> {
        if let Some(task) = self.cpus[cpu].local.pop_front() {
            return Some((task, self.tasks[task].slice_ns));
        }
        if let Some(place) = self.rescue.iter().position(|task| self.may_run(*task, cpu)) {
            let task = self.rescue.remove(place)?;
            return Some((task, self.options.rescue_slice_ns));
        }
        let mut first: Option<usize> = None;
        for (place, (key, task)) in self.ready.iter().enumerate() {
            let before = first.is_none_or(|first| key_before(*key, self.ready[first].0));
            if self.may_run(*task, cpu) && before {
                first = Some(place);
            }
        }
        let (_, task) = self.ready.remove(first?);
        Some((task, self.tasks[task].slice_ns))
    }

    /// Wakes the policy's thread, which is of a higher class and has one of the CPUs until
    /// it has decided.
    pub(super) fn rouse(&mut self) {
        if std::mem::replace(&mut self.is_batch_due, true) {
            return;
        }
        self.plan(self.now_ns + DELAY_NS, What::Batch);
        self.batches += 1;
        let cpu = self.batches % self.cpus.len();
        let Some(task) = self.cpus[cpu].runs.filter(|_| self.interrupts) else {
            return;
        };
        let runtime_ns = self.charge(task, cpu);
        self.cpus[cpu].token += 1;
        self.cpus[cpu].interrupted = true;
        let reason = StopReason::Preempted;
        self.tell_stop(task, cpu, runtime_ns, reason);
        self.taken_ns += DELAY_NS;
    }

    /// The policy's thread sleeps: the interrupted task goes on, or who goes before it; then
    /// it is enqueued anew, which happens when it comes to run but is told here at once.
    fn resume(&mut self) {
        let Some(cpu) = self.cpus.iter().position(|cpu| cpu.interrupted) else {
            return;
        };
        self.cpus[cpu].interrupted = false;
        let left_ns = self.cpus[cpu].slice_end_ns.saturating_sub(self.now_ns);
        let task = self.cpus[cpu].runs.unwrap();
        self.tasks[task].since_ns = self.now_ns;
        if let Some(first) = self.cpus[cpu].ahead.take() {
            self.cpus[cpu].runs = None;
            self.enqueue(task, EnqueueReason::Preempted);
            let slice_ns = self.tasks[first].slice_ns;
            return self.start(cpu, first, slice_ns);
        }
        if self.options.interests.running {
            self.tell(task, EventKind::Running { cpu: cpu as u32 });
        }
        self.go_on(cpu, task, left_ns);
    }

    pub(super) fn batch(&mut self) {
        self.is_batch_due = false;
        self.driver.clear_decisions();
        for event in std::mem::take(&mut self.inbox) {
            self.driver.event(&event);
        }
        self.driver.batch_end(self.now_ns);
        let decisions = self.driver.decisions().to_vec();
        for decision in &decisions {
            self.carry_out(decision);
        }
        self.decisions.extend(decisions);
        self.resume();
        // What was enqueued just now, by preemption, is still to be told of.
        let undecided = self.tasks.iter().enumerate().filter(|(index, task)| {
            let told = !self.inbox.iter().any(|event| event.task == key_of(*index));
            task.state == State::Custody(None) && told
        });
        let undecided: Vec<_> = undecided.collect();
        assert!(undecided.is_empty(), "no decision about {undecided:?}");
    }

    pub(super) fn carry_out(&mut self, decision: &Decision) {
        let task = decision.task.pid as usize - 1;
        let entry = &mut self.tasks[task];
        if entry.seq != decision.seq || !matches!(entry.state, State::Custody(_)) {
            return;
        }
        let slice_ns = match decision.slice_ns {
            0 => self
                .options
                .granted_slice_ns(0, self.ready.len() as u32, self.cpus.len() as u32),
            named => named,
        };
        entry.slice_ns = slice_ns;
        match decision.placement {
            Placement::Hold { lease_ns } => {
                let end = self.now_ns + lease_ns.min(Options::LEASE_MAX_NS);
                entry.state = State::Custody(Some(end));
                let seq = entry.seq;
                self.plan(end, What::Lease(task, seq));
            }
            Placement::Cpu { cpu } => self.place(task, cpu as usize, decision),
            Placement::Ready { key } => {
                entry.key = key;
                entry.keyed = true;
                if let Some(cpu) = self.idle_for(task) {
                    return self.start(cpu, task, slice_ns);
                }
                if decision.preempt
                    && let Some(cpu) = self.victim(task, key)
                {
                    return self.preempt(cpu, task);
                }
                self.tasks[task].state = State::Queued;
                self.ready.push((key, task));
            }
            Placement::Hint { .. } => panic!("a hint in decide mode"),
        }
    }

    pub(super) fn place(&mut self, task: usize, cpu: usize, decision: &Decision) {
        let fits = cpu < self.cpus.len() && self.may_run(task, cpu);
        if !fits || self.cpus[cpu].local.len() >= LOCAL_MAX {
            self.invalid += 1;
            return;
        }
        self.tasks[task].keyed = false;
        let slice_ns = self.tasks[task].slice_ns;
        if self.cpus[cpu].runs.is_none() {
            self.start(cpu, task, slice_ns);
        } else if decision.preempt && self.cpus[cpu].local.is_empty() && self.had_its_turn(cpu) {
            if !self.cpus[cpu].interrupted {
                self.preempt(cpu, task);
            } else if self.cpus[cpu].ahead.is_none() {
                self.tasks[task].state = State::Queued;
                self.cpus[cpu].ahead = Some(task);
            } else {
                self.tasks[task].state = State::Queued;
                self.cpus[cpu].local.push_back(task);
            }
        } else {
            self.tasks[task].state = State::Queued;
            self.cpus[cpu].local.push_back(task);
        }
    }

    pub(super) fn had_its_turn(&self, cpu: usize) -> bool {
        let running = self.cpus[cpu].runs.map(|task| &self.tasks[task]);
        running.is_some_and(|task| {
            let burst_ns = task.burst_ns + (self.now_ns - task.since_ns);
            burst_ns >= self.options.preemption.min_burst_ns
        })
    }

    pub(super) fn victim(&self, task: usize, key: u64) -> Option<usize> {
        let lead_ns = self.options.preemption.min_lead_ns;
        (0..self.cpus.len()).find(|&cpu| {
            let running = self.cpus[cpu].runs.map(|task| &self.tasks[task]);
            let later = running.is_some_and(|running| {
                running.keyed && key_before(key.wrapping_add(lead_ns), running.key)
            });
            let stands = !self.cpus[cpu].interrupted && self.had_its_turn(cpu);
            self.may_run(task, cpu) && later && stands
        })
    }

    pub(super) fn preempt(&mut self, cpu: usize, task: usize) {
        self.preemptions += 1;
        let victim = self.stop(cpu, StopReason::Preempted);
        let slice_ns = self.tasks[task].slice_ns;
        if self.tasks[victim].left_ns == 0 {
            self.tasks[victim].left_ns = 1;
        }
        self.enqueue(victim, EnqueueReason::Preempted);
        self.start(cpu, task, slice_ns);
    }

    pub(super) fn lease_over(&mut self, task: usize, seq: u64) {
        let entry = &mut self.tasks[task];
        if entry.seq != seq || entry.state != State::Custody(Some(self.now_ns)) {
            return;
        }
        self.rescues += 1;
        entry.state = State::Queued;
        entry.keyed = false;
        if self.options.interests.custody {
            self.tell(task, EventKind::Rescued);
        }
        match self.idle_for(task) {
            Some(cpu) => self.start(cpu, task, self.options.rescue_slice_ns),
            None => self.rescue.push_back(task),
        }
    }

    /// Takes those out of ready that waited too long for their key.
    pub(super) fn rescue_starved(&mut self) {
        let latest = self.now_ns.saturating_sub(self.options.starve_after_ns);
        let starved = |task: usize, tasks: &[Task]| tasks[task].waits_since < latest;
        for (_, task) in self
            .ready
            .extract_if(.., |(_, task)| starved(*task, &self.tasks))
        {
            self.starved += 1;
            self.rescue.push_back(task);
        }
        self.plan(self.now_ns + STARVE_SCAN_NS, What::Starve);
    }

    /// Whether tasks are in custody; if so, tells that a CPU has nothing else.
    pub(super) fn tell_dry(&mut self, cpu: usize) -> bool {
        let held = self
            .tasks
            .iter()
            .any(|task| matches!(task.state, State::Custody(_)));
        let interests = self.options.interests;
        let wanted = match self.cpus[cpu].runs {
            Some(_) => interests.alone,
            None => interests.dry,
        };
        if held && wanted {
            self.inbox.push(Event {
                time_ns: self.now_ns,
                task: TaskKey::default(),
                kind: EventKind::CpuDry { cpu: cpu as u32 },
            });
            self.rouse();
        }
        held
    }
}

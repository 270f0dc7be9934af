//! Who competes for CPUs, where they are, and what they have used.

use baton_policy::{Context, TaskId, WEIGHT_DEFAULT};

use super::{
    Eevdf, EevdfTask, LAG_SLICES, NEVER, Place, RELEASED, RUNNING, SLEEP_SLICES, VIRTUAL_MAX,
    order::Entry, rescale, virtual_ns,
};

impl Eevdf {
    /// Changes a copy of the task's state and puts it back.
    pub(super) fn step(
        &mut self,
        cx: &mut Context<'_, EevdfTask>,
        id: TaskId,
        change: impl FnOnce(&mut Self, &mut EevdfTask),
    ) {
        let mut task = *cx.state(id);
        change(self, &mut task);
        *cx.state(id) = task;
    }

    /// The task neither runs nor waits, as far as is known. If it ran, it is charged
    /// for the time until now.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_, EevdfTask>, id: TaskId) {
        self.step(cx, id, |policy, task| {
            let used_ns = policy.used_ns(task);
            policy.put(task, id, Place::Away);
            if task.competes {
                policy.charge(task, used_ns);
            }
            policy.leave(task);
        });
    }

    /// Nothing runs on a CPU: what did has left without a word.
    pub(super) fn vacate(&mut self, cx: &mut Context<'_, EevdfTask>, cpu: u32) {
        if let Some(id) = at(&self.running, cpu) {
            self.withdraw(cx, id);
        }
    }

    /// What a task has used since it got its CPU, while others waited.
    pub(super) fn used_ns(&self, task: &EevdfTask) -> u64 {
        match task.place {
            Place::Running { began_ns, .. } => {
                let used_ns = self.clock.contended_now_ns().saturating_sub(began_ns);
                used_ns.max(0) as u64
            }
            _ => 0,
        }
    }

    /// Moves a task from one place to another and keeps all counts.
    pub(super) fn put(&mut self, task: &mut EevdfTask, id: TaskId, to: Place) {
        let base = self.clock.base(task.group);
        for (place, begins) in [(task.place, false), (to, true)] {
            match place {
                Place::Away => {}
                Place::Held => {
                    self.clock.wait(begins);
                    self.stand(id, begins, task.group, task.vruntime);
                }
                Place::Released => {
                    self.clock.wait(begins);
                    self.groups.release(task.group, begins);
                    self.stand(id, begins, RELEASED, base.saturating_add(task.deadline));
                }
                Place::Sent { cpu } => {
                    self.clock.wait(begins);
                    occupy(&mut self.sent, cpu, begins.then_some(id));
                    self.note_busy(cpu);
                }
                Place::Running { cpu, began_ns } => {
                    self.clock.run(task.group, began_ns, begins);
                    occupy(&mut self.running, cpu, begins.then_some(id));
                    self.note_busy(cpu);
                    self.note_over(cpu, begins.then_some((began_ns, &*task)));
                    self.stand(id, begins, RUNNING, base.saturating_add(task.deadline));
                }
                Place::Paused { cpu } => {
                    occupy(&mut self.running, cpu, begins.then_some(id));
                    self.note_busy(cpu);
                }
            }
        }
        task.place = to;
    }

    fn note_busy(&mut self, cpu: u32) {
        if at(&self.running, cpu).or(at(&self.sent, cpu)).is_some() {
            self.busy.insert(cpu);
        } else {
            self.busy.remove(cpu);
        }
    }

    /// Notes when the slice of a task that runs since `began_ns` is over: as soon as what
    /// it uses adds up to what its vruntime is short of its deadline.
    fn note_over(&mut self, cpu: u32, runs: Option<(i64, &EevdfTask)>) {
        let Some(over_ns) = self.over_ns.get_mut(cpu as usize) else {
            return;
        };
        *over_ns = runs.map_or(NEVER, |(began_ns, task)| {
            let left = task.deadline.saturating_sub(task.vruntime).max(0);
            let scaled = left as u128 * u128::from(task.weight);
            let left_ns = scaled.div_ceil(u128::from(WEIGHT_DEFAULT));
            began_ns.saturating_add(left_ns.min(VIRTUAL_MAX.into()) as i64)
        });
    }

    fn stand(&mut self, task: TaskId, begins: bool, queue: u32, value: i64) {
        if begins {
            self.order.insert(Entry { queue, value, task });
        } else {
            self.order.remove(task.index() as u32);
        }
    }

    /// The task competes from now on. It comes back to the average less its lag; as
    /// its coming moves the average, by more than the lag.
    pub(super) fn enter(&mut self, task: &mut EevdfTask) {
        if task.competes {
            return;
        }
        let average = self.clock.average();
        if task.lag < 0 {
            let moved_ns = average.saturating_sub(task.left_average).max(0);
            let free_ns = virtual_ns(self.clock.free_ns() - task.left_free_ns, task.weight);
            let paid_ns = moved_ns.saturating_add(free_ns);
            task.lag = task.lag.saturating_add(paid_ns).min(0);
        }
        let (average, others) = self.clock.reference(task.group, 0);
        let behind = match others {
            0 => 0,
            others => rescale(task.lag, others + u64::from(task.weight), others),
        };
        let base = self.clock.base(task.group);
        task.vruntime = average.saturating_sub(behind).saturating_sub(base);
        task.competes = true;
        self.clock.enter(task.group, task.weight, task.vruntime);
    }

    /// It competes no longer; its lag is kept.
    pub(super) fn leave(&mut self, task: &mut EevdfTask) {
        if !task.competes {
            return;
        }
        let most = virtual_ns(self.options.slice_ns * SLEEP_SLICES, task.weight);
        let (average, _) = self.clock.reference(task.group, task.weight);
        let vruntime = task.vruntime.saturating_add(self.clock.base(task.group));
        task.lag = average.saturating_sub(vruntime).clamp(-most, most);
        task.competes = false;
        self.clock.leave(task.group, task.weight, task.vruntime);
        task.left_average = self.clock.average();
        task.left_free_ns = self.clock.free_ns();
    }

    /// Adds CPU time to a task's vruntime.
    pub(super) fn charge(&mut self, task: &mut EevdfTask, used_ns: u64) {
        self.advance(task, virtual_ns(used_ns, task.weight));
        self.forgive(task, 0);
        let slack_ns = self.options.slice_ns * LAG_SLICES;
        self.clock.rein_in(task.group, slack_ns);
    }

    /// Forgives what a task, which has used so much since its last charge, is owed
    /// beyond the bound: it cannot get it, for no machine gives a task more than a CPU.
    fn forgive(&mut self, task: &mut EevdfTask, used_ns: u64) {
        let base = self.clock.base(task.group);
        let used = virtual_ns(used_ns, task.weight);
        let vruntime = task.vruntime.saturating_add(base).saturating_add(used);
        let (average, _) = self.clock.reference(task.group, task.weight);
        let most = virtual_ns(self.options.slice_ns * LAG_SLICES, task.weight);
        let beyond = average.saturating_sub(vruntime).saturating_sub(most);
        if beyond > 0 {
            self.advance(task, beyond);
        }
    }

    /// The same for tasks that run on and on, for want of others.
    pub(super) fn forgive_running(&mut self, cx: &mut Context<'_, EevdfTask>) {
        for cpu in 0..self.running.len() {
            let Some(id) = self.running[cpu] else {
                continue;
            };
            self.step(cx, id, |policy, task| {
                if let Place::Running { cpu, began_ns } = task.place {
                    policy.forgive(task, policy.used_ns(task));
                    policy.note_over(cpu, Some((began_ns, task)));
                }
            });
        }
    }

    fn advance(&mut self, task: &mut EevdfTask, by_ns: i64) {
        task.vruntime = task.vruntime.saturating_add(by_ns);
        self.clock.shift(task.group, task.weight, by_ns);
    }
}

/// Notes what a CPU has, if there is such a CPU.
fn occupy(cpus: &mut [Option<TaskId>], cpu: u32, by: Option<TaskId>) {
    if let Some(has) = cpus.get_mut(cpu as usize) {
        *has = by;
    }
}

/// What a CPU has.
pub(super) fn at(cpus: &[Option<TaskId>], cpu: u32) -> Option<TaskId> {
    cpus.get(cpu as usize).copied().flatten()
}

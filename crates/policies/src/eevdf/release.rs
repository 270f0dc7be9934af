//! When held tasks are released, and on what terms.

use baton_policy::{Context, Options, TaskId, WEIGHT_DEFAULT};

use super::{
    Eevdf, EevdfTask, LEASE_MIN_NS, LEASE_WAITS, LOAD_MAX, LONG_SLICES, Place, RELEASED, RUNNING,
    SLEEP_SLICES, SOON_SLICES, VIRTUAL_MAX, WAIT_MAX_NS, compete::at, order::Entry, unweighted,
    virtual_ns,
};

impl Eevdf {
    /// The first held task of the first queue at or after `queue` that has any.
    pub(super) fn held_from(&self, queue: u32) -> Option<Entry> {
        self.order
            .first_from(queue)
            .filter(|entry| entry.queue < RELEASED)
    }

    /// The first held task of each queue.
    pub(super) fn held_queues(&self) -> impl Iterator<Item = Entry> {
        core::iter::successors(self.held_from(0), |entry| self.held_from(entry.queue + 1))
    }

    /// The vruntime of a held task, comparable between groups.
    pub(super) fn vruntime_of(&self, held: &Entry) -> i64 {
        held.value.saturating_add(self.clock.base(held.queue))
    }

    /// Releases who is eligible, and then who will run next all the same.
    pub(super) fn release_due(&mut self, cx: &mut Context<'_, EevdfTask>, group: u32) {
        let average = self.clock.average();
        while let Some(entry) = self.order.first(group) {
            let eligible = self.vruntime_of(&entry) <= average;
            if !eligible && !self.wants_more(cx, &entry) {
                break;
            }
            self.release(cx, entry);
        }
    }

    /// Whether a group has fewer released tasks than it should, if `next` is the first of
    /// those held: one for each CPU that will have done with what runs there. Where
    /// nothing runs, one of the released runs at once, and one is to follow it.
    fn wants_more(&self, cx: &Context<'_, EevdfTask>, next: &Entry) -> bool {
        let released = self.groups.released(next.queue);
        let cpus = self.groups.cpus(next.queue).intersection(cx.online());
        if cpus.is_empty() {
            // Only the backend knows what to do with such tasks.
            return true;
        }
        let vruntime = self.vruntime_of(next);
        let gives_way = |id| self.gives_way(&cx.task(id).state, vruntime);
        let first = self.order.first(RELEASED);
        let idle = 1 + usize::from(first.is_some_and(|first| gives_way(first.task)));
        let busy = cpus.intersection(&self.busy);
        let unused = idle * (cpus.len() - busy.len());
        // Mostly the answer is the same for all CPUs, and it need not be counted.
        if released >= unused + busy.len() || released < unused {
            return released < unused;
        }
        if vruntime <= self.average_in(self.options.slice_ns * SOON_SLICES) {
            return true;
        }
        let done = |cpu: &u32| self.soon_on(*cpu).is_some_and(gives_way);
        busy.iter().filter(done).nth(released - unused).is_some()
    }

    /// What runs on a CPU, or will at once.
    pub(super) fn soon_on(&self, cpu: u32) -> Option<TaskId> {
        at(&self.sent, cpu).or(at(&self.running, cpu))
    }

    /// Whether a task of this vruntime is to run when the slice of the running task is
    /// over, rather than the running one again: if it will be the less ahead of the
    /// two, or eligible soon.
    pub(super) fn gives_way(&self, running: &EevdfTask, vruntime: i64) -> bool {
        // One that woke will sleep, and nobody knows when.
        if running.woken {
            return true;
        }
        let base = self.clock.base(running.group);
        let now = self.vruntime_now(running);
        let end = running.deadline.max(now);
        if vruntime <= end.saturating_add(base) {
            return true;
        }
        let left_ns = unweighted(end.saturating_sub(now), running.weight);
        let soon_ns = left_ns.saturating_add(self.options.slice_ns * SOON_SLICES);
        vruntime <= self.average_in(soon_ns)
    }

    /// The vruntime of a task that may be running, by now, relative to its group's base.
    fn vruntime_now(&self, task: &EevdfTask) -> i64 {
        let used = virtual_ns(self.used_ns(task), task.weight);
        task.vruntime.saturating_add(used)
    }

    /// Where `V` will be after so much time in which all CPUs are busy.
    fn average_in(&self, time_ns: u64) -> i64 {
        let used_ns = u128::from(time_ns) * u128::from(self.cpus) * u128::from(WEIGHT_DEFAULT);
        let moved = used_ns / u128::from(self.clock.weight().max(1));
        let moved = moved.min(u128::from(VIRTUAL_MAX)) as i64;
        self.clock.average().saturating_add(moved)
    }

    pub(super) fn release(&mut self, cx: &mut Context<'_, EevdfTask>, entry: Entry) {
        let id = entry.task;
        let mut task = *cx.state(id);
        let lag = self
            .clock
            .average()
            .saturating_sub(self.vruntime_of(&entry));
        self.put(&mut task, id, Place::Away);
        let slice_ns = self.slice_ns(task.weight);
        let left_ns = unweighted(task.deadline.saturating_sub(task.vruntime), task.weight);
        let rest_ns = left_ns.min(slice_ns);
        let more_ns = self.prolongation_ns(&task, rest_ns);
        let more = virtual_ns(more_ns, task.weight);
        task.deadline = task.deadline.saturating_add(more);
        let overdue = (lag >= 0).then(|| self.overdue(cx, &task)).flatten();
        let key = self.key(&task, lag, cx.now_ns());
        let offset_ns = self.key_offset_ns(&task, lag);
        let to = overdue.map_or(Place::Released, |cpu| Place::Sent { cpu });
        self.put(&mut task, id, to);
        *cx.state(id) = task;
        let decision = match overdue {
            Some(cpu) => cx.on_cpu(id, cpu).preempt(true),
            None => cx.ready(id, key).preempt(lag >= 0 && task.woken),
        };
        decision
            .slice_ns((rest_ns + more_ns).max(Options::SLICE_MIN_NS))
            .key_offset(offset_ns);
    }

    /// The deadline. Where the backend computes keys too, from the time, it is the time
    /// at which `V` comes to it.
    fn key(&self, task: &EevdfTask, lag: i64, now_ns: u64) -> u64 {
        if !self.options.sync_fast_path {
            let deadline = task.deadline.saturating_add(self.clock.base(task.group));
            return deadline as u64;
        }
        let left = task.deadline.saturating_sub(task.vruntime);
        now_ns.wrapping_add_signed(self.time_ns(left.saturating_sub(lag)))
    }

    /// The same for the task's next synchronous wakeups, about which the policy will not
    /// be asked. A task that wakes so mostly sleeps before its share is used, so it is
    /// taken to come back with all the credit that a sleep keeps, unless it owes.
    fn key_offset_ns(&self, task: &EevdfTask, lag: i64) -> i64 {
        let slice = virtual_ns(self.slice_ns(task.weight), task.weight);
        let most = virtual_ns(self.options.slice_ns * SLEEP_SLICES, task.weight);
        let credit = if lag < 0 { lag.max(-most) } else { most };
        self.time_ns(slice.saturating_sub(credit))
    }

    /// The CPU whose task this eligible one should replace by now: that task's slice is
    /// over, and it went on only because nobody else was released at that moment. All
    /// CPUs look at the same ticks, so it could be the same one each time that finds
    /// nothing. Where there are others for it, it gets another slice to find them.
    fn overdue(&self, cx: &Context<'_, EevdfTask>, task: &EevdfTask) -> Option<u32> {
        let grace_ns = match self.order.first(RELEASED) {
            Some(_) => self.options.slice_ns,
            None => 0,
        };
        let deadline = task.deadline.saturating_add(self.clock.base(task.group));
        let over_ns = |cpu: u32| {
            let running = &cx.task(at(&self.running, cpu)?).state;
            let runs = matches!(running.place, Place::Running { .. });
            let base = self.clock.base(running.group);
            let now = self.vruntime_now(running);
            let slice = virtual_ns(self.slice_ns(running.weight), running.weight);
            let next = now.saturating_add(slice).saturating_add(base);
            let eligible = now.saturating_add(base) <= self.clock.average();
            let over_ns = unweighted(now.saturating_sub(running.deadline), running.weight);
            let over = runs && now >= running.deadline && over_ns >= grace_ns;
            (over && (!eligible || deadline < next)).then_some((over_ns, cpu))
        };
        let now_ns = self.clock.contended_now_ns();
        let cpus = self.groups.cpus(task.group);
        // Few are, and this is asked for each release.
        let over = (0..)
            .zip(&self.over_ns)
            .filter(|(_, at_ns)| **at_ns <= now_ns);
        let here = over.filter_map(|(cpu, _)| {
            (cpus.contains(cpu) && cx.online().contains(cpu)).then_some(cpu)
        });
        let free = here.filter(|cpu| at(&self.sent, *cpu).is_none());
        let longest = free.filter_map(over_ns).max_by_key(|(over_ns, _)| *over_ns);
        longest.map(|(_, cpu)| cpu)
    }

    /// A stretch of virtual time as time, at the present load.
    fn time_ns(&self, ahead: i64) -> i64 {
        let cpus = self.cpus.max(1) * u64::from(WEIGHT_DEFAULT);
        let weight = self.clock.weight().clamp(cpus, cpus * LOAD_MAX);
        let time_ns = i128::from(ahead) * i128::from(weight) / i128::from(cpus);
        time_ns.clamp(-i128::from(WAIT_MAX_NS), i128::from(WAIT_MAX_NS)) as i64
    }

    /// By how much a slice may be longer, so that the task would be picked again each
    /// time: its deadline is before all others. Among eligible ones it must stay
    /// eligible, too; it does until its lag is used up.
    fn prolongation_ns(&self, task: &EevdfTask, rest_ns: u64) -> u64 {
        // One that woke will sleep again, and is not to lose its early deadline.
        if task.woken {
            return 0;
        }
        // A held task's deadline is later than its vruntime, and the next one of a
        // running task later than this one.
        let held = self.held_queues().map(|entry| self.vruntime_of(&entry));
        let first = |queue| self.order.first(queue).map(|entry: Entry| entry.value);
        let released = first(RELEASED);
        let waiting = held.chain(released).min();
        let Some(rival) = waiting.or_else(|| first(RUNNING)) else {
            return 0;
        };
        let base = self.clock.base(task.group);
        let room = rival.saturating_sub(task.deadline.saturating_add(base));
        let vruntime = task.vruntime.saturating_add(base);
        let lag = self.clock.average().saturating_sub(vruntime);
        let by_lag_ns = released.map_or(u128::MAX, |_| self.eligible_for_ns(task, lag));
        let most_ns = (self.options.slice_ns * LONG_SLICES).min(Options::SLICE_MAX_NS);
        let by_deadline_ns = unweighted(room, task.weight).min(most_ns.saturating_sub(rest_ns));
        u128::from(by_deadline_ns).min(by_lag_ns) as u64
    }

    /// How long a task can run before its lag is used up, which shrinks by what the
    /// task's share falls short of a whole CPU.
    fn eligible_for_ns(&self, task: &EevdfTask, lag: i64) -> u128 {
        let weights = u128::from(self.clock.weight());
        let share = u128::from(self.cpus) * u128::from(task.weight);
        match weights.saturating_sub(share) {
            0 => u128::MAX,
            short => u128::from(unweighted(lag, task.weight)) * weights / short,
        }
    }

    /// A slice for a task of this weight: one that it can use twice within
    /// [`WAIT_MAX_NS`].
    pub(super) fn slice_ns(&self, weight: u32) -> u64 {
        let share = u128::from(self.cpus) * u128::from(weight);
        let bound_ns = u128::from(WAIT_MAX_NS) * share / u128::from(self.clock.weight().max(1));
        (bound_ns.min(u128::from(self.options.slice_ns)) as u64).max(Options::SLICE_MIN_NS)
    }

    /// How long a task may be held before the backend places it.
    pub(super) fn lease_ns(&self, task: &EevdfTask) -> u64 {
        let lease_ns = self.wait_ns(task).saturating_mul(LEASE_WAITS);
        lease_ns.clamp(LEASE_MIN_NS, Options::LEASE_MAX_NS)
    }

    /// Where those who run are to go on for want of others, nothing wakes the policy
    /// when the first held task's turn comes, unless something else happens: when it is
    /// eligible, or one that runs is as far ahead. Its lease ends then, and the backend
    /// gives it its turn.
    pub(super) fn set_alarms(&self, cx: &mut Context<'_, EevdfTask>) {
        for entry in self.held_queues() {
            let vruntime = self.vruntime_of(&entry);
            let passes_ns = |cpu: u32| {
                let running = &cx.task(self.soon_on(cpu)?).state;
                let base = self.clock.base(running.group);
                let now = self.vruntime_now(running).saturating_add(base);
                Some(unweighted(vruntime.saturating_sub(now), running.weight))
            };
            let cpus = self.groups.cpus(entry.queue);
            let passed_ns = cpus.iter().filter_map(passes_ns).min();
            let wait_ns = self.wait_ns(&cx.task(entry.task).state);
            let wait_ns = wait_ns.min(passed_ns.unwrap_or(u64::MAX));
            cx.hold(entry.task, wait_ns.min(Options::LEASE_MAX_NS));
        }
    }

    /// When a held task will be eligible, if all goes on as it does.
    fn wait_ns(&self, task: &EevdfTask) -> u64 {
        let vruntime = task.vruntime.saturating_add(self.clock.base(task.group));
        let ahead = vruntime.saturating_sub(self.clock.average()).max(0);
        let speed = self.cpus.max(1) * u64::from(WEIGHT_DEFAULT);
        let wait_ns = ahead as u128 * u128::from(self.clock.weight()) / u128::from(speed);
        wait_ns.min(u128::from(u64::MAX / 4)) as u64
    }
}

//! One CPU's runqueue: virtual time, lag, deadlines, and who is next.
//!
//! EEVDF: I. Stoica and H. Abdel-Wahab, "Earliest Eligible Virtual Deadline First" (1995), as the kernel
//! has it since 6.6 (`Documentation/scheduler/sched-eevdf.rst`). A task's virtual time `v` moves by its CPU
//! time over its weight. `V` is the mean of all, weighted. `lag = V - v` is what a task is owed; it is
//! eligible when that is not negative. Its deadline is `v` plus its request over its weight, and the
//! eligible task with the earliest deadline is next. What runs stays until its request is done, as long as
//! it is eligible ("run to parity").
//!
//! CFS: I. Molnar's, 2007 (`Documentation/scheduler/sched-design-CFS.rst`): the least `v` is next, slices
//! are shares of a latency, and sleepers come back half a latency before the least.

use baton_policy::{MS, US, WEIGHT_DEFAULT, weighted};

/// What a task needs to compete.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entity {
    /// Virtual time.
    pub(super) v: i64,
    pub(super) deadline: i64,
    /// What it was owed when it left a queue.
    pub(super) lag: i64,
    /// `V` of the queue that it left while it owed something, and which that was.
    pub(super) left: Option<(u32, i64)>,
    pub(super) weight: u32,
    /// CPU time that is accounted for.
    pub(super) charged_ns: u64,
    /// CPU time when it got the CPU.
    pub(super) picked_ns: u64,
    /// When it last ran.
    pub(super) ran_until_ns: u64,
    /// Whether its request protects it from being replaced.
    pub(super) protected: bool,
    pub(super) last_wakee: u32,
    pub(super) flips: u32,
    pub(super) flips_decay_ns: u64,
    pub(super) recent_cpu: u32,
}

/// Tasks that compete for one CPU.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    /// Those that wait.
    pub(super) tasks: Vec<u32>,
    pub(super) curr: Option<u32>,
    /// `V` when it was last known; it goes on from there when the queue was empty.
    pub(super) v: i64,
    pub(super) idle_since_ns: u64,
    /// Mean length of its idle times.
    pub(super) avg_idle_ns: u64,
    pub(super) next_balance_ns: [u64; 4],
    /// Rounds of balancing in a row that moved nothing though they should have, by level.
    pub(super) failed: [u32; 4],
    /// Whether the current task is to be replaced when it comes back from the kernel.
    pub(super) lazy: bool,
    /// Where the current task is to go, for it needs a larger CPU.
    pub(super) push_to: Option<u32>,
}

impl RunQueue {
    pub(super) fn members(&self) -> impl Iterator<Item = u32> + '_ {
        self.tasks.iter().copied().chain(self.curr)
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len() + usize::from(self.curr.is_some())
    }

    pub(super) fn load(&self, entities: &[Entity]) -> u64 {
        self.members()
            .map(|task| u64::from(entities[task as usize].weight))
            .sum()
    }

    /// Sum of weights, and `V`.
    pub(super) fn average(&self, entities: &[Entity]) -> (i64, i64) {
        let Some(first) = self.members().next() else {
            return (0, self.v);
        };
        // Relative to one of them, so that the products stay small.
        let base = entities[first as usize].v;
        let (mut weights, mut sum) = (0i64, 0i64);
        for task in self.members() {
            let entity = &entities[task as usize];
            let weight = i64::from(entity.weight);
            weights += weight;
            sum = sum.saturating_add((entity.v - base).saturating_mul(weight));
        }
        (weights, base + sum.div_euclid(weights.max(1)))
    }
}

/// Which rules a queue follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    kind: Kind,
    /// EEVDF: a request; CFS: the latency within which each runs once.
    slice_ns: u64,
    /// CFS: no slice is shorter.
    granularity_ns: u64,
    /// CFS: how far behind a waking task must be to preempt.
    wakeup_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Eevdf,
    Cfs,
}

/// `1 + log2` of the number of CPUs, of which eight count: the kernel's scaling of its tunables.
fn scale(cpus: usize) -> u64 {
    1 + u64::from(cpus.clamp(1, 8).ilog2())
}

impl Rule {
    /// A request of 0.7 ms, scaled.
    pub(crate) fn eevdf(cpus: usize) -> Self {
        Self {
            kind: Kind::Eevdf,
            slice_ns: 700 * US * scale(cpus),
            granularity_ns: 0,
            wakeup_ns: 0,
        }
    }

    /// A latency of 6 ms, slices of at least 0.75 ms, preemption from 1 ms, all scaled.
    pub(crate) fn cfs(cpus: usize) -> Self {
        Self {
            kind: Kind::Cfs,
            slice_ns: 6 * MS * scale(cpus),
            granularity_ns: 750 * US * scale(cpus),
            wakeup_ns: MS * scale(cpus),
        }
    }

    /// Whether virtual time is about what tasks are owed.
    pub(super) fn has_lag(&self) -> bool {
        self.kind == Kind::Eevdf
    }

    /// Whether a busy CPU is asked without an interrupt: the kernels that have EEVDF are.
    pub(super) fn is_lazy(&self) -> bool {
        self.kind == Kind::Eevdf
    }

    fn request(&self, weight: u32) -> i64 {
        weighted(self.slice_ns, weight) as i64
    }

    /// Charges the current task for `delta_ns`; whether its turn is over.
    pub(super) fn charge(&self, queue: &RunQueue, entity: &mut Entity, delta_ns: u64) -> bool {
        entity.v += weighted(delta_ns, entity.weight) as i64;
        match self.kind {
            Kind::Eevdf => {
                if entity.v >= entity.deadline {
                    entity.deadline = entity.v + self.request(entity.weight);
                    entity.protected = false;
                }
                !entity.protected && !queue.tasks.is_empty()
            }
            Kind::Cfs => {
                let waiting = queue.tasks.len() as u64;
                // Its share of the latency, as if all had its weight: the exact sum of weights matters
                // little, and the granularity bounds it.
                let share_ns = (self.slice_ns / (waiting + 1)).max(self.granularity_ns);
                let share_ns = share_ns * u64::from(entity.weight) / u64::from(WEIGHT_DEFAULT);
                let ran_ns = entity.charged_ns - entity.picked_ns;
                waiting > 0 && ran_ns >= share_ns.max(self.granularity_ns)
            }
        }
    }

    /// What a task that leaves the queue takes along.
    pub(super) fn leave(&self, cpu: u32, queue: &RunQueue, entities: &mut [Entity], task: u32) {
        let (_, v) = queue.average(entities);
        let entity = &mut entities[task as usize];
        match self.kind {
            Kind::Eevdf => {
                // Twice its request, or a tick.
                let limit = weighted((2 * self.slice_ns).max(4 * MS), entity.weight) as i64;
                entity.lag = (v - entity.v).clamp(-limit, limit);
                entity.left = (entity.lag < 0).then_some((cpu, v));
            }
            Kind::Cfs => {
                let least = self.least(queue, entities);
                let entity = &mut entities[task as usize];
                entity.lag = entity.v - least;
            }
        }
    }

    /// CFS: the least virtual time, which does not go back.
    fn least(&self, queue: &RunQueue, entities: &[Entity]) -> i64 {
        let least = queue.members().map(|task| entities[task as usize].v).min();
        least.map_or(queue.v, |least| least.max(queue.v))
    }

    /// Gives a task that comes its virtual time. `fresh`: it was just created.
    pub(super) fn place(
        &self,
        cpu: u32,
        queue: &RunQueue,
        entities: &mut [Entity],
        task: u32,
        fresh: bool,
        slept: bool,
    ) {
        let (weights, v) = queue.average(entities);
        let least = self.least(queue, entities);
        let entity = &mut entities[task as usize];
        match self.kind {
            Kind::Eevdf => {
                let mut lag = if weights == 0 { 0 } else { entity.lag };
                // One that only moved has left what it had left, and so has one that still owes.
                let mut keeps_request = !fresh && !slept;
                if let Some((left_cpu, left_v)) = entity.left.take()
                    && left_cpu == cpu
                    && slept
                {
                    // It competed on, in absence, until it owed nothing (delayed dequeue).
                    lag = (lag + (v - left_v).max(0)).min(0);
                    keeps_request = lag < 0;
                }
                // Its coming moves V; so that it is owed the same afterwards, it must be more before.
                let weight = i64::from(entity.weight);
                if weights > 0 {
                    lag = lag.saturating_mul(weights + weight) / weights;
                }
                let rest = entity.deadline - entity.v;
                entity.v = v - lag;
                let request = self.request(entity.weight);
                entity.deadline = entity.v
                    + match (fresh, keeps_request) {
                        // A new task starts in the middle of a request.
                        (true, _) => request / 2,
                        (false, true) => rest,
                        (false, false) => request,
                    };
            }
            Kind::Cfs => {
                let latency = self.slice_ns as i64;
                entity.v = if fresh {
                    least + weighted(self.granularity_ns, entity.weight) as i64
                } else if slept {
                    (least + entity.lag).max(least - latency / 2)
                } else {
                    least + entity.lag
                };
            }
        }
    }

    /// Who is next; the current task goes on if it is that one.
    pub(super) fn pick(&self, queue: &RunQueue, entities: &[Entity]) -> Option<u32> {
        match self.kind {
            Kind::Eevdf => self.pick_eligible(queue, entities),
            Kind::Cfs => queue
                .members()
                .min_by_key(|task| (entities[*task as usize].v, *task)),
        }
    }

    fn pick_eligible(&self, queue: &RunQueue, entities: &[Entity]) -> Option<u32> {
        let (_, v) = queue.average(entities);
        let is_eligible = |task: &u32| entities[*task as usize].v <= v;
        if let Some(curr) = queue.curr.filter(|curr| entities[*curr as usize].protected)
            && is_eligible(&curr)
        {
            return Some(curr);
        }
        let deadline = |task: &u32| (entities[*task as usize].deadline, *task);
        let eligible = queue.members().filter(is_eligible).min_by_key(deadline);
        // Rounding may leave nobody eligible by a nanosecond.
        eligible.or_else(|| {
            queue
                .members()
                .min_by_key(|task| (entities[*task as usize].v, *task))
        })
    }

    /// Whether a task that came takes the CPU at once.
    pub(super) fn preempts(&self, queue: &RunQueue, entities: &[Entity], task: u32) -> bool {
        let Some(curr) = queue.curr else { return true };
        match self.kind {
            Kind::Eevdf => self.pick_eligible(queue, entities) == Some(task),
            Kind::Cfs => {
                let (woken, running) = (&entities[task as usize], &entities[curr as usize]);
                let need = weighted(self.wakeup_ns, woken.weight) as i64;
                running.v - woken.v > need
            }
        }
    }

    /// The current task gives way.
    pub(super) fn yields(&self, queue: &RunQueue, entities: &mut [Entity], task: u32) {
        let most = queue
            .members()
            .map(|other| entities[other as usize].v)
            .max();
        let entity = &mut entities[task as usize];
        entity.protected = false;
        match self.kind {
            Kind::Eevdf => entity.deadline += self.request(entity.weight),
            // Behind all others, as `sched_compat_yield` had it.
            Kind::Cfs => entity.v = most.unwrap_or(entity.v).max(entity.v) + 1,
        }
    }

    /// Where virtual time stands, to be kept for when the queue is empty.
    pub(super) fn advance(&self, queue: &mut RunQueue, entities: &[Entity]) {
        queue.v = match self.kind {
            Kind::Eevdf => queue.average(entities).1.max(queue.v),
            Kind::Cfs => self.least(queue, entities),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(v: i64, deadline: i64, weight: u32) -> Entity {
        Entity {
            v,
            deadline,
            weight,
            ..Entity::default()
        }
    }

    fn queue(tasks: &[u32]) -> RunQueue {
        RunQueue {
            tasks: tasks.to_vec(),
            ..RunQueue::default()
        }
    }

    #[test]
    fn the_eligible_task_with_the_earliest_deadline_is_next() {
        let rule = Rule::eevdf(1);
        // V is 200: the third is not eligible, whatever its deadline.
        let entities = [
            entity(100, 900, 100),
            entity(200, 800, 100),
            entity(300, 400, 100),
        ];
        let all = queue(&[0, 1, 2]);
        assert_eq!(all.average(&entities), (300, 200));
        assert_eq!(rule.pick(&all, &entities), Some(1));
        // A heavy task moves V: now only itself and those behind it are eligible.
        let entities = [
            entity(100, 900, 800),
            entity(200, 800, 100),
            entity(300, 400, 100),
        ];
        assert_eq!(rule.pick(&all, &entities), Some(0));
    }

    #[test]
    fn lag_is_kept_over_a_sleep_among_others() {
        let rule = Rule::eevdf(1);
        let mut entities = [entity(0, MS as i64, 100), entity(100_000, MS as i64, 100)];
        let mut both = queue(&[0, 1]);
        rule.leave(0, &both, &mut entities, 0);
        assert_eq!(entities[0].lag, 50_000);
        both.tasks.remove(0);
        rule.place(0, &both, &mut entities, 0, false, true);
        both.tasks.push(0);
        let (_, v) = both.average(&entities);
        assert_eq!(v - entities[0].v, 50_000);
    }

    #[test]
    fn debt_is_forgotten_as_virtual_time_goes_on() {
        let rule = Rule::eevdf(1);
        let mut entities = [entity(100_000, 0, 100), entity(0, 0, 100)];
        let mut both = queue(&[0, 1]);
        rule.leave(0, &both, &mut entities, 0);
        assert_eq!(entities[0].lag, -50_000);
        both.tasks.remove(0);
        entities[1].v = 500_000;
        rule.place(0, &both, &mut entities, 0, false, true);
        assert_eq!(entities[0].v, 500_000);
    }

    #[test]
    fn a_request_protects_until_it_is_done() {
        let rule = Rule::eevdf(1);
        let mut entities = [entity(0, 2 * MS as i64, 100), entity(10, MS as i64, 100)];
        entities[0].protected = true;
        let mut both = queue(&[1]);
        both.curr = Some(0);
        assert_eq!(rule.pick(&both, &entities), Some(0));
        let mut running = entities[0];
        assert!(!rule.charge(&both, &mut running, MS));
        assert!(rule.charge(&both, &mut running, MS));
        assert!(!running.protected);
    }

    #[test]
    fn a_task_that_only_moves_keeps_what_is_left_of_its_request() {
        let rule = Rule::eevdf(1);
        let left = 300 * US as i64;
        let mut entities = [entity(MS as i64, MS as i64 + left, 100), entity(0, 0, 100)];
        let other = queue(&[1]);
        rule.place(1, &other, &mut entities, 0, false, false);
        assert_eq!(entities[0].deadline - entities[0].v, left);
        // One that slept asks anew.
        rule.place(1, &other, &mut entities, 0, false, true);
        assert_eq!(entities[0].deadline - entities[0].v, 700 * US as i64);
    }

    #[test]
    fn a_task_that_still_owes_keeps_its_request_when_it_wakes() {
        let rule = Rule::eevdf(1);
        let left = 300 * US as i64;
        let mut entities = [entity(100_000, 100_000 + left, 100), entity(0, 0, 100)];
        let mut both = queue(&[0, 1]);
        rule.leave(0, &both, &mut entities, 0);
        both.tasks.remove(0);
        // It owed 50 us, and the queue went on by 20.
        entities[1].v = 70_000;
        rule.place(0, &both, &mut entities, 0, false, true);
        assert!(entities[0].v > 70_000);
        assert_eq!(entities[0].deadline - entities[0].v, left);
    }

    #[test]
    fn a_request_that_was_done_protects_no_more() {
        let rule = Rule::eevdf(1);
        let others = queue(&[1]);
        let mut running = entity(0, MS as i64, 100);
        running.protected = true;
        assert!(!rule.charge(&others, &mut running, MS / 2));
        assert!(rule.charge(&others, &mut running, MS / 2));
        // It goes on; but whenever it is looked at again, the others have their chance.
        assert!(rule.charge(&others, &mut running, US));
        assert!(!rule.charge(&queue(&[]), &mut running, US));
    }

    #[test]
    fn cfs_takes_the_least_and_grants_sleepers_half_a_latency() {
        let rule = Rule::cfs(1);
        let mut entities = [entity(50 * MS as i64, 0, 100), entity(0, 0, 100)];
        let busy = queue(&[0]);
        entities[1].lag = -(40 * MS as i64);
        rule.place(0, &busy, &mut entities, 1, false, true);
        assert_eq!(entities[1].v, 47 * MS as i64);
        let both = RunQueue {
            tasks: vec![1],
            curr: Some(0),
            ..RunQueue::default()
        };
        assert_eq!(rule.pick(&both, &entities), Some(1));
        assert!(rule.preempts(&both, &entities, 1));
    }
}

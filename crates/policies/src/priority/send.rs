//! The decisions: to a CPU, into ready, in hand, and what a low priority is owed.

use baton_policy::{Context, Options, TaskId, WEIGHT_DEFAULT};

use super::{BAND_NS, DEADLINE_NS, Phase, Priority, PriorityTask, Reach, SLICE_MIN_NS};

impl Priority {
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_, PriorityTask>,
        id: TaskId,
        cpu: u32,
        preempt: bool,
    ) {
        let slice_ns = self.slice_ns(cx, id);
        cx.on_cpu(id, cpu).slice_ns(slice_ns).preempt(preempt);
        self.cpus.claim(cpu, id, cx.now_ns());
        self.enter(cx.state(id), id, Phase::Placed);
    }

    pub(super) fn make_ready(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) {
        let (key, slice_ns) = (self.key(cx, id), self.slice_ns(cx, id));
        let offset = key.wrapping_sub(cx.now_ns()) as i64;
        cx.ready(id, key).slice_ns(slice_ns).key_offset(offset);
        self.enter(cx.state(id), id, Phase::Ready);
    }

    pub(super) fn hold(&mut self, cx: &mut Context<'_, PriorityTask>, id: TaskId) -> bool {
        let key = self.key(cx, id);
        let level = cx.task(id).state.level;
        self.enter(cx.state(id), id, Phase::Away);
        if !self.levels[level].held.push(key, id) {
            return false;
        }
        cx.hold(id, Options::LEASE_MAX_NS);
        cx.state(id).phase = Phase::Held;
        true
    }

    pub(super) fn key(&self, cx: &Context<'_, PriorityTask>, id: TaskId) -> u64 {
        let deadline_ns = cx.class(id).and_then(|class| class.deadline_ns);
        let band_ns = cx.task(id).state.level as u64 * BAND_NS;
        cx.now_ns()
            .wrapping_add(deadline_ns.unwrap_or(DEADLINE_NS))
            .wrapping_add(band_ns)
    }

    pub(super) fn slice_ns(&self, cx: &Context<'_, PriorityTask>, id: TaskId) -> u64 {
        let weight = u64::from(cx.task(id).info.weight.min(10_000));
        let slice_ns = self.slice_ns * weight / u64::from(WEIGHT_DEFAULT);
        slice_ns.clamp(SLICE_MIN_NS, Options::SLICE_MAX_NS)
    }

    /// Gives a priority what it is owed, slice by slice, on the CPUs that higher ones
    /// have had for longest.
    pub(super) fn pay(&mut self, cx: &mut Context<'_, PriorityTask>, level: usize) {
        let now_ns = cx.now_ns();
        while self.levels[level].is_due(self.slice_ns) {
            let due = &self.levels[level];
            let longest = |id: TaskId| {
                let reach = Reach::of(cx, id);
                let payers = reach.cpus.iter().filter(|&cpu| {
                    let turn = self.turns[cpu as usize];
                    turn.level < level && !turn.by_floor && !self.cpus.is_claimed(cpu, now_ns)
                });
                let runs = payers.filter_map(|cpu| {
                    let (_, since_ns) = self.cpus.runs(cpu)?;
                    Some((self.cpus.is_interrupted(cpu), since_ns, cpu))
                });
                runs.min().map(|(.., cpu)| cpu)
            };
            let Some(id) = due.held.find_near(|id| longest(id).is_some()) else {
                return;
            };
            let Some(cpu) = longest(id) else { return };
            self.send(cx, id, cpu, true);
            cx.state(id).granted = true;
            self.levels[level].granted += 1;
        }
    }
}

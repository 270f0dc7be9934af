//! Virtual time: what the competing tasks have used, and the average of it.
//!
//! Tasks that may run on the same CPUs form a group. A task's virtual time is kept
//! relative to its group's base; the sums below give averages in constant time,
//! with what running tasks have used since they got their CPUs.

use alloc::vec::Vec;

use baton_policy::WEIGHT_DEFAULT;

const SCALE: i128 = WEIGHT_DEFAULT as i128;

/// Sums over competing tasks: `V = moment / weight`, were no task running.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    weight: u64,
    /// Sum of weight times virtual time.
    moment: i128,
    /// How many run, and the sum of the moments when they began to.
    running: u64,
    began_ns: i128,
}

/// Weighted CPU time adds to the moment as it is, by the scale: a task's weight
/// cancels out. So the running tasks need no visit.
impl Sum {
    fn average(&self, at_ns: i64) -> Option<i128> {
        let used_ns = i128::from(self.running) * i128::from(at_ns) - self.began_ns;
        (self.weight > 0)
            .then(|| (self.moment + SCALE * used_ns).div_euclid(i128::from(self.weight)))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    base: i64,
    sum: Sum,
}

/// The clock of the competition.
#[derive(Debug)]
pub(super) struct Clock {
    groups: Vec<Group>,
    total: Sum,
    now_ns: u64,
    /// Time in which no task waited: it was nobody's share.
    free_ns: u64,
    waiting: u32,
    /// The last average, for when nobody competes.
    last: i64,
}

impl Clock {
    /// A clock for so many groups, at zero.
    pub(super) fn new(groups: usize) -> Self {
        Self {
            groups: alloc::vec![Group::default(); groups],
            total: Sum::default(),
            now_ns: 0,
            free_ns: 0,
            waiting: 0,
            last: 0,
        }
    }

    /// Moves to the time of an event; back in time it does not go.
    pub(super) fn advance(&mut self, now_ns: u64) {
        if self.waiting == 0 {
            self.free_ns += now_ns.saturating_sub(self.now_ns);
        }
        self.now_ns = self.now_ns.max(now_ns);
    }

    /// A task begins to wait, or ends.
    pub(super) fn wait(&mut self, begins: bool) {
        self.waiting = if begins {
            self.waiting + 1
        } else {
            self.waiting.saturating_sub(1)
        };
    }

    /// Time in which nobody waited, since the start.
    pub(super) fn free_ns(&self) -> u64 {
        self.free_ns
    }

    /// Time in which somebody waited, up to `at_ns`; what is used in it is charged.
    pub(super) fn contended_ns(&self, at_ns: u64) -> i64 {
        at_ns.wrapping_sub(self.free_ns) as i64
    }

    /// The same, now.
    pub(super) fn contended_now_ns(&self) -> i64 {
        self.contended_ns(self.now_ns)
    }

    /// The weight of all competing tasks.
    pub(super) fn weight(&self) -> u64 {
        self.total.weight
    }

    /// Running tasks.
    pub(super) fn running(&self) -> u64 {
        self.total.running
    }

    /// `V`, the weighted average of the competing tasks' virtual times.
    pub(super) fn average(&self) -> i64 {
        let average = self.total.average(self.contended_now_ns());
        average.map_or(self.last, saturate)
    }

    /// What to add to a virtual time of this group.
    pub(super) fn base(&self, group: u32) -> i64 {
        self.groups[group as usize].base
    }

    /// The average that a task of this group is measured by, and the weight behind it:
    /// the group's own if others than the task's `own` weight compete there, else `V`.
    pub(super) fn reference(&self, group: u32, own: u32) -> (i64, u64) {
        let Group { base, sum } = self.groups[group as usize];
        let average = sum.average(self.contended_now_ns());
        match average {
            Some(average) if sum.weight > u64::from(own) => {
                (saturate(average).saturating_add(base), sum.weight)
            }
            _ => (self.average(), self.total.weight),
        }
    }

    /// A task of this virtual time joins the competition.
    pub(super) fn enter(&mut self, group: u32, weight: u32, virtual_ns: i64) {
        self.last = self.average();
        self.add(group, i64::from(weight), virtual_ns);
    }

    /// It leaves.
    pub(super) fn leave(&mut self, group: u32, weight: u32, virtual_ns: i64) {
        self.last = self.average();
        self.add(group, -i64::from(weight), virtual_ns);
    }

    fn add(&mut self, group: u32, weight: i64, virtual_ns: i64) {
        let Group { base, sum } = &mut self.groups[group as usize];
        for (sum, base) in [(sum, 0), (&mut self.total, *base)] {
            sum.weight = sum.weight.saturating_add_signed(weight);
            sum.moment += i128::from(weight) * (i128::from(virtual_ns) + i128::from(base));
        }
    }

    /// The virtual time of a competing task changes by `by_ns`.
    pub(super) fn shift(&mut self, group: u32, weight: u32, by_ns: i64) {
        let moment = i128::from(weight) * i128::from(by_ns);
        self.groups[group as usize].sum.moment += moment;
        self.total.moment += moment;
    }

    /// A task gets a CPU at this contended time, or leaves the one it got then.
    pub(super) fn run(&mut self, group: u32, began_ns: i64, begins: bool) {
        let sign = if begins { 1 } else { -1 };
        for sum in [&mut self.groups[group as usize].sum, &mut self.total] {
            sum.running = sum.running.saturating_add_signed(sign);
            sum.began_ns += i128::from(sign) * i128::from(began_ns);
        }
    }

    /// Moves a whole group so that its average is at most `slack` from that of all,
    /// where `slack` is CPU time of the group. Affinity can give a group more or less
    /// than its weights do, for any time; what is beyond the slack is forgiven. The
    /// order within the group stays.
    pub(super) fn rein_in(&mut self, group: u32, slack_ns: u64) {
        let Group { base, sum } = self.groups[group as usize];
        if sum.weight == 0 || sum.weight == self.total.weight {
            return;
        }
        let slack = saturate(i128::from(slack_ns) * SCALE / i128::from(sum.weight));
        let ahead = self.reference(group, 0).0.saturating_sub(self.average());
        let by_ns = ahead.clamp(-slack, slack) - ahead;
        self.groups[group as usize].base = base.saturating_add(by_ns);
        self.total.moment += i128::from(sum.weight) * i128::from(by_ns);
    }
}

fn saturate(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN / 4), i128::from(i64::MAX / 4)) as i64
}

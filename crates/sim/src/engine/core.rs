//! CPUs and tasks as a scheduler sees them, and what it may do with them.

use baton_machine::Costs;
use baton_policy::{CpuSet, US, WEIGHT_DEFAULT};

use super::{
    cgroups::Cgroups,
    cpu::{Cpu, FULL_SPEED, Mode},
    queue::{EventQueue, What},
    stats::Stats,
    task::{NONE, State, Task, Tasks, WORK_SCALE},
    topology::{Distance, Topology},
};
use crate::{digest::Digest, trace::Trace};

/// What went into the digest, and where a trace begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Woken = 1,
    Runs = 2,
    Preempted = 3,
    Sleeps = 4,
    Exits = 5,
    Created = 6,
    Idles = 7,
    Decided = 8,
    Rescued = 9,
    Online = 10,
    Offline = 11,
    Moved = 12,
    Fault = 13,
}

/// A cgroup.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    pub(crate) path: String,
    pub(crate) weight: u32,
    /// CPU time of its tasks that have ended.
    pub(crate) gone_ns: u64,
}

pub(crate) struct Core {
    pub(crate) now_ns: u64,
    pub(crate) topology: Topology,
    pub(crate) costs: Costs,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) online: CpuSet,
    pub(crate) online_count: u32,
    pub(crate) tasks: Tasks,
    /// Cgroups by their numbers, see [`super::cgroups`].
    pub(crate) cgroups: Vec<Cgroup>,
    pub(crate) queue: EventQueue,
    pub(crate) digest: Digest,
    pub(crate) stats: Stats,
    pub(crate) trace: Option<Box<Trace>>,
    /// The CPU on which what happens happens; [`NONE`] for interrupts.
    pub(crate) here: u32,
    pub(crate) violation: Option<String>,
    /// What the scheduler adds to a switch.
    pub(crate) class_switch_ns: u64,
    /// CPUs that look for work as soon as the event is over.
    pub(crate) requests: Vec<u32>,
    /// Tasks that are runnable and have no CPU.
    pub(crate) waiting: u32,
    /// CPUs that idle, those among them that were told of work, and up to when both are accounted for.
    pub(super) idle: u32,
    pub(super) kicked: u32,
    pub(super) waste_since_ns: u64,
}

impl Core {
    pub(crate) fn new(topology: Topology, costs: Costs, trace: Option<Box<Trace>>) -> Self {
        let online = topology.machine.online();
        let cpus = topology.machine.cpus.iter().map(|cpu| Cpu {
            mode: if cpu.online {
                Mode::Idle
            } else {
                Mode::Offline
            },
            mode_since_ns: 0,
            curr: NONE,
            kicked: false,
            settled_ns: 0,
            token: 0,
            next_tick_ns: 0,
            speed: cpu.capacity,
            performance: FULL_SPEED,
            effort: 0,
            last_pid: 0,
            busy_ns: 0,
            real_time_ns: 0,
            shallow_ns: 0,
            deep_ns: 0,
            offline_ns: 0,
        });
        Self {
            now_ns: 0,
            cpus: cpus.collect(),
            online_count: online.len() as u32,
            idle: online.len() as u32,
            online,
            topology,
            costs,
            tasks: Tasks::default(),
            cgroups: Vec::new(),
            queue: EventQueue::default(),
            digest: Digest::new(),
            stats: Stats::default(),
            trace,
            here: NONE,
            violation: None,
            class_switch_ns: 0,
            requests: Vec::with_capacity(8),
            waiting: 0,
            kicked: 0,
            waste_since_ns: 0,
        }
    }

    /// Takes note of a cgroup, if it is not known. Numbers are given in order.
    pub(super) fn know_cgroup(&mut self, number: u64, path: &str) {
        if number > self.cgroups.len() as u64 {
            self.cgroups.push(Cgroup {
                path: path.to_owned(),
                weight: WEIGHT_DEFAULT,
                gone_ns: 0,
            });
        }
    }

    pub(super) fn cgroup(&mut self, number: u64) -> &mut Cgroup {
        &mut self.cgroups[(number - Cgroups::ROOT) as usize]
    }

    pub(crate) fn cpu(&self, cpu: u32) -> &Cpu {
        &self.cpus[cpu as usize]
    }

    pub(crate) fn is_online(&self, cpu: u32) -> bool {
        self.cpu(cpu).mode != Mode::Offline
    }

    /// Whether a CPU has nothing to do and was told of nothing.
    pub(crate) fn is_resting(&self, cpu: u32) -> bool {
        self.cpu(cpu).mode == Mode::Idle && !self.cpu(cpu).kicked
    }

    /// Takes note of what happened.
    pub(crate) fn happened(&mut self, what: Happened, cpu: u32, task: u32) {
        self.happened_by(what, cpu, task, None);
    }

    /// Takes note of what a task did to another.
    pub(super) fn happened_by(&mut self, what: Happened, cpu: u32, task: u32, by: Option<u32>) {
        let pid = if task == NONE {
            0
        } else {
            self.tasks[task].key.pid
        };
        let word = (what as u64) << 56 | u64::from(cpu & 0xff_ffff) << 32 | u64::from(pid);
        self.digest.add(self.now_ns, word);
        if let Some(trace) = &mut self.trace {
            if task == NONE {
                trace.record(self.now_ns, what, cpu);
            } else {
                let by = by.map_or(0, |by| self.tasks[by].key.pid);
                trace.record_task(self.now_ns, what, cpu, &self.tasks[task], by);
            }
        }
    }

    /// Notes the first thing that must not be.
    pub(crate) fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    /// Accounts for what the current task did up to now.
    pub(crate) fn settle(&mut self, cpu: u32) {
        let state = &mut self.cpus[cpu as usize];
        let elapsed_ns = self.now_ns - state.settled_ns;
        state.settled_ns = self.now_ns;
        if state.curr == NONE || elapsed_ns == 0 {
            return;
        }
        let task = &mut self.tasks[state.curr];
        task.runtime_ns += elapsed_ns;
        task.slice_ns = task.slice_ns.saturating_sub(elapsed_ns);
        let stalled_ns = task.stall_ns.min(elapsed_ns);
        task.stall_ns -= stalled_ns;
        let done = (elapsed_ns - stalled_ns) * u64::from(state.speed);
        task.worked += done.min(task.work);
        task.work = task.work.saturating_sub(done);
    }

    /// Whether the current task is done with its step.
    pub(crate) fn is_step_done(&self, task: u32) -> bool {
        self.tasks[task].stall_ns == 0 && self.tasks[task].work == 0
    }

    /// Plans the CPU's next event: the end of the current step or the tick, what is first. The task
    /// must be settled.
    pub(crate) fn plan(&mut self, cpu: u32) {
        let state = &mut self.cpus[cpu as usize];
        let task = &self.tasks[state.curr];
        let work_ns = task.work.div_ceil(u64::from(state.speed));
        let end_ns = self
            .now_ns
            .saturating_add(task.stall_ns)
            .saturating_add(work_ns);
        state.token = state.token.wrapping_add(1);
        let token = state.token;
        let next_ns = end_ns.min(state.next_tick_ns);
        self.queue.push(next_ns, What::Cpu { cpu, token });
    }

    /// Asks a CPU to look for work. From another one an interrupt has to get there, and an idle one
    /// must wake first.
    pub(crate) fn kick(&mut self, cpu: u32) {
        if self.cpu(cpu).kicked || !self.is_online(cpu) {
            return;
        }
        let mut delay_ns = if cpu == self.here {
            0
        } else {
            self.costs.ipi_ns
        };
        if self.cpu(cpu).mode == Mode::Idle {
            delay_ns += self.exit_latency_ns(cpu);
        }
        self.kick_after(cpu, delay_ns);
    }

    /// Has a CPU look for work so much later.
    pub(super) fn kick_after(&mut self, cpu: u32, delay_ns: u64) {
        if self.cpu(cpu).kicked {
            return;
        }
        self.settle_waste();
        self.kicked += u32::from(self.cpu(cpu).mode == Mode::Idle);
        self.cpus[cpu as usize].kicked = true;
        self.queue
            .push(self.now_ns + delay_ns, What::Resched { cpu });
    }

    /// How long an idle CPU takes to wake up.
    pub(crate) fn exit_latency_ns(&self, cpu: u32) -> u64 {
        let state = self.cpu(cpu);
        if state.mode != Mode::Idle || cpu == self.here {
            0
        } else if self.now_ns - state.mode_since_ns >= self.costs.deep_after_ns {
            self.costs.deep_exit_ns
        } else {
            self.costs.idle_exit_ns
        }
    }

    /// The CPU does what it was asked to.
    pub(crate) fn unkick(&mut self, cpu: u32) {
        if self.cpu(cpu).kicked {
            self.settle_waste();
            self.kicked -= u32::from(self.cpu(cpu).mode == Mode::Idle);
            self.cpus[cpu as usize].kicked = false;
        }
    }

    /// A task became runnable without a CPU.
    pub(crate) fn begin_wait(&mut self, task: u32, woken: bool) {
        self.settle_waste();
        self.waiting += 1;
        let task = &mut self.tasks[task];
        task.state = State::Queued;
        task.since_ns = self.now_ns;
        task.wait_since_ns = self.now_ns;
        task.woken = woken;
    }

    fn end_wait(&mut self, index: u32) {
        self.settle_waste();
        self.waiting -= 1;
        let task = &self.tasks[index];
        let wait_ns = self.now_ns - task.wait_since_ns;
        let (key, name, part, woken) = (task.key, task.name, task.part, task.woken);
        self.stats.waited(wait_ns, woken, part, key.pid, name);
    }

    /// Gives a CPU, which has no task, to a queued task.
    pub(crate) fn start(&mut self, cpu: u32, index: u32) {
        self.check_start(cpu, index);
        self.unkick(cpu);
        self.end_wait(index);
        let warm = self.tasks[index].warm_cpu;
        let distance = if warm == NONE {
            Distance::Same
        } else {
            self.topology.distance(warm, cpu)
        };
        let cold_ns = self.cold_ns(warm, cpu, distance, self.tasks[index].working_set_kib);
        let pid = self.tasks[index].key.pid;
        let switches = self.cpu(cpu).last_pid != pid;
        let switch_ns = if switches { self.costs.switch_ns } else { 0 } + self.class_switch_ns;
        let task = &mut self.tasks[index];
        task.state = State::Running;
        task.since_ns = self.now_ns;
        task.cpu = cpu;
        task.warm_cpu = cpu;
        // Moved again before it was warm, it is as cold as after one move.
        task.stall_ns = switch_ns + task.stall_ns.max(cold_ns);
        self.stats.switches += u64::from(switches);
        if warm != NONE && distance != Distance::Same {
            self.stats.migrations[distance as usize] += 1;
            self.stats.cold_ns += cold_ns;
        }
        self.set_mode(cpu, Mode::Running);
        let speed = self.speed_of(cpu);
        let tick_ns = self.costs.tick_period_ns;
        let state = &mut self.cpus[cpu as usize];
        state.last_pid = pid;
        state.curr = index;
        state.settled_ns = self.now_ns;
        state.speed = speed;
        if state.next_tick_ns <= self.now_ns {
            // An idle CPU has no tick; the grid is the same for all, as in the kernel.
            state.next_tick_ns = (self.now_ns / tick_ns + 1) * tick_ns;
        }
        self.happened(Happened::Runs, cpu, index);
        self.plan(cpu);
    }

    fn check_start(&mut self, cpu: u32, index: u32) {
        let task = &self.tasks[index];
        let (state, allowed, pid) = (task.state, task.may_run_on(cpu), task.key.pid);
        let (curr, mode) = (self.cpu(cpu).curr, self.cpu(cpu).mode);
        if state != State::Queued {
            self.violate(|| format!("task {pid} starts on CPU {cpu} while it is {state:?}"));
        }
        if !allowed {
            self.violate(|| format!("task {pid} starts on CPU {cpu}, where it may not run"));
        }
        if curr != NONE || matches!(mode, Mode::Offline | Mode::RealTime) {
            self.violate(|| format!("task {pid} starts on CPU {cpu}, which is {mode:?}"));
        }
    }

    /// What a task pays for caches that are cold after it moved.
    fn cold_ns(&self, from: u32, to: u32, distance: Distance, working_set_kib: u32) -> u64 {
        let kib = u64::from(working_set_kib);
        let costs = &self.costs;
        match distance {
            Distance::Same | Distance::Core => 0,
            Distance::Llc => kib.min(costs.core_cache_kib) * costs.refill_llc_ns_per_kib,
            Distance::Node => kib.min(costs.llc_share_kib) * costs.refill_memory_ns_per_kib,
            Distance::Remote => {
                let per_kib =
                    costs.refill_remote_ns_per_kib * self.topology.node_distance(from, to);
                kib.min(costs.llc_share_kib) * per_kib / 20
            }
        }
    }

    /// Takes the CPU from its task, which is runnable on or not.
    pub(crate) fn stop(&mut self, cpu: u32, runnable: bool) -> u32 {
        self.settle(cpu);
        let index = self.cpu(cpu).curr;
        self.cpus[cpu as usize].curr = NONE;
        let token = &mut self.cpus[cpu as usize].token;
        *token = token.wrapping_add(1);
        if runnable {
            self.begin_wait(index, false);
            self.happened(Happened::Preempted, cpu, index);
        } else {
            let task = &mut self.tasks[index];
            task.state = State::Sleeping;
            task.since_ns = self.now_ns;
            self.happened(Happened::Sleeps, cpu, index);
        }
        index
    }

    /// The CPU, which has no task, has nothing to do.
    pub(crate) fn idle(&mut self, cpu: u32) {
        self.unkick(cpu);
        if self.cpu(cpu).mode != Mode::Idle {
            self.set_mode(cpu, Mode::Idle);
            self.happened(Happened::Idles, cpu, NONE);
        }
    }

    /// The policy's process takes the CPU, which has no task, or gives it back.
    pub(crate) fn set_real_time(&mut self, cpu: u32, taken: bool) {
        self.unkick(cpu);
        // Back to nothing until the CPU has looked for work.
        self.set_mode(cpu, if taken { Mode::RealTime } else { Mode::Idle });
    }

    pub(crate) fn set_online(&mut self, cpu: u32, online: bool) {
        self.unkick(cpu);
        self.set_mode(cpu, if online { Mode::Idle } else { Mode::Offline });
        if online {
            self.online.insert(cpu);
            self.online_count += 1;
            self.happened(Happened::Online, cpu, NONE);
        } else {
            self.online.remove(cpu);
            self.online_count -= 1;
            self.happened(Happened::Offline, cpu, NONE);
        }
    }

    /// Charges the running task of a CPU for something that it did beside its work.
    pub(crate) fn stall(&mut self, cpu: u32, duration_ns: u64) {
        let curr = self.cpu(cpu).curr;
        if curr != NONE {
            self.tasks[curr].stall_ns += duration_ns;
        }
    }

    /// A timer of the scheduler's.
    pub(crate) fn timer(&mut self, after_ns: u64, kind: u32, arg: u32) {
        self.queue
            .push(self.now_ns + after_ns, What::Timer { kind, arg });
    }

    /// Where a task must go whose CPUs are all offline: the kernel breaks its affinity.
    pub(crate) fn break_affinity(&mut self, index: u32) -> bool {
        let task: &Task = &self.tasks[index];
        let Some(allowed) = &task.allowed else {
            return false;
        };
        if !allowed.intersection(&self.online).is_empty() {
            return false;
        }
        self.tasks[index].allowed = None;
        self.happened(Happened::Moved, NONE, index);
        true
    }

    /// Where a task is, if it may be there; else the nearest CPU that is online and allowed.
    pub(crate) fn fallback_cpu(&self, index: u32) -> u32 {
        let task = &self.tasks[index];
        let near = task.cpu;
        if self.is_online(near) && task.may_run_on(near) {
            return near;
        }
        let usable = self.online.iter().filter(|cpu| task.may_run_on(*cpu));
        let nearest = usable.min_by_key(|cpu| (self.topology.distance(near, *cpu), *cpu));
        nearest.or_else(|| self.online.lowest()).unwrap_or(near)
    }

    /// Work in whole nanoseconds of a CPU of full capacity.
    pub(crate) fn worked_ns(&self, index: u32) -> u64 {
        self.tasks[index].worked / WORK_SCALE
    }
}

/// The most that a wakeup's arrival can take: for bounds.
pub(crate) const fn arrival_max_ns(costs: &Costs) -> u64 {
    costs.ipi_ns + costs.deep_exit_ns + costs.switch_ns + US
}

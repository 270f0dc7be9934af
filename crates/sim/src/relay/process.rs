//! The policy's process: asleep until an event wakes it, then batch after batch, each of which takes
//! time on a CPU; as `crates/kernel/src/process.rs`.
//!
//! It is a real-time task: what runs on its CPU makes way, and goes on when it is done. Decisions count
//! when their batch is over, so the delay from event to decision is that of waking, of the batch that
//! was under way, and of its own.

use baton_policy::{Decision, Event, EventKind, MS, Machine, Placement, Policy, TaskKey, US, log};

use super::{Relay, TIMER_PROCESS_BEGIN, TIMER_PROCESS_END, counters::Count, publish::What};
use crate::engine::{core::Core, cpu::Mode as CpuMode};

/// Events that one batch takes at most.
const BATCH_EVENTS: usize = 256;
/// How often a policy that gives hints looks; twice as long after each look that led to no new hint, up
/// to the most.
const HINT_PERIOD_NS: u64 = 40 * MS;
const HINT_PERIOD_MAX_NS: u64 = 100 * MS;
/// A real-time thread must sleep now and then, or the kernel takes it for a loop.
const NAP_AFTER_NS: u64 = 100 * MS;
const NAP_NS: u64 = 250 * US;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asleep,
    Waking,
    Busy,
    /// Nobody wakes it before its time.
    Napping,
}

/// What is known of the process.
#[derive(Debug)]
pub(super) struct Process {
    state: State,
    /// When it last looked at its ring.
    pub(super) alive_ns: u64,
    /// Since when it did not sleep.
    awake_since_ns: u64,
    /// Where it runs.
    cpu: u32,
    stopped_until_ns: u64,
    pub(super) late_ns: u64,
    hint_period_ns: u64,
    /// Time of the latest event.
    clock_ns: u64,
}

impl Process {
    pub(super) fn new(machine: &Machine) -> Self {
        Self {
            state: State::Waking,
            alive_ns: 0,
            awake_since_ns: 0,
            cpu: machine.online().lowest().unwrap_or(0),
            stopped_until_ns: 0,
            late_ns: 0,
            hint_period_ns: HINT_PERIOD_NS,
            clock_ns: 0,
        }
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.state == State::Asleep
    }

    /// It does nothing until then.
    pub(super) fn stop_until(&mut self, time_ns: u64) {
        self.stopped_until_ns = self.stopped_until_ns.max(time_ns);
    }
}

impl<P: Policy> Relay<P> {
    pub(super) fn wake_process(&mut self, core: &mut Core) {
        if self.process.state != State::Asleep {
            return;
        }
        self.deferred_ns = None;
        self.process.state = State::Waking;
        self.process.alive_ns = core.now_ns;
        self.count(Count::Wakeups);
        let delay_ns = core.costs.process_wake_ns + core.exit_latency_ns(self.process.cpu);
        core.timer(delay_ns, TIMER_PROCESS_BEGIN, 0);
    }

    /// It takes a CPU and what is in the ring, and lets the policy decide.
    pub(super) fn process_begins(&mut self, core: &mut Core) {
        if self.process.stopped_until_ns > core.now_ns {
            let rest_ns = self.process.stopped_until_ns - core.now_ns;
            return core.timer(rest_ns, TIMER_PROCESS_BEGIN, 0);
        }
        if self.process.state != State::Busy {
            self.process.awake_since_ns = core.now_ns;
        }
        self.process.state = State::Busy;
        self.process_lives(core);
        let events = self.give_events(core);
        let decisions = self.driver.decisions().len() as u64;
        self.count(Count::Batches);
        let costs = &core.costs;
        let cost_ns = costs.process_batch_ns
            + costs.process_event_ns * events
            + costs.process_decision_ns * decisions
            + self.process.late_ns;
        if decisions == 0 {
            // Nothing new to say.
            self.process.hint_period_ns = (2 * self.process.hint_period_ns).min(HINT_PERIOD_MAX_NS);
        } else {
            self.process.hint_period_ns = HINT_PERIOD_NS;
        }
        self.take_cpu(core);
        core.timer(cost_ns.max(1), TIMER_PROCESS_END, 0);
    }

    /// It looked at its ring; that ends silence.
    fn process_lives(&mut self, core: &Core) {
        self.process.alive_ns = core.now_ns;
        self.silent = false;
    }

    fn take_cpu(&mut self, core: &mut Core) {
        if !core.is_online(self.process.cpu) {
            self.process.cpu = core.online.lowest().unwrap_or(0);
        }
        let cpu = self.process.cpu;
        match core.cpu(cpu).mode {
            CpuMode::RealTime | CpuMode::Offline => return,
            CpuMode::Running => self.interrupt(core, cpu),
            CpuMode::Idle => {
                self.idle_take(core, cpu);
            }
        }
        core.set_real_time(cpu, true);
    }

    /// Its decisions count; it goes on or sleeps.
    pub(super) fn process_ends(&mut self, core: &mut Core) {
        for index in 0..self.driver.decisions().len() {
            let decision = self.spoil(core, self.driver.decisions()[index]);
            self.decide(core, &decision);
        }
        self.driver.clear_decisions();
        self.process_lives(core);
        let has_more = !self.ring.records.is_empty() || self.ring.lost > self.ring.lost_seen;
        let goes_on = has_more && self.decides();
        let is_tired = core.now_ns - self.process.awake_since_ns > NAP_AFTER_NS;
        if goes_on && !is_tired {
            return self.process_begins(core);
        }
        let cpu = self.process.cpu;
        if core.cpu(cpu).mode == CpuMode::RealTime {
            core.set_real_time(cpu, false);
            core.requests.push(cpu);
        }
        if goes_on {
            self.process.state = State::Napping;
            core.timer(NAP_NS, TIMER_PROCESS_BEGIN, 0);
        } else if self.decides() {
            self.process.state = State::Asleep;
        } else {
            // Nobody waits for it, and nobody wakes it.
            self.process.state = State::Napping;
            core.timer(self.process.hint_period_ns, TIMER_PROCESS_BEGIN, 0);
        }
    }

    /// Gives the policy what is in the ring, up to a batch; how many events that were.
    fn give_events(&mut self, core: &Core) -> u64 {
        let mut events = 0;
        for _ in 0..BATCH_EVENTS {
            let Some(record) = self.ring.records.pop_front() else {
                break;
            };
            let info = match record.what {
                What::Join | What::Update => self.ring.infos.pop_front(),
                What::Online(cpu) => {
                    self.known_online.insert(cpu);
                    None
                }
                What::Offline(cpu) => {
                    self.known_online.remove(cpu);
                    None
                }
                _ => None,
            };
            let event = record.event(info);
            self.give(&event);
            events += 1;
        }
        if self.ring.lost > self.ring.lost_seen {
            events += self.resynchronise(core);
        }
        if events > 0 {
            self.driver.batch_end(self.process.clock_ns);
            if let Some(log) = &mut self.log {
                log::encode_batch_end(self.process.clock_ns, log);
                log::encode_decisions(self.driver.decisions(), log);
            }
        }
        events
    }

    fn give(&mut self, event: &Event) {
        self.process.clock_ns = self.process.clock_ns.max(event.time_ns);
        if let Some(log) = &mut self.log {
            log::encode_event(event, log);
        }
        self.driver.event(event);
    }

    /// After a loss: tells the policy, ends the tasks whose exit it missed, and makes up for CPUs that
    /// came or went.
    fn resynchronise(&mut self, core: &Core) -> u64 {
        let time_ns = self.process.clock_ns;
        let count = self.ring.lost - self.ring.lost_seen;
        self.ring.lost_seen = self.ring.lost;
        let machine = |kind| Event {
            time_ns,
            task: TaskKey::default(),
            kind,
        };
        self.give(&machine(EventKind::Lost { count }));
        let known: Vec<TaskKey> = self
            .driver
            .tasks()
            .iter()
            .map(|(_, task)| task.key)
            .collect();
        let mut events = 1;
        for task in known {
            let lives = core
                .tasks
                .find(task)
                .is_some_and(|slot| self.tasks[slot as usize].announced);
            if !lives {
                let kind = EventKind::Exit;
                self.give(&Event {
                    time_ns,
                    task,
                    kind,
                });
                events += 1;
            }
        }
        for cpu in 0..self.cpus.len() as u32 {
            let online = core.online.contains(cpu);
            if online == self.known_online.contains(cpu) {
                continue;
            }
            let kind = if online {
                self.known_online.insert(cpu);
                EventKind::CpuOnline { cpu }
            } else {
                self.known_online.remove(cpu);
                EventKind::CpuOffline { cpu }
            };
            self.give(&machine(kind));
            events += 1;
        }
        events
    }

    /// Where the policy is to be wrong, makes nonsense of some decisions.
    fn spoil(&mut self, core: &Core, decision: Decision) -> Decision {
        if self.wrong_one_in == 0 || self.rng.below(u64::from(self.wrong_one_in)) != 0 {
            return decision;
        }
        let cpu = self.rng.below(core.cpus.len() as u64 * 2) as u32;
        let random = self.rng.next_u64();
        match self.rng.below(5) {
            0 => Decision {
                seq: decision.seq.wrapping_add(random % 3),
                ..decision
            },
            1 => Decision {
                placement: Placement::Cpu { cpu },
                preempt: true,
                ..decision
            },
            2 => Decision {
                placement: Placement::Ready { key: random },
                slice_ns: random,
                ..decision
            },
            3 => Decision {
                placement: Placement::Hold { lease_ns: random },
                ..decision
            },
            _ => Decision {
                task: TaskKey {
                    pid: random as u32,
                    start_ns: 1,
                },
                ..decision
            },
        }
    }
}

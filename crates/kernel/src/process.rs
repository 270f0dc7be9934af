//! The scheduling thread: events in, decisions out, asleep when there is nothing.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::AsRawFd,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use baton_policy::{
    Backend, CpuSet, Decision, Driver, DriverStats, Event, EventKind, Policy, TaskKey, key_before,
};

use crate::{
    abi,
    classes::Classifier,
    convert,
    realtime::{Bell, now_ns, page_faults},
    record::Recorder,
    relay::Channel,
    shared::Shared,
    watch::Watch,
};

/// Events that one batch takes at most, so that decisions do not wait for a flood.
const BATCH_EVENTS: usize = 256;
/// How often a decision that came before its task's insertion is sent again.
const RETRIES_MAX: u32 = 100;
/// Pause between such retries when there is nothing else to do.
const RETRY_PAUSE: Duration = Duration::from_micros(20);
/// A real-time thread must sleep now and then, or the kernel takes it for a loop.
const NAP_AFTER_NS: u64 = 100_000_000;
/// Long enough that no timer is over before the thread sleeps, on slow machines too.
const NAP: Duration = Duration::from_micros(250);
/// Longest sleep; only bounds how late the thread notices what no event tells.
const SLEEP: Duration = Duration::from_millis(100);
/// How often a policy that gives hints looks at what happened; twice as long after each
/// look that led to no new hint, up to [`SLEEP`].
const HINT_PERIOD: Duration = Duration::from_millis(40);
const RETRY_ROOM: usize = 1024;
const NARROW_ROOM: usize = 4096;

/// What the scheduling thread tells at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ProcessStats {
    /// The driver's counters.
    #[serde(flatten)]
    pub driver: DriverStats,
    /// Decisions given up because their task was never found in custody.
    pub missed: u64,
    /// Tasks that had to do without the class that their cgroup gives them.
    pub unclassified: u64,
    /// Minor page faults after the start.
    pub faults_minor: u64,
    /// Major page faults after the start.
    pub faults_major: u64,
    /// What the policy counted, by name.
    pub policy: BTreeMap<&'static str, u64>,
    /// The error number with which the kernel refused a batch of decisions, which ended
    /// the thread.
    pub refused: Option<i32>,
}

/// The relay as a policy's backend: the plain loop.
#[derive(Debug)]
pub struct RelayBackend {
    channel: Channel,
    shared: Arc<Shared>,
    commands: Vec<abi::Command>,
    retries: Vec<(abi::Command, u32)>,
    online: CpuSet,
    /// Tasks that may not run everywhere, and where they may.
    narrow: HashMap<TaskKey, CpuSet>,
    lost_seen: u64,
    missed: u64,
}

impl RelayBackend {
    /// A backend over a loaded relay.
    #[must_use]
    pub fn new(channel: Channel, shared: Arc<Shared>, online: CpuSet) -> Self {
        let lost_seen = shared.lost();
        Self {
            channel,
            shared,
            commands: Vec::with_capacity(8192),
            retries: Vec::with_capacity(RETRY_ROOM),
            online,
            narrow: HashMap::with_capacity(NARROW_ROOM),
            lost_seen,
            missed: 0,
        }
    }

    /// Keeps what [`Backend::idle_cpu`] needs to know.
    fn note(&mut self, event: &Event) {
        match event.kind {
            EventKind::CpuOnline { cpu } => {
                self.online.insert(cpu);
            }
            EventKind::CpuOffline { cpu } => self.online.remove(cpu),
            EventKind::Join(info) | EventKind::Update(info) => {
                if self.online.is_subset(&info.allowed) {
                    self.narrow.remove(&event.task);
                } else if self.narrow.len() < NARROW_ROOM {
                    self.narrow.insert(event.task, info.allowed);
                }
            }
            EventKind::Exit => {
                self.narrow.remove(&event.task);
            }
            _ => {}
        }
    }

    /// Events that were lost since the last call.
    fn newly_lost(&mut self) -> u64 {
        let lost = self.shared.lost();
        let count = lost - self.lost_seen;
        self.lost_seen = lost;
        count
    }

    /// Sends what was decided, and what came too early before.
    fn flush(&mut self) -> Result<(), i32> {
        if self.commands.is_empty() && self.retries.is_empty() {
            return Ok(());
        }
        let fresh = self.commands.len();
        let mut tries: Vec<u32> = Vec::new();
        if !self.retries.is_empty() {
            tries.extend(self.retries.iter().map(|(_, tries)| *tries));
            self.commands
                .extend(self.retries.drain(..).map(|(command, _)| command));
        }
        let Self {
            channel,
            commands,
            retries,
            missed,
            ..
        } = self;
        let mut index = 0;
        let result = channel.decider.run(commands, |command| {
            let tried = if index < fresh {
                0
            } else {
                tries[index - fresh]
            };
            index += 1;
            if command.result != abi::RES_RETRY {
                return;
            }
            if tried < RETRIES_MAX && retries.len() < RETRY_ROOM {
                retries.push((*command, tried + 1));
            } else {
                *missed += 1;
            }
        });
        commands.clear();
        result
    }

    /// The first of the tasks that no longer lives, if any; asks the kernel.
    fn find_dead(&mut self, tasks: &[TaskKey]) -> Result<Vec<TaskKey>, i32> {
        let probe = |task: &TaskKey| abi::Command {
            kind: abi::CMD_PROBE,
            pid: task.pid,
            start_ns: task.start_ns,
            ..abi::Command::default()
        };
        let commands: Vec<_> = tasks.iter().map(probe).collect();
        let mut dead = Vec::new();
        self.channel.decider.run(&commands, |command| {
            if command.result == abi::RES_GONE {
                dead.push(TaskKey {
                    pid: command.pid,
                    start_ns: command.start_ns,
                });
            }
        })?;
        Ok(dead)
    }

    /// Sleeps until the relay or the bell wakes the thread, or 100 ms are over.
    pub fn sleep(&self, bell: &Bell) {
        // A record that is still being written needs its CPU, perhaps this one.
        if !self.retries.is_empty() || !self.channel.ring.is_empty() {
            return bell.wait(-1, RETRY_PAUSE);
        }
        self.shared.set_asleep();
        if self.channel.ring.is_empty() {
            bell.wait(self.channel.ring_fd.as_raw_fd(), SLEEP);
        }
        self.shared.set_awake();
    }
}

impl Backend for RelayBackend {
    type Error = i32;

    fn next_event(&mut self) -> Option<Event> {
        loop {
            let event = self.channel.ring.next(parse)?;
            let Some(event) = event else { continue };
            self.note(&event);
            return Some(event);
        }
    }

    fn idle_cpu(&mut self, task: TaskKey, near: u32) -> Option<u32> {
        let allowed = self.narrow.get(&task).unwrap_or(&self.online);
        let idle = CpuSet::from_words(self.shared.idle()).intersection(allowed);
        if idle.contains(near) {
            Some(near)
        } else {
            idle.lowest()
        }
    }

    fn online(&self) -> CpuSet {
        self.online
    }

    fn decide(&mut self, decision: Decision) -> Result<(), i32> {
        self.commands.push(convert::command(&decision));
        Ok(())
    }

    fn complete(&mut self) -> Result<(), i32> {
        let result = self.flush();
        self.shared.set_alive(now_ns());
        result
    }
}

/// Reads a record; the kernel's ring aligns it to eight bytes.
#[allow(unsafe_code)]
fn parse(record: &[u8]) -> Option<Event> {
    if record.len() < size_of::<abi::Event>() {
        return None;
    }
    if record.len() >= size_of::<abi::EventInfo>() {
        // SAFETY: long enough, and every bit pattern is an EventInfo.
        let raw: abi::EventInfo = unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) };
        return Some(convert::event_info(&raw));
    }
    if record.len() >= size_of::<abi::EventFeatures>() {
        // SAFETY: long enough, and every bit pattern is an EventFeatures.
        let raw: abi::EventFeatures = unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) };
        return convert::event_features(&raw);
    }
    // SAFETY: long enough, and every bit pattern is an Event.
    let raw: abi::Event = unsafe { std::ptr::read_unaligned(record.as_ptr().cast()) };
    convert::event(&raw)
}

/// A policy, driven by the relay.
#[allow(missing_debug_implementations)]
pub struct Process<P: Policy> {
    driver: Driver<P>,
    backend: RelayBackend,
    watch: Arc<Watch>,
    recorder: Option<Recorder>,
    spins: bool,
    classifier: Option<Classifier>,
    /// Time of the latest event. The relay's clock is not this process's, and drifts from
    /// it; a policy is told one time alone.
    clock_ns: u64,
}

impl<P: Policy> Process<P> {
    /// Joins a policy and a relay. A process that `spins` looks for events without
    /// sleeping between them.
    pub fn new(
        driver: Driver<P>,
        backend: RelayBackend,
        watch: Arc<Watch>,
        recorder: Option<Recorder>,
        spins: bool,
    ) -> Self {
        Self {
            driver,
            backend,
            watch,
            recorder,
            spins,
            classifier: None,
            clock_ns: 0,
        }
    }

    /// Gives every task its class from now on.
    #[must_use]
    pub fn with_classes(self, classifier: Option<Classifier>) -> Self {
        Self { classifier, ..self }
    }

    /// Schedules until it is stopped or the relay is gone.
    pub fn run(mut self) -> ProcessStats {
        // The first look at the clock maps the kernel's page for it.
        let mut awake_since = now_ns();
        let mut period = HINT_PERIOD;
        let mut is_first = true;
        let mut refused = None;
        let faults = page_faults();
        while !self.watch.stop.load(Ordering::Relaxed) && !self.backend.shared.exited() {
            if self.watch.pause.load(Ordering::Acquire) {
                self.rest();
                awake_since = now_ns();
                // Perhaps it was the end: then the relay is somebody else's.
                continue;
            }
            let now = now_ns();
            self.backend.shared.set_alive(now);
            let mut worked = self.batch(now);
            if self.driver.options().mode.is_hinted() {
                worked = !self.backend.commands.is_empty();
            }
            refused = self.backend.complete().err();
            if refused.is_some() {
                break;
            }
            if is_first {
                self.watch.first_batch_ns.store(now_ns(), Ordering::Release);
                is_first = false;
            }
            if self.driver.options().mode.is_hinted() {
                // Nobody waits for it, and nobody wakes it.
                period = if worked {
                    HINT_PERIOD
                } else {
                    SLEEP.min(period * 2)
                };
                self.watch.bell.wait(-1, period);
                awake_since = now_ns();
            } else if !worked && !self.spins {
                self.backend.sleep(&self.watch.bell);
                awake_since = now_ns();
            } else if now - awake_since > NAP_AFTER_NS {
                self.watch.bell.wait(-1, NAP);
                awake_since = now_ns();
            }
        }
        let after = page_faults();
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
        let mut policy = BTreeMap::new();
        self.driver.policy().counts(&mut |name, count| {
            policy.insert(name, count);
        });
        ProcessStats {
            policy,
            driver: *self.driver.stats(),
            missed: self.backend.missed,
            unclassified: self.classifier.as_ref().map_or(0, Classifier::overflows),
            faults_minor: after.0 - faults.0,
            faults_major: after.1 - faults.1,
            refused,
        }
    }

    /// Leaves the relay to somebody else until told otherwise.
    fn rest(&mut self) {
        self.backend.retries.clear();
        self.watch.paused.store(true, Ordering::Release);
        while self.watch.pause.load(Ordering::Acquire) && !self.watch.stop.load(Ordering::Relaxed) {
            self.watch.bell.wait(-1, SLEEP);
        }
        self.watch.paused.store(false, Ordering::Release);
        if self.watch.pause.load(Ordering::Acquire) {
            return;
        }
        // Somebody else had the relay, and gave it back.
        self.backend.channel.ring.reload();
        let lost = self.backend.newly_lost();
        self.resynchronise(lost);
    }

    /// Gives waiting events to the policy and takes its decisions; whether there
    /// were any.
    fn batch(&mut self, now: u64) -> bool {
        let lost = self.backend.newly_lost();
        let mut events = 0;
        self.watch.entered_ns.store(now, Ordering::Relaxed);
        while events < BATCH_EVENTS {
            let Some(mut event) = self.backend.next_event() else {
                break;
            };
            if let Some(classifier) = &mut self.classifier {
                classifier.classify(&mut event);
            }
            self.give(&event);
            events += 1;
        }
        events += self.update_classes();
        if lost > 0 {
            self.resynchronise(lost);
            events += 1;
        }
        if events > 0 {
            let end_ns = self.clock_ns;
            self.driver.batch_end(end_ns);
            if let Some(recorder) = &mut self.recorder {
                recorder.batch(end_ns, self.driver.decisions());
            }
            let commands = self.driver.decisions().iter().map(convert::command);
            self.backend.commands.extend(commands);
            self.driver.clear_decisions();
        }
        self.watch.entered_ns.store(0, Ordering::Relaxed);
        events > 0
    }

    /// Tells the policy of classes that became known; how many.
    fn update_classes(&mut self) -> usize {
        let Some(mut classifier) = self.classifier.take() else {
            return 0;
        };
        let mut updates = 0;
        classifier.resolve(|task, info| {
            let kind = EventKind::Update(info);
            self.give(&Event {
                time_ns: self.clock_ns,
                task,
                kind,
            });
            updates += 1;
        });
        self.classifier = Some(classifier);
        updates
    }

    fn give(&mut self, event: &Event) {
        if key_before(self.clock_ns, event.time_ns) {
            self.clock_ns = event.time_ns;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event);
        }
        self.driver.event(event);
    }

    /// After a loss: tells the policy, ends the tasks whose exit it missed, and makes
    /// up for CPUs that came or went. Everything else repairs itself: a task is
    /// announced again with its next event, and one whose enqueue was lost is not held.
    fn resynchronise(&mut self, count: u64) {
        let time_ns = self.clock_ns;
        let task = TaskKey::default();
        self.give(&Event {
            time_ns,
            task,
            kind: EventKind::Lost { count },
        });
        let known: Vec<_> = self
            .driver
            .tasks()
            .iter()
            .map(|(_, task)| task.key)
            .collect();
        for task in self.backend.find_dead(&known).unwrap_or_default() {
            self.give(&Event {
                time_ns,
                task,
                kind: EventKind::Exit,
            });
        }
        let online = CpuSet::from_words(self.backend.shared.online());
        let known = self.backend.online();
        let cpus = 0..baton_policy::MAX_CPUS as u32;
        for cpu in cpus.filter(|cpu| online.contains(*cpu) != known.contains(*cpu)) {
            let kind = match online.contains(cpu) {
                true => EventKind::CpuOnline { cpu },
                false => EventKind::CpuOffline { cpu },
            };
            let event = Event {
                time_ns,
                task,
                kind,
            };
            self.backend.note(&event);
            self.give(&event);
        }
    }
}

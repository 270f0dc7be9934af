//! The scheduling thread: events in, decisions out, asleep when there is nothing.

use std::{
    collections::HashMap,
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use baton_policy::{
    Backend, CpuSet, Decision, Driver, DriverStats, Event, EventKind, Mode, Policy, TaskKey,
};

use crate::{
    abi, convert,
    realtime::{Bell, now_ns, page_faults},
    record::Recorder,
    relay::Channel,
    shared::Shared,
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
/// look in vain, up to [`SLEEP`].
const HINT_PERIOD: Duration = Duration::from_millis(20);
/// How often one who waits for a pause looks.
const PAUSE_LOOK: Duration = Duration::from_micros(200);
const RETRY_ROOM: usize = 1024;
const NARROW_ROOM: usize = 4096;

/// What the scheduling thread shares with the thread that watches it.
#[derive(Debug)]
pub struct Watch {
    /// Set to end the scheduling thread.
    pub stop: AtomicBool,
    /// Wakes the scheduling thread.
    pub bell: Bell,
    /// When the policy was last entered; 0 while it is not running.
    pub entered_ns: AtomicU64,
    /// Asks the scheduling thread to leave the relay alone.
    pause: AtomicBool,
    /// Set while it does.
    paused: AtomicBool,
    /// When the first batch was carried out; 0 before.
    first_batch_ns: AtomicU64,
}

impl Watch {
    /// Of a thread that is to run.
    #[must_use]
    pub fn new(bell: Bell) -> Self {
        Self {
            stop: AtomicBool::new(false),
            bell,
            entered_ns: AtomicU64::new(0),
            pause: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            first_batch_ns: AtomicU64::new(0),
        }
    }

    /// When the thread had carried out its first decisions, or seen that there are none;
    /// waits for that, a second at most. None if it had not by then.
    #[must_use]
    pub fn await_first_batch(&self) -> Option<u64> {
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            match self.first_batch_ns.load(Ordering::Acquire) {
                0 => thread::sleep(PAUSE_LOOK),
                first_ns => return Some(first_ns),
            }
        }
        None
    }

    /// Has the scheduling thread leave the relay alone; whether it does within
    /// `patience`.
    pub fn pause(&self, patience: Duration) -> bool {
        self.pause.store(true, Ordering::Release);
        self.bell.ring();
        let deadline = Instant::now() + patience;
        while !self.paused.load(Ordering::Acquire) {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(PAUSE_LOOK);
        }
        true
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.pause.store(false, Ordering::Release);
        self.bell.ring();
    }
}

/// What the scheduling thread tells at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ProcessStats {
    /// The driver's counters.
    #[serde(flatten)]
    pub driver: DriverStats,
    /// Decisions given up because their task was never found in custody.
    pub missed: u64,
    /// Minor page faults after the start.
    pub faults_minor: u64,
    /// Major page faults after the start.
    pub faults_major: u64,
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
        }
    }

    /// Schedules until it is stopped or the relay is gone.
    pub fn run(mut self) -> ProcessStats {
        // The first look at the clock maps the kernel's page for it.
        let mut awake_since = now_ns();
        let mut period = HINT_PERIOD;
        let mut is_first = true;
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
            let worked = self.batch(now);
            if self.backend.complete().is_err() {
                break;
            }
            if is_first {
                self.watch.first_batch_ns.store(now_ns(), Ordering::Release);
                is_first = false;
            }
            if self.driver.options().mode == Mode::Hint {
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
        ProcessStats {
            driver: *self.driver.stats(),
            missed: self.backend.missed,
            faults_minor: after.0 - faults.0,
            faults_major: after.1 - faults.1,
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
            let Some(event) = self.backend.next_event() else {
                break;
            };
            self.give(&event);
            events += 1;
        }
        if lost > 0 {
            self.resynchronise(lost);
            events += 1;
        }
        if events > 0 {
            let end_ns = now_ns();
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

    fn give(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event);
        }
        self.driver.event(event);
    }

    /// After a loss: tells the policy, ends the tasks whose exit it missed, and makes
    /// up for CPUs that came or went. Everything else repairs itself: a task is
    /// announced again with its next event, and one whose enqueue was lost is not held.
    fn resynchronise(&mut self, count: u64) {
        let time_ns = now_ns();
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

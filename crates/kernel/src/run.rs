//! Runs a policy: loads the relay, starts the scheduling thread, watches it, and
//! gives the machine back.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use baton_policy::{Machine, Mode, Policy, log};
use rtrb::Producer;
use serde::Serialize;

use crate::{
    Error,
    arena::{self, ArenaUse},
    control::{self, Request, Served, Server, Successor},
    convert,
    exit::ExitReason,
    guard::{Guard, Sentry},
    process::ProcessStats,
    realtime::{self, Urgent},
    record::LogWriter,
    relay::{Attached, Open, kernel_release},
    scheduler::{Scheduler, Start},
    shared::Shared,
    signals::Signals,
    stats::Stats,
    takeover::Running,
};

const WATCH_PERIOD: Duration = Duration::from_millis(100);
/// So many periods in a row within one call of the policy end the process.
const STUCK_PERIODS: u32 = 20;
/// The relay's timer fires every 20 ms at least.
const TIMER_LATE_NS: u64 = 200_000_000;

/// Exit code of a process whose policy never came back.
pub const EXIT_STUCK: i32 = 71;

/// How to run a policy.
#[derive(Clone, Debug, Default)]
pub struct RunConfig {
    /// Seed of the policy's randomness.
    pub seed: u64,
    /// How the policy acts.
    pub mode: Mode,
    /// The policy's parameters, names and values.
    pub params: Vec<(String, String)>,
    /// How long; without, until a signal comes.
    pub duration: Option<Duration>,
    /// Where to log events and decisions for `baton replay`.
    pub log: Option<PathBuf>,
    /// The machine; without, what `/sys` tells.
    pub machine: Option<Machine>,
    /// What must hold, or the machine goes back to the kernel's own scheduler.
    pub guard: Option<Guard>,
    /// Whether to take over from the policy that runs, instead of loading a relay.
    pub takeover: bool,
    /// Bytes of the ring of events; without, 4 MiB, some 40,000 events.
    pub ring_bytes: Option<u32>,
    /// A CPU of the scheduling thread's own, on which it spins instead of sleeping: a
    /// decision comes sooner by a wakeup, and the CPU does little else.
    pub spin_cpu: Option<u32>,
}

/// What a run was.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The policy's name.
    pub policy: String,
    /// The kernel's release.
    pub kernel: String,
    /// Why it ended.
    pub exit: ExitReason,
    /// How long it scheduled.
    pub wall_s: f64,
    /// The relay's counters.
    pub stats: Stats,
    /// The scheduling thread's counters.
    pub process: ProcessStats,
    /// How often the relay's timer was late by more than 200 ms and armed again.
    pub timers_lost: u64,
    /// From whom it took over, if it did.
    pub takeover: Option<Takeover>,
    /// The scheduling thread's memory.
    pub arena: ArenaUse,
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} scheduled this machine for {:.1} s: {}",
            self.policy, self.wall_s, self.exit
        )?;
        writeln!(f, "{}", self.stats)?;
        write!(
            f,
            "  page faults of the scheduling thread: {} minor, {} major; timers lost: {}",
            self.process.faults_minor, self.process.faults_major, self.timers_lost
        )
    }
}

/// How another policy's process was taken over from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Takeover {
    /// The policy that scheduled before.
    pub from: String,
    /// Time without a policy: from when the last one was told to pause to this one's first
    /// decisions.
    pub gap_ns: u64,
    /// Tasks that waited for a decision then, and were told to this policy.
    pub held: u64,
}

/// Schedules this machine by a policy until its time is over, SIGINT, SIGTERM or
/// SIGHUP comes, another policy takes over, or the kernel takes the machine back.
/// `on_attached` is called when the policy is in charge.
///
/// # Errors
/// What this machine lacks, a parameter that the policy does not have, a panic of
/// the policy.
pub fn run<P: Policy>(
    config: &RunConfig,
    on_attached: &mut dyn FnMut(Option<&Takeover>),
) -> Result<RunReport, Error> {
    let open = match config.takeover {
        true => None,
        false => Some(Open::new()?),
    };
    let machine = match &config.machine {
        Some(machine) => machine.clone(),
        None => baton_machine::read_sys(std::path::Path::new("/sys"))
            .map_err(|error| Error::Machine(error.to_string()))?,
    };
    if let Some(cpu) = config.spin_cpu {
        check_spin_cpu(cpu, &machine)?;
    }
    let signals = Signals::take()?;
    let scheduler = Scheduler::spawn::<P>(config, &machine)?;
    let (writer, recorder) = match &config.log {
        Some(path) => {
            let header = header::<P>(config, &machine, &scheduler);
            let (writer, end) = LogWriter::start(path, &header)?;
            (Some(writer), Some(end))
        }
        None => (None, None),
    };
    // Open until this policy schedules or its thread has ended: as long as it is, the
    // policy before leaves the relay alone.
    let mut running = None;
    let charge = match open {
        Some(open) => Charge::load(open, config, &machine, &scheduler, recorder),
        None => Charge::take_over::<P>(&scheduler, recorder, &mut running),
    };
    let charge = match charge {
        Ok(charge) => charge,
        Err(error) => {
            let stopped = scheduler.stop();
            drop(running);
            let _ = writer.map(LogWriter::finish);
            // A panic of the policy explains more than that it did not start.
            stopped?;
            return Err(error);
        }
    };
    drop(running);
    on_attached(charge.takeover.as_ref());
    let report = in_charge::<P>(config, scheduler, charge, &signals);
    writer.map(LogWriter::finish).transpose()?;
    report
}

/// From the moment that the policy schedules until it no longer does.
fn in_charge<P: Policy>(
    config: &RunConfig,
    scheduler: Scheduler,
    charge: Charge,
    signals: &Signals,
) -> Result<RunReport, Error> {
    let began = Instant::now();
    let served = Arc::new(Served {
        attached: charge.attached,
        watch: Arc::clone(&scheduler.watch),
        policy: P::NAME,
        mode: config.mode.name(),
        options: convert::options(&scheduler.options),
        began,
        successor: Mutex::new(None),
        handoff: Mutex::new(()),
    });
    let server = match Server::open(Arc::clone(&served)) {
        Ok(server) => Some(server),
        Err(error) => {
            let path = control::socket_path();
            eprintln!(
                "warning: no control socket at {} ({error}): the policy runs, but cannot be asked \
                 or switched; BATON_RUN names another directory",
                path.display()
            );
            None
        }
    };
    let (exit, timers_lost) = watch(config, &scheduler, &served, &charge.shared, signals);
    let wall_s = began.elapsed().as_secs_f64();
    drop(server);
    let switched = matches!(exit, ExitReason::Switched { .. });
    let served = Arc::into_inner(served).expect("the server was the only other owner");
    let (stats, ejected) = served.attached.detach(&charge.shared);
    let process = scheduler.stop()?;
    Ok(RunReport {
        policy: P::NAME.to_string(),
        kernel: kernel_release(),
        exit: ejected.filter(|_| !switched).unwrap_or(exit),
        wall_s,
        stats: stats.since(&charge.before),
        process,
        timers_lost,
        takeover: charge.takeover,
        arena: arena::usage(),
    })
}

/// A relay that this process's policy serves.
struct Charge {
    attached: Attached,
    shared: Arc<Shared>,
    /// What was counted before.
    before: Stats,
    takeover: Option<Takeover>,
}

impl Charge {
    /// Loads a relay, and hands it the machine.
    fn load(
        open: Open,
        config: &RunConfig,
        machine: &Machine,
        scheduler: &Scheduler,
        recorder: Option<Producer<u8>>,
    ) -> Result<Self, Error> {
        let relay_config = convert::config(machine).map_err(Error::Machine)?;
        let open = config.ring_bytes.into_iter().fold(open, Open::ring_bytes);
        let loaded = open.load(&relay_config, &convert::options(&scheduler.options))?;
        let shared = Arc::new(loaded.shared()?);
        scheduler.begin(Start {
            channel: loaded.channel()?,
            shared: Arc::clone(&shared),
            recorder,
        })?;
        Ok(Self {
            attached: loaded.attach()?,
            shared,
            before: Stats::default(),
            takeover: None,
        })
    }

    /// Takes the relay of the process that schedules now.
    fn take_over<P: Policy>(
        scheduler: &Scheduler,
        recorder: Option<Producer<u8>>,
        connection: &mut Option<Running>,
    ) -> Result<Self, Error> {
        let (running, handles, from) = Running::with_relay()?;
        let running = connection.insert(running);
        let shared = Arc::new(handles.shared()?);
        let mut channel = handles.channel()?;
        let before = handles.stats();
        let _urgent = Urgent::now();
        let paused_ns = realtime::now_ns();
        running.ask(&Request::Pause)?;
        // What was published for the last policy; all that still waits is told anew.
        channel.ring.skip();
        handles.switch_to(&convert::options(&scheduler.options))?;
        let held = handles.stats().since(&before).counter("taken_over");
        scheduler.begin(Start {
            channel,
            shared: Arc::clone(&shared),
            recorder,
        })?;
        let decided_ns = scheduler.watch.await_first_batch();
        let decided_ns = decided_ns.ok_or(Error::DidNotBegin)?;
        running.ask(&Request::Taken {
            policy: P::NAME.to_owned(),
            pid: std::process::id(),
        })?;
        Ok(Self {
            attached: Attached::taken_over(handles),
            shared,
            before,
            takeover: Some(Takeover {
                from,
                gap_ns: decided_ns.saturating_sub(paused_ns),
                held,
            }),
        })
    }
}

/// The thread must leave a CPU to everybody else.
fn check_spin_cpu(cpu: u32, machine: &Machine) -> Result<(), Error> {
    let online = machine.online();
    if online.contains(cpu) && online.len() > 1 {
        return Ok(());
    }
    Err(Error::SpinCpu {
        cpu,
        online: online.len(),
    })
}

fn header<P: Policy>(config: &RunConfig, machine: &Machine, scheduler: &Scheduler) -> log::Header {
    log::Header {
        policy: P::NAME.to_string(),
        params: config.params.clone(),
        seed: config.seed,
        machine: machine.clone(),
        options: scheduler.options,
        kernel: kernel_release(),
        baton: env!("CARGO_PKG_VERSION").to_string(),
    }
}

/// Waits for the end and looks that the policy comes back from every call.
fn watch(
    config: &RunConfig,
    scheduler: &Scheduler,
    served: &Served,
    shared: &Shared,
    signals: &Signals,
) -> (ExitReason, u64) {
    let deadline = config.duration.map(|duration| Instant::now() + duration);
    let (mut stuck_since, mut stuck_periods, mut timers_lost) = (0, 0, 0);
    let mut sentry = config
        .guard
        .clone()
        .map(|guard| Sentry::new(guard, Instant::now(), served.attached.stats()));
    loop {
        let left = deadline.map_or(WATCH_PERIOD, |end| {
            end.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            return (ExitReason::TimeOver, timers_lost);
        }
        if signals.wait(left.min(WATCH_PERIOD)) {
            return (ExitReason::Signal, timers_lost);
        }
        if let Some(Successor { policy, pid }) = served.successor() {
            return (ExitReason::Switched { policy, pid }, timers_lost);
        }
        if shared.exited() || scheduler.is_finished() {
            let exit = ExitReason::Detached {
                reason: "the scheduling thread ended".to_string(),
            };
            return (exit, timers_lost);
        }
        if realtime::now_ns().saturating_sub(shared.timer_ns()) > TIMER_LATE_NS {
            served.attached.rearm_timer();
            timers_lost += 1;
        }
        let now = Instant::now();
        if let Some(sentry) = sentry.as_mut().filter(|sentry| sentry.is_due(now))
            && let Some(value_ns) = sentry.judge(now, served.attached.stats())
        {
            let condition = sentry.condition();
            return (
                ExitReason::GuardBroken {
                    condition,
                    value_ns,
                },
                timers_lost,
            );
        }
        // Counted in periods of this thread, which stop while the process is
        // stopped, not in time, which does not.
        let entered = scheduler.watch.entered_ns.load(Ordering::Relaxed);
        stuck_periods = if entered != 0 && entered == stuck_since {
            stuck_periods + 1
        } else {
            0
        };
        stuck_since = entered;
        if stuck_periods >= STUCK_PERIODS {
            end_stuck();
        }
    }
}

/// The scheduling thread cannot be joined any more: the process is the only thing
/// that can be ended, and the kernel takes the machine back with it.
#[allow(unsafe_code)]
fn end_stuck() -> ! {
    eprintln!(
        "baton: the policy did not come back from a call for two seconds and was ended; the \
         kernel's own scheduler is back"
    );
    // SAFETY: ends the process without running destructors that would wait for
    // the stuck thread.
    unsafe { libc::_exit(EXIT_STUCK) }
}

//! Runs a policy: loads the relay, starts the scheduling thread, watches it, and
//! gives the machine back.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use baton_policy::{Driver, Machine, Options, Policy, Setup, log};
use rtrb::Producer;
use serde::Serialize;

use crate::{
    Error, arena,
    arena::ArenaUse,
    convert,
    exit::ExitReason,
    process::{Process, ProcessStats, RelayBackend, Watch},
    realtime::{self, Bell},
    record::{LogWriter, Recorder},
    relay::{Attached, Channel, Loaded, Open, kernel_release},
    shared::Shared,
    signals::Signals,
    stats::Stats,
};

const WATCH_PERIOD: Duration = Duration::from_millis(100);
/// So many periods in a row within one call of the policy end the process.
const STUCK_PERIODS: u32 = 20;
/// The relay's timer fires every 20 ms at least.
const TIMER_LATE_NS: u64 = 200_000_000;
const STACK_BYTES: usize = 1 << 20;

/// Exit code of a process whose policy never came back.
pub const EXIT_STUCK: i32 = 71;

/// How to run a policy.
#[derive(Clone, Debug, Default)]
pub struct RunConfig {
    /// Seed of the policy's randomness.
    pub seed: u64,
    /// The policy's parameters, names and values.
    pub params: Vec<(String, String)>,
    /// How long; without, until a signal comes.
    pub duration: Option<Duration>,
    /// Where to log events and decisions for `baton replay`.
    pub log: Option<PathBuf>,
    /// The machine; without, what `/sys` tells.
    pub machine: Option<Machine>,
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

/// What the scheduling thread gets once the relay is loaded.
struct Start {
    channel: Channel,
    shared: Arc<Shared>,
    recorder: Option<Producer<u8>>,
}

/// The scheduling thread, made but not scheduling.
struct Scheduler {
    options: Options,
    start: SyncSender<Start>,
    ready: Receiver<Result<(), Error>>,
    watch: Arc<Watch>,
    thread: JoinHandle<ProcessStats>,
}

/// Schedules this machine by a policy until its time is over, SIGINT, SIGTERM or
/// SIGHUP comes, or the kernel takes the machine back. `on_attached` is called
/// when the policy is in charge.
///
/// # Errors
/// What this machine lacks, a parameter that the policy does not have, a panic of
/// the policy.
pub fn run<P: Policy>(
    config: &RunConfig,
    on_attached: &mut dyn FnMut(),
) -> Result<RunReport, Error> {
    let open = Open::new()?;
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
    let relay_config = convert::config(&scheduler.options, &machine, std::process::id())
        .map_err(Error::Machine)?;
    let open = config.ring_bytes.into_iter().fold(open, Open::ring_bytes);
    let loaded = open.load(&relay_config)?;
    let shared = Arc::new(loaded.shared()?);
    let writer = match &config.log {
        Some(path) => Some(LogWriter::start(
            path,
            &header::<P>(config, machine, &scheduler),
        )?),
        None => None,
    };
    let (writer, recorder) = writer.map_or((None, None), |(writer, end)| (Some(writer), Some(end)));

    let attached = match scheduler.take_charge(loaded, &shared, recorder) {
        Ok(attached) => attached,
        Err(error) => {
            let stopped = scheduler.stop();
            let _ = writer.map(LogWriter::finish);
            // A panic of the policy explains more than that it did not start.
            stopped?;
            return Err(error);
        }
    };
    let began = Instant::now();
    on_attached();
    let (exit, timers_lost) = watch(config, &scheduler, &attached, &shared, &signals);
    let wall_s = began.elapsed().as_secs_f64();

    let (stats, ejected) = attached.detach(&shared);
    let process = scheduler.stop();
    let written = writer.map(LogWriter::finish).transpose();
    let process = process?;
    written?;
    Ok(RunReport {
        policy: P::NAME.to_string(),
        kernel: kernel_release(),
        exit: ejected.unwrap_or(exit),
        wall_s,
        stats,
        process,
        timers_lost,
        arena: arena::usage(),
    })
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

fn header<P: Policy>(config: &RunConfig, machine: Machine, scheduler: &Scheduler) -> log::Header {
    log::Header {
        policy: P::NAME.to_string(),
        params: config.params.clone(),
        seed: config.seed,
        machine,
        options: scheduler.options,
        kernel: kernel_release(),
        baton: env!("CARGO_PKG_VERSION").to_string(),
    }
}

impl Scheduler {
    /// Starts the thread and makes the policy on it.
    fn spawn<P: Policy>(config: &RunConfig, machine: &Machine) -> Result<Self, Error> {
        let bell = Bell::new().map_err(|source| Error::System {
            what: "cannot make an event descriptor",
            source,
        })?;
        let watch = Arc::new(Watch {
            stop: AtomicBool::new(false),
            bell,
            entered_ns: AtomicU64::new(0),
        });
        let (options_in, options) = sync_channel(1);
        let (start, start_out) = sync_channel::<Start>(1);
        let (ready_in, ready) = sync_channel(1);
        let thread = {
            let (watch, machine) = (Arc::clone(&watch), machine.clone());
            let (seed, params) = (config.seed, config.params.clone());
            let spin_cpu = config.spin_cpu;
            thread::Builder::new()
                .name("baton-sched".into())
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    let setup = Setup::with_params(&machine, seed, &params);
                    let Ok(_arena) = enter_arena(&options_in) else {
                        return ProcessStats::default();
                    };
                    let driver = Driver::<P>::new(&setup);
                    let told = driver.as_ref().map(|driver| *driver.options());
                    let told = told.map_err(|error| Error::Setup(error.clone()));
                    let _ = options_in.send(told);
                    let (Ok(driver), Ok(start)) = (driver, start_out.recv()) else {
                        return ProcessStats::default();
                    };
                    let recorder = start.recorder.map(Recorder::new);
                    let backend = RelayBackend::new(start.channel, start.shared, machine.online());
                    let spins = spin_cpu.is_some();
                    let process = Process::new(driver, backend, watch, recorder, spins);
                    let real_time = realtime::lock_memory()
                        .and_then(|()| spin_cpu.map_or(Ok(()), realtime::bind_to))
                        .and_then(|()| realtime::limit_loops())
                        .and_then(|()| realtime::enter_fifo());
                    let failed = real_time.is_err();
                    let _ = ready_in.send(real_time);
                    if failed {
                        ProcessStats::default()
                    } else {
                        process.run()
                    }
                })
        };
        let thread = thread.map_err(|source| Error::System {
            what: "cannot start the scheduling thread",
            source,
        })?;
        match options.recv() {
            Ok(options) => Ok(Self {
                options: options?,
                start,
                ready,
                watch,
                thread,
            }),
            Err(_) => Err(panic_of(thread)),
        }
    }

    /// Hands the relay to the thread, and the machine to the relay.
    fn take_charge(
        &self,
        loaded: Loaded,
        shared: &Arc<Shared>,
        recorder: Option<Producer<u8>>,
    ) -> Result<Attached, Error> {
        let start = Start {
            channel: loaded.channel()?,
            shared: Arc::clone(shared),
            recorder,
        };
        let gone = || Error::Panicked("while it started".to_string());
        self.start.send(start).map_err(|_| gone())?;
        self.ready.recv().map_err(|_| gone())??;
        loaded.attach()
    }

    fn stop(self) -> Result<ProcessStats, Error> {
        self.watch.stop.store(true, Ordering::Relaxed);
        self.watch.bell.ring();
        // A thread that waits for its relay waits no longer.
        drop(self.start);
        match self.thread.join() {
            Ok(stats) => Ok(stats),
            Err(payload) => Err(Error::Panicked(panic_text(&*payload))),
        }
    }
}

fn enter_arena(options: &SyncSender<Result<Options, Error>>) -> Result<arena::Entered, ()> {
    arena::enter().map_err(|source| {
        let what = "cannot lock the scheduling thread's memory";
        let _ = options.send(Err(Error::System { what, source }));
    })
}

fn panic_of(thread: JoinHandle<ProcessStats>) -> Error {
    match thread.join() {
        Err(payload) => Error::Panicked(panic_text(&*payload)),
        Ok(_) => Error::Panicked("the scheduling thread ended early".to_string()),
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "for a reason that is no text".to_string())
}

/// Waits for the end and looks that the policy comes back from every call.
fn watch(
    config: &RunConfig,
    scheduler: &Scheduler,
    attached: &Attached,
    shared: &Shared,
    signals: &Signals,
) -> (ExitReason, u64) {
    let deadline = config.duration.map(|duration| Instant::now() + duration);
    let (mut stuck_since, mut stuck_periods, mut timers_lost) = (0, 0, 0);
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
        if shared.exited() || scheduler.thread.is_finished() {
            let exit = ExitReason::Detached {
                reason: "the scheduling thread ended".to_string(),
            };
            return (exit, timers_lost);
        }
        if realtime::now_ns().saturating_sub(shared.timer_ns()) > TIMER_LATE_NS {
            attached.rearm_timer();
            timers_lost += 1;
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

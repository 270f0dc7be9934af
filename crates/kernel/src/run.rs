//! Runs a policy: loads the relay, starts the scheduling thread, watches it, and
//! gives the machine back.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use baton_machine::{Cgroup, ClassFile};
use baton_model::{Model, ModelFile};
use baton_policy::{Classes, Machine, Mode, Options, Policy, log};
use rtrb::Producer;

use crate::{
    Error, abi, arena,
    classes::{self, Classifier},
    control::{self, Request, Served, Server, Successor},
    convert,
    exit::ExitReason,
    guard::{Guard, Sentry},
    part::{self, Part},
    realtime::{self, Urgent},
    record::LogWriter,
    relay::{Attached, Open, kernel_release},
    report::{Begun, RunReport, Takeover},
    scheduler::{Scheduler, Start},
    shared::Shared,
    signals::Signals,
    stats::Stats,
    takeover::{Running, RunningRelay},
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
    /// The task classes, and who belongs to them.
    pub classes: Option<ClassFile>,
    /// The cgroup whose tasks alone are scheduled; without, all tasks are.
    pub only: Option<Cgroup>,
    /// The model of a policy that uses one; without, the one that comes with Baton.
    pub model: Option<Arc<ModelFile>>,
}

impl RunConfig {
    /// The table of classes; empty without any.
    pub(crate) fn class_table(&self) -> Classes {
        let file = self.classes.as_ref();
        file.map_or(Classes::NONE, |file| file.classes().clone())
    }

    /// The model that a policy works with, if it uses one.
    pub(crate) fn model_for<P: Policy>(&self) -> Option<&Model> {
        let named = self.model.as_deref();
        P::USES_MODEL.then(|| &named.unwrap_or_else(|| ModelFile::shipped()).model)
    }

    /// The model that the relay is to compute with, if it is to.
    fn model_of_relay<P: Policy>(&self, options: &Options) -> Option<&Model> {
        self.model_for::<P>()
            .filter(|_| options.mode == Mode::Infer)
    }
}

/// Schedules this machine by a policy until its time is over, SIGINT, SIGTERM or
/// SIGHUP comes, another policy takes over, or the kernel takes the machine back.
/// `on_begun` is called when the policy is in charge.
///
/// # Errors
/// What this machine lacks, a parameter that the policy does not have, a panic of
/// the policy.
pub fn run<P: Policy>(
    config: &RunConfig,
    on_begun: &mut dyn FnMut(&Begun<'_>),
) -> Result<RunReport, Error> {
    if config.takeover && config.only.is_some() {
        return Err(Error::PartOfSwitch);
    }
    part::leave_ext();
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
    if let Some(classes) = &config.classes {
        classes.check(&machine)?;
    }
    let signals = Signals::take()?;
    let file = config.classes.clone().map(Arc::new);
    let classes = file.clone().map(classes::start).transpose()?;
    // The thread that reads cgroups lives as long as the run.
    let (classifier, _cgroups) = classes.unzip();
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
        Some(open) => Charge::load::<P>(open, config, &machine, &scheduler, recorder, classifier),
        None => Charge::take_over::<P>(config, &scheduler, recorder, classifier, &mut running),
    };
    let charge = match charge {
        Ok(charge) => charge,
        Err(error) => {
            // One that panicked touches the relay no more: nobody waits for its backtrace.
            if scheduler.is_finished() {
                running = None;
            }
            let stopped = scheduler.stop();
            drop(running);
            let _ = writer.map(LogWriter::finish);
            // A panic of the policy explains more than that it did not start.
            stopped?;
            return Err(error);
        }
    };
    drop(running);
    on_begun(&Begun {
        takeover: charge.takeover.as_ref(),
        part: charge.part.as_ref().map(Part::report),
    });
    let report = in_charge::<P>(config, file, scheduler, charge, &signals);
    // What became of the policy matters more than its log.
    let log_problem = writer.and_then(|writer| writer.finish().err());
    let log_problem = log_problem.map(|error| error.to_string());
    if let (Err(_), Some(problem)) = (&report, &log_problem) {
        eprintln!("warning: {problem}");
    }
    report.map(|report| RunReport {
        log_problem,
        ..report
    })
}

/// From the moment that the policy schedules until it no longer does.
fn in_charge<P: Policy>(
    config: &RunConfig,
    classes: Option<Arc<ClassFile>>,
    scheduler: Scheduler,
    charge: Charge,
    signals: &Signals,
) -> Result<RunReport, Error> {
    if scheduler.options.performance && charge.shared.abilities() & abi::CAN_PERF == 0 {
        eprintln!(
            "note: this kernel takes no CPU performance targets, those of {} are ignored",
            P::NAME
        );
    }
    let began = Instant::now();
    let served = Arc::new(Served {
        attached: charge.attached,
        shared: Arc::clone(&charge.shared),
        watch: Arc::clone(&scheduler.watch),
        policy: P::NAME,
        mode: config.mode.name(),
        options: charge.options,
        began,
        classes,
        part: Mutex::new(charge.part),
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
    let Served { attached, part, .. } = served;
    let part = part.into_inner().unwrap_or_else(PoisonError::into_inner);
    let scheduled = part.as_ref().map_or(Vec::new(), |_| attached.scheduled());
    let (stats, ejected) = attached.detach(&charge.shared);
    let only = part.map(|mut part| {
        part.give_back(&scheduled);
        part.report().clone()
    });
    let process = scheduler.stop()?;
    if let (Some(errno), None) = (process.refused, &ejected) {
        return Err(Error::System {
            what: "the relay does not take the policy's decisions; the kernel's own scheduler is back",
            source: io::Error::from_raw_os_error(errno),
        });
    }
    Ok(RunReport {
        policy: P::NAME.to_string(),
        kernel: kernel_release(),
        exit: ejected.filter(|_| !switched).unwrap_or(exit),
        wall_s,
        stats: stats.since(&charge.before),
        process,
        timers_lost,
        takeover: charge.takeover,
        only,
        arena: arena::usage(),
        log_problem: None,
    })
}

/// A relay that this process's policy serves.
struct Charge {
    attached: Attached,
    shared: Arc<Shared>,
    /// What the relay was told.
    options: abi::Options,
    /// What was counted before.
    before: Stats,
    takeover: Option<Takeover>,
    part: Option<Part>,
}

impl Charge {
    /// Loads a relay, and hands it the machine.
    fn load<P: Policy>(
        open: Open,
        config: &RunConfig,
        machine: &Machine,
        scheduler: &Scheduler,
        recorder: Option<Producer<u8>>,
        classifier: Option<Classifier>,
    ) -> Result<Self, Error> {
        let relay_config = convert::config(machine).map_err(Error::Machine)?;
        let open = config.ring_bytes.into_iter().fold(open, Open::ring_bytes);
        let open = open.partial(config.only.is_some());
        let options = convert::options(&scheduler.options);
        let loaded = open.load(&relay_config, &options)?;
        if let Some(model) = config.model_of_relay::<P>(&scheduler.options) {
            loaded.set_model(model)?;
        }
        let shared = Arc::new(loaded.shared()?);
        scheduler.begin(Start {
            channel: loaded.channel()?,
            shared: Arc::clone(&shared),
            recorder,
            classifier,
        })?;
        let attached = loaded.attach()?;
        let part = config.only.clone().map(Part::take).transpose()?;
        Ok(Self {
            attached,
            shared,
            options,
            before: Stats::default(),
            takeover: None,
            part,
        })
    }

    /// Takes the relay of the process that schedules now.
    fn take_over<P: Policy>(
        config: &RunConfig,
        scheduler: &Scheduler,
        recorder: Option<Producer<u8>>,
        classifier: Option<Classifier>,
        connection: &mut Option<Running>,
    ) -> Result<Self, Error> {
        let (running, relay) = Running::with_relay()?;
        let RunningRelay {
            handles,
            policy: from,
            only,
        } = relay;
        let running = connection.insert(running);
        let shared = Arc::new(handles.shared()?);
        let mut channel = handles.channel()?;
        let before = handles.stats();
        let mut options = convert::options(&scheduler.options);
        options.model = match config.model_of_relay::<P>(&scheduler.options) {
            Some(model) => handles.write_model(&shared, model)?,
            None => shared.model(),
        };
        let _urgent = Urgent::now();
        let paused_ns = realtime::now_ns();
        running.ask(&Request::Pause)?;
        // What was published for the last policy; all that still waits is told anew.
        channel.ring.skip();
        handles.switch_to(&options)?;
        let held = handles.stats().since(&before).counter("taken_over");
        scheduler.begin(Start {
            channel,
            shared: Arc::clone(&shared),
            recorder,
            classifier,
        })?;
        let decided_ns = scheduler.watch.await_first_batch();
        let decided_ns = decided_ns.ok_or(Error::DidNotBegin)?;
        let answer = running.ask(&Request::Taken {
            policy: P::NAME.to_owned(),
            pid: std::process::id(),
        })?;
        Ok(Self {
            attached: Attached::taken_over(handles),
            shared,
            options,
            before,
            takeover: Some(Takeover {
                from,
                gap_ns: decided_ns.saturating_sub(paused_ns),
                held,
            }),
            part: only.map(|cgroup| Part::adopt(cgroup, &answer["former"])),
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
        classes: config.class_table(),
        model: config.model_for::<P>().cloned(),
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
    let mut timers_lost = 0;
    let mut stuck = Stuck::default();
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
        if let Some(part) = &mut *served.part() {
            part.tend(|| served.attached.scheduled());
        }
        if realtime::looped() {
            served.end_part();
            realtime::end_looped();
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
        if stuck.look(scheduler.watch.entered_ns.load(Ordering::Relaxed)) {
            served.end_part();
            end_stuck();
        }
    }
}

/// Whether the policy stays in a call. Counted in periods of the watching thread, which
/// stop while the process is stopped, not in time, which does not.
#[derive(Debug, Default)]
struct Stuck {
    since_ns: u64,
    periods: u32,
}

impl Stuck {
    /// Takes when the policy was last entered, 0 while it is not running; whether it has
    /// been there for [`STUCK_PERIODS`].
    fn look(&mut self, entered_ns: u64) -> bool {
        let same = entered_ns != 0 && entered_ns == self.since_ns;
        self.periods = if same { self.periods + 1 } else { 0 };
        self.since_ns = entered_ns;
        self.periods >= STUCK_PERIODS
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

//! The scheduling thread: made with its policy before there is a relay, so that it
//! begins the moment it gets one.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use baton_policy::{Driver, Machine, Options, Policy, Setup};
use rtrb::Producer;

use crate::{
    Error, RunConfig, arena,
    classes::Classifier,
    panics,
    process::{Process, ProcessStats, RelayBackend},
    realtime::{self, Bell},
    record::Recorder,
    relay::Channel,
    shared::Shared,
    watch::Watch,
};

const STACK_BYTES: usize = 1 << 20;

/// What the scheduling thread gets once there is a relay.
pub(crate) struct Start {
    pub(crate) channel: Channel,
    pub(crate) shared: Arc<Shared>,
    pub(crate) recorder: Option<Producer<u8>>,
    pub(crate) classifier: Option<Classifier>,
}

/// The scheduling thread, made but not scheduling.
pub(crate) struct Scheduler {
    pub(crate) options: Options,
    pub(crate) watch: Arc<Watch>,
    start: SyncSender<Start>,
    thread: JoinHandle<ProcessStats>,
}

/// The thread's ends of what it shares with its maker.
struct Ends {
    options: SyncSender<Result<Options, Error>>,
    start: Receiver<Start>,
    watch: Arc<Watch>,
}

impl Scheduler {
    /// Starts the thread and makes the policy on it.
    pub(crate) fn spawn<P: Policy>(config: &RunConfig, machine: &Machine) -> Result<Self, Error> {
        let bell = Bell::new().map_err(|source| Error::System {
            what: "cannot make an event descriptor",
            source,
        })?;
        let watch = Arc::new(Watch::new(bell));
        let (options_in, options) = sync_channel(1);
        let (start, start_out) = sync_channel::<Start>(1);
        let ends = Ends {
            options: options_in,
            start: start_out,
            watch: Arc::clone(&watch),
        };
        let (config, machine) = (config.clone(), machine.clone());
        let thread = thread::Builder::new()
            .name("baton-sched".into())
            .stack_size(STACK_BYTES)
            .spawn(move || schedule::<P>(&config, &machine, ends));
        let thread = thread.map_err(|source| Error::System {
            what: "cannot start the scheduling thread",
            source,
        })?;
        match options.recv() {
            Ok(options) => Ok(Self {
                options: options?,
                watch,
                start,
                thread,
            }),
            Err(_) => Err(panic_of(thread)),
        }
    }

    /// Gives the thread its relay; it takes events from then on.
    pub(crate) fn begin(&self, start: Start) -> Result<(), Error> {
        let gone = || Error::Panicked("while it started".to_string());
        self.start.send(start).map_err(|_| gone())
    }

    /// Whether the thread has ended, or will: it panicked.
    pub(crate) fn is_finished(&self) -> bool {
        self.watch.panicked.load(Ordering::Acquire) || self.thread.is_finished()
    }

    /// Ends the thread.
    pub(crate) fn stop(self) -> Result<ProcessStats, Error> {
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

/// The thread's life.
fn schedule<P: Policy>(config: &RunConfig, machine: &Machine, ends: Ends) -> ProcessStats {
    let classes = config.class_table();
    let setup = Setup::with_params(machine, config.seed, &config.params)
        .with_mode(config.mode)
        .with_classes(&classes)
        .with_model(config.model_for::<P>());
    let Ok(_arena) = enter_arena(&ends.options) else {
        return ProcessStats::default();
    };
    let driver = Driver::<P>::new(&setup).map_err(|error| Error::Setup(error.clone()));
    let watch = Arc::clone(&ends.watch);
    let prepared = driver.and_then(|driver| prepare(config, watch).map(|()| driver));
    let driver = match prepared {
        Ok(driver) => driver,
        Err(error) => {
            let _ = ends.options.send(Err(error));
            return ProcessStats::default();
        }
    };
    let _ = ends.options.send(Ok(*driver.options()));
    let Ok(start) = ends.start.recv() else {
        return ProcessStats::default();
    };
    let recorder = start.recorder.map(Recorder::new);
    let backend = RelayBackend::new(start.channel, start.shared, machine.online());
    let spins = config.spin_cpu.is_some();
    Process::new(driver, backend, ends.watch, recorder, spins)
        .with_classes(start.classifier)
        .run()
}

/// Makes the thread a real-time one before there is a relay: it could wait for its turn
/// under the very policy that it takes over from.
fn prepare(config: &RunConfig, watch: Arc<Watch>) -> Result<(), Error> {
    realtime::lock_memory()?;
    config.spin_cpu.map_or(Ok(()), realtime::bind_to)?;
    panics::tell_at_leisure(watch);
    realtime::limit_loops()?;
    realtime::enter_fifo()
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

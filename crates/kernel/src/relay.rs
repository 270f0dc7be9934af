//! Loading the relay, one type for each phase: a program opens it, configures and
//! loads it, and attaches it; nothing can be done out of order.

use std::{
    ffi::OsStr,
    fs,
    os::fd::{AsFd, OwnedFd},
    sync::Mutex,
};

use libbpf_rs::{Link, Map, MapCore, Object, ObjectBuilder, OpenObject, PrintLevel, Program};

use crate::{
    Error, abi,
    decide::Decider,
    exit::ExitReason,
    handles::{self, Handles},
    ring::Ring,
    shared::{Batch, Shared},
    stats::Stats,
    symbols::without_unknown,
};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relay.bpf.o"));
/// Room for events, unless the caller wants another.
const RING_BYTES: u32 = 4 << 20;
const RING_BYTES_MAX: u32 = 1 << 30;
const PAGE_BYTES: u32 = 4096;
const VERIFIER_LOG: &str = "BATON_VERIFIER_LOG";
/// The verifier's log level that tells what each program took it.
const LOG_STATS: u32 = 4;
/// Lines of libbpf's and the verifier's log that an error shows.
const LOG_LINES: usize = 12;

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) fn keep_log(_: PrintLevel, line: String) {
    if let Ok(mut log) = LOG.lock() {
        log.extend(line.lines().map(str::to_string));
        let excess = log.len().saturating_sub(2000);
        log.drain(..excess);
    }
}

/// The last lines that libbpf and the verifier wrote, each on a line of its own.
pub(crate) fn log_tail() -> String {
    let Ok(log) = LOG.lock() else {
        return String::new();
    };
    let lines: Vec<_> = log.iter().filter(|line| !line.trim().is_empty()).collect();
    let from = lines
        .len()
        .saturating_sub(if verbose() { 2000 } else { LOG_LINES });
    lines[from..]
        .iter()
        .map(|line| format!("\n  {line}"))
        .collect()
}

fn load_error(step: &'static str, source: libbpf_rs::Error) -> Error {
    if let Some(function) = defective_function() {
        return Error::DefectiveBtf {
            release: kernel_release(),
            function,
        };
    }
    let release = kernel_release();
    let mut log = log_tail();
    if is_too_old(&release) {
        log += &format!("\n  this is Linux {release}, and Baton needs 6.16 or later");
    }
    Error::Load { step, source, log }
}

/// Whether a release lies before the first that the relay was tried on: earlier ones
/// lack kernel functions that it calls.
fn is_too_old(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    matches!((number(), number()), (Some(major), Some(minor)) if (major, minor) < (6, 16))
}

/// A function without which there is no custody, and which libbpf found described
/// otherwise than it is.
fn defective_function() -> Option<&'static str> {
    let log = LOG.lock().ok()?;
    [
        "scx_bpf_create_dsq",
        "bpf_iter_scx_dsq_new",
        "scx_bpf_dsq_nr_queued",
    ]
    .into_iter()
    .find(|function| {
        log.iter()
            .any(|line| line.contains(*function) && line.contains("incompatible"))
    })
}

/// What the verifier says of the programs that it took: its time, instructions and states.
fn verification() -> String {
    let told = |line: &&String| {
        line.contains("BEGIN PROG LOAD LOG")
            || line.contains("verification time")
            || line.contains("processed ")
    };
    LOG.lock().map_or_else(
        |_| String::new(),
        |log| {
            log.iter()
                .filter(told)
                .map(|line| format!("{line}\n"))
                .collect()
        },
    )
}

/// Whether to show the verifier's whole log, for those who work on the relay.
fn verbose() -> bool {
    std::env::var_os(VERIFIER_LOG).is_some()
}

/// Whether to show what each program costs the verifier instead: at that level of its log, it does
/// not tell why it refuses one.
fn wants_costs() -> bool {
    std::env::var_os(VERIFIER_LOG).is_some_and(|value| value == "costs")
}

/// The running kernel's release, such as `7.0.13+deb13-cloud-amd64`.
#[must_use]
pub fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_string()
}

/// The name of the scheduler that is loaded, if one is.
#[must_use]
pub fn loaded_scheduler() -> Option<String> {
    let state = fs::read_to_string("/sys/kernel/sched_ext/state").ok()?;
    if state.trim() == "disabled" {
        return None;
    }
    let name = fs::read_to_string("/sys/kernel/sched_ext/root/ops").unwrap_or_default();
    Some(name.trim().to_string())
}

/// The relay, opened: not in the kernel yet.
#[derive(Debug)]
pub struct Open {
    object: OpenObject,
    ring_bytes: u32,
    partial: bool,
}

impl Open {
    /// Opens the relay after looking whether this machine can load it.
    ///
    /// # Errors
    /// What this machine lacks, with the remedy.
    pub fn new() -> Result<Self, Error> {
        let release = kernel_release();
        if !std::path::Path::new("/sys/kernel/sched_ext").exists() {
            return Err(Error::NoSchedExt { release });
        }
        if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err(Error::NoBtf { release });
        }
        if !is_root() {
            return Err(Error::NotRoot);
        }
        if let Some(name) = loaded_scheduler() {
            return Err(Error::Busy { name });
        }
        libbpf_rs::set_print(Some((PrintLevel::Debug, keep_log)));
        let object = ObjectBuilder::default()
            .open_memory(&without_unknown(OBJECT))
            .map_err(|source| load_error("opening it", source))?;
        Ok(Self {
            object,
            ring_bytes: RING_BYTES,
            partial: false,
        })
    }

    /// Has the relay schedule those tasks alone whose scheduling policy is `SCHED_EXT`.
    #[must_use]
    pub fn partial(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// Sets the room for events, rounded up to a power of two and whole pages;
    /// otherwise it is 4 MiB, some 40,000 events.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: u32) -> Self {
        self.ring_bytes = bytes.clamp(PAGE_BYTES, RING_BYTES_MAX).next_power_of_two();
        self
    }

    /// Tells the relay the machine and what the policy asks for, and loads it into the
    /// kernel.
    ///
    /// # Errors
    /// When the kernel refuses it; the message ends with the verifier's last words.
    pub fn load(mut self, config: &abi::Config, options: &abi::Options) -> Result<Loaded, Error> {
        let config = abi::Config {
            part: u32::from(self.partial),
            ..*config
        };
        for mut map in self.object.maps_mut() {
            let name = map.name().to_os_string();
            let value = match name.to_str() {
                Some(".rodata.config") => abi::bytes_of(&config),
                Some(".data.options") => abi::bytes_of(options),
                _ => &[],
            };
            if !value.is_empty() {
                map.set_initial_value(value)
                    .map_err(|source| load_error("configuring it", source))?;
            } else if name == OsStr::new("events") {
                map.set_max_entries(self.ring_bytes)
                    .map_err(|source| load_error("sizing its ring", source))?;
            } else if name == operations(!self.partial) {
                map.set_autocreate(false)
                    .map_err(|source| load_error("choosing its tasks", source))?;
            }
        }
        if wants_costs() {
            for mut program in self.object.progs_mut() {
                program.set_log_level(LOG_STATS);
            }
        }
        let object = self
            .object
            .load()
            .map_err(|source| load_error("loading it", source))?;
        if wants_costs() {
            eprint!("{}", verification());
        }
        let abilities = program(&object, "relay_abilities");
        handles::find_abilities(abilities.as_fd())?;
        Ok(Loaded {
            object,
            ring_bytes: self.ring_bytes,
            partial: self.partial,
        })
    }
}

/// The map that holds the relay's operations.
const fn operations(partial: bool) -> &'static str {
    match partial {
        true => "relay_part_ops",
        false => "relay_ops",
    }
}

/// The relay, in the kernel but not scheduling.
#[derive(Debug)]
pub struct Loaded {
    object: Object,
    ring_bytes: u32,
    partial: bool,
}

impl Loaded {
    /// The ends of the relay that the scheduling thread holds.
    ///
    /// # Errors
    /// When the kernel refuses a mapping.
    pub fn channel(&self) -> Result<Channel, Error> {
        let mapping = |source| Error::System {
            what: "cannot map the relay's memory",
            source,
        };
        let events = self.map("events");
        let ring = Ring::map(events.as_fd(), self.ring_bytes as usize).map_err(mapping)?;
        let ring_fd = events.as_fd().try_clone_to_owned().map_err(mapping)?;
        let batch = Batch::map(self.map("batch_map").as_fd()).map_err(mapping)?;
        let decide = program(&self.object, "relay_decide");
        let decide = decide.as_fd().try_clone_to_owned().map_err(mapping)?;
        Ok(Channel {
            ring,
            ring_fd,
            decider: Decider::new(decide, batch),
        })
    }

    /// The shared memory.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn shared(&self) -> Result<Shared, Error> {
        Shared::map(self.map("shared_map").as_fd()).map_err(|source| Error::System {
            what: "cannot map the relay's memory",
            source,
        })
    }

    /// Gives the relay its model, before it schedules.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_model(&self, model: &baton_model::Model) -> Result<(), Error> {
        handles::write_model(self.map("model_map").as_fd(), 0, model)
    }

    fn map(&self, name: &str) -> Map<'_> {
        let map = self.object.maps().find(|map| map.name() == name);
        map.expect("the relay has the map")
    }

    /// Starts scheduling: the timer first, which is to see every task.
    ///
    /// # Errors
    /// When the kernel refuses the scheduler.
    pub fn attach(self) -> Result<Attached, Error> {
        let Self {
            mut object,
            ring_bytes,
            partial,
        } = self;
        start_timer(&object)?;
        let link = {
            let ops = object
                .maps_mut()
                .find(|map| map.name() == operations(partial));
            let mut ops = ops.expect("the relay has its operations");
            ops.attach_struct_ops()
                .map_err(|source| load_error("attaching it", source))?
        };
        let handles = Handles::of(&link, &object, ring_bytes).map_err(|source| Error::System {
            what: "cannot keep the relay's descriptors",
            source,
        })?;
        Ok(Attached {
            handles,
            loaded: Some((link, object)),
        })
    }
}

fn start_timer(object: &Object) -> Result<(), Error> {
    handles::start_timer(program(object, "relay_start").as_fd())
}

fn program<'a>(object: &'a Object, name: &str) -> Program<'a> {
    let program = object.progs().find(|program| program.name() == name);
    program.expect("the relay has the program")
}

/// What the scheduling thread holds of a loaded relay.
#[derive(Debug)]
pub struct Channel {
    /// Events.
    pub ring: Ring,
    /// Readable when the relay wakes the process.
    pub ring_fd: OwnedFd,
    /// Decisions.
    pub decider: Decider,
}

/// The relay, scheduling. Dropping the last of these gives the machine back.
#[derive(Debug)]
pub struct Attached {
    handles: Handles,
    /// In the process that loaded it. The link goes first.
    loaded: Option<(Link, Object)>,
}

impl Attached {
    /// A relay that another process loaded.
    pub(crate) const fn taken_over(handles: Handles) -> Self {
        Self {
            handles,
            loaded: None,
        }
    }

    pub(crate) const fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Arms the relay's timer again, should the kernel have lost it.
    pub fn rearm_timer(&self) {
        let _ = self.handles.start_timer();
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handles.stats()
    }

    /// The threads that the relay has scheduled; none if the kernel does not tell.
    #[must_use]
    pub fn scheduled(&self) -> Vec<u32> {
        let tasks = self.handles.tasks().unwrap_or_default();
        tasks.iter().map(|task| task.pid).collect()
    }

    /// Detaches and tells the last counters, and the kernel's reason if it
    /// detached the relay before. If another process holds the relay too, it goes on.
    #[must_use]
    pub fn detach(self, shared: &Shared) -> (Stats, Option<ExitReason>) {
        let ejected = shared.exited().then(|| {
            let (kind, _, reason, message) = shared.exit();
            ExitReason::from_kernel(kind, reason, message)
        });
        let Self { handles, loaded } = self;
        drop(loaded);
        (handles.close(), ejected)
    }
}

#[allow(unsafe_code)]
pub(crate) fn is_root() -> bool {
    // SAFETY: a plain query.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(test)]
mod tests {
    use super::is_too_old;

    #[test]
    fn releases() {
        assert!(is_too_old("6.12.9+deb13-amd64") && is_too_old("5.10.0"));
        assert!(!is_too_old("6.16.0") && !is_too_old("7.0.13+deb13-cloud-amd64"));
        assert!(!is_too_old("unknown"));
    }
}

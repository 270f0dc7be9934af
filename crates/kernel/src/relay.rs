//! Loading the relay, one type for each phase: a program opens it, configures and
//! loads it, and attaches it; nothing can be done out of order.

use std::{
    ffi::OsStr,
    fs,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Mutex,
};

use libbpf_rs::{Link, MapCore, Object, ObjectBuilder, OpenObject, PrintLevel};

use crate::{
    Error, abi,
    decide::{Decider, run_program},
    exit::ExitReason,
    realtime,
    ring::Ring,
    shared::{Batch, Shared},
    stats::Stats,
};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relay.bpf.o"));
/// Room for events, unless the caller wants another.
const RING_BYTES: u32 = 4 << 20;
const RING_BYTES_MAX: u32 = 1 << 30;
const PAGE_BYTES: u32 = 4096;
/// Lines of libbpf's and the verifier's log that an error shows.
const LOG_LINES: usize = 12;

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep_log(_: PrintLevel, line: String) {
    if let Ok(mut log) = LOG.lock() {
        log.extend(line.lines().map(str::to_string));
        let excess = log.len().saturating_sub(2000);
        log.drain(..excess);
    }
}

fn load_error(step: &'static str, source: libbpf_rs::Error) -> Error {
    let log = LOG.lock().map(|log| {
        let lines: Vec<_> = log.iter().filter(|line| !line.trim().is_empty()).collect();
        let from = lines
            .len()
            .saturating_sub(if verbose() { 2000 } else { LOG_LINES });
        lines[from..]
            .iter()
            .map(|line| format!("\n  {line}"))
            .collect()
    });
    if let Some(function) = defective_function() {
        return Error::DefectiveBtf {
            release: kernel_release(),
            function,
        };
    }
    Error::Load {
        step,
        source,
        log: log.unwrap_or_default(),
    }
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

/// Whether to show the verifier's whole log, for those who work on the relay.
fn verbose() -> bool {
    std::env::var_os("BATON_VERIFIER_LOG").is_some()
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
            .open_memory(OBJECT)
            .map_err(|source| load_error("opening it", source))?;
        Ok(Self {
            object,
            ring_bytes: RING_BYTES,
        })
    }

    /// Sets the room for events, rounded up to a power of two and whole pages;
    /// otherwise it is 4 MiB, some 40,000 events.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: u32) -> Self {
        self.ring_bytes = bytes.clamp(PAGE_BYTES, RING_BYTES_MAX).next_power_of_two();
        self
    }

    /// Fixes the configuration and loads the relay into the kernel.
    ///
    /// # Errors
    /// When the kernel refuses it; the message ends with the verifier's last words.
    pub fn load(mut self, config: &abi::Config) -> Result<Loaded, Error> {
        for mut map in self.object.maps_mut() {
            let name = map.name().to_os_string();
            if name == OsStr::new(".rodata.config") {
                map.set_initial_value(config.as_bytes())
                    .map_err(|source| load_error("configuring it", source))?;
            } else if name == OsStr::new("events") {
                map.set_max_entries(self.ring_bytes)
                    .map_err(|source| load_error("sizing its ring", source))?;
            }
        }
        let object = self
            .object
            .load()
            .map_err(|source| load_error("loading it", source))?;
        Ok(Loaded {
            object,
            ring_bytes: self.ring_bytes,
        })
    }
}

/// The relay, in the kernel but not scheduling.
#[derive(Debug)]
pub struct Loaded {
    object: Object,
    ring_bytes: u32,
}

impl Loaded {
    /// The ends of the relay that the scheduling thread holds.
    ///
    /// # Errors
    /// When the kernel refuses a mapping.
    pub fn channel(&self) -> Result<Channel, Error> {
        let map = |name: &str| {
            let map = self
                .object
                .maps()
                .find(|map| map.name() == OsStr::new(name));
            map.expect("the relay has the map")
        };
        let mapping = |source| Error::System {
            what: "cannot map the relay's memory",
            source,
        };
        let events = map("events");
        let ring = Ring::map(events.as_fd(), self.ring_bytes as usize).map_err(mapping)?;
        let ring_fd = events.as_fd().try_clone_to_owned().map_err(mapping)?;
        let batch = Batch::map(map("batch_map").as_fd()).map_err(mapping)?;
        let decide = self.program("relay_decide").map_err(mapping)?;
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
        let map = self
            .object
            .maps()
            .find(|map| map.name() == OsStr::new("shared_map"));
        Shared::map(map.expect("the relay has the map").as_fd()).map_err(|source| Error::System {
            what: "cannot map the relay's memory",
            source,
        })
    }

    fn program(&self, name: &str) -> std::io::Result<OwnedFd> {
        let program = self
            .object
            .progs()
            .find(|program| program.name() == OsStr::new(name));
        program
            .expect("the relay has the program")
            .as_fd()
            .try_clone_to_owned()
    }

    /// Starts scheduling: the timer first, which is to see every task.
    ///
    /// # Errors
    /// When the kernel refuses the scheduler.
    pub fn attach(self) -> Result<Attached, Error> {
        let start = self.program("relay_start");
        let start = start.map_err(|source| Error::System {
            what: "no relay_start",
            source,
        })?;
        let answer = realtime::on_lowest_cpu(|| run_program(start.as_raw_fd(), None));
        if answer != Ok(0) {
            return Err(Error::System {
                what: "cannot start the relay's timer",
                source: std::io::Error::from_raw_os_error(answer.err().unwrap_or(libc::EINVAL)),
            });
        }
        let Self { mut object, .. } = self;
        let link = {
            let ops = object
                .maps_mut()
                .find(|map| map.name() == OsStr::new("relay_ops"));
            let mut ops = ops.expect("the relay has its operations");
            ops.attach_struct_ops()
                .map_err(|source| load_error("attaching it", source))?
        };
        Ok(Attached {
            link,
            object,
            start,
        })
    }
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

/// The relay, scheduling. Dropping it gives the machine back.
#[derive(Debug)]
pub struct Attached {
    // Before the object: the link goes first.
    link: Link,
    object: Object,
    start: OwnedFd,
}

impl Attached {
    /// Arms the relay's timer again, should the kernel have lost it.
    pub fn rearm_timer(&self) {
        let _ = realtime::on_lowest_cpu(|| run_program(self.start.as_raw_fd(), None));
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        read_stats(&self.object)
    }

    /// Detaches and tells the last counters, and the kernel's reason if it
    /// detached the relay before.
    #[must_use]
    pub fn detach(self, shared: &Shared) -> (Stats, Option<ExitReason>) {
        let Self { link, object, .. } = self;
        let ejected = shared.exited().then(|| {
            let (kind, _, reason, message) = shared.exit();
            ExitReason::from_kernel(kind, reason, message)
        });
        drop(link);
        (read_stats(&object), ejected)
    }
}

fn read_stats(object: &Object) -> Stats {
    let map = object
        .maps()
        .find(|map| map.name() == OsStr::new("stats_map"));
    let values = map.and_then(|map| {
        map.lookup_percpu(&0_u32.to_ne_bytes(), libbpf_rs::MapFlags::ANY)
            .ok()
            .flatten()
    });
    Stats::sum(values.unwrap_or_default().iter().map(Vec::as_slice))
}

#[allow(unsafe_code)]
pub(crate) fn is_root() -> bool {
    // SAFETY: a plain query.
    unsafe { libc::geteuid() == 0 }
}

//! What can go wrong, with the remedy.

use std::{io, path::PathBuf};

/// An error of the kernel backend. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not load BPF.
    #[error("loading a scheduler needs root: run with sudo, or in a VM with `baton vm`")]
    NotRoot,
    /// The kernel has no sched_ext.
    #[error(
        "this kernel ({release}) has no sched_ext: use Linux 6.16 or later built with \
         CONFIG_SCHED_CLASS_EXT=y, or run in a VM with `baton vm`"
    )]
    NoSchedExt {
        /// The running kernel.
        release: String,
    },
    /// The kernel tells nothing of its types.
    #[error(
        "this kernel ({release}) has no BTF at /sys/kernel/btf/vmlinux: use one built with \
         CONFIG_DEBUG_INFO_BTF=y, or run in a VM with `baton vm`"
    )]
    NoBtf {
        /// The running kernel.
        release: String,
    },
    /// The kernel's description of a function contradicts the function.
    #[error(
        "the BTF of this kernel ({release}) is defective: it describes {function} with its \
         hidden argument, so that no BPF program may call it, and without it a scheduler has no \
         dispatch queues of its own; use another kernel, such as 7.0, or run in a VM with \
         `baton vm --kernel 7.0`"
    )]
    DefectiveBtf {
        /// The running kernel.
        release: String,
        /// The function.
        function: &'static str,
    },
    /// Another scheduler is loaded.
    #[error(
        "the scheduler {name:?} is loaded already: stop it first; sched_ext takes one at a time"
    )]
    Busy {
        /// Its name.
        name: String,
    },
    /// The relay could not be loaded.
    #[error("the kernel refused the relay while {step}: {source}{log}")]
    Load {
        /// What was being done.
        step: &'static str,
        /// libbpf's error.
        source: libbpf_rs::Error,
        /// The end of the verifier's log, if it wrote one.
        log: String,
    },
    /// The machine is beyond the relay's bounds, or could not be read.
    #[error("{0}")]
    Machine(String),
    /// The scheduling thread cannot have this CPU for itself.
    #[error(
        "CPU {cpu} cannot be the scheduling thread's own: {}",
        if *.online > 1 {
            "it is not online; /sys/devices/system/cpu/online lists those that are"
        } else {
            "this machine has only one CPU online, which the tasks need"
        }
    )]
    SpinCpu {
        /// The CPU.
        cpu: u32,
        /// How many are online.
        online: usize,
    },
    /// No policy of Baton's runs here.
    #[error("no policy runs on this machine: start one with `baton run`")]
    NothingRuns,
    /// The process that schedules did not do what it was asked for.
    #[error("the running policy's process: {0}")]
    Control(String),
    /// The policy that took over did not begin to schedule.
    #[error("the policy did not begin within a second; the one before goes on")]
    DidNotBegin,
    /// The classes do not fit the machine.
    #[error(transparent)]
    Classes(#[from] baton_machine::ClassError),
    /// A class names a cgroup where there are none.
    #[error(
        "a task class names a cgroup, but no cgroup v2 is mounted: mount it with `mount -t cgroup2 \
         none /sys/fs/cgroup`, or name tasks by `task` alone"
    )]
    NoCgroups,
    /// The cgroup whose tasks are to be scheduled cannot be used.
    #[error(transparent)]
    Cgroup(#[from] baton_machine::CgroupError),
    /// A policy takes the whole relay over, or none of it.
    #[error(
        "the policy that takes over schedules what the one before does, so a cgroup cannot be named: \
         stop the running policy and start another with `baton run`"
    )]
    PartOfSwitch,
    /// The policy refused its parameters.
    #[error(transparent)]
    Setup(#[from] baton_policy::SetupError),
    /// The policy panicked.
    #[error("the policy panicked: {0}; the kernel's own scheduler is back")]
    Panicked(String),
    /// A file could not be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A system call failed that should not.
    #[error("{what}: {source}")]
    System {
        /// What was being done, and the remedy where there is one.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// Makes an error of the last system call's.
    pub(crate) fn system(what: &'static str) -> Self {
        Self::System {
            what,
            source: io::Error::last_os_error(),
        }
    }
}

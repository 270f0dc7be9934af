//! What can go wrong, told as what happened, to what, and the remedy.

use std::{path::PathBuf, time::Duration};

/// Why a VM did not run a command to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A kernel name that means nothing.
    #[error(
        "`{0}` names no kernel: give `host`, a version such as 7.0 or 6.18.15, or the path of a \
         vmlinuz with a slash in it"
    )]
    KernelSpec(String),
    /// A kernel image that is not there or not readable.
    #[error("cannot read kernel {}: {source}{}", path.display(), if *.host {
        "; make it readable (sudo chmod a+r FILE), or use a packaged kernel (--kernel 7.0)"
    } else { "" })]
    KernelUnreadable {
        /// The image.
        path: PathBuf,
        /// Whether it is the running kernel's own.
        host: bool,
        /// Why.
        source: std::io::Error,
    },
    /// The host's kernel was asked for and cannot run schedulers.
    #[error(
        "this machine's kernel {release} has no sched_ext (CONFIG_SCHED_CLASS_EXT): use a packaged \
         kernel (--kernel 7.0)"
    )]
    HostWithoutSchedExt {
        /// `uname -r`.
        release: String,
    },
    /// A machine that no VM can be.
    #[error(
        "no VM can be {machine}: {obstacle}; simulate it (baton sim), or choose another machine"
    )]
    NotAVm {
        /// The machine.
        machine: String,
        /// Why not.
        obstacle: String,
    },
    /// A tool that is not installed.
    #[error("{tool} not found: install package {package}")]
    MissingTool {
        /// The program.
        tool: String,
        /// The Debian and Ubuntu package that has it.
        package: &'static str,
    },
    /// No Debian mirror is known.
    #[error(
        "cannot fetch {what}: this machine's apt has no Debian mirror: name one in \
         BATON_DEBIAN_MIRROR, or {instead}"
    )]
    NoMirror {
        /// What was to be fetched.
        what: String,
        /// What to do instead.
        instead: String,
    },
    /// Debian's archive keys are not on this machine.
    #[error(
        "cannot check packages from {mirror}: no Debian archive keyring here: install package \
         debian-archive-keyring, or {instead}"
    )]
    NoKeyring {
        /// The mirror that would be used.
        mirror: String,
        /// What else would do.
        instead: String,
    },
    /// apt could not reach or read the archive.
    #[error(
        "cannot fetch {what} from {mirror}: {problem}; check the network and apt's proxy \
         settings, or {instead}{}",
        cached_hint(cached)
    )]
    Fetch {
        /// What was to be fetched, such as `a kernel package`.
        what: String,
        /// The mirror that was used.
        mirror: String,
        /// apt's own words.
        problem: String,
        /// What else would do.
        instead: String,
        /// What is in the cache and would do without a network.
        cached: Vec<String>,
    },
    /// The archive has no kernel with `sched_ext` at all.
    #[error(
        "{mirror} has no {flavour} kernel with sched_ext in {suite}: give a kernel's path \
         (--kernel /path/vmlinuz)"
    )]
    NoPackage {
        /// The mirror that was used.
        mirror: String,
        /// Debian suite.
        suite: &'static str,
        /// Debian flavour, such as `cloud-amd64`.
        flavour: &'static str,
    },
    /// A package that cannot be unpacked, or without what was sought in it.
    #[error("cannot unpack package {package}: {problem}")]
    Unpack {
        /// The package's name.
        package: String,
        /// What was wrong.
        problem: String,
    },
    /// The cache cannot be used.
    #[error("cannot use the cache at {}: {source}; set BATON_CACHE to a writable directory", path.display())]
    Cache {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no place for a cache.
    #[error("no place for the cache: set HOME, or BATON_CACHE to a writable directory")]
    NoCache,
    /// A VM without a command.
    #[error("no command to run in the VM: give one after --")]
    NoCommand,
    /// The command is not on the host, so it cannot be packed.
    #[error(
        "{command} not found: install it, or give its path; the VM has only what is packed into it"
    )]
    CommandNotFound {
        /// The command as given.
        command: String,
    },
    /// A file to pack that cannot be read.
    #[error("cannot pack {}: {source}", path.display())]
    Pack {
        /// The file on the host.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A shared library that the dynamic loader does not find.
    #[error("cannot pack {}: {problem}", binary.display())]
    Library {
        /// The program that needs it.
        binary: PathBuf,
        /// What the loader says.
        problem: String,
    },
    /// What is packed does not fit the guest's memory.
    #[error(
        "the packed files ({size_mib} MiB) need a VM of {needed_mib} MiB, and it has {memory_mib}: \
         raise the memory (--memory {needed_mib}) or pack less"
    )]
    TooBig {
        /// Size of the initramfs.
        size_mib: u64,
        /// Memory that would do.
        needed_mib: u64,
        /// Memory of the machine.
        memory_mib: u64,
    },
    /// QEMU did not start or ended by itself.
    #[error("QEMU failed{}: {problem}", status.map(|status| format!(" with status {status}")).unwrap_or_default())]
    Qemu {
        /// Its exit status, if it ran.
        status: Option<i32>,
        /// Its own words.
        problem: String,
    },
    /// The kernel ended before the command could be started.
    #[error(
        "the VM ended before it could run the command{}",
        console_tail(console)
    )]
    NoBoot {
        /// Last lines of the kernel's console.
        console: String,
    },
    /// The guest's kernel died.
    #[error("the guest's kernel panicked:\n{console}")]
    Panic {
        /// The kernel's report, from its first sign of trouble.
        console: String,
    },
    /// The guest's kernel died of QEMU's own defect under emulation: it can run stale translations
    /// of code that the kernel patches, now and then before 8.1, and once in hours since.
    #[error(
        "the emulator crashed the guest's kernel (int3), which is a defect of this QEMU, {version}, \
         and not the command's: {advice}:\n{console}"
    )]
    EmulatorDefect {
        /// What to do with this version.
        advice: String,
        /// QEMU's version, such as 7.2.
        version: String,
        /// The kernel's report, from its first sign of trouble.
        console: String,
    },
    /// The VM ended while the command ran, without a panic.
    #[error("the VM ended while the command ran{}", console_tail(console))]
    Lost {
        /// Last lines of the kernel's console.
        console: String,
    },
    /// The time limit was reached.
    #[error(
        "the VM was stopped at its time limit of {} s{}: raise the limit (--timeout){}",
        limit.as_secs_f64(), if *.booted { "" } else { ", before it could run the command" },
        console_tail(console)
    )]
    Timeout {
        /// The limit.
        limit: Duration,
        /// Whether the command had been started.
        booted: bool,
        /// Last lines of the kernel's console.
        console: String,
    },
    /// A signal stopped the VM.
    #[error("stopped by signal {0}")]
    Interrupted(i32),
    /// The guest's init could not do its work.
    #[error("the guest could not run the command: {0}")]
    Guest(String),
    /// The command's output could not be written.
    #[error("cannot write the command's output: {0}")]
    Output(std::io::Error),
    /// A file from the guest could not be stored.
    #[error("cannot store files from the guest: {0}")]
    Files(String),
    /// A resource of the host is short.
    #[error("cannot prepare the VM: {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an error of the host's kernel; for `map_err`.
    pub(crate) fn host(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Host { what, source }
    }

    /// The exit status that a program should end with for this error. 124 is a time limit, as with
    /// timeout(1); 128 + N a signal, as with a shell; 125 says that the fault is not the command's,
    /// as with docker(1); 123 is a guest kernel's panic.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Timeout { .. } => 124,
            Self::Panic { .. } | Self::EmulatorDefect { .. } => 123,
            Self::Interrupted(signal) => 128u8.saturating_add(u8::try_from(*signal).unwrap_or(127)),
            Self::CommandNotFound { .. } => 127,
            // As if SIGPIPE had ended the program, which is what `| head` expects.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 141,
            _ => 125,
        }
    }

    /// A short stable name for programs that read errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KernelSpec(_) => "kernel-spec",
            Self::KernelUnreadable { .. } => "kernel-unreadable",
            Self::HostWithoutSchedExt { .. } => "host-without-sched-ext",
            Self::NotAVm { .. } => "not-a-vm",
            Self::MissingTool { .. } => "missing-tool",
            Self::NoMirror { .. } => "no-mirror",
            Self::NoKeyring { .. } => "no-keyring",
            Self::Fetch { .. } => "fetch",
            Self::NoPackage { .. } => "no-package",
            Self::Unpack { .. } => "unpack",
            Self::Cache { .. } | Self::NoCache => "cache",
            Self::NoCommand => "no-command",
            Self::CommandNotFound { .. } => "command-not-found",
            Self::Pack { .. } => "pack",
            Self::Library { .. } => "library",
            Self::TooBig { .. } => "too-big",
            Self::Qemu { .. } => "qemu",
            Self::NoBoot { .. } => "no-boot",
            Self::Panic { .. } => "guest-panic",
            Self::EmulatorDefect { .. } => "emulator-defect",
            Self::Lost { .. } => "vm-lost",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted(_) => "interrupted",
            Self::Guest(_) => "guest",
            Self::Output(_) => "output",
            Self::Files(_) => "files",
            Self::Host { .. } => "host",
        }
    }
}

fn console_tail(console: &str) -> String {
    if console.trim().is_empty() {
        return String::new();
    }
    format!("; the end of its console:\n{}", console.trim_end())
}

fn cached_hint(cached: &[String]) -> String {
    if cached.is_empty() {
        return String::new();
    }
    format!("; in the cache: {}", cached.join(", "))
}

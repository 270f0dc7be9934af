//! Why a machine cannot be recorded.

use std::io;

use baton_trace::WriteError;

/// An error of the recorder. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The caller may not load BPF.
    #[error("recording needs root: run with sudo, or in a VM with `baton vm`")]
    NotRoot,
    /// The kernel tells nothing of its types.
    #[error(
        "this kernel ({release}) has no BTF at /sys/kernel/btf/vmlinux: use one built with \
         CONFIG_DEBUG_INFO_BTF=y, or record in a VM with `baton vm`"
    )]
    NoBtf {
        /// The running kernel.
        release: String,
    },
    /// The kernel refused the recorder's programs.
    #[error("the kernel refused the recorder while {step}: {source}{log}")]
    Load {
        /// What was being done.
        step: &'static str,
        /// libbpf's error.
        source: libbpf_rs::Error,
        /// The end of the verifier's log, if it wrote one.
        log: String,
    },
    /// The machine could not be read, or is beyond the recorder's bounds.
    #[error("{0}")]
    Machine(String),
    /// The recording could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A system call failed that should not.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl RecordError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

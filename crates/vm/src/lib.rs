//! Runs a command in a virtual machine with a `sched_ext` kernel, with no image to prepare and no root.
//!
//! The host's side, in the order in which a run goes through it:
//! - `kernel` finds a kernel: a file, the host's own, or a Debian package unpacked into the cache;
//! - `packages` fetches Debian packages into the cache, for `kernel` and for [`find_source`];
//! - `initramfs` packs the command, its libraries and a shell into the guest's root;
//! - `qemu` turns a [`MachineFile`](baton_machine::MachineFile) into QEMU's arguments;
//! - `run` starts it, moves bytes, and ends it: on exit, on a signal, at the time limit.
//!
//! The guest's side is [`guest`], which runs as process 1. Both sides speak `protocol` over
//! virtio-serial ports. Nothing is written to the host's file system but the kernel cache and the
//! files asked for with [`Vm::out`]: the initramfs and the ports are descriptors that QEMU inherits,
//! so a run that is killed leaves nothing behind.
//!
//! ```no_run
//! # fn main() -> Result<(), baton_vm::Error> {
//! let outcome = baton_vm::Vm::new("/usr/bin/baton").command(["uname", "-r"]).run_captured()?;
//! assert_eq!(outcome.status, 0);
//! # Ok(()) }
//! ```

mod error;
pub mod guest;
mod initramfs;
mod kernel;
mod packages;
mod protocol;
mod qemu;
mod run;
mod source;

pub use error::Error;
pub use kernel::{Kernel, KernelSpec, Origin, cached_kernels, find_kernel};
pub use packages::{cache_dir, debian_mirror};
pub use run::{Captured, Outcome, Sinks, Vm};
pub use source::find_source;

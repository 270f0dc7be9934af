//! Runs a policy on a Linux kernel with `sched_ext`.
//!
//! The relay, a BPF scheduler, keeps every task in the kernel's hands, publishes
//! what happens in a ring, and carries out what the policy decides. From the
//! bottom up:
//!
//! - [`abi`]: the records that cross between the kernel and the process;
//! - [`ring`], [`shared`], [`decide`]: the memory they cross in;
//! - [`convert`]: the records as the policy's types, and back;
//! - [`relay`]: loading, phase by phase: [`relay::Open`], [`relay::Loaded`],
//!   [`relay::Attached`];
//! - [`arena`], [`realtime`]: memory and priority of the scheduling thread;
//! - [`process`]: the scheduling thread, and the plain loop beneath it;
//! - [`classes`]: which task belongs to which class;
//! - [`record`]: the log for replay;
//! - [`recorder`]: what any scheduler does, on kernels from 5.16 with BTF, as a recording;
//! - [`guard`]: a condition that must hold;
//! - `part`: the tasks of one cgroup, made a policy's and given back;
//! - [`control`], [`takeover`]: the socket of a running policy, and who asks there;
//! - [`run`]: all of it together.
//!
//! Most programs call [`run`]. One that would rather drive the loop itself does so
//! on the same parts; what `run` adds are the real-time priority, locked memory, the
//! watchdog, the log and the report:
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//!
//! use baton_kernel::{convert, process::RelayBackend, realtime::Bell, relay::Open};
//! use baton_policy::{Backend, Decision, EventKind, Options, Placement};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let machine = baton_machine::read_sys(Path::new("/sys"))?;
//! let options = convert::options(&Options::default());
//! let loaded = Open::new()?.load(&convert::config(&machine)?, &options)?;
//! let shared = Arc::new(loaded.shared()?);
//! let mut relay = RelayBackend::new(loaded.channel()?, Arc::clone(&shared), machine.online());
//! let bell = Bell::new()?;
//! let attached = loaded.attach()?;
//! while !shared.exited() {
//!     while let Some(event) = relay.next_event() {
//!         let EventKind::Enqueue(enqueue) = event.kind else { continue };
//!         let placement = match relay.idle_cpu(event.task, enqueue.cpu) {
//!             Some(cpu) => Placement::Cpu { cpu },
//!             None => Placement::Ready { key: event.time_ns },
//!         };
//!         let _ = relay.decide(Decision::new(event.task, enqueue.seq, placement));
//!     }
//!     relay.complete().map_err(std::io::Error::from_raw_os_error)?;
//!     relay.sleep(&bell);
//! }
//! println!("{}", attached.stats());
//! # Ok(()) }
//! ```

pub mod abi;
pub mod arena;
pub mod classes;
pub mod control;
pub mod convert;
pub mod decide;
mod doctor;
mod error;
pub mod exit;
pub mod guard;
mod handles;
pub mod inference;
mod panics;
mod part;
pub mod process;
pub mod realtime;
pub mod record;
pub mod recorder;
pub mod relay;
mod report;
pub mod ring;
mod run;
mod scheduler;
pub mod shared;
mod signals;
pub mod stats;
mod symbols;
pub mod takeover;
pub mod tasks;
pub mod watch;

pub use baton_machine::{Cgroup, CgroupError, ClassError, ClassFile};
pub use doctor::{Check, doctor};
pub use error::Error;
pub use exit::ExitReason;
pub use guard::Guard;
pub use part::PartReport;
pub use process::ProcessStats;
pub use report::{Begun, RunReport, Takeover};
pub use run::{EXIT_STUCK, RunConfig, run};
pub use signals::Signals;
pub use stats::{Stats, Summary};

/// Makes the arena the program's allocator, so that the scheduling thread never
/// waits for memory. Once in a program, beside `main`.
#[macro_export]
macro_rules! use_arena {
    () => {
        #[global_allocator]
        static BATON_ARENA: $crate::arena::Arena = $crate::arena::Arena;
    };
}

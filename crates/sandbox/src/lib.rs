//! Runs a program that is not trusted: in namespaces of its own, with nothing but what it is given,
//! and with limits.
//!
//! It is for code that a language model or a stranger wrote: for the compiler that is let loose on
//! it, and for the program that comes of it. No root, no daemon and no other program is needed, only
//! a kernel that lets its users have namespaces, and Landlock. Where that cannot be had, [`probe`]
//! says what is missing, and nothing is run.
//!
//! What holds a program, each for itself:
//! - *namespaces*: files are those that it is given, in a root of its own that is read-only; there are
//!   no other processes, no network, no users but one, which is not the host's root;
//! - *no privileges*: no capabilities, none to be had from setuid programs;
//! - *Landlock*: once more the same files; no TCP; signals and abstract sockets only among its own;
//! - *seccomp*: the kernel's interfaces that it does not need are refused;
//! - *limits*: the kernel's for each process, and a supervisor's for all of them together, see
//!   [`Limits`];
//! - *its end*: the supervisor is process 1 of the namespace. When it ends, because the program has,
//!   a limit is reached, [`Sandbox::run`] is stopped or the caller has died, the kernel ends
//!   everything. Mounts lie in the namespace, and files in memory; nothing is left to be cleared.
//!
//! A caller who is root has the program run as `nobody` (65534), which can read what it is shown if
//! others may, wherever that lies; another caller has it run as itself, with its groups.
//!
//! What it does not hold: how much of the processors it takes from others (scheduling class and CPUs
//! are those of the calling thread), channels by timing and caches, and holes of the kernel in what is
//! not refused. It may learn the kernel's version, the machine's memory (`sysinfo(2)`), and the host's
//! paths of what it is shown (`/proc/self/mountinfo`). What it writes, to its output or into files, is
//! as little to be trusted as itself.
//!
//! The parts, in the order of a run: `spec` is what the caller wants, `plan` makes places of paths,
//! `parent` starts and collects; `stage` is the hidden entry; `init` supervises, with `root` for the
//! files that are seen, `watch` for what is used and `files` for those that come out; `child` gives
//! everything up, with `rules` (Landlock) and `calls` (seccomp). They talk in `wire`.
//!
//! ```no_run
//! use baton_sandbox::{Limits, Sandbox};
//! use std::{sync::atomic::AtomicBool, time::Duration};
//!
//! # fn main() -> Result<(), baton_sandbox::Error> {
//! baton_sandbox::run_if_child();
//! baton_sandbox::probe()?;
//! let sandbox = Sandbox::new()
//!     .system()
//!     .write("/var/tmp/results")
//!     .dir("/var/tmp/results")
//!     .env("PATH", "/usr/bin")
//!     .limits(Limits { wall: Duration::from_secs(5), ..Limits::default() });
//! let script = b"echo done; date > made";
//! let ended = sandbox.run("/bin/sh", ["-s"], script, &AtomicBool::new(false))?;
//! println!("{}: {}", ended.status, String::from_utf8_lossy(&ended.stdout));
//! # Ok(()) }
//! ```

mod calls;
mod child;
mod error;
mod files;
mod init;
mod outcome;
mod parent;
mod plan;
mod root;
mod rules;
mod spec;
mod stage;
mod watch;
mod wire;

pub use error::Error;
pub use outcome::{Ended, How, Limits, Which};
pub use spec::{Kinds, Sandbox, probe};
pub use stage::run_if_child;

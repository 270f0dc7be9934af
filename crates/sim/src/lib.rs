//! A deterministic simulator: the same policies as on a kernel, on any machine, by discrete events.
//!
//! ```
//! use baton_machine::MachineFile;
//! use baton_sim::Config;
//!
//! let machine = MachineFile::find("2-cpu").unwrap();
//! let config = Config::on(&machine, "pipe:rounds=100".parse().unwrap());
//! let report = baton_sim::run::<baton_policies::Edf>(&config).unwrap();
//! assert!(report.complete);
//! assert_eq!(report, baton_sim::run::<baton_policies::Edf>(&config).unwrap());
//! ```
//!
//! A tour, from the outside in:
//!
//! - [`Config`] is a run, [`run`] makes it with a policy, [`run_named`] with a policy or baseline by name;
//!   [`Report`] is what it found;
//! - [`Actor`], [`Stage`]: what tasks do; `actors` has the workloads;
//! - `engine`: events, CPUs, tasks, and the interface to a scheduler;
//! - `relay`: the scheduler that carries a policy's decisions, the twin of `bpf/`;
//! - `baseline`: schedulers of the simulator's own, to be compared with;
//! - [`random`]: random runs, to try schedulers with;
//! - [`Replay`]: a recording, played again;
//! - [`Trace`]: what happened, as a recording's events, and for Perfetto.
//!
//! Nothing here has a clock, a thread, a file or randomness without a seed. `docs/simulator.md` tells what
//! is modelled and what is not.
#![forbid(unsafe_code)]

mod actor;
mod actors;
mod baseline;
mod config;
mod digest;
mod engine;
mod error;
pub mod random;
mod relay;
mod replay;
mod report;
mod run;
mod trace;

pub use actor::{Actor, Channel, Counter, Series, Spawn, Stage, Step, Wakeups};
pub use config::{Cast, Config};
pub use engine::{Plan, class::Fault};
pub use error::Error;
pub use replay::Replay;
pub use report::{CounterValue, CpuTime, Energy, LongestWait, Migrations, Report};
pub use run::{Outcome, run, run_named, run_outcome, schedulers, simulate};
pub use trace::Trace;

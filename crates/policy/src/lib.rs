//! What a CPU scheduling policy sees and what it may decide.
//!
//! A policy is a type that implements [`Policy`]. A backend (a kernel, a
//! simulator, or a recorded log) turns what happens on a machine into [`Event`]s;
//! a [`Driver`] keeps the tasks and calls the policy; the policy answers with
//! [`Decision`]s, which the backend carries out.
//!
//! - [`Policy`], [`Context`]: the trait, and what a policy can look at and do;
//! - [`Event`], [`Enqueue`], [`TaskInfo`]: what happens;
//! - [`Decision`], [`Placement`], [`Options`]: what is decided, and on what terms;
//! - [`Tasks`], [`TaskId`]: the bounded store of a policy's per-task state;
//! - [`Prediction`]: what a backend does of its own about how long tasks will compute;
//! - [`Machine`], [`CpuSet`]: CPUs and who shares what;
//! - [`Class`], [`Classes`]: what a user says of some tasks;
//! - [`Backend`]: the plain loop, without the trait.
//!
//! The crate is pure: no clock, no thread, no file, no `std`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod backend;
mod class;
mod cpuset;
mod decision;
mod driver;
mod event;
#[cfg(feature = "log")]
pub mod log;
mod machine;
mod options;
mod policy;
pub mod prelude;
mod rng;
mod task;
mod time;

pub use backend::Backend;
pub use baton_model::{Features, Guess, Model, Prediction, Predictor, Whose};
pub use class::{CLASSES_MAX, Class, ClassId, ClassUse, Classes};
pub use cpuset::{CpuSet, MAX_CPUS, ParseCpuSetError};
pub use decision::{Decision, Placement};
pub use driver::{Driver, DriverStats};
pub use event::{
    Enqueue, EnqueueReason, Event, EventKind, Interests, StopReason, TaskInfo, TaskKey, TaskName,
};
pub use machine::{CAPACITY_SCALE, Cpu, Machine};
pub use options::{KeyRule, Mode, Options, Preemption, SliceRule};
pub use policy::{Context, Policy, Setup, SetupError};
pub use rng::Rng;
pub use task::{Task, TaskId, Tasks};
pub use time::{MS, SEC, US, WEIGHT_DEFAULT, key_before, weighted};

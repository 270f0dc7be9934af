//! Learns from recordings how long a task will compute.
//!
//! A burst is the CPU time of a task from a wakeup to its next sleep. [`Builder`] goes through a recording and
//! makes a [`Sample`] of each: what was known when the task was woken, and what came of it. [`Split`] holds
//! applications or machines out, so that a model is judged on what it never saw; [`boost`] and
//! [`mlp`] train; [`baseline`] has what a model must beat; [`score`] judges.
//!
//! [`onnx`] takes in what was trained elsewhere, and [`write_table`] gives out what that learns from.
//!
//! All is counted in octaves of nanoseconds times 256 ([`baton_model::log2_q8`]): bursts reach from
//! microseconds to seconds, and a wrong factor costs as much at either end.
//!
//! Whatever is random comes from a seed, nothing depends on the number of threads, and no function of the
//! system's mathematical library is called: equal data and seeds give equal models.
#![forbid(unsafe_code)]

pub mod baseline;
pub mod boost;
mod builder;
mod data;
mod file;
mod held_out;
pub mod judge;
mod look;
pub mod mlp;
pub mod onnx;
mod reading;
pub mod score;
mod split;

pub use builder::Builder;
pub use data::{Data, Sample, machine_name};
pub use file::DataError;
pub use look::{Look, LookError, feature_named};
pub use reading::{Reading, Unit, write_table};
pub use split::Split;

//! Workloads as data, and what runs them as real threads and processes.
//!
//! A tour, from the outside in:
//!
//! - [`Workload`] is the description: which parts there are and with which parameters. It comes
//!   from text such as `pipe:rounds=200+hogs:count=4`, or from a file, and knows nothing of threads.
//! - [`list`] names the kinds of part with their parameters, for help texts.
//! - [`run`] makes the parts real, measures them and returns a [`Report`].
//! - [`run_if_child`] is what a program calls first that runs workloads: they execute it again.
//! - [`requests`], [`periodic`], [`isolation`] and [`tenants`] are kinds whose account is kept by one piece of code
//!   for real and for simulated tasks.
//! - [`Calibration`] tells how much work a CPU does here, so that a load means the same on a slow
//!   machine as on a fast one.
//! - [`chaos`] disturbs the scheduler in every way user space can, while witnesses measure how long
//!   anyone had to wait.
//! - [`stop`] turns SIGINT and SIGTERM into the flag that ends a run in good order.
//!
//! Without the feature `real` there are the descriptions and the figures alone, for those who run them
//! as simulated tasks.
//!
//! Nothing here knows which scheduler runs: a workload is the same under any of them.

pub mod calibration;
#[cfg(feature = "real")]
mod cgroups;
#[cfg(feature = "real")]
pub mod chaos;
#[cfg(feature = "real")]
mod entry;
mod error;
mod file;
mod histogram;
pub mod isolation;
mod kinds;
mod lengths;
pub mod names;
mod parse;
pub mod periodic;
#[cfg(feature = "real")]
mod real;
mod report;
pub mod requests;
mod spec;
#[cfg(feature = "real")]
pub mod stop;
#[cfg(feature = "real")]
mod sys;
pub mod tenants;

pub use calibration::Calibration;
#[cfg(feature = "real")]
pub use entry::run_if_child;
pub use error::Error;
pub use histogram::Durations;
pub use kinds::{Alias, Kind, Parameter, aliases, list};
pub use periodic::Periodic;
#[cfg(feature = "real")]
pub use real::{RunOptions, files, run};
pub use report::{
    Better, Metric, PartReport, Quantiles, Report, micros, millis, number, seconds, table,
};
pub use requests::Requests;
pub use spec::{
    Build, Builds, Compile, Count, FrameStage, Frames, Hogs, Isolation, Messaging, Part, Pipe,
    Workload,
};
pub use tenants::Tenants;

//! Workloads as data, and what runs them as real threads and processes.
//!
//! A tour, from the outside in:
//!
//! - [`Workload`] is the description: which parts there are and with which parameters. It comes
//!   from text such as `pipe:rounds=200+hogs:count=4` and knows nothing of threads.
//! - [`list`] names the kinds of part with their parameters, for help texts.
//! - [`run`] makes the parts real, measures them and returns a [`Report`].
//! - [`run_if_child`] is what a program calls first that runs workloads: they execute it again.
//! - [`Calibration`] tells how much work a CPU does here, so that a load means the same on a slow
//!   machine as on a fast one.
//! - [`chaos`] disturbs the scheduler in every way user space can, while witnesses measure how long
//!   anyone had to wait.
//! - [`stop`] turns SIGINT and SIGTERM into the flag that ends a run in good order.
//!
//! Nothing here knows which scheduler runs: a workload is the same under any of them.

pub mod calibration;
mod cgroups;
pub mod chaos;
mod entry;
mod error;
mod histogram;
mod kinds;
mod lengths;
mod names;
mod parse;
mod real;
mod report;
mod spec;
pub mod stop;
mod sys;

pub use calibration::Calibration;
pub use entry::run_if_child;
pub use error::Error;
pub use kinds::{Kind, Parameter, list};
pub use real::{RunOptions, files, run};
pub use report::{Better, Metric, Quantiles, Report};
pub use spec::{
    Build, Builds, Compile, Count, FrameStage, Frames, Hogs, Isolation, Messaging, Part, Pipe,
    Workload,
};

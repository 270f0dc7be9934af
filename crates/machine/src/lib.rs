//! Machines: the one that runs, read from its /sys ([`read_sys`]), and described ones, read from
//! machine files ([`MachineFile`]). Both become [`baton_policy::Machine`], the form in which a
//! policy sees a machine.
//!
//! - `sys` reads a sysfs tree at any path, so that a test, a guest's dump and a container work too;
//! - `file` is the machine file: its fields, bounds and errors;
//! - `builtin` holds the machine files that come with Baton.

mod builtin;
mod error;
mod file;
mod sys;

pub use builtin::builtin_names;
pub use error::Error;
pub use file::{CoreClass, MachineFile, Numa};
pub use sys::read_sys;

//! Machines: the one that runs, read from its /sys ([`read_sys`]), and described ones, read from
//! machine files ([`MachineFile`]). Both become [`baton_policy::Machine`], the form in which a
//! policy sees a machine. And what is said of its tasks: files of task classes ([`ClassFile`]), with
//! the cgroups whose paths they name ([`cgroup_root`], [`walk_cgroups`], [`Cgroup`]).
//!
//! - `sys` reads a sysfs tree at any path, so that a test, a guest's dump and a container work too;
//! - `file` is the machine file: its fields, bounds and errors;
//! - `costs` is its table of costs, for the simulator;
//! - `builtin` holds the machine files that come with Baton;
//! - `classes` is the file of task classes, `glob` its patterns;
//! - `cgroup` finds and walks the cgroup hierarchy.

mod builtin;
mod cgroup;
mod classes;
mod costs;
mod error;
mod file;
mod glob;
mod mistake;
mod sys;

pub use builtin::builtin_names;
pub use cgroup::{Cgroup, cgroup_root, walk_cgroups};
pub use classes::{CgroupMatches, ClassFile, Classified};
pub use costs::Costs;
pub use error::{CgroupError, ClassError, Error};
pub use file::{CoreClass, MachineFile, Numa};
pub use sys::read_sys;

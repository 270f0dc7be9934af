//! The kernel's calls that the standard library lacks, as safe functions.
//!
//! All `unsafe` of this crate is in this module's files.

pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod poll;
pub(crate) mod program;
pub(crate) mod sched;
pub(crate) mod shared;
pub(crate) mod signals;

use std::io;

/// Turns the C convention of -1 into an error.
fn check(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

//! Ending a run in good order when the person or the system asks.

use crate::sys::signals;
use std::io;
use std::sync::atomic::AtomicBool;

static STOP: AtomicBool = AtomicBool::new(false);
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// Makes SIGINT and SIGTERM set the returned flag, for the rest of the process's life. Whoever
/// started a run sees to its end, so that children are reaped and CPUs come back.
///
/// # Errors
/// What the kernel says if it refuses the handlers.
pub fn on_signals() -> io::Result<&'static AtomicBool> {
    signals::set_on_signal(&STOP)?;
    Ok(&STOP)
}

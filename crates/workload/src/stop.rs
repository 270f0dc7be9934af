//! Ending a run in good order when the person or the system asks, and sooner when they ask again.

use crate::sys::signals;
use std::io;
use std::sync::atomic::AtomicBool;

static STOP: AtomicBool = AtomicBool::new(false);
static HURRY: AtomicBool = AtomicBool::new(false);
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// Makes SIGINT and SIGTERM set the returned flag, for the rest of the process's life. Whoever
/// started a run sees to its end, so that children are reaped and CPUs come back.
///
/// # Errors
/// What the kernel says if it refuses the handlers.
pub fn on_signals() -> io::Result<&'static AtomicBool> {
    signals::set_on_signal(&STOP, &HURRY)?;
    Ok(&STOP)
}

/// The flag that a signal sets when another came before: whoever ends in good order hurries then.
#[must_use]
pub fn hurry() -> &'static AtomicBool {
    &HURRY
}

/// What stands on standard error, on a line of its own, when [`end_at_once`] is made use of. The
/// first words that are set stay.
pub fn last_words(words: String) {
    signals::set_last_words(words);
}

/// Whether a second signal ends the process there and then, with exit status 130, from now on. Not in
/// between while something must be given back.
pub fn end_at_once(may: bool) {
    signals::set_ends(may);
}

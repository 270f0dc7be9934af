//! Signals that set a flag, and one more when they come again.
#![allow(unsafe_code)]

use super::check;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

static FLAG: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());
static AGAIN: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());
/// Whether a second signal ends the process.
static ENDS: AtomicBool = AtomicBool::new(false);
static LAST_WORDS: OnceLock<String> = OnceLock::new();

/// As a shell gives the status of what Ctrl-C ended.
const INTERRUPTED: libc::c_int = 130;

extern "C" fn handle(_signal: libc::c_int) {
    // SAFETY: the pointers are null or come from a `&'static AtomicBool`; loads, stores, `write` and
    // `_exit` are all that is done, which a signal handler may.
    unsafe {
        let Some(flag) = FLAG.load(Ordering::SeqCst).as_ref() else {
            return;
        };
        if !flag.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(again) = AGAIN.load(Ordering::SeqCst).as_ref() {
            again.store(true, Ordering::SeqCst);
        }
        if ENDS.load(Ordering::SeqCst) {
            if let Some(words) = LAST_WORDS.get() {
                libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len());
            }
            libc::_exit(INTERRUPTED);
        }
    }
}

pub(crate) fn set_last_words(words: String) {
    let _ = LAST_WORDS.set(format!("\n{words}\n"));
}

pub(crate) fn set_ends(may: bool) {
    ENDS.store(may, Ordering::SeqCst);
}

/// Makes SIGINT and SIGTERM set the flag, and `again` where it was set before.
pub(crate) fn set_on_signal(
    flag: &'static AtomicBool,
    again: &'static AtomicBool,
) -> io::Result<()> {
    FLAG.store(ptr::from_ref(flag).cast_mut(), Ordering::SeqCst);
    AGAIN.store(ptr::from_ref(again).cast_mut(), Ordering::SeqCst);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: an all-zero sigaction is valid; its handler is the function above. Calls are
        // restarted: whoever waits looks at the flag at intervals.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            check(libc::sigaction(signal, &action, ptr::null_mut()))?;
        }
    }
    Ok(())
}

//! Signals that set a flag.
#![allow(unsafe_code)]

use super::check;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

static FLAG: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());

extern "C" fn handle(_signal: libc::c_int) {
    // SAFETY: the pointer is null or comes from a `&'static AtomicBool`; a store is all that is
    // done, which a signal handler may.
    if let Some(flag) = unsafe { FLAG.load(Ordering::SeqCst).as_ref() } {
        flag.store(true, Ordering::SeqCst);
    }
}

/// Makes SIGINT and SIGTERM set the flag.
pub(crate) fn set_on_signal(flag: &'static AtomicBool) -> io::Result<()> {
    FLAG.store(ptr::from_ref(flag).cast_mut(), Ordering::SeqCst);
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

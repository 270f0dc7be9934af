//! SIGINT, SIGTERM and SIGHUP of this process, as events of the run.
#![allow(unsafe_code)]

use std::{
    io::Read as _,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
        mpsc::Sender,
    },
};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::channel::Event;
use crate::Error;

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Where the handler writes; -1 when no run listens.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// Only one run can have the handlers.
static IN_USE: Mutex<bool> = Mutex::new(false);

/// While it lives, signals go to a run instead of ending the process.
pub(crate) struct Interrupts {
    old: Vec<(Signal, SigAction)>,
    /// Kept open as long as the handler may write to it.
    _writer: OwnedFd,
}

impl Interrupts {
    /// Takes the signals, unless another run in this process has them.
    pub(crate) fn take(events: Sender<Event>) -> Result<Option<Self>, Error> {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_use {
            return Ok(None);
        }
        let (mut reader, writer) = std::io::pipe().map_err(Error::host("making a pipe"))?;
        let writer = OwnedFd::from(writer);
        std::thread::spawn(move || {
            let mut byte = [0];
            while reader.read_exact(&mut byte).is_ok() {
                if events.send(Event::Signal(i32::from(byte[0]))).is_err() {
                    return;
                }
            }
        });
        PIPE.store(writer.as_raw_fd(), Ordering::Release);
        let action = SigAction::new(
            SigHandler::Handler(on_signal),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        let mut interrupts = Self {
            old: Vec::new(),
            _writer: writer,
        };
        *in_use = true;
        for signal in SIGNALS {
            // SAFETY: the handler only loads an atomic and calls write(2), which is allowed in one.
            let old = unsafe { sigaction(signal, &action) }
                .map_err(|errno| Error::host("taking signals")(errno.into()))?;
            interrupts.old.push((signal, old));
        }
        Ok(Some(interrupts))
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (signal, old) in &self.old {
            // SAFETY: this puts back the action that was there before.
            let _ = unsafe { sigaction(*signal, old) };
        }
        PIPE.store(-1, Ordering::Release);
        *IN_USE.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

extern "C" fn on_signal(number: i32) {
    let byte = number as u8;
    // SAFETY: write(2) reads one byte of a live local. A closed or full pipe only loses the signal;
    // errno is put back because the interrupted code may be about to read it.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        libc::write(PIPE.load(Ordering::Acquire), (&raw const byte).cast(), 1);
        *errno = saved;
    }
}

//! SIGINT, SIGTERM and SIGHUP as something to wait for.
#![allow(unsafe_code)]

use std::{mem::zeroed, time::Duration};

use crate::Error;

/// Holds the signals back from their default action while it lives. Made before
/// any thread, so that every thread holds them back.
#[derive(Debug)]
pub struct Signals {
    fd: libc::c_int,
    before: libc::sigset_t,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take() -> Result<Self, Error> {
        // SAFETY: the sets are initialised by the calls before they are read.
        unsafe {
            let mut set: libc::sigset_t = zeroed();
            let mut before: libc::sigset_t = zeroed();
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::sigaddset(&mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before);
            let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(Error::system("cannot wait for signals"));
            }
            Ok(Self { fd, before })
        }
    }

    /// Waits for a signal, at most `timeout`; whether one came.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut entry = libc::pollfd {
            fd: self.fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live entry.
        let ready = unsafe { libc::poll(&mut entry, 1, timeout.as_millis() as libc::c_int) };
        if ready <= 0 {
            return false;
        }
        // SAFETY: a buffer of the size that signalfd writes.
        unsafe {
            let mut info: libc::signalfd_siginfo = zeroed();
            libc::read(self.fd, (&raw mut info).cast(), size_of_val(&info)) > 0
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, and the mask from before.
        unsafe {
            libc::close(self.fd);
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}

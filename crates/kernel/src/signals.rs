//! SIGINT, SIGTERM and SIGHUP as something to wait for.
#![allow(unsafe_code)]

use std::{
    io,
    mem::zeroed,
    os::{
        fd::{AsRawFd as _, BorrowedFd},
        unix::process::CommandExt as _,
    },
    process::Command,
    time::Duration,
};

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

    /// Gives a command that will be started the signals as they were: it would hold them back, too.
    pub fn leave_to(&self, command: &mut Command) {
        let before = self.before;
        let restore = move || {
            // SAFETY: a set that was filled; the call is one that may be made between fork and exec.
            let result =
                unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
            match result {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        };
        // SAFETY: the closure makes this one call and allocates nothing.
        unsafe { command.pre_exec(restore) };
    }

    /// Waits for a signal, at most `timeout`; whether one came.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_or(timeout, None)
    }

    /// As [`wait`](Self::wait), and no longer than until `other` can be read.
    #[must_use]
    pub fn wait_or(&self, timeout: Duration, other: Option<BorrowedFd<'_>>) -> bool {
        let entry = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // Of a negative descriptor nothing is looked at.
        let other = other.map_or(-1, |other| other.as_raw_fd());
        let mut entries = [entry(self.fd), entry(other)];
        // SAFETY: two live entries.
        let ready =
            unsafe { libc::poll(entries.as_mut_ptr(), 2, timeout.as_millis() as libc::c_int) };
        if ready <= 0 || entries[0].revents == 0 {
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

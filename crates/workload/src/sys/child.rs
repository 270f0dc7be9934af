//! Child processes that run a function and end.
#![allow(unsafe_code)]

use super::check;
use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A forked process; dropping it kills and reaps it.
pub(crate) struct Child {
    pid: i32,
    reaped: bool,
}

/// How a child ended: its exit code, or minus the signal's number.
pub(crate) type Status = i32;

impl Child {
    /// Forks a process that is called `name`, runs `work` and exits with the code it returns.
    ///
    /// The process keeps only the standard descriptors and those in `keep`, so that it holds no
    /// other task's socket or pipe open. It ignores SIGINT and SIGTERM, which a terminal sends to
    /// both: the parent ends it, and it dies with the thread that called this. `work` runs in a copy of a process that may have had other threads,
    /// whose locks may be held for ever: it must not allocate, print or lock.
    pub(crate) fn fork(
        name: &CStr,
        keep: &[RawFd],
        work: impl FnOnce() -> Status,
    ) -> io::Result<Self> {
        let mut keep = keep.to_vec();
        keep.sort_unstable();
        // SAFETY: takes nothing.
        let parent = unsafe { libc::getpid() };
        // SAFETY: the child makes only async-signal-safe calls, which `work` promises too, and
        // leaves by `_exit`, so that nothing of the parent's is dropped twice.
        match check(unsafe { libc::fork() })? {
            0 => {
                let code = catch_unwind(AssertUnwindSafe(|| {
                    enter(name, &keep, parent);
                    work()
                }));
                // SAFETY: ends the process.
                unsafe { libc::_exit(code.unwrap_or(101)) }
            }
            pid => Ok(Self {
                pid: pid as i32,
                reaped: false,
            }),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The status if it has ended.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<Status>> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> io::Result<Status> {
        loop {
            if let Some(status) = self.wait_with(0)? {
                return Ok(status);
            }
        }
    }

    fn wait_with(&mut self, options: libc::c_int) -> io::Result<Option<Status>> {
        if self.reaped {
            return Ok(Some(0));
        }
        let mut status = 0;
        // SAFETY: `status` is valid to write to; the pid is ours until it is reaped.
        match check(unsafe { libc::waitpid(self.pid, &mut status, options) }) {
            Ok(0) => Ok(None),
            Ok(_) => {
                self.reaped = true;
                let signaled = libc::WIFSIGNALED(status);
                let code = if signaled {
                    -libc::WTERMSIG(status)
                } else {
                    libc::WEXITSTATUS(status)
                };
                Ok(Some(code))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends SIGKILL, unless it was reaped.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            // SAFETY: the pid is ours until it is reaped.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            // An error means that there is no such child any more.
            let _ = self.wait();
        }
    }
}

/// The first steps of a child.
fn enter(name: &CStr, keep: &[RawFd], parent: i32) {
    // SAFETY: async-signal-safe calls with valid arguments. An error of any is no reason to stop:
    // old kernels lack close_range, and then only the descriptors stay open.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // The parent may have ended before that call.
        if libc::getppid() != parent {
            libc::_exit(1);
        }
        let mut first: libc::c_uint = 3;
        for fd in keep.iter().map(|&fd| fd as libc::c_uint) {
            if fd > first {
                libc::syscall(libc::SYS_close_range, first, fd - 1, 0);
            }
            first = first.max(fd + 1);
        }
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_code_and_a_dropped_one_is_gone() {
        let mut child = Child::fork(c"child", &[], || 7).unwrap();
        assert_eq!(child.wait().unwrap(), 7);
        let forever = || loop {
            super::super::clock::sleep(std::time::Duration::from_secs(1));
        };
        let endless = Child::fork(c"endless", &[], forever).unwrap();
        let pid = endless.pid();
        drop(endless);
        // SAFETY: signal 0 only asks whether the process exists.
        assert_eq!(unsafe { libc::kill(pid, 0) }, -1);
    }

    #[test]
    fn a_killed_child_tells_its_signal() {
        let forever = || loop {
            super::super::clock::sleep(std::time::Duration::from_secs(1));
        };
        let mut child = Child::fork(c"killed", &[], forever).unwrap();
        child.kill();
        assert_eq!(child.wait().unwrap(), -libc::SIGKILL);
        assert_eq!(child.try_wait().unwrap(), Some(0));
    }
}

//! What happens between fork and exec of QEMU.
#![allow(unsafe_code)]

use std::{
    io,
    os::{
        fd::{BorrowedFd, RawFd},
        unix::process::CommandExt as _,
    },
    process::Command,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::{prctl, signal::Signal},
    unistd::getppid,
};

/// Lets the child inherit `fds` and has the kernel kill it when this thread ends, however it ends.
/// Its own process group keeps the terminal's Ctrl-C from it: the run decides what that means.
pub(crate) fn die_with_parent<const N: usize>(command: &mut Command, fds: [RawFd; N]) {
    command.process_group(0);
    let parent = nix::unistd::getpid();
    let prepare = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            // The parent died before the request: nobody will send the signal.
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        for fd in fds {
            // SAFETY: the caller keeps the descriptors open until the child is spawned.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only prctl, getppid and fcntl are called, which are plain system
    // calls, and nothing is allocated.
    unsafe { command.pre_exec(prepare) };
}

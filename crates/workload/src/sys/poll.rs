//! Waiting for descriptors with a time limit.
#![allow(unsafe_code)]

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits until there is something to read, or the end of file; false if the time passed.
pub(crate) fn readable(file: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    any_readable([file], limit)
}

/// The same for several: true as soon as one of them is readable.
pub(crate) fn any_readable<'a>(
    files: impl IntoIterator<Item = BorrowedFd<'a>>,
    limit: Duration,
) -> io::Result<bool> {
    let entry = |file: BorrowedFd<'_>| libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries: Vec<_> = files.into_iter().map(entry).collect();
    let count = entries.len() as libc::nfds_t;
    let limit_ms = limit.as_millis() as libc::c_int;
    // SAFETY: `count` valid entries.
    let ready = check(unsafe { libc::poll(entries.as_mut_ptr(), count, limit_ms) });
    match ready {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

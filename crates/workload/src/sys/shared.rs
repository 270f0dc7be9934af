//! Counters that threads and processes share.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Atomic counters, all 0 at the start, that stay shared across fork.
pub(crate) struct SharedCounters {
    base: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the memory stays mapped while this lives and is only reached as atomics.
unsafe impl Send for SharedCounters {}
// SAFETY: as above.
unsafe impl Sync for SharedCounters {}

impl SharedCounters {
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        Self::map(len.max(1), libc::MAP_ANONYMOUS, -1)
    }

    /// Counters in a new file, for processes that are executed.
    pub(crate) fn create(path: &Path, len: usize) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        file.set_len((len.max(1) * size_of::<AtomicU64>()) as u64)?;
        Self::map(len.max(1), 0, file.as_raw_fd())
    }

    /// The counters that another process keeps in this file; all that are there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let len = file.metadata()?.len() as usize / size_of::<AtomicU64>();
        Self::map(len, 0, file.as_raw_fd())
    }

    fn map(len: usize, flags: libc::c_int, fd: RawFd) -> io::Result<Self> {
        // SAFETY: a fresh mapping. MAP_POPULATE has its pages there before measuring. A file is as
        // long as the counters, and nobody but this crate knows of it, so that it stays so.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len * size_of::<AtomicU64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE | flags,
                fd,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { base, len })
    }
}

impl Deref for SharedCounters {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `len` counters long, zeroed, and lives as long as
        // `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }
}

impl Drop for SharedCounters {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping made in `new`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len * size_of::<AtomicU64>()) };
    }
}

//! The consumer's side of a BPF ring buffer, mapped into memory.
//!
//! libbpf has one too; this one hands out a batch at a time, tells whether the
//! ring is empty without a system call, and never allocates.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER_LEN: usize = 8;

/// A mapped ring buffer. The kernel maps the data twice in a row, so that a record
/// that wraps around is contiguous here.
#[derive(Debug)]
pub struct Ring {
    consumer: NonNull<AtomicU64>,
    producer: NonNull<AtomicU64>,
    data: NonNull<u8>,
    mask: u64,
    page: usize,
    read: u64,
}

// SAFETY: the mappings belong to this value alone, and every access goes through
// `&self` atomics or `&mut self`.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring of `fd`, which holds `size` bytes, a power of two.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn map(fd: BorrowedFd<'_>, size: usize) -> io::Result<Self> {
        // SAFETY: a plain query.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let consumer = map_pages(fd, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let producer = match map_pages(fd, page + 2 * size, libc::PROT_READ, page) {
            Ok(pages) => pages,
            Err(error) => {
                unmap(consumer, page);
                return Err(error);
            }
        };
        // SAFETY: the data starts one page behind the producer's position.
        let data = unsafe { producer.add(page) };
        let (consumer, producer) = (consumer.cast::<AtomicU64>(), producer.cast::<AtomicU64>());
        // SAFETY: just mapped.
        let read = unsafe { consumer.as_ref() }.load(Ordering::Acquire);
        Ok(Self {
            consumer,
            producer,
            data,
            mask: size as u64 - 1,
            page,
            read,
        })
    }

    /// Whether a record was published, or is being written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // SAFETY: mapped as long as self lives.
        unsafe { self.producer.as_ref() }.load(Ordering::SeqCst) == self.read
    }

    /// How many bytes were published and not read, or are being written.
    #[must_use]
    pub fn used(&self) -> u64 {
        // SAFETY: mapped as long as self lives.
        unsafe { self.producer.as_ref() }
            .load(Ordering::Acquire)
            .saturating_sub(self.read)
    }

    /// Goes on where another process that had the ring left off.
    pub fn reload(&mut self) {
        // SAFETY: mapped as long as self lives.
        self.read = unsafe { self.consumer.as_ref() }.load(Ordering::Acquire);
    }

    /// Passes over all that was published, also what another process left.
    pub fn skip(&mut self) {
        self.reload();
        while self.next(|_| ()).is_some() {}
    }

    /// Gives the next published record to `take` and frees its room.
    /// `None` when there is none, or the next is still being written.
    pub fn next<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> Option<T> {
        loop {
            // SAFETY: as above.
            if unsafe { self.producer.as_ref() }.load(Ordering::Acquire) == self.read {
                return None;
            }
            // SAFETY: a record header lies at every position between consumer and
            // producer, eight bytes aligned.
            let start = unsafe { self.data.add((self.read & self.mask) as usize) };
            // SAFETY: as above; the kernel writes the length with an atomic exchange.
            let length = unsafe { start.cast::<AtomicU32>().as_ref() }.load(Ordering::Acquire);
            if length & BUSY != 0 {
                return None;
            }
            let body = (length & !DISCARD) as usize;
            self.read += (body + HEADER_LEN).next_multiple_of(8) as u64;
            let result = if length & DISCARD == 0 {
                // SAFETY: `body` bytes follow the header; the kernel does not touch
                // them until the consumer's position moves past.
                let record =
                    unsafe { std::slice::from_raw_parts(start.add(HEADER_LEN).as_ptr(), body) };
                Some(take(record))
            } else {
                None
            };
            // SAFETY: as above.
            unsafe { self.consumer.as_ref() }.store(self.read, Ordering::Release);
            if result.is_some() {
                return result;
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        unmap(self.consumer.cast(), self.page);
        unmap(
            self.producer.cast(),
            self.page + 2 * (self.mask as usize + 1),
        );
    }
}

pub(crate) fn map_pages(
    fd: BorrowedFd<'_>,
    length: usize,
    protection: i32,
    offset: usize,
) -> io::Result<NonNull<u8>> {
    // SAFETY: a new shared mapping at an address of the kernel's choice.
    let pages = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            protection,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            fd.as_raw_fd(),
            offset as libc::off_t,
        )
    };
    if pages == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(pages.cast()).ok_or_else(|| io::Error::other("mmap gave address 0"))
}

pub(crate) fn unmap(pages: NonNull<u8>, length: usize) {
    // SAFETY: called with what `map_pages` gave, once.
    unsafe { libc::munmap(pages.as_ptr().cast(), length) };
}

//! The memory that the relay and its process both map.
#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    io,
    mem::size_of,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering, fence},
};

use crate::{abi, ring};

/// A mapped `T`, which the kernel changes at any time.
#[derive(Debug)]
struct Mapped<T> {
    at: NonNull<T>,
}

impl<T> Mapped<T> {
    fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let pages = ring::map_pages(fd, size_of::<T>(), libc::PROT_READ | libc::PROT_WRITE, 0)?;
        Ok(Self { at: pages.cast() })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        ring::unmap(self.at.cast(), size_of::<T>());
    }
}

/// `struct baton_shared`, accessed field by field.
#[derive(Debug)]
pub struct Shared(Mapped<abi::Shared>);

// SAFETY: every access is atomic, or of bytes that are written before `exited`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Maps the relay's shared memory.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Mapped::new(fd).map(Self)
    }

    fn u32_at(&self, field: impl FnOnce(*mut abi::Shared) -> *mut u32) -> &AtomicU32 {
        // SAFETY: `field` points into the mapping, which lives as long as self.
        unsafe { AtomicU32::from_ptr(field(self.0.at.as_ptr())) }
    }

    fn u64_at(&self, field: impl FnOnce(*mut abi::Shared) -> *mut u64) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(field(self.0.at.as_ptr())) }
    }

    /// Says that the process is about to sleep; follow it with a last look.
    pub fn set_asleep(&self) {
        self.asleep().store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Says that the process is awake.
    pub fn set_awake(&self) {
        self.asleep().store(0, Ordering::SeqCst);
    }

    fn asleep(&self) -> &AtomicU32 {
        // SAFETY: a field of the mapping.
        self.u32_at(|shared| unsafe { &raw mut (*shared).asleep })
    }

    /// Says that the process looked at its events at `now_ns`, and ends silence.
    pub fn set_alive(&self, now_ns: u64) {
        // SAFETY: a field of the mapping.
        self.u64_at(|shared| unsafe { &raw mut (*shared).alive_ns })
            .store(now_ns, Ordering::Relaxed);
        // SAFETY: a field of the mapping.
        let silent = self.u32_at(|shared| unsafe { &raw mut (*shared).silent });
        if silent.load(Ordering::Relaxed) != 0 {
            silent.store(0, Ordering::SeqCst);
        }
    }

    /// Events lost since the start.
    pub fn lost(&self) -> u64 {
        // SAFETY: a field of the mapping.
        self.u64_at(|shared| unsafe { &raw mut (*shared).lost })
            .load(Ordering::Relaxed)
    }

    /// When the relay's timer last fired; 0 before it did.
    pub fn timer_ns(&self) -> u64 {
        // SAFETY: a field of the mapping.
        self.u64_at(|shared| unsafe { &raw mut (*shared).timer_ns })
            .load(Ordering::Relaxed)
    }

    /// What this kernel can do, by the constants `CAN_` of [`abi`].
    pub fn abilities(&self) -> u32 {
        // SAFETY: a field of the mapping.
        self.u32_at(|shared| unsafe { &raw mut (*shared).abilities })
            .load(Ordering::Relaxed)
    }

    /// Which of the models the relay uses.
    pub fn model(&self) -> u32 {
        // SAFETY: a field of the mapping.
        self.u32_at(|shared| unsafe { &raw mut (*shared).model })
            .load(Ordering::Relaxed)
    }

    /// Whether the relay found its model worse than the average, and goes by that.
    pub fn model_off(&self) -> bool {
        // SAFETY: a field of the mapping.
        self.u32_at(|shared| unsafe { &raw mut (*shared).model_off })
            .load(Ordering::Relaxed)
            != 0
    }

    /// The performance targets of CPUs as the kernel has them, where one was ever set.
    pub fn performance(&self) -> BTreeMap<u32, u16> {
        let target = |cpu: u32| {
            // SAFETY: a field of the mapping, within bounds.
            let target =
                unsafe { AtomicU16::from_ptr(&raw mut (*self.0.at.as_ptr()).perf[cpu as usize]) };
            let value = target.load(Ordering::Relaxed).checked_sub(1)?;
            Some((cpu, value))
        };
        (0..abi::MAX_CPUS as u32).filter_map(target).collect()
    }

    /// CPUs that look idle.
    pub fn idle(&self) -> [u64; abi::MASK_WORDS] {
        std::array::from_fn(|word| {
            // SAFETY: a field of the mapping, within bounds.
            self.u64_at(|shared| unsafe { &raw mut (*shared).idle[word] })
                .load(Ordering::Relaxed)
        })
    }

    /// CPUs that are online.
    pub fn online(&self) -> [u64; abi::MASK_WORDS] {
        std::array::from_fn(|word| {
            // SAFETY: a field of the mapping, within bounds.
            self.u64_at(|shared| unsafe { &raw mut (*shared).online[word] })
                .load(Ordering::Relaxed)
        })
    }

    /// Whether the kernel detached the relay.
    pub fn exited(&self) -> bool {
        // SAFETY: a field of the mapping.
        self.u32_at(|shared| unsafe { &raw mut (*shared).exited })
            .load(Ordering::Acquire)
            != 0
    }

    /// Kind, code, reason and message of the kernel, once [`Shared::exited`].
    pub fn exit(&self) -> (u32, i64, String, String) {
        // SAFETY: a field of the mapping.
        let kind = self.u32_at(|shared| unsafe { &raw mut (*shared).exit_kind });
        // SAFETY: a field of the mapping.
        let code = unsafe { AtomicI64::from_ptr(&raw mut (*self.0.at.as_ptr()).exit_code) };
        // SAFETY: bytes, written before `exited` was set and not after.
        let (reason, message) = unsafe {
            (
                (*self.0.at.as_ptr()).exit_reason,
                (*self.0.at.as_ptr()).exit_msg,
            )
        };
        (
            kind.load(Ordering::Relaxed),
            code.load(Ordering::Relaxed),
            text(&reason),
            text(&message),
        )
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_string()
}

/// `struct baton_batch`: filled by the process, answered by the relay, never at
/// the same time.
#[derive(Debug)]
pub struct Batch(Mapped<abi::Batch>);

// SAFETY: only its owner accesses it, through `&mut self`.
unsafe impl Send for Batch {}

impl Batch {
    /// Maps the relay's command memory.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Mapped::new(fd).map(Self)
    }

    /// Puts the commands there that the next call is to carry out.
    pub fn put(&mut self, commands: &[abi::Command]) {
        self.commands()[..commands.len()].copy_from_slice(commands);
        // SAFETY: as in `commands`.
        unsafe { (*self.0.at.as_ptr()).count = commands.len() as u32 };
    }

    /// The commands.
    pub fn commands(&mut self) -> &mut [abi::Command; abi::BATCH_MAX] {
        // SAFETY: the relay touches them only inside the system call that the
        // owner of `&mut self` makes, which takes `&mut self` too.
        unsafe { &mut (*self.0.at.as_ptr()).commands }
    }
}

//! The rings that the recorder's programs write, one of each CPU that was online when the recording
//! began, as this process maps them.
#![allow(unsafe_code)]

use std::{
    io,
    mem::size_of,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use libbpf_rs::Object;

use super::{
    abi::{Head, MAX_CPUS, NO_RING, PID_MASK},
    load::map,
};
use crate::ring::{map_pages, unmap};

/// How large the rings are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Possible CPUs.
    pub(super) cpus: u32,
    /// CPUs with a ring.
    pub(super) rings: u32,
    /// Words of each CPU's ring, a power of two.
    pub(super) words: u64,
    /// Bytes of the ring that all share, a power of two.
    pub(super) shared_bytes: u32,
}

/// Every CPU's ring. Reading goes on from where it was left.
#[derive(Debug)]
pub(super) struct Rings {
    heads: NonNull<Head>,
    words: NonNull<u64>,
    control: NonNull<AtomicU64>,
    sizes: Sizes,
    /// The ring of each CPU, if it has one.
    ring_of: Vec<Option<u32>>,
}

// SAFETY: the mappings belong to this value, and what the kernel writes is read with
// atomics, or lies behind a position that was.
unsafe impl Send for Rings {}

/// Words of a record.
pub(super) const RECORD_WORDS: u64 = 2;

const CONTROL_BYTES: usize = size_of::<u64>();

impl Rings {
    /// `online` are the CPUs that have rings: as many as `sizes` says.
    pub(super) fn map(object: &Object, sizes: Sizes, online: &[u32]) -> io::Result<Self> {
        let write = libc::PROT_READ | libc::PROT_WRITE;
        let mapped = |name: &str, length: usize| {
            let map = map(object, name);
            map_pages(map.as_fd(), length, write, 0)
        };
        let heads = mapped(".data.heads", Self::heads_bytes())?;
        let words = mapped("rings", Self::words_bytes(sizes))
            .inspect_err(|_| unmap(heads, Self::heads_bytes()))?;
        let control = mapped(".data.control", CONTROL_BYTES).inspect_err(|_| {
            unmap(heads, Self::heads_bytes());
            unmap(words, Self::words_bytes(sizes));
        })?;
        let rings = Self {
            heads: heads.cast(),
            words: words.cast(),
            control: control.cast(),
            sizes,
            ring_of: numbered(sizes, online),
        };
        for cpu in 0..sizes.cpus {
            // SAFETY: a field of the mapping.
            let running = rings.field(cpu, |head| unsafe { &raw mut (*head).running });
            running.store(PID_MASK.into(), Ordering::Relaxed);
            let ring = rings.ring_of[cpu as usize].unwrap_or(NO_RING);
            // SAFETY: a field of the mapping, as there are heads for all CPUs.
            unsafe {
                let head = rings.heads.as_ptr().add(cpu as usize);
                AtomicU32::from_ptr(&raw mut (*head).ring).store(ring, Ordering::Relaxed);
            }
        }
        Ok(rings)
    }

    const fn heads_bytes() -> usize {
        size_of::<Head>() * MAX_CPUS
    }

    const fn words_bytes(sizes: Sizes) -> usize {
        sizes.rings as usize * sizes.words as usize * size_of::<u64>()
    }

    /// Has the programs record from this moment on, by the monotonic clock.
    pub(super) fn begin(&self, now_ns: u64) {
        // SAFETY: mapped as long as self lives.
        unsafe { self.control.as_ref() }.store(now_ns, Ordering::SeqCst);
    }

    fn field(&self, cpu: u32, field: impl FnOnce(*mut Head) -> *mut u64) -> &AtomicU64 {
        assert!(cpu < self.sizes.cpus);
        // SAFETY: there are heads for all CPUs, mapped as long as self lives.
        unsafe { AtomicU64::from_ptr(field(self.heads.as_ptr().add(cpu as usize))) }
    }

    /// Up to where the CPU's ring was written.
    pub(super) fn written(&self, cpu: u32) -> u64 {
        // SAFETY: a field of the mapping; here and below.
        self.field(cpu, |head| unsafe { &raw mut (*head).pos })
            .load(Ordering::Acquire)
    }

    /// Frees the room before `pos`.
    pub(super) fn free(&self, cpu: u32, pos: u64) {
        // SAFETY: as above.
        self.field(cpu, |head| unsafe { &raw mut (*head).tail })
            .store(pos, Ordering::Release);
    }

    /// What a CPU lost that no record tells of: of its own ring, and of the shared one. Of use when
    /// the programs have stopped.
    pub(super) fn untold(&self, cpu: u32) -> (u64, u64) {
        let load =
            |field: fn(*mut Head) -> *mut u64| self.field(cpu, field).load(Ordering::Relaxed);
        // SAFETY: as above, for all four.
        unsafe {
            (
                load(|head| &raw mut (*head).lost) - load(|head| &raw mut (*head).told),
                load(|head| &raw mut (*head).lost_shared)
                    - load(|head| &raw mut (*head).told_shared),
            )
        }
    }

    /// The record at `pos`, which lies between what was freed and what was written.
    #[inline]
    pub(super) fn record(&self, cpu: u32, pos: u64) -> [u64; RECORD_WORDS as usize] {
        let Some(ring) = self.ring_of[cpu as usize] else {
            return [0; RECORD_WORDS as usize];
        };
        // Records begin at multiples of their size, so none lies across the ring's end.
        let pos = pos & (self.sizes.words - 1) & !(RECORD_WORDS - 1);
        let at = ring as usize * self.sizes.words as usize + pos as usize;
        // SAFETY: within the mapping; the kernel does not write here until this record is freed.
        unsafe { self.words.add(at).cast().read() }
    }

    pub(super) const fn sizes(&self) -> Sizes {
        self.sizes
    }
}

/// Each CPU's ring: those of `online` in their order.
fn numbered(sizes: Sizes, online: &[u32]) -> Vec<Option<u32>> {
    let mut ring_of = vec![None; sizes.cpus as usize];
    for (ring, cpu) in (0..sizes.rings).zip(online) {
        ring_of[*cpu as usize] = Some(ring);
    }
    ring_of
}

/// Memory of nobody else's, to write as the programs do.
#[cfg(test)]
impl Rings {
    pub(super) fn anonymous(sizes: Sizes, online: &[u32]) -> Self {
        let mapped = |length: usize| {
            // SAFETY: a new private mapping at an address of the kernel's choice.
            let pages = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    length,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            assert_ne!(pages, libc::MAP_FAILED);
            NonNull::new(pages.cast::<u8>()).expect("a mapping has an address")
        };
        Self {
            heads: mapped(Self::heads_bytes()).cast(),
            words: mapped(Self::words_bytes(sizes)).cast(),
            control: mapped(CONTROL_BYTES).cast(),
            sizes,
            ring_of: numbered(sizes, online),
        }
    }

    /// As `record` in bpf/record.bpf.c; whether there was room.
    pub(super) fn write(&self, cpu: u32, words: [u64; 2]) -> bool {
        let pos = self.written(cpu);
        // SAFETY: a field of the mapping, here and below.
        let tail = self.field(cpu, |head| unsafe { &raw mut (*head).tail });
        if pos + 2 - tail.load(Ordering::Relaxed) > self.sizes.words {
            self.field(cpu, |head| unsafe { &raw mut (*head).lost })
                .fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let ring = self.ring_of[cpu as usize].expect("the CPU has a ring");
        for (pos, word) in (pos..).zip(words) {
            let at =
                ring as usize * self.sizes.words as usize + (pos & (self.sizes.words - 1)) as usize;
            // SAFETY: within the mapping.
            unsafe { self.words.add(at).write(word) };
        }
        self.field(cpu, |head| unsafe { &raw mut (*head).pos })
            .store(pos + 2, Ordering::Release);
        true
    }

    /// As `lose_shared` in bpf/record/shared.h, so many times.
    pub(super) fn lose_shared(&self, cpu: u32, count: u64) {
        // SAFETY: a field of the mapping.
        self.field(cpu, |head| unsafe { &raw mut (*head).lost_shared })
            .fetch_add(count, Ordering::Relaxed);
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        unmap(self.heads.cast(), Self::heads_bytes());
        unmap(self.words.cast(), Self::words_bytes(self.sizes));
        unmap(self.control.cast(), CONTROL_BYTES);
    }
}

//! The memory of the scheduling thread.
//!
//! A page fault may have to wait for another task, which may wait for the faulting
//! scheduler. So the thread allocates from an arena that is locked in memory and
//! touched before it starts; every other thread uses the system's allocator. A
//! program makes it its allocator with [`crate::use_arena!`]; without that the
//! thread runs as well, but `doctor` and the counters of page faults tell.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::spin_loop,
    io,
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
};

use rlsf::Tlsf;

/// Bytes that the arena has room for.
pub const ARENA_BYTES: usize = 64 << 20;

/// Two-level segregated fit, the usual allocator of real-time systems: constant
/// time for everything. 28 x 32 size classes cover blocks of up to 4 GiB.
type Heap = Tlsf<'static, u32, u32, 28, 32>;

static START: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static USED: AtomicUsize = AtomicUsize::new(0);
static OVERFLOWS: AtomicUsize = AtomicUsize::new(0);
static IN_USE: AtomicBool = AtomicBool::new(false);
static HEAP: Locked = Locked {
    locked: AtomicBool::new(false),
    heap: HeapCell(Cell::new(None)),
};

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

struct HeapCell(Cell<Option<NonNull<Heap>>>);

/// A heap behind a spin lock. The scheduling thread owns it nearly always: others
/// only free what was handed to them, and they hold it for some dozen instructions.
struct Locked {
    locked: AtomicBool,
    heap: HeapCell,
}

// SAFETY: the cell is only touched with `locked` held.
unsafe impl Sync for Locked {}

impl Locked {
    fn with<T>(&self, call: impl FnOnce(&mut Heap) -> T) -> Option<T> {
        while self
            .locked
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            spin_loop();
        }
        // SAFETY: the lock is held, so this is the only reference to the heap.
        let result = self
            .heap
            .0
            .get()
            .map(|mut heap| call(unsafe { heap.as_mut() }));
        self.locked.store(false, Ordering::Release);
        result
    }
}

/// The allocator: the arena for the scheduling thread, the system's for the rest.
#[derive(Debug, Default)]
pub struct Arena;

fn owns(pointer: *mut u8) -> bool {
    let start = START.load(Ordering::Relaxed) as usize;
    start != 0 && (start..start + ARENA_BYTES).contains(&(pointer as usize))
}

// SAFETY: every block comes from, and goes back to, the allocator that made it,
// told apart by its address.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ENTERED.try_with(Cell::get).unwrap_or(false) {
            if let Some(Some(block)) = HEAP.with(|heap| heap.allocate(layout)) {
                USED.fetch_add(layout.size(), Ordering::Relaxed);
                return block.as_ptr();
            }
            OVERFLOWS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises about the layout hold for the system too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match NonNull::new(pointer) {
            Some(block) if owns(pointer) => {
                // SAFETY: the block is of this heap, by its address.
                HEAP.with(|heap| unsafe { heap.deallocate(block, layout.align()) });
                USED.fetch_sub(layout.size(), Ordering::Relaxed);
            }
            // SAFETY: not ours, so the system's.
            _ => unsafe { System.dealloc(pointer, layout) },
        }
    }
}

/// What became of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ArenaUse {
    /// Bytes in use.
    pub used_bytes: usize,
    /// Allocations that found no room and went to the system.
    pub overflows: usize,
}

/// What is in use now.
#[must_use]
pub fn usage() -> ArenaUse {
    ArenaUse {
        used_bytes: USED.load(Ordering::Relaxed),
        overflows: OVERFLOWS.load(Ordering::Relaxed),
    }
}

/// From here on the calling thread allocates from the arena. One thread at a time.
///
/// # Errors
/// When the memory cannot be had or locked.
pub fn enter() -> io::Result<Entered> {
    if IN_USE.swap(true, Ordering::AcqRel) {
        return Err(io::Error::other("another scheduling thread uses the arena"));
    }
    if START.load(Ordering::Acquire).is_null()
        && let Err(error) = prepare()
    {
        IN_USE.store(false, Ordering::Release);
        return Err(error);
    }
    ENTERED.with(|entered| entered.set(true));
    Ok(Entered(()))
}

/// While it lives, its thread allocates from the arena.
#[derive(Debug)]
pub struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.with(|entered| entered.set(false));
        IN_USE.store(false, Ordering::Release);
    }
}

fn prepare() -> io::Result<()> {
    // SAFETY: a new private mapping, filled and locked at once.
    let pages = unsafe {
        libc::mmap(
            null_mut(),
            ARENA_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE | libc::MAP_LOCKED,
            -1,
            0,
        )
    };
    if pages == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let block = NonNull::slice_from_raw_parts(
        NonNull::new(pages.cast::<u8>()).ok_or_else(|| io::Error::other("mmap gave address 0"))?,
        ARENA_BYTES,
    );
    let heap = Box::leak(Box::new(Heap::new()));
    // SAFETY: the block is ours for ever, and nobody else uses it.
    unsafe { heap.insert_free_block_ptr(block) };
    HEAP.with_cell(NonNull::from(heap));
    START.store(pages.cast(), Ordering::Release);
    Ok(())
}

impl Locked {
    fn with_cell(&self, heap: NonNull<Heap>) {
        while self.locked.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        self.heap.0.set(Some(heap));
        self.locked.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_return_to_where_they_came_from() {
        let layout = Layout::from_size_align(4096, 256).unwrap();
        let arena = Arena;
        // SAFETY: allocated and freed with the same layout below.
        let outside = unsafe { arena.alloc(layout) };
        assert!(!owns(outside));
        let entered = enter().unwrap();
        // SAFETY: as above.
        let inside = unsafe { arena.alloc(layout) };
        assert!(owns(inside));
        assert_eq!(inside as usize % 256, 0);
        assert!(enter().is_err());
        drop(entered);
        // SAFETY: as above; one is freed by a thread that is not in the arena.
        unsafe {
            arena.dealloc(inside, layout);
            arena.dealloc(outside, layout);
        }
        assert_eq!(usage(), ArenaUse::default());
    }
}

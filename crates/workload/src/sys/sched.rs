//! What user space may ask of the scheduler for a task.
#![allow(unsafe_code)]

use super::check;
use std::io;

/// The most CPUs that masks here can name.
const MAX_CPUS: usize = 4096;
const WORDS: usize = MAX_CPUS / 64;

/// A scheduling class, by its number in the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub(crate) enum Class {
    Other = 0,
    Fifo = 1,
    RoundRobin = 2,
    Batch = 3,
    Idle = 5,
    Ext = 7,
}

/// The calling thread's id.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// The CPUs that the calling thread may use, in ascending order.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let mut mask = [0_u64; WORDS];
    // SAFETY: the kernel writes at most the given size. The raw call takes any size.
    let written = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            0,
            size_of_val(&mask),
            mask.as_mut_ptr(),
        )
    };
    let cpus: Vec<_> = (0..MAX_CPUS)
        .filter(|cpu| mask[cpu / 64] & (1 << (cpu % 64)) != 0)
        .collect();
    // It fails only with more CPUs than the mask holds.
    if written <= 0 || cpus.is_empty() {
        vec![0]
    } else {
        cpus
    }
}

/// Restricts a thread to these CPUs; 0 is the calling thread.
pub(crate) fn set_affinity(tid: i32, cpus: &[usize]) -> io::Result<()> {
    let mut mask = [0_u64; WORDS];
    for cpu in cpus.iter().copied().filter(|&cpu| cpu < MAX_CPUS) {
        mask[cpu / 64] |= 1 << (cpu % 64);
    }
    // SAFETY: the mask is valid for the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            tid,
            size_of_val(&mask),
            mask.as_ptr(),
        )
    };
    check(result).map(drop)
}

/// Sets a thread's nice value, -20 to 19.
pub(crate) fn set_nice(tid: i32, nice: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, tid as libc::id_t, nice) };
    check(result).map(drop)
}

/// Puts a thread into a class; `priority` is 1 to 99 for the real-time ones, else 0.
pub(crate) fn set_class(tid: i32, class: Class, priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the structure is valid. The raw call, because some C libraries refuse or ignore it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            tid,
            class as i32,
            &raw const parameters,
        )
    };
    check(result).map(drop)
}

/// Gives up the CPU for now.
pub(crate) fn yield_now() {
    // SAFETY: takes nothing; on Linux it cannot fail.
    unsafe { libc::sched_yield() };
}

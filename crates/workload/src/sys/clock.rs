//! Time: `CLOCK_MONOTONIC` in nanoseconds, comparable between processes.
#![allow(unsafe_code)]

use std::time::Duration;

/// The time now.
pub(crate) fn now_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

/// How long the calling thread has been on a CPU, as its kernel sees it.
pub(crate) fn thread_cpu_ns() -> u64 {
    read_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec to write to. Both clocks always exist, so there is no error.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Sleeps until the clock shows this; returns at once if it does already.
pub(crate) fn sleep_until_ns(wake_ns: u64) {
    let wake = libc::timespec {
        tv_sec: (wake_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (wake_ns % 1_000_000_000) as _,
    };
    loop {
        // SAFETY: `wake` is a valid timespec; an absolute sleep writes no remainder.
        let error = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &wake,
                std::ptr::null_mut(),
            )
        };
        if error != libc::EINTR {
            return;
        }
    }
}

/// Sleeps for this long. Unlike `std::thread::sleep` it is also fit for a forked child.
pub(crate) fn sleep(duration: Duration) {
    sleep_until_ns(now_ns() + duration.as_nanos() as u64);
}

//! The scheduling thread's own scheduling: never by the class that it serves.
#![allow(unsafe_code)]

use std::{
    io,
    mem::zeroed,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use crate::Error;

/// SCHED_FIFO priority of the scheduling thread: above ordinary real-time work,
/// below the kernel's migration and watchdog threads.
const PRIORITY: i32 = 50;
/// Of a thread that hands a relay over.
const HANDOVER_PRIORITY: i32 = 49;
/// CPU time after which a thread that never sleeps is ended.
const LOOP_LIMIT: Duration = Duration::from_millis(500);

/// What the process says when the kernel ends its loop; see [`limit_loops`].
const LOOP_MESSAGE: &[u8] = b"baton: the policy used the CPU for half a second without a pause \
and was ended; the kernel's own scheduler is back\n";

/// Exit code of a process whose policy looped.
pub const EXIT_LOOPED: i32 = 70;

static ARMED: AtomicU32 = AtomicU32::new(0);
/// Milliseconds for which a loop's end waits for [`end_looped`].
static GRACE_MS: AtomicU32 = AtomicU32::new(0);
static LOOPED: AtomicBool = AtomicBool::new(false);
/// Many times the period in which the watching thread looks.
const GRACE: u32 = 2000;

/// Makes the calling thread SCHED_FIFO.
///
/// # Errors
/// When the system refuses.
pub fn enter_fifo() -> Result<(), Error> {
    if set_class(libc::SCHED_FIFO, PRIORITY) {
        Ok(())
    } else {
        Err(Error::system(
            "cannot make the scheduling thread SCHED_FIFO (needs root)",
        ))
    }
}

/// Makes the calling thread an ordinary one, if the system permits.
pub fn leave_fifo() {
    set_class(libc::SCHED_OTHER, 0);
}

/// The calling thread is SCHED_FIFO while this lives, if the system permits.
#[derive(Debug)]
pub struct Urgent(());

impl Urgent {
    /// From now on.
    #[must_use]
    pub fn now() -> Self {
        set_class(libc::SCHED_FIFO, HANDOVER_PRIORITY);
        Self(())
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        leave_fifo();
    }
}

fn set_class(class: libc::c_int, sched_priority: i32) -> bool {
    let param = libc::sched_param { sched_priority };
    // SAFETY: a valid parameter; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, class, &param) == 0 }
}

/// Locks all memory of the process, now and later.
///
/// # Errors
/// When the system refuses.
pub fn lock_memory() -> Result<(), Error> {
    // SAFETY: no pointers.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
        return Err(Error::system(
            "cannot lock memory (needs root or a higher RLIMIT_MEMLOCK)",
        ));
    }
    Ok(())
}

/// Has the kernel end the process when a real-time thread of it computes for
/// [`LOOP_LIMIT`] without sleeping. The message is written by a signal handler.
///
/// # Errors
/// When the system refuses.
pub fn limit_loops() -> Result<(), Error> {
    if ARMED.swap(1, Ordering::AcqRel) != 0 {
        return Ok(());
    }
    let micros = LOOP_LIMIT.as_micros() as libc::rlim_t;
    // The hard limit, later by as much, kills should the handler not run.
    let limit = libc::rlimit {
        rlim_cur: micros,
        rlim_max: micros * 2,
    };
    // SAFETY: the handler does only what a handler may: write and _exit.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = on_loop as *const () as usize;
        if libc::sigaction(libc::SIGXCPU, &action, std::ptr::null_mut()) != 0
            || libc::setrlimit(libc::RLIMIT_RTTIME, &limit) != 0
        {
            return Err(Error::system(
                "cannot limit the CPU time of the scheduling thread",
            ));
        }
    }
    Ok(())
}

extern "C" fn on_loop(_: libc::c_int) {
    LOOPED.store(true, Ordering::Release);
    let grace_ms = GRACE_MS.load(Ordering::Relaxed);
    // SAFETY: all three calls are async-signal-safe. Asleep, the thread loops no more.
    unsafe {
        libc::write(2, LOOP_MESSAGE.as_ptr().cast(), LOOP_MESSAGE.len());
        libc::poll(std::ptr::null_mut(), 0, grace_ms.cast_signed());
        libc::_exit(EXIT_LOOPED);
    }
}

/// Whether the end of a loop waits for the watching thread, two seconds at most: that
/// thread is to look at [`looped`], put things in order and call [`end_looped`].
pub fn set_loop_grace(wanted: bool) {
    let grace_ms = if wanted { GRACE } else { 0 };
    GRACE_MS.store(grace_ms, Ordering::Relaxed);
}

/// Whether the kernel found a loop; the process ends any moment.
#[must_use]
pub fn looped() -> bool {
    LOOPED.load(Ordering::Acquire)
}

/// Ends the process as a loop's end does.
pub fn end_looped() -> ! {
    // SAFETY: ends the process without destructors that would wait for the thread.
    unsafe { libc::_exit(EXIT_LOOPED) }
}

/// Runs `call` on the lowest CPU that the calling thread may use: the one that
/// machines do not take offline. Where the system refuses, it runs anywhere.
pub fn on_lowest_cpu<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are filled before they are read, and have the size told.
    unsafe {
        let mut before: libc::cpu_set_t = zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &mut before) != 0 {
            return call();
        }
        let lowest = (0..size * 8)
            .find(|cpu| libc::CPU_ISSET(*cpu, &before))
            .unwrap_or(0);
        let mut one: libc::cpu_set_t = zeroed();
        libc::CPU_SET(lowest, &mut one);
        libc::sched_setaffinity(0, size, &one);
        let result = call();
        libc::sched_setaffinity(0, size, &before);
        result
    }
}

/// Binds the calling thread to one CPU.
///
/// # Errors
/// When the system refuses.
pub fn bind_to(cpu: u32) -> Result<(), Error> {
    // SAFETY: the set is a valid value and has the size told.
    let answer = unsafe {
        let mut one: libc::cpu_set_t = zeroed();
        libc::CPU_SET(cpu as usize, &mut one);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one)
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(Error::system(
            "cannot bind the scheduling thread to its CPU",
        ))
    }
}

/// Page faults of the calling thread since it began: minor, major.
#[must_use]
pub fn page_faults() -> (u64, u64) {
    // SAFETY: the structure is filled by the call.
    let usage = unsafe {
        let mut usage: libc::rusage = zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    (usage.ru_minflt as u64, usage.ru_majflt as u64)
}

/// Nanoseconds of CLOCK_MONOTONIC. Events are by the kernel's clock of scheduling, which
/// drifts from it.
#[must_use]
pub fn now_ns() -> u64 {
    // SAFETY: the structure is filled by the call, which cannot fail.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time);
        time
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// An event that one thread sends and another waits for.
#[derive(Debug)]
pub struct Bell(libc::c_int);

impl Bell {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self(fd))
        }
    }

    /// Wakes the waiting thread, now or when it waits next.
    pub fn ring(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes of a live value; a full counter rings as well.
        unsafe { libc::write(self.0, (&raw const one).cast(), 8) };
    }

    /// Waits until the bell rings, `other` is readable or the time is over.
    pub fn wait(&self, other: libc::c_int, timeout: Duration) {
        let entry = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut entries = [entry(self.0), entry(other)];
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        let mut rung = 0_u64;
        // SAFETY: two live entries, and room for the eight bytes of a count; an
        // interrupted wait is as good as a wakeup.
        unsafe {
            libc::ppoll(entries.as_mut_ptr(), 2, &timeout, std::ptr::null());
            if entries[0].revents & libc::POLLIN != 0 {
                libc::read(self.0, (&raw mut rung).cast(), 8);
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, closed once.
        unsafe { libc::close(self.0) };
    }
}

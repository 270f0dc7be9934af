//! System calls that no crate here wraps.
#![allow(unsafe_code)]

/// Puts this thread above every scheduler class that a policy governs. What it starts is ordinary
/// again: a command must be scheduled by the policy under test.
pub(super) fn become_real_time() {
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter lives through the call, and 0 means this thread. A refusal is harmless.
    unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const parameter,
        );
    }
}

/// Brings the loopback interface up; local sockets are what benchmarks use.
pub(super) fn bring_up_loopback() {
    // SAFETY: the request is zeroed and of the type that both calls read and write, and the socket
    // is closed after them. Failure leaves the interface down, which a program will tell.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return;
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        if libc::ioctl(socket, libc::SIOCGIFFLAGS, &raw mut request) == 0 {
            request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
            libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw mut request);
        }
        libc::close(socket);
    }
}

//! A process that is measured: what it wrote, how it ended, and the CPU time that it and all its
//! descendants used, by the kernel's account.
#![allow(unsafe_code)]

use std::{
    io::{self, Read, Write as _},
    mem::MaybeUninit,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How often the flag that stops all is looked at: a wakeup on the machine that is measured, so
/// seldom.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the last of a process's output is waited for after its end; what it started may hold
/// the pipe open.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
/// More than any figures need; a command that prints without end is not kept.
const OUTPUT_MAX: u64 = 16 << 20;

/// What came of a process.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// User and system time of the process, of its threads and of all descendants that were
    /// waited for, in seconds.
    pub(crate) cpu_s: f64,
    pub(crate) wall_s: f64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exited(ExitStatus),
    /// It was killed after its time.
    TimedOut,
    /// It was killed because all shall stop.
    Stopped,
}

/// Makes a process die with the thread that starts it, so that nothing outlives a killed lab.
pub(crate) fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is a system call without pointers here, which is allowed after fork.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        );
    }
}

/// Makes the kernel end a process that would write a file longer than this, in bytes, without a core
/// dump.
pub(crate) fn bound_files(command: &mut Command, bytes: u64) {
    let bound = move |what, limit| {
        let limit = libc::rlimit {
            rlim_cur: limit,
            rlim_max: limit,
        };
        // SAFETY: the structure is valid; a system call that is allowed after fork.
        match unsafe { libc::setrlimit(what, &limit) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    let bounds = move || {
        bound(libc::RLIMIT_CORE, 0)?;
        bound(libc::RLIMIT_FSIZE, bytes)
    };
    // SAFETY: the closure makes these two calls and allocates nothing.
    unsafe { command.pre_exec(bounds) };
}

/// As capget(2) and capset(2) have it.
#[repr(C)]
struct CapabilityHead {
    version: u32,
    pid: libc::c_int,
}

/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// The kernel's numbers of capabilities are below this.
const CAPABILITIES: libc::c_ulong = 64;

/// Takes what root may from a process, for good.
pub(crate) fn without_capabilities(command: &mut Command) {
    // SAFETY: both are system calls, which are allowed after fork; capset reads what lives on this
    // function's stack: a head and twice three words, for which zeros mean none.
    unsafe {
        command.pre_exec(|| {
            for capability in 0..CAPABILITIES {
                // Who may not drop one has none, and the kernel does not have all.
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
            let head = CapabilityHead {
                version: CAPABILITY_VERSION,
                pid: 0,
            };
            let none = [0_u32; 6];
            match libc::syscall(libc::SYS_capset, &raw const head, none.as_ptr()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

/// Runs a command to its end, or kills it and all of its process group. `input`, which must fit into a
/// pipe, is what it reads from standard input; nobody else can read it then.
pub(crate) fn run(
    mut command: Command,
    input: &str,
    limit: Duration,
    stop: &AtomicBool,
) -> io::Result<Finished> {
    command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    die_with_parent(&mut command);
    let begin = Instant::now();
    let mut child = command.spawn()?;
    // The pid fits: it came from the kernel.
    let pid = child.id().cast_signed();
    let group = Pid::from_raw(pid);
    if let Some(mut stdin) = child.stdin.take() {
        // One that has ended already is told of below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = read(child.stdout.take());
    let stderr = read(child.stderr.take());
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(wait(pid)));
    let mut killed = None;
    let (status, cpu_s) = loop {
        match ended.recv_timeout(LOOK_INTERVAL) {
            Ok(waited) => break waited?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the waiting thread died"));
            }
            Err(RecvTimeoutError::Timeout) if killed.is_some() => {}
            Err(RecvTimeoutError::Timeout) => {
                if stop.load(Ordering::Relaxed) {
                    killed = Some(End::Stopped);
                } else if begin.elapsed() > limit {
                    killed = Some(End::TimedOut);
                }
                if killed.is_some() {
                    let _ = killpg(group, Signal::SIGKILL);
                }
            }
        }
    };
    let wall_s = begin.elapsed().as_secs_f64();
    let text = |receiver: mpsc::Receiver<Vec<u8>>| {
        let bytes = receiver.recv_timeout(DRAIN_PATIENCE).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    // What it started and left behind would run on beside the next run.
    let _ = killpg(group, Signal::SIGKILL);
    Ok(Finished {
        end: killed.unwrap_or(End::Exited(status)),
        stdout,
        stderr,
        cpu_s,
        wall_s,
    })
}

/// Reads a stream to its end, on a thread of its own.
fn read(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(OUTPUT_MAX).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
            // The rest is read, so that who writes does not stop for ever.
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    receiver
}

/// Waits for a child; returns its status and the CPU time that it and its descendants used.
fn wait(pid: i32) -> io::Result<(ExitStatus, f64)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid to write to. The child is ours, and nobody else waits
        // for it: its handle is dropped without a wait.
        let waited = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
        if waited == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: it was zeroed, which is a valid value, and then written by the kernel.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    Ok((ExitStatus::from_raw(status), cpu_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const MINUTE: Duration = Duration::from_secs(60);
    /// Uses CPU time, about a tenth of a second of it.
    const SPIN: &str = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";

    #[test]
    fn streams_and_status_come_out() {
        let finished = run(sh("echo out; echo err >&2; exit 3"), "", MINUTE, &NEVER).unwrap();
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str()),
            ("out\n", "err\n")
        );
        assert!(matches!(finished.end, End::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn descendants_count_and_sleepers_do_not() {
        let alone = run(sh(SPIN), "", MINUTE, &NEVER).unwrap().cpu_s;
        assert!(alone > 0.01, "{alone}");
        let children = format!("for j in 1 2 3 4; do sh -c '{SPIN}'; done; sleep 0.5");
        let four = run(sh(&children), "", MINUTE, &NEVER).unwrap();
        assert!(four.cpu_s > 2.0 * alone, "{} against {alone}", four.cpu_s);
        let asleep = run(sh("sleep 0.5"), "", MINUTE, &NEVER).unwrap();
        assert!(asleep.cpu_s < 0.1 && asleep.wall_s >= 0.5, "{asleep:?}");
    }

    #[test]
    fn the_limit_kills_the_whole_group() {
        let begin = Instant::now();
        let limit = Duration::from_millis(300);
        let script = "sleep 600 & echo $!; wait";
        let finished = run(sh(script), "", limit, &NEVER).unwrap();
        assert_eq!(finished.end, End::TimedOut);
        assert!(begin.elapsed() < Duration::from_secs(20));
        let sleeper: i32 = finished.stdout.trim().parse().unwrap();
        let gone = || nix::sys::signal::kill(Pid::from_raw(sleeper), None).is_err();
        let is_zombie = || {
            let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat"));
            stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        while !gone() && !is_zombie() {
            assert!(begin.elapsed() < Duration::from_secs(20), "{sleeper} lives");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_stop_kills() {
        let stop = AtomicBool::new(true);
        let finished = run(sh("sleep 600"), "", MINUTE, &stop).unwrap();
        assert_eq!(finished.end, End::Stopped);
    }

    #[test]
    fn a_flood_of_output_ends() {
        let script = "head -c 20000000 /dev/zero; exit 5";
        let finished = run(sh(script), "", MINUTE, &NEVER).unwrap();
        assert!(matches!(finished.end, End::Exited(status) if status.code() == Some(5)));
        assert_eq!(finished.stdout.len() as u64, OUTPUT_MAX);
    }

    #[test]
    fn input_comes_by_a_pipe() {
        let finished = run(
            sh("cat; cat /proc/self/cmdline"),
            "a secret",
            MINUTE,
            &NEVER,
        )
        .unwrap();
        assert!(finished.stdout.starts_with("a secret"), "{finished:?}");
        assert!(!finished.stdout[8..].contains("secret"), "{finished:?}");
    }
}

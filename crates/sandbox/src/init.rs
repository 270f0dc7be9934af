//! The supervisor: process 1 of the new process namespace. When it ends, everything in it ends.
//!
//! It reads nothing that the contained program can write: only the caller's line, the kernel's
//! numbers, and, when all processes are gone, the files that are to come out. It holds the caller's
//! line, whose end says that the caller stops it or is dead.

use crate::wire::{Blame, Fault, Ids, Order, Report, Status, Step, receive, send};
use crate::{How, Limits, Which, files, root, stage, watch};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_dumpable, set_no_new_privs, set_pdeathsig};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup, pipe2};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ChildStdin, Stdio, exit};
use std::time::{Duration, Instant};

/// How often it is looked what the processes use.
const TICK: Duration = Duration::from_millis(20);

/// Supervises; the status of the stage.
pub(crate) fn be_init() -> i32 {
    let Ok(line) = stage::line() else {
        return stage::FAILED;
    };
    let report = supervise(&line).unwrap_or_else(Report::Fault);
    i32::from(send(&line, &report).is_err()) * stage::FAILED
}

fn supervise(line: &UnixStream) -> Result<Report, Fault> {
    set_pdeathsig(Signal::SIGKILL).blame(Step::Stage, || "tie the supervisor to its caller")?;
    set_dumpable(false).blame(Step::Stage, || "hide the supervisor's memory")?;
    // What is made inside can be seen by the user inside, whatever the caller's mask is.
    let mask = umask(Mode::from_bits_truncate(0o022));
    let (order, input) = order(line)?;
    let (child, mut stdin, mut status) = start_child()?;
    match next(&mut status)? {
        Some(Status::Ready) => {}
        Some(Status::Fault(fault)) => return Err(fault),
        _ => return Err(gone()),
    }
    // The child's own code is loaded by now, so its libraries may go.
    let outs = root::build(&order)?;
    set_users(child, order.ids)?;
    root::seal_proc()?;
    set_no_new_privs().blame(Step::Privileges, || "give up new privileges")?;
    send(&mut stdin, &order.task).blame(Step::Stage, || "tell the child what to run")?;
    match next(&mut status)? {
        Some(Status::Contained { landlock_abi }) => return Ok(Report::Contained { landlock_abi }),
        Some(Status::Fault(fault)) => return Err(fault),
        Some(Status::Ready) => return Err(gone()),
        None => {} // Closed: it has become the program.
    }
    feed(stdin, input);
    let mut watched = Watched::new(child, &order.task.limits);
    let mut how = watched.until_end(line)?;
    let wall = watched.start.elapsed();
    end_all();
    if matches!(how, How::Exit(_) | How::Signal(_)) {
        umask(mask);
        let mut budget = order.task.limits.written_bytes;
        for out in &outs {
            if !files::bring_out(out, &mut budget)? {
                how = How::Limit(Which::Written);
                break;
            }
        }
    }
    Ok(Report::Ended {
        how,
        wall,
        cpu: gone_cpu(),
        peak_memory_bytes: watched.peak_memory_bytes.max(largest_bytes()),
    })
}

/// What to run, and its input.
fn order(mut line: &UnixStream) -> Result<(Order, Vec<u8>), Fault> {
    let mut read = || -> io::Result<(Order, Vec<u8>)> {
        let order: Order = receive(line)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = usize::try_from(order.stdin_bytes).map_err(io::Error::other)?;
        let mut input = vec![0; length];
        line.read_exact(&mut input)?;
        Ok((order, input))
    };
    read().blame(Step::Stage, || "read the caller's order")
}

/// Starts the child, while the host's root is there to load it from; its number, its input, and the
/// pipe by which it says how far it got.
fn start_child() -> Result<(Pid, ChildStdin, File), Fault> {
    let start = || -> io::Result<(Pid, ChildStdin, File)> {
        let (status, end) = pipe2(OFlag::O_CLOEXEC)?;
        let end = {
            let closed_by_exec = end;
            dup(&closed_by_exec)?
        };
        let mut child = stage::command(Path::new(stage::SELF), "child", end.as_raw_fd())
            .stdin(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let number = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok((Pid::from_raw(number), stdin, File::from(status)))
    };
    start().blame(Step::Stage, || "start the child")
}

/// What the child says next; nothing if it has closed its end.
fn next(status: &mut File) -> Result<Option<Status>, Fault> {
    receive(status).blame(Step::Stage, || "hear of the child")
}

fn gone() -> Fault {
    let error = io::Error::other("it ended before it was contained");
    Fault::new(Step::Stage, "start the child", &error)
}

/// Has one user and one group in the child's user namespace.
fn set_users(child: Pid, ids: Ids) -> Result<(), Fault> {
    for (file, inner, outer) in [
        ("gid_map", ids.gid, ids.outer_gid),
        ("uid_map", ids.uid, ids.outer_uid),
    ] {
        std::fs::write(
            format!("/proc/{child}/{file}"),
            format!("{inner} {outer} 1"),
        )
        .blame(Step::Users, || format!("set the child's {file}"))?;
    }
    Ok(())
}

/// Writes the input, as far as the program reads it.
fn feed(mut stdin: ChildStdin, input: Vec<u8>) {
    if !input.is_empty() {
        std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
    }
}

/// The program, from its start to its end.
struct Watched<'a> {
    program: Pid,
    limits: &'a Limits,
    start: Instant,
    next_look: Instant,
    peak_memory_bytes: u64,
    page_bytes: u64,
}

impl<'a> Watched<'a> {
    fn new(program: Pid, limits: &'a Limits) -> Self {
        let start = Instant::now();
        Self {
            program,
            limits,
            start,
            next_look: start,
            peak_memory_bytes: 0,
            page_bytes: watch::page_bytes(),
        }
    }

    /// Waits until the program ends or reaches a limit. Ends this process, and all with it, if the
    /// caller's line ends.
    fn until_end(&mut self, line: &UnixStream) -> Result<How, Fault> {
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        let signals = children
            .thread_block()
            .and_then(|()| SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK))
            .blame(Step::Stage, || "wait for processes")?;
        loop {
            while signals.read_signal().ok().flatten().is_some() {}
            if let Some(how) = self.reap() {
                return Ok(how);
            }
            let now = Instant::now();
            if now >= self.next_look {
                self.next_look = now + TICK;
                if let Some(which) = self.breach(now) {
                    return Ok(How::Limit(which));
                }
            }
            let wait = self.next_look.saturating_duration_since(now);
            let timeout = u16::try_from(wait.as_millis() + 1).unwrap_or(u16::MAX);
            let mut ready = [
                PollFd::new(line.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::from(timeout)) {
                Ok(_) | Err(Errno::EINTR) => {}
                error => error
                    .map(drop)
                    .blame(Step::Stage, || "wait for the program")?,
            }
            // The caller says nothing more, so what there is to read is the line's end.
            if ready[0].any().unwrap_or(false) {
                exit(0);
            }
        }
    }

    /// Takes away what has ended; how the program did, if it is among them.
    fn reap(&self) -> Option<How> {
        loop {
            let how = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == self.program => How::Exit(status),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.program => {
                    self.of_signal(signal)
                }
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => continue,
                _ => return None,
            };
            return Some(how);
        }
    }

    /// What a signal says that the kernel sends at a limit of its own.
    fn of_signal(&self, signal: Signal) -> How {
        match signal {
            Signal::SIGXCPU => How::Limit(Which::Cpu),
            Signal::SIGXFSZ => How::Limit(Which::File),
            Signal::SIGKILL if gone_cpu() >= self.limits.cpu => How::Limit(Which::Cpu),
            signal => How::Signal(signal as i32),
        }
    }

    /// The limit that is reached, if one is.
    fn breach(&mut self, now: Instant) -> Option<Which> {
        let used = watch::Use::now(self.page_bytes);
        self.peak_memory_bytes = self.peak_memory_bytes.max(used.memory_bytes);
        if used.memory_bytes > self.limits.memory_bytes {
            Some(Which::Memory)
        } else if used.tasks > u64::from(self.limits.processes) {
            Some(Which::Processes)
        } else if watch::ticks(used.cpu_ticks) + gone_cpu() >= self.limits.cpu {
            Some(Which::Cpu)
        } else if now.duration_since(self.start) >= self.limits.wall {
            Some(Which::Wall)
        } else {
            None
        }
    }
}

/// Kills whatever is left in the namespace, and waits until it is gone.
fn end_all() {
    loop {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        if let Err(Errno::ECHILD) = waitpid(None, None) {
            return;
        }
    }
}

/// Processor time of all processes that are gone and were waited for.
fn gone_cpu() -> Duration {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(Duration::ZERO, |usage| {
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|time| {
                let whole = u64::try_from(time.tv_sec()).unwrap_or(0);
                let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
                Duration::from_secs(whole) + Duration::from_micros(micros)
            })
            .sum()
    })
}

/// The most memory that one process had, of those that are gone.
fn largest_bytes() -> u64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| {
        u64::try_from(usage.max_rss())
            .unwrap_or(0)
            .saturating_mul(1024)
    })
}

//! Programs that are executed, each in a process group of its own.
#![allow(unsafe_code)]

use super::child::Status;
use super::{check, clock};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a killed group may take to be gone: longer only if the kernel is stuck in one of its
/// processes.
const GROUP_PATIENCE: Duration = Duration::from_secs(2);
const GROUP_LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A running program; dropping it kills and reaps it and what it has started.
pub(crate) struct Program {
    child: Child,
    /// Readable when the process has ended.
    pidfd: OwnedFd,
    reaped: bool,
}

impl Program {
    /// Forks and executes. The process is killed when the thread that called this ends, and hears
    /// nothing of the terminal's Ctrl-C: whoever started it ends it.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0);
        // SAFETY: takes nothing.
        let parent = unsafe { libc::getpid() };
        let prepare = move || {
            // SAFETY: system calls with plain numbers.
            unsafe {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                // The parent may have ended before that call.
                if libc::getppid() != parent {
                    libc::_exit(1);
                }
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing is allocated.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        match open_pidfd(child.id()) {
            Ok(pidfd) => Ok(Self {
                child,
                pidfd,
                reaped: false,
            }),
            Err(error) => {
                // It is the answer that counts; there is nothing to lose of a process just born.
                let _ = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    /// The status if it has ended.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<Status>> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(None);
        };
        self.reaped = true;
        Ok(Some(match status.code() {
            Some(code) => code,
            None => -status.signal().unwrap_or(0),
        }))
    }

    /// Kills all processes of the group. Its number is not given away as long as one is in it.
    fn kill_group(&self) {
        // SAFETY: plain numbers. An error means that all have ended already.
        unsafe { libc::kill(-self.group(), libc::SIGKILL) };
    }

    /// Reaps what has ended of the group; false if there is nobody left.
    fn reap_group(&self) -> bool {
        let mut status = 0;
        // SAFETY: `status` is valid to write to.
        check(unsafe { libc::waitpid(-self.group(), &mut status, libc::WNOHANG) }).is_ok()
    }

    fn group(&self) -> libc::pid_t {
        self.child.id() as libc::pid_t
    }
}

/// While this lives, processes whose parents end become children of this one.
struct Subreaper {
    before: libc::c_int,
    /// Whether it is one belongs to the whole process: one at a time sets and restores it.
    _turn: MutexGuard<'static, ()>,
}

impl Subreaper {
    fn become_one() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = 0;
        // SAFETY: `before` is valid to write to. Neither call can fail with these arguments.
        unsafe {
            libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut before);
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        }
        Self {
            before,
            _turn: turn,
        }
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        // SAFETY: a plain number.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, self.before) };
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // What a compiler has started must not be left to an init that may not reap it.
        let _subreaper = Subreaper::become_one();
        self.kill_group();
        // An error means that it is reaped already.
        let _ = self.child.wait();
        let end_ns = clock::now_ns() + GROUP_PATIENCE.as_nanos() as u64;
        while self.reap_group() && clock::now_ns() < end_ns {
            clock::sleep(GROUP_LOOK_INTERVAL);
        }
    }
}

/// A descriptor for a process (Linux 5.3), closed on exec.
fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

#[cfg(test)]
mod tests {
    use super::super::poll;
    use super::*;

    fn shell(script: &str) -> Program {
        Program::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    /// Whether there is such a process, be it one that only waits to be reaped.
    fn exists(pid: i32) -> bool {
        std::fs::exists(format!("/proc/{pid}")).unwrap()
    }

    #[test]
    fn an_end_is_seen_with_its_status() {
        for (script, status) in [("exit 7", 7), ("kill -9 $$", -libc::SIGKILL)] {
            let mut program = shell(script);
            assert!(poll::any_readable([program.as_fd()], Duration::from_secs(10)).unwrap());
            assert_eq!(program.try_wait().unwrap(), Some(status), "{script}");
        }
        let error = Program::start(&mut Command::new("/nonexistent"))
            .err()
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_a_dropped_one_started_ends_too() {
        let file = std::env::temp_dir().join(format!("baton-group-{}", std::process::id()));
        let program = shell(&format!("sleep 1000 & echo $! > {}; wait", file.display()));
        let inner: i32 = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(pid) = text.trim().parse() {
                break pid;
            }
            clock::sleep(Duration::from_millis(5));
        };
        assert!(exists(inner));
        drop(program);
        assert!(!exists(inner));
        std::fs::remove_file(file).unwrap();
    }
}

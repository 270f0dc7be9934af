//! The command that is recorded.

use std::{
    io::{PipeReader, pipe},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::process::ExitStatusExt as _,
    },
    process::{Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel},
    thread,
    time::Duration,
};

use baton::{
    app::{Code, Failure},
    kernel::Signals,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a command may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(5);
/// The command's end and signals wake who waits; so often it is looked without.
const LOOK: Duration = Duration::from_secs(60);

/// A command that runs, and a thread that waits for it.
pub(super) struct Running {
    pid: Pid,
    /// Can be read once the command has ended.
    ended: PipeReader,
    status: Receiver<std::io::Result<ExitStatus>>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    /// Starts the command, if there is one.
    pub(super) fn start(command: &[String], signals: &Signals) -> Result<Option<Self>, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Ok(None);
        };
        let broken = |error| Failure::new(Code::Failure, format!("cannot make a pipe: {error}"));
        let (ended, end) = pipe().map_err(broken)?;
        let mut command = Command::new(program);
        signals.leave_to(command.args(arguments));
        let mut child = command.spawn().map_err(|error| {
            let message = format!("cannot run {program}: {error}");
            Failure::new(Code::Other("command-not-found", 127), message)
        })?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let (sender, status) = channel();
        let thread = thread::spawn(move || {
            let _ = sender.send(child.wait());
            drop(end);
        });
        Ok(Some(Self {
            pid,
            ended,
            status,
            thread,
        }))
    }

    /// Can be read once the command has ended.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the command's end; its status as a shell would give it. A signal stops the command.
    pub(super) fn wait(&self, signals: &Signals) -> u8 {
        loop {
            match self.status.try_recv() {
                Ok(status) => return number(status),
                Err(TryRecvError::Disconnected) => return 1,
                Err(TryRecvError::Empty) => {}
            }
            if signals.wait_or(LOOK, Some(self.ended())) {
                return self.stop();
            }
        }
    }

    /// Asks the command to end, and after a while makes it end.
    pub(super) fn stop(&self) -> u8 {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            match self.status.try_recv() {
                Ok(status) => return number(status),
                Err(_) => {
                    let _ = kill(self.pid, signal);
                }
            }
            match self.status.recv_timeout(PATIENCE) {
                Ok(status) => return number(status),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return 1,
            }
        }
        1
    }
}

fn number(status: std::io::Result<ExitStatus>) -> u8 {
    let status = status.ok();
    let number = status.and_then(|status| {
        let signal = status.signal().map(|signal| 128 + signal);
        status.code().or(signal)
    });
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or(1)
}

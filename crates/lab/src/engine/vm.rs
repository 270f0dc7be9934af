//! Runs in guests. The guest's side is [`Local`](super::Local): it gets its assignment in an
//! argument and answers with lines of JSON.

use std::{
    io::{self, Write},
    process,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use baton_vm::Sinks;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Assignment, Backend, Ended, Error, Tell, Told, duration,
    recorder::{BEGIN_LIMIT, END_LIMIT},
};
use crate::charge::{ATTACH_LIMIT, STOP_LIMIT};

/// The engine looks at each guest itself; this only has to be longer.
const NO_LIMIT: Duration = Duration::from_secs(30 * 86_400);
/// What booting, packing and fetching a kernel may take.
const BOOT_PATIENCE: Duration = Duration::from_secs(900);
/// What a guest may take for a run beyond what its parts may take.
const SLACK: Duration = Duration::from_secs(120);
/// The kernel takes no longer argument.
const ARGUMENT_MAX: usize = 120_000;

/// A guest for each stretch of runs.
#[derive(Debug)]
pub struct Vm {
    vm: baton_vm::Vm,
    guest: Vec<String>,
}

impl Vm {
    /// Guests like `vm`, which has all packed that runs need, in which `guest` and an assignment is
    /// the command.
    #[must_use]
    pub fn new(vm: baton_vm::Vm, guest: Vec<String>) -> Self {
        let vm = vm.timeout(NO_LIMIT).handle_signals(true);
        Self { vm, guest }
    }
}

impl Backend for Vm {
    fn make(
        &mut self,
        _places: &[usize],
        assignment: &Assignment,
        tell: Tell<'_>,
    ) -> Result<Ended, Error> {
        let text = serde_json::to_string(assignment)
            .map_err(|error| Error::Guest(format!("cannot be told what to do: {error}")))?;
        if text.len() > ARGUMENT_MAX {
            return Err(Error::Guest(
                "cannot be told so much: make the experiment smaller".into(),
            ));
        }
        let command = self.guest.iter().cloned().chain([text]);
        let vm = self.vm.clone().command(command);
        let mut quiet = duration(assignment.run_limit_s) + ATTACH_LIMIT + STOP_LIMIT * 2 + SLACK;
        if !assignment.recordings.is_empty() {
            quiet += BEGIN_LIMIT + END_LIMIT;
        }
        let (sender, receiver) = mpsc::channel();
        let sinks = Sinks {
            stdout: Box::new(Lines {
                rest: Vec::new(),
                sender,
            }),
            ..Sinks::inherit()
        };
        thread::scope(|scope| {
            let guest = scope.spawn(move || vm.run(sinks));
            let mut listener = Listener {
                limit: false,
                silent: false,
                failed: None,
            };
            listener.listen(&receiver, quiet, tell);
            let ended = guest
                .join()
                .unwrap_or_else(|_| Err(baton_vm::Error::Guest("the VM's thread died".to_owned())));
            listener.conclude(ended, quiet)
        })
    }
}

/// Hears what a guest says.
struct Listener {
    limit: bool,
    silent: bool,
    failed: Option<Error>,
}

impl Listener {
    fn listen(&mut self, receiver: &mpsc::Receiver<Vec<u8>>, quiet: Duration, tell: Tell<'_>) {
        let mut patience = BOOT_PATIENCE;
        loop {
            let line = match receiver.recv_timeout(patience) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.silent = true;
                    end_guest();
                    // It goes away now; what still comes is of no use.
                    while receiver.recv().is_ok() {}
                    return;
                }
            };
            patience = quiet;
            let told = match serde_json::from_slice::<Told>(&line) {
                Ok(told) => told,
                // A kernel's or a library's word on standard output.
                Err(_) => continue,
            };
            self.limit |= told == Told::Limit;
            if self.failed.is_none()
                && let Err(error) = tell(told)
            {
                self.failed = Some(error);
                end_guest();
            }
        }
    }

    fn conclude(
        self,
        ended: Result<baton_vm::Outcome, baton_vm::Error>,
        quiet: Duration,
    ) -> Result<Ended, Error> {
        use baton_vm::Error as E;
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.silent {
            let quiet_s = quiet.as_secs();
            return Ok(Ended::Died(format!(
                "the guest said nothing for {quiet_s} s"
            )));
        }
        match ended {
            Ok(outcome) => match outcome.status {
                0 if self.limit => Ok(Ended::Limit),
                0 => Ok(Ended::Done),
                130 | 143 => Ok(Ended::Stopped),
                // A scheduler that does not go, or takes all memory, is gone with the guest.
                status => Ok(Ended::Died(format!(
                    "the guest ended its work with exit status {status}"
                ))),
            },
            Err(E::Interrupted(_)) => Ok(Ended::Stopped),
            // An emulator can crash a guest, once in hours. What was measured before counts.
            Err(error @ (E::Panic { .. } | E::EmulatorDefect { .. } | E::Lost { .. })) => {
                Ok(Ended::Died(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Ends the guest that this process runs as a person would: by two signals, of which the second is
/// for the VM itself.
fn end_guest() {
    for _ in 0..2 {
        let own = Pid::from_raw(process::id().cast_signed());
        let _ = kill(own, Signal::SIGTERM);
        thread::sleep(Duration::from_secs(2));
    }
}

/// Cuts bytes into lines.
struct Lines {
    rest: Vec<u8>,
    sender: Sender<Vec<u8>>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            // Nobody listens any more when the guest is being ended.
            let _ = self.sender.send(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conclude(status: i32, limit: bool) -> Result<Ended, Error> {
        let listener = Listener {
            limit,
            silent: false,
            failed: None,
        };
        let outcome = baton_vm::Outcome {
            status,
            kernel_release: "7.0".into(),
            boot: Duration::ZERO,
            wall: Duration::ZERO,
            missing: Vec::new(),
            console: String::new(),
        };
        listener.conclude(Ok(outcome), Duration::ZERO)
    }

    #[test]
    fn a_guest_that_fails_is_booted_again() {
        assert!(matches!(conclude(0, false), Ok(Ended::Done)));
        assert!(matches!(conclude(0, true), Ok(Ended::Limit)));
        assert!(matches!(conclude(130, false), Ok(Ended::Stopped)));
        for status in [1, 137] {
            let ended = conclude(status, false);
            let why = format!("exit status {status}");
            assert!(
                matches!(&ended, Ok(Ended::Died(text)) if text.contains(&why)),
                "{ended:?}"
            );
        }
    }
}

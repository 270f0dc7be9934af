//! QEMU's process and the wait for its end.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use baton_machine::MachineFile;

use super::{
    Outcome, Sinks,
    channel::{self, Count, Event},
    console::Console,
    files,
    interrupt::Interrupts,
    panic, spawn,
};
use crate::{
    Error, Kernel,
    initramfs::Tree,
    protocol::{self, FromGuest, FromHost},
    qemu::{self, Accel, Descriptors},
};

/// How often the counters are looked at while the last bytes are under way.
const DRAIN_TICK: Duration = Duration::from_millis(2);
/// QEMU closes its descriptors when it exits; the exit status follows at once.
const EXIT_PATIENCE: Duration = Duration::from_secs(5);

/// How long the last output of a dead QEMU is waited for.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

/// A VM that is ready to start.
pub(crate) struct Session {
    program: PathBuf,
    machine: MachineFile,
    memory_mib: u32,
    kernel: Kernel,
    initramfs: File,
    outs: Vec<(String, PathBuf)>,
}

impl Session {
    pub(crate) fn prepare(
        program: PathBuf,
        machine: MachineFile,
        memory_mib: u32,
        kernel: Kernel,
        tree: &Tree,
        outs: Vec<(String, PathBuf)>,
    ) -> Result<Self, Error> {
        let fd = nix::sys::memfd::memfd_create(
            c"baton-initramfs",
            nix::sys::memfd::MFdFlags::MFD_CLOEXEC,
        )
        .map_err(|errno| Error::host("making the initramfs")(errno.into()))?;
        let initramfs = File::from(fd);
        let size_mib = tree.write(&initramfs)?.div_ceil(1 << 20);
        // The kernel holds the archive and what it unpacks, and gives the root half the memory.
        let needed_mib = size_mib * 5 / 2 + 160;
        if needed_mib > u64::from(memory_mib) {
            return Err(Error::TooBig {
                size_mib,
                needed_mib,
                memory_mib: memory_mib.into(),
            });
        }
        Ok(Self {
            program,
            machine,
            memory_mib,
            kernel,
            initramfs,
            outs,
        })
    }

    /// Runs the VM. It is booted a second time under emulation when KVM turns out not to work, and
    /// once more when its kernel dies before the command has begun, which nothing can have noticed.
    pub(crate) fn run(
        &mut self,
        sinks: Sinks,
        timeout: Duration,
        handle_signals: bool,
    ) -> Result<Outcome, Error> {
        let (events, inbox) = mpsc::channel();
        let interrupts = if handle_signals {
            Interrupts::take(events.clone())?
        } else {
            None
        };
        let mut accel = Accel::detect();
        (sinks.progress)(&format!("booting {} ...", self.kernel.release));
        let mut guest = Guest::start(self, accel, &events)?;
        if accel == Accel::Kvm && !guest.kvm_works(&inbox) {
            (sinks.progress)("KVM does not run guests here: booting under emulation ...");
            drop(guest);
            while inbox.try_recv().is_ok() {}
            accel = Accel::Tcg;
            guest = Guest::start(self, accel, &events)?;
        }
        let mut booted = guest.boot(timeout, &inbox);
        if let Err(error) = &booted
            && panic::is_worth_another_boot(error)
        {
            // Said to everybody and not only to a person who watches: a log should have it too.
            let _ = writeln!(
                std::io::stderr(),
                "warning: the guest's kernel panicked before the command began; booting once more"
            );
            drop(guest);
            forget_the_dead(&inbox)?;
            guest = Guest::start(self, accel, &events)?;
            booted = guest.boot(timeout, &inbox);
        }
        let ended = match booted {
            Ok(booted) => guest.attend(booted, sinks, timeout, &self.outs, &events, &inbox),
            Err(error) => Err(error),
        };
        drop(guest);
        drop(interrupts);
        ended
    }
}

/// Removes what a dead guest left in the inbox; a signal that came meanwhile still counts.
fn forget_the_dead(inbox: &Receiver<Event>) -> Result<(), Error> {
    while let Ok(event) = inbox.try_recv() {
        if let Event::Signal(number) = event {
            return Err(Error::Interrupted(number));
        }
    }
    Ok(())
}

/// A guest whose init runs and starts the command.
struct Booted {
    release: String,
    boot: Duration,
}

/// A running QEMU. Dropping it kills it.
struct Guest {
    program: PathBuf,
    accel: Accel,
    child: Child,
    started: Instant,
    console: Console,
    console_thread: Option<JoinHandle<()>>,
    complaints: Option<JoinHandle<String>>,
    control: UnixStream,
    stdout: Option<UnixStream>,
    stderr: Option<UnixStream>,
    files: Option<UnixStream>,
    /// An event that was read before it could be attended to.
    pending: Option<Event>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Guest {
    fn start(session: &Session, accel: Accel, events: &Sender<Event>) -> Result<Self, Error> {
        let pair = || UnixStream::pair().map_err(Error::host("making sockets"));
        let (console, console_qemu) = pair()?;
        let (control, control_qemu) = pair()?;
        let (stdout, stdout_qemu) = pair()?;
        let (stderr, stderr_qemu) = pair()?;
        let (files, files_qemu) = pair()?;
        let fds = Descriptors {
            initramfs: session.initramfs.as_raw_fd(),
            console: console_qemu.as_raw_fd(),
            control: control_qemu.as_raw_fd(),
            stdout: stdout_qemu.as_raw_fd(),
            stderr: stderr_qemu.as_raw_fd(),
            files: files_qemu.as_raw_fd(),
        };
        let mut command = Command::new(&session.program);
        command
            .args(qemu::arguments(
                &session.machine,
                session.memory_mib,
                &session.kernel.image,
                accel,
                &fds,
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let inherited = [
            fds.initramfs,
            fds.console,
            fds.control,
            fds.stdout,
            fds.stderr,
            fds.files,
        ];
        spawn::die_with_parent(&mut command, inherited);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|error| Error::Qemu {
            status: None,
            problem: format!("{}: {error}", session.program.display()),
        })?;
        let complaints = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stderr.by_ref().take(16 * 1024).read_to_end(&mut text);
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        let kept = Console::default();
        let console_thread = std::thread::spawn({
            let kept = kept.clone();
            move || kept.fill(console)
        });
        let listener = control.try_clone().map_err(Error::host("making sockets"))?;
        let events = events.clone();
        std::thread::spawn(move || channel::listen(listener, &events));
        Ok(Self {
            program: session.program.clone(),
            accel,
            child,
            started,
            console: kept,
            console_thread: Some(console_thread),
            complaints,
            control,
            stdout: Some(stdout),
            stderr: Some(stderr),
            files: Some(files),
            pending: None,
        })
    }

    /// Whether the guest gives a sign of life under KVM, which may open and yet run nothing.
    fn kvm_works(&mut self, inbox: &Receiver<Event>) -> bool {
        let deadline = self.started + qemu::KVM_PATIENCE;
        loop {
            match inbox.recv_timeout(Duration::from_millis(50)) {
                Ok(Event::Closed) => return false,
                Ok(event) => {
                    self.pending = Some(event);
                    return true;
                }
                Err(_) if Instant::now() > deadline => return !self.console.is_empty(),
                Err(_) => {}
            }
        }
    }

    /// Waits until init is about to start the command. Until then there is no output.
    fn boot(&mut self, timeout: Duration, inbox: &Receiver<Event>) -> Result<Booted, Error> {
        let deadline = self.started + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = match self.pending.take() {
                Some(event) => event,
                None => match inbox.recv_timeout(left) {
                    Ok(event) => event,
                    Err(_) => {
                        let _ = self.child.kill();
                        return Err(Error::Timeout {
                            limit: timeout,
                            booted: false,
                            console: self.console.tail(),
                        });
                    }
                },
            };
            match event {
                Event::Guest(FromGuest::Ready { release }) => {
                    let boot = self.started.elapsed();
                    return Ok(Booted { release, boot });
                }
                Event::Guest(FromGuest::Failed { problem }) => return Err(Error::Guest(problem)),
                Event::Signal(number) => return Err(Error::Interrupted(number)),
                Event::Closed => return Err(self.cause_of_death(false)),
                // Nothing else is said before.
                Event::Guest(FromGuest::Exit { .. })
                | Event::OutputFailed(_)
                | Event::FilesDone(_) => {}
            }
        }
    }

    /// Passes on what the command does until it has ended.
    fn attend(
        &mut self,
        booted: Booted,
        sinks: Sinks,
        timeout: Duration,
        outs: &[(String, PathBuf)],
        events: &Sender<Event>,
        inbox: &Receiver<Event>,
    ) -> Result<Outcome, Error> {
        let deadline = self.started + timeout;
        let Sinks {
            stdout,
            stderr,
            progress,
        } = sinks;
        let stdout = pump(self.stdout.take(), stdout, events);
        let stderr = pump(self.stderr.take(), stderr, events);
        if let Some(stream) = self.files.take() {
            let (outs, events) = (outs.to_vec(), events.clone());
            std::thread::spawn(move || {
                let result = files::unpack(&stream, &outs);
                let _ = events.send(Event::FilesDone(result));
                let _ = std::io::copy(&mut &stream, &mut std::io::sink());
            });
        }
        let mut signals = 0;
        let mut exit: Option<Exit> = None;
        let mut files: Option<Result<(), String>> = None;
        loop {
            if let Some(exit) = &exit
                && stdout.get() >= exit.stdout_bytes
                && stderr.get() >= exit.stderr_bytes
                && (files.is_some() || exit.files_bytes == 0)
            {
                if let Some(Err(problem)) = files.filter(|_| exit.files_bytes > 0) {
                    return Err(Error::Files(problem));
                }
                let _ = self.control.write_all(&protocol::line(&FromHost::Bye));
                return Ok(Outcome {
                    status: exit.status,
                    kernel_release: booted.release,
                    boot: booted.boot,
                    wall: self.started.elapsed(),
                    missing: exit.missing.clone(),
                    console: self.console.tail(),
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = if exit.is_some() {
                left.min(DRAIN_TICK)
            } else {
                left
            };
            let event = match self.pending.take() {
                Some(event) => event,
                None => match inbox.recv_timeout(wait) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) if !left.is_zero() => continue,
                    Err(_) => {
                        let _ = self.child.kill();
                        settle(&[&stdout, &stderr]);
                        return Err(Error::Timeout {
                            limit: timeout,
                            booted: true,
                            console: self.console.tail(),
                        });
                    }
                },
            };
            match event {
                Event::Guest(FromGuest::Ready { .. }) => {}
                Event::Guest(FromGuest::Exit {
                    status,
                    stdout_bytes,
                    stderr_bytes,
                    files_bytes,
                    missing,
                }) => {
                    exit = Some(Exit {
                        status,
                        stdout_bytes,
                        stderr_bytes,
                        files_bytes,
                        missing,
                    });
                }
                Event::Guest(FromGuest::Failed { problem }) => return Err(Error::Guest(problem)),
                Event::Signal(number) => {
                    signals += 1;
                    if signals > 1 {
                        return Err(Error::Interrupted(number));
                    }
                    progress("passing the signal on; again to stop the VM at once");
                    let _ = self
                        .control
                        .write_all(&protocol::line(&FromHost::Signal { number }));
                }
                Event::OutputFailed(error) => return Err(Error::Output(error)),
                // A stream that broke because QEMU ended is told by Closed, which knows why.
                Event::FilesDone(result) => files = Some(result),
                Event::Closed => {
                    let error = self.cause_of_death(true);
                    settle(&[&stdout, &stderr]);
                    return Err(error);
                }
            }
        }
    }

    /// Why QEMU has ended though nobody asked it to.
    fn cause_of_death(&mut self, booted: bool) -> Error {
        let deadline = Instant::now() + EXIT_PATIENCE;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(DRAIN_TICK),
                _ => break None,
            }
        };
        let _ = self.child.kill();
        let complaint = self.complaints.take().and_then(|thread| thread.join().ok());
        if let Some(thread) = self.console_thread.take() {
            let _ = thread.join();
        }
        if let Some(console) = self.console.panic() {
            return panic::whose(console, self.accel, &self.program);
        }
        let problem = complaint.unwrap_or_default();
        if status.is_none_or(|status| !status.success()) {
            let status = status.and_then(|status| status.code());
            let problem = if problem.is_empty() {
                "it gave no reason".into()
            } else {
                problem
            };
            return Error::Qemu { status, problem };
        }
        let console = self.console.tail();
        if booted {
            Error::Lost { console }
        } else {
            Error::NoBoot { console }
        }
    }
}

/// Lets the output that a dead QEMU left arrive. Bounded, as the reader of it may have stopped.
fn settle(streams: &[&Count]) {
    let deadline = Instant::now() + SETTLE_PATIENCE;
    while !streams.iter().all(|stream| stream.has_ended()) && Instant::now() < deadline {
        std::thread::sleep(DRAIN_TICK);
    }
}

/// What the guest said about the command's end.
struct Exit {
    status: i32,
    stdout_bytes: u64,
    stderr_bytes: u64,
    files_bytes: u64,
    missing: Vec<String>,
}

fn pump(
    stream: Option<UnixStream>,
    to: Box<dyn std::io::Write + Send>,
    events: &Sender<Event>,
) -> Count {
    let count = Count::default();
    if let Some(stream) = stream {
        let (count, events) = (count.clone(), events.clone());
        std::thread::spawn(move || channel::pump(stream, to, &count, &events));
    }
    count
}

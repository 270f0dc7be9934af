//! The guest's side: process 1, which prepares the system, runs the command and reports.
//!
//! It runs on the scheduler's kernel but not under the scheduler: its threads are real-time, so that
//! a policy that starves everything can still be watched and ended.

mod files;
mod mounts;
mod ports;
mod processes;
mod sys;

use std::{
    fs::File,
    io::{BufReader, PipeReader, Read as _, Write as _},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use nix::{
    sys::{
        reboot::{RebootMode, reboot},
        signal::{Signal, killpg},
    },
    unistd::Pid,
};

use crate::protocol::{self, CONFIG_PATH, Config, FromGuest, FromHost, port};

/// How long the host may take to read the rest before the guest powers off by itself.
const BYE_PATIENCE: Duration = Duration::from_secs(60);
/// How long output may still come when a process resists its end.
const PIPE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the kernel may take to put a scheduler away.
const SCHEDULER_PATIENCE: Duration = Duration::from_secs(2);

/// Becomes the guest's init if this process is one, and then never returns; else does nothing. A
/// program that serves as init calls it first thing in `main`.
pub fn run_if_init() {
    if std::process::id() == 1 && std::path::Path::new(CONFIG_PATH).exists() {
        main();
    }
}

/// The guest's init: runs the configured command, reports and powers off.
pub fn main() -> ! {
    if let Err(problem) = run() {
        // Standard error is the kernel's console, which the host shows when nothing else comes.
        eprintln!("baton init: {problem}");
    }
    nix::unistd::sync();
    let _ = reboot(RebootMode::RB_POWER_OFF);
    // Reached only where the kernel refuses; ending as process 1 is a panic, and that ends the VM.
    std::process::exit(1);
}

type Problem = String;

fn run() -> Result<(), Problem> {
    sys::become_real_time();
    mounts::prepare()?;
    let _ = nix::unistd::sethostname("baton");
    sys::bring_up_loopback();
    let mut control = ports::open(port::CONTROL)?;
    let result = attend(&mut control);
    if let Err(problem) = &result {
        let failed = FromGuest::Failed {
            problem: problem.clone(),
        };
        let _ = control.write_all(&protocol::line(&failed));
    }
    result
}

fn attend(control: &mut File) -> Result<(), Problem> {
    let text = std::fs::read(CONFIG_PATH).map_err(|error| format!("{CONFIG_PATH}: {error}"))?;
    let config: Config =
        serde_json::from_slice(&text).map_err(|error| format!("{CONFIG_PATH}: {error}"))?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    send(
        control,
        &FromGuest::Ready {
            release: release.trim().into(),
        },
    )?;

    let (stdout, stdout_writer) = pipe()?;
    let (stderr, stderr_writer) = pipe()?;
    let stdout = Pump::start(stdout, ports::open(port::STDOUT)?);
    let stderr = Pump::start(stderr, ports::open(port::STDERR)?);
    let mut complaint = stderr_writer
        .try_clone()
        .map_err(|error| error.to_string())?;
    let (said_bye, bye) = mpsc::channel();
    let started = processes::command(&config)
        .stdin(Stdio::null())
        .stdout(stdout_writer)
        .stderr(stderr_writer)
        .spawn_reaped();
    let status = match started {
        Ok(pid) => {
            listen(control, pid, said_bye)?;
            processes::wait_for(pid)
        }
        Err(error) => {
            let _ = writeln!(complaint, "{}: {error}", config.argv.join(" "));
            listen(control, Pid::from_raw(0), said_bye)?;
            if error.kind() == std::io::ErrorKind::PermissionDenied {
                126
            } else {
                127
            }
        }
    };
    drop(complaint);
    let all_gone = processes::end_all();
    wait_for_scheduler_end();

    let stdout_bytes = stdout.finish(all_gone);
    let stderr_bytes = stderr.finish(all_gone);
    let (files_bytes, missing) = files::send(&config)?;
    send(
        control,
        &FromGuest::Exit {
            status,
            stdout_bytes,
            stderr_bytes,
            files_bytes,
            missing,
        },
    )?;
    let _ = bye.recv_timeout(BYE_PATIENCE);
    Ok(())
}

fn send(control: &mut File, message: &FromGuest) -> Result<(), Problem> {
    control
        .write_all(&protocol::line(message))
        .map_err(|error| format!("control port: {error}"))
}

fn pipe() -> Result<(PipeReader, std::io::PipeWriter), Problem> {
    std::io::pipe().map_err(|error| format!("cannot make a pipe: {error}"))
}

/// Passes the host's signals to the command's process group.
fn listen(control: &File, command: Pid, bye: mpsc::Sender<()>) -> Result<(), Problem> {
    let control = control
        .try_clone()
        .map_err(|error| format!("control port: {error}"))?;
    std::thread::spawn(move || {
        sys::become_real_time();
        let mut reader = BufReader::new(control);
        while let Some(message) = protocol::next(&mut reader) {
            match message {
                FromHost::Signal { number } => {
                    if let Ok(signal) = Signal::try_from(number)
                        && command.as_raw() > 0
                    {
                        let _ = killpg(command, signal);
                    }
                }
                FromHost::Bye => {
                    let _ = bye.send(());
                    return;
                }
            }
        }
    });
    Ok(())
}

/// A thread that copies the command's output to a port. The command has a pipe and not the port, as
/// a port can be opened only once and `/dev/stdout` must be openable.
struct Pump {
    count: Arc<AtomicU64>,
    ended: mpsc::Receiver<()>,
}

impl Pump {
    fn start(mut from: PipeReader, mut to: File) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let (end, ended) = mpsc::channel();
        let counted = count.clone();
        std::thread::spawn(move || {
            sys::become_real_time();
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
                counted.fetch_add(length as u64, Ordering::Release);
            }
            let _ = end.send(());
        });
        Self { count, ended }
    }

    /// Waits for the end of the output and returns its length. The host may be slow to read, so the
    /// wait has no end of its own; but a process that cannot be killed may hold the pipe.
    fn finish(self, all_gone: bool) -> u64 {
        let _ = if all_gone {
            self.ended.recv().ok()
        } else {
            self.ended.recv_timeout(PIPE_PATIENCE).ok()
        };
        self.count.load(Ordering::Acquire)
    }
}

/// A scheduler's process is gone before its scheduler is; a fault in between must still be seen.
fn wait_for_scheduler_end() {
    let deadline = Instant::now() + SCHEDULER_PATIENCE;
    let state = || std::fs::read_to_string("/sys/kernel/sched_ext/state").unwrap_or_default();
    while !matches!(state().trim(), "" | "disabled") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starting a child that [`processes::wait_for`] will reap.
trait SpawnReaped {
    fn spawn_reaped(&mut self) -> std::io::Result<Pid>;
}

impl SpawnReaped for Command {
    fn spawn_reaped(&mut self) -> std::io::Result<Pid> {
        self.spawn().map(|child| Pid::from_raw(child.id() as i32))
    }
}

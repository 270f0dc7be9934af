//! The caller's side: starts the stages, gives the order, collects output and report.

use crate::wire::{Order, Report, Task, receive, send};
use crate::{Ended, Error, How, Kinds, Sandbox, Which, plan, stage, wire::Place};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the flag is looked at.
const TICK_MS: u16 = 20;
/// The supervisor gets this, beyond the program's time, to start, to end and to copy files.
const GRACE: Duration = Duration::from_secs(30);
/// The supervisor ends within this when it is told to; then it is killed.
const END: Duration = Duration::from_millis(500);
/// The longest input.
const INPUT_BYTES: usize = 64 << 20;
/// A report is shorter.
const REPORT_BYTES: usize = 64 << 10;

/// Runs a program to its end.
pub(crate) fn run(
    sandbox: &Sandbox,
    program: &Path,
    args: Vec<OsString>,
    stdin: &[u8],
    stop: &AtomicBool,
) -> Result<Ended, Error> {
    if !program.is_absolute() {
        return Err(Error::Place {
            path: program.to_owned(),
            role: "executed in the sandbox",
            reason: "give an absolute path",
        });
    }
    let program = Some(program.as_os_str().to_owned());
    let order = order(sandbox, program, args, stdin)?;
    let called = Instant::now();
    let mut running = Running::start(sandbox, &order, stdin)?;
    let stopped = running.until_end(called + sandbox.limits.wall + GRACE, stop)?;
    let (status, wall, cpu, peak_memory_bytes) = match running.report(&order, sandbox)? {
        Some(Report::Ended {
            how,
            wall,
            cpu,
            peak_memory_bytes,
        }) => (how, wall, cpu, peak_memory_bytes),
        _ if stopped => (told_why(stop), called.elapsed(), Duration::ZERO, 0),
        _ => return Err(Error::Lost),
    };
    let [_, stdout, stderr] = &mut running.lines;
    Ok(Ended {
        status,
        cut: stdout.cut || stderr.cut,
        stdout: std::mem::take(&mut stdout.bytes),
        stderr: std::mem::take(&mut stderr.bytes),
        wall,
        cpu,
        peak_memory_bytes,
    })
}

/// Why it was told to end: by the flag, or because the supervisor did not end in time.
fn told_why(stop: &AtomicBool) -> How {
    if stop.load(Ordering::Relaxed) {
        How::Stopped
    } else {
        How::Limit(Which::Wall)
    }
}

/// Does all but executing a program.
pub(crate) fn probe(sandbox: &Sandbox) -> Result<Kinds, Error> {
    let order = order(sandbox, None, Vec::new(), &[])?;
    let mut running = Running::start(sandbox, &order, &[])?;
    running.until_end(Instant::now() + GRACE, &AtomicBool::new(false))?;
    match running.report(&order, sandbox)? {
        Some(Report::Contained { landlock_abi }) => Ok(Kinds {
            landlock_abi,
            uid: order.ids.uid,
        }),
        _ => Err(Error::Lost),
    }
}

fn order(
    sandbox: &Sandbox,
    program: Option<OsString>,
    args: Vec<OsString>,
    stdin: &[u8],
) -> Result<Order, Error> {
    if sandbox.program.is_none() && !stage::is_called() {
        return Err(Error::NotCalled);
    }
    if stdin.len() > INPUT_BYTES {
        return Err(Error::Input { bytes: stdin.len() });
    }
    let ids = plan::ids()?;
    let places = plan::places(sandbox)?;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for place in &places {
        match place {
            Place::Read { at, .. } => reads.push(at.clone()),
            Place::Write { at } => writes.push(at.clone()),
            Place::Link { .. } => {}
        }
    }
    Ok(Order {
        ids,
        places,
        stdin_bytes: stdin.len() as u64,
        task: Task {
            program,
            args,
            env: sandbox.env.clone(),
            dir: sandbox.dir.clone(),
            limits: sandbox.limits,
            ids,
            reads,
            writes,
        },
    })
}

/// A line from the sandbox, and what came through it.
struct Line {
    from: Option<Box<dyn Source>>,
    bytes: Vec<u8>,
    most: usize,
    cut: bool,
}

/// What can be read and waited for.
trait Source: Read + AsFd {}
impl<T: Read + AsFd> Source for T {}

impl Line {
    fn new(from: Option<impl Source + 'static>, most: usize) -> Self {
        Self {
            from: from.map(|from| Box::new(from) as Box<dyn Source>),
            bytes: Vec::new(),
            most,
            cut: false,
        }
    }

    /// Reads what there is; lets go of the line at its end.
    fn take(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let Some(from) = &mut self.from else {
            return Ok(());
        };
        match from.read(buffer) {
            Ok(0) => self.from = None,
            Ok(count) => {
                let kept = count.min(self.most - self.bytes.len());
                self.bytes.extend_from_slice(&buffer[..kept]);
                self.cut |= kept < count;
            }
            // A line whose other end was killed with something unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.from = None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::host("read the sandbox's output")(error)),
        }
        Ok(())
    }
}

/// The stages, while they are there. However it is let go of, they end.
struct Running {
    outer: Child,
    control: UnixStream,
    /// The report, the output, the errors.
    lines: [Line; 3],
}

impl Running {
    fn start(sandbox: &Sandbox, order: &Order, stdin: &[u8]) -> Result<Self, Error> {
        let wrong = "make a line to it";
        let (control, theirs) = UnixStream::pair().map_err(Error::host(wrong))?;
        let program = sandbox.program.as_deref();
        let program = program.unwrap_or(Path::new(stage::SELF));
        let number = i32::try_from(std::process::id()).unwrap_or(0);
        let mut outer = stage::command(program, "outer", number)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's interrupt is for the caller, which then stops it or dies.
            .process_group(0)
            .spawn()
            .map_err(Error::host("execute this program again"))?;
        let most = sandbox.limits.output_bytes;
        let stdout: Option<ChildStdout> = outer.stdout.take();
        let stderr: Option<ChildStderr> = outer.stderr.take();
        let heard = control.try_clone();
        let mut running = Self {
            outer,
            control,
            lines: [
                Line::new(heard.ok(), REPORT_BYTES),
                Line::new(stdout, most),
                Line::new(stderr, most),
            ],
        };
        let wait = running.control.set_write_timeout(Some(GRACE));
        wait.map_err(Error::host(wrong))?;
        // If this fails, a stage has ended, and its report says why.
        let _ = send(&running.control, order).and_then(|()| running.control.write_all(stdin));
        Ok(running)
    }

    /// Reads until all lines have ended, which is when the last stage is gone; whether it was stopped.
    fn until_end(&mut self, deadline: Instant, stop: &AtomicBool) -> Result<bool, Error> {
        let mut stopped = false;
        let mut told: Option<Instant> = None;
        let mut buffer = vec![0; 64 << 10];
        while self.lines.iter().any(|line| line.from.is_some()) {
            let now = Instant::now();
            if let Some(when) = told {
                if now.duration_since(when) >= END {
                    let _ = self.outer.kill();
                }
                if now.duration_since(when) >= GRACE {
                    return Err(Error::Lost); // Something waits in the kernel, and cannot be killed.
                }
            } else {
                stopped = stop.load(Ordering::Relaxed) || now >= deadline;
                // Killed before the supervisor was tied to it, it leaves that running.
                let gone = matches!(self.outer.try_wait(), Ok(Some(_)));
                if stopped || gone {
                    let _ = self.control.shutdown(Shutdown::Write);
                    told = Some(now);
                }
            }
            for number in self.readable()? {
                self.lines[number].take(&mut buffer)?;
            }
        }
        self.outer.wait().map_err(Error::host("wait for it"))?;
        Ok(stopped)
    }

    /// Which lines have something to read, or have ended; waits a little.
    fn readable(&self) -> Result<Vec<usize>, Error> {
        let mut numbers = Vec::new();
        let mut waited: Vec<PollFd<'_>> = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            if let Some(from) = &line.from {
                numbers.push(number);
                waited.push(PollFd::new(from.as_fd(), PollFlags::POLLIN));
            }
        }
        match poll(&mut waited, PollTimeout::from(TICK_MS)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Error::host("wait for it")(error)),
        }
        let ready = waited.iter().map(|line| line.any().unwrap_or(false));
        Ok(numbers
            .into_iter()
            .zip(ready)
            .filter_map(|(number, ready)| ready.then_some(number))
            .collect())
    }

    /// What the supervisor said at the end, if it did; an error if containing failed.
    fn report(&self, order: &Order, sandbox: &Sandbox) -> Result<Option<Report>, Error> {
        match receive(self.lines[0].bytes.as_slice()) {
            Ok(Some(Report::Fault(fault))) => {
                let program = order.task.program.clone().unwrap_or_default();
                let dir = sandbox.dir.clone();
                Err(Error::of(&fault, PathBuf::from(program), dir))
            }
            Ok(report) => Ok(report),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.control.shutdown(Shutdown::Both);
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}

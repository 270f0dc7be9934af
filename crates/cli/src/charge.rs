//! A policy in charge of this machine: its process, started, attached and stopped.

use std::{
    ffi::OsString,
    fs,
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use baton::app::{Code, Failure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const STATE: &str = "/sys/kernel/sched_ext/state";
/// Loading takes seconds on an emulated processor.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);
/// How long a policy may take to end once it is told to.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A policy's process that has taken charge.
pub(crate) struct Charge {
    child: Child,
}

/// How a policy's process ended.
pub(crate) struct Ended {
    /// What it printed: its report.
    pub(crate) report: String,
    /// How it ended, if not well.
    pub(crate) problem: Option<String>,
}

impl Charge {
    /// Starts `program arguments` and waits until it schedules the machine.
    pub(crate) fn take(program: &OsString, arguments: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start the policy {}", program.to_string_lossy()))?;
        let start = Instant::now();
        loop {
            if state() == "enabled" {
                return Ok(Self { child });
            }
            if let Some(status) = child.try_wait()? {
                let code = Code::Other("policy-ended", 125);
                let message = format!("the policy ended before it took charge ({status})");
                return Err(Failure::new(code, message).into());
            }
            if start.elapsed() > ATTACH_LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                let limit = ATTACH_LIMIT.as_secs();
                let message = format!("the policy did not take charge within {limit} s");
                return Err(Failure::new(Code::Other("attach-timeout", 125), message).into());
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Tells the policy to end, and waits until the kernel's own scheduler is back.
    pub(crate) fn stop(mut self) -> anyhow::Result<Ended> {
        let ended_early = self.child.try_wait()?.is_some();
        if !ended_early {
            // The pid fits: it came from the kernel.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT);
        }
        let stdout = self.child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.map(|mut pipe| pipe.read_to_string(&mut text));
            text
        });
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > STOP_LIMIT {
                self.child.kill()?;
                break self.child.wait()?;
            }
            thread::sleep(LOOK_INTERVAL);
        };
        while state() != "disabled" && start.elapsed() < STOP_LIMIT * 2 {
            thread::sleep(LOOK_INTERVAL);
        }
        let problem = if !status.success() {
            Some(format!("the policy ended with {status}"))
        } else if ended_early {
            Some("the policy ended before the command did".to_owned())
        } else {
            None
        };
        Ok(Ended {
            report: reader.join().unwrap_or_default(),
            problem,
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // Only after an error on the way to `stop`: nothing may be left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel says of schedulers: `enabled`, `disabled`, or on the way.
fn state() -> String {
    fs::read_to_string(STATE)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

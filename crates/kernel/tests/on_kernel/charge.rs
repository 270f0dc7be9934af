//! A policy's process in the guest.

use std::{
    fs,
    io::Read,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::policies::LOG_VARIABLE;

pub fn state() -> String {
    fs::read_to_string("/sys/kernel/sched_ext/state")
        .unwrap_or_default()
        .trim()
        .to_string()
}

/// How long a policy may take to take charge: seconds on an emulated processor, and a minute where the
/// host has other work.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A policy in charge, in a process of its own.
pub struct Charge {
    child: Child,
}

impl Charge {
    /// Starts the policy and waits until it schedules.
    pub fn take(policy: &str, seconds: u64) -> Result<Self, String> {
        Self::start(policy, seconds, None)?.wait_enabled()
    }

    pub fn start(policy: &str, seconds: u64, log: Option<&str>) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(own);
        command
            .args(["policy", policy, &seconds.to_string()])
            // So that a panic takes seconds to tell, and must still end the process as one.
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::piped());
        if let Some(log) = log {
            command.env(LOG_VARIABLE, log);
        }
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start: {error}"))?;
        Ok(Self { child })
    }

    pub fn wait_enabled(mut self) -> Result<Self, String> {
        let began = Instant::now();
        while state() != "enabled" {
            if began.elapsed() > PATIENCE || self.child.try_wait().is_ok_and(|end| end.is_some()) {
                return Err(format!(
                    "took no charge; state {}; {}",
                    state(),
                    self.output()
                ));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(self)
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args([signal, &pid]).status();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|end| end.is_none())
    }

    pub fn output(&mut self) -> String {
        let mut text = String::new();
        if let Some(out) = &mut self.child.stdout {
            let _ = out.read_to_string(&mut text);
        }
        text
    }

    /// Waits for the end; the report, and the exit code.
    pub fn finish(mut self) -> Result<(Value, Option<i32>), String> {
        let text = self.output();
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let report = text
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok());
        Ok((report.unwrap_or(Value::Null), status.code()))
    }

    /// Ends the policy by SIGINT and demands that the kernel had no complaint.
    pub fn stop(self) -> Result<Value, String> {
        self.signal("-INT");
        let (report, code) = self.finish()?;
        if code != Some(0) || report["exit"]["kind"] != "signal" {
            return Err(format!("ended with {code:?}: {}", report["exit"]));
        }
        Ok(report)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

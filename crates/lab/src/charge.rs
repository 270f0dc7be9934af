//! A scheduler in charge of this machine: its process, started, attached and stopped.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;

use crate::engine::die_with_parent;

const STATE: &str = "/sys/kernel/sched_ext/state";
/// Counts the schedulers that the kernel was given since it booted.
const ENABLE_SEQ: &str = "/sys/kernel/sched_ext/enable_seq";
/// Loading takes seconds on an emulated processor, and a minute where many run on one.
pub(crate) const ATTACH_LIMIT: Duration = Duration::from_secs(120);
/// How long a scheduler may take to end once it is told to.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Why no scheduler is in charge, or not the kernel's own again. Each message is one sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program cannot be started.
    #[error("cannot start the scheduler {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended before it took charge.
    #[error("the scheduler ended before it took charge ({status}){}", because(why))]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it said.
        why: Option<String>,
    },
    /// It did not take charge in time.
    #[error(
        "the scheduler did not take charge within {} s{}", ATTACH_LIMIT.as_secs(), because(why)
    )]
    Late {
        /// What it said.
        why: Option<String>,
    },
    /// It was not waited for any longer, because all shall stop.
    #[error("stopped before the scheduler took charge")]
    Stopped,
    /// Another one has the machine.
    #[error("another scheduler has this machine ({STATE} says {state}): end it first")]
    Busy {
        /// The kernel's word.
        state: String,
    },
    /// The kernel's own scheduler did not come back.
    #[error(
        "the scheduler's process is gone, and the kernel still says `{state}` of it: write S to \
         /proc/sysrq-trigger to have the kernel's own scheduler back"
    )]
    NotGivenBack {
        /// The kernel's word.
        state: String,
    },
    /// A process or a file.
    #[error("cannot attend to the scheduler's process: {0}")]
    Os(#[from] std::io::Error),
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map_or(String::new(), |why| format!(": {why}"))
}

/// What becomes of a scheduler's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Its standard output is its report; of a policy of ours.
    Report,
    /// All of it is kept aside, for its last words; of others.
    Aside,
}

/// A scheduler's process that has taken charge. Dropping it kills it.
#[derive(Debug)]
pub struct Charge {
    child: Child,
    /// Whether the process was waited for, and its group killed.
    gone: bool,
    aside: Option<File>,
    /// The kernel's count of schedulers with this one.
    enable_seq: Option<u64>,
}

/// How a scheduler's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it printed: its report.
    pub report: String,
    /// How it ended, if not well.
    pub problem: Option<String>,
    /// Whether it lost the machine before it was told to end, if only for a while.
    pub early: bool,
}

impl Charge {
    /// Starts `program arguments` and waits until it schedules the machine, or `stop` is set.
    ///
    /// # Errors
    /// It does not; then its process is gone.
    pub fn take(
        program: &OsStr,
        arguments: &[String],
        output: Output,
        stop: &AtomicBool,
    ) -> Result<Self, Error> {
        check_free()?;
        let aside = match output {
            Output::Report => None,
            Output::Aside => Some(tempfile::tempfile()?),
        };
        let (stdout, stderr) = match &aside {
            None => (Stdio::piped(), Stdio::inherit()),
            Some(file) => (file.try_clone()?.into(), file.try_clone()?.into()),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        die_with_parent(&mut command);
        let before = enable_seq();
        let child = command.spawn().map_err(|source| Error::Start {
            program: program.to_string_lossy().into_owned(),
            source,
        })?;
        let mut charge = Self {
            child,
            gone: false,
            aside,
            enable_seq: None,
        };
        let start = Instant::now();
        loop {
            if state() == "enabled" {
                // The kernel counts it a moment after it says so.
                charge.enable_seq = enable_seq().max(before.map(|count| count + 1));
                return Ok(charge);
            }
            if let Some(status) = charge.ended()? {
                let why = charge.why();
                return Err(Error::Ended { status, why });
            }
            if stop.load(Ordering::Relaxed) {
                charge.kill();
                return Err(Error::Stopped);
            }
            if start.elapsed() > ATTACH_LIMIT {
                charge.kill();
                let why = charge.why();
                return Err(Error::Late { why });
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Tells the scheduler to end, and waits until the kernel's own is back. Once `hurry` is set its
    /// process is killed instead, which gives the machine back as well.
    ///
    /// # Errors
    /// It is not.
    pub fn stop(mut self, hurry: &AtomicBool) -> Result<Ended, Error> {
        let gone = self.ended()?.is_some();
        let ended_early = gone || state() != "enabled";
        let reloaded = is_reloaded(self.enable_seq, enable_seq());
        if !gone {
            let _ = killpg(self.group(), Signal::SIGINT);
        }
        let stdout = self.child.stdout.take();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.map(|mut pipe| pipe.read_to_string(&mut text));
            text
        });
        let start = Instant::now();
        let mut killed = false;
        let status = loop {
            if let Some(status) = self.ended()? {
                break status;
            }
            if start.elapsed() > STOP_LIMIT || hurry.load(Ordering::Relaxed) {
                killed = true;
                let _ = killpg(self.group(), Signal::SIGKILL);
                self.gone = true;
                break self.child.wait()?;
            }
            thread::sleep(LOOK_INTERVAL);
        };
        given_back(STOP_LIMIT)?;
        let report = reader.join().unwrap_or_default();
        let mut problem = if killed {
            Some("the scheduler did not end when it was told to".to_owned())
        } else if reloaded {
            Some(format!(
                "the scheduler lost the machine during the run, and it or another was loaded again \
                 ({status})"
            ))
        } else if ended_early {
            Some(format!(
                "the scheduler ended before the command did ({status})"
            ))
        } else if !status.success() {
            Some(format!("the scheduler ended with {status}"))
        } else {
            None
        };
        if let Some(problem) = &mut problem {
            let why = reason(&report).or_else(|| self.last_words());
            problem.push_str(&because(&why));
        }
        Ok(Ended {
            report,
            problem,
            early: ended_early || reloaded,
        })
    }

    fn group(&self) -> Pid {
        // The pid fits: it came from the kernel.
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// How the process ended, if it did. What it started and left behind, in its process group, is
    /// killed then: it would run on beside all further runs, and may hold its output open.
    fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        // Once, and at once: later the number may be somebody else's.
        if status.is_some() && !self.gone {
            self.gone = true;
            let _ = killpg(self.group(), Signal::SIGKILL);
        }
        Ok(status)
    }

    fn kill(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            let _ = killpg(self.group(), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.gone = true;
        }
    }

    /// Why it ended, by its own words.
    fn why(&mut self) -> Option<String> {
        if let Some(mut pipe) = self.child.stdout.take() {
            let mut text = String::new();
            pipe.read_to_string(&mut text).ok()?;
            return reason(&text);
        }
        self.last_words()
    }

    /// The last line of an output that was kept aside.
    fn last_words(&mut self) -> Option<String> {
        let file = self.aside.as_mut()?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().rfind(|line| !line.trim().is_empty())?;
        Some(format!("it said: {}", line.trim()))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // Only after an error on the way to `stop`: nothing may be left behind.
        self.kill();
    }
}

/// The reason that a program with `--json` printed at its end; one without told people.
fn reason(report: &str) -> Option<String> {
    let document: Value = serde_json::from_str(report.trim()).ok()?;
    Some(document["error"]["message"].as_str()?.to_owned())
}

/// What the kernel says of schedulers: `enabled`, `disabled`, or on the way; nothing where it has
/// no `sched_ext`.
fn state() -> String {
    fs::read_to_string(STATE)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// How many schedulers the kernel was given; none where it does not count.
fn enable_seq() -> Option<u64> {
    fs::read_to_string(ENABLE_SEQ).ok()?.trim().parse().ok()
}

/// Whether more schedulers were counted than with the one that began. Fewer are where it ends at once, for
/// the kernel counts it a moment after it says that it is enabled.
fn is_reloaded(begun: Option<u64>, now: Option<u64>) -> bool {
    begun.is_some_and(|begun| now.is_some_and(|now| now > begun))
}

/// Waits until a scheduler whose process has ended is gone from the kernel too, which takes it moments.
///
/// # Errors
/// It is still there after this time.
pub(crate) fn given_back(patience: Duration) -> Result<(), Error> {
    let start = Instant::now();
    while !is_free() {
        if start.elapsed() > patience {
            return Err(Error::NotGivenBack { state: state() });
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// Whether the kernel's own scheduler has the machine.
fn is_free() -> bool {
    ["disabled", ""].contains(&state().as_str())
}

/// Whether no scheduler is loaded.
///
/// # Errors
/// One is.
pub fn check_free() -> Result<(), Error> {
    match is_free() {
        true => Ok(()),
        false => Err(Error::Busy { state: state() }),
    }
}

/// Whether this kernel can be given a scheduler.
#[must_use]
pub fn has_sched_ext() -> bool {
    fs::exists(STATE).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a `sleep` of so long runs anywhere. One that was killed has no command line any more.
    fn sleeps(seconds: &str) -> bool {
        let words = format!("sleep\0{seconds}\0");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
            .any(|line| line == words)
    }

    fn is_gone(seconds: &str) -> bool {
        let start = Instant::now();
        while sleeps(seconds) {
            if start.elapsed() > Duration::from_secs(10) {
                return false;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        true
    }

    /// Nor does it keep the last words waiting where it holds the pipe.
    #[test]
    fn what_a_scheduler_leaves_behind_is_killed() {
        for (output, seconds) in [(Output::Aside, "1000.25"), (Output::Report, "1000.75")] {
            let script = format!("sleep {seconds} & exit 1");
            let arguments = ["-c".to_owned(), script];
            let error = Charge::take(OsStr::new("sh"), &arguments, output, &NEVER);
            assert!(matches!(error, Err(Error::Ended { .. })), "{error:?}");
            assert!(is_gone(seconds), "{output:?}");
        }
    }

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn charge(script: &str) -> Charge {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        Charge {
            child: command.spawn().unwrap(),
            gone: false,
            aside: None,
            enable_seq: enable_seq(),
        }
    }

    /// What never takes charge is not waited for when all shall stop.
    #[test]
    fn a_stop_ends_the_wait_for_a_scheduler() {
        let stop = AtomicBool::new(false);
        let begin = Instant::now();
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                while !sleeps("1000.875") && begin.elapsed() < Duration::from_secs(30) {
                    thread::sleep(LOOK_INTERVAL);
                }
                stop.store(true, Ordering::Relaxed);
            });
            let arguments = ["1000.875".to_owned()];
            Charge::take(OsStr::new("sleep"), &arguments, Output::Aside, &stop)
        });
        assert!(matches!(error, Err(Error::Stopped)), "{error:?}");
        assert!(begin.elapsed() < ATTACH_LIMIT / 2);
        assert!(is_gone("1000.875"));
    }

    /// One that will not end when it is told to is given no time when there is a hurry.
    #[test]
    fn a_hurry_kills() {
        let deaf = charge("trap '' INT; sleep 1000.5625 & wait; sleep 1000.5625");
        while !sleeps("1000.5625") {
            thread::sleep(LOOK_INTERVAL);
        }
        let begin = Instant::now();
        let ended = deaf.stop(&AtomicBool::new(true)).unwrap();
        assert!(begin.elapsed() < STOP_LIMIT / 2, "{:?}", begin.elapsed());
        assert!(ended.problem.is_some(), "{ended:?}");
        assert!(is_gone("1000.5625"));
    }

    #[test]
    fn a_scheduler_that_came_back_is_counted_twice() {
        assert!(is_reloaded(Some(3), Some(4)));
        for (begun, now) in [(3, 3), (3, 2)] {
            assert!(!is_reloaded(Some(begun), Some(now)));
        }
        assert!(!is_reloaded(None, Some(1)) && !is_reloaded(Some(1), None));
    }

    #[test]
    fn a_charge_that_is_dropped_leaves_nothing() {
        // Its leader is gone, or not.
        let mut gone = charge("sleep 1000.125 & exit 0");
        while matches!(gone.child.try_wait(), Ok(None)) {
            thread::sleep(LOOK_INTERVAL);
        }
        drop(gone);
        let there = charge("sleep 1000.375 & wait");
        while !sleeps("1000.375") {
            thread::sleep(LOOK_INTERVAL);
        }
        drop(there);
        assert!(is_gone("1000.125") && is_gone("1000.375"));
        let ended = charge("sleep 1000.625 & exit 3").stop(&NEVER).unwrap();
        assert!(ended.early && ended.problem.is_some(), "{ended:?}");
        assert!(is_gone("1000.625"));
    }
}

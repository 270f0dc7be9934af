//! A candidate on a real kernel, in a VM, while everything around it is disturbed.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Diagnostic, Error, Stage};

/// Nobody may stand still for longer: the backend runs whom a policy forgets after 2 s at the latest, and an
/// emulated machine is late by as much again.
const GAP_MAX_MS: f64 = 5000.0;
/// The share of enqueues that may be left to rescue. An emulated machine is late now and then, and so is a
/// policy's process on it.
const RESCUED_MAX: f64 = 0.3;
/// What all of it may take: booting, the disturbances, the end.
const WALL: Duration = Duration::from_secs(240);

/// What was seen in the VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Why the policy's run ended before it was told to, if it did.
    pub problem: Option<String>,
    /// The longest that a task that wanted to run stood still, milliseconds.
    pub longest_gap_ms: Option<f64>,
    /// The backend's counters.
    pub counters: BTreeMap<String, u64>,
}

/// Runs a policy's program in a VM, under disturbances.
pub trait Machines: Sync {
    /// What is seen of this program, disturbed so long, with the disturbances of this seed.
    ///
    /// # Errors
    /// The VM does not work, or it was stopped.
    fn disturb(
        &self,
        program: &Path,
        seconds: u32,
        seed: u64,
        stop: &AtomicBool,
    ) -> Result<Seen, Error>;

    /// Whether a VM works here at all, with no policy in it.
    fn works(&self, stop: &AtomicBool) -> bool;
}

/// A candidate, disturbed; what is wrong with it. A VM in which it does not even start tells nothing by
/// itself: the machine may be at fault, and another one is booted without it.
pub(crate) fn run(
    machines: &dyn Machines,
    program: &Path,
    seconds: u32,
    seed: u64,
    stop: &AtomicBool,
) -> Result<Vec<Diagnostic>, Error> {
    match machines.disturb(program, seconds, seed, stop) {
        Ok(seen) => Ok(judge(&seen)),
        Err(Error::Vm(said)) if machines.works(stop) => Ok(vec![
            Diagnostic::new(
                Stage::Vm,
                "does-not-start",
                format!("on a real kernel the policy did not take charge: {said}"),
            )
            .help("`new` must not panic, whatever the machine is called and whatever its CPUs are like."),
        ]),
        Err(error) => Err(error),
    }
}

/// Variables that hold keys: no process that is started here has use of them.
pub(crate) const KEYS: [&str; 2] = ["BATON_AUTHOR_KEY", "OPENAI_API_KEY"];

/// By the tool `baton`.
#[derive(Clone, Debug)]
pub struct ByCommand {
    /// The tool.
    pub baton: PathBuf,
    /// The kernel of the VM, as `baton vm --kernel` takes it.
    pub kernel: String,
}

impl Machines for ByCommand {
    fn disturb(
        &self,
        program: &Path,
        seconds: u32,
        seed: u64,
        stop: &AtomicBool,
    ) -> Result<Seen, Error> {
        let mut command = self.vm();
        command
            .arg("--policy")
            .arg(program)
            .args([
                "--policy-json",
                "--",
                "baton",
                "chaos",
                "--json",
                "--hotplug",
            ])
            .args(["--for", &format!("{seconds}s"), "--seed", &seed.to_string()]);
        let said = self.run(command, stop)?;
        seen(said.status, &said.out, &said.errors)
    }

    fn works(&self, stop: &AtomicBool) -> bool {
        let mut command = self.vm();
        command.args(["--", "true"]);
        self.run(command, stop)
            .is_ok_and(|said| said.status == Some(0))
    }
}

/// How the tool ended, and what it wrote.
struct Said {
    status: Option<i32>,
    out: String,
    errors: String,
}

impl ByCommand {
    fn vm(&self) -> Command {
        let mut command = Command::new(&self.baton);
        command.args(["vm", "--kernel", &self.kernel, "--timeout"]);
        command.arg(format!("{}s", WALL.as_secs()));
        for key in KEYS {
            command.env_remove(key);
        }
        command
    }

    /// Runs the tool to its end, or ends it.
    fn run(&self, mut command: Command, stop: &AtomicBool) -> Result<Said, Error> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::Vm(format!("cannot run {}: {error}", self.baton.display())))?;
        let out = reader(child.stdout.take());
        let errors = reader(child.stderr.take());
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child
                .try_wait()
                .map_err(|error| Error::Vm(error.to_string()))?
            {
                break status;
            }
            let is_late = begin.elapsed() > WALL * 2;
            if is_late || stop.load(Ordering::Relaxed) {
                // As a person would: the second signal is for the VM itself.
                let pid = Pid::from_raw(child.id().cast_signed());
                for _ in 0..2 {
                    let _ = kill(pid, Signal::SIGTERM);
                    thread::sleep(Duration::from_millis(500));
                }
                let _ = child.wait();
                return Err(match is_late {
                    true => Error::Vm("it did not end at its time limit".to_owned()),
                    false => Error::Stopped,
                });
            }
            thread::sleep(Duration::from_millis(50));
        };
        // A signal from the terminal ends the tool as well.
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        Ok(Said {
            status: status.code(),
            out: out.join().unwrap_or_default(),
            errors: errors.join().unwrap_or_default(),
        })
    }
}

/// Reads all that comes, on a thread of its own.
fn reader(from: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What the tool said of its VM.
fn seen(status: Option<i32>, out: &str, errors: &str) -> Result<Seen, Error> {
    let objects = |text: &str| -> Vec<Value> {
        let lines = text.lines().filter(|line| line.starts_with('{'));
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    };
    let chaos = objects(out)
        .into_iter()
        .find(|object| object.get("max_gap_ms").is_some());
    let report = objects(errors)
        .into_iter()
        .find(|object| object.get("policy").is_some());
    let said = errors
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty() && !line.starts_with('{'));
    let said = said.unwrap_or("nothing").to_owned();
    // 125 is of a policy that ended by itself, and of a VM that does not work.
    if chaos.is_none() && report.is_none() && status != Some(123) && status != Some(124) {
        return Err(Error::Vm(said));
    }
    let counters = report
        .as_ref()
        .and_then(|report| report["stats"].as_object());
    let counters = counters.into_iter().flatten();
    let counters = counters.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)));
    let problem = match status {
        Some(0) if chaos.is_none() => Some("the disturbances told nothing".to_owned()),
        Some(0) => None,
        Some(123) => Some(format!("the guest's kernel died: {said}")),
        Some(124) => Some("the guest stood still until its time was over".to_owned()),
        _ => Some(said),
    };
    Ok(Seen {
        problem,
        longest_gap_ms: chaos.and_then(|chaos| chaos["max_gap_ms"].as_f64()),
        counters: counters.collect(),
    })
}

/// What is wrong with what was seen.
pub(crate) fn judge(seen: &Seen) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(problem) = &seen.problem {
        found.push(
            Diagnostic::new(Stage::Vm, "ended", format!("on a real kernel: {problem}")).help(
                "The policy panicked or was thrown out while tasks forked, changed their affinity and priority, and CPUs \
                 went off-line: expect ids of tasks that have ended, and CPUs that are gone.",
            ),
        );
    }
    let count = |name: &str| seen.counters.get(name).copied().unwrap_or_default();
    let (rescues, enqueues) = (count("rescues"), count("enqueues"));
    if rescues as f64 > RESCUED_MAX * enqueues as f64 {
        found.push(
            Diagnostic::new(
                Stage::Vm,
                "leaves-tasks",
                format!("on a real kernel the backend had to place {rescues} of {enqueues} enqueued tasks itself"),
            )
            .help("Decide about each task in `enqueue`, or soon after."),
        );
    }
    if let Some(gap_ms) = seen.longest_gap_ms.filter(|gap_ms| *gap_ms > GAP_MAX_MS) {
        found.push(
            Diagnostic::new(
                Stage::Vm,
                "stands-still",
                format!("on a real kernel a task that wanted to run stood still for {gap_ms:.0} ms"),
            )
            .help("Every task's turn must come: keys that grow with time, and no kind of task for ever before another."),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tool_says() {
        let chaos = r#"{"seed":1,"max_gap_ms":12.5}"#;
        let report = "x schedules\n{\"policy\":\"x\",\"stats\":{\"rescues\":3,\"enqueues\":90}}\n";
        let found = seen(Some(0), chaos, report).unwrap();
        assert_eq!(found.longest_gap_ms, Some(12.5));
        assert_eq!(found.counters["rescues"], 3);
        assert!(judge(&found).is_empty());
        let found = seen(Some(125), chaos, &format!("{report}x ended: it panicked\n")).unwrap();
        assert_eq!(judge(&found)[0].code, "ended");
        let found = seen(Some(124), "", "").unwrap();
        assert!(judge(&found)[0].message.contains("stood still"));
        assert!(seen(Some(125), "", "there is no QEMU here").is_err());
        let slow = r#"{"max_gap_ms":7000.0}"#;
        assert_eq!(
            judge(&seen(Some(0), slow, report).unwrap())[0].code,
            "stands-still"
        );
    }
}

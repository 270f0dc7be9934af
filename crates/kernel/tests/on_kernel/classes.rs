//! Task classes on a kernel: who goes first, what is left for the others, and that
//! cgroups are found.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use baton_policy::log::{Ending, replay};
use serde_json::Value;

use crate::{
    charge::Charge,
    guest::{Outcome, check, counter, load, metric},
};

/// CPU time after which a load has begun; 5 % of two CPUs are so much in 2 s.
const STARTED_S: f64 = 0.2;
const CGROUPS: &str = "/sys/fs/cgroup";
const GAME: &str = "frames:seconds=4+hogs:count=4";

/// A game of the high class beside hogs of the low one, and the same without classes.
pub fn priorities() -> Outcome {
    let game = |policy: &str| {
        let charge = Charge::take(policy, 120)?;
        let metrics = load(GAME, None)?;
        let report = charge.stop()?;
        let of = |name: &str| metric(&metrics, name);
        let figures = [
            of("frames.frame_p99_ms"),
            of("frames.missed"),
            of("hogs.work_per_s"),
        ];
        Ok::<_, String>((figures, report))
    };
    let ([p99_ms, missed, work], report) = game("priority")?;
    let ([plain_p99_ms, plain_missed, plain_work], _) = game("priority-classless")?;
    let text = format!(
        "p99 of a frame {p99_ms:.1} ms, {missed} missed, hogs {work:.0}/s; without classes \
         {plain_p99_ms:.1} ms, {plain_missed}, {plain_work:.0}/s; {} preemptions, {} rescues, \
         {} stale, {} invalid",
        counter(&report, "preemptions"),
        counter(&report, "rescues"),
        counter(&report, "stale"),
        counter(&report, "invalid"),
    );
    let faults = &report["process"];
    let quiet = faults["faults_minor"] == 0 && faults["faults_major"] == 0;
    let better = p99_ms * 2.0 < plain_p99_ms && missed * 2.0 < plain_missed;
    // What the frames need, half a CPU of two, is not the hogs'.
    check(better && quiet && work * 4.0 > plain_work, text)
}

/// Hogs of a high and of a low class, told apart by cgroups that are made only now.
pub fn floor() -> Outcome {
    let charge = Charge::take("priority", 120)?;
    let urgent = Inside::start("urgent/deep/er", "hogs:count=4,seconds=60")?;
    let batch = Inside::start("batch", "hogs:count=2,seconds=60")?;
    // On its share the low class takes long to start. What counts is a time in which both run.
    let started = Instant::now();
    while urgent.cpu_s()? < STARTED_S || batch.cpu_s()? < STARTED_S {
        if started.elapsed() > Duration::from_secs(30) {
            return Err("the loads did not start within 30 s".into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    let (high, low) = (urgent.cpu_s()?, batch.cpu_s()?);
    thread::sleep(Duration::from_secs(6));
    let (high, low) = (urgent.cpu_s()? - high, batch.cpu_s()? - low);
    drop((urgent, batch));
    let report = charge.stop()?;
    let share = low / (high + low) * 100.0;
    let text = format!(
        "the low class had {share:.1} % of {:.1} CPU-seconds; {} holds, {} rescues, {} unclassified",
        high + low,
        counter(&report, "holds"),
        counter(&report, "rescues"),
        report["process"]["unclassified"],
    );
    // Five per cent are due, and both run all the time; 2 of 6 hogs would have 33 without classes.
    check((2.5..10.0).contains(&share), text)
}

/// A run with classes gives the same decisions again.
pub fn replayed() -> Outcome {
    let path = "/tmp/classes.log";
    let charge = Charge::start("priority", 120, Some(path))?.wait_enabled()?;
    let batch = Inside::start("batch", "hogs:count=2,seconds=2")?;
    load("messaging:groups=1,loops=40+hogs:count=2", None)?;
    batch.finish()?;
    charge.stop()?;
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let _ = fs::remove_file(path);
    let report = replay::<baton_policies::Priority>(&bytes).map_err(|error| error.to_string())?;
    let text = format!(
        "{} events, {} decisions in {} batches, {:?}",
        report.events, report.decisions, report.batches, report.ending
    );
    let whole = report.is_equal() && matches!(report.ending, Ending::Complete);
    check(whole && report.decisions > 100, text)
}

/// One CPU counts as large, one as small: everything gets done.
pub fn sizes() -> Outcome {
    let charge = Charge::take("hybrid", 120)?;
    let metrics = load(GAME, None)?;
    load("messaging:groups=2,loops=40+hogs:count=4", None)?;
    let report = charge.stop()?;
    let text = format!(
        "p99 of a frame {:.1} ms, {} missed; {} decisions, {} preemptions, {} rescues, {} invalid",
        metric(&metrics, "frames.frame_p99_ms"),
        metric(&metrics, "frames.missed"),
        counter(&report, "decisions"),
        counter(&report, "preemptions"),
        counter(&report, "rescues"),
        counter(&report, "invalid"),
    );
    let decided = counter(&report, "decisions") > 100 && counter(&report, "fast_idle") == 0;
    check(decided && metric(&metrics, "frames.missed") < 150.0, text)
}

/// A load in a process of its own, in a cgroup of its own.
struct Inside {
    child: Option<Child>,
    cgroup: String,
}

impl Inside {
    fn start(cgroup: &str, text: &str) -> Result<Self, String> {
        let cgroup = format!("{CGROUPS}/{cgroup}");
        fs::create_dir_all(&cgroup).map_err(|error| format!("{cgroup}: {error}"))?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let child = Command::new(own)
            .args(["load", &cgroup, text])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start: {error}"))?;
        Ok(Self {
            child: Some(child),
            cgroup,
        })
    }

    /// The CPU time that its tasks had, in seconds.
    fn cpu_s(&self) -> Result<f64, String> {
        let path = format!("{}/cpu.stat", self.cgroup);
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let usage_us = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
            .and_then(|number| number.parse::<f64>().ok());
        usage_us
            .map(|us| us / 1e6)
            .ok_or_else(|| format!("{path}: no usage_usec"))
    }

    /// What the hogs did.
    fn finish(mut self) -> Result<f64, String> {
        let child = self.child.take().expect("only this takes it");
        let output = child.wait_with_output();
        let output = output.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let work: Option<f64> = text.trim().parse().ok();
        work.ok_or_else(|| format!("{}: {text}", self.cgroup))
    }
}

/// Ends a load before its time.
impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The kernel takes a moment to see that it is empty; left behind it does no harm.
        let _ = fs::remove_dir(&self.cgroup);
    }
}

/// The process of [`Inside`]: enters the cgroup, runs the load, prints the hogs' work.
pub fn load_inside(cgroup: &str, text: &str) {
    let file = Path::new(cgroup).join("cgroup.procs");
    fs::write(file, std::process::id().to_string()).expect("the cgroup takes it");
    match load(text, None) {
        Ok(metrics) => println!("{}", Value::from(metric(&metrics, "hogs.work_per_s"))),
        Err(problem) => println!("{problem}"),
    }
}

//! The suite of `baton-conformance`, on a real kernel.
#![allow(unsafe_code)]

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use baton_conformance::{Beat, CASES, Case, Fault};

use crate::{
    charge::Charge,
    guest::{Outcome, check},
};

/// Begins the name under which a policy of the suite is run.
pub const PREFIX: &str = "conform:";

/// How often a case is played at most that only time speaks against.
const TRIES: u32 = 3;

/// Where one in 20 of the wakeups of a real-time thread is later than this, the machine itself stands
/// still, and nothing can be said of what hangs on time.
const STILL: Duration = Duration::from_millis(1);

/// Every case, one after the other; in brackets how late the machine was.
pub fn conforms() -> Outcome {
    let mut lines = Vec::new();
    let mut conforms = true;
    let mut unjudged = 0;
    for case in CASES {
        let mut tries = 0;
        loop {
            tries += 1;
            let probe = Probe::start();
            let judged = play(case);
            let late = probe.stop();
            let (word, text) = match judged {
                Ok(text) => ("", text),
                Err(Fault::Late(text)) if tries < TRIES => {
                    lines.push(format!("once more: {}: {text}", case.name));
                    continue;
                }
                Err(Fault::Late(text)) if late > STILL => {
                    unjudged += 1;
                    ("not judged: ", text)
                }
                Err(fault) => {
                    conforms = false;
                    ("NOT: ", fault.to_string())
                }
            };
            let late_ms = late.as_secs_f64() * 1e3;
            lines.push(format!("{word}{}: {text} ({late_ms:.1} ms)", case.name));
            break;
        }
    }
    check(conforms && unjudged * 2 <= CASES.len(), lines.join("\n  "))
}

fn play(case: &Case) -> Result<String, Fault> {
    let log = record(case).map_err(Fault::Wrong)?;
    case.check(&log, false)
}

/// Plays a case; the log that its policy leaves.
fn record(case: &Case) -> Result<Vec<u8>, String> {
    let path = "/tmp/conform.log";
    let policy = format!("{PREFIX}{}", case.policy);
    let charge = Charge::start(&policy, 60, Some(path))?.wait_enabled()?;
    let stop = Arc::new(AtomicBool::new(false));
    let players: Result<Vec<_>, _> = case
        .beats
        .iter()
        .flat_map(|beat| (0..beat.count).map(move |_| *beat))
        .map(|beat| perform(beat, Arc::clone(&stop)))
        .collect();
    thread::sleep(Duration::from_secs(case.seconds) / 2);
    let charge = match case.successor {
        None => charge,
        Some(successor) => take_over(charge, successor, path)?,
    };
    thread::sleep(Duration::from_secs(case.seconds) / 2);
    stop.store(true, Ordering::Relaxed);
    for player in players? {
        player.join().map_err(|_| "a player panicked")?;
    }
    charge.stop()?;
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let _ = fs::remove_file(path);
    Ok(bytes)
}

/// A thread above all that the suite plays, which looks how late it wakes.
struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Probe {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let look = move || {
            const NAP: Duration = Duration::from_millis(2);
            let mut late = Vec::new();
            become_urgent();
            while !until.load(Ordering::Relaxed) {
                let begin = Instant::now();
                thread::sleep(NAP);
                late.push(begin.elapsed().saturating_sub(NAP));
            }
            late
        };
        let thread = thread::spawn(look);
        Self { stop, thread }
    }

    /// One in 20 wakeups was later than this.
    fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut late = self.thread.join().unwrap_or_default();
        late.sort_unstable();
        late.get(late.len() * 19 / 20).copied().unwrap_or_default()
    }
}

/// Puts the calling thread above the policy's.
fn become_urgent() {
    let param = libc::sched_param { sched_priority: 90 };
    // SAFETY: the structure is valid, and 0 is the calling thread.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) };
    assert_eq!(done, 0, "the guest's tests run as root");
}

/// Another process takes over, and writes its log in the place of the first one's.
fn take_over(first: Charge, successor: &str, path: &str) -> Result<Charge, String> {
    let policy = format!("switch:{PREFIX}{successor}");
    let own = format!("{path}.successor");
    let next = Charge::start(&policy, 60, Some(&own))?;
    let (report, code) = first.finish()?;
    if code != Some(0) || report["exit"]["kind"] != "switched" {
        return Err(format!("nobody took over: {code:?}, {}", report["exit"]));
    }
    fs::rename(&own, path).map_err(|error| format!("{own}: {error}"))?;
    Ok(next)
}

/// A thread that computes and sleeps.
fn perform(beat: Beat, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>, String> {
    let life = move || {
        if let Some(cpu) = beat.cpu {
            bind(cpu);
        }
        let begin = Duration::from_nanos(cpu_time_ns());
        let mut until = begin;
        while !stop.load(Ordering::Relaxed) {
            until = until.saturating_add(Duration::from_nanos(beat.burst_ns));
            while cpu_time_ns() < until.as_nanos().min(u128::from(u64::MAX)) as u64 {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                std::hint::spin_loop();
            }
            thread::sleep(Duration::from_nanos(beat.sleep_ns));
        }
    };
    thread::Builder::new()
        .name(beat.name.to_owned())
        .spawn(life)
        .map_err(|error| format!("cannot start {}: {error}", beat.name))
}

/// CPU time of the calling thread.
fn cpu_time_ns() -> u64 {
    // SAFETY: the structure is filled by the call, which cannot fail.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Binds the calling thread to one CPU.
fn bind(cpu: u32) {
    // SAFETY: the set is a valid value and has the size told.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut one);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&one), &one), 0);
    }
}

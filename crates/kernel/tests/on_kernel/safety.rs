//! That a policy is nobody's jailer: stopped, killed, silent, wrong, or in the middle of chaos.

use std::{
    fs,
    sync::{OnceLock, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use baton_policy::Options;
use baton_workload::chaos::{ChaosOptions, ChaosReport, chaos};

use crate::{
    charge::{Charge, state},
    guest::{LOAD, Outcome, check, counter, load, metric, ms},
};

/// Stopped in the debugger, the process is nobody's jailer.
pub fn stopped(policy: &str, seconds: u64) -> Outcome {
    let charge = Charge::start(policy, 240, Some("/tmp/stopped.log"))?.wait_enabled()?;
    let mut waits = Vec::new();
    thread::scope(|scope| -> Result<(), String> {
        let load = scope.spawn(|| {
            load(
                "messaging:groups=4,loops=1500+hogs:count=4",
                Some(seconds + 4),
            )
        });
        thread::sleep(Duration::from_secs(2));
        charge.signal("-STOP");
        for _ in 0..seconds * 2 {
            thread::sleep(Duration::from_millis(500));
            if state() != "enabled" {
                return Err(format!("ejected while stopped: {}", state()));
            }
        }
        charge.signal("-CONT");
        waits = load.join().map_err(|_| "the load panicked")??;
        Ok(())
    })?;
    let before = fs::metadata("/tmp/stopped.log").map_or(0, |file| file.len());
    load("pipe:rounds=200+hogs:count=4", None)?;
    thread::sleep(Duration::from_millis(100));
    let grown = fs::metadata("/tmp/stopped.log").map_or(0, |file| file.len()) - before;
    let report = charge.stop()?;
    let _ = fs::remove_file("/tmp/stopped.log");
    // 4 groups of 40 threads, 4 hogs, and a handful of others.
    let runnable = 4.0 * 40.0 + 4.0 + 8.0;
    let options = Options::default();
    let slice_ms = options.rescue_slice_ns as f64 / 1e6;
    let cpus = thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    let bound_ms = options.rescue_after_ns as f64 / 1e6 + runnable / cpus * slice_ms + 50.0;
    let longest_ms = ms(&report, "silent_wait_max_ns");
    let gap_ms = metric(&waits, "hogs.max_gap_ms");
    let pid = &report["stats"]["wait_max_pid"];
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let text = format!(
        "longest wait {longest_ms:.1} ms, bound {bound_ms:.1} ms; at any time {:.1} ms (pid {pid} \
         {}); longest gap of a hog {gap_ms:.1} ms; {} bypassed, {} rescued; the log grew by {grown} bytes afterwards",
        ms(&report, "wait_max_ns"),
        name.trim(),
        counter(&report, "bypassed"),
        counter(&report, "rescues"),
    );
    let resumed = grown > 0 && counter(&report, "bypassed") > 0;
    check(resumed && longest_ms <= bound_ms, text)
}

/// First come, first served, with more tasks than CPUs: nobody waits much longer than all others
/// take. On 6.16 a task waited for seconds in the local queue of a CPU that idled.
pub fn crowded() -> Outcome {
    let charge = Charge::take("fifo", 120)?;
    load("messaging:groups=4,loops=400+hogs:count=4", None)?;
    let report = charge.stop()?;
    let longest_ms = ms(&report, "wait_max_ns");
    let text = format!(
        "longest wait {longest_ms:.1} ms (pid {}); {} to idle CPUs, {} starved",
        report["stats"]["wait_max_pid"],
        counter(&report, "to_idle"),
        counter(&report, "starved"),
    );
    check(longest_ms < 1000.0, text)
}

/// The process dies: the kernel's own scheduler is back at once.
pub fn killed() -> Outcome {
    let charge = Charge::take("edf", 120)?;
    thread::scope(|scope| {
        let load = scope.spawn(|| load(LOAD, None));
        thread::sleep(Duration::from_secs(1));
        charge.signal("-KILL");
        let began = Instant::now();
        while state() != "disabled" && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(5));
        }
        let back_ms = began.elapsed().as_millis();
        load.join().map_err(|_| "the load panicked")??;
        check(back_ms < 1000, format!("EEVDF back after {back_ms} ms"))
    })
}

/// A policy that never answers: rescue schedules the machine.
pub fn mute() -> Outcome {
    let charge = Charge::take("mute", 120)?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    let rescues = counter(&report, "rescues");
    let text = format!(
        "{rescues} rescues, longest wait {:.1} ms",
        ms(&report, "wait_max_ns")
    );
    let longest_ms = ms(&report, "wait_max_ns");
    check(
        rescues > 10 && counter(&report, "decisions") == 0 && longest_ms < 1000.0,
        text,
    )
}

/// A policy that fails ends by itself, soon and in words, and the load goes on.
pub fn ends(policy: &str, exit_code: i32) -> Outcome {
    let charge = Charge::take(policy, 120)?;
    let began = Instant::now();
    let load = thread::spawn(|| load(LOAD, None));
    let (report, code) = charge.finish()?;
    let after_s = began.elapsed().as_secs_f64();
    load.join().map_err(|_| "the load panicked")??;
    let text = format!(
        "ended with {code:?} after {after_s:.1} s; {}",
        report["error"]
    );
    check(code == Some(exit_code) && after_s < 15.0, text)
}

/// A policy that answers nonsense is counted, not obeyed, and never ejected for it.
pub fn lies() -> Outcome {
    let charge = Charge::take("lies", 120)?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    let counts = ["decisions", "stale", "gone", "invalid", "rescues"];
    let text: Vec<_> = counts
        .map(|name| format!("{name} {}", counter(&report, name)))
        .to_vec();
    let told = counts.iter().all(|name| counter(&report, name) > 0);
    check(
        told,
        format!(
            "{}, longest wait {:.1} ms",
            text.join(", "),
            ms(&report, "wait_max_ns")
        ),
    )
}

/// A policy that keeps tasks in hand, and forgets some: their leases end.
pub fn holds() -> Outcome {
    let charge = Charge::take("holds", 120)?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    let (holds, rescues) = (counter(&report, "holds"), counter(&report, "rescues"));
    let text = format!(
        "{holds} leases, {} decisions, {rescues} rescues",
        counter(&report, "decisions")
    );
    check(
        holds > 100 && rescues > 0 && counter(&report, "decisions") > 100,
        text,
    )
}

/// A policy whose order starves somebody: `starve_after` bounds it.
pub fn starves() -> Outcome {
    let charge = Charge::take("lifo", 120)?;
    let metrics = load("hogs:count=8,seconds=6", None)?;
    let report = charge.stop()?;
    let gap_ms = metric(&metrics, "hogs.max_gap_ms");
    let text = format!(
        "{} starved, longest gap {gap_ms:.1} ms",
        counter(&report, "starved")
    );
    check(counter(&report, "starved") > 0 && gap_ms < 2500.0, text)
}

pub fn ends_on_signals() -> Outcome {
    for signal in ["-INT", "-TERM"] {
        let charge = Charge::take("fifo", 120)?;
        charge.signal(signal);
        let (report, code) = charge.finish()?;
        if code != Some(0) || report["exit"]["kind"] != "signal" || state() != "disabled" {
            return Err(format!(
                "{signal}: {code:?}, {}, {}",
                report["exit"],
                state()
            ));
        }
    }
    Ok("SIGINT and SIGTERM end it in order".to_string())
}

/// Everything changes all the time, and nobody waits much longer than under EEVDF.
pub fn chaotic(policy: &str, seconds: u64, hotplug: bool) -> Outcome {
    static STOP: AtomicBool = AtomicBool::new(false);
    let seed = std::env::var("BATON_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(7);
    let disturb = |seconds| {
        let duration = Duration::from_secs(seconds);
        let options = ChaosOptions {
            seed,
            duration,
            hotplug,
            stop: &STOP,
            ..ChaosOptions::default()
        };
        chaos(&options).map_err(|error| error.to_string())
    };
    // Once in a VM, with hotplug and without: what it is compared with does not change.
    static REFERENCES: [OnceLock<Result<ChaosReport, String>>; 2] = [const { OnceLock::new() }; 2];
    let eevdf = REFERENCES[usize::from(hotplug)].get_or_init(|| disturb(seconds.min(20)));
    let eevdf = eevdf.as_ref().map_err(Clone::clone)?;
    let charge = Charge::take(policy, seconds + 120)?;
    let ours = disturb(seconds)?;
    let report = charge.stop()?;
    let done: Vec<_> = ours
        .disturbances
        .iter()
        .map(|kind| format!("{} {}", kind.name, kind.done))
        .collect();
    let text = format!(
        "seed {seed}; longest gap {:.0} ms, under EEVDF {:.0} ms; latest wakeup {:.0} ms, under \
         EEVDF {:.0} ms; {}; {} lost, {} rescues, {} starved",
        ours.max_gap_ms,
        eevdf.max_gap_ms,
        ours.max_wakeup_late_ms,
        eevdf.max_wakeup_late_ms,
        done.join(", "),
        counter(&report, "lost"),
        counter(&report, "rescues"),
        counter(&report, "starved"),
    );
    let wanted = |name: &str| hotplug || !name.starts_with("cpu_");
    let disturbed = ours
        .disturbances
        .iter()
        .all(|kind| kind.done > 0 || !wanted(&kind.name));
    let bounded = ours.max_gap_ms <= eevdf.max_gap_ms + 1000.0
        && ours.max_wakeup_late_ms <= eevdf.max_wakeup_late_ms + 1000.0;
    check(disturbed && bounded, text)
}

//! The scenarios, inside the VM.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use baton_policy::{
    Options,
    log::{Ending, replay},
};
use baton_workload::{
    RunOptions, Workload,
    chaos::{ChaosOptions, chaos},
};
use serde_json::{Value, json};

use crate::{
    charge::{Charge, state},
    weights,
};

pub type Outcome = Result<String, String>;

/// Every scenario.
pub const ALL: &[&str] = &[
    "schedules",
    "hints",
    "switches",
    "spins",
    "floods",
    "stopped_for_20_s",
    "killed",
    "mute",
    "loops",
    "sleeps",
    "panics",
    "lies",
    "holds",
    "starves",
    "weights",
    "replays",
    "ends_on_signals",
    "hotplug",
    "chaos_60_s",
    "chaos_hinting",
];
/// What shows that a kernel is supported.
pub const SOME: &[&str] = &[
    "schedules",
    "stopped_for_5_s",
    "killed",
    "lies",
    "replays",
    "chaos_10_s",
];
/// What shows that the relay works at all.
pub const FEW: &[&str] = &["schedules", "stopped_for_5_s"];

/// Runs scenarios by name and prints a line of JSON for each.
pub fn run(names: &[&str]) {
    for name in names {
        let began = Instant::now();
        let outcome = scenario(name).and_then(|text| match state().as_str() {
            "disabled" => Ok(text),
            state => Err(format!("a scheduler was left behind: {state}")),
        });
        let (ok, text) = match outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        let s = began.elapsed().as_secs_f64();
        println!(
            "{}",
            json!({ "name": name, "ok": ok, "text": text, "s": s })
        );
    }
}

fn scenario(name: &str) -> Outcome {
    match name {
        "schedules" => schedules(),
        "hints" => hints(),
        "switches" => switches(),
        "spins" => spins(),
        "floods" => floods(),
        "stopped_for_20_s" => stopped(20),
        "stopped_for_5_s" => stopped(5),
        "killed" => killed(),
        "mute" => mute(),
        "loops" => ends("loops", 70),
        "sleeps" => ends("sleeps", 71),
        "panics" => ends("panics", 101),
        "lies" => lies(),
        "holds" => holds(),
        "starves" => starves(),
        "weights" => weights::weights(),
        "replays" => replays(),
        "ends_on_signals" => ends_on_signals(),
        "hotplug" => hotplug(),
        "chaos_60_s" => chaotic("edf", 60, true),
        // Under emulation 6.18 hangs in a storm of hotplug now and then, with the kernel's
        // own scheduler too: one CPU spins in the kernel, the other never runs again.
        "chaos_10_s" => chaotic("edf", 10, false),
        "chaos_hinting" => chaotic("edf-hinting", 20, true),
        "names_the_defect" => names_the_defect(),
        _ => Err(format!("no scenario {name}")),
    }
}

pub fn counter(report: &Value, name: &str) -> u64 {
    report["stats"]["counters"][name].as_u64().unwrap_or(0)
}

fn ms(report: &Value, name: &str) -> f64 {
    report["stats"][name].as_f64().unwrap_or(f64::NAN) / 1e6
}

/// Runs a workload; its metrics by `part.name`.
fn load(text: &str, seconds: Option<u64>) -> Result<Vec<(String, f64)>, String> {
    static STOP: AtomicBool = AtomicBool::new(false);
    let workload: Workload = text.parse().map_err(|error| format!("{error}"))?;
    let options = RunOptions {
        stop: &STOP,
        duration: seconds.map(Duration::from_secs),
        ..RunOptions::default()
    };
    let report = baton_workload::run(&workload, &options).map_err(|error| error.to_string())?;
    if !report.complete {
        return Err(format!("{text} did not complete: {:?}", report.notes));
    }
    let metrics = report.metrics.iter();
    Ok(metrics
        .map(|metric| (format!("{}.{}", metric.part, metric.name), metric.value))
        .collect())
}

fn metric(metrics: &[(String, f64)], name: &str) -> f64 {
    metrics
        .iter()
        .find(|(key, _)| key == name)
        .map_or(f64::NAN, |(_, value)| *value)
}

fn check(ok: bool, text: String) -> Outcome {
    if ok { Ok(text) } else { Err(text) }
}

/// Takes CPU 1 offline and online.
const CPU_1: &str = "/sys/devices/system/cpu/cpu1/online";
const LOAD: &str = "messaging:groups=2,loops=40+hogs:count=4";

/// A policy does its work: it decides, everything gets done, nothing is wrong.
fn schedules() -> Outcome {
    let charge = Charge::take("edf", 120)?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    let process = &report["process"];
    let text = format!(
        "{} decisions, {} stale, {} rescues, page faults {} minor {} major",
        counter(&report, "decisions"),
        counter(&report, "stale"),
        counter(&report, "rescues"),
        process["faults_minor"],
        process["faults_major"]
    );
    let clean = counter(&report, "decisions") > 100
        && counter(&report, "invalid") == 0
        && counter(&report, "lost") == 0
        && process["faults_major"] == 0
        && process["faults_minor"] == 0;
    check(clean, text)
}

/// A policy that hints is on nobody's way: the load goes on while it is stopped.
fn hints() -> Outcome {
    let charge = Charge::take("edf-hinting", 120)?;
    load(LOAD, None)?;
    charge.signal("-STOP");
    load(LOAD, None)?;
    charge.signal("-CONT");
    load(LOAD, None)?;
    let report = charge.stop()?;
    let text = format!(
        "{} placed by hints, {} hints, {} held, woken {} times, longest wait {:.1} ms",
        counter(&report, "hinted"),
        counter(&report, "hints"),
        counter(&report, "held"),
        counter(&report, "process_wakeups"),
        ms(&report, "wait_max_ns")
    );
    let hinted = counter(&report, "hinted") > 100 && counter(&report, "hints") > 10;
    let unheld = counter(&report, "held") == 0 && counter(&report, "process_wakeups") == 0;
    check(
        hinted && unheld && ms(&report, "wait_max_ns") < 1500.0,
        text,
    )
}

/// One policy takes over from another again and again, under load: the kernel never gets
/// the machine back, and nobody is forgotten.
fn switches() -> Outcome {
    let times = std::env::var("BATON_TEST_SWITCHES").ok();
    let times: u32 = times.and_then(|times| times.parse().ok()).unwrap_or(20);
    let done = AtomicBool::new(false);
    let mut charge = Charge::take("edf", 600)?;
    let (mut gaps_ms, mut held) = (Vec::new(), 0);
    let rounds = thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<u32, String> {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                load(LOAD, None)?;
                rounds += 1;
            }
            Ok(rounds)
        });
        let switched = (0..times).try_for_each(|turn| -> Result<(), String> {
            let next = ["switch:fifo", "switch:edf-hinting", "switch:edf"][turn as usize % 3];
            let mut next = Charge::start(next, 600, None)?;
            let began = Instant::now();
            while charge.is_running() {
                let late = began.elapsed() > Duration::from_secs(60);
                if late || !next.is_running() {
                    next.signal("-KILL");
                    let said = next.output();
                    return Err(format!(
                        "turn {turn}: did not take over (late: {late}): {said}"
                    ));
                }
                thread::sleep(Duration::from_millis(10));
            }
            let (report, code) = std::mem::replace(&mut charge, next).finish()?;
            if code != Some(0) || report["exit"]["kind"] != "switched" || state() != "enabled" {
                return Err(format!("turn {turn}: {code:?}, {report}, {}", state()));
            }
            if let Some(gap_ns) = report["takeover"]["gap_ns"].as_f64() {
                gaps_ms.push(gap_ns / 1e6);
                held += report["takeover"]["held"].as_u64().unwrap_or(0);
            }
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        let rounds = load.join().map_err(|_| "the load panicked")??;
        switched.map(|()| rounds)
    })?;
    let report = charge.stop()?;
    gaps_ms.sort_by(f64::total_cmp);
    let longest_ms = ms(&report, "wait_max_ns");
    let text = format!(
        "{times} times during {rounds} rounds of load, {held} tasks held meanwhile; gap {:.1} ms in \
         the median, {:.1} ms at most; longest wait {longest_ms:.1} ms",
        gaps_ms.get(gaps_ms.len() / 2).copied().unwrap_or(f64::NAN),
        gaps_ms.last().copied().unwrap_or(f64::NAN),
    );
    check(rounds > 0 && longest_ms < 1500.0, text)
}

/// With a CPU of its own the process is never woken, and the tasks do with the others.
fn spins() -> Outcome {
    let charge = Charge::take("edf-spinning", 120)?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    let text = format!(
        "{} decisions, woken {} times, longest wait {:.1} ms",
        counter(&report, "decisions"),
        counter(&report, "process_wakeups"),
        ms(&report, "wait_max_ns")
    );
    let bounded = ms(&report, "wait_max_ns") < 2000.0;
    let decided = counter(&report, "decisions") > 100;
    check(
        decided && bounded && counter(&report, "process_wakeups") == 0,
        text,
    )
}

/// The ring fills while the process is stopped, and a CPU goes: afterwards the policy
/// knows what is.
fn floods() -> Outcome {
    let charge = Charge::start("counts", 240, None)?.wait_enabled()?;
    thread::scope(|scope| -> Result<(), String> {
        let load = scope.spawn(|| load(LOAD, None));
        charge.signal("-STOP");
        thread::sleep(Duration::from_secs(2));
        // Nobody hears of this.
        fs::write(CPU_1, "0").map_err(|error| format!("{CPU_1}: {error}"))?;
        charge.signal("-CONT");
        load.join().map_err(|_| "the load panicked")??;
        Ok(())
    })?;
    load(LOAD, None)?;
    let report = charge.stop()?;
    fs::write(CPU_1, "1").map_err(|error| format!("{CPU_1}: {error}"))?;
    let text = format!(
        "{} events lost, {} placed without the process, {} decisions; the policy heard of {} CPUs \
         going",
        counter(&report, "lost"),
        counter(&report, "bypassed"),
        counter(&report, "decisions"),
        report["heard"],
    );
    let decided = counter(&report, "decisions") > 100;
    check(
        counter(&report, "lost") > 0 && decided && report["heard"] == 1,
        text,
    )
}

/// Stopped in the debugger, the process is nobody's jailer.
fn stopped(seconds: u64) -> Outcome {
    let charge = Charge::start("edf", 240, Some("/tmp/stopped.log"))?.wait_enabled()?;
    let mut waits = None;
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
        waits = load.join().map_err(|_| "the load panicked")?.ok();
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
    let gap_ms = waits
        .as_deref()
        .map_or(f64::NAN, |metrics| metric(metrics, "hogs.max_gap_ms"));
    let text = format!(
        "longest wait {longest_ms:.1} ms, bound {bound_ms:.1} ms; longest gap of a hog \
         {gap_ms:.1} ms; {} bypassed, {} rescued; the log grew by {grown} bytes afterwards",
        counter(&report, "bypassed"),
        counter(&report, "rescues"),
    );
    let resumed = grown > 0 && counter(&report, "bypassed") > 0;
    check(resumed && longest_ms <= bound_ms, text)
}

/// The process dies: the kernel's own scheduler is back at once.
fn killed() -> Outcome {
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
fn mute() -> Outcome {
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
fn ends(policy: &str, exit_code: i32) -> Outcome {
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
fn lies() -> Outcome {
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
fn holds() -> Outcome {
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
fn starves() -> Outcome {
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

/// The log of a run gives the same decisions again.
fn replays() -> Outcome {
    let path = "/tmp/replays.log";
    let charge = Charge::start("edf", 120, Some(path))?.wait_enabled()?;
    load(LOAD, None)?;
    charge.stop()?;
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let _ = fs::remove_file(path);
    let report = replay::<baton_policies::Edf>(&bytes).map_err(|error| error.to_string())?;
    let text = format!(
        "{} events, {} decisions in {} batches, {:?}",
        report.events, report.decisions, report.batches, report.ending
    );
    check(
        report.decisions > 100 && matches!(report.ending, Ending::Complete),
        text,
    )
}

fn ends_on_signals() -> Outcome {
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
fn chaotic(policy: &str, seconds: u64, hotplug: bool) -> Outcome {
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
    let eevdf = disturb(seconds.min(20))?;
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

/// CPUs go and come back under load, and the scheduler stays.
fn hotplug() -> Outcome {
    let charge = Charge::take("edf", 120)?;
    let mut slowest_ms = 0;
    thread::scope(|scope| -> Result<(), String> {
        let load = scope.spawn(|| load("hogs:count=4,seconds=8", None));
        for value in ["0", "1", "0", "1", "0", "1"] {
            thread::sleep(Duration::from_millis(700));
            let began = Instant::now();
            fs::write(CPU_1, value).map_err(|error| format!("{CPU_1}: {error}"))?;
            slowest_ms = slowest_ms.max(began.elapsed().as_millis());
            if state() != "enabled" {
                return Err(format!("detached: {}", state()));
            }
        }
        load.join().map_err(|_| "the load panicked")??;
        Ok(())
    })?;
    let report = charge.stop()?;
    let text = format!(
        "three times off and on, at most {slowest_ms} ms each; timers lost: {}",
        report["timers_lost"]
    );
    check(slowest_ms < 5000, text)
}

/// A kernel on which no queues can be made is told apart from a broken relay.
fn names_the_defect() -> Outcome {
    let charge = Charge::start("fifo", 5, None)?;
    let (report, code) = charge.finish()?;
    let error = report["error"].as_str().unwrap_or_default().to_string();
    check(
        code == Some(1) && error.contains("is defective") && error.contains("scx_bpf_"),
        error,
    )
}

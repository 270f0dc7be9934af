//! The scenarios, inside the VM.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use baton_policy::{
    Policy,
    log::{Ending, replay},
};
use baton_workload::{RunOptions, Workload};
use serde_json::{Value, json};

use crate::{
    charge::{Charge, PATIENCE, state},
    classes, conform, failover, hotplug, learned, only, performance, recorded, safety, weights,
};

pub type Outcome = Result<String, String>;

/// Every scenario but those of [`CHAOS`].
pub const ALL: &[&str] = &[
    "schedules",
    "hints",
    "switches",
    "failover",
    "spins",
    "floods",
    "stopped_for_20_s",
    "stopped_priority",
    "stopped_hybrid",
    "stopped_eevdf",
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
    "replays_eevdf",
    "ends_on_signals",
    "conforms",
    "hotplug",
    "hears",
    "classes",
    "classes_floor",
    "classes_replay",
    "sizes",
    "performance",
    "performance_unsaid",
    "learned",
    "learned_faulty",
    "learned_shadow",
    "learned_swaps",
    "only",
    "only_ends",
    "only_crowded",
    "records",
    "records_by_probes",
    "records_losses",
    "records_relay",
    "records_a_policy_that_comes",
    "records_hidden",
    "records_wakers",
    "records_interrupts",
    "records_a_cpu_that_comes",
];
/// In a VM of their own: storms of hotplug strain kernel and emulator, too.
pub const CHAOS: &[&str] = &[
    "chaos_60_s",
    "chaos_hinting",
    "chaos_priority",
    "chaos_hybrid",
    "chaos_eevdf",
    "chaos_learned",
];
/// What shows that a kernel is supported.
pub const SOME: &[&str] = &[
    "schedules",
    "crowded",
    "stopped_for_5_s",
    "killed",
    "lies",
    "replays",
    "chaos_10_s",
    "only",
    "only_starved",
    "records",
    "records_relay",
];
/// What shows that the relay works at all.
pub const FEW: &[&str] = &["schedules", "crowded", "stopped_for_5_s"];

/// The same on a kernel that describes kfuncs wrongly.
pub const DEFECTIVE: &[&str] = &["schedules", "stopped_for_5_s", "performance"];

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
        "crowded" => safety::crowded(),
        "hints" => hints(),
        "switches" => switches(),
        "failover" => failover::failover(),
        "spins" => spins(),
        "floods" => floods(),
        "stopped_for_20_s" => safety::stopped("edf", 20),
        "stopped_for_5_s" => safety::stopped("edf", 5),
        "stopped_priority" => safety::stopped("priority", 10),
        "stopped_hybrid" => safety::stopped("hybrid", 10),
        "stopped_eevdf" => safety::stopped("eevdf", 10),
        "classes" => classes::priorities(),
        "classes_floor" => classes::floor(),
        "classes_replay" => classes::replayed(),
        "sizes" => classes::sizes(),
        "performance" => performance::performance(),
        "performance_unsaid" => performance::unsaid(),
        "learned" => learned::infers(),
        "learned_faulty" => learned::faulty(),
        "learned_shadow" => learned::shadow(),
        "learned_swaps" => learned::swaps(),
        "only" => only::only(),
        "only_ends" => only::only_ends(),
        "only_crowded" => only::only_crowded(),
        "only_starved" => only::only_starved(),
        "records" => recorded::records(),
        "records_by_probes" => recorded::records_by_probes(),
        "records_losses" => recorded::records_losses(),
        "records_relay" => recorded::records_relay(),
        "records_a_policy_that_comes" => recorded::records_a_policy_that_comes(),
        "records_wakers" => recorded::records_wakers(),
        "records_hidden" => recorded::records_hidden(),
        "records_interrupts" => recorded::records_interrupts(),
        "records_a_cpu_that_comes" => recorded::records_a_cpu_that_comes(),
        "killed" => safety::killed(),
        "mute" => safety::mute(),
        "loops" => safety::ends("loops", 70),
        "sleeps" => safety::ends("sleeps", 71),
        "panics" => safety::ends("panics", 101),
        "lies" => safety::lies(),
        "holds" => safety::holds(),
        "starves" => safety::starves(),
        "weights" => weights::weights(),
        "replays" => replays::<baton_policies::Edf>("edf"),
        "replays_eevdf" => replays::<baton_policies::Eevdf>("eevdf"),
        "ends_on_signals" => safety::ends_on_signals(),
        "conforms" => conform::conforms(),
        "hotplug" => hotplug::hotplug(),
        "hears" => hotplug::hears(),
        "chaos_60_s" => safety::chaotic("edf", 60, true),
        // Under emulation 6.18 hangs in a storm of hotplug now and then, with the kernel's
        // own scheduler too: one CPU spins in the kernel, the other never runs again.
        "chaos_10_s" => safety::chaotic("edf", 10, false),
        "chaos_hinting" => safety::chaotic("edf-hinting", 20, true),
        "chaos_priority" => safety::chaotic("priority", 20, true),
        "chaos_eevdf" => safety::chaotic("eevdf", 20, true),
        "chaos_learned" => safety::chaotic("learned-model", 20, true),
        "chaos_hybrid" => safety::chaotic("hybrid", 20, true),
        "names_the_defect" => names_the_defect(),
        _ => Err(format!("no scenario {name}")),
    }
}

pub fn counter(report: &Value, name: &str) -> u64 {
    report["stats"]["counters"][name].as_u64().unwrap_or(0)
}

pub fn ms(report: &Value, name: &str) -> f64 {
    report["stats"][name].as_f64().unwrap_or(f64::NAN) / 1e6
}

/// Runs a workload; its metrics by `part.name`.
pub fn load(text: &str, seconds: Option<u64>) -> Result<Vec<(String, f64)>, String> {
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

pub fn metric(metrics: &[(String, f64)], name: &str) -> f64 {
    metrics
        .iter()
        .find(|(key, _)| key == name)
        .map_or(f64::NAN, |(_, value)| *value)
}

pub fn check(ok: bool, text: String) -> Outcome {
    if ok { Ok(text) } else { Err(text) }
}

/// Takes CPU 1 offline and online.
pub const CPU_1: &str = "/sys/devices/system/cpu/cpu1/online";
pub const LOAD: &str = "messaging:groups=2,loops=40+hogs:count=4";

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
    const NEXT: [&str; 6] = ["fifo", "edf-hinting", "priority", "eevdf", "hybrid", "edf"];
    let times = std::env::var("BATON_TEST_SWITCHES").ok();
    let times: u32 = times.and_then(|times| times.parse().ok()).unwrap_or(100);
    let done = AtomicBool::new(false);
    let mut charge = Charge::take("edf", 900)?;
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
            let next = NEXT[turn as usize % NEXT.len()];
            let mut next = Charge::start(&format!("switch:{next}"), 900, None)?;
            let began = Instant::now();
            while charge.is_running() {
                let late = began.elapsed() > PATIENCE;
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

/// The log of a run gives the same decisions again.
fn replays<P: Policy>(policy: &str) -> Outcome {
    let path = "/tmp/replays.log";
    let charge = Charge::start(policy, 120, Some(path))?.wait_enabled()?;
    load(LOAD, None)?;
    charge.stop()?;
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let _ = fs::remove_file(path);
    let report = replay::<P>(&bytes).map_err(|error| error.to_string())?;
    let text = format!(
        "{} events, {} decisions in {} batches, {:?}",
        report.events, report.decisions, report.batches, report.ending
    );
    check(
        report.decisions > 100 && matches!(report.ending, Ending::Complete),
        text,
    )
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

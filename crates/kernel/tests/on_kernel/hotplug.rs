//! CPUs that go and come back.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    charge::{Charge, state},
    failover::status,
    guest::{CPU_1, Outcome, check, counter, load},
    weights::Hog,
};

/// CPUs go and come back under load, and the scheduler stays.
pub fn hotplug() -> Outcome {
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

/// After a CPU went and came back the process is woken as before: what the CPU asked of the
/// kernel on its way out must not stop up what all ask later.
pub fn hears() -> Outcome {
    const CYCLES: u32 = 20;
    const WATCHED: Duration = Duration::from_millis(400);
    let charge = Charge::take("edf", 120)?;
    let hogs: Result<Vec<_>, _> = (0..3).map(|_| Hog::start(0)).collect();
    let hogs = hogs?;
    let mut fewest = u64::MAX;
    for _ in 0..CYCLES {
        for value in ["0", "1"] {
            fs::write(CPU_1, value).map_err(|error| format!("{CPU_1}: {error}"))?;
        }
        let before = counter(&status()?, "decisions");
        thread::sleep(WATCHED);
        fewest = fewest.min(counter(&status()?, "decisions") - before);
    }
    drop(hogs);
    charge.stop()?;
    let text =
        format!("{CYCLES} times off and on, then at least {fewest} decisions in {WATCHED:?}");
    check(fewest >= 10, text)
}

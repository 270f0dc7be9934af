//! A takeover that fails after the relay was passed on: the policy before goes on.

use std::{
    thread,
    time::{Duration, Instant},
};

use baton_kernel::{control::Request, takeover::Running};
use serde_json::Value;

use crate::{
    charge::{Charge, state},
    guest::{Outcome, check, counter},
    only::{PART, hog_in, is_of_part},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the running policy tells of itself.
pub fn status() -> Result<Value, String> {
    let answer = Running::connect().and_then(|mut running| running.ask(&Request::Status));
    answer.map_err(|error| error.to_string())
}

/// Waits until a counter of the relay's is beyond a value; what it is then.
fn await_counter(name: &str, beyond: u64) -> Result<u64, String> {
    let began = Instant::now();
    loop {
        // The policy schedules a moment before it can be asked.
        let now = status().map(|status| counter(&status, name));
        match now {
            Ok(now) if now > beyond => return Ok(now),
            now if began.elapsed() > PATIENCE => return Err(format!("{name} stays at {now:?}")),
            _ => {}
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The policy before decides again, under its own name.
fn goes_on(first: &mut Charge, policy: &str) -> Result<(), String> {
    let before = counter(&status()?, "decisions");
    await_counter("decisions", before + 100)?;
    let now = status()?;
    let is_first = now["policy"] == policy && now["pid"] == first.pid();
    match is_first && first.is_running() && state() == "enabled" {
        true => Ok(()),
        false => Err(format!(
            "{}, process {}; {}",
            now["policy"],
            now["pid"],
            state()
        )),
    }
}

/// What a round ends with whose takeover found nothing to decide: all that was held had been
/// rescued while the policy before paused. Then the one that dawdles begins at once, and it is it that
/// fails, alone.
const NOTHING_HELD: &str = "nothing was held when the other took over";
const ROUNDS_MAX: usize = 4;

/// One that does not begin gives up; one dies in the middle; then one takes over after all.
pub fn failover() -> Outcome {
    let mut waits = Vec::new();
    let mut again = 0;
    for policy in ["eevdf", "only:eevdf"] {
        let mut rounds = (0..ROUNDS_MAX).map(|_| round(policy));
        let outcome = rounds.find(|outcome| {
            let is_void = outcome
                .as_ref()
                .is_err_and(|problem| problem == NOTHING_HELD);
            again += u32::from(is_void);
            !is_void
        });
        waits.push(outcome.unwrap_or_else(|| Err(format!("{policy}: {NOTHING_HELD}")))?);
    }
    let text = format!(
        "longest waits {:.1} and {:.1} ms; {again} rounds in which {NOTHING_HELD}",
        waits[0], waits[1]
    );
    check(waits.iter().all(|wait_ms| *wait_ms < 1500.0), text)
}

/// The longest wait, in ms. A policy that queues for itself, and more hogs than CPUs: so that tasks
/// are in its hand when another takes over, which must decide about them before it has begun.
fn round(policy: &str) -> Result<f64, String> {
    let hogs: Result<Vec<_>, _> = (0..5).map(|_| hog_in(PART, 0)).collect();
    let hogs = hogs?;
    let is_part = policy.starts_with("only:");
    let mut first = Charge::take(policy, 240)?;
    await_counter("decisions", 50)?;

    let (said, code) = Charge::start("switch:dawdles", 60, None)?.finish()?;
    let error = said["error"].as_str().unwrap_or_default();
    if matches!(code, Some(0 | 71)) && !first.is_running() {
        return Err(NOTHING_HELD.into());
    }
    if code != Some(1) || !error.contains("did not begin") {
        return Err(format!("{policy}: dawdling ended with {code:?}: {said}"));
    }
    goes_on(&mut first, "eevdf").map_err(|problem| format!("{policy}, gave up: {problem}"))?;

    let told = counter(&status()?, "taken_over");
    let second = Charge::start("switch:dawdles", 60, None)?;
    if let Err(problem) = await_counter("taken_over", told) {
        let (said, code) = second.finish()?;
        return Err(match matches!(code, Some(0 | 71)) && !first.is_running() {
            true => NOTHING_HELD.into(),
            false => format!("{policy}: {problem}; {code:?}: {said}; {}", state()),
        });
    }
    second.signal("-KILL");
    drop(second.finish()?);
    goes_on(&mut first, "eevdf").map_err(|problem| format!("{policy}, killed: {problem}"))?;
    if is_part && !hogs.iter().all(|hog| is_of_part(hog.pid())) {
        return Err("the part was given back too early".into());
    }
    let report = first.stop()?;
    if hogs.iter().any(|hog| is_of_part(hog.pid())) {
        return Err("the part was not given back".into());
    }
    Ok(report["stats"]["wait_max_ns"].as_f64().unwrap_or(f64::NAN) / 1e6)
}

//! CPU performance targets: that the kernel records what the policy wants for a task, on
//! whatever CPU it runs.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use baton_kernel::{control::Request, takeover::Running};
use baton_policy::{Context, Decision, Enqueue, MS, Mode, Options, Policy, Setup, TaskId};

use crate::{
    charge::Charge,
    guest::{Outcome, check, counter},
    only::{PART, hog_in, switch_over},
    weights::Hog,
};

const SLOW: u16 = 300;
const FAST: u16 = 900;
const PATIENCE: Duration = Duration::from_secs(10);

/// Light tasks run slowly, heavy ones fast; the others as the kernel likes.
pub struct Tempo {
    mode: Mode,
    says_so: bool,
}

impl Policy for Tempo {
    const NAME: &'static str = "tempo";
    const SUMMARY: &'static str = "sets performance by weight";
    type Task = ();

    fn new(setup: &Setup<'_>) -> Self {
        Self {
            mode: setup.mode,
            says_so: setup.param("says_so", true),
        }
    }

    fn options(&self) -> Options {
        Options {
            mode: self.mode,
            performance: self.says_so,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let (now, weight) = (cx.now_ns(), cx.task(task).info.weight);
        let decision: &mut Decision = cx.ready(task, now).slice_ns(5 * MS);
        if weight < 100 {
            decision.performance(SLOW);
        } else if weight > 100 {
            decision.performance(FAST);
        }
    }
}

/// Each CPU's target, as the kernel has it.
fn targets() -> Result<BTreeMap<String, u64>, String> {
    let answer = Running::connect().and_then(|mut running| running.ask(&Request::Status));
    let answer = answer.map_err(|error| error.to_string())?;
    let targets = answer["performance"].as_object().cloned();
    let targets = targets.unwrap_or_default().into_iter();
    Ok(targets
        .filter_map(|(cpu, target)| Some((cpu, target.as_u64()?)))
        .collect())
}

/// Waits until the CPUs 0 and 1 have these targets. Who looks must not be the policy's, or the
/// CPUs would have its target at that moment: so the policy has a part of the machine.
fn await_targets(what: &str, wanted: [u16; 2]) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let found = targets()?;
        let is = |cpu: &str, target| found.get(cpu) == Some(&u64::from(target));
        if is("0", wanted[0]) && is("1", wanted[1]) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{what}: {found:?} instead of {wanted:?}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Two kinds of tasks have two targets, on whichever CPU they are; a task without one has the
/// kernel's, and another policy starts with that.
pub fn performance() -> Outcome {
    let mut sets = Vec::new();
    for policy in ["only:tempo", "only:tempo-hinting"] {
        // The cgroup is to be there.
        let first = hog_in(PART, 0)?;
        let charge = Charge::take(policy, 240)?;
        drop(first);
        let [light, heavy] = [hog_in(PART, 5)?.pinned(0)?, hog_in(PART, -5)?.pinned(1)?];
        await_targets(policy, [SLOW, FAST])?;
        let [light, heavy] = [light.pinned(1)?, heavy.pinned(0)?];
        await_targets("the other way round", [FAST, SLOW])?;
        drop((light, heavy));
        let _plain = [hog_in(PART, 0)?.pinned(0)?, hog_in(PART, 0)?.pinned(1)?];
        await_targets("without targets", [1024, 1024])?;
        let _light = hog_in(PART, 5)?.pinned(1)?;
        await_targets("once more", [1024, SLOW])?;
        let (report, next) = switch_over(charge)?;
        let left = targets()?;
        next.stop()?;
        if left.values().any(|target| *target != 1024) {
            return Err(format!("another policy found {left:?}"));
        }
        sets.push(counter(&report, "perf_set"));
    }
    let text = format!("targets were set {} and {} times", sets[0], sets[1]);
    check(sets.iter().all(|count| *count >= 6), text)
}

/// A policy that does not say that it sets targets sets none.
pub fn unsaid() -> Outcome {
    let charge = Charge::take("tempo-unsaid", 60)?;
    let _hogs = [Hog::start(5)?, Hog::start(-5)?, Hog::start(5)?];
    thread::sleep(Duration::from_secs(2));
    let found = targets()?;
    let report = charge.stop()?;
    let (set, ignored) = (
        counter(&report, "perf_set"),
        counter(&report, "perf_ignored"),
    );
    let decisions = counter(&report, "decisions");
    let text = format!("{decisions} decisions, {set} set, {ignored} ignored, {found:?}");
    check(
        decisions > 20 && set + ignored == 0 && found.is_empty(),
        text,
    )
}

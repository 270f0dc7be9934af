//! What holds of every policy, with nothing failing around it.

use baton_policy::{MS, Machine, Policy, Setup, log};
use baton_sim::Config;

use crate::{
    first_of_each,
    protocol::Finding,
    scale,
    scenarios::{self, MACHINE, config},
    watched,
};

/// Runs with sleepers, computers, forks and pipes.
const RUNS: &[(&str, &str)] = &[
    ("2-cpu", "frames:seconds=1+hogs:count=3"),
    (
        "4-cpu-smt",
        "build:units=20,unit_ms=10,jobs=5+pipe:rounds=500",
    ),
    (
        "laptop-hybrid",
        "messaging:groups=1,fan=4,loops=10+hogs:count=2",
    ),
];

pub(crate) fn check<P: Policy>() -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(finding) = makes::<P>() {
        return vec![finding];
    }
    for (machine, workload) in RUNS {
        let config = Config {
            logged: true,
            ..config(machine, workload, 600 * MS)
        };
        match repeats::<P>(&config, machine) {
            Ok(found) => findings.extend(found),
            Err(finding) => findings.push(finding),
        }
    }
    findings.extend(scenarios::check::<P>());
    // What panics or starves need not be measured.
    if findings.is_empty() {
        findings.extend(scale::check::<P>().unwrap_or_else(Some));
    }
    first_of_each(findings)
}

/// It is made for machines of any size.
fn makes<P: Policy>() -> Result<(), Finding> {
    for cpus in [1, 2, 64, 1024] {
        let machine = Machine::uniform(MACHINE, cpus);
        watched::caught(|| baton_policy::Driver::<P>::new(&Setup::new(&machine, 1)).map(drop))?
            .map_err(|error| {
                let help = "A policy must run without parameters.";
                Finding::new("refused", error.to_string(), help)
            })?;
    }
    Ok(())
}

/// The same events give the same decisions, in another run, in a replay, and under other names.
fn repeats<P: Policy>(config: &Config, machine: &str) -> Result<Option<Finding>, Finding> {
    let place = format!("{} on {machine}", config.workload);
    let first = watched::run::<P>(config)?;
    let again = watched::run::<P>(config)?;
    if first.report.digest != again.report.digest || first.log != again.log {
        return Ok(Some(Finding::new(
            "not-repeatable",
            format!("two equal runs of {place} differ"),
            "Decisions may depend on events, `cx.now_ns()` and `cx.rng()` alone: no addresses, no state outside \
             the policy.",
        )));
    }
    let bytes = first.log.as_deref().unwrap_or_default();
    let replayed = watched::caught(|| log::replay::<P>(bytes))?;
    if !replayed.is_ok_and(|report| report.is_equal()) {
        return Ok(Some(Finding::new(
            "not-replayable",
            format!("the recorded events of {place} do not lead to the recorded decisions"),
            "Decisions may depend on events, `cx.now_ns()` and `cx.rng()` alone.",
        )));
    }
    let renamed = |salt: &str| Config {
        salt: Some(salt.to_owned()),
        ..config.clone()
    };
    let one = watched::run::<P>(&renamed("one"))?;
    let other = watched::run::<P>(&renamed("other"))?;
    let digest = |outcome: &baton_sim::Outcome| outcome.report.digest.clone();
    if digest(&one) != digest(&other) || digest(&one) != digest(&first) {
        return Ok(Some(Finding::new(
            "names-matter",
            format!("{place} runs otherwise when its tasks have other names"),
            "A policy must not know tasks by name: what it learns of a benchmark's names helps nobody. Look at what \
             tasks do.",
        )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every policy that comes with Baton is what candidates must be.
    struct Check;

    impl baton_policies::Visitor for Check {
        type Output = Vec<Finding>;

        fn visit<P: Policy + 'static>(self) -> Vec<Finding> {
            check::<P>()
        }
    }

    #[test]
    fn what_comes_with_baton_passes() {
        for entry in baton_policies::list() {
            let findings = baton_policies::with_policy(entry.name, Check).unwrap();
            assert_eq!(findings, [], "{}", entry.name);
        }
    }
}

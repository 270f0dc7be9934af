//! Random runs with faults.

use baton_policy::Policy;
use baton_sim::random;

use crate::{first_of_each, protocol::Finding, scenarios::on_trial, watched};

/// Enough findings to learn from.
const FINDINGS_MAX: usize = 8;

pub(crate) fn check<P: Policy>(runs: u64, first_seed: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for seed in (0..runs).map(|run| first_seed.wrapping_add(run)) {
        if let Err(mut finding) = watched::run::<P>(&on_trial(random::config(seed))) {
            finding
                .message
                .push_str(&format!(" (random run {seed}, with hotplug and failures)"));
            findings.push(finding);
        }
        if findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    first_of_each(findings)
}

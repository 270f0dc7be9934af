//! One measured run.

use baton_machine::MachineFile;
use baton_policy::Policy;
use baton_sim::{Config, Report};

use crate::{
    protocol::{Finding, Play},
    scenarios::{on_trial, undecided},
    watched,
};

pub(crate) fn play<P: Policy>(play: &Play) -> Result<Report, Finding> {
    let mut report = watched::run::<P>(&config(play)?)?.report;
    report.machine.clone_from(&play.machine);
    // A policy that behaves only where it thinks that it is tried is found here.
    match undecided(&report).into_iter().next() {
        Some(finding) => Err(finding),
        None => Ok(report),
    }
}

/// The run that was asked for.
fn config(play: &Play) -> Result<Config, Finding> {
    let asked = |problem: String| Finding::new("asked", problem, "Ask for another run.");
    let machine = match &play.machine_text {
        Some(text) => MachineFile::parse(&play.machine, text),
        None => MachineFile::find(&play.machine),
    };
    let machine = machine.map_err(|error| asked(error.to_string()))?;
    let workload = play.workload.parse();
    let workload = workload.map_err(|error: baton_workload::Error| asked(error.to_string()))?;
    Ok(on_trial(Config {
        seed: play.seed,
        salt: play.salt.clone(),
        limit_ns: play.limit_ns,
        mode: play.mode,
        params: play.params.clone(),
        ..Config::on(&machine, workload)
    }))
}

//! One measured run.

use baton_machine::MachineFile;
use baton_policy::Policy;
use baton_sim::{Config, Report};

use crate::{
    protocol::{Finding, Play},
    watched,
};

pub(crate) fn play<P: Policy>(play: &Play) -> Result<Report, Finding> {
    Ok(watched::run::<P>(&config(play)?)?.report)
}

/// The run that was asked for.
fn config(play: &Play) -> Result<Config, Finding> {
    let asked = |problem: String| Finding::new("asked", problem, "Ask for another run.");
    let machine = MachineFile::find(&play.machine).map_err(|error| asked(error.to_string()))?;
    let workload = play.workload.parse();
    let workload = workload.map_err(|error: baton_workload::Error| asked(error.to_string()))?;
    Ok(Config {
        seed: play.seed,
        salt: play.salt.clone(),
        limit_ns: play.limit_ns,
        mode: play.mode,
        params: play.params.clone(),
        ..Config::on(&machine, workload)
    })
}

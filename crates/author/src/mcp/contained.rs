//! Baton's own policies, simulated in a process of their own: it can be stopped, and what a workload takes
//! of time and memory has a bound.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use baton_sandbox::{Ended, How, Limits, Sandbox};
use baton_sim::Report;
use serde_json::Value;

use super::errors::{Code, Failure};

/// Where the tool lies inside.
const INSIDE: &str = "/tool/baton";
/// What one run may take of memory.
const MEMORY_BYTES: u64 = 1 << 30;
/// Longest recording that is taken out.
const RECORDING_BYTES: u64 = 256 << 20;
/// The name of a run's recording in its folder.
pub(super) const RECORDING: &str = "run.rec";

/// A run to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The workload's text, as the parser prints it.
    pub(super) workload: String,
    /// The name of a described machine.
    pub(super) machine: String,
    /// Seed of everything random.
    pub(super) seed: u64,
}

/// Runs the tool `baton` in a sandbox.
#[derive(Clone, Debug)]
pub(super) struct Contained {
    pub(super) baton: PathBuf,
    pub(super) sandbox: Sandbox,
}

impl Contained {
    /// Simulates a policy or baseline by its name; with a folder, the recording of the run is left there.
    pub(super) fn simulate(
        &self,
        scheduler: &str,
        run: &Run,
        params: &[String],
        folder: Option<&Path>,
        wall: Duration,
        stop: &AtomicBool,
    ) -> Result<Report, Failure> {
        let seed = run.seed.to_string();
        let mut arguments: Vec<String> = ["sim", scheduler, "--json", "--workload", &run.workload]
            .into_iter()
            .chain(["--machine", &run.machine, "--seed", &seed])
            .map(str::to_owned)
            .collect();
        for param in params {
            arguments.extend(["--set".to_owned(), param.clone()]);
        }
        let mut sandbox = self
            .sandbox
            .clone()
            .system()
            .read_as(&self.baton, INSIDE)
            .limits(Limits {
                wall,
                cpu: wall,
                memory_bytes: MEMORY_BYTES,
                file_bytes: RECORDING_BYTES,
                written_bytes: RECORDING_BYTES,
                processes: 8,
                output_bytes: 8 << 20,
            });
        if let Some(folder) = folder {
            let path = folder.join(RECORDING);
            arguments.extend(["--trace".to_owned(), path.to_string_lossy().into_owned()]);
            sandbox = sandbox.write(folder);
        }
        let ended = sandbox
            .run(INSIDE, &arguments, &[], stop)
            .map_err(crate::Error::from)?;
        read(&ended)
    }
}

/// What the tool said.
fn read(ended: &Ended) -> Result<Report, Failure> {
    match ended.status {
        How::Stopped => return Err(Failure::cancelled()),
        How::Limit(which) => {
            return Err(Failure::new(
                Code::WorkloadTooLarge,
                format!("the run was ended at the limit of its {which}"),
                "Lower the workload's numbers, or take a smaller machine.",
            ));
        }
        _ => {}
    }
    let said: Option<Value> = serde_json::from_slice(&ended.stdout).ok();
    if let Some(report) = said
        .clone()
        .and_then(|said| serde_json::from_value(said).ok())
    {
        return Ok(report);
    }
    let error = said.as_ref().map(|said| &said["error"]);
    let word = |name: &str| error.and_then(|error| error[name].as_str());
    let code = match word("code") {
        Some("bad-workload") => Code::BadWorkload,
        Some("bad-machine") => Code::BadMachine,
        Some("bad-parameter") => Code::BadArguments,
        Some("unknown-policy") => Code::UnknownPolicy,
        _ => Code::Failure,
    };
    let last = || {
        let errors = String::from_utf8_lossy(&ended.stderr);
        let last = errors.trim().lines().last().unwrap_or("nothing").to_owned();
        format!("the run {}, and said: {last}", ended.status)
    };
    let message = word("message").map_or_else(last, str::to_owned);
    Err(Failure::new(
        code,
        message,
        "`workloads`, `machine` and `policies` tell what there is.",
    ))
}

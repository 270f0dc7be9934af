//! Policies that are not built in, on simulated machines: each run is a run of their program.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use baton_policy::Mode;
use baton_sim::Report;

/// A run of a policy that only its program has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The workload's text.
    pub workload: String,
    /// The machine, a name or a file.
    pub machine: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Hides the tasks' names.
    pub salt: String,
    /// The run ends after this much simulated time.
    pub limit: Duration,
    /// How the policy acts.
    pub mode: Mode,
    /// Its parameters.
    pub params: Vec<(String, String)>,
    /// Its model, if it uses one and one is named.
    pub model: Option<String>,
}

/// Simulates what is not built in.
pub trait Simulate: Sync {
    /// One run of this program, or why there is none.
    ///
    /// # Errors
    /// The program cannot be run, or says nothing that can be read.
    fn simulate(&self, program: &str, run: &Foreign) -> Result<Report, String>;
}

/// By the program's own command `sim`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByProgram;

impl Simulate for ByProgram {
    fn simulate(&self, program: &str, run: &Foreign) -> Result<Report, String> {
        let mut command = Command::new(program);
        command
            .args(["sim", "--json", "--workload", &run.workload])
            .args(["--machine", &run.machine])
            .args(["--seed", &run.seed.to_string()])
            .args(["--salt", &run.salt])
            .args(["--limit", &format!("{}s", run.limit.as_secs_f64())])
            .args(["--mode", run.mode.name()]);
        for (name, value) in &run.params {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        if let Some(model) = &run.model {
            command.args(["--model", model]);
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        // One that did not come to its end reports, too.
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().last().unwrap_or("nothing").to_owned();
            format!("{program} sim reported nothing, and said: {said}")
        })
    }
}

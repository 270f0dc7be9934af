//! What to simulate.

use baton_machine::{ClassFile, Costs, MachineFile};
use baton_model::ModelFile;
use baton_policy::{Machine, Mode, SEC};
use baton_workload::Workload;
use std::{fmt, sync::Arc};

use crate::{Replay, Stage, engine::Plan};

/// Puts tasks of one's own on the stage, beside the workload's.
#[derive(Clone)]
pub struct Cast(Arc<dyn Fn(&mut Stage) + Send + Sync>);

impl Cast {
    /// Tasks that this function spawns. It is called once for each run.
    pub fn new(install: impl Fn(&mut Stage) + Send + Sync + 'static) -> Self {
        Self(Arc::new(install))
    }

    pub(crate) fn install(&self, stage: &mut Stage) {
        (self.0)(stage);
    }
}

impl fmt::Debug for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cast")
    }
}

/// A run: everything that its outcome depends on but the scheduler.
#[derive(Clone, Debug)]
pub struct Config {
    /// The machine.
    pub machine: Machine,
    /// What things cost there.
    pub costs: Costs,
    /// What its tasks do.
    pub workload: Workload,
    /// A recording that is played beside it, or in its place with [`Workload::none`].
    pub replay: Option<Arc<Replay>>,
    /// Tasks beside it.
    pub cast: Option<Cast>,
    /// Seed of everything random: the workload's, the policy's and the faults'.
    pub seed: u64,
    /// Replaces the names of the workload's tasks by ones that say nothing and depend on this, see
    /// [`baton_workload::names`].
    pub salt: Option<String>,
    /// Duration of parts that are bounded by time, instead of the workload's own.
    pub duration_ns: Option<u64>,
    /// The run ends after this in any case.
    pub limit_ns: u64,
    /// How a policy acts.
    pub mode: Mode,
    /// Parameters of the policy.
    pub params: Vec<(String, String)>,
    /// The model of a policy that uses one; without, the one that comes with Baton.
    pub model: Option<Arc<ModelFile>>,
    /// Task classes.
    pub classes: Option<ClassFile>,
    /// Hotplug and faults, with their times.
    pub plans: Vec<(u64, Plan)>,
    /// Whether a policy may be told how long each burst will be ([`baton_policy::Enqueue::truth_ns`]); not one
    /// that is on trial.
    pub tells_truth: bool,
    /// Whether to keep a log of what the policy saw and decided, for replay.
    pub logged: bool,
    /// The invariants are looked at after each so many events, beside those that are looked at always.
    pub audit_each: u64,
}

impl Config {
    /// A run of a workload on a machine, with seed 1, at most 120 s long.
    #[must_use]
    pub fn new(machine: Machine, costs: Costs, workload: Workload) -> Self {
        Self {
            machine,
            costs,
            workload,
            replay: None,
            cast: None,
            seed: 1,
            salt: None,
            duration_ns: None,
            limit_ns: 120 * SEC,
            mode: Mode::Decide,
            params: Vec::new(),
            model: None,
            classes: None,
            plans: Vec::new(),
            tells_truth: true,
            logged: false,
            audit_each: 4096,
        }
    }

    /// The same on a described machine.
    #[must_use]
    pub fn on(file: &MachineFile, workload: Workload) -> Self {
        Self::new(file.machine(), file.costs.clone(), workload)
    }
}

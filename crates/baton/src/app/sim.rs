//! `sim`: a policy on a simulated machine.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use baton_machine::{ClassFile, Costs, MachineFile};
use baton_policy::Machine;
use baton_sim::{Config, Outcome, Trace};
use baton_workload::Workload;

use super::{
    Code, Failure, duration, model, recording,
    run::{mode, parameter},
};
use crate::{Mode, Policy};

/// What to simulate.
#[derive(Clone, Debug, clap::Args)]
pub struct SimArgs {
    /// The workload, such as `pipe` or `frames:load=0.4+hogs`, a workload file (*.toml), or a recording
    /// (*.rec), which is played again
    #[arg(long)]
    pub workload: String,
    /// The machine: a name (2-cpu, laptop-hybrid, 2-socket-48-core, ...), a machine file, `host`
    /// for the one that /sys describes, or `recorded` for the one of the recording
    #[arg(long, default_value = "2-cpu")]
    pub machine: String,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Hide the names of the workload's tasks, by names that depend on this
    #[arg(long, value_name = "TEXT")]
    pub salt: Option<String>,
    /// How long, for workloads that are bounded by time; of a recording, only the first so much
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// End it after this much simulated time, however far it came
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "120s")]
    pub limit: Duration,
    /// Whether the policy decides each dispatch, hints and the relay dispatches at once, or has the relay guess
    /// each burst by a model and dispatch by that (decide, hint, infer)
    #[arg(long, value_name = "MODE", value_parser = mode, default_value = "decide")]
    pub mode: Mode,
    /// Set a parameter of the policy; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parameter)]
    pub params: Vec<(String, String)>,
    /// Task classes: who belongs to which, and what is asked for them
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// The model of a policy that uses one, instead of the one that comes with Baton
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Write what happened, for ui.perfetto.dev, or as a recording if FILE ends in .rec
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Record events and decisions, for replay
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Simulates the policy and prints what was found.
///
/// # Errors
/// A mistake in what was asked, or something that must hold did not.
pub fn sim<P: Policy>(args: &SimArgs) -> Result<ExitCode, Failure> {
    simulate(args, |config, traced| {
        baton_sim::run_outcome::<P>(config, traced)
    })
}

/// As [`sim`], with whatever `run` runs: it gets the run, and whether to trace it.
///
/// # Errors
/// As [`sim`].
pub fn simulate(
    args: &SimArgs,
    run: impl FnOnce(&Config, bool) -> Result<Outcome, baton_sim::Error>,
) -> Result<ExitCode, Failure> {
    let config = config(args)?;
    let start = Instant::now();
    let Outcome { report, trace, log } = run(&config, args.trace.is_some())?;
    let wall_s = start.elapsed().as_secs_f64();
    if let (Some(path), Some(trace)) = (&args.trace, trace) {
        let name = format!("{}: {}", report.scheduler, report.workload);
        write_trace(path, &name, &trace, &config)?;
    }
    if let (Some(path), Some(log)) = (&args.log, log) {
        let written = std::fs::write(path, log);
        written.map_err(|error| Failure::io("write", path, &error))?;
    }
    let events_per_s = report.events as f64 / wall_s.max(1e-9);
    if args.json {
        let mut value = serde_json::to_value(&report)
            .map_err(|error| Failure::new(Code::Failure, error.to_string()))?;
        value["wall_s"] = wall_s.into();
        value["events_per_s"] = events_per_s.round().into();
        outln!("{value}");
    } else {
        out!("{report}");
        let millions = events_per_s / 1e6;
        outln!("\n{wall_s:.3} s, {millions:.1} million events/s");
    }
    if report.complete {
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        return Ok(ExitCode::from(124));
    }
    let message = format!(
        "the workload did not end within {} s of simulated time: raise --limit or lower its numbers",
        args.limit.as_secs_f64()
    );
    Err(Failure::new(Code::Other("timeout", 124), message))
}

/// What happened, as the file's ending says.
fn write_trace(path: &Path, name: &str, trace: &Trace, config: &Config) -> Result<(), Failure> {
    let file = if path.extension().is_some_and(|ending| ending == "rec") {
        let writer = format!("baton sim {}, simulated", env!("CARGO_PKG_VERSION"));
        let recorded = trace.recording(&writer, &config.machine);
        recorded.map_err(|error| Failure::new(Code::Failure, error.to_string()))?
    } else {
        trace.perfetto(name)
    };
    std::fs::write(path, file).map_err(|error| Failure::io("write", path, &error))
}

/// The machine that was named, with its costs.
fn machine(name: &str) -> Result<(Machine, Costs), baton_machine::Error> {
    if name == "host" {
        let machine = baton_machine::read_sys(Path::new("/sys"))?;
        return Ok((machine, Costs::default()));
    }
    let file = MachineFile::find(name)?;
    Ok((file.machine(), file.costs))
}

fn config(args: &SimArgs) -> Result<Config, Failure> {
    let nanoseconds = |duration: Duration| duration.as_nanos().min(u128::from(u64::MAX / 4)) as u64;
    let duration_ns = args.duration.map(nanoseconds);
    let recorded = recording::named(&args.workload);
    let recorded = recorded
        .map(|path| recording::replay(&path, duration_ns.unwrap_or(u64::MAX)))
        .transpose()?;
    let workload = match &recorded {
        Some(_) => Workload::none(),
        None => Workload::find(&args.workload)
            .map_err(|error| Failure::new(Code::BadWorkload, error.to_string()))?,
    };
    let (machine, costs) = match (&recorded, args.machine.as_str()) {
        (Some((_, machine)), "recorded") => (machine.clone(), Costs::default()),
        (None, "recorded") => {
            let message = "`recorded` is the machine of a recording, and the workload is none: name another machine";
            return Err(Failure::new(Code::BadMachine, message));
        }
        (_, name) => {
            machine(name).map_err(|error| Failure::new(Code::BadMachine, error.to_string()))?
        }
    };
    let classes = args.classes.as_deref().map(ClassFile::load).transpose();
    let checked = classes.and_then(|file| {
        if let Some(file) = &file {
            file.check(&machine)?;
        }
        Ok(file)
    });
    let classes = checked.map_err(|error| Failure::new(Code::BadClasses, error.to_string()))?;
    Ok(Config {
        seed: args.seed,
        salt: args.salt.clone(),
        duration_ns,
        replay: recorded.map(|(replay, _)| Arc::new(replay)),
        limit_ns: nanoseconds(args.limit),
        mode: args.mode,
        params: args.params.clone(),
        classes,
        model: model::named(args.model.as_deref())?,
        logged: args.log.is_some(),
        ..Config::new(machine, costs, workload)
    })
}

impl From<baton_sim::Error> for Failure {
    fn from(error: baton_sim::Error) -> Self {
        use baton_sim::Error as E;
        let code = match &error {
            E::Setup(_) | E::NotAPolicy { .. } | E::NoModel { .. } => Code::BadParameter,
            E::UnknownScheduler { .. } => Code::UnknownPolicy,
            E::NotSimulated { .. } => Code::BadWorkload,
            E::TooManyLlcs { .. } => Code::BadMachine,
            _ => Code::Failure,
        };
        Self::new(code, error.to_string())
    }
}

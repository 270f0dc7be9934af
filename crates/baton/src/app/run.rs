//! `run`: a policy on this machine's kernel.

use std::{path::PathBuf, time::Duration};

use super::{Failure, duration};
use crate::{Mode, Policy};

/// How to run a policy.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// How long, such as 30s, 5m or 2h; without, until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Seed of the policy's randomness
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Whether the policy decides each dispatch, hints and the kernel dispatches at once, or has the kernel guess
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
    /// Schedule the tasks of this cgroup and of those below it alone, such as /batch; the
    /// kernel's own scheduler has all others, and goes first: tasks of the cgroup get the CPU time
    /// that these leave, and little on a CPU where one of them computes without end
    #[arg(long, value_name = "CGROUP")]
    pub only: Option<String>,
    /// Record events and decisions, for replay
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Give the scheduling thread this CPU, to spin on instead of sleeping (large machines)
    #[arg(long, value_name = "CPU")]
    pub spin: Option<u32>,
    /// Give the machine back when this does not hold, such as p99_wakeup<5ms: a quantile (p50,
    /// p90, p99, p999, max) of a latency (wakeup, wait, decision), in 3 seconds in a row with 20
    /// values or more
    #[arg(long, value_name = "CONDITION")]
    pub guard: Option<String>,
    /// Print the counters and latencies at the end
    #[arg(long)]
    pub stats: bool,
    /// Print the end's report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Reads `decide`, `hint` or `infer`.
///
/// # Errors
/// The text is none of them.
pub fn mode(text: &str) -> Result<Mode, String> {
    Mode::named(text).ok_or_else(|| format!("`{text}` is no mode: write decide, hint or infer"))
}

/// Reads `name=value`.
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no parameter: write NAME=VALUE")),
    }
}

/// Schedules this machine by the policy until its time is over or a signal comes,
/// and prints what happened.
///
/// # Errors
/// What the machine lacks, what the policy refused, or that the kernel took the
/// machine back.
#[cfg(feature = "kernel")]
pub fn run<P: Policy>(args: &RunArgs) -> Result<(), Failure> {
    schedule::<P>(args, false)
}

/// As [`run`], but takes over from the policy that schedules this machine now, without
/// detaching: its process ends.
///
/// # Errors
/// Beside those of [`run`]: no policy runs, or its process does not hand over.
#[cfg(feature = "kernel")]
pub fn switch<P: Policy>(args: &RunArgs) -> Result<(), Failure> {
    schedule::<P>(args, true)
}

/// The file of task classes; tells which of its settings the policy does not heed.
#[cfg(feature = "kernel")]
fn classes<P: Policy>(args: &RunArgs) -> Result<Option<baton_kernel::ClassFile>, Failure> {
    let Some(path) = &args.classes else {
        return Ok(None);
    };
    let file = baton_kernel::ClassFile::load(path).map_err(baton_kernel::Error::from)?;
    let mut heeded = P::CLASS_USE;
    // The kernel computes keys by its own weights.
    heeded.weight &= args.mode == Mode::Decide;
    let unheeded = file.classes().unheeded(heeded);
    if !unheeded.is_empty() {
        let unheeded = unheeded.join(", ");
        eprintln!(
            "note: {} in {} mode does not heed {unheeded} of the task classes",
            P::NAME,
            args.mode.name()
        );
    }
    Ok(Some(file))
}

#[cfg(feature = "kernel")]
fn schedule<P: Policy>(args: &RunArgs, takeover: bool) -> Result<(), Failure> {
    let config = config::<P>(args, takeover)?;
    let report = baton_kernel::run::<P>(&config, &mut |begun| {
        if !args.json {
            announce(P::NAME, args.duration, begun);
        }
    })?;
    let failure = failure_of(&report);
    if args.json {
        let (failure, text) = match failure {
            Some(failure) => failure
                .within(&report)
                .map(|(failure, text)| (Some(failure), text))?,
            None => (None, serde_json::to_string(&report).map_err(unprintable)?),
        };
        outln!("{text}");
        return failure.map_or(Ok(()), Err);
    }
    if args.stats {
        outln!("{report}");
    } else {
        eprintln!(
            "{} ended after {:.1} s: {}",
            report.policy, report.wall_s, report.exit
        );
    }
    failure.map_or(Ok(()), Err)
}

#[cfg(feature = "kernel")]
fn unprintable(error: serde_json::Error) -> Failure {
    Failure::new(super::Code::Failure, error.to_string())
}

/// What the arguments ask for.
#[cfg(feature = "kernel")]
fn config<P: Policy>(args: &RunArgs, takeover: bool) -> Result<baton_kernel::RunConfig, Failure> {
    use super::Code;
    use baton_kernel::{Cgroup, Error, Guard, RunConfig};

    if takeover && args.only.is_some() {
        return Err(Error::PartOfSwitch.into());
    }
    if args.model.is_some() && !P::USES_MODEL {
        return Err(super::model::unused(P::NAME));
    }
    let only = args.only.as_deref().map(Cgroup::find).transpose();
    let guard = args.guard.as_deref().map(str::parse::<Guard>).transpose();
    let guard = guard.map_err(|problem| Failure::new(Code::BadParameter, problem))?;
    if args.mode.is_hinted() && guard.as_ref().is_some_and(Guard::is_of_decisions) {
        let problem =
            "in hint and infer mode nothing waits for a decision: guard p99_wakeup or p99_wait";
        return Err(Failure::new(Code::BadParameter, problem));
    }
    Ok(RunConfig {
        seed: args.seed,
        mode: args.mode,
        params: args.params.clone(),
        duration: args.duration,
        log: args.log.clone(),
        spin_cpu: args.spin,
        takeover,
        classes: classes::<P>(args)?,
        only: only.map_err(Error::from)?,
        model: super::model::named(args.model.as_deref())?,
        guard,
        ..RunConfig::default()
    })
}

/// Tells people that the policy is in charge.
#[cfg(feature = "kernel")]
fn announce(policy: &str, duration: Option<Duration>, begun: &baton_kernel::Begun<'_>) {
    let until = match duration {
        Some(duration) => format!("for {} s", duration.as_secs_f64()),
        None => "until Ctrl-C".to_owned(),
    };
    if let Some(baton_kernel::Takeover { from, gap_ns, held }) = begun.takeover {
        let gap_ms = *gap_ns as f64 / 1e6;
        eprintln!(
            "{policy} took over from {from}: {gap_ms:.1} ms without a policy, {held} tasks held \
             meanwhile"
        );
    }
    match begun.part {
        Some(part) => eprintln!("{policy} schedules {part} {until}"),
        None => eprintln!("{policy} schedules this machine {until}"),
    }
}

/// What of a run was no success.
#[cfg(feature = "kernel")]
fn failure_of(report: &baton_kernel::RunReport) -> Option<Failure> {
    use super::Code;

    if let baton_kernel::ExitReason::GuardBroken { .. } = report.exit {
        let message = format!("{}; the kernel's own scheduler is back", report.exit);
        return Some(Failure::new(Code::Other("guard-broken", 1), message));
    }
    if report.exit.is_ejection() {
        let because = report.explanation();
        let because = because.map_or(String::new(), |text| format!(" ({text})"));
        let message = format!(
            "{}: {}{because}; the kernel's own scheduler is back",
            report.policy, report.exit
        );
        return Some(Failure::new(Code::Ejected, message));
    }
    let problem = report.log_problem.clone();
    problem.map(|problem| Failure::new(Code::Io, problem))
}

/// Without the feature `kernel` there is nothing to take over.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kernel"))]
pub fn switch<P: Policy>(args: &RunArgs) -> Result<(), Failure> {
    run::<P>(args)
}

/// Without the feature `kernel` there is nothing to run on.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kernel"))]
pub fn run<P: Policy>(_: &RunArgs) -> Result<(), Failure> {
    let message = format!(
        "this program was built without the kernel backend, so {} cannot run here: build it with \
         the feature `kernel`",
        P::NAME
    );
    Err(Failure::new(super::Code::NotBuilt, message))
}

#[cfg(feature = "kernel")]
impl From<baton_kernel::Error> for Failure {
    fn from(error: baton_kernel::Error) -> Self {
        use super::Code;
        use baton_kernel::{CgroupError, Error as E};
        let code = match &error {
            E::NotRoot => Code::NoRoot,
            E::NoSchedExt { .. } | E::NoBtf { .. } | E::DefectiveBtf { .. } => Code::NoSchedExt,
            E::Busy { .. } => Code::Busy,
            E::NothingRuns => Code::Other("nothing-runs", 1),
            E::Control(_) => Code::Other("control", 1),
            E::Classes(_) => Code::BadClasses,
            E::Cgroup(CgroupError::NotMounted) => Code::Machine,
            E::Cgroup(_) => Code::BadCgroup,
            E::PartOfSwitch => Code::BadParameter,
            E::Machine(_) | E::NoCgroups => Code::Machine,
            E::Setup(_) | E::SpinCpu { .. } => Code::BadParameter,
            E::Panicked(_) => Code::Panicked,
            E::Log { .. } => Code::Io,
            _ => Code::Failure,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn parameters() {
        assert_eq!(parameter("slice_us=5"), Ok(("slice_us".into(), "5".into())));
        assert_eq!(parameter("x="), Ok(("x".into(), String::new())));
        assert!(parameter("slice").is_err() && parameter("=5").is_err());
    }
}

//! `baton bench kernel`: policies against the kernel's own scheduler, in one VM.
//!
//! - `guest` runs in the VM, measures cell by cell and sends a line of JSON for each;
//! - `stream` takes the lines and shows progress;
//! - `summary` makes medians and ratios of them;
//! - `print` makes the table;
//! - `beside` simulates the same cells;
//! - `model` measures predictions by themselves, on this machine.

mod beside;
pub(crate) mod guest;
#[cfg(feature = "kernel")]
mod model;
mod print;
mod stream;
mod summary;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use baton::{
    Policy,
    app::{self, Code, Failure, duration},
};
use baton_machine::MachineFile;
use baton_policies::{Visitor, with_policy};
use baton_policy::{Driver, Machine, Mode, Setup};
use baton_vm::{KernelSpec, Outcome, Sinks};
use baton_workload::Workload;
use clap::Subcommand;

use super::{policies, vm};
use crate::{failures::fail, needs, peers, project};
use guest::Named;
use stream::Stream;

/// What the ratios are relative to: the kernel's own scheduler, no policy attached. It
/// is an EEVDF too, as the policy of that name.
const BASELINE: &str = "kernel";

/// Measure policies against the kernel's own scheduler, and models by themselves
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton bench kernel
  baton bench sim results.json
  sudo baton bench model")]
pub(crate) struct Args {
    #[command(subcommand)]
    backend: Backend,
}

/// Where to measure.
#[derive(Subcommand)]
enum Backend {
    Kernel(KernelArgs),
    Sim(beside::SimArgs),
    #[cfg(feature = "kernel")]
    Model(model::ModelArgs),
}

/// In one VM, on a real kernel: EEVDF, then each policy, round by round
///
/// Each round takes every policy and the kernel's own scheduler once, in an order
/// drawn from the seed, and runs all workloads under it. The table shows medians
/// over the rounds and ratios to EEVDF; above 1 is worse.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton bench kernel
  baton bench kernel --runs 10 --policies edf --workloads pipe,pipe+hogs --json
  baton bench kernel --workload compile --policies edf
  baton bench kernel --policies edf --peers")]
struct KernelArgs {
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Policies to measure, separated by commas; with a mode and parameters after
    /// slashes, such as edf/hint or edf/sync=false
    #[arg(long, value_delimiter = ',', default_value = "fifo,edf")]
    policies: Vec<String>,
    /// Measure scx_rustland and scx_rlfifo too: from PATH, else built from crates.io, once
    #[arg(long)]
    peers: bool,
    /// Workloads; with parameters, give the option once for each
    #[arg(
        long,
        visible_alias = "workload",
        default_value = "frames+hogs,messaging,pipe,pipe+hogs"
    )]
    workloads: Vec<String>,
    /// Seed of the order and of the workloads
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The kernel, as for `baton vm`
    #[arg(long, default_value = "default", hide_default_value = true)]
    kernel: KernelSpec,
    /// The machine, as for `baton vm`
    #[arg(long, default_value = "2-cpu")]
    machine: String,
    /// Stop the VM after this; exit status 124. By default 10 minutes and 3 for each round
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Print JSON: `{"cells":[{"workload","variant","part","metric","median","quartiles","ratio","n"}], ...}`
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.backend {
        Backend::Kernel(args) => kernel(args),
        Backend::Sim(args) => beside::execute(args),
        #[cfg(feature = "kernel")]
        Backend::Model(args) => model::execute(args),
    }
}

/// Boots until the first round must have been measured: a guest that never gets there never will.
const FIRST_BOOTS: u32 = 3;

fn kernel(args: &KernelArgs) -> anyhow::Result<ExitCode> {
    // Mistakes are told before a VM is started.
    let machine = vm::machine(&args.machine)?;
    for variant in &args.policies {
        check(variant, &machine.machine())?;
    }
    let workloads = workloads(&args.workloads)?;
    let mut plan = guest::Plan {
        runs: args.runs,
        first: 0,
        seed: args.seed,
        policies: args.policies.clone(),
        peers: match args.peers {
            true => peers::find()?,
            false => Vec::new(),
        },
        workloads,
    };
    let stream = Stream::new(&plan);
    let start = Instant::now();
    let mut boots = 1;
    let outcome = loop {
        plan.first = stream.rounds();
        match measure(args, &machine, &plan, &stream) {
            // An emulator can crash a guest, once in hours. What was measured before counts.
            Err(error)
                if is_panic(&error) && (stream.rounds() > plan.first || boots < FIRST_BOOTS) =>
            {
                stream.forget_rest();
                boots += 1;
                let round = stream.rounds() + 1;
                eprintln!("the guest's kernel died; going on with round {round} in another VM");
            }
            outcome => break outcome?,
        }
    };
    let ran = summary::Ran {
        kernel: outcome.kernel_release.clone(),
        machine: args.machine.clone(),
        boots,
        wall: start.elapsed(),
    };
    let summary = summary::summarise(&plan, stream.finish(), ran);
    if args.json {
        outln!("{}", serde_json::to_string(&summary)?);
    } else {
        out!("{}", print::text(&plan, &summary));
    }
    match outcome.status {
        0 if summary.failures.is_empty() => Ok(ExitCode::SUCCESS),
        130 | 143 => Ok(ExitCode::from(130)),
        // The failures are in the document.
        _ if args.json => Ok(ExitCode::FAILURE),
        _ => fail(
            Code::Failure,
            "some cells could not be measured; they are named above",
        ),
    }
}

/// Runs what is left of the plan in one VM.
fn measure(
    args: &KernelArgs,
    machine: &MachineFile,
    plan: &guest::Plan,
    stream: &Stream,
) -> anyhow::Result<Outcome> {
    let own = project::own_path()?;
    let own_text = own.to_string_lossy().into_owned();
    let command = [own_text, "bench-guest".into(), serde_json::to_string(plan)?];
    let patience = Duration::from_secs(600 + 180 * u64::from(args.runs));
    let sinks = Sinks {
        stdout: Box::new(stream.clone()),
        stderr: Box::new(std::io::stderr()),
        progress: Sinks::inherit().progress,
    };
    let run: Vec<_> = plan
        .workloads
        .iter()
        .map(|named| named.workload.clone())
        .collect();
    let peers = plan.peers.iter();
    let vm = peers.fold(vm::guest(&own), |vm, peer| vm.pack(&peer.path, &peer.path));
    let outcome = needs::pack(vm, &run)?
        .machine(machine.clone())
        .kernel(args.kernel.clone())
        .timeout(args.timeout.unwrap_or(patience))
        .handle_signals(true)
        .command(command)
        .run(sinks)?;
    Ok(outcome)
}

fn is_panic(error: &anyhow::Error) -> bool {
    use baton_vm::Error;
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| matches!(error, Error::Panic { .. } | Error::EmulatorDefect { .. }))
}

/// Makes the policy of a variant, to see whether it takes the mode and the parameters.
struct Check<'a>(&'a Setup<'a>);

impl Visitor for Check<'_> {
    type Output = Result<(), String>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        let driver = Driver::<P>::new(self.0);
        driver.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Whether a variant can be run.
fn check(variant: &str, machine: &Machine) -> anyhow::Result<()> {
    let (name, words) = guest::words_of(variant);
    let mut mode = Mode::default();
    let mut params = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some((name, value)) => params.push((name.to_owned(), value.to_owned())),
            None => mode = app::mode(word).map_err(|problem| bad(variant, &problem))?,
        }
    }
    let setup = Setup::with_params(machine, 1, &params).with_mode(mode);
    let checked = with_policy(name, Check(&setup));
    let checked = checked.ok_or_else(|| policies::unknown(name, "separated by commas"))?;
    checked.map_err(|problem| bad(variant, &problem).into())
}

fn bad(variant: &str, problem: &str) -> Failure {
    Failure::new(Code::BadParameter, format!("{variant}: {problem}"))
}

/// The workloads of the option: a list in one text, as long as no parameters are
/// given, for those have commas too.
fn workloads(given: &[String]) -> anyhow::Result<Vec<Named>> {
    let texts = given.iter().flat_map(|text| {
        let separator = if text.contains(':') { '\n' } else { ',' };
        text.split(separator)
    });
    let named = |text: &str| {
        Ok(Named {
            name: text.to_owned(),
            workload: Workload::find(text)?,
        })
    };
    texts.map(|text| named(text.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::workloads;

    #[test]
    fn lists_of_workloads() {
        let check = |given: &[&str], expected: &[&str]| {
            let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
            let read = workloads(&given).unwrap();
            let names: Vec<_> = read.iter().map(|named| named.name.as_str()).collect();
            assert_eq!(names, expected);
        };
        check(&["pipe,pipe+hogs"], &["pipe", "pipe+hogs"]);
        check(
            &["pipe:rounds=5,threads=no", "hogs"],
            &["pipe:rounds=5,threads=no", "hogs"],
        );
        assert!(workloads(&["pipes".to_owned()]).is_err());
    }
}

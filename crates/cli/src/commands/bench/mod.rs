//! `baton bench kernel`: policies against the kernel's own scheduler, in one VM.
//!
//! - `guest` runs in the VM, measures cell by cell and sends a line of JSON for each;
//! - `stream` takes the lines and shows progress;
//! - `summary` makes medians and ratios of them;
//! - `print` makes the table.

pub(crate) mod guest;
mod print;
mod stream;
mod summary;

use std::{process::ExitCode, time::Duration};

use baton::app::{Code, duration};
use baton_machine::MachineFile;
use baton_vm::{KernelSpec, Sinks};
use clap::Subcommand;

use super::{policies, vm};
use crate::{failures::fail, needs, project};
use guest::Named;
use stream::Stream;

/// What the ratios are relative to: the kernel's own scheduler, no policy attached. It
/// is an EEVDF too, as the policy of that name.
const BASELINE: &str = "kernel";

/// Measure policies against the kernel's own scheduler
#[derive(clap::Args)]
#[command(after_help = "Example:\n  baton bench kernel")]
pub(crate) struct Args {
    #[command(subcommand)]
    backend: Backend,
}

/// Where to measure.
#[derive(Subcommand)]
enum Backend {
    Kernel(KernelArgs),
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
  baton bench kernel --workload compile --policies edf")]
struct KernelArgs {
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Policies to measure, separated by commas; with a mode and parameters after
    /// slashes, such as edf/hint or edf/sync=false
    #[arg(long, value_delimiter = ',', default_value = "fifo,edf")]
    policies: Vec<String>,
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
    /// Print JSON: `{"cells":[{"workload","variant","part","metric","median","ratio","n"}], ...}`
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let Backend::Kernel(args) = &args.backend;
    let machine = MachineFile::find(&args.machine)?;
    for policy in &args.policies {
        let name = policy.split('/').next().unwrap_or_default();
        if !policies::names().any(|known| known == name) {
            return Err(policies::unknown(name, "separated by commas").into());
        }
    }
    let workloads = workloads(&args.workloads)?;
    let own = project::own_path()?;
    let plan = guest::Plan {
        runs: args.runs,
        seed: args.seed,
        policies: args.policies.clone(),
        workloads,
    };
    let own_text = own.to_string_lossy().into_owned();
    let command = [
        own_text,
        "bench-guest".into(),
        serde_json::to_string(&plan)?,
    ];
    let patience = Duration::from_secs(600 + 180 * u64::from(args.runs));
    let stream = Stream::new(&plan);
    let progress = Sinks::inherit().progress;
    let sinks = Sinks {
        stdout: Box::new(stream.clone()),
        stderr: Box::new(std::io::stderr()),
        progress,
    };
    let run: Vec<_> = plan
        .workloads
        .iter()
        .map(|named| named.workload.clone())
        .collect();
    let outcome = needs::pack(vm::guest(&own), &run)?
        .machine(machine)
        .kernel(args.kernel.clone())
        .timeout(args.timeout.unwrap_or(patience))
        .handle_signals(true)
        .command(command)
        .run(sinks)?;
    let summary = summary::summarise(&plan, stream.finish(), &outcome, &args.machine);
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", print::text(&plan, &summary));
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
            workload: text.parse()?,
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

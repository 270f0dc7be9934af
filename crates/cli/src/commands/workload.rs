//! `baton workload`: a measured workload on this machine.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use baton::app::{Code, duration};
use baton_workload::{Alias, Kind, RunOptions, Workload};

use crate::{
    failures::fail,
    needs,
    table::{Align, table},
};

/// Run a workload here and measure it
///
/// A workload is one kind, or several joined by `+`; the first is the one that is
/// measured for the whole. Parameters follow a colon.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton workload pipe
  baton workload frames:seconds=10+hogs --json
  baton workload build:jobs=4,units=40
  baton workload frames+build                    # a game beside a build
  baton workload docs/workload.toml
  baton vm -- baton workload compile             # gcc compiles Lua in a VM
  baton workload game+stream                     # a game beside an encoder of video
  baton vm -- baton workload isolation           # needs root and cgroups
  baton vm --policy edf -- baton workload messaging:groups=8")]
pub(crate) struct Args {
    /// The workload, such as `pipe` or `frames:load=0.4+hogs`, or a workload file (*.toml)
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the kinds of workload and their parameters
    #[arg(long)]
    list: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long, for workloads that are bounded by time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// End it after this, however far it came
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "120s")]
    limit: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(name) = args.name.as_ref().filter(|_| !args.list) else {
        return list(args.json);
    };
    let workload = Workload::find(name)?;
    let options = RunOptions {
        seed: args.seed,
        duration: args.duration,
        source: needs::source(&workload)?,
        stop: baton_workload::stop::on_signals().context("cannot catch signals")?,
        time_limit: args.limit,
        ..RunOptions::default()
    };
    let report = baton_workload::run(&workload, &options)?;
    if args.json {
        outln!("{}", serde_json::to_string(&report)?);
    } else {
        out!("{report}");
    }
    if report.complete {
        return Ok(ExitCode::SUCCESS);
    }
    if options.stop.load(std::sync::atomic::Ordering::Relaxed) {
        return Ok(ExitCode::from(130));
    }
    if args.json {
        return Ok(ExitCode::from(124));
    }
    let message = format!(
        "the workload did not end within {} s: raise --limit or lower its numbers",
        args.limit.as_secs_f64()
    );
    fail(Code::Other("timeout", 124), message)
}

fn list(json: bool) -> anyhow::Result<ExitCode> {
    let (kinds, aliases) = (baton_workload::list(), baton_workload::aliases());
    if json {
        let entries = kinds.iter().map(describe);
        let entries: Vec<_> = entries.chain(aliases.iter().map(describe_alias)).collect();
        outln!("{}", serde_json::to_string(&entries)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for kind in kinds {
        rows.push(vec![
            kind.name.to_owned(),
            String::new(),
            kind.about.to_owned(),
        ]);
        for parameter in kind.parameters {
            let name = format!("  {}", parameter.name);
            rows.push(vec![
                name,
                parameter.default.to_owned(),
                parameter.about.to_owned(),
            ]);
        }
    }
    for alias in aliases {
        let about = format!("{} (parameters are those of the first)", alias.about);
        rows.push(vec![alias.name.to_owned(), alias.to_string(), about]);
    }
    out!("{}", table(&rows, |_| Align::Left));
    Ok(ExitCode::SUCCESS)
}

fn describe_alias(alias: &Alias) -> serde_json::Value {
    serde_json::json!({
        "name": alias.name,
        "about": alias.about,
        "example": alias.name,
        "stands_for": alias.to_string(),
        "parameters": [],
    })
}

fn describe(kind: &Kind) -> serde_json::Value {
    let parameters: Vec<_> = kind
        .parameters
        .iter()
        .map(|parameter| {
            serde_json::json!({
                "name": parameter.name,
                "default": parameter.default,
                "default_combined": parameter.default_combined,
                "default_behind": parameter.default_behind,
                "about": parameter.about,
            })
        })
        .collect();
    serde_json::json!({
        "name": kind.name,
        "about": kind.about,
        "example": kind.example,
        "parameters": parameters,
    })
}

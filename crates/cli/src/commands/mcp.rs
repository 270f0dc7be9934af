//! `baton mcp`: the policy tools for programs of others.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use baton::app::duration;
use baton_author::mcp::{self, Limits, Settings};
use baton_workload::stop;

use crate::project;

/// Serve the policy tools to a program, such as an AI agent, over standard input and output
///
/// Speaks the Model Context Protocol, one client to a server; the client starts it. Without --write there are
/// only tools that read, and that simulate what is there. Candidates are compiled and run contained. No tool
/// runs a shell, reaches a network, touches this machine's scheduler, or opens a file outside the workspace;
/// none accepts a candidate: `baton ledger accept` is for a person.
///
/// Ends when standard input does. Exit status: 0; 3 this machine lacks something.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton mcp --workspace policies               # to read and to simulate
  baton mcp --workspace policies --write       # to write candidates and judge them
  baton mcp --workspace policies --write --allow-vm --budget-time 30m")]
pub(crate) struct Args {
    /// The workspace: a ledger with its candidates, as of `baton author`
    #[arg(long, value_name = "DIR", default_value = "author")]
    workspace: PathBuf,
    /// Have tools that write into the workspace: candidates, their checks and comparisons, proposals
    #[arg(long)]
    write: bool,
    /// Let candidates run on a real kernel in a VM
    #[arg(long, requires = "write")]
    allow_vm: bool,
    /// The kernel of the VM, as for `baton vm`
    #[arg(long, default_value = "default", hide_default_value = true)]
    kernel: String,
    /// Simulated runs that may be made until the server ends
    #[arg(long, value_name = "RUNS", default_value_t = Limits::default().evaluations)]
    budget_evaluations: u64,
    /// Time that jobs may take until the server ends, all together
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2h")]
    budget_time: Duration,
    /// Candidates that may be written until the server ends
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().candidates)]
    budget_candidates: u32,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let stop = stop::on_signals().context("cannot catch signals")?;
    let settings = Settings {
        workspace: args.workspace.clone(),
        write: args.write,
        vm_kernel: args.allow_vm.then(|| args.kernel.clone()),
        limits: Limits {
            evaluations: args.budget_evaluations,
            wall: args.budget_time,
            candidates: args.budget_candidates,
        },
        baton: project::own_path()?,
        target: super::judge::target()?,
    };
    mcp::serve(settings, stop)?;
    Ok(ExitCode::SUCCESS)
}

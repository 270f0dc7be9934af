//! One file for each command.

#[cfg(feature = "author")]
mod author;
mod bench;
mod chaos;
pub(crate) mod doctor;
mod in_guest;
#[cfg(feature = "author")]
mod judge;
mod lab;
mod learn;
#[cfg(feature = "author")]
mod ledger;
#[cfg(feature = "author")]
mod mcp;
mod new;
pub(crate) mod policies;
#[cfg(feature = "kernel")]
mod record;
mod replay;
mod run;
mod sim;
mod switch;
#[cfg(feature = "kernel")]
mod top;
mod trace;
mod train;
mod vm;
#[cfg(feature = "kernel")]
mod why;
mod workload;

use std::process::ExitCode;

use clap::Subcommand;

/// What can be asked.
#[derive(Subcommand)]
pub(crate) enum Command {
    Doctor(doctor::Args),
    Policies(policies::Args),
    Run(run::Args),
    Switch(switch::Args),
    #[cfg(feature = "kernel")]
    Top(top::Args),
    #[cfg(feature = "kernel")]
    Why(why::Args),
    #[cfg(feature = "kernel")]
    Record(record::Args),
    Trace(trace::Args),
    Learn(learn::Args),
    Train(train::Args),
    Eval(train::EvalArgs),
    Replay(replay::Args),
    Sim(sim::Args),
    Vm(vm::Args),
    Workload(workload::Args),
    Bench(bench::Args),
    Lab(lab::Args),
    New(new::Args),
    #[cfg(feature = "author")]
    Judge(judge::Args),
    #[cfg(feature = "author")]
    Author(Box<author::Args>),
    #[cfg(feature = "author")]
    Ledger(ledger::Args),
    #[cfg(feature = "author")]
    Mcp(mcp::Args),
    #[command(hide = true)]
    Chaos(chaos::Args),
    #[command(hide = true)]
    InGuest(in_guest::Args),
    #[command(hide = true)]
    BenchGuest(bench::guest::Args),
}

impl Command {
    /// Does it.
    pub(crate) fn execute(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Doctor(args) => doctor::execute(&args),
            Self::Policies(args) => policies::execute(&args),
            Self::Run(args) => run::execute(&args),
            Self::Switch(args) => switch::execute(&args),
            #[cfg(feature = "kernel")]
            Self::Top(args) => top::execute(&args),
            #[cfg(feature = "kernel")]
            Self::Why(args) => why::execute(&args),
            #[cfg(feature = "kernel")]
            Self::Record(args) => record::execute(&args),
            Self::Trace(args) => trace::execute(&args),
            Self::Learn(args) => learn::execute(&args),
            Self::Train(args) => train::execute(&args),
            Self::Eval(args) => train::execute_eval(&args),
            Self::Replay(args) => replay::execute(&args),
            Self::Sim(args) => sim::execute(&args),
            Self::Vm(args) => vm::execute(&args),
            Self::Workload(args) => workload::execute(&args),
            Self::Bench(args) => bench::execute(&args),
            Self::Lab(args) => lab::execute(&args),
            Self::New(args) => new::execute(&args),
            #[cfg(feature = "author")]
            Self::Judge(args) => judge::execute(&args),
            #[cfg(feature = "author")]
            Self::Author(args) => author::execute(&args),
            #[cfg(feature = "author")]
            Self::Ledger(args) => ledger::execute(&args),
            #[cfg(feature = "author")]
            Self::Mcp(args) => mcp::execute(&args),
            Self::Chaos(args) => chaos::execute(&args),
            Self::InGuest(args) => in_guest::execute(&args),
            Self::BenchGuest(args) => bench::guest::execute(&args),
        }
    }
}

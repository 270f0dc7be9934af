//! The tool `baton`.
//!
//! Thin: each command reads its arguments, asks a library and prints. What a policy's
//! own program can do too (`run`, `replay`, how failures are told) is in the facade.
//!
//! - `commands`: one file for each command;
//! - `needs`: what a workload needs beside this program;
//! - `peers`: schedulers of others, found or built;
//! - `project`: what `--policy` names, made into a program;
//! - `table`: aligned columns.
// A reader of standard output may go; the macros below know that.
#![deny(clippy::print_stdout)]

/// As `print!`, by [`app::print`].
macro_rules! out {
    ($($text:tt)*) => {
        baton::app::print(format_args!($($text)*))
    };
}

/// As `println!`, by [`app::print`].
macro_rules! outln {
    () => {
        baton::app::print(format_args!("\n"))
    };
    ($($text:tt)*) => {
        baton::app::print(format_args!("{}\n", format_args!($($text)*)))
    };
}

mod commands;
mod failures;
mod needs;
mod peers;
mod project;
mod summary;
mod table;

use std::process::ExitCode;

use baton::app;
use clap::Parser;

baton::__use_arena!();

/// Write, run and measure Linux CPU schedulers.
#[derive(Parser)]
#[command(name = "baton", version, propagate_version = false)]
#[command(after_help = "Exit status:
  0  done; `vm` exits as its command does
  1  something failed
  2  a mistake in what was asked
  3  this machine lacks something; `baton doctor` tells what
  123, 124, 125, 127  of `vm`, `bench` and `lab`: the guest's kernel died, the time limit,
     the VM did not work, the command was not found
  130  Ctrl-C

Example:
  baton vm --policy edf -- baton workload frames+hogs")]
struct Args {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // In a VM this same program is process 1.
    baton_vm::guest::run_if_init();
    // Or a process of a workload.
    baton_workload::run_if_child();
    // Or an inner stage of a sandbox.
    #[cfg(feature = "author")]
    baton_sandbox::run_if_child();
    let result = app::parse::<Args>(|command| command)
        .map_err(anyhow::Error::from)
        .and_then(|args| args.command.execute())
        .and_then(|code| Ok(app::printed().map(|()| code)?));
    match result {
        Ok(code) => code,
        Err(error) => failures::failure(&error).report(app::wants_json()),
    }
}

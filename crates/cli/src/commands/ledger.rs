//! `baton ledger`: candidates, what became of them, and a person's word.

use std::{path::PathBuf, process::ExitCode, time::SystemTime};

use baton::app::Code;
use baton_author::{
    ledger::{self, Entry, Ledger, State, View},
    source,
};
use serde_json::json;

use crate::failures::fail;

/// Look through the candidates of a workspace, and accept one
///
/// A workspace is where `baton author` and `baton mcp` keep each candidate: its source, what was asked and
/// answered, what became of it at each stage, and what it cost.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton ledger
  baton ledger show 3
  baton ledger source 3 > mine.rs
  baton ledger accept 3")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The workspace
    #[arg(long, value_name = "DIR", default_value = "author", global = true)]
    out: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// All candidates, a line each
    List,
    /// All of one: stages, what was wrong, figures, files
    Show {
        /// Its number
        id: u32,
    },
    /// Its source
    Source {
        /// Its number
        id: u32,
    },
    /// Keep it as a starting point, on your own word: one that passed all stages but the benchmark
    Accept {
        /// Its number
        id: u32,
        /// Also one that was never run on a real kernel
        #[arg(long)]
        without_vm: bool,
    },
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.out.join("ledger.jsonl").is_file() {
        let message = format!(
            "{} has no ledger: `baton author` makes one, or name its workspace (--out)",
            args.out.display()
        );
        return fail(Code::Other("no-ledger", 2), message);
    }
    if let Some(Command::Accept { id, without_vm }) = args.command {
        return accept(args, id, without_vm);
    }
    let read = Ledger::read(&args.out)?;
    for note in &read.notes {
        eprintln!("note: {note}");
    }
    let view = &read.view;
    match &args.command {
        None | Some(Command::List) => {
            if args.json {
                let all: Vec<_> = view.candidates.values().map(document).collect();
                outln!("{}", json!({ "candidates": all, "totals": view.totals }));
            } else {
                out!("{}", ledger::list(view));
            }
        }
        Some(Command::Show { id }) => {
            let entry = entry(view, *id)?;
            match args.json {
                true => outln!("{}", document(entry)),
                false => out!("{}", ledger::show(view, &args.out, *id).unwrap_or_default()),
            }
        }
        Some(Command::Source { id }) => {
            entry(view, *id)?;
            out!("{}", text(args, *id)?);
        }
        Some(Command::Accept { .. }) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn entry(view: &View, id: u32) -> anyhow::Result<&Entry> {
    match view.candidates.get(&id) {
        Some(entry) => Ok(entry),
        None => fail(
            Code::Other("no-candidate", 2),
            format!("there is no candidate {id}: `baton ledger` lists them"),
        ),
    }
}

fn text(args: &Args, id: u32) -> anyhow::Result<String> {
    let path = ledger::candidate_directory(&args.out, id).join("policy.rs");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) => fail(
            Code::Io,
            format!("candidate {id} has no source: {error}; its answer held none"),
        ),
    }
}

fn document(entry: &Entry) -> serde_json::Value {
    json!({
        "candidate": entry.candidate,
        "state": entry.state.to_string(),
        "stages": entry.stages,
        "measured": entry.measured,
        "refused": entry.refused,
        "accepted": entry.accepted,
    })
}

/// A person's word: it takes the place of no stage but the benchmark.
fn accept(args: &Args, id: u32, without_vm: bool) -> anyhow::Result<ExitCode> {
    let mut ledger = Ledger::open(&args.out)?;
    let entry = entry(ledger.view(), id)?;
    if entry.state == State::Accepted {
        outln!("candidate {id} is accepted already");
        return Ok(ExitCode::SUCCESS);
    }
    let unsound = entry
        .stages
        .iter()
        .find(|done| !done.passed && done.stage != baton_author::Stage::Benchmark);
    if let Some(done) = unsound {
        let message = format!(
            "candidate {id} did not pass {}, and is not sound: `baton ledger show {id}` tells why",
            done.stage
        );
        return fail(Code::Other("not-sound", 2), message);
    }
    let passed = entry
        .stages
        .iter()
        .any(|done| done.stage == baton_author::Stage::Invariants);
    if !passed {
        let message = format!(
            "candidate {id} was not judged yet: `baton judge {}`",
            ledger::candidate_directory(&args.out, id)
                .join("policy.rs")
                .display()
        );
        return fail(Code::Other("not-sound", 2), message);
    }
    let vm = baton_author::Stage::Vm;
    let was_run = entry
        .stages
        .iter()
        .any(|done| done.stage == vm && done.passed);
    if !was_run && !without_vm {
        let message = format!(
            "candidate {id} was never run on a real kernel: `baton judge` does that, or say that you want it all the \
             same (--without-vm)"
        );
        return fail(Code::Other("not-sound", 2), message);
    }
    let source = source::parse(&text(args, id)?, &[]);
    let name = source.map_or_else(|_| format!("candidate-{id}"), |source| source.name);
    let path = ledger.accept(id, &name, "person", SystemTime::now())?;
    outln!("candidate {id} is accepted: {}", path.display());
    Ok(ExitCode::SUCCESS)
}

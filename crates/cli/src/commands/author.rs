//! `baton author`: a language model writes policies, the lab judges them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use baton::app::{Code, Failure, duration};
use baton_author::{
    Checker, Stage,
    benchmark::{Benchmark, Start},
    builtin,
    chat::{self, Finish},
    controller::{Controller, Event, Outcome, Task},
    ledger::{self, Budgets, Ledger, Money, Prices},
    vm::Machines,
};
use baton_sandbox::Sandbox;
use baton_workload::stop;
use serde_json::json;

use super::judge::{self, How};
use crate::failures::fail;

/// Have a language model write policies, and the lab judge them
///
/// The model is asked for one policy at a time, by the chat API that most services and local servers have.
/// What it writes goes through the stages of `baton judge`, contained, and is measured beside the policy that
/// it starts from; what was wrong is told to the model in the next round. Accepted is what the lab calls
/// better and what is no worse on benchmarks that the model never sees. This machine's scheduler is never
/// touched, and root is not needed.
///
/// Each candidate is kept in the workspace, `baton ledger` shows them. The budgets are of this call; with
/// --continue the next one goes on where it ended, and after Ctrl-C or a crash too.
///
/// The service is named by flags, by BATON_AUTHOR_URL, BATON_AUTHOR_MODEL and BATON_AUTHOR_KEY, or by
/// ~/.config/baton/author.toml; see docs/author.md.
///
/// Exit status: 0 there is an accepted policy; 1 there is none; 2 a mistake in what was asked; 3 this
/// machine lacks something; 130 Ctrl-C.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton author \"keep frames on time beside a build\" --url http://127.0.0.1:11434/v1 --model qwen3
  baton author \"cut the p99 of requests by a quarter\" --from fifo --workload requests+hogs --rounds 8
  baton author --continue --rounds 4")]
pub(crate) struct Args {
    /// What the policy is to do, in your words; with --continue, that of the last call unless given
    requirement: Option<String>,
    /// What it starts from and is compared with: a built-in policy, a policy's file, or an accepted one of
    /// the workspace by its name; edf unless told
    #[arg(long, value_name = "POLICY")]
    from: Option<String>,
    /// Go on in the workspace, with what was learned there
    #[arg(long = "continue")]
    goes_on: bool,
    /// The workspace
    #[arg(long, value_name = "DIR", default_value = "author")]
    out: PathBuf,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    budgets: BudgetArgs,
    /// Most characters of a question
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    prompt_chars: usize,
    /// Print JSON: `{"winner","file","why","candidates","workspace"}`
    #[arg(long)]
    json: bool,
}

/// Who writes.
#[derive(clap::Args)]
struct ServiceArgs {
    /// The service's base, such as http://127.0.0.1:8080/v1 for llama.cpp
    #[arg(long)]
    url: Option<String>,
    /// The model
    #[arg(long)]
    model: Option<String>,
    /// A file with the service's key; a key is never an argument, where others would see it
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The model's temperature
    #[arg(long)]
    temperature: Option<f64>,
    /// The model's seed, where the service has one
    #[arg(long)]
    model_seed: Option<u64>,
    /// Most tokens of an answer
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// How long an answer may take
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

/// What this call may spend.
#[derive(clap::Args)]
struct BudgetArgs {
    /// Questions
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Tokens of questions and answers
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,
    /// Money, such as 2.50; needs the prices
    #[arg(
        long,
        value_name = "AMOUNT",
        requires = "price_in",
        requires = "price_out"
    )]
    money: Option<Money>,
    /// What a million tokens of questions cost
    #[arg(long, value_name = "AMOUNT", requires = "price_out")]
    price_in: Option<Money>,
    /// What a million tokens of answers cost
    #[arg(long, value_name = "AMOUNT", requires = "price_in")]
    price_out: Option<Money>,
    /// Time, the model's included
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    time: Option<Duration>,
    /// Simulated runs
    #[arg(long, value_name = "N")]
    evaluations: Option<u64>,
}

impl BudgetArgs {
    fn budgets(&self) -> Budgets {
        let prices = self.price_in.zip(self.price_out);
        Budgets {
            tokens: self.tokens,
            money: self.money,
            wall_ms: self
                .time
                .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            evaluations: self.evaluations,
            rounds: Some(self.rounds),
            prices: prices.map(|(input, output)| Prices { input, output }),
        }
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let flags = chat::Flags {
        url: args.service.url.clone(),
        model: args.service.model.clone(),
        key_file: args.service.key_file.clone(),
        temperature: args.service.temperature,
        seed: args.service.model_seed,
        max_tokens: args.service.max_tokens,
        timeout: args.service.timeout,
    };
    let configured = chat::configure(&flags, &|name| std::env::var(name).ok())?;
    for warning in &configured.warnings {
        eprintln!("note: {warning}");
    }
    let stop = stop::on_signals().context("cannot catch signals")?;
    let mut ledger = open(args)?;
    let requirement = requirement(args, &ledger)?;
    let (from, benchmark) = settings(args, &ledger)?;
    let compiler = judge::compiler(stop)?;
    let sandbox = Sandbox::new();
    let machines = args.how.machines()?;
    let taken = baton_author::taken();
    let checker = Checker {
        compiler: &compiler,
        sandbox: &sandbox,
        machines: Some(&machines as &dyn Machines),
        depth: args.how.depth(),
        taken: &taken,
    };
    let (start, from_source) = start(args, &from, &compiler, &checker, stop)?;
    let task = Task {
        requirement,
        from,
        from_source,
        start,
        benchmark,
        budgets: args.budgets.budgets(),
        chars_max: args.prompt_chars,
    };
    let mut see = |event: Event<'_>| tell(&event);
    let mut controller = Controller {
        service: &configured.service,
        checker: &checker,
        ledger: &mut ledger,
        stop,
        see: &mut see,
    };
    let outcome = controller.run(&task)?;
    report(args, &ledger, &outcome)
}

/// The workspace: a new one, or that which is to be gone on with.
fn open(args: &Args) -> anyhow::Result<Ledger> {
    let is_there = args.out.join("ledger.jsonl").exists();
    // A call that failed before there was a candidate left nothing to mix up.
    let is_used = is_there && !Ledger::read(&args.out)?.view.candidates.is_empty();
    if is_used && !args.goes_on {
        let message = format!(
            "{} has candidates already: go on with them (--continue), or name another workspace (--out)",
            args.out.display()
        );
        return fail(Code::Exists, message);
    }
    if !is_there && args.goes_on {
        let message = format!(
            "{} has no ledger to go on with: leave --continue out, or name its workspace (--out)",
            args.out.display()
        );
        return fail(Code::Other("no-ledger", 2), message);
    }
    let ledger = Ledger::open(&args.out)?;
    for note in ledger.notes() {
        eprintln!("note: {note}");
    }
    Ok(ledger)
}

fn requirement(args: &Args, ledger: &Ledger) -> anyhow::Result<String> {
    let before = ledger.view().run().map(|run| run.requirement.clone());
    let given = args.requirement.clone().or(before);
    match given.filter(|text| !text.trim().is_empty()) {
        Some(text) => Ok(text),
        None => fail(
            Code::Other("no-requirement", 2),
            "say what the policy is to do: baton author \"keep frames on time beside a build\"",
        ),
    }
}

/// What candidates are compared with, and by what. One that goes on does so by the same: figures of two
/// benchmarks, or beside two policies, cannot be held against each other.
fn settings(args: &Args, ledger: &Ledger) -> anyhow::Result<(String, Benchmark)> {
    let run = ledger.view().run();
    let used = run.filter(|_| !ledger.view().candidates.is_empty());
    let from_before = used.and_then(|run| run.from.clone());
    let before = used.and_then(|run| {
        serde_json::from_value::<Benchmark>(run.settings["benchmark"].clone()).ok()
    });
    let benchmark = args.how.benchmark(before.clone())?;
    let from = args.from.clone().or_else(|| from_before.clone());
    let from = from.unwrap_or_else(|| "edf".to_owned());
    let differs = before.is_some_and(|before| before != benchmark)
        || from_before.is_some_and(|before| before != from);
    if differs {
        let message = format!(
            "the candidates in {} were measured by other workloads, or beside another policy, and figures of both cannot \
             be compared: leave --from, --workload, --machine, --runs and --seed out, or name another workspace (--out)",
            args.out.display()
        );
        return fail(Code::Other("another-task", 2), message);
    }
    Ok((from, benchmark))
}

/// What candidates are compared with, and its source for the model.
fn start(
    args: &Args,
    from: &str,
    compiler: &baton_author::Compiler,
    checker: &Checker<'_>,
    stop: &std::sync::atomic::AtomicBool,
) -> anyhow::Result<(Start, Option<String>)> {
    let accepted = args.out.join("accepted").join(format!("{from}.rs"));
    let name = match accepted.is_file() {
        true => accepted.to_string_lossy().into_owned(),
        false => from.to_owned(),
    };
    let folder = args.out.join("start");
    let start = judge::start(&name, compiler, checker, &folder, stop)?;
    let source = match &start {
        Start::BuiltIn(name) => builtin::source(name),
        Start::Program(_) => {
            let path = Path::new(&name);
            let read = std::fs::read_to_string(path);
            Some(read.map_err(|error| Failure::io("read", path, &error))?)
        }
    };
    Ok((start, source))
}

/// What happens, a line each.
fn tell(event: &Event<'_>) {
    match event {
        Event::Profile => eprintln!("measuring what the workloads are like"),
        Event::Asking(id, round) => eprintln!("\nround {round}: asking for candidate {id}"),
        Event::Answered(answer) => {
            let cut = if answer.finish == Finish::Length {
                ", cut off at its greatest length"
            } else {
                ""
            };
            eprintln!(
                "answered in {:.1} s, {} tokens{cut}",
                answer.took.as_secs_f64(),
                answer.usage.total()
            );
        }
        Event::Failed(error) => eprintln!("no answer: {error}"),
        Event::Stage(stage, done) => {
            let done = done.map(|done| baton_author::StageDone {
                stage: done.stage,
                passed: done.passed,
                took_s: done.took_ms as f64 / 1000.0,
                diagnostics: done.diagnostics.clone(),
            });
            judge::tell(*stage, done.as_ref());
        }
        Event::Measured(measured) => eprint!("\n{}", measured.text()),
        Event::Hidden => eprintln!(
            "{:<12} ... where it could not know",
            Stage::Benchmark.name()
        ),
        // The stage's line told it.
        Event::Refused(_) => {}
        Event::Accepted(id, path) => eprintln!("candidate {id} is accepted: {}", path.display()),
        Event::Winner(id) => eprintln!("candidate {id} is the best so far"),
    }
}

fn report(args: &Args, ledger: &Ledger, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    let view = ledger.view();
    if args.json {
        let document = json!({
            "winner": outcome.winner,
            "file": outcome.file,
            "why": outcome.why,
            "candidates": view.candidates.len(),
            "workspace": ledger.directory(),
        });
        outln!("{document}");
    } else {
        out!("\n{}", ledger::list(view));
        outln!("\nended: {}", outcome.why);
        match &outcome.file {
            Some(file) => outln!(
                "the best is {0}; on a real kernel:\n  baton new mine && cp {0} mine/src/main.rs && cd mine\n  \
                 baton vm --policy . -- baton workload frames+hogs",
                file.display()
            ),
            None => outln!("nothing was accepted; `baton ledger show N` tells of each"),
        }
    }
    Ok(match (outcome.stopped, outcome.winner) {
        (true, _) => ExitCode::from(130),
        (false, Some(_)) => ExitCode::SUCCESS,
        (false, None) => ExitCode::FAILURE,
    })
}

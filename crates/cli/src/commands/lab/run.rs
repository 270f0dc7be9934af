//! `baton lab run`: the runs of an experiment, or what is left of them.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use anyhow::Context as _;
use baton::app::{Code, Failure};
use baton_lab::{
    Experiment,
    engine::{self, Assignment, Ended, Host, Sim},
    experiment::Backend,
    gather,
    journal::{Head, Journal, Session},
    judge::{Judgement, Rules, judge},
    report::Timeline,
    results::{Git, Results, Status},
    table::printable,
};
use baton_workload::stop;

use super::{
    guest,
    progress::Progress,
    resolve,
    summary::{self, Files},
};
use crate::failures::fail;

/// Run an experiment, or what is left of it
///
/// Each round runs every workload under every variant once, in an order drawn from the seed. What
/// was made is written down run by run in the directory of --out: after Ctrl-C, a crash or a power
/// cut the same command goes on where it was. At the end that directory has results.json and
/// report.html. In a VM, or on this machine, one run more is then made under each variant and
/// recorded, for the report's timelines, which name each task that ran meanwhile; Ctrl-C leaves
/// those out. A second Ctrl-C ends at once; a scheduler that has this machine is stopped first.
///
/// Exit status: 0 all runs were made and came to their end; 1 some did not, and the rest was
/// measured; 2 a mistake in what was asked; 3 this machine lacks something; 124 the experiment's
/// limit of time was reached; 130 Ctrl-C.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton lab run smoke
  baton lab run demo --out results/demo
  baton lab run experiments/interactive.toml --runs 20 --seed 7
  baton lab run interactive --backend sim
  sudo \"$(command -v baton)\" lab run mine.toml --backend host")]
pub(super) struct Args {
    /// The experiment: a name from `baton lab list`, or a file
    experiment: String,
    /// Where the runs are written down, and where results.json is in the end; by default a new
    /// directory in results/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs of each workload under each variant, instead of the experiment's own number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: Option<u32>,
    /// Seed of the order, the workloads and the names of tasks, instead of the experiment's own
    #[arg(long)]
    seed: Option<u64>,
    /// Where to run, instead of the experiment's own: sim, vm or host
    #[arg(long)]
    backend: Option<Backend>,
    /// Load schedulers on this machine without asking
    #[arg(long)]
    yes: bool,
    /// Print JSON: `{"directory","results","report","ended","made","planned","problems":[...],"judgement":{"cells":[...]}}`
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    // Mistakes are told before anything is built or started.
    let mut experiment = Experiment::find(&args.experiment)?;
    experiment.backend = args.backend.unwrap_or(experiment.backend);
    experiment.runs = args.runs.unwrap_or(experiment.runs);
    experiment.seed = args.seed.unwrap_or(experiment.seed);
    if args.runs.is_some() {
        experiment.boots = experiment.boots.min(experiment.runs);
    }
    let mut notes = experiment.check()?;
    if experiment.backend == Backend::Host {
        Host::check(experiment.loads_schedulers())?;
        ask(&experiment, args.yes)?;
    }
    let resolved = resolve::resolve(&mut experiment, &mut notes)?;
    notes
        .iter()
        .for_each(|note| eprintln!("note: {}", printable(note)));
    let stop = stop::on_signals().context("cannot catch signals")?;
    let directory = match &args.out {
        Some(directory) => directory.clone(),
        None => default_directory(&experiment.name),
    };
    let again = again(args, &directory);
    stop::last_words(again.clone());
    let mut journal = Journal::open(
        &directory,
        Head::new(&experiment, what(&experiment)),
        Session::now(resolved.versions.clone(), source()),
    )?;
    let assignment = experiment.assignment(resolved.launches.clone());
    let mut backend = backend(&experiment, &resolved, stop)?;
    // Nothing has to be given back but what runs are made with: what is written down is whole at any
    // time, and simulated runs end with the process.
    stop::end_at_once(experiment.backend == Backend::Sim);
    let ended = make(&experiment, &assignment, &mut journal, &mut *backend, stop)?;
    if stop::hurry().load(Ordering::Relaxed) {
        eprintln!("{again}");
        return Ok(ExitCode::from(130));
    }
    let results = gather::gather(&experiment, &journal, &notes);
    let judgement = judge(&results, &Rules::default());
    let found = Found {
        results,
        judgement,
        timelines: engine::recorded_timelines(&assignment, &journal),
    };
    // Before anything else is tried: what was measured is not to be lost.
    let files = found.write(&directory)?;
    let (ended, timelines) = match (ended, experiment.backend) {
        (ended, Backend::Sim) => {
            let made = engine::timelines(&experiment, &found.results, &found.judgement, stop);
            (ended, made)
        }
        (Ended::Done, _) => record(
            &experiment,
            &assignment,
            &mut journal,
            &found,
            &mut *backend,
            stop,
        ),
        (ended, _) => (ended, found.timelines.clone()),
    };
    stop::end_at_once(true);
    let found = Found { timelines, ..found };
    found.write_report(&directory)?;
    // Until here no other process writes its own between.
    drop(journal);
    report(
        args,
        &again,
        &found.results,
        &found.judgement,
        &ended,
        &files,
    )
}

/// The state of the source that this program was built from; see the build script.
fn source() -> Option<Git> {
    let commit = env!("BATON_COMMIT");
    let dirty = env!("BATON_DIRTY") == "true";
    (!commit.is_empty()).then(|| Git {
        commit: commit.to_owned(),
        dirty,
    })
}

/// What makes the runs.
fn backend<'a>(
    experiment: &'a Experiment,
    resolved: &resolve::Resolved,
    stop: &'a AtomicBool,
) -> anyhow::Result<Box<dyn engine::Backend + 'a>> {
    Ok(match experiment.backend {
        Backend::Sim => Box::new(Sim::new(experiment, stop)),
        Backend::Vm => Box::new(resolved.vm(experiment)?),
        Backend::Host => Box::new(Host(guest::local(stop, false)?)),
    })
}

/// Makes what is left of the runs.
fn make(
    experiment: &Experiment,
    assignment: &Assignment,
    journal: &mut Journal,
    backend: &mut dyn engine::Backend,
    stop: &AtomicBool,
) -> anyhow::Result<Ended> {
    let mut progress = Progress::new(experiment);
    let mut see = |seen: engine::Seen<'_>| progress.see(&seen);
    let ended = engine::run(assignment, journal, backend, stop, &mut see);
    progress.clear();
    Ok(ended?)
}

/// Has those runs recorded that were not, now that all others are made. What fails is only told.
fn record(
    experiment: &Experiment,
    assignment: &Assignment,
    journal: &mut Journal,
    found: &Found,
    backend: &mut dyn engine::Backend,
    stop: &AtomicBool,
) -> (Ended, Vec<Timeline>) {
    let mut progress = Progress::new(experiment);
    let mut see = |seen: engine::Seen<'_>| progress.see(&seen);
    let judged = (&found.results, &found.judgement);
    let (ended, problem) = engine::record(
        experiment, assignment, journal, judged, backend, stop, &mut see,
    );
    progress.clear();
    let problem = problem.map(|why| format!("the report lacks timelines: {why}"));
    for note in engine::missing_timelines(assignment, journal)
        .into_iter()
        .chain(problem)
    {
        eprintln!("note: {}", printable(&note));
    }
    let ended = match ended {
        Ended::Stopped => ended,
        // All that is measured is there.
        _ => Ended::Done,
    };
    (ended, engine::recorded_timelines(assignment, journal))
}

/// Asks whether this machine may be given to schedulers.
fn ask(experiment: &Experiment, yes: bool) -> anyhow::Result<()> {
    if yes || !experiment.loads_schedulers() {
        return Ok(());
    }
    let count = experiment
        .variants
        .iter()
        .filter(|variant| variant.same_as.is_none())
        .count();
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return fail(
            Code::Other("not-confirmed", 2),
            "this loads schedulers on this machine: say that you want it with --yes",
        );
    }
    // Those that are recorded, too.
    let runs = experiment.shape().cells().len() + count;
    eprint!(
        "This loads the schedulers of {count} variants on this machine, one after the other, for \
         {runs} runs; after each the kernel's own is back. Go on? [y/N] "
    );
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => fail(Code::Other("not-confirmed", 2), "nothing was loaded"),
    }
}

/// What the runs depend on beside the experiment's file: what it names, in full.
fn what(experiment: &Experiment) -> Vec<String> {
    let variants = experiment.variants.iter();
    let variants = variants.map(|variant| format!("{}: {}", variant.name, variant.what()));
    let works = experiment.workloads.iter();
    let works = works.map(|work| format!("{}: {}", work.name, work.run.what()));
    let machine = experiment
        .machine_file()
        .map(|machine| format!("{machine:?}"));
    variants.chain(works).chain(machine).collect()
}

fn default_directory(name: &str) -> PathBuf {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let now: String = now.chars().filter(|c| c.is_ascii_digit()).collect();
    let (date, time) = now.split_at(8.min(now.len()));
    Path::new("results").join(format!("{name}-{date}-{time}"))
}

/// What is written in the end.
struct Found {
    results: Results,
    judgement: Judgement,
    timelines: Vec<Timeline>,
}

impl Found {
    /// Writes results.json and report.html.
    fn write(&self, directory: &Path) -> anyhow::Result<Files> {
        let results = gather::write(directory, &self.results);
        Ok(Files {
            directory: directory.to_owned(),
            results: results.map_err(unwritten(directory, "results.json"))?,
            report: self.write_report(directory)?,
        })
    }

    fn write_report(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let page = baton_lab::report::html(&self.results, &self.judgement, &self.timelines)?;
        let written = gather::write_file(directory, "report.html", page.as_bytes());
        Ok(written.map_err(unwritten(directory, "report.html"))?)
    }
}

fn unwritten(directory: &Path, name: &str) -> impl FnOnce(std::io::Error) -> Failure {
    let path = directory.join(name);
    move |error| Failure::io("write", &path, &error)
}

/// How to go on with what was stopped.
fn again(args: &Args, directory: &Path) -> String {
    let mut words = vec!["baton lab run".to_owned(), args.experiment.clone()];
    words.extend(args.runs.map(|runs| format!("--runs {runs}")));
    words.extend(args.seed.map(|seed| format!("--seed {seed}")));
    words.extend(
        args.backend
            .map(|backend| format!("--backend {}", backend.name())),
    );
    words.push(format!("--out {}", directory.display()));
    format!("stopped; go on with: {}", words.join(" "))
}

/// Prints what was found; the exit status.
fn report(
    args: &Args,
    again: &str,
    results: &Results,
    judgement: &Judgement,
    ended: &Ended,
    files: &Files,
) -> anyhow::Result<ExitCode> {
    if args.json {
        let document = summary::document(results, judgement, ended, files);
        outln!("{}", serde_json::to_string(&document)?);
    } else {
        out!("{}", summary::text(results, judgement));
        outln!("\n{}\n{}", files.results.display(), files.report.display());
    }
    let all_well = results.runs.iter().all(|run| run.status == Status::Ok);
    match ended {
        Ended::Stopped => {
            eprintln!("{again}");
            Ok(ExitCode::from(130))
        }
        Ended::Limit => {
            eprintln!("the experiment's limit of time, total_s, was reached");
            Ok(ExitCode::from(124))
        }
        _ if all_well => Ok(ExitCode::SUCCESS),
        // The problems are in the document.
        _ if args.json => Ok(ExitCode::FAILURE),
        _ => fail(
            Code::Failure,
            "some runs did not come to their end; they are named above, and left out of the figures",
        ),
    }
}

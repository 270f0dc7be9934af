//! A candidate beside what it started from, by the lab: simulated rounds with an A/A check, and the lab's
//! verdicts.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use baton_lab::{
    Experiment,
    engine::{self, Ended, Foreign, Sim, Simulate},
    gather,
    journal::{Head, Journal, Session},
    judge::{Cell, Judgement, Rules, Scale, Verdict, judge},
    report,
    results::Results,
};
use baton_trial::protocol::{Ask, Found, Play};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Error, Program, Stage, error::file};

/// A metric that stands for its workload may become worse by this factor: simulated runs differ so little
/// from each other that less is shown.
const WORSE_MAX: f64 = 1.05;
/// Where it could not know, by this.
const UNSEEN_WORSE_MAX: f64 = 1.15;
const UNSEEN_COST_MAX: f64 = 3.0;
/// The other metrics may by this one, and no more: what is won is not to be taken from others altogether.
const COST_MAX: f64 = 1.5;
/// What a simulated run may take of real time.
const RUN_WALL: Duration = Duration::from_secs(60);

/// What a candidate is compared with.
#[derive(Clone, Debug)]
pub enum Start {
    /// A policy that comes with Baton, or `kernel`.
    BuiltIn(String),
    /// Another candidate.
    Program(Program),
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Benchmark {
    /// Workloads, as `baton sim --workload` takes them.
    pub workloads: Vec<String>,
    /// The machine.
    pub machine: String,
    /// Rounds.
    pub runs: u32,
    /// Seed of the order, the workloads and the names of tasks.
    pub seed: u64,
}

/// One figure of the candidate's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// The workload.
    pub workload: String,
    /// The metric, and its unit.
    pub metric: String,
    /// Whether it stands for the workload.
    pub primary: bool,
    /// The median under what it is compared with.
    pub start: Option<f64>,
    /// The median under the candidate.
    pub candidate: Option<f64>,
    /// How much worse, as a ratio: above 1 is worse.
    pub ratio: Option<f64>,
    /// The interval of the ratio, 95 %.
    pub interval: Option<[f64; 2]>,
    /// The lab's verdict.
    #[schemars(with = "String")]
    pub verdict: Verdict,
    /// Why.
    pub why: String,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// All figures.
    pub figures: Vec<Figure>,
    /// The geometric mean of the workloads' ratios: below 1 is better.
    pub mean_ratio: Option<f64>,
    /// What keeps it from being accepted; nothing if it is better.
    pub diagnostics: Vec<Diagnostic>,
}

impl Measured {
    /// Whether it is better by the lab's verdict, and nothing is worse.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// What is asked where it could not know: better somewhere by the lab's verdict, better in the mean, no
    /// workload much worse, none failed, and nothing bought too dearly.
    #[must_use]
    pub fn is_general(&self) -> bool {
        let is_sound = self.figures.iter().all(|figure| {
            let within = |most: f64| figure.ratio.is_none_or(|ratio| ratio <= most);
            match figure.verdict {
                Verdict::Failed | Verdict::Refused => false,
                Verdict::Worse if figure.primary => within(UNSEEN_WORSE_MAX),
                Verdict::Worse => within(UNSEEN_COST_MAX),
                _ => true,
            }
        });
        let is_better = |figure: &Figure| figure.primary && figure.verdict == Verdict::Better;
        is_sound
            && self.figures.iter().any(is_better)
            && self.mean_ratio.is_some_and(|ratio| ratio < 1.0)
    }

    /// The figures, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for figure in &self.figures {
            let number =
                |value: Option<f64>| value.map_or("--".to_owned(), baton_lab::table::figure);
            let ratio = figure
                .ratio
                .map_or("--".to_owned(), |ratio| format!("{ratio:.3}x"));
            let _ = writeln!(
                text,
                "{:<24} {:<28} {:>10} -> {:>10}  {ratio:>8}  {}{}",
                figure.workload,
                figure.metric,
                number(figure.start),
                number(figure.candidate),
                figure.verdict,
                if figure.primary { "" } else { " (secondary)" },
            );
        }
        text
    }
}

impl Benchmark {
    /// Measures the candidate; results.json and report.html are written into the directory, which is made.
    ///
    /// # Errors
    /// The benchmark cannot be run, or it was stopped.
    pub fn measure(
        &self,
        start: &Start,
        candidate: &Start,
        directory: &Path,
        stop: &AtomicBool,
    ) -> Result<Measured, Error> {
        fs::create_dir_all(directory).map_err(file("make", directory))?;
        let path = directory.join("benchmark.toml");
        fs::write(&path, self.experiment(start, candidate)).map_err(file("write", &path))?;
        let lab = |error: &dyn std::fmt::Display| Error::Lab(error.to_string());
        let mut experiment =
            Experiment::find(&path.to_string_lossy()).map_err(|error| lab(&error))?;
        let notes = experiment.check().map_err(|error| lab(&error))?;
        let mut programs = Programs::new(start, candidate, stop);
        if Path::new(&self.machine).is_file() {
            let text = fs::read_to_string(&self.machine).map_err(file("read", &self.machine))?;
            programs.machine_text = Some(text);
        }
        let mut sim = Sim::new(&experiment, stop).with_foreign(&programs);
        let journal = directory.join("journal");
        // Runs of a candidate that has changed since are of no use.
        let _ = fs::remove_dir_all(&journal);
        let what = vec![self.experiment(start, candidate)];
        let session = Session::now(BTreeMap::new(), None);
        let mut journal = Journal::open(&journal, Head::new(&experiment, what), session)
            .map_err(|error| lab(&error))?;
        let assignment = experiment.assignment(Vec::new());
        let ended = engine::run(&assignment, &mut journal, &mut sim, stop, &mut |_| {});
        match ended.map_err(|error| lab(&error))? {
            Ended::Done => {}
            Ended::Stopped => return Err(Error::Stopped),
            ended => return Err(Error::Lab(format!("the benchmark ended early: {ended:?}"))),
        }
        let failed = programs
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(error) = failed {
            return Err(error);
        }
        let results = gather::gather(&experiment, &journal, &notes);
        let judgement = judge(&results, &Rules::default());
        gather::write(directory, &results).map_err(file("write", directory))?;
        let page = report::html(&results, &judgement, &[]).map_err(|error| lab(&error))?;
        gather::write_file(directory, "report.html", page.as_bytes())
            .map_err(file("write", directory))?;
        Ok(measured(&results, &judgement))
    }

    /// The experiment's file.
    fn experiment(&self, start: &Start, candidate: &Start) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let of = |policy: &str| match policy {
            "kernel" => "kernel = true".to_owned(),
            policy => format!("policy = {}", quoted(policy)),
        };
        let variant = |start: &Start| match start {
            Start::BuiltIn(name) => of(name),
            Start::Program(program) => of(&program.path().to_string_lossy()),
        };
        let (start, candidate) = (variant(start), variant(candidate));
        let (machine, runs, seed) = (quoted(&self.machine), self.runs, self.seed);
        let mut text = format!(
            "name = \"candidate\"\ndescription = \"A candidate beside what it started from.\"\nbackend = \"sim\"\n\
             machine = {machine}\nruns = {runs}\nseed = {seed}\naa = true\n\n[limits]\nrun_s = 60\n\n\
             [[variant]]\nname = \"start\"\n{start}\n\n[[variant]]\nname = \"candidate\"\n{candidate}\n"
        );
        for workload in &self.workloads {
            let _ = write!(text, "\n[[workload]]\nrun = {}\n", quoted(workload));
        }
        text
    }
}

/// The programs of an experiment, each run in its sandbox.
struct Programs<'a> {
    machine_text: Option<String>,
    /// What went wrong with this machine, and not with a candidate.
    failed: Mutex<Option<Error>>,
    by_path: Vec<(String, &'a Program)>,
    stop: &'a AtomicBool,
}

impl<'a> Programs<'a> {
    fn new(start: &'a Start, candidate: &'a Start, stop: &'a AtomicBool) -> Self {
        let all = [start, candidate]
            .into_iter()
            .filter_map(|start| match start {
                Start::Program(program) => Some(program),
                Start::BuiltIn(_) => None,
            });
        let by_path = all.map(|program| (program.path().to_string_lossy().into_owned(), program));
        Self {
            machine_text: None,
            failed: Mutex::default(),
            by_path: by_path.collect(),
            stop,
        }
    }
}

impl Simulate for Programs<'_> {
    fn simulate(&self, program: &str, run: &Foreign) -> Result<baton_sim::Report, String> {
        let found = self.by_path.iter().find(|(path, _)| path == program);
        let (_, program) = found.ok_or("it is none of the experiment's programs")?;
        let ask = Ask::Play(Play {
            workload: run.workload.clone(),
            machine: run.machine.clone(),
            machine_text: self.machine_text.clone(),
            seed: run.seed,
            salt: Some(run.salt.clone()),
            limit_ns: u64::try_from(run.limit.as_nanos()).unwrap_or(u64::MAX),
            mode: run.mode,
            params: run.params.clone(),
        });
        match program.ask(Stage::Benchmark, ask, RUN_WALL, self.stop) {
            Ok(Ok(Found::Report(report))) => Ok(*report),
            Ok(Ok(Found::Wrong(findings))) => Err(findings
                .first()
                .map_or("it has no report".to_owned(), |found| found.message.clone())),
            Ok(Err(diagnostic)) => Err(diagnostic.message),
            Err(error) => {
                let problem = error.to_string();
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(error);
                Err(problem)
            }
        }
    }
}

/// What the lab's judgement says of a candidate.
fn measured(results: &Results, judgement: &Judgement) -> Measured {
    let cells: Vec<&Cell> = judgement
        .cells
        .iter()
        .filter(|cell| cell.variant == "candidate")
        .collect();
    let figures: Vec<Figure> = cells.iter().map(|cell| figure(cell)).collect();
    let ratios: Vec<f64> = figures
        .iter()
        .filter(|figure| figure.primary)
        .filter_map(|figure| figure.ratio)
        .collect();
    let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for figure in &figures {
        // One for each workload: what stands for it comes first, and the rest follows from it.
        if !told.contains(&&*figure.workload)
            && let Some(objection) = objection(figure)
        {
            diagnostics.push(objection);
            told.push(&figure.workload);
        }
    }
    let is_better = |figure: &Figure| figure.primary && figure.verdict == Verdict::Better;
    if diagnostics.is_empty() && !figures.iter().any(is_better) {
        let message = "no workload is better than under what it started from, by the lab's verdict";
        diagnostics.push(
            Diagnostic::new(Stage::Benchmark, "not-better", message).help(
                "Change what matters for the workloads' own figures: who waits, how long, and whose CPU is taken.",
            ),
        );
    }
    let mean_ratio = (!ratios.is_empty()).then(|| (logs / ratios.len() as f64).exp());
    if diagnostics.is_empty() && mean_ratio.is_some_and(|ratio| ratio >= 1.0) {
        let message = "what is better in one workload is lost in the others: over all of them it is no better";
        diagnostics.push(
            Diagnostic::new(Stage::Benchmark, "not-better", message)
                .help("Keep what was gained, and find what the other workloads lost."),
        );
    }
    if let Some(problem) = results.runs.iter().find_map(|run| {
        let own = run.variant == "candidate";
        own.then(|| run.problem.clone()).flatten()
    }) {
        diagnostics.insert(
            0,
            Diagnostic::new(
                Stage::Benchmark,
                "run-failed",
                format!("a measured run failed: {problem}"),
            ),
        );
    }
    Measured {
        mean_ratio,
        figures,
        diagnostics,
    }
}

fn figure(cell: &Cell) -> Figure {
    let ratio = cell.effect.filter(|effect| effect.scale == Scale::Ratio);
    Figure {
        workload: cell.workload.clone(),
        metric: cell.metric.clone(),
        primary: cell.primary,
        start: cell.baseline.median,
        candidate: cell.sample.median,
        ratio: ratio.map(|effect| effect.median),
        interval: ratio.map(|effect| [effect.low, effect.high]),
        verdict: cell.verdict,
        why: cell.why.clone(),
    }
}

/// What speaks against the candidate in a figure.
fn objection(figure: &Figure) -> Option<Diagnostic> {
    let name = format!("{} of {}", figure.metric, figure.workload);
    let ratio = figure
        .ratio
        .map_or(String::new(), |ratio| format!(", {ratio:.2}x"));
    let is_more = |most: f64| figure.ratio.is_none_or(|ratio| ratio > most);
    let (code, message) = match figure.verdict {
        Verdict::Worse if figure.primary && is_more(WORSE_MAX) => {
            ("worse", format!("{name} is worse{ratio}"))
        }
        Verdict::Worse if !figure.primary && is_more(COST_MAX) => (
            "costs",
            format!("{name} is much worse{ratio}: that is too high a price"),
        ),
        Verdict::Failed | Verdict::Refused => ("failed", format!("{name}: {}", figure.why)),
        _ => return None,
    };
    Some(Diagnostic::new(Stage::Benchmark, code, message).help(
        "Be no worse on any workload: find what the change takes from this one, and limit it.",
    ))
}

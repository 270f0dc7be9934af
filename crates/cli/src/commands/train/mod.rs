//! `baton train` and `baton eval`: from recordings to a model of bursts, and how good one is.

mod eval;
pub(crate) mod load;
mod print;

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use baton::app::{Code, Failure};
use baton_model::{Defect, Model, ModelFile};
use baton_train::{
    Data,
    boost::{self, TrainError},
    judge::{self, By, Trainer},
    mlp,
};
use clap::ValueEnum;

pub(crate) use eval::{Args as EvalArgs, execute as execute_eval};

/// Learn from recordings how long tasks will compute
///
/// A burst is the CPU time of a task from a wakeup to its next sleep. Each recording is of one
/// application and has its name, without the suffix; what was there before, and the kernel's own
/// tasks, are applications of their own. Each application is held out in turn: the table
/// tells how good the trainers, and rules that need no training, guess its bursts from
/// what was learned of the others. Machines can be held out instead: recordings tell theirs, and those
/// of one application on two machines have the same name in different folders. The model that is written
/// has learned from all of them, but for the last fifth of each recording, which tells when to stop.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo baton record -o build.rec -- make -j8
  baton train build.rec editor.rec database.rec -o bursts.json
  baton train *.rec --trainer trees --trainer network --trainer reference
  baton train *.rec --data all.bursts
  baton train all.bursts -o bursts.json
  baton train here/*.rec there/*.rec --split machine
  baton train here/*.rec there/*.rec --data small.bursts --data-size 2048 --data-only")]
pub(crate) struct Args {
    /// Recordings, or data sets that `--data` wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How to train: each with a column of its own; the first one makes the model
    #[arg(long, value_enum, default_value = "trees")]
    trainer: Vec<Kind>,

    /// The model to write
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the samples of all files too, as a data set
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Thin that data set to a file of at most so many KiB: evenly, each application on each machine to
    /// equally many samples if it has more; which ones, the seed says. What is learned is learned from these
    #[arg(long, value_name = "KIB", requires = "data", value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    data_size: Option<u32>,

    /// Write the data set, and train nothing
    #[arg(long, requires = "data", conflicts_with_all = ["trainer", "output", "split"])]
    data_only: bool,

    /// What to hold out for the table
    #[arg(long, value_enum, default_value = "application")]
    split: Split,

    /// Samples of an application on a machine, at most; which ones, the seed says
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1000..))]
    samples: u32,

    /// Leave an application out of everything, to judge the model by it; may be repeated
    #[arg(long, value_name = "APPLICATION")]
    without: Vec<String>,

    /// Seed of whatever is random
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to hold out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Split {
    /// Each application in turn
    Application,
    /// Each machine in turn, with all its applications
    Machine,
    /// The last fifth of each recording's time
    Time,
}

impl From<Split> for By {
    fn from(split: Split) -> Self {
        match split {
            Split::Application => Self::Application,
            Split::Machine => Self::Machine,
            Split::Time => Self::Time,
        }
    }
}

/// A way to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Gradient-boosted trees
    Trees,
    /// A dense network with 10 hidden neurons
    Network,
    /// The network of the first learned schedulers: name and priority in, 32 wide, squared error
    Reference,
}

impl Kind {
    fn trainer(self, seed: u64) -> Trainer {
        match self {
            Self::Trees => Trainer::Trees(boost::Config::default()),
            Self::Network => Trainer::Network(mlp::Config {
                seed,
                ..mlp::Config::default()
            }),
            Self::Reference => Trainer::Reference(mlp::Config {
                seed,
                ..mlp::Config::reference()
            }),
        }
    }
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    if args.output.is_some() && args.trainer.first() == Some(&Kind::Reference) {
        return Err(Failure::new(
            Code::Usage,
            "the reference network predicts milliseconds and cannot be a model: name trees or network \
             first, or leave --output out",
        )
        .into());
    }
    let all = load::all(&args.files)?;
    let mut all = all.without(&args.without).map_err(|name| {
        let message = format!("no recording is of {name}, which --without names");
        Failure::new(Code::Usage, message)
    })?;
    if let Some(path) = &args.data {
        if let Some(size) = args.data_size {
            let thinned = all.thinned_to(size as usize * 1024, args.seed);
            all = thinned.map_err(|error| load::bad_data(path, &error))?;
        }
        let written = all.write(path);
        written.map_err(|error| load::io(path, "write", &error))?;
        if args.data_only {
            print::data(args.json, path, &all)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    train(args, &all)
}

/// Prints the table of what is held out, and writes the model of all if one is wanted.
fn train(args: &Args, all: &Data) -> anyhow::Result<ExitCode> {
    let by = By::from(args.split);
    let data = all.thinned(args.samples as usize, args.seed);
    let trainers: Vec<Trainer> = args
        .trainer
        .iter()
        .map(|kind| kind.trainer(args.seed))
        .collect();
    let mut progress = Progress::new();
    let mut told = |what: &str, step, of, loss| progress.step(what, step, of, loss);
    let found = judge::by(by, &data, &trainers, &mut told).map_err(untrained)?;
    if found.is_empty() {
        progress.clear();
        return Err(Failure::new(
            Code::Other("too-few", 2),
            format!(
                "no application that is held out has {} bursts that are whole: record longer",
                judge::SAMPLES_MIN
            ),
        )
        .into());
    }
    let digest = match &args.output {
        Some(path) => {
            let model = train_on_all(&data, &trainers[0], &mut progress)?;
            let samples = args.samples as usize;
            let mut provenance = judge::provenance(all, samples, args.seed, &trainers[0], by);
            if !args.without.is_empty() {
                provenance.split += &format!("; without {}", args.without.join(", "));
            }
            let file = ModelFile {
                model,
                provenance,
                scores: judge::scores_for_file(&found, trainers[0].name()),
            };
            file.write(path)
                .map_err(|error| load::io(path, "write", &error))?;
            Some(file.digest()?)
        }
        None => None,
    };
    progress.clear();
    print::Report {
        by,
        samples: data.samples.len(),
        data: &all.digest(),
        found: &found,
        model: args.output.as_deref().zip(digest.as_deref()),
    }
    .print(args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn untrained(error: TrainError) -> Failure {
    let code = match error {
        TrainError::TooFew(..) => "too-few",
        TrainError::OneMachine(_) => "one-machine",
        TrainError::Constant => "nothing-varies",
        TrainError::Diverged { .. } | TrainError::Defect(_) => "not-trained",
    };
    Failure::new(Code::Other(code, 2), error.to_string())
}

/// The model of all applications.
fn train_on_all(data: &Data, trainer: &Trainer, progress: &mut Progress) -> anyhow::Result<Model> {
    let split = baton_train::Split::by_time(data, 0.0);
    let mut told = |step, of, loss| progress.step("the model", step, of, loss);
    let trained = trainer.train(&split, &mut told).map_err(untrained)?;
    let model = trained.model().cloned();
    model.ok_or_else(|| untrained(Defect::Milliseconds.into()).into())
}

/// One line on standard error, if a person watches.
struct Progress {
    watched: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            watched: std::io::stderr().is_terminal(),
        }
    }

    fn step(&mut self, what: &str, step: usize, of: usize, loss: f64) {
        if self.watched {
            eprint!("\r\x1b[K{what}: step {step} of at most {of}, loss {loss:.3}");
            let _ = std::io::stderr().flush();
        }
    }

    fn clear(&mut self) {
        if self.watched {
            eprint!("\r\x1b[K");
        }
    }
}

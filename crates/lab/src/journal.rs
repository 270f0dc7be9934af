//! What an experiment has done so far, in `journal.jsonl` of its directory: a line for each run, so
//! that one that was interrupted or killed goes on where it was.
//!
//! A line is on the disk before the next run starts. The last one may be torn, where the machine or
//! the process died; it is cut off and its run made again. Whoever writes has the file locked.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use baton_workload::Calibration;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Assignment, Recording},
    results::{Git, Metric, Run},
};

/// The number of this format.
const SCHEMA: u32 = 1;
const FILE: &str = "journal.jsonl";

/// Why a journal cannot be used. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory or the file cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process writes it.
    #[error(
        "another `baton lab run` works in {}: wait for its end, or give another --out",
        directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory has results that are not of a journal's.
    #[error(
        "{} has a results.json without a journal, which would be lost: give another --out",
        directory.display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory is that of another experiment.
    #[error(
        "{} holds another experiment: {difference}; give another --out, or take that back",
        directory.display()
    )]
    Differs {
        /// The directory.
        directory: PathBuf,
        /// What differs first.
        difference: String,
    },
    /// A line that is none.
    #[error("{}:{line}: {problem}; give another --out", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
}

/// What the runs depend on: a journal goes on only with the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the journal's format.
    pub schema: u32,
    /// The experiment's name.
    pub experiment: String,
    /// The experiment's file.
    pub source: String,
    /// `sim`, `vm` or `host`.
    pub backend: String,
    /// Rounds.
    pub runs: u32,
    /// The seed.
    pub seed: u64,
    /// What was compared, run, and on which machine, with all that files beside the experiment's
    /// say of it.
    pub what: Vec<String>,
}

/// A process that went on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its begin, RFC 3339 in UTC.
    pub begun: String,
    /// A number that is another one for another build of Baton.
    pub build: String,
    /// The commit of Baton's source.
    pub git: Option<Git>,
    /// Versions of what took part.
    pub versions: BTreeMap<String, String>,
    /// The processor.
    pub processor: String,
}

/// The machine that runs were made on, told at its boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Booted {
    /// The kernel's release; of the simulator, empty.
    pub kernel: String,
    /// Its CPUs.
    pub cpus: u32,
    /// `kvm` or `emulation`, in a VM.
    pub accelerator: Option<String>,
    /// What a CPU does there; measured at the first boot, and the same for all.
    pub calibration: Option<Calibration>,
}

/// A run that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Its place in the plan.
    pub position: usize,
    /// Seconds from the session's begin to the run's end.
    pub at_s: f64,
    /// What came of it.
    pub run: Run,
    /// What its values are.
    pub metrics: Vec<Metric>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The first.
    Head(Head),
    /// The first of each process.
    Session(Session),
    /// The machine was booted.
    Boot(Booted),
    /// A run was made.
    Run(Box<Made>),
    /// The guest's kernel died in the run at this place.
    Died(usize),
    /// After all runs, one was made once more, recorded, or could not be.
    Timeline(Box<Recording>),
}

/// A journal that this process alone writes.
#[derive(Debug)]
pub struct Journal {
    file: Flock<File>,
    path: PathBuf,
    lines: Vec<Line>,
    /// The line of each run that was made, by its place in the plan.
    made: BTreeMap<usize, usize>,
}

impl Head {
    /// The first line of a journal for this.
    #[must_use]
    pub fn new(experiment: &crate::Experiment, what: Vec<String>) -> Self {
        Self {
            schema: SCHEMA,
            experiment: experiment.name.clone(),
            source: experiment.source.clone(),
            backend: experiment.backend.name().to_owned(),
            runs: experiment.runs,
            seed: experiment.seed,
            what,
        }
    }

    /// What another one has that differs, if anything.
    fn difference(&self, had: &Self) -> Option<String> {
        let differ = |what: &str, had: &str, now: &str| {
            (had != now).then(|| format!("its {what} is {had}, and now {now}"))
        };
        let what = || {
            let mut pairs = had.what.iter().zip(&self.what);
            let pair = pairs.find(|(had, now)| had != now);
            pair.map(|(had, now)| format!("it has `{had}`, and now `{now}`"))
        };
        differ(
            "journal's format",
            &had.schema.to_string(),
            &self.schema.to_string(),
        )
        .or_else(|| differ("name", &had.experiment, &self.experiment))
        .or_else(|| differ("backend", &had.backend, &self.backend))
        .or_else(|| {
            differ(
                "number of runs",
                &had.runs.to_string(),
                &self.runs.to_string(),
            )
        })
        .or_else(|| differ("seed", &had.seed.to_string(), &self.seed.to_string()))
        .or_else(what)
        .or_else(|| (self != had).then(|| "its file was changed since".to_owned()))
    }
}

impl Journal {
    /// Opens the journal of this directory, or begins one, and writes the first line of a session.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(directory: &Path, head: Head, session: Session) -> Result<Self, Error> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        fs::create_dir_all(directory).map_err(io(directory))?;
        let path = directory.join(FILE);
        if !path.exists() && directory.join("results.json").exists() {
            return Err(Error::Foreign {
                directory: directory.to_owned(),
            });
        }
        let mut options = File::options();
        options.read(true).append(true).create(true);
        let file = options.open(&path).map_err(io(&path))?;
        let file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(
                |(_, errno)| match errno {
                    nix::errno::Errno::EWOULDBLOCK => Error::InUse {
                        directory: directory.to_owned(),
                    },
                    errno => io(&path)(errno.into()),
                },
            )?;
        let mut journal = Self {
            file,
            path: path.clone(),
            lines: Vec::new(),
            made: BTreeMap::new(),
        };
        journal.read()?;
        match journal.lines.first() {
            None => journal.add(Line::Head(head))?,
            Some(Line::Head(had)) => {
                if let Some(difference) = head.difference(had) {
                    return Err(Error::Differs {
                        directory: directory.to_owned(),
                        difference,
                    });
                }
            }
            Some(_) => return Err(journal.damaged(1, "it does not begin as a journal does")),
        }
        journal.add(Line::Session(session))?;
        Ok(journal)
    }

    /// Reads the lines, and cuts off a torn last one.
    fn read(&mut self) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: self.path.clone(),
            source,
        };
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.file.read_to_end(&mut bytes).map_err(io)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if whole < bytes.len() {
            self.file.set_len(whole as u64).map_err(io)?;
        }
        let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate() {
            let line = serde_json::from_slice(line).map_err(|error| {
                self.damaged(index + 1, &format!("this is no line of a journal: {error}"))
            })?;
            self.keep(line);
        }
        Ok(())
    }

    /// Holds the lines against the plan: what is not of it would be counted as if it were.
    ///
    /// # Errors
    /// A line is of another plan.
    pub fn check(&self, assignment: &Assignment) -> Result<(), Error> {
        let cells = assignment.shape.cells();
        let stray =
            |position| (position >= cells.len()).then(|| format!("the plan has no run {position}"));
        for (index, line) in self.lines.iter().enumerate() {
            let problem = match line {
                Line::Run(made) => {
                    assignment.mismatch(&cells, made.position, &made.run, &made.metrics)
                }
                Line::Died(position) => stray(*position),
                Line::Timeline(recording) => stray(recording.position),
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(self.damaged(index + 1, &problem));
            }
        }
        Ok(())
    }

    fn keep(&mut self, line: Line) {
        if let Line::Run(made) = &line {
            self.made.insert(made.position, self.lines.len());
        }
        self.lines.push(line);
    }

    fn damaged(&self, line: usize, problem: &str) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            line,
            problem: problem.to_owned(),
        }
    }

    /// Adds a line, which is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, line: Line) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: self.path.clone(),
            source,
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| io(error.into()))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(io)?;
        self.file.sync_data().map_err(io)?;
        self.keep(line);
        Ok(())
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The runs that were made, in the order of the plan.
    pub fn made(&self) -> impl Iterator<Item = &Made> {
        let lines = self.made.values().map(|&line| &self.lines[line]);
        lines.filter_map(|line| match line {
            Line::Run(made) => Some(&**made),
            _ => None,
        })
    }

    /// How many runs were made.
    #[must_use]
    pub fn made_count(&self) -> usize {
        self.made.len()
    }

    /// Whether the run at this place of the plan was made.
    #[must_use]
    pub fn has_made(&self, position: usize) -> bool {
        self.made.contains_key(&position)
    }

    /// The boots so far.
    pub fn boots(&self) -> impl Iterator<Item = &Booted> {
        self.lines.iter().filter_map(|line| match line {
            Line::Boot(booted) => Some(booted),
            _ => None,
        })
    }

    /// The runs that were made once more, recorded, or could not be.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        self.lines.iter().filter_map(|line| match line {
            Line::Timeline(recording) => Some(&**recording),
            _ => None,
        })
    }

    /// How often the guest died in the run at this place.
    #[must_use]
    pub fn deaths(&self, position: usize) -> usize {
        let died = |line: &&Line| matches!(line, Line::Died(at) if *at == position);
        self.lines.iter().filter(died).count()
    }

    /// Seconds that all sessions took together, from their begin to their last run.
    #[must_use]
    pub fn wall_s(&self) -> f64 {
        let (mut sum_s, mut session_s) = (0.0, 0.0);
        for line in &self.lines {
            match line {
                Line::Session(_) => {
                    sum_s += session_s;
                    session_s = 0.0;
                }
                Line::Run(made) => session_s = f64::max(session_s, made.at_s),
                _ => {}
            }
        }
        sum_s + session_s
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;

//! The directory of a build: its sources, and what its programs share.

use super::PART;
use super::task::{self, Task};
use crate::entry;
use crate::error::{Error, NO_SCRATCH};
use crate::names;
use crate::real::Context;
use crate::real::make::Step;
use crate::spec::Build;
use crate::sys::shared::SharedCounters;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use tempfile::TempDir;

/// The least and the greatest size of a source in bytes.
const SOURCE_BYTES: (usize, usize) = (2 << 10, 24 << 10);
/// The size of a header in bytes.
const HEADER_BYTES: usize = 12 << 10;
/// The programs' work between two counts.
const CHUNK_NS: f64 = 100_000.0;

/// A build's directory; removed in the end.
pub(super) struct Shop {
    dir: TempDir,
    counters: SharedCounters,
    build: Build,
    seed: u64,
    units_per_ns: f64,
    chunk: u64,
    unit_program: PathBuf,
    link_program: PathBuf,
    /// The build whose units are being started, and their lengths.
    lengths: RefCell<Option<(u32, Vec<u64>)>>,
}

impl Shop {
    /// Makes the directory with all that a build reads.
    pub(super) fn open(build: &Build, context: &Context<'_>) -> Result<Self, Error> {
        let program = program(context)?;
        let refused = || Error::os(PART, "files", NO_SCRATCH);
        let dir = tempfile::Builder::new()
            .prefix(&format!("baton-build-{}-", std::process::id()))
            .tempdir()
            .map_err(refused())?;
        let named = |role| dir.path().join(names::task_name(role, context.salt));
        let (unit_program, link_program) = (named(names::BUILD_UNIT), named(names::BUILD_LINK));
        let jobs = build.jobs.on(context.cpus);
        let fill = || {
            // A process is called as the file by which it was executed.
            symlink(&program, &unit_program)?;
            symlink(&program, &link_program)?;
            File::create(dir.path().join(task::LOG))?;
            write_inputs(dir.path(), build, context.seed)?;
            SharedCounters::create(&dir.path().join(task::COUNTERS), task::counters(jobs))
        };
        let counters = fill().map_err(refused())?;
        Ok(Self {
            counters,
            build: build.clone(),
            seed: context.seed,
            units_per_ns: context.calibration.units_per_ms / 1e6,
            chunk: context.calibration.units(CHUNK_NS),
            unit_program,
            link_program,
            lengths: RefCell::default(),
            dir,
        })
    }

    /// The program of a step, ready to be started.
    pub(super) fn command(&self, step: Step, slot: usize) -> Command {
        let (program, work_ns) = match step {
            Step::Unit { build, index } => (&self.unit_program, self.unit_ns(build, index)),
            Step::Link { .. } => (&self.link_program, self.build.link_ns()),
        };
        let task = Task {
            dir: self.dir.path().to_owned(),
            step,
            units: self.build.units,
            slot,
            work: ((work_ns as f64 * self.units_per_ns) as u64).max(1),
            chunk: self.chunk,
        };
        let mut command = Command::new(program);
        command
            .arg0(entry::MARK)
            .args(task.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log().map_or_else(|_| Stdio::null(), Stdio::from));
        command
    }

    fn unit_ns(&self, build: u32, index: u32) -> u64 {
        let mut lengths = self.lengths.borrow_mut();
        // All units of a build are started before the first of the next.
        let (_, units) = match lengths.take() {
            Some(known) if known.0 == build => lengths.insert(known),
            _ => lengths.insert((build, self.build.units_ns(self.seed, build))),
        };
        units[index as usize]
    }

    fn log(&self) -> io::Result<File> {
        File::options()
            .append(true)
            .open(self.dir.path().join(task::LOG))
    }

    /// The first line that a program has said.
    pub(super) fn complaint(&self) -> String {
        let said = fs::read_to_string(self.dir.path().join(task::LOG)).unwrap_or_default();
        said.lines().next().unwrap_or_default().to_owned()
    }

    /// How many programs have begun their work.
    pub(super) fn started(&self) -> u64 {
        self.counters[task::STARTED].load(Ordering::Relaxed)
    }

    /// The units that all programs have computed.
    pub(super) fn work(&self) -> u64 {
        let slots = self.counters.iter().skip(task::LINE).step_by(task::LINE);
        slots.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Removes the directory; tells what a person must do if that fails.
    pub(super) fn close(self) -> Option<String> {
        let path = self.dir.path().to_owned();
        let error = self.dir.close().err()?;
        Some(format!("{} is left ({error}); remove it", path.display()))
    }
}

/// The program that is to be executed again.
fn program(context: &Context<'_>) -> Result<PathBuf, Error> {
    match context.program {
        Some(program) => Ok(program.to_owned()),
        // Not its path: the file may have been replaced since.
        None if entry::is_called() => Ok(PathBuf::from("/proc/self/exe")),
        None => Err(Error::missing(
            PART,
            "this program cannot be executed again as a unit",
            "it must call baton_workload::run_if_child() first thing in main",
        )),
    }
}

/// Writes headers and sources, the same for the same seed.
fn write_inputs(dir: &Path, build: &Build, seed: u64) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; HEADER_BYTES];
    for header in 0..task::HEADERS {
        random.fill(&mut bytes);
        fs::write(task::header(dir, header), &bytes)?;
    }
    for index in 0..build.units {
        bytes.resize(random.usize(SOURCE_BYTES.0..=SOURCE_BYTES.1), 0);
        random.fill(&mut bytes);
        fs::write(task::source(dir, index), &bytes)?;
    }
    fs::create_dir(task::objects(dir))
}

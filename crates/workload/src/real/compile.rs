//! Runs [`Compile`]: gcc, up to so many at a time, and the links.

mod toolchain;

use super::make::{Made, Maker, Step, Steps, make};
use super::{Context, LOOK_INTERVAL};
use crate::error::{Error, NO_SCRATCH};
use crate::report::{Better, PartReport, millis, seconds};
use crate::spec::{Builds, Compile};
use crate::sys::program::Program;
use crate::sys::{clock, poll};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use toolchain::Gcc;

pub(crate) use toolchain::files;

const PART: &str = "compile";
/// The programs that are linked, each with a unit of its own that has its `main`.
const PROGRAMS: [&str; 2] = ["lua", "luac"];
/// What the compiled program must manage to do.
const CHECK: [&str; 2] = ["-e", "os.exit(6 * 7 == 42)"];
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// Where programs say what is wrong.
const LOG: &str = "log";

/// The compilation of one run.
struct Site<'a> {
    context: &'a Context<'a>,
    gcc: Gcc,
    optimize: u32,
    /// Where the sources are, and their names without extension.
    source: PathBuf,
    units: Vec<String>,
    dir: TempDir,
}

pub(crate) fn run(compile: &Compile, context: &Context<'_>) -> Result<PartReport, Error> {
    let site = Site::new(compile, context)?;
    let jobs = compile.jobs.on(context.cpus);
    context.gate.ready();
    let start_ns = context.gate.wait_foreground().then(clock::now_ns);
    let steps = Steps::new(
        site.units.len() as u32,
        PROGRAMS.len() as u32,
        Builds::Fixed(1),
    );
    let made = match start_ns {
        Some(_) => Some(make(&site, steps, jobs)?),
        None => None,
    };
    let mut report = site.report(start_ns.unwrap_or(0), made.as_ref());
    if made.is_some_and(|made| made.complete) {
        site.check()?;
    }
    let path = site.dir.path().to_owned();
    if let Err(error) = site.dir.close() {
        let note = format!("{} is left ({error}); remove it", path.display());
        report.notes.push(note);
    }
    Ok(report)
}

/// The source's directory of C files and their names without extension, in the order of the names.
fn units(source: &Path) -> Result<(PathBuf, Vec<String>), Error> {
    let directory = source.join("src");
    let list = || -> io::Result<Vec<String>> {
        let files = fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>()?;
        let names = files
            .iter()
            .filter_map(|file| file.file_name().into_string().ok());
        Ok(names
            .filter_map(|name| name.strip_suffix(".c").map(str::to_owned))
            .collect())
    };
    let mut units = list().unwrap_or_default();
    units.sort_unstable();
    if PROGRAMS
        .iter()
        .all(|&program| units.iter().any(|unit| unit == program))
    {
        return Ok((directory, units));
    }
    Err(Error::missing(
        PART,
        format!(
            "{} is not the source of Lua, it has no src/lua.c",
            source.display()
        ),
        format!(
            "unpack Debian's source package {} there",
            Compile::SOURCE_PACKAGE
        ),
    ))
}

/// The options by which a unit is compiled.
fn options(optimize: u32) -> [String; 3] {
    ["-std=gnu99".into(), "-w".into(), format!("-O{optimize}")]
}

impl<'a> Site<'a> {
    fn new(compile: &Compile, context: &'a Context<'a>) -> Result<Self, Error> {
        let source = context.source.ok_or_else(|| {
            Error::missing(
                PART,
                "there is no source to compile",
                "the caller must give RunOptions::source",
            )
        })?;
        let (source, units) = units(source)?;
        let gcc = Gcc::find()?;
        let scratch = || {
            let dir = tempfile::Builder::new()
                .prefix(&format!("baton-compile-{}-", std::process::id()))
                .tempdir()?;
            File::create(dir.path().join(LOG))?;
            Ok(dir)
        };
        Ok(Self {
            context,
            gcc,
            optimize: compile.optimize,
            source,
            units,
            dir: scratch().map_err(Error::os(PART, "files", NO_SCRATCH))?,
        })
    }

    fn object(&self, unit: &str) -> PathBuf {
        self.dir.path().join(unit).with_extension("o")
    }

    /// A program with nothing to read that says what it has to say into the log.
    fn quiet(&self, program: impl AsRef<Path>) -> Command {
        let log = || File::options().append(true).open(self.dir.path().join(LOG));
        let said = || log().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = Command::new(program.as_ref());
        command
            .stdin(Stdio::null())
            .stdout(said())
            .stderr(said())
            // For the compiler's own temporary files: those of one that is killed stay behind.
            .env("TMPDIR", self.dir.path())
            .env("LC_ALL", "C");
        command
    }

    /// Whether the compiled program works.
    fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Error::worker(PART, format!("the compiled program {what}"));
        let lua = self.dir.path().join(PROGRAMS[0]);
        let mut command = self.quiet(lua);
        let mut program = Program::start(command.args(CHECK))
            .map_err(|error| wrong(format!("does not start ({error})")))?;
        let ended = poll::any_readable([program.as_fd()], CHECK_LIMIT);
        match ended.and_then(|_| program.try_wait()) {
            Ok(Some(0)) => Ok(()),
            Ok(Some(status)) => Err(wrong(format!("ends with {status}"))),
            Ok(None) => Err(wrong("does not end".to_owned())),
            Err(error) => Err(wrong(format!("is lost ({error})"))),
        }
    }

    fn report(&self, start_ns: u64, made: Option<&Made>) -> PartReport {
        let mut report = PartReport::new(PART);
        let elapsed_ns = made.map_or(0, |made| made.end_ns.saturating_sub(start_ns));
        report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
        let Some(made) = made else {
            report.unfinished = Some("not started".to_owned());
            return report;
        };
        let (units, times) = (made.unit_times.count(), &made.unit_times);
        let rate = units as f64 / seconds(elapsed_ns.max(1));
        report.metric("units_per_s", "1/s", rate, Better::Higher);
        for (name, quantile) in [("unit_p50_ms", 0.5), ("unit_p99_ms", 0.99)] {
            let value = millis(times.quantile_ns(quantile));
            report.metric(name, "ms", value, Better::Lower);
        }
        report.metric("units", "units", units as f64, Better::Higher);
        report.histogram("unit", times);
        if !made.complete {
            report.unfinished = Some(format!("{units} of {} units", self.units.len()));
        }
        let project = self
            .source
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default();
        let (project, version) = (project.to_string_lossy(), &self.gcc.version);
        report.notes.push(format!("{project} by gcc {version}"));
        report
    }
}

impl Maker for Site<'_> {
    const PART: &'static str = PART;

    fn command(&self, step: Step, _slot: usize) -> Command {
        let mut command = self.quiet(&self.gcc.path);
        match step {
            Step::Unit { index, .. } => {
                let unit = &self.units[index as usize];
                command
                    .current_dir(&self.source)
                    .args(options(self.optimize))
                    .args(["-c", &format!("{unit}.c"), "-o"])
                    .arg(self.object(unit));
            }
            Step::Link { index, .. } => {
                let program = PROGRAMS[index as usize];
                // The other programs' units have a `main` of their own.
                let other = |unit: &str| unit != program && PROGRAMS.contains(&unit);
                let units = self.units.iter().filter(|unit| !other(unit));
                command
                    .arg("-o")
                    .arg(self.dir.path().join(program))
                    .args(units.map(|unit| self.object(unit)))
                    .arg("-lm");
            }
        }
        command
    }

    fn complaint(&self) -> String {
        let said = fs::read_to_string(self.dir.path().join(LOG)).unwrap_or_default();
        let error = said.lines().find(|line| line.contains("error: "));
        error
            .or_else(|| said.lines().next())
            .unwrap_or_default()
            .to_owned()
    }

    fn look(&self) -> Option<Duration> {
        (!self.context.gate.is_cancelled()).then_some(LOOK_INTERVAL)
    }
}

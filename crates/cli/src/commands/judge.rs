//! `baton judge`: a policy's file through all stages, and beside another policy.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use anyhow::Context as _;
use baton::app::{Code, Failure};
use baton_author::{
    Checker, Compiler, Depth, Library, Stage, StageDone,
    benchmark::{Benchmark, Measured, Start},
    vm::{ByCommand, Machines},
};
use baton_machine::MachineFile;
use baton_sandbox::Sandbox;
use baton_workload::{Workload, stop};
use serde_json::json;

use crate::{commands::policies, failures::fail, project};

/// What is run where nothing else is asked for: who waits for a person, a service, and a build.
pub(crate) const WORKLOADS: &[&str] = &[
    "frames:seconds=2+hogs",
    "pipe:rounds=2000+hogs",
    "requests:seconds=2+hogs",
    "messaging:loops=20",
    "build:units=60",
];

/// Look whether a policy is sound, and better than another one
///
/// The policy is one file, as `baton new` makes it. It is compiled without Cargo and runs contained: it
/// cannot reach this machine. In order: its source is read and looked through, compiled, tried on simulated
/// machines with and without failures, run on a real kernel in a VM while everything around it is
/// disturbed, and measured beside another policy, simulated. The first stage that it does not pass ends it.
///
/// Exit status: 0 it passed all of them; 1 it did not; 2 a mistake in what was asked; 3 this machine lacks
/// something; 130 Ctrl-C.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton judge src/main.rs
  baton judge mine.rs --from fifo --workload frames+hogs --workload pipe+hogs --no-vm
  baton judge mine.rs --until lint --json")]
pub(crate) struct Args {
    /// The policy's file
    file: PathBuf,
    /// What it is measured beside: a built-in policy, `kernel` for a model of the kernel's own, or a file
    #[arg(long, value_name = "POLICY", default_value = "edf")]
    from: String,
    #[command(flatten)]
    how: How,
    /// End after this stage: parse, compile, lint, properties, invariants, vm, benchmark
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    until: Option<Stage>,
    /// Where the program, results.json and report.html are left
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON: `{"stages":[...],"measured":{...}}`
    #[arg(long)]
    json: bool,
}

/// How thoroughly candidates are judged.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct How {
    /// A workload to be measured by, as for `baton sim`; may be repeated
    #[arg(long = "workload", value_name = "WORKLOAD")]
    pub(crate) workloads: Vec<String>,
    /// The simulated machine to be measured on, a name or a file; 2-cpu unless told
    #[arg(long)]
    pub(crate) machine: Option<String>,
    /// Rounds of the measurement; ten unless told, with fewer there are no verdicts
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..=1000))]
    pub(crate) runs: Option<u32>,
    /// Ten times as many random runs, and a minute in the VM
    #[arg(long)]
    pub(crate) thorough: bool,
    /// Leave the VM out
    #[arg(long)]
    pub(crate) no_vm: bool,
    /// The kernel of the VM, as for `baton vm`
    #[arg(long, default_value = "default", hide_default_value = true)]
    pub(crate) kernel: String,
    /// Seed of everything random; 1 unless told
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

impl How {
    /// As a checker takes it.
    pub(crate) fn depth(&self) -> Depth {
        let seed = self.seed.unwrap_or(1);
        let depth = match self.thorough {
            true => Depth::thorough(seed),
            false => Depth::quick(seed),
        };
        Depth {
            vm_seconds: if self.no_vm { 0 } else { depth.vm_seconds },
            ..depth
        }
    }

    /// What is measured: what is asked for, and else what was before.
    pub(crate) fn benchmark(&self, before: Option<Benchmark>) -> anyhow::Result<Benchmark> {
        let mut benchmark = before.unwrap_or_else(|| Benchmark {
            workloads: WORKLOADS.iter().map(|text| (*text).to_owned()).collect(),
            machine: "2-cpu".to_owned(),
            runs: 10,
            seed: 1,
        });
        if !self.workloads.is_empty() {
            benchmark.workloads.clone_from(&self.workloads);
        }
        if let Some(machine) = &self.machine {
            benchmark.machine.clone_from(machine);
        }
        benchmark.runs = self.runs.unwrap_or(benchmark.runs);
        benchmark.seed = self.seed.unwrap_or(benchmark.seed);
        // Mistakes are told before anything is built.
        MachineFile::find(&benchmark.machine)?;
        for workload in &benchmark.workloads {
            workload.parse::<Workload>()?;
        }
        Ok(benchmark)
    }

    /// Its VMs.
    pub(crate) fn machines(&self) -> anyhow::Result<ByCommand> {
        Ok(ByCommand {
            baton: project::own_path()?,
            kernel: self.kernel.clone(),
        })
    }
}

fn stage(text: &str) -> Result<Stage, String> {
    let mut stages = Stage::ALL.into_iter();
    stages.find(|stage| stage.name() == text).ok_or_else(|| {
        let names = Stage::ALL.map(Stage::name).join(", ");
        format!("`{text}` is no stage: write one of {names}")
    })
}

/// Where what candidates are linked with is built: with policy projects, or where somebody says; tests do.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    Ok(match std::env::var_os("BATON_LIBRARY_TARGET") {
        Some(target) => PathBuf::from(target),
        None => baton_vm::cache_dir()?.join("target"),
    })
}

/// The compiler of candidates, with its library built.
pub(crate) fn compiler(stop: &AtomicBool) -> anyhow::Result<Compiler> {
    // Before minutes are spent on a library for nothing.
    baton_sandbox::probe()?;
    let target = target()?;
    if std::io::stderr().is_terminal() {
        eprintln!("making ready what candidates are linked with (minutes, the first time)");
    }
    let library = Library::build_until(&target, Some(stop))?;
    Ok(Compiler::new(library, Sandbox::new())?)
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let read = std::fs::read_to_string(&args.file);
    let text = read.map_err(|error| Failure::io("read", &args.file, &error))?;
    let stop = stop::on_signals().context("cannot catch signals")?;
    let benchmark = args.how.benchmark(None)?;
    let compiler = compiler(stop)?;
    let temporary = tempfile::tempdir().context("cannot make a temporary directory")?;
    let directory = args
        .out
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let sandbox = Sandbox::new();
    let machines = args.how.machines()?;
    let checker = Checker {
        compiler: &compiler,
        sandbox: &sandbox,
        machines: Some(&machines as &dyn Machines),
        depth: args.how.depth(),
        // A file that somebody has may be called what it likes.
        taken: &[],
    };
    let last = args.until.unwrap_or(Stage::Benchmark);
    let mut see = |stage: Stage, done: Option<&StageDone>| {
        if !args.json {
            tell(stage, done);
        }
    };
    let checked = checker.check(&text, last, &directory.join("candidate"), stop, &mut see)?;
    let mut measured = None;
    if let Some(program) = &checked.program
        && last == Stage::Benchmark
        && checked.passed()
    {
        let start = start(&args.from, &compiler, &checker, &directory, stop)?;
        if !args.json {
            eprintln!("{:<12} ...", Stage::Benchmark.name());
        }
        measured = Some(benchmark.measure(
            &start,
            &Start::Program(program.clone()),
            &directory.join("benchmark"),
            stop,
        )?);
    }
    if args.json {
        let document = json!({ "stages": checked.stages, "measured": measured });
        outln!("{document}");
    } else if let Some(measured) = &measured {
        print(measured);
    }
    let is_well = checked.passed() && measured.is_none_or(|measured| measured.is_better());
    Ok(ExitCode::from(u8::from(!is_well)))
}

/// What a candidate is compared with.
pub(crate) fn start(
    name: &str,
    compiler: &Compiler,
    checker: &Checker<'_>,
    directory: &Path,
    stop: &AtomicBool,
) -> anyhow::Result<Start> {
    if name == "kernel" || policies::names().any(|known| known == name) {
        return Ok(Start::BuiltIn(name.to_owned()));
    }
    let path = Path::new(name);
    if !path.is_file() {
        return Err(policies::unknown(name, "or give a policy's file").into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    let folder = directory.join("start");
    std::fs::create_dir_all(&folder).map_err(|error| Failure::io("make", &folder, &error))?;
    let folder = folder.canonicalize()?;
    let linked = match compiler.compile(&text, &folder, stop)? {
        Ok(()) => compiler.link(&folder, stop)?,
        Err(wrong) => Err(wrong),
    };
    match linked {
        Ok(program) => Ok(Start::Program(baton_author::Program::new(
            program,
            checker.sandbox.clone(),
        ))),
        Err(wrong) => {
            let first = wrong.first().map_or(String::new(), ToString::to_string);
            let message = format!("{name} does not compile: {first}");
            fail(Code::UnknownPolicy, message)
        }
    }
}

/// A stage's line.
pub(crate) fn tell(stage: Stage, done: Option<&StageDone>) {
    let Some(done) = done else {
        if std::io::stderr().is_terminal() {
            eprint!("{stage:<12} ...");
        }
        return;
    };
    let clear = if std::io::stderr().is_terminal() {
        "\r"
    } else {
        ""
    };
    let word = if done.passed { "passed" } else { "refused" };
    eprintln!("{clear}{stage:<12} {word:<8} {:>6.1} s", done.took_s);
    for diagnostic in &done.diagnostics {
        eprintln!("  {}", diagnostic.to_string().replace('\n', "\n  "));
    }
}

fn print(measured: &Measured) {
    out!("{}", measured.text());
    for diagnostic in &measured.diagnostics {
        outln!("{diagnostic}");
    }
    match measured.mean_ratio {
        Some(ratio) if measured.is_better() => outln!("\nbetter, {ratio:.3}x over all workloads"),
        Some(ratio) => outln!("\nnot accepted, {ratio:.3}x over all workloads"),
        None => {}
    }
}

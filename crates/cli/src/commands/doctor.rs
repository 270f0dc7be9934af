//! `baton doctor`: what this machine can do, and what is missing.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode},
};

use serde::Serialize;

use crate::table::{Align, table};

/// Oldest clang that compiles the BPF programs.
const CLANG_MIN: u32 = 16;
const CLANG_MAX: u32 = 24;

/// Tell what this machine can do, and what is missing, with the remedy
///
/// Exit status 0 if it can run policies itself or in a VM, else 3.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  baton doctor --json")]
pub(crate) struct Args {
    /// Print JSON: `{"can":{"run","vm","build","judge"},"checks":[{"area","name","ok","detail","remedy"}]}`
    #[arg(long)]
    json: bool,
}

/// What a check is about.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Area {
    /// Policies on this machine itself.
    Run,
    /// Policies in a VM.
    Vm,
    /// Building Baton and projects that depend on it.
    Build,
    /// Judging policies that others wrote.
    Judge,
}

#[derive(Serialize)]
struct Check {
    area: Area,
    name: &'static str,
    ok: bool,
    /// Whether the area works without.
    optional: bool,
    detail: String,
    /// What to do if it is not ok.
    remedy: Option<String>,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut checks = run_checks();
    checks.extend(vm_checks());
    checks.extend(build_checks());
    checks.extend(judge_checks());
    let can = |area| {
        checks
            .iter()
            .all(|check| check.area != area || check.ok || check.optional)
    };
    let (run, vm, build) = (can(Area::Run), can(Area::Vm), can(Area::Build));
    // What candidates are linked with is built.
    let judge = can(Area::Judge) && build;
    if args.json {
        let can = serde_json::json!({"run": run, "vm": vm, "build": build, "judge": judge});
        outln!("{}", serde_json::json!({"can": can, "checks": checks}));
    } else {
        print(
            &checks,
            &[
                (Area::Run, run),
                (Area::Vm, vm),
                (Area::Build, build),
                (Area::Judge, judge),
            ],
        );
    }
    Ok(if run || vm {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

fn print(checks: &[Check], areas: &[(Area, bool)]) {
    for &(area, can) in areas {
        let what = match area {
            Area::Run => "schedule this machine (baton run)",
            Area::Vm => "schedule a kernel in a VM (baton vm, baton bench)",
            Area::Build => "build Baton and policy projects",
            Area::Judge => "judge policies that others wrote (baton judge, author, mcp)",
        };
        outln!("{} {what}", mark(can, false));
        let checks: Vec<&Check> = checks.iter().filter(|check| check.area == area).collect();
        let rows: Vec<Vec<String>> = checks
            .iter()
            .map(|check| vec![check.name.to_owned(), check.detail.clone()])
            .collect();
        for (line, check) in table(&rows, |_| Align::Left).lines().zip(&checks) {
            outln!("    {} {line}", mark(check.ok, check.optional));
            if let Some(remedy) = check.remedy.as_ref().filter(|_| !check.ok) {
                outln!("         {remedy}");
            }
        }
    }
}

fn mark(ok: bool, optional: bool) -> String {
    let (colour, text) = match (ok, optional) {
        (true, _) => (anstyle::AnsiColor::Green, "yes"),
        (false, true) => (anstyle::AnsiColor::Yellow, " --"),
        (false, false) => (anstyle::AnsiColor::Red, " no"),
    };
    let style = colour.on_default();
    format!("{style}{text}{style:#}")
}

#[cfg(feature = "kernel")]
fn run_checks() -> Vec<Check> {
    let check = |check: baton::kernel::Check| Check {
        area: Area::Run,
        name: check.name,
        ok: check.ok,
        optional: check.optional,
        detail: check.detail,
        remedy: check.remedy,
    };
    baton::kernel::doctor().into_iter().map(check).collect()
}

#[cfg(not(feature = "kernel"))]
fn run_checks() -> Vec<Check> {
    vec![Check {
        area: Area::Run,
        name: "backend",
        ok: false,
        optional: false,
        detail: "not built in".to_owned(),
        remedy: Some("build baton with the feature `kernel`".to_owned()),
    }]
}

fn vm_checks() -> Vec<Check> {
    let check = |name, found: Option<String>, missing: &str, remedy: &str| Check {
        area: Area::Vm,
        name,
        ok: found.is_some(),
        optional: false,
        detail: found.unwrap_or_else(|| missing.to_owned()),
        remedy: Some(remedy.to_owned()),
    };
    let qemu = format!("qemu-system-{}", env::consts::ARCH);
    let cached = baton_vm::cached_kernels();
    let releases: Vec<_> = cached
        .iter()
        .map(|kernel| kernel.release.as_str())
        .collect();
    let kernel = if !cached.is_empty() {
        Some(format!("in the cache: {}", releases.join(", ")))
    } else if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        None
    } else {
        baton_vm::debian_mirror()
            .map(|_| "none in the cache; a Debian package will be fetched".to_owned())
    };
    let (kvm, kvm_detail) = kvm();
    vec![
        check(
            "QEMU",
            find(&qemu).map(|path| path.display().to_string()),
            &format!("{qemu} not found"),
            "install it (Debian, Ubuntu: qemu-system-x86)",
        ),
        check(
            "busybox",
            find("busybox").map(|path| path.display().to_string()),
            "not found",
            "install it (Debian, Ubuntu: busybox-static)",
        ),
        check(
            "kernel",
            kernel,
            "none in the cache, and no apt with a Debian mirror to fetch one",
            "name a Debian mirror in BATON_DEBIAN_MIRROR, or give the path of a kernel with \
             sched_ext: --kernel /path/vmlinuz",
        ),
        Check {
            area: Area::Vm,
            name: "KVM",
            ok: kvm,
            optional: true,
            detail: kvm_detail.to_owned(),
            remedy: None,
        },
    ]
}

/// Whether the processor can speed up VMs, and how that was found.
fn kvm() -> (bool, &'static str) {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let virtualizes = flags
        .split_whitespace()
        .any(|flag| flag == "vmx" || flag == "svm");
    let device = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    match (virtualizes, device) {
        (true, Ok(_)) => (true, "available"),
        (true, Err(_)) => (
            false,
            "/dev/kvm cannot be opened: VMs run in software, slower",
        ),
        (false, _) => (
            false,
            "the processor offers none: VMs run in software, slower",
        ),
    }
}

fn build_checks() -> Vec<Check> {
    let cargo = version("cargo", &["--version"]);
    let clang = find_clang();
    let check = |name, found: Option<String>, remedy: &str| Check {
        area: Area::Build,
        name,
        ok: found.is_some(),
        optional: false,
        detail: found.unwrap_or_else(|| "not found".to_owned()),
        remedy: Some(remedy.to_owned()),
    };
    let header = |path: &str| {
        let path = PathBuf::from("/usr/include").join(path);
        path.exists().then(|| path.display().to_string())
    };
    vec![
        check(
            "cargo",
            cargo,
            "install Rust 1.88 or later as https://rustup.rs tells",
        ),
        check("clang", clang, "install clang 16 or later"),
        check(
            "libelf",
            header("libelf.h"),
            "install its headers (Debian, Ubuntu: libelf-dev)",
        ),
        check(
            "zlib",
            header("zlib.h"),
            "install its headers (Debian, Ubuntu: zlib1g-dev)",
        ),
    ]
}

#[cfg(feature = "author")]
fn judge_checks() -> Vec<Check> {
    let check = |name, found: Result<String, String>| {
        let (ok, detail, remedy) = match found {
            Ok(detail) => (true, detail, None),
            Err(problem) => (false, "cannot be had".to_owned(), Some(problem)),
        };
        Check {
            area: Area::Judge,
            name,
            ok,
            optional: false,
            detail,
            remedy,
        }
    };
    let contained = baton_sandbox::probe();
    let contained = contained.map(|kinds| {
        let (abi, uid) = (kinds.landlock_abi, kinds.uid);
        format!("namespaces, seccomp, Landlock {abi}, as user {uid}")
    });
    let source = baton_author::Library::source();
    vec![
        check("sandbox", contained.map_err(|error| error.to_string())),
        check(
            "source",
            source
                .map(|path| path.display().to_string())
                .map_err(|error| error.to_string()),
        ),
    ]
}

#[cfg(not(feature = "author"))]
fn judge_checks() -> Vec<Check> {
    vec![Check {
        area: Area::Judge,
        name: "author",
        ok: false,
        optional: false,
        detail: "not built in".to_owned(),
        remedy: Some("build baton with the feature `author`".to_owned()),
    }]
}

/// The compiler of the BPF programs: what CLANG names, else the newest.
pub(crate) fn find_clang() -> Option<String> {
    let versions = (CLANG_MIN..=CLANG_MAX).rev();
    let names = env::var("CLANG").into_iter();
    let mut names = names
        .chain(versions.map(|number| format!("clang-{number}")))
        .chain(["clang".to_owned()]);
    names.find(|name| clang_major(name).is_some_and(|major| major >= CLANG_MIN))
}

fn clang_major(name: &str) -> Option<u32> {
    version(name, &["-dumpversion"])?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

//! What candidates are linked with: the policy API and the harness, built once, by Cargo, from Baton's own
//! source. Candidates themselves never see Cargo.

use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;

use crate::{Error, error::file, vm::KEYS};

/// The checkout that this program was built from; it may be gone.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The libraries and the compiler that made them.
#[derive(Clone, Debug)]
pub struct Library {
    /// The compiler itself, without any launcher before it.
    pub rustc: PathBuf,
    /// Where the compiler's own files are.
    pub sysroot: PathBuf,
    /// What candidates know as `std`.
    pub std: PathBuf,
    /// What candidates know as `baton`.
    pub facade: PathBuf,
    /// The harness.
    pub trial: PathBuf,
    /// Where the others are that these need.
    pub dependencies: PathBuf,
}

impl Library {
    /// Where Baton's source is, from which it was built.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn source() -> Result<PathBuf, Error> {
        let checkout = Path::new(CHECKOUT);
        match checkout.canonicalize() {
            Ok(path) if path.join("crates/trial/Cargo.toml").is_file() => Ok(path),
            _ => Err(Error::NoSource {
                path: checkout.to_owned(),
            }),
        }
    }

    /// Builds what is not built yet, into `target`. Takes minutes the first time, and an instant after that.
    ///
    /// # Errors
    /// Baton's source is not there, or Cargo cannot build it.
    pub fn build(target: &Path) -> Result<Self, Error> {
        Self::build_until(target, None)
    }

    /// As [`Library::build`], and ends Cargo with all that it started when the flag is set.
    ///
    /// # Errors
    /// As [`Library::build`], or it was stopped.
    pub fn build_until(target: &Path, stop: Option<&AtomicBool>) -> Result<Self, Error> {
        let checkout = &Self::source()?;
        std::fs::create_dir_all(target).map_err(file("make", target))?;
        // A path with `..` leads nowhere where the folders between are not seen.
        let target = &target.canonicalize().map_err(file("find", target))?;
        let sysroot = said_by(
            checkout,
            &program("RUSTC", "rustc"),
            &["--print", "sysroot"],
        )?;
        let sysroot = PathBuf::from(sysroot.trim());
        let artifacts = artifacts(checkout, target, stop)?;
        let find = |name: &str| {
            let found = artifacts.iter().find(|(of, _)| of == name);
            let path = found.map(|(_, path)| path.clone());
            path.ok_or_else(|| Error::Library(format!("Cargo built no {name}")))
        };
        let trial = find("baton_trial")?;
        Ok(Self {
            rustc: sysroot.join("bin/rustc"),
            sysroot,
            std: find("baton_std")?,
            facade: find("baton_candidate")?,
            dependencies: target.join("release/deps"),
            trial,
        })
    }
}

/// A program, by its variable or its name.
fn program(variable: &str, name: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| OsString::from(name))
}

fn said_by(directory: &Path, program: &OsString, args: &[&str]) -> Result<String, Error> {
    let output = Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| no_rust(program, &error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error::Library(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
    }
}

fn no_rust(program: &OsString, error: &std::io::Error) -> Error {
    Error::NoRust {
        program: program.to_string_lossy().into_owned(),
        problem: error.to_string(),
    }
}

/// Libraries that Cargo built, or had built before: name and file.
fn artifacts(
    checkout: &Path,
    target: &Path,
    stop: Option<&AtomicBool>,
) -> Result<Vec<(String, PathBuf)>, Error> {
    let cargo = program("CARGO", "cargo");
    let mut command = Command::new(&cargo);
    if stop.is_some() {
        // With the compilers that it starts it can be ended as one.
        command.process_group(0);
    }
    let mut child = command
        .args(["build", "--release", "--locked"])
        .args([
            "-p",
            "baton-trial",
            "-p",
            "baton-candidate",
            "-p",
            "baton-std",
        ])
        .args(["--message-format=json-render-diagnostics", "--quiet"])
        .current_dir(checkout)
        .env("CARGO_TARGET_DIR", target)
        // Flags of a test or a wrapper around this program are not the library's.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Build scripts have no use of a service's key.
        .env_remove(KEYS[0])
        .env_remove(KEYS[1])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| no_rust(&cargo, &error))?;
    let group = Pid::from_raw(child.id().cast_signed());
    let said = child.stdout.take();
    let read = || {
        let lines = said
            .into_iter()
            .flat_map(|said| BufReader::new(said).lines());
        let found = lines.map_while(Result::ok);
        found.filter_map(|line| artifact(&line)).collect::<Vec<_>>()
    };
    let found = match stop {
        Some(stop) => read_until(read, group, stop),
        None => read(),
    };
    let status = child.wait().map_err(|error| no_rust(&cargo, &error))?;
    if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
        return Err(Error::Stopped);
    }
    match status.success() {
        true => Ok(found),
        false => Err(Error::Library(
            "Cargo could not build it: its messages are above".to_owned(),
        )),
    }
}

/// Reads to the end, which comes early when the flag is set: then the processes of the group are ended.
fn read_until<T: Send>(read: impl FnOnce() -> T + Send, group: Pid, stop: &AtomicBool) -> T {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) {
                    let _ = killpg(group, Signal::SIGTERM);
                    return;
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        let found = read();
        is_done.store(true, Ordering::Relaxed);
        found
    })
}

/// The library that one of Cargo's messages announces.
fn artifact(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let name = message["target"]["name"].as_str()?.to_owned();
    let mut files = message["filenames"].as_array()?.iter();
    let file = files.find_map(|file| file.as_str().filter(|file| file.ends_with(".rlib")))?;
    Some((name, file.into()))
}

#[cfg(test)]
mod tests {
    use super::artifact;

    #[test]
    fn libraries_among_cargos_messages() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"baton_std"},
            "filenames":["/t/libbaton_std.rlib","/t/libbaton_std.rmeta"]}"#;
        let found = ("baton_std".to_owned(), "/t/libbaton_std.rlib".into());
        assert_eq!(artifact(library), Some(found));
        let program =
            r#"{"reason":"compiler-artifact","target":{"name":"x"},"filenames":["/t/x"]}"#;
        assert_eq!(artifact(program), None);
        assert_eq!(artifact("noise"), None);
    }
}

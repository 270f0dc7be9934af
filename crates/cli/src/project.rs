//! What `--policy` names, made into a program that has the command `run`.

use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, IsTerminal as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use baton::app::{Code, Failure};
use serde_json::Value;

use crate::{commands::policies, failures::fail};

/// A policy's program on this machine, and what to call it with.
pub(crate) struct Program {
    /// The file.
    pub(crate) path: PathBuf,
    /// The arguments that make it run the policy.
    pub(crate) run: Vec<String>,
}

/// Finds what `policy` names: a built-in policy, a program, or a project's directory,
/// which is then built.
pub(crate) fn program(policy: &str) -> anyhow::Result<Program> {
    let path = Path::new(policy);
    if path.is_dir() {
        let run = vec!["run".to_owned()];
        return Ok(Program {
            path: build(path)?,
            run,
        });
    }
    if policy.contains('/') && path.is_file() {
        let run = vec!["run".to_owned()];
        return Ok(Program {
            path: std::path::absolute(path)?,
            run,
        });
    }
    if policies::names().any(|name| name == policy) {
        let run = vec!["run".to_owned(), policy.to_owned()];
        return Ok(Program {
            path: own_path()?,
            run,
        });
    }
    Err(policies::unknown(policy, "or give the directory of a policy project").into())
}

/// This program's own file.
pub(crate) fn own_path() -> anyhow::Result<PathBuf> {
    env::current_exe().context("cannot find this program's own file")
}

/// Builds the project in `directory`; the program's path. All projects share one
/// target directory in the cache, so that a second one does not build the libraries
/// again.
fn build(directory: &Path) -> anyhow::Result<PathBuf> {
    if !directory.join("Cargo.toml").is_file() {
        let message = format!(
            "{} is no policy project, it has no Cargo.toml: make one with `baton new NAME`",
            directory.display()
        );
        return fail(Code::UnknownPolicy, message);
    }
    let target = baton_vm::cache_dir()?.join("target");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--release",
        "--message-format=json-render-diagnostics",
    ]);
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    command
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let message =
                format!("cannot run cargo: {error}; install Rust as https://rustup.rs tells");
            Failure::new(Code::Machine, message)
        })?;
    let mut programs = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            programs.extend(executable(&line?));
        }
    }
    if !child.wait()?.success() {
        let message = format!(
            "the policy in {} does not build: cargo's messages are above",
            directory.display()
        );
        return fail(Code::Other("build", 1), message);
    }
    match programs.as_slice() {
        [program] => Ok(program.clone()),
        [] => fail(
            Code::UnknownPolicy,
            format!("{} has no program", directory.display()),
        ),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let message = format!(
                "several programs: give one as --policy: {}",
                names.join(", ")
            );
            fail(Code::UnknownPolicy, message)
        }
    }
}

/// The program that one of cargo's messages announces.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_program = message["reason"] == "compiler-artifact"
        && message["target"]["kind"]
            .as_array()?
            .iter()
            .any(|kind| kind == "bin");
    is_program
        .then(|| message["executable"].as_str().map(PathBuf::from))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn programs_among_cargos_messages() {
        let program =
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"]},"executable":"/t/x"}"#;
        assert_eq!(executable(program), Some("/t/x".into()));
        let library =
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"]},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("noise"), None);
    }
}

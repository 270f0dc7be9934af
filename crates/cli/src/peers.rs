//! Schedulers of others to measure beside ours: found on this machine, or built from
//! crates.io into Baton's cache. They run in the VM alone, as programs of their own.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use baton::app::{Code, Failure};
use baton_vm::{Sinks, cache_dir};
use serde::{Deserialize, Serialize};

use crate::commands::doctor;

/// Those that decide in user space too, and the version that is built.
const PEERS: [(&str, &str); 2] = [("scx_rustland", "1.1.4"), ("scx_rlfifo", "1.1.4")];
/// Lines of a failed build that are shown.
const TAIL_LINES: usize = 15;

/// A scheduler that is not ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// What it is called in the results.
    pub(crate) name: String,
    /// The program, here and in the guest.
    pub(crate) path: PathBuf,
}

/// All peers; builds those that this machine does not have.
pub(crate) fn find() -> anyhow::Result<Vec<Peer>> {
    let peers = PEERS.iter().map(|&(name, version)| {
        let path = program(name, name, version)?;
        Ok(Peer {
            name: name.to_owned(),
            path,
        })
    });
    peers.collect()
}

/// A program from `PATH`, or else of this package of crates.io in this version, built once.
pub(crate) fn program(name: &str, package: &str, version: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = on_path(name) {
        return Ok(path);
    }
    let cache = cache_dir()?.join("peers");
    built(name, package, version, &cache, &*Sinks::inherit().progress)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&directories).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// A program of a package in this version, built once.
fn built(
    name: &str,
    package: &str,
    version: &str,
    cache: &Path,
    progress: &dyn Fn(&str),
) -> anyhow::Result<PathBuf> {
    let root = cache.join(version);
    let program = root.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    progress(&format!(
        "building {package} {version} from crates.io, once: some minutes ..."
    ));
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", package, "--locked", "--version"])
        .arg(format!("={version}"))
        .arg("--root")
        .arg(&root)
        .arg("--target-dir")
        .arg(cache.join("target"))
        .stdin(Stdio::null());
    if let (None, Some(clang)) = (env::var_os("BPF_CLANG"), doctor::find_clang()) {
        cargo.env("BPF_CLANG", clang);
    }
    let output = cargo.output().context("cannot start cargo")?;
    if output.status.success() && program.is_file() {
        return Ok(program);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    let message = format!(
        "cannot build {package} {version}; it needs crates.io, clang and the headers of libelf, zlib \
         and libseccomp (Debian: libseccomp-dev); or put a {name} of your own on PATH. The build \
         said:\n{tail}"
    );
    Err(Failure::new(Code::Other("peer-missing", 1), message).into())
}

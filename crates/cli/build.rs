//! Tells the program which source it was built from: BATON_COMMIT, empty where no repository tells,
//! and BATON_DIRTY, `true` or `false`.

#[path = "build/git.rs"]
mod git;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Beside the crates, what the program is made of.
const SOURCES: [&str; 6] = [
    "Cargo.lock",
    "Cargo.toml",
    "bpf",
    "experiments",
    "machines",
    "templates",
];
/// Of a crate, what no program is made of.
const NO_SOURCES: [&str; 3] = ["benches", "examples", "tests"];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let root = manifest.join("../..");
    let state = git::state(&root);
    if let Some(state) = &state {
        // A change that is not staged shows in the source alone.
        let watched = state.watch.iter().cloned().chain(sources(&root));
        watched.for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
    }
    let commit = state.as_ref().map_or("", |state| &state.commit);
    let dirty = state.as_ref().is_some_and(|state| state.dirty);
    println!("cargo::rustc-env=BATON_COMMIT={commit}");
    println!("cargo::rustc-env=BATON_DIRTY={dirty}");
}

/// Files and directories that a build reads.
fn sources(root: &Path) -> Vec<PathBuf> {
    let listed = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let of_crate = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        !NO_SOURCES.iter().any(|no| name == *no)
    };
    let crates = listed(&root.join("crates"));
    let of_crates = crates.iter().flat_map(|path| listed(path)).filter(of_crate);
    let others = SOURCES.iter().map(|name| root.join(name));
    of_crates
        .chain(others.filter(|path| path.exists()))
        .collect()
}

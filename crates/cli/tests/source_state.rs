//! What a build knows of its source.

#[path = "../build/git.rs"]
mod git;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use git::state;

fn run(root: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
    command.current_dir(root).args(identity).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn commit(root: &Path, text: &str) {
    fs::write(root.join("file"), text).unwrap();
    run(root, &["add", "file"]);
    run(root, &["commit", "-qm", text]);
}

/// A repository with one commit, in a directory of its own.
fn repository() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("source");
    fs::create_dir(&root).unwrap();
    assert_eq!(state(&root), None, "there is no repository");
    run(&root, &["init", "-q"]);
    assert_eq!(state(&root), None, "nothing is committed");
    commit(&root, "one");
    (folder, root)
}

/// What cargo looks at: all files below the watched paths. Contents stand for times.
fn seen(watch: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut left = watch.to_vec();
    let mut seen = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let bytes = fs::read(&path).unwrap();
            seen.push((path, bytes));
        }
    }
    seen.sort();
    seen
}

#[test]
fn the_commit_and_changes_are_seen() {
    let (_folder, root) = repository();
    let clean = state(&root).unwrap();
    assert!(clean.commit.len() == 40 && !clean.dirty, "{clean:?}");
    // What git does not know is no part of the source.
    fs::write(root.join("other"), "x").unwrap();
    assert_eq!(state(&root), Some(clean.clone()));
    fs::write(root.join("file"), "two").unwrap();
    let dirty = state(&root).unwrap();
    assert!(dirty.dirty && dirty.commit == clean.commit, "{dirty:?}");
}

/// As where a tarball was unpacked within another project.
#[test]
fn a_repository_of_others_around_the_source_is_not_its_own() {
    let (_folder, root) = repository();
    let within = root.join("vendor");
    fs::create_dir(&within).unwrap();
    assert_eq!(state(&within), None);
}

#[test]
fn another_commit_changes_what_is_watched() {
    let (_folder, root) = repository();
    run(&root, &["worktree", "add", "-q", "-b", "side", "../side"]);
    let side = root.join("../side");
    for place in [&root, &side] {
        let before = state(place).unwrap();
        assert!(before.watch.iter().all(|path| path.exists()), "{before:?}");
        let looked = seen(&before.watch);
        // To ask changes nothing, or each build would be followed by another.
        assert_eq!(state(place), Some(before.clone()));
        assert_eq!(seen(&before.watch), looked);
        commit(place, "two");
        let after = state(place).unwrap();
        assert_ne!(after.commit, before.commit);
        assert_ne!(seen(&before.watch), looked);
    }
    // The same where branches are packed, and where there is none.
    run(&root, &["pack-refs", "--all"]);
    for text in ["three", "four"] {
        let before = state(&root).unwrap();
        let looked = seen(&before.watch);
        run(&root, &["commit", "-q", "--allow-empty", "-m", text]);
        assert_ne!(seen(&before.watch), looked, "{text}");
        run(&root, &["checkout", "-q", "--detach"]);
    }
}

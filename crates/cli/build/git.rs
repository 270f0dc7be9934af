//! The state of Baton's source, as git has it where it is built.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A repository whose work tree this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The commit.
    pub commit: String,
    /// Whether files that git knows differ from it.
    pub dirty: bool,
    /// Files and directories, all there, of which one changes when there is another commit or when a
    /// change is staged.
    pub watch: Vec<PathBuf>,
}

/// The state of the repository whose work tree has its root here. None without git, where there is no
/// repository, and where the source lies within somebody else's.
pub fn state(root: &Path) -> Option<State> {
    let top = ask(root, &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    let commit = ask(root, &["rev-parse", "HEAD"])?;
    let changes = ask(root, &["status", "--porcelain", "--untracked-files=no"])?;
    // In a linked work tree these are two: refs are the repository's, HEAD and the index its own.
    let own = ask(root, &["rev-parse", "--absolute-git-dir"])?;
    let common = root.join(ask(root, &["rev-parse", "--git-common-dir"])?);
    let own = ["HEAD", "index"].map(|name| Path::new(&own).join(name));
    // A packed branch has no file until it moves, but its directory tells of that.
    let refs = ["refs/heads", "packed-refs"].map(|name| common.join(name));
    let watch = own.into_iter().chain(refs).filter(|path| path.exists());
    Some(State {
        commit,
        dirty: !changes.is_empty(),
        watch: watch.collect(),
    })
}

/// What git answers, if it does.
fn ask(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A refreshed index would be a change that the build itself made.
    command.arg("--no-optional-locks").arg("-C").arg(root);
    // A hook of another repository may be what builds.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    output.status.success().then_some(text)
}

//! Files beneath the workspace, and none outside: each part of a path is opened by itself, and symbolic
//! links are refused, so that nothing that changes meanwhile leads elsewhere.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    path::{Component, Path},
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

use super::errors::{Code, Failure};

/// Deepest path that is followed.
const DEPTH_MAX: usize = 16;

/// Opens a file beneath the folder, to be read; the path is relative, and no part of it is `..` or a
/// symbolic link.
pub(super) fn open_beneath(root: &Path, path: &str, bytes_max: u64) -> Result<File, Failure> {
    let bad = |problem: String| {
        let help = "Name a file of the workspace, relative to it, such as `recordings/run.rec`.";
        Failure::new(Code::BadPath, format!("`{path}` {problem}"), help)
    };
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) if names.len() < DEPTH_MAX => names.push(name),
            Component::CurDir => {}
            _ => return Err(bad("is no path within the workspace".to_owned())),
        }
    }
    let Some((last, folders)) = names.split_last() else {
        return Err(bad("names no file".to_owned()));
    };
    let closed = OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let folder = closed | OFlag::O_DIRECTORY;
    let errno = |errno: nix::errno::Errno| match errno {
        nix::errno::Errno::ELOOP | nix::errno::Errno::ENOTDIR => {
            bad("leads over a symbolic link or over what is no folder".to_owned())
        }
        errno => bad(format!("cannot be opened: {}", errno.desc())),
    };
    let mut at: OwnedFd = open(root, folder, Mode::empty()).map_err(errno)?;
    for name in folders {
        let flags = folder | OFlag::O_NOFOLLOW;
        at = openat(&at, *name, flags, Mode::empty()).map_err(errno)?;
    }
    // Opening a pipe must not wait for its writer.
    let flags = closed | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::from(openat(&at, *last, flags, Mode::empty()).map_err(errno)?);
    let metadata = file
        .metadata()
        .map_err(|error| bad(format!("cannot be looked at: {error}")))?;
    if !metadata.is_file() {
        return Err(bad("is no file".to_owned()));
    }
    if metadata.len() > bytes_max {
        return Err(bad(format!("is longer than {bytes_max} bytes")));
    }
    Ok(file)
}

/// Reads a text beneath the folder.
pub(super) fn read_beneath(root: &Path, path: &str, bytes_max: u64) -> Result<String, Failure> {
    let file = open_beneath(root, path, bytes_max)?;
    let mut bytes = Vec::new();
    file.take(bytes_max)
        .read_to_end(&mut bytes)
        .map_err(|error| super::errors::workspace(&format!("read {path}"), &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_files_beneath_are_opened() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("runs")).unwrap();
        fs::write(root.join("runs/a.rec"), "whole").unwrap();
        symlink(outside.path(), root.join("folder")).unwrap();
        symlink(outside.path().join("secret"), root.join("link")).unwrap();
        symlink("runs/a.rec", root.join("inner")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(read_beneath(root, "runs/a.rec", 9).unwrap(), "whole");
        assert_eq!(read_beneath(root, "./runs/a.rec", 9).unwrap(), "whole");
        let secret = outside.path().join("secret");
        let refused = [
            "",
            ".",
            "..",
            "../secret",
            "runs/../../secret",
            "runs/../runs/a.rec",
            "/etc/passwd",
            secret.to_str().unwrap(),
            "folder/secret",
            "link",
            "inner",
            "runs",
            "pipe",
            "absent",
            "runs/a.rec/b",
            "a\0b",
        ];
        for path in refused {
            let failure = read_beneath(root, path, 9).unwrap_err();
            assert_eq!(failure.code, Code::BadPath, "{path}: {failure:?}");
        }
        assert!(read_beneath(root, "runs/a.rec", 4).is_err());
        let deep = "a/".repeat(40) + "b";
        assert_eq!(
            open_beneath(root, &deep, 9).unwrap_err().code,
            Code::BadPath
        );
    }
}

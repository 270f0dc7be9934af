//! The cgroup v2 hierarchy: where it is mounted, its directories, and the tasks in them.

use std::{
    fs, io,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use crate::CgroupError;

/// The file that lists a cgroup's own threads.
const THREADS: &str = "cgroup.threads";
/// Cgroups below one whose tasks are listed; those beyond are passed over.
const BELOW_MAX: usize = 16_384;

/// Where cgroup v2 is mounted; `None` where it is not.
#[must_use]
pub fn cgroup_root() -> Option<PathBuf> {
    parse_mounts(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// The mount point, the fifth field, of the first line with the right file system after the dash.
fn parse_mounts(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let point = fields.split(' ').nth(4)?;
        kind.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    })
}

/// Visits every directory of the hierarchy at `root`: its path below the root, which is `/` for the
/// root itself, and its number, by which the kernel knows the cgroup. Parents come before their
/// children. A directory that vanishes meanwhile is passed over. Returns whether all were visited;
/// at most `limit` are.
///
/// # Errors
/// The root cannot be read.
pub fn walk_cgroups(
    root: &Path,
    limit: usize,
    mut visit: impl FnMut(&str, u64),
) -> io::Result<bool> {
    visit("/", fs::metadata(root)?.ino());
    let mut left = limit.saturating_sub(1);
    let mut waiting = vec![String::new()];
    while let Some(path) = waiting.pop() {
        let directory = root.join(path.trim_start_matches('/'));
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if path.is_empty() => return Err(error),
            Err(_) => continue,
        };
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            let child = format!("{path}/{}", entry.file_name().to_string_lossy());
            visit(&child, entry.ino());
            waiting.push(child);
        }
    }
    Ok(true)
}

/// A cgroup of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path below the hierarchy's root, such as `/batch/night`.
    pub path: String,
    /// Its directory.
    pub directory: PathBuf,
}

impl Cgroup {
    /// The cgroup that a user means: by its directory (`/sys/fs/cgroup/batch`), or by its
    /// path below the root, with or without a slash at the start (`/batch`, `batch`).
    ///
    /// # Errors
    /// No cgroup v2 is mounted, no such cgroup exists, its tasks may not be listed, or it
    /// is the root.
    pub fn find(name: &str) -> Result<Self, CgroupError> {
        let root = cgroup_root().ok_or(CgroupError::NotMounted)?;
        Self::find_in(&root, name)
    }

    fn find_in(root: &Path, name: &str) -> Result<Self, CgroupError> {
        let below = Path::new(name).strip_prefix(root);
        let below = below.unwrap_or_else(|_| Path::new(name));
        let mut directory = root.to_owned();
        for component in below.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(part) => directory.push(part),
                // The root is not to be left.
                Component::ParentDir | Component::Prefix(_) => {
                    let (name, directory) = (name.to_owned(), Path::new(name).to_owned());
                    return Err(CgroupError::Missing { name, directory });
                }
            }
        }
        if directory == root {
            return Err(CgroupError::Whole(name.to_owned()));
        }
        match fs::read(directory.join(THREADS)) {
            Ok(_) => Ok(Self {
                path: format!(
                    "/{}",
                    directory.strip_prefix(root).unwrap_or(below).display()
                ),
                directory,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CgroupError::Missing {
                name: name.to_owned(),
                directory,
            }),
            Err(source) => Err(CgroupError::Unreadable { directory, source }),
        }
    }

    /// Visits every thread of the cgroup and of those below it. What vanishes meanwhile is
    /// passed over; a cgroup that is gone has no threads.
    pub fn threads(&self, mut visit: impl FnMut(u32)) {
        let directory = &self.directory;
        let each = |path: &str, _| {
            let file = directory.join(path.trim_start_matches('/')).join(THREADS);
            let text = fs::read_to_string(file).unwrap_or_default();
            // Tasks of another PID namespace are listed as 0.
            let numbers = text.lines().filter_map(|line| line.parse().ok());
            numbers.filter(|tid| *tid != 0).for_each(&mut visit);
        };
        let _ = walk_cgroups(directory, BELOW_MAX, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_cgroup_by_any_of_its_names() {
        let tree = tempfile::TempDir::new().unwrap();
        let root = tree.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(root.join("none")).unwrap();
        fs::write(root.join("a/cgroup.threads"), "7\n0\n9\n").unwrap();
        fs::write(root.join("a/b/cgroup.threads"), "11\n").unwrap();
        let whole = root.join("a").display().to_string();
        for name in ["a", "/a", "a/", whole.as_str()] {
            let found = Cgroup::find_in(root, name).unwrap();
            assert_eq!(
                (found.path.as_str(), found.directory),
                ("/a", root.join("a")),
                "{name}"
            );
        }
        let mut threads = Vec::new();
        Cgroup::find_in(root, "a")
            .unwrap()
            .threads(|tid| threads.push(tid));
        assert_eq!(threads, [7, 9, 11]);
        let nested = Cgroup::find_in(root, "/a/b").unwrap();
        assert_eq!(nested.path, "/a/b");
        fs::remove_dir_all(root.join("a/b")).unwrap();
        nested.threads(|tid| panic!("{tid} of a cgroup that is gone"));
    }

    #[test]
    fn cgroups_that_cannot_be_meant() {
        let tree = tempfile::TempDir::new().unwrap();
        let root = tree.path();
        fs::create_dir(root.join("none")).unwrap();
        let error = |name: &str| Cgroup::find_in(root, name).unwrap_err().to_string();
        for name in ["b", "none", "../b"] {
            assert!(
                error(name).contains(&format!("no cgroup `{name}`")),
                "{name}"
            );
        }
        for name in ["", "/", &root.display().to_string()] {
            assert!(error(name).contains("whole hierarchy"), "{name}");
        }
    }

    #[test]
    fn finds_the_mount() {
        let mounts = "\
31 28 0:27 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
42 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
";
        let unified = PathBuf::from("/sys/fs/cgroup/unified");
        assert_eq!(parse_mounts(mounts), Some(unified));
        assert_eq!(parse_mounts(""), None);
    }

    #[test]
    fn walks_directories_and_no_more_than_the_limit() {
        let tree = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(tree.path().join("a/b")).unwrap();
        fs::create_dir(tree.path().join("c")).unwrap();
        fs::write(tree.path().join("cgroup.procs"), "").unwrap();
        let walk = |limit| {
            let mut found = Vec::new();
            let visit = |path: &str, id| found.push((path.to_owned(), id));
            let all = walk_cgroups(tree.path(), limit, visit).unwrap();
            found.sort();
            (all, found)
        };
        let (all, found) = walk(10);
        let number = |path: &str| {
            let number = fs::metadata(tree.path().join(path)).unwrap().ino();
            (format!("/{path}"), number)
        };
        assert!(all);
        assert_eq!(found, ["", "a", "a/b", "c"].map(number));
        assert_eq!((walk(4).0, walk(3).0), (true, false));
        assert_eq!(walk(3).1.len(), 3);
        assert!(walk_cgroups(&tree.path().join("none"), 9, |_, _| {}).is_err());
    }
}

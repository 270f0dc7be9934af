//! Paths on the host and in the guest.

use std::path::{Component, Path, PathBuf};

/// The guest has one directory of programs and one of libraries; the traditional names lead there.
pub(crate) const MERGED: &[(&str, &str)] = &[
    ("usr/sbin", "usr/bin"),
    ("sbin", "usr/bin"),
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];

/// Finds a program as a shell does: a name with a slash is a path, others are sought in `PATH`.
pub(crate) fn find_in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return is_program(Path::new(name)).then(|| name.into());
    }
    // Root's tools are in sbin, which a user's PATH lacks though he may run them.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(extra)
        .map(|dir| dir.join(name))
        .find(|candidate| !name.is_empty() && is_program(candidate))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// `path` from the guest's root: without the leading slash, `.` and `..`, and with the traditional
/// directories led to the merged ones.
pub(crate) fn guest_name(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    for (old, new) in MERGED {
        if let Ok(rest) = plain.strip_prefix(old) {
            return if rest.as_os_str().is_empty() {
                new.into()
            } else {
                Path::new(new).join(rest)
            };
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(guest_name(Path::new(path)), Path::new(expected));
    }

    #[test]
    fn names_in_the_guest() {
        check("/usr/bin/x", "usr/bin/x");
        check("/bin/x", "usr/bin/x");
        check("/usr/sbin/x", "usr/bin/x");
        check("/lib64/ld.so", "usr/lib64/ld.so");
        check("/lib/../etc/./x", "etc/x");
        check("/library", "library");
        check("/bin", "usr/bin");
    }

    #[test]
    fn programs_are_found() {
        assert!(find_in_path("sh").unwrap().is_absolute());
        assert!(find_in_path("no-such-program").is_none());
        assert!(find_in_path("").is_none());
        assert!(find_in_path("/etc/passwd").is_none());
        assert!(find_in_path("/bin/sh").is_some());
    }
}

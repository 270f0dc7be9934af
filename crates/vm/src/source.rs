//! Sources of programs, from Debian's source packages, in the cache: `sources/PACKAGE_VERSION` below
//! the cache's directory, as upstream published them. A directory appears there by renaming, whole or
//! not at all, so readers need no lock.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    packages::{self, Apt, Errand, Wanted},
};

/// The release whose sources are taken, the same on every machine.
const SUITE: &str = "trixie";

/// The directory of the upstream source of a Debian source package: from the cache if it is there,
/// else fetched from the machine's mirror and unpacked into it. `instead` is what a person can do
/// where that is impossible, for errors: the end of a sentence after "or". `progress` gets what a
/// person should know meanwhile.
///
/// # Errors
/// There is no cache, or the source is not in it and cannot be fetched or unpacked.
pub fn find_source(
    package: &str,
    instead: &str,
    progress: &dyn Fn(&str),
) -> Result<PathBuf, Error> {
    let cache = packages::cache_dir()?;
    if let Some(found) = cached(&cache, package) {
        return Ok(found);
    }
    let _lock = packages::lock(&cache, progress)?;
    // Another run may have fetched it while this one waited.
    if let Some(found) = cached(&cache, package) {
        return Ok(found);
    }
    progress(&format!("fetching the source of {package} ..."));
    let errand = Errand {
        what: format!("the source of {package}"),
        instead: instead.into(),
        cached: Vec::new(),
    };
    let apt = Apt::prepare(&cache, Wanted::Sources, SUITE, errand)?;
    apt.update()?;
    let archive = apt.download_source(package)?;
    let unpacked = unpack(&archive, &cache);
    apt.remove();
    unpacked
}

/// The source with the greatest version; they are compared letter by letter, which does for the few
/// that one release ever has.
fn cached(cache: &Path, package: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache.join("sources")).ok()?;
    let of_package = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(package)
            .is_some_and(|rest| rest.starts_with('_'))
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(of_package)
        .max()
}

/// Unpacks `PACKAGE_VERSION.orig.tar.*` without its topmost directory. The caller holds the lock.
fn unpack(archive: &Path, cache: &Path) -> Result<PathBuf, Error> {
    let file = archive.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split(".orig.tar").next().unwrap_or_default();
    let failed = |problem: String| Error::Unpack {
        package: name.into(),
        problem,
    };
    let place = cache.join("sources").join(name);
    let staged = cache.join("sources").join(format!(".{name}.new"));
    let _ = std::fs::remove_dir_all(&staged);
    std::fs::create_dir_all(&staged).map_err(packages::cache_error(&staged))?;
    let output = Command::new("tar")
        .args([
            "--extract",
            "--no-same-owner",
            "--strip-components=1",
            "--file",
        ])
        .arg(archive)
        .arg("--directory")
        .arg(&staged)
        .env("LC_ALL", "C")
        .output()
        .map_err(|_| Error::MissingTool {
            tool: "tar".into(),
            package: "tar",
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or("tar failed and said nothing");
        return Err(failed(first.into()));
    }
    std::fs::rename(&staged, &place).map_err(packages::cache_error(&place))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_unpacked_and_found() {
        let cache = tempfile::TempDir::new().unwrap();
        let (cache, top) = (cache.path(), cache.path().join("x-1.2"));
        std::fs::create_dir_all(top.join("src")).unwrap();
        std::fs::write(top.join("src/a.c"), "int a;").unwrap();
        let archive = cache.join("x_1.2.orig.tar.gz");
        let packed = Command::new("tar")
            .args(["-czf", &archive.to_string_lossy(), "-C"])
            .args([cache.as_os_str(), "x-1.2".as_ref()])
            .status()
            .unwrap();
        assert!(packed.success());
        assert_eq!(cached(cache, "x"), None);
        let place = unpack(&archive, cache).unwrap();
        assert_eq!(place, cache.join("sources/x_1.2"));
        assert_eq!(std::fs::read(place.join("src/a.c")).unwrap(), b"int a;");
        // Left by a run that was killed, and the source of another package.
        std::fs::create_dir(cache.join("sources/.x_1.3.new")).unwrap();
        std::fs::create_dir(cache.join("sources/xy_1.3")).unwrap();
        assert_eq!(cached(cache, "x"), Some(place));
        std::fs::write(&archive, "noise").unwrap();
        std::fs::remove_dir_all(cache.join("sources/x_1.2")).unwrap();
        let error = unpack(&archive, cache).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot unpack package x_1.2: "),
            "{error}"
        );
        assert_eq!(cached(cache, "x"), None);
    }
}

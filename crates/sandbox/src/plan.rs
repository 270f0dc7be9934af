//! From paths as the caller names them to the places of the new root.

use crate::wire::{Ids, Place};
use crate::{Error, Sandbox};
use nix::unistd::{getegid, geteuid};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The user and group that root's programs run as: the kernel's own `nobody`.
const NOBODY: u32 = 65534;
/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// Who is inside, for this caller.
pub(crate) fn ids() -> Result<Ids, Error> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if uid != 0 {
        // The outer stage is root of a user namespace in which there is nobody but the caller.
        return Ok(Ids {
            uid,
            gid,
            outer_uid: 0,
            outer_gid: 0,
            from_root: false,
        });
    }
    for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        let text =
            std::fs::read_to_string(map).map_err(Error::host("read this process's users"))?;
        if !maps(&text, NOBODY) {
            return Err(Error::NoUser { uid: NOBODY });
        }
    }
    Ok(Ids {
        uid: NOBODY,
        gid: NOBODY,
        outer_uid: NOBODY,
        outer_gid: NOBODY,
        from_root: true,
    })
}

/// Whether a user namespace's map knows this id.
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
        let (first, count): (u64, u64) = (
            numbers.next().unwrap_or(0),
            numbers.nth(1).unwrap_or_default(),
        );
        (first..first.saturating_add(count)).contains(&u64::from(id))
    })
}

/// The places of the new root: parents before what lies in them, links last.
pub(crate) fn places(sandbox: &Sandbox) -> Result<Vec<Place>, Error> {
    let mut mounts: BTreeMap<PathBuf, Place> = BTreeMap::new();
    let mut links = BTreeMap::new();
    for (path, inside) in &sandbox.reads {
        let place = match inside {
            Some(inside) => {
                let at = checked(inside, "a place in the sandbox")?;
                read(resolve(path, &mut BTreeMap::new())?, at)?
            }
            None => {
                let from = resolve(path, &mut links)?;
                let at = checked(&from, "a place in the sandbox")?;
                read(from, at)?
            }
        };
        mounts.insert(place.at().clone(), place);
    }
    for path in &sandbox.writes {
        let at = checked(&resolve(path, &mut links)?, "written by the sandbox")?;
        if !at.is_dir() {
            return Err(Error::Place {
                path: at,
                role: "written by the sandbox",
                reason: "name a directory",
            });
        }
        mounts.insert(at.clone(), Place::Write { at });
    }
    let covered = |path: &Path, mounts: &BTreeMap<PathBuf, Place>| {
        path.ancestors()
            .skip(1)
            .find_map(|above| mounts.get(above))
            .is_some_and(|above| matches!(above, Place::Read { from, at, .. } if from == at))
    };
    // A place that its parent shows anyway need not be mounted again.
    let mut places: Vec<Place> = mounts
        .values()
        .filter(|place| {
            !matches!(place, Place::Read { from, at, .. } if from == at && covered(at, &mounts))
        })
        .cloned()
        .collect();
    places.sort_by_key(|place| place.at().components().count());
    let links = links.into_iter().filter(|(at, _)| !covered(at, &mounts));
    places.extend(links.map(|(at, to)| Place::Link { at, to }));
    Ok(places)
}

/// A place to read; an error if the host does not have it.
fn read(from: PathBuf, at: PathBuf) -> Result<Place, Error> {
    match from.metadata() {
        Ok(data) => Ok(Place::Read {
            dir: data.is_dir(),
            from,
            at,
        }),
        Err(source) => Err(Error::NoSource { path: from, source }),
    }
}

/// A path that can be a place inside.
fn checked(path: &Path, role: &'static str) -> Result<PathBuf, Error> {
    let refuse = |reason| {
        Err(Error::Place {
            path: path.to_owned(),
            role,
            reason,
        })
    };
    let mut components = path.components();
    if components.next() != Some(Component::RootDir) {
        return refuse("give an absolute path");
    }
    if !path
        .components()
        .skip(1)
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return refuse("give it without `..`");
    }
    match components.next().and_then(|part| part.as_os_str().to_str()) {
        None if path.components().count() < 2 => refuse("name what of the root it should have"),
        Some("proc" | "dev") => refuse("the sandbox has its own"),
        _ if path == Path::new("/tmp") => refuse("the sandbox has its own"),
        _ => Ok(path.components().collect()),
    }
}

/// The path without symbolic links; the links on the way are noted, as the host has them.
fn resolve(path: &Path, links: &mut BTreeMap<PathBuf, PathBuf>) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        return Err(Error::Place {
            path: path.to_owned(),
            role: "shown to the sandbox",
            reason: "give an absolute path",
        });
    }
    let wrong = |source| Error::NoSource {
        path: path.to_owned(),
        source,
    };
    let mut real = PathBuf::from("/");
    let mut rest: Vec<PathBuf> = parts(path);
    let mut followed = 0;
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        if !next.symlink_metadata().map_err(wrong)?.is_symlink() {
            real = next;
            continue;
        }
        followed += 1;
        if followed > LINKS {
            return Err(wrong(nix::errno::Errno::ELOOP.into()));
        }
        let to = next.read_link().map_err(wrong)?;
        if to.is_absolute() {
            real = PathBuf::from("/");
        }
        rest.extend(parts(&to));
        links.insert(next, to);
    }
    Ok(real)
}

/// The names of a path, last first, without its root.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .rev()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn maps_of_users() {
        assert!(maps("         0          0 4294967295\n", 65534));
        assert!(!maps("0 1000 1\n", 65534));
        assert!(maps("0 1000 1\n1 100000 65536\n", 65534));
        assert!(!maps("", 0));
    }

    #[test]
    fn links_are_kept_and_what_a_parent_shows_is_not_mounted_twice() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("usr/lib/deep")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink(root.join("usr"), root.join("absolute")).unwrap();
        let sandbox = Sandbox::new()
            .read(root.join("lib/deep"))
            .read(root.join("absolute/lib"))
            .read_as(root.join("lib"), "/other");
        let places = places(&sandbox).unwrap();
        let text = format!("{places:?}").replace(root.to_str().unwrap(), "");
        assert_eq!(
            text,
            r#"[Read { from: "/usr/lib", at: "/other", dir: true }, Read { from: "/usr/lib", at: "/usr/lib", dir: true }, Link { at: "/absolute", to: "/usr" }, Link { at: "/lib", to: "usr/lib" }]"#
        );
    }

    #[test]
    fn paths_that_cannot_be() {
        for (path, message) in [
            (
                "relative",
                "`relative` cannot be shown to the sandbox: give an absolute path",
            ),
            (
                "/",
                "`/` cannot be a place in the sandbox: name what of the root it should have",
            ),
            ("/proc/self", "the sandbox has its own"),
            (
                "/tmp",
                "`/tmp` cannot be a place in the sandbox: the sandbox has its own",
            ),
            ("/no/such", "leave it out"),
        ] {
            let error = places(&Sandbox::new().read(path)).unwrap_err().to_string();
            assert!(error.contains(message), "{path}: {error}");
        }
        let error = places(&Sandbox::new().read_as("/usr", "/a/../b")).unwrap_err();
        assert!(error.to_string().contains("without `..`"), "{error}");
    }
}

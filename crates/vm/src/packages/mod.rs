//! Debian packages, fetched into Baton's cache: from the mirror that the machine is configured for,
//! checked against Debian's keys, with nothing installed and nothing of the machine's changed.

mod apt;
mod mirror;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

use crate::Error;
pub(crate) use apt::{Apt, Errand, Wanted};

/// The Debian mirror that packages would come from; none where no mirror is configured and
/// `BATON_DEBIAN_MIRROR` names none.
#[must_use]
pub fn debian_mirror() -> Option<String> {
    mirror::find().map(|source| source.mirror)
}

/// Baton's cache: `$BATON_CACHE`, else `$XDG_CACHE_HOME/baton`, else `~/.cache/baton`.
///
/// # Errors
/// None of the variables is set.
pub fn cache_dir() -> Result<PathBuf, Error> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("BATON_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("baton")))
        .or_else(|| Some(set("HOME")?.join(".cache/baton")))
        .ok_or(Error::NoCache)
}

/// Holds the cache for writing; others wait.
pub(crate) fn lock(cache: &Path, progress: &dyn Fn(&str)) -> Result<Flock<File>, Error> {
    std::fs::create_dir_all(cache).map_err(cache_error(cache))?;
    let path = cache.join("lock");
    let open = || File::create(&path).map_err(cache_error(&path));
    match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, _)) => {
            progress("waiting for another run that fetches something ...");
            Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, errno)| cache_error(&path)(errno.into()))
        }
    }
}

pub(crate) fn cache_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Cache { path, source }
}

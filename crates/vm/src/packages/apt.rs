//! apt with a state, cache and configuration of its own: nothing is installed, root is not needed,
//! and the machine's own package lists stay as they are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{cache_error, mirror};
use crate::Error;

/// apt's files below Baton's cache.
pub(crate) struct Apt {
    dir: PathBuf,
    mirror: String,
    errand: Errand,
}

/// What is fetched and why, for errors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errand {
    /// What it is, such as `a kernel package`.
    pub(crate) what: String,
    /// What a person can do instead, as the end of "or ...".
    pub(crate) instead: String,
    /// What is in the cache and would do without a network.
    pub(crate) cached: Vec<String>,
}

/// The kind of packages: each has lists of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Binaries,
    Sources,
}

impl Wanted {
    fn directory(self) -> &'static str {
        match self {
            Self::Binaries => "apt",
            Self::Sources => "apt-sources",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Binaries => "deb",
            Self::Sources => "deb-src",
        }
    }
}

impl Apt {
    /// Writes the configuration for `suite` at this machine's mirror.
    pub(crate) fn prepare(
        cache: &Path,
        wanted: Wanted,
        suite: &str,
        errand: Errand,
    ) -> Result<Self, Error> {
        let Some(source) = mirror::find() else {
            return Err(Error::NoMirror {
                what: errand.what,
                instead: errand.instead,
            });
        };
        let Some(keyring) = source.keyring else {
            return Err(Error::NoKeyring {
                mirror: source.mirror,
                instead: errand.instead,
            });
        };
        let dir = cache.join(wanted.directory());
        let prepare = || {
            for part in ["state/lists/partial", "cache/archives/partial", "download"] {
                std::fs::create_dir_all(dir.join(part))?;
            }
            std::fs::write(dir.join("status"), "")?;
            let line = format!(
                "{} [signed-by={}] {} {suite} main\n",
                wanted.kind(),
                keyring.display(),
                source.mirror
            );
            std::fs::write(dir.join("sources.list"), line)?;
            std::fs::write(
                dir.join("apt.conf"),
                configuration(&dir, &machine_acquire_options()),
            )
        };
        prepare().map_err(cache_error(&dir))?;
        Ok(Self {
            dir,
            mirror: source.mirror,
            errand,
        })
    }

    /// The mirror that is used.
    pub(crate) fn mirror(&self) -> &str {
        &self.mirror
    }

    /// Reads the mirror's list of packages.
    pub(crate) fn update(&self) -> Result<(), Error> {
        let output = self.run("apt-get", &["update", "-q"])?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        // apt-get update is content with an archive that it could not reach.
        let failed = complaint
            .lines()
            .any(|line| line.starts_with("E:") || line.contains("Failed to fetch"));
        if output.status.success() && !failed {
            Ok(())
        } else {
            Err(self.failure(&complaint))
        }
    }

    /// Names of the packages that match the regular expression `pattern`.
    pub(crate) fn search(&self, pattern: &str) -> Result<Vec<String>, Error> {
        let output = self.run("apt-cache", &["search", "--names-only", pattern])?;
        if !output.status.success() {
            return Err(self.failure(&String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .filter_map(|line| Some(line.split(" - ").next()?.trim().into()))
            .collect())
    }

    /// Downloads a package, checked by apt against the archive's signed lists, and returns its path.
    pub(crate) fn download(&self, package: &str) -> Result<PathBuf, Error> {
        self.fetch(&["download", "-q", package], |name| name.ends_with(".deb"))
    }

    /// Downloads the upstream source of a package, checked likewise: an archive of a name such as
    /// `lua5.4_5.4.7.orig.tar.gz`.
    pub(crate) fn download_source(&self, package: &str) -> Result<PathBuf, Error> {
        let command = ["source", "-q", "--download-only", "--tar-only", package];
        // Some sources come in several archives, and beside each may lie its signature.
        self.fetch(&command, |name| {
            name.contains(".orig.tar.") && !name.ends_with(".asc")
        })
    }

    /// Runs apt-get and returns the file that came and whose name is right.
    fn fetch(&self, command: &[&str], is_right: impl Fn(&str) -> bool) -> Result<PathBuf, Error> {
        let dir = self.dir.join("download");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(cache_error(&dir))?;
        let output = self.run("apt-get", command)?;
        let found = std::fs::read_dir(&dir).ok().and_then(|entries| {
            let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.find(|path| is_right(&path.file_name().unwrap_or_default().to_string_lossy()))
        });
        found
            .filter(|_| output.status.success())
            .ok_or_else(|| self.failure(&String::from_utf8_lossy(&output.stderr)))
    }

    /// Removes what was downloaded.
    pub(crate) fn clean(&self) {
        let _ = std::fs::remove_dir_all(self.dir.join("download"));
    }

    /// Removes all of apt's files: its lists are large, and those of sources are read once.
    pub(crate) fn remove(self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }

    fn run(&self, tool: &str, args: &[&str]) -> Result<Output, Error> {
        Command::new(tool)
            .args(args)
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C")
            .current_dir(self.dir.join("download"))
            .output()
            .map_err(|_| Error::MissingTool {
                tool: tool.into(),
                package: "apt",
            })
    }

    fn failure(&self, complaint: &str) -> Error {
        let first = complaint
            .lines()
            .find(|line| line.starts_with("E:"))
            .or_else(|| complaint.lines().find(|line| !line.trim().is_empty()))
            .unwrap_or("apt failed and said nothing");
        let plain = first
            .strip_prefix("E:")
            .or_else(|| first.strip_prefix("W:"))
            .unwrap_or(first);
        let problem = plain.trim().trim_end_matches('.').to_owned();
        let errand = self.errand.clone();
        Error::Fetch {
            what: errand.what,
            mirror: self.mirror.clone(),
            problem,
            instead: errand.instead,
            cached: errand.cached,
        }
    }
}

/// What the machine's administrator says about fetching, such as a proxy. The rest of its
/// configuration stays out: it may have hooks that act on the machine's own lists.
fn machine_acquire_options() -> Vec<String> {
    let Ok(output) = Command::new("apt-config").arg("dump").output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.starts_with("Acquire::") && !line.contains("IndexTargets"))
        .map(Into::into)
        .collect()
}

/// apt reads this file first; it leads away from all the others.
fn configuration(dir: &Path, acquire: &[String]) -> String {
    let dir = dir.display();
    let own = format!(
        "Dir::State \"{dir}/state\";\n\
         Dir::State::status \"{dir}/status\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::main \"/dev/null\";\n\
         Dir::Etc::parts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"2\";\n"
    );
    acquire.iter().fold(own, |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_machine_but_how_to_fetch() {
        let proxy = "Acquire::http::Proxy \"http://proxy.example:3128/\";".to_owned();
        let text = configuration(Path::new("/c/apt"), &[proxy]);
        assert!(text.contains("Dir::State \"/c/apt/state\";\n"));
        assert!(text.ends_with("Acquire::http::Proxy \"http://proxy.example:3128/\";\n"));
    }
}

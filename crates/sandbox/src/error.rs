//! What can go wrong, told as what happened, to what, and the remedy.

use crate::wire::{Fault, Step};
use std::{io, path::PathBuf};

/// Why a program was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program that calls cannot be its own inner stage.
    #[error(
        "this program cannot contain another one: call baton_sandbox::run_if_child() first thing in \
         its main, or name a program that does (Sandbox::with_program)"
    )]
    NotCalled,
    /// A path that cannot be a place inside.
    #[error("`{}` cannot be {role}: {reason}", path.display())]
    Place {
        /// The path.
        path: PathBuf,
        /// What it should have been.
        role: &'static str,
        /// What would be right.
        reason: &'static str,
    },
    /// A path that the host does not have, or does not show.
    #[error(
        "cannot let the sandbox have {}: {source}; leave it out, or give what it should be there",
        path.display()
    )]
    NoSource {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program is not there, or is none.
    #[error(
        "cannot execute {} in the sandbox: {source}; let it have the program, its interpreter and \
         its libraries (Sandbox::read, Sandbox::system)",
        program.display()
    )]
    Program {
        /// The program as given.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The working directory is not there.
    #[error(
        "cannot work in {} in the sandbox: {source}; let it have the directory (Sandbox::read, \
         Sandbox::write)",
        dir.display()
    )]
    Dir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Root without the privileges of root.
    #[error(
        "root cannot be contained here: the user {uid} is not known in this user namespace; run as \
         an ordinary user"
    )]
    NoUser {
        /// The user that the program would have run as.
        uid: u32,
    },
    /// The kernel or its settings refuse a part of the containment.
    #[error("cannot contain a program here: {what}: {source}; {remedy}")]
    Refused {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
        /// What to do.
        remedy: String,
    },
    /// The program has run, and its files cannot be stored.
    #[error("cannot bring files out of the sandbox: {what}: {source}; look at the directory")]
    Files {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Too much input.
    #[error(
        "an input of {bytes} bytes is too long for the sandbox: give it as a file (Sandbox::read)"
    )]
    Input {
        /// Its length.
        bytes: usize,
    },
    /// The host is short of something.
    #[error("cannot start the sandbox: {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The supervisor did not say how the program ended.
    #[error(
        "the sandbox ended without a report: something outside killed it, as the kernel does when \
         memory is short; try again with lower limits"
    )]
    Lost,
}

impl Error {
    /// Wraps an error of the host's kernel; for `map_err`.
    pub(crate) fn host<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Host {
            what,
            source: source.into(),
        }
    }

    /// A short stable name for programs that read errors.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotCalled => "not-called",
            Self::Place { .. } => "place",
            Self::NoSource { .. } => "no-source",
            Self::Program { .. } => "program",
            Self::Dir { .. } => "dir",
            Self::NoUser { .. } => "no-user",
            Self::Refused { .. } => "refused",
            Self::Files { .. } => "files",
            Self::Input { .. } => "input",
            Self::Host { .. } => "host",
            Self::Lost => "lost",
        }
    }

    /// What a stage could not do, with the remedy for it on this machine.
    pub(crate) fn of(fault: &Fault, program: PathBuf, dir: PathBuf) -> Self {
        let (what, source) = (fault.what.clone(), fault.source());
        match fault.step {
            Step::Exec => Self::Program { program, source },
            Step::Dir => Self::Dir { dir, source },
            Step::Files => Self::Files { what, source },
            step => Self::Refused {
                what,
                source,
                remedy: remedy(step),
            },
        }
    }
}

/// What to do when this step fails, as the machine's settings tell.
fn remedy(step: Step) -> String {
    match step {
        Step::Namespaces | Step::Users => namespaces_remedy().into(),
        Step::Root => {
            "look whether the path is there and not inside a place that is read-only; in a \
                       container, the container must show all of /proc"
                .into()
        }
        Step::Landlock => {
            "boot a kernel from 5.13 on that was built with CONFIG_SECURITY_LANDLOCK, \
                           with `landlock` in its list (lsm=landlock,... on its command line)"
                .into()
        }
        Step::Calls => "boot a kernel that was built with CONFIG_SECCOMP_FILTER".into(),
        _ => "run as an ordinary user, outside of other containers".into(),
    }
}

/// Which setting forbids namespaces.
fn namespaces_remedy() -> &'static str {
    let setting = |path| std::fs::read_to_string(path).unwrap_or_default();
    if setting("/proc/sys/user/max_user_namespaces").trim() == "0" {
        "allow user namespaces: sysctl -w user.max_user_namespaces=10000"
    } else if setting("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0" {
        "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1"
    } else if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").trim() == "1" {
        "allow user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give \
         this program an AppArmor profile with `userns`"
    } else {
        "run where user namespaces are to be had (CONFIG_USER_NS; containers often forbid them: run \
         outside, or give the container CAP_SYS_ADMIN)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects these words of a step that was not permitted.
    fn check(step: Step, words: &[&str]) {
        let fault = Fault::new(step, "try it", &io::Error::from_raw_os_error(libc::EPERM));
        let text = Error::of(&fault, "/program".into(), "/dir".into()).to_string();
        for word in words {
            assert!(text.contains(word), "{step:?}: {text}");
        }
    }

    #[test]
    fn every_step_has_its_remedy() {
        check(
            Step::Landlock,
            &["try it", "CONFIG_SECURITY_LANDLOCK", "lsm=landlock"],
        );
        check(Step::Calls, &["CONFIG_SECCOMP_FILTER"]);
        check(Step::Namespaces, &["user namespaces"]);
        check(Step::Exec, &["/program", "not permitted", "let it have"]);
        check(Step::Dir, &["/dir", "let it have"]);
        check(Step::Limits, &["ordinary user"]);
    }
}

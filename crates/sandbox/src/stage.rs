//! The hidden entry: a program that contains others is the program of a sandbox's inner stages too.
//!
//! Nothing of Rust may run between fork and exec without `unsafe`, and a process of many threads
//! cannot enter a user namespace. So the caller executes itself again, and each stage does so once
//! more:
//! - `outer` enters namespaces, starts the supervisor, and waits until it is gone;
//! - `init` is process 1 of the new process namespace: the supervisor, in `init`;
//! - `child` waits for the new root, gives everything up, and becomes the program, in `child`.

use crate::wire::{Blame, Fault, Report, Step, send};
use crate::{child, init};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid, getppid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::atomic::{AtomicBool, Ordering};

/// Argument zero of a stage.
const MARK: &str = "baton-sandbox-stage";
/// This program, whatever its name is by now.
pub(crate) const SELF: &str = "/proc/self/exe";
/// Status of a stage that failed; why, it has said on its line.
pub(crate) const FAILED: i32 = 125;

static CALLED: AtomicBool = AtomicBool::new(false);

/// Does what a sandbox's inner stage shall do, and never returns, if this process is one; otherwise
/// returns at once.
///
/// A program that contains others must call this first thing in `main`, before it starts a thread,
/// opens a file or reads its arguments.
///
/// ```no_run
/// baton_sandbox::run_if_child();
/// println!("{:?}", baton_sandbox::probe());
/// ```
pub fn run_if_child() {
    let mut arguments = std::env::args_os();
    if arguments.next().as_deref() != Some(OsStr::new(MARK)) {
        CALLED.store(true, Ordering::Relaxed);
        return;
    }
    let which = arguments.next().unwrap_or_default();
    let number = arguments.next().unwrap_or_default();
    let number = number.to_str().and_then(|text| text.parse().ok());
    match (which.to_str(), number) {
        (Some("outer"), Some(parent)) => exit(outer(parent)),
        (Some("init"), Some(_)) => exit(init::be_init()),
        (Some("child"), Some(line)) => exit(child::be_child(line)),
        _ => exit(FAILED),
    }
}

/// Whether this program can be its own inner stage.
pub(crate) fn is_called() -> bool {
    CALLED.load(Ordering::Relaxed)
}

/// This program again, as a stage, with nothing of the environment.
pub(crate) fn command(program: &Path, which: &str, number: impl Into<i32>) -> Command {
    let mut command = Command::new(program);
    command
        .arg0(MARK)
        .arg(which)
        .arg(number.into().to_string())
        .env_clear();
    command
}

/// The line to the caller, which is this process's standard input.
pub(crate) fn line() -> io::Result<UnixStream> {
    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Enters namespaces, starts the supervisor in them, and waits until it is gone, and with it every
/// process of the namespace.
fn outer(parent: i32) -> i32 {
    let result = close_others().and_then(|()| enter()).and_then(|()| {
        // After the namespaces, for a change of credentials clears it.
        set_pdeathsig(Signal::SIGKILL).blame(Step::Stage, || "tie the sandbox to its caller")?;
        if getppid().as_raw() != parent {
            exit(FAILED); // The caller is gone already.
        }
        command(Path::new(SELF), "init", 0)
            .status()
            .blame(Step::Stage, || "start the supervisor")
    });
    match result {
        Ok(status) => status.code().unwrap_or(FAILED),
        Err(fault) => {
            if let Ok(line) = line() {
                let _ = send(line, &Report::Fault(fault));
            }
            FAILED
        }
    }
}

/// Closes what the caller has let everybody inherit, but for the three standard ones.
fn close_others() -> Result<(), Fault> {
    let open: Vec<OsString> = std::fs::read_dir("/proc/self/fd")
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .blame(Step::Stage, || "list open files")?;
    for name in open {
        let number: Option<i32> = name.to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            let _ = nix::unistd::close(number); // One of them was the list itself.
        }
    }
    Ok(())
}

/// Enters a mount, process, network, IPC, name and control-group namespace; where the caller is not
/// root, through a user namespace in which it is.
fn enter() -> Result<(), Fault> {
    let (uid, gid) = (geteuid(), getegid());
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if !uid.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    std::env::set_current_dir("/").blame(Step::Stage, || "leave the working directory")?;
    unshare(flags).blame(Step::Namespaces, || "enter namespaces of its own")?;
    if !uid.is_root() {
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("gid_map", format!("0 {gid} 1")),
            ("uid_map", format!("0 {uid} 1")),
        ] {
            std::fs::write(Path::new("/proc/self").join(file), text)
                .blame(Step::Users, || format!("set {file} of the user namespace"))?;
        }
    }
    nix::unistd::sethostname("sandbox").blame(Step::Namespaces, || "name the sandbox's host")
}

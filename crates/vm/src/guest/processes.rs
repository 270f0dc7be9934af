//! The command, and every other process of the guest.

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::protocol::Config;

/// How long processes that the command left behind may take to end in good order.
const GRACE: Duration = Duration::from_secs(2);
/// How long killed processes may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// The configured command, in a process group of its own.
pub(super) fn command(config: &Config) -> Command {
    let program = config.argv.first().map(String::as_str).unwrap_or_default();
    let path = config
        .env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, path)| path.as_str());
    let mut command = Command::new(find(program, path.unwrap_or_default()));
    command
        .args(config.argv.iter().skip(1))
        .env_clear()
        .envs(config.env.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    let cwd = Path::new(&config.cwd);
    if std::fs::create_dir_all(cwd).is_ok() {
        command.current_dir(cwd);
    }
    command
}

fn find(program: &str, path: &str) -> PathBuf {
    let runs = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return program.into();
    }
    path.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(runs)
        .unwrap_or(program.into())
}

/// Waits for the process `pid` and reaps all others that end meanwhile. Returns its exit status, or
/// 128 + N when signal N ended it.
pub(super) fn wait_for(pid: Pid) -> i32 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(ended, status)) if ended == pid => return status,
            Ok(WaitStatus::Signaled(ended, signal, _)) if ended == pid => {
                return 128 + signal as i32;
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 255,
        }
    }
}

/// Ends every process but this one: politely, so that a scheduler can detach, then not. Returns
/// whether all are gone.
pub(super) fn end_all() -> bool {
    if !signal_all(Signal::SIGTERM) || reap_all(GRACE) {
        return true;
    }
    signal_all(Signal::SIGKILL);
    reap_all(KILL_PATIENCE)
}

/// Whether there was a process to signal. Stopped ones are woken to see it.
fn signal_all(signal: Signal) -> bool {
    let everybody = Pid::from_raw(-1);
    let found = kill(everybody, signal).is_ok();
    let _ = kill(everybody, Signal::SIGCONT);
    found
}

/// Whether all children, and so all orphans, were gone in time.
fn reap_all(patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return true,
            Ok(WaitStatus::StillAlive) if Instant::now() > deadline => return false,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_given_path() {
        assert_eq!(find("sh", "/nowhere:/bin"), Path::new("/bin/sh"));
        assert_eq!(find("./x", "/bin"), Path::new("./x"));
        assert_eq!(find("no-such", "/bin"), Path::new("no-such"));
    }

    #[test]
    fn a_missing_command_is_an_error_and_no_panic() {
        let config = Config {
            cwd: "/".into(),
            ..Config::default()
        };
        let error = command(&config).spawn().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}

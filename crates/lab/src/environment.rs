//! What a reader of results must know of the machine and the build that made them.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use siphasher::sip::SipHasher24;

use crate::{
    engine::{die_with_parent, without_capabilities},
    journal::Session,
    results::Git,
};

/// Who tells its version does so at once.
const VERSION_LIMIT: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// No version is longer, in bytes of output and in characters of a line.
const OUTPUT_MAX: u64 = 4096;
const VERSION_MAX: usize = 100;

impl Session {
    /// This process, now. `versions` are those of what takes part beside Baton, `git` the state of the
    /// source that it was built from, if that is known.
    #[must_use]
    pub fn now(mut versions: BTreeMap<String, String>, git: Option<Git>) -> Self {
        let own = env::current_exe().unwrap_or_default();
        versions.insert("baton".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Self {
            begun: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            build: build(&own),
            git,
            versions,
            processor: processor(),
        }
    }
}

/// A number that is another one for another file: its SipHash-2-4, with a key of zeros.
fn build(program: &Path) -> String {
    let bytes = fs::read(program).unwrap_or_default();
    format!("{:016x}", SipHasher24::new().hash(&bytes))
}

/// The processor's name, as the kernel has it.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        ["model name", "Model", "Hardware"]
            .contains(&key.trim())
            .then(|| value.trim())
    });
    line.unwrap_or(env::consts::ARCH).to_owned()
}

/// The version that a program tells with `--version`: what follows this word in its first line.
#[must_use]
pub fn version_of(program: &str, word: &str) -> Option<String> {
    let mut command = Command::new(program);
    let output = command
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, rest) = text.lines().next()?.split_once(word)?;
    Some(rest.split_whitespace().next()?.to_owned())
}

/// What a program answers to `--version` within a second: its first line, without the program's name.
/// None if it does not answer, or ends in failure. It runs without the right to load a scheduler, for
/// one that does not know the option may do that.
#[must_use]
pub fn told_version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    die_with_parent(&mut command);
    without_capabilities(&mut command);
    let mut child = command.spawn().ok()?;
    let stdout = child.stdout.take()?;
    let (sender, output) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(OUTPUT_MAX).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    let succeeded = ends_well(&mut child);
    // The pid fits: it came from the kernel. What it started would hold the output open.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    let _ = child.wait();
    let bytes = output.recv_timeout(VERSION_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let name = program.file_name()?.to_string_lossy();
    let rest = line.strip_prefix(&*name).unwrap_or(line);
    let rest = rest.trim_start_matches([':', ' ']);
    let rest = rest.strip_prefix("version ").unwrap_or(rest);
    let version: String = rest.trim().chars().take(VERSION_MAX).collect();
    (succeeded && !version.is_empty()).then_some(version)
}

/// Whether a process ends with success within the time for a version.
fn ends_well(child: &mut Child) -> bool {
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if begin.elapsed() < VERSION_LIMIT => thread::sleep(LOOK_INTERVAL),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, "one").unwrap();
        let one = build(&path);
        fs::write(&path, "two").unwrap();
        assert!(one.len() == 16 && one != build(&path));
    }

    fn script(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        // By another process: a file that this one has open to write, or a child between fork and
        // exec, cannot be executed.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"",
        ]);
        assert!(command.arg(&path).arg(text).status().unwrap().success());
        path
    }

    #[test]
    fn programs_tell_their_versions() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| told_version(&script(folder.path(), "scx_some", text));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told("echo; echo scx_some 1.2.3 x86_64"),
            some("1.2.3 x86_64")
        );
        assert_eq!(told("echo scx_some: version v4"), some("v4"));
        assert_eq!(told("echo \"asked $1\""), some("asked --version"));
        assert_eq!(told("echo 1.2.3; exit 1"), None);
        assert_eq!(told("true"), None);
        assert_eq!(told_version(&folder.path().join("none")), None);
        // Nobody is given the chance to load a scheduler instead.
        let capabilities = told("grep CapEff /proc/self/status | tr -d '\\t'");
        assert_eq!(capabilities, some("CapEff:0000000000000000"));
    }

    /// Those that do not know the option and run, with what they started.
    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let silent = script(
            folder.path(),
            "silent",
            "echo $$ > $0.pid; sleep 600 & sleep 600",
        );
        assert_eq!(told_version(&silent), None);
        let pid = fs::read_to_string(folder.path().join("silent.pid")).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
        // One that leaves another behind, which holds its output open.
        let parent = script(folder.path(), "parent", "echo 7; sleep 600 &");
        assert_eq!(told_version(&parent), Some("7".to_owned()));
        assert!(begin.elapsed() < Duration::from_secs(20), "{begin:?}");
    }
}

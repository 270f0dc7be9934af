//! What can be read and written.

use crate::common::{check, err, out, program, run, sandbox, sh};
use baton_sandbox::How;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

#[test]
fn files_outside_are_not_there() {
    let Some(sandbox) = sandbox() else { return };
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let home = std::env::var("HOME").unwrap_or("/root".into());
    for path in [
        secret.to_str().unwrap(),
        "/etc/passwd",
        "/etc/shadow",
        &home,
        "/sys",
        "/proc/sys",
        "/proc/kcore",
        "/proc/1/root/etc/passwd",
        "/proc/self/root/../etc/passwd",
        "/old",
        "/usr/../etc/passwd",
    ] {
        let ended = run(&sandbox, "/bin/cat", &[path]);
        assert_eq!(
            (ended.status, out(&ended).as_str()),
            (How::Exit(1), ""),
            "{path}"
        );
        assert!(
            err(&ended).contains("No such file"),
            "{path}: {}",
            err(&ended)
        );
    }
}

#[test]
fn a_link_out_of_what_is_shown_leads_nowhere() {
    let Some(sandbox) = sandbox() else { return };
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", dir.path().join("out")).unwrap();
    fs::write(dir.path().join("in"), "shown").unwrap();
    let sandbox = sandbox.read_as(dir.path(), "/shown");
    check(
        &sandbox,
        "cat /shown/in; cat /shown/out 2>/dev/null || echo none",
        "shownnone",
    );
}

#[test]
fn what_is_only_shown_cannot_be_changed() {
    let Some(sandbox) = sandbox() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "as it was").unwrap();
    for path in [dir.path(), &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let sandbox = sandbox.read_as(dir.path(), "/shown");
    for script in [
        "echo x > /shown/file",
        "rm /shown/file",
        "chmod 0 /shown/file",
        "touch /shown/new",
        "touch /new",
        "mkdir /usr/new",
        "touch /dev/new",
        "echo 0 > /proc/self/oom_score_adj",
        "mount -o remount,rw /shown",
    ] {
        let ended = sh(&sandbox, script);
        assert!(!ended.status.is_success(), "{script}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "as it was");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn files_come_out_and_belong_to_the_caller() {
    let Some(sandbox) = sandbox() else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("kept"), "kept").unwrap();
    fs::write(dir.path().join("replaced"), "old").unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    symlink(elsewhere.path(), dir.path().join("led")).unwrap();
    let sandbox = sandbox.write(dir.path()).dir(dir.path());
    check(
        &sandbox,
        "ls; echo new > replaced; echo x > led; mkdir -p deep/er; echo in > deep/er/file
         printf '#!' > tool; chmod 6755 tool; ln -s /etc/passwd link; mkfifo fifo; chmod 0 deep/er
         echo temporary > /tmp/gone; cat /tmp/gone",
        "temporary",
    );
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(
        [
            read("kept"),
            read("replaced"),
            read("led"),
            read("deep/er/file")
        ],
        ["kept", "new\n", "x\n", "in\n"]
    );
    assert_eq!(fs::read(elsewhere.path()).unwrap(), b"");
    let data = |name: &str| dir.path().join(name).symlink_metadata();
    assert!(data("link").is_err() && data("fifo").is_err());
    let own = fs::metadata(dir.path()).unwrap().uid();
    for name in ["replaced", "deep", "deep/er", "deep/er/file", "tool"] {
        assert_eq!(data(name).unwrap().uid(), own, "{name}");
    }
    assert_eq!(data("tool").unwrap().mode() & 0o7777, 0o755);
    assert_eq!(data("replaced").unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn several_places_at_once_and_one_in_another() {
    let Some(sandbox) = sandbox() else { return };
    let (shown, first, second) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    fs::create_dir(shown.path().join("below")).unwrap();
    fs::write(first.path().join("source"), "text").unwrap();
    let below = shown.path().join("below");
    let sandbox = sandbox
        .read(shown.path())
        .write(&below)
        .write(second.path())
        .read(first.path().join("source"));
    let script = format!(
        "cp {} {}; echo b > {}/b",
        first.path().join("source").display(),
        second.path().join("copy").display(),
        below.display()
    );
    check(&sandbox, &script, "");
    assert_eq!(
        fs::read_to_string(second.path().join("copy")).unwrap(),
        "text"
    );
    assert_eq!(fs::read_to_string(below.join("b")).unwrap(), "b\n");
}

#[test]
fn devices_and_temporary_files_work() {
    let Some(sandbox) = sandbox() else { return };
    check(
        &sandbox,
        "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c
         echo t > /tmp/t; cat /tmp/t; ls -A /dev | xargs echo",
        "3\n4\nt\nfd full null random stderr stdin stdout urandom zero",
    );
    check(
        &sandbox,
        "ls -A /tmp; cat /dev/mem 2>/dev/null || echo none",
        "none",
    );
}

#[test]
fn the_callers_mask_hides_nothing_inside_and_holds_outside() {
    if sandbox().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "umask 077; exec {} --write {} /bin/sh -c 'ls -d /usr/bin; echo x > made'",
        program("baton-sandbox").display(),
        dir.path().display()
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("/usr/bin\nended with status 0"), "{text}");
    let data = fs::metadata(dir.path().join("made")).unwrap();
    assert_eq!(data.mode() & 0o777, 0o600);
}

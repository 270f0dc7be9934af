//! What is beside files: the environment, other processes, the network, privileges.

use crate::common::{ACT, check, out, program, run, sandbox};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

#[test]
fn the_environment_is_what_was_given() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.env("GIVEN", "a b");
    check(
        &sandbox,
        "/usr/bin/env -u PWD | sort",
        "GIVEN=a b\nPATH=/usr/bin:/bin",
    );
    // The caller's own, which is not empty, is nowhere to be read.
    assert!(std::env::vars_os().count() > 0);
    check(
        &sandbox,
        "cat /proc/1/environ 2>/dev/null; cat /proc/[0-9]*/environ | tr '\\0' '\\n' | sort -u",
        "GIVEN=a b\nPATH=/usr/bin:/bin\nPWD=/",
    );
}

#[test]
fn a_secret_of_the_caller_is_not_seen() {
    if sandbox().is_none() {
        return;
    }
    let script = "env; cat /proc/1/environ /proc/self/environ /proc/*/environ 2>&1";
    let output = Command::new(program("baton-sandbox"))
        .args(["/bin/sh", "-c", script])
        .env("SECRET", "do-not-tell")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("PATH=/usr/bin:/bin"), "{text}");
    assert!(!text.contains("do-not-tell"), "{text}");
}

#[test]
fn no_open_file_of_the_caller_comes_along() {
    if sandbox().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("open");
    std::fs::write(&file, "").unwrap();
    let script = format!(
        "exec 7<{} 9>&1; exec {} /bin/ls /proc/self/fd",
        file.display(),
        program("baton-sandbox").display()
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // The last one is the directory that it lists.
    let numbers: Vec<&str> = text.lines().take_while(|line| line.len() == 1).collect();
    assert_eq!(numbers, ["0", "1", "2", "3"], "{text}");
}

#[test]
fn the_hosts_processes_are_not_visible() {
    let Some(sandbox) = sandbox() else { return };
    let ended = crate::common::sh(&sandbox, "cd /proc; echo [0-9]*; hostname");
    let text = out(&ended);
    let (processes, host) = text.split_once('\n').unwrap();
    assert_eq!(host, "sandbox");
    // The supervisor hides itself; there is the shell, and what it starts.
    for number in processes.split(' ') {
        assert!((2..10).contains(&number.parse().unwrap()), "{processes}");
    }
    check(
        &sandbox,
        "kill -9 1 2>/dev/null || echo refused; echo on",
        "refused\non",
    );
}

#[test]
fn there_is_no_network() {
    let Some(sandbox) = sandbox() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connect = |sandbox| out(&run(sandbox, ACT, &["connect", &address]));
    let outside = Command::new(program("baton-sandbox-act"))
        .args(["connect", &address])
        .output()
        .unwrap();
    assert_eq!(outside.stdout, b"Ok(())\n");
    assert!(
        connect(&sandbox).starts_with("Err("),
        "{}",
        connect(&sandbox)
    );
    check(
        &sandbox,
        "tail -n +3 /proc/self/net/dev | cut -d: -f1 | tr -d ' '",
        "lo",
    );

    let name = format!("baton-sandbox-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let text = out(&run(&sandbox, ACT, &["abstract", &name]));
    assert!(text.starts_with("Err("), "{text}");
}

#[test]
fn privileges_are_gone_for_good() {
    let Some(sandbox) = sandbox() else { return };
    let uid = sandbox.probe().unwrap().uid;
    check(
        &sandbox,
        "grep -E '^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Uid):' /proc/self/status \
         | tr -s '\\t' ' '",
        &format!(
            "Uid: {uid} {uid} {uid} {uid}\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
             CapBnd: 0000000000000000\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2"
        ),
    );
    // The root may be read by its mode, but not by Landlock's rules.
    check(&sandbox, "ls / 2>/dev/null || echo refused", "refused");
    let text = out(&run(&sandbox, ACT, &["refused"]));
    assert_eq!(text, "Err(EPERM) Err(EPERM) Err(EPERM) Err(EPERM)");
}

#[test]
fn setuid_programs_gain_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let Some(sandbox) = sandbox() else { return };
    let uid = sandbox.probe().unwrap().uid;
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("tool");
    std::fs::copy(program("baton-sandbox-act"), &tool).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o6755)).unwrap();
    let sandbox = sandbox.read_as(&tool, "/tool");
    let ended = run(&sandbox, "/tool", &["user"]);
    assert_eq!(out(&ended), format!("{uid} {uid}"));
}

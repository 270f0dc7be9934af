//! Runs that really boot. A VM that cannot start is a failure here, never a skip.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use baton_machine::{MachineFile, read_sys};
use baton_policy::Machine;
use baton_vm::{Error, KernelSpec, Vm};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const INIT: &str = env!("CARGO_BIN_EXE_baton-vm-init");
/// Names the processes of one test, in their environment.
const MARK: &str = "BATON_TEST_MARK";
/// Ample for a boot under emulation while other tests run.
const PATIENCE: Duration = Duration::from_secs(120);

fn vm() -> Vm {
    Vm::new(INIT)
        .kernel(KernelSpec::Version("7.0".into()))
        .timeout(PATIENCE)
}

fn shell(script: &str) -> Vm {
    vm().command(["sh", "-c", script])
}

/// Bytes that no text treatment leaves alone.
fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend((seed >> 16).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn streams_status_and_files() {
    let dir = TempDir::new().unwrap();
    let (first, second) = (noise(1 << 20, 1), noise((1 << 20) + 13, 2));
    std::fs::write(dir.path().join("first"), &first).unwrap();
    std::fs::write(dir.path().join("second"), &second).unwrap();
    let script = "cat first & cat second >&2; wait; pwd > where; mkdir -p d/e; cp second d/e/f; \
                  echo \"$WORD\" > /dev/stdout; exit 7";
    let captured = shell(script)
        .cwd("/job")
        .env("WORD", "a word")
        .pack(dir.path(), "/job")
        .out("where", dir.path().join("where"))
        .out("/job/d", dir.path().join("d"))
        .out("none", dir.path().join("none"))
        .run_captured()
        .unwrap();
    assert_eq!(captured.status, 7);
    let (output, word) = captured.stdout.split_at(first.len());
    assert!(output == first, "standard output differs");
    assert_eq!(word, b"a word\n");
    assert!(captured.stderr == second, "standard error differs");
    assert_eq!(std::fs::read(dir.path().join("where")).unwrap(), b"/job\n");
    assert!(
        std::fs::read(dir.path().join("d/e/f")).unwrap() == second,
        "the file differs"
    );
    assert_eq!(captured.missing, ["none"]);
    assert!(
        captured.kernel_release.starts_with("7.0."),
        "{}",
        captured.kernel_release
    );
    assert_eq!(captured.console, "", "the kernel complained");
}

#[test]
fn the_guest_has_what_schedulers_need() {
    // One line of output for each thing that is there.
    let script = "cat /sys/kernel/sched_ext/state
        test -r /sys/kernel/btf/vmlinux && echo btf
        grep -ow cpu /sys/fs/cgroup/cgroup.subtree_control
        mkdir /sys/fs/cgroup/a && test -f /sys/fs/cgroup/a/cpu.weight && echo weight
        test -d /sys/kernel/tracing/events/sched && echo tracing
        mkdir /sys/fs/bpf/a && echo bpffs
        test -d /sys/kernel/debug/sched && echo debugfs
        grep -l . /dev/shm /tmp 2>/dev/null
        ping -c 1 -W 5 127.0.0.1 > /dev/null && echo loopback
        echo 0 > /sys/devices/system/cpu/cpu1/online; cat /sys/devices/system/cpu/online
        echo 1 > /sys/devices/system/cpu/cpu1/online; cat /sys/devices/system/cpu/online
        hostname; taskset -p $$ | grep -o '[^ ]*$'; chrt -p $$ 2>/dev/null | grep -o SCHED_FIFO
        sleep 1000 & true";
    let captured = shell(script).pack_arg("chrt").run_captured().unwrap();
    let expected =
        "disabled\nbtf\ncpu\nweight\ntracing\nbpffs\ndebugfs\nloopback\n0\n0-1\nbaton\n3\n";
    assert_eq!(
        captured.stdout_text(),
        expected,
        "{}",
        captured.stderr_text()
    );
    assert_eq!(captured.status, 0);
}

/// The guest's own view of its topology is what the machine file describes.
#[track_caller]
fn check_topology(name: &str) {
    let file = MachineFile::find(name).unwrap();
    let dir = TempDir::new().unwrap();
    let captured = vm()
        .machine(file.clone())
        .command(["nproc"])
        .out(
            "/sys/devices/system/cpu",
            dir.path().join("devices/system/cpu"),
        )
        .out(
            "/sys/devices/system/node",
            dir.path().join("devices/system/node"),
        )
        .run_captured()
        .unwrap();
    assert_eq!(captured.stdout_text(), format!("{}\n", file.cpu_count()));
    let seen = read_sys(dir.path()).unwrap();
    let described = file.machine();
    assert_eq!(
        seen,
        Machine {
            name: "host".into(),
            ..described
        }
    );
}

#[test]
fn topology_smt() {
    check_topology("4-cpu-smt");
}

#[test]
fn topology_sockets_and_nodes() {
    check_topology("8-cpu-2-socket-numa");
}

#[test]
fn a_signal_in_the_guest_is_a_status() {
    assert_eq!(
        shell("kill -SEGV $$").run_captured().unwrap().status,
        128 + 11
    );
}

#[test]
fn a_panic_is_an_error_with_the_console() {
    let error = shell("echo c > /proc/sysrq-trigger; sleep 100")
        .run_captured()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Panic { console } if console.contains("Kernel panic")),
        "{error}"
    );
    assert_eq!(error.exit_code(), 123);
}

/// Runs `echo ran` with a QEMU whose guest finds no init the first `faults` times.
fn run_with_boot_faults(faults: usize) -> (Option<i32>, String, String, usize) {
    let dir = TempDir::new().unwrap();
    let path = std::env::var("PATH").unwrap();
    let name = format!("qemu-system-{}", std::env::consts::ARCH);
    let script = format!(
        "#!/bin/sh
        PATH={path:?}
        echo >> \"${{0%/*}}/boots\"
        [ $(wc -l < \"${{0%/*}}/boots\") -le {faults} ] || exec {name} \"$@\"
        exec {name} \"$@\" -append 'console=ttyS0 console=ttyAMA0 quiet panic=-1 rdinit=/none'
        "
    );
    let program = dir.path().join(&name);
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(INIT)
        .args(["--kernel", "7.0", "--", "echo", "ran"])
        .env("PATH", format!("{}:{path}", dir.path().display()))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let boots = std::fs::read_to_string(dir.path().join("boots")).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
        boots.lines().count(),
    )
}

const AGAIN: &str =
    "warning: the guest's kernel panicked before the command began; booting once more\n";

#[test]
fn a_panic_at_boot_is_given_another_boot() {
    let (status, stdout, stderr, boots) = run_with_boot_faults(1);
    assert_eq!(
        (status, stdout.as_str(), boots),
        (Some(0), "ran\n", 2),
        "{stderr}"
    );
    assert_eq!(stderr, AGAIN);
}

#[test]
fn a_second_panic_at_boot_is_the_error() {
    let (status, stdout, stderr, boots) = run_with_boot_faults(9);
    assert_eq!(
        (status, stdout.as_str(), boots),
        (Some(123), "", 2),
        "{stderr}"
    );
    let rest = stderr.strip_prefix(AGAIN).unwrap();
    assert!(
        rest.starts_with("error: the guest's kernel panicked:\n"),
        "{stderr}"
    );
    assert!(rest.contains("Kernel panic - not syncing"), "{stderr}");
}

#[test]
fn mistakes_are_told_before_anything_boots() {
    let error = |vm: Vm| vm.run_captured().unwrap_err().to_string();
    assert_eq!(
        error(vm()),
        "no command to run in the VM: give one after --"
    );
    let text = error(vm().command(["no-such-command"]));
    assert!(text.starts_with("no-such-command not found: "), "{text}");
    let text = error(shell("true").pack("/no/such", "/x"));
    assert!(text.starts_with("cannot pack /no/such: "), "{text}");
    let text = error(shell("true").memory_mib(128));
    assert!(text.contains("raise the memory"), "{text}");
    let text = error(shell("true").kernel(KernelSpec::Path("/etc/passwd".into())));
    assert!(text.starts_with("QEMU failed with status 1: "), "{text}");
}

/// The program of this crate, started as a person does.
fn start(mark: &str, dir: &Path, args: &[&str]) -> Child {
    Command::new(INIT)
        .args(["--kernel", "7.0"])
        .args(args)
        .env(MARK, mark)
        .env("TMPDIR", dir)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Processes that carry `mark`, but for zombies, which have no environment any more.
fn marked(mark: &str) -> BTreeSet<u32> {
    let wanted = format!("{MARK}={mark}");
    let is_marked = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| {
            text.split(|&byte| byte == 0)
                .any(|word| word == wanted.as_bytes())
        })
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(is_marked)
        .collect()
}

#[track_caller]
fn assert_nothing_left(mark: &str, dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !marked(mark).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(marked(mark), BTreeSet::new(), "processes were left");
    assert_eq!(
        std::fs::read_dir(dir).unwrap().count(),
        0,
        "files were left"
    );
}

#[test]
fn the_time_limit_ends_everything() {
    let dir = TempDir::new().unwrap();
    let start_time = Instant::now();
    let child = start(
        "limit",
        dir.path(),
        &["--timeout", "2.5", "--", "sleep", "1000"],
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{text}");
    assert!(
        text.contains("the VM was stopped at its time limit of 2.5 s"),
        "{text}"
    );
    assert!(text.contains("raise the limit (--timeout)"), "{text}");
    assert!(start_time.elapsed() < Duration::from_secs(30));
    assert_nothing_left("limit", dir.path());
}

/// Two VMs at once: one ends gracefully on a signal, one loses its parent.
#[test]
fn signals_reach_the_command_and_death_reaches_the_vm() {
    let dir = TempDir::new().unwrap();
    let script = "trap 'echo bye; exit 9' TERM; echo started; while :; do sleep 0.1; done";
    let mut children: Vec<_> = ["term", "kill"]
        .map(|mark| start(mark, dir.path(), &["--", "sh", "-c", script]))
        .into_iter()
        .map(|mut child| {
            let output = BufReader::new(child.stdout.take().unwrap());
            (child, output)
        })
        .collect();
    for (_, output) in &mut children {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
    }
    assert_eq!(
        (marked("term").len(), marked("kill").len()),
        (2, 2),
        "a run and its QEMU each"
    );
    let ends = [Signal::SIGTERM, Signal::SIGKILL]
        .into_iter()
        .zip(["bye\n", ""]);
    for ((signal, said), (child, output)) in ends.zip(&mut children) {
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, said, "{signal}");
    }
    assert_eq!(children[0].0.wait().unwrap().code(), Some(9));
    assert_eq!(children[1].0.wait().unwrap().code(), None);
    assert_nothing_left("term", dir.path());
    assert_nothing_left("kill", dir.path());
}

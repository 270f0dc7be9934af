//! Programs that take more than they may.

use crate::common::{ACT, check, err, out, processes_with, quick, run, sandbox, sh};
use baton_sandbox::{How, Limits, Which};
use std::time::Duration;

#[test]
fn an_endless_loop_is_ended_by_time() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.limits(Limits {
        wall: Duration::from_millis(300),
        ..quick()
    });
    for script in [
        "while :; do :; done",
        "sleep 1000",
        "trap '' TERM INT XCPU; while :; do :; done",
    ] {
        let ended = sh(&sandbox, script);
        assert_eq!(ended.status, How::Limit(Which::Wall), "{script}");
        assert!(
            ended.wall < Duration::from_secs(2),
            "{script}: {:?}",
            ended.wall
        );
    }
}

#[test]
fn processor_time_counts_for_all_threads_and_processes() {
    let Some(sandbox) = sandbox() else { return };
    let limited = sandbox.limits(Limits {
        cpu: Duration::from_millis(500),
        ..quick()
    });
    let many = "for i in 1 2 3; do (while :; do :; done) & done; wait";
    let short = "while :; do (i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done); done";
    for script in ["while :; do :; done", many, short] {
        let ended = sh(&limited, script);
        assert_eq!(ended.status, How::Limit(Which::Cpu), "{script}");
        assert!(
            ended.cpu < Duration::from_secs(2),
            "{script}: {:?}",
            ended.cpu
        );
    }
    let ended = run(&limited, ACT, &["spread", "15", "4"]);
    assert_eq!(ended.status, How::Limit(Which::Cpu));
}

#[test]
fn memory_is_held_for_one_and_for_all() {
    let Some(sandbox) = sandbox() else { return };
    let limits = Limits {
        memory_bytes: 150 << 20,
        ..quick()
    };
    let sandbox = sandbox.limits(limits);
    let ended = run(&sandbox, ACT, &["grow"]);
    assert_eq!(ended.status, How::Limit(Which::Memory), "{}", err(&ended));
    assert!(ended.peak_memory_bytes > limits.memory_bytes);
    // Each is below the limit, and both together above.
    let two = "head -c 90M /dev/zero | tail -c 90M | (sleep 2; cat) >/dev/null &
               head -c 90M /dev/zero | tail -c 90M | (sleep 2; cat) >/dev/null; wait";
    assert_eq!(sh(&sandbox, two).status, How::Limit(Which::Memory));
}

#[test]
fn a_fork_bomb_is_ended_and_nothing_of_it_is_left() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.limits(Limits {
        wall: Duration::from_secs(2),
        ..quick()
    });
    let word = format!("bomb-{}-{}", std::process::id(), line!());
    // The first dies when it cannot go on, maybe before it is counted; the second tries for ever.
    for bomb in ["b() { b | b & }; b; sleep 100", "b() { (b &); b; }; b"] {
        let ended = run(&sandbox, "/bin/sh", &["-c", bomb, &word]);
        assert!(!ended.status.is_success(), "{}", ended.status);
        assert_eq!(processes_with(&word), 0);
        assert!(ended.wall < Duration::from_secs(4), "{:?}", ended.wall);
    }
}

#[test]
fn too_many_processes_or_threads_are_ended() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.limits(Limits {
        processes: 8,
        ..quick()
    });
    let many = "i=0; while [ $i -lt 10 ]; do sleep 100 & i=$((i+1)); done; wait";
    assert_eq!(sh(&sandbox, many).status, How::Limit(Which::Processes));
    let few = "i=0; while [ $i -lt 5 ]; do sleep 0.1 & i=$((i+1)); done; wait; echo all";
    check(&sandbox, few, "all");
    let ended = run(&sandbox, ACT, &["spread", "1", "4"]);
    assert_eq!(ended.status, How::Exit(0));
    let ended = run(&sandbox, ACT, &["spread", "10", "12"]);
    assert_eq!(ended.status, How::Limit(Which::Processes));
}

#[test]
fn processes_that_outlive_the_program_end_with_it() {
    let Some(sandbox) = sandbox() else { return };
    let word = format!("outlive-{}-{}", std::process::id(), line!());
    let script = "(setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' $0 &) ; echo gone";
    let ended = run(&sandbox, "/bin/sh", &["-c", script, &word]);
    assert_eq!((ended.status, out(&ended).as_str()), (How::Exit(0), "gone"));
    assert_eq!(processes_with(&word), 0);
}

#[test]
fn output_is_bounded() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = sandbox.limits(Limits {
        output_bytes: 1000,
        ..quick()
    });
    let ended = sh(
        &sandbox,
        "head -c 30M /dev/zero; head -c 30M /dev/zero >&2; echo x >&2",
    );
    assert_eq!(ended.status, How::Exit(0));
    assert_eq!(
        (ended.stdout.len(), ended.stderr.len(), ended.cut),
        (1000, 1000, true)
    );
    let ended = sh(&sandbox, "head -c 1000 /dev/zero");
    assert_eq!((ended.stdout.len(), ended.cut), (1000, false));
}

#[test]
fn files_are_bounded_one_by_one_and_together() {
    let Some(sandbox) = sandbox() else { return };
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox.write(dir.path()).dir(dir.path()).limits(Limits {
        file_bytes: 1 << 20,
        written_bytes: 4 << 20,
        ..quick()
    });
    let ended = sh(&sandbox, "exec head -c 2M /dev/zero > big");
    assert_eq!(ended.status, How::Limit(Which::File));
    assert!(!dir.path().join("big").exists());
    let fill = "for i in 1 2 3 4 5 6; do head -c 1M /dev/zero > $1/$i || exit 7; done";
    for place in [dir.path().to_str().unwrap(), "/tmp"] {
        let ended = run(&sandbox, "/bin/sh", &["-c", fill, "sh", place]);
        assert_eq!(ended.status, How::Exit(7), "{place}: {}", err(&ended));
    }
    // Holes take no space inside, and would outside.
    let holes = "for i in 1 2 3 4 5 6; do truncate -s 1M hole$i; done";
    assert_eq!(sh(&sandbox, holes).status, How::Limit(Which::Written));
    let deep = "i=0; while [ $i -lt 100 ]; do mkdir d && cd d; i=$((i+1)); done";
    assert_eq!(sh(&sandbox, deep).status, How::Limit(Which::Written));
}

#[test]
fn core_files_and_descriptors() {
    let Some(sandbox) = sandbox() else { return };
    check(&sandbox, "ulimit -c; ulimit -n", "0\n1024");
}

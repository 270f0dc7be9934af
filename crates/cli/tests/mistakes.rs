//! Whatever is asked wrongly or is missing: one clear sentence with the remedy, an
//! exit status that tells, and the same as JSON.

mod common;

use std::fs;

use common::{baton, command, given};

/// Runs it; expects this status, and all of these words in one line on stderr.
fn check(arguments: &[&str], status: i32, words: &[&str]) {
    let given = baton(arguments);
    assert_eq!(given.status, status, "{arguments:?}: {}", given.stderr);
    assert_eq!(given.stdout, "", "{arguments:?}");
    let lines: Vec<&str> = given.stderr.lines().collect();
    assert!(
        given.stderr.starts_with("error: "),
        "{arguments:?}: {}",
        given.stderr
    );
    assert_eq!(lines.len(), 1, "{arguments:?}: {}", given.stderr);
    for word in words {
        assert!(
            given.stderr.contains(word),
            "{arguments:?}: no {word:?} in {}",
            given.stderr
        );
    }
}

/// The code of the error that `--json` gives.
fn code(arguments: &[&str]) -> String {
    let given = baton(arguments);
    let document: serde_json::Value = serde_json::from_str(&given.stdout).expect("JSON");
    assert_eq!(document["error"]["exit_status"], given.status);
    assert_eq!(given.stderr, "");
    document["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn unknown_policies_come_with_the_nearest() {
    check(&["run", "fifa"], 2, &["no policy `fifa`", "`fifo`", "edf"]);
    check(
        &["vm", "--policy", "edv", "--", "true"],
        2,
        &["did you mean `edf`?"],
    );
    check(
        &["bench", "kernel", "--policies", "lottery"],
        2,
        &["no policy `lottery`", "fifo"],
    );
    assert_eq!(code(&["run", "fifa", "--json"]), "unknown-policy");
}

#[test]
fn nobody_to_ask() {
    let empty = tempfile::tempdir().unwrap();
    for arguments in [&["top", "--once"][..], &["why", "1"], &["switch", "fifo"]] {
        let output = command()
            .args(arguments)
            .env("BATON_RUN", empty.path())
            .output();
        let given = given(output.unwrap());
        // Switching needs root before it looks for whom to ask.
        let known = given.stderr.contains("no policy runs") || given.stderr.contains("root");
        assert!(
            given.status != 0 && known,
            "{arguments:?}: {}",
            given.stderr
        );
    }
}

#[test]
fn modes_and_guards_that_make_no_sense() {
    let given = baton(&["run", "edf", "--mode", "guess"]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(
        given.stderr.contains("decide, hint or infer"),
        "{}",
        given.stderr
    );
    check(
        &["run", "edf", "--guard", "p98_wakeup<5ms"],
        2,
        &["p98_wakeup<5ms", "p99_wakeup<5ms"],
    );
    let decision = "p99_decision<5ms";
    check(
        &["run", "edf", "--mode", "hint", "--guard", decision],
        2,
        &["hint and infer mode", "p99_wakeup"],
    );
}

#[test]
fn models_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/bursts.json");
    let text = fs::read_to_string(shipped).unwrap();
    let sim = |model: &str, policy: &str| {
        let path = directory.path().join("model.json");
        fs::write(&path, model).unwrap();
        let path = path.to_str().unwrap().to_owned();
        baton(&["sim", policy, "--workload", "pipe", "--model", &path])
    };
    assert_eq!(sim(&text, "learned").status, 0);
    for (model, word) in [
        (text[..text.len() / 2].to_owned(), "not a model"),
        (text.replace("\"schema\":1", "\"schema\":7"), "version 7"),
        (text.replace("\"seed\":1", "\"seed\":2"), "changed after"),
        ("{}".to_owned(), "not a model"),
    ] {
        let given = sim(&model, "learned");
        assert_eq!(given.status, 2, "{word}: {}", given.stderr);
        assert!(given.stderr.contains(word), "{word}: {}", given.stderr);
    }
    let given = sim(&text, "edf");
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(
        given.stderr.contains("edf uses no model"),
        "{}",
        given.stderr
    );
}

#[test]
fn what_cannot_be_measured_is_told_before_a_vm_starts() {
    let bench = |variant, words: &[&str]| {
        check(&["bench", "kernel", "--policies", variant], 2, words);
    };
    bench("priority/hint", &["priority/hint", "no hint mode"]);
    bench("edf/guess", &["edf/guess", "decide, hint or infer"]);
    bench("edf/foo=1", &["edf/foo=1", "foo"]);
    bench("fifo,edf/slice_ms=x", &["edf/slice_ms=x", "slice_ms"]);
    for arguments in [
        &["vm", "--machine", "1024-cpu", "--", "true"][..],
        &["bench", "kernel", "--machine", "1024-cpu"],
    ] {
        check(arguments, 2, &["no VM can be 1024-cpu", "baton sim"]);
    }
}

#[test]
fn unknown_parameters_and_workloads() {
    check(&["workload", "pip"], 2, &["no workload `pip`", "messaging"]);
    check(
        &["workload", "pipe:round=3"],
        2,
        &["no parameter `round`", "rounds"],
    );
    assert_eq!(
        code(&["workload", "frames:load=x", "--json"]),
        "bad-workload"
    );
    assert_eq!(
        code(&["bench", "kernel", "--json", "--workloads", "x"]),
        "bad-workload"
    );
}

#[test]
fn tools_that_a_workload_lacks() {
    let given = given(
        command()
            .args(["workload", "compile"])
            .env("PATH", "/nowhere")
            .env("BATON_WORKLOAD_SOURCE", "/nowhere")
            .output()
            .unwrap(),
    );
    assert_eq!(given.status, 3, "{}", given.stderr);
    assert!(
        given.stderr.contains("/nowhere is not the source of Lua"),
        "{}",
        given.stderr
    );
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    for unit in ["lua.c", "luac.c"] {
        fs::write(folder.path().join("src").join(unit), "").unwrap();
    }
    for arguments in [
        &["workload", "compile"][..],
        &["vm", "--", "baton", "workload", "frames+compile"],
        &["bench", "kernel", "--workload", "compile"],
    ] {
        let given = common::given(
            command()
                .args(arguments)
                .env("PATH", "/nowhere")
                .env("BATON_WORKLOAD_SOURCE", folder.path())
                .output()
                .unwrap(),
        );
        assert_eq!(given.status, 3, "{arguments:?}: {}", given.stderr);
        assert!(
            given.stderr.contains("gcc not found; install gcc"),
            "{arguments:?}: {}",
            given.stderr
        );
    }
}

#[test]
fn machines_that_do_not_exist_or_make_no_sense() {
    check(
        &["vm", "--machine", "abacus", "--", "true"],
        2,
        &["`abacus`", "2-cpu"],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.toml");
    fs::write(&file, "name = \"odd\"\nsockets = \"many\"\n").unwrap();
    let file = file.display().to_string();
    check(
        &["vm", "--machine", &file, "--", "true"],
        2,
        &["odd.toml:2:"],
    );
}

#[test]
fn classes_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.toml");
    let vm = |text: &str, words: &[&str]| {
        fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let policy = [
            "vm",
            "--policy",
            "priority",
            "--classes",
            &path,
            "--",
            "true",
        ];
        check(&policy, 2, words);
    };
    let class = "[[class]]\nname = \"a\"\ntask = \"*\"\n";
    vm(
        &format!("{class}weight = 0\n"),
        &["odd.toml:4:", "1 to 10000"],
    );
    vm(
        &format!("{class}allowed = \"7\"\n"),
        &["odd.toml:4:", "class `a`", "it has 0-1"],
    );
    check(
        &[
            "vm",
            "--policy",
            "edf",
            "--classes",
            "/nowhere/c.toml",
            "--",
            "true",
        ],
        2,
        &["cannot read", "/nowhere/c.toml"],
    );
    // Without a policy nobody would heed them.
    let given = baton(&["vm", "--classes", "c.toml", "--", "true"]);
    assert!(
        given.status == 2 && given.stderr.contains("--policy"),
        "{}",
        given.stderr
    );
    if cfg!(feature = "kernel") {
        let run = ["run", "edf", "--classes", "/nowhere/c.toml", "--json"];
        assert_eq!(code(&run), "bad-classes");
    }
}

#[test]
fn cgroups_that_make_no_sense() {
    if !cfg!(feature = "kernel") {
        return;
    }
    let run = |name: &str, words: &[&str]| match baton_machine::cgroup_root() {
        Some(root) => {
            let name = name.replace("ROOT", &root.display().to_string());
            check(&["run", "edf", "--only", &name], 2, words);
            assert_eq!(
                code(&["run", "edf", "--json", "--only", &name]),
                "bad-cgroup"
            );
        }
        None => check(
            &["run", "edf", "--only", name],
            3,
            &["no cgroup v2", "mount"],
        ),
    };
    for name in ["nowhere/at-all", "/nowhere/at-all", "ROOT/nowhere/at-all"] {
        run(
            name,
            &[
                "no cgroup",
                "/nowhere/at-all does not exist",
                "systemd-cgls",
            ],
        );
    }
    run("/", &["whole hierarchy", "leave the option out"]);
    check(
        &["switch", "edf", "--only", "/x"],
        2,
        &["takes over", "baton run"],
    );
}

#[test]
fn kernels_that_do_not_exist() {
    check(
        &["vm", "--kernel", "/nowhere/vmlinuz", "--", "true"],
        125,
        &["/nowhere/vmlinuz"],
    );
    let given = baton(&["vm", "--kernel", "nonsense", "--", "true"]);
    assert_eq!(given.status, 2);
    assert!(
        given.stderr.contains("a version such as 7.0"),
        "{}",
        given.stderr
    );
}

#[test]
fn commands_that_do_not_exist() {
    check(
        &["vm", "--", "no-such-program-here"],
        127,
        &["no-such-program-here", "install"],
    );
}

#[test]
fn logs_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noise.log");
    fs::write(&file, "noise").unwrap();
    let file = file.display().to_string();
    check(&["replay", &file], 2, &["noise.log", "not a log", "--log"]);
    check(
        &["replay", "/nowhere/run.log"],
        1,
        &["cannot read /nowhere/run.log"],
    );
    assert_eq!(code(&["replay", &file, "--json"]), "bad-log");
}

#[test]
fn names_that_no_project_can_have() {
    check(&["new", "../x"], 2, &["cannot name a policy", "lower-case"]);
    check(&["new", "baton"], 2, &["taken"]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mine")).unwrap();
    let there = given(
        command()
            .args(["new", "mine"])
            .current_dir(&folder)
            .output()
            .unwrap(),
    );
    assert_eq!(
        (there.status, there.stderr.contains("exists already")),
        (2, true)
    );
}

#[test]
fn directories_that_are_no_project() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    check(
        &["vm", "--policy", &path, "--", "true"],
        2,
        &["no Cargo.toml", "baton new"],
    );
}

#[test]
fn usage_as_json_too() {
    assert_eq!(code(&["policies", "--json", "--frob"]), "usage");
    assert_eq!(baton(&["policies", "--frob"]).status, 2);
    assert_eq!(baton(&[]).status, 2);
}

#[test]
fn no_sched_ext() {
    if std::path::Path::new("/sys/kernel/sched_ext").exists() || !cfg!(feature = "kernel") {
        return;
    }
    if nix::unistd::geteuid().is_root() {
        check(&["run", "fifo"], 3, &["no sched_ext", "baton vm"]);
        assert_eq!(code(&["run", "fifo", "--json"]), "no-sched-ext");
    }
}

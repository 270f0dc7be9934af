//! `baton lab`: experiments on the simulator and here, interrupted and resumed, and their mistakes.

mod common;

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use common::{Given, baton, command, given};
use serde_json::Value;

/// Three schedulers, simulated, long enough to be killed on the way.
const LONG: &str = r#"
name = "long"
backend = "sim"
runs = 40
boots = 2
seed = 3
aa = true
[[variant]]
kernel = true
[[variant]]
policy = "fifo"
[[variant]]
policy = "edf"
mode = "hint"
params = { slice_ms = 5 }
[[workload]]
run = "pipe:rounds=50"
[[workload]]
run = "frames:seconds=2+hogs"
"#;

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn results(directory: &Path) -> Value {
    let text = fs::read_to_string(directory.join("results.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What two processes that made the same runs may differ in, removed.
fn timeless(mut results: Value) -> Value {
    for field in ["started", "wall_s"] {
        assert!(results.as_object_mut().unwrap().remove(field).is_some());
    }
    results
}

fn lab(experiment: &str, out: &Path, more: &[&str]) -> Given {
    let out = out.display().to_string();
    let arguments = ["lab", "run", experiment, "--out", &out];
    baton(&[&arguments, more].concat())
}

#[test]
fn an_experiment_on_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let given = lab("smoke", &out, &["--runs", "2"]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    for words in [
        "frame_p99_ms",
        "kernel-again",
        "edf",
        "above 1 is worse",
        "results.json",
    ] {
        assert!(given.stdout.contains(words), "no {words}: {}", given.stdout);
    }
    let found = results(&out);
    assert_eq!(found["schema"], 1);
    assert_eq!(
        (&found["seed"], &found["runs_planned"]),
        (&1.into(), &2.into())
    );
    assert_eq!(found["variants"][3]["same_as"], "kernel");
    assert_eq!(found["environment"]["backend"], "sim");
    assert_eq!(found["environment"]["machine"], "2-cpu");
    assert_eq!(found["environment"]["cpus"], 2);
    assert!(
        found["environment"]["versions"]["baton"].is_string(),
        "{found}"
    );
    assert_eq!(found["notes"], serde_json::json!([]));
    let runs = found["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 * 4 * 2);
    for run in runs {
        assert_eq!(run["status"], "ok", "{run}");
        assert_eq!(
            run["seed"].as_u64().unwrap(),
            1 + run["round"].as_u64().unwrap()
        );
        assert!(run["cpu_s"].as_f64() > Some(0.0), "{run}");
        let latency = match run["workload"].as_str().unwrap().starts_with("pipe") {
            true => &run["latencies"]["pipe.round_trip"],
            false => &run["latencies"]["frames.frame_time"],
        };
        let last = latency["points"]
            .as_array()
            .and_then(|points| points.last());
        assert_eq!(last.expect("points")[0], 1.0, "{run}");
    }
    let metrics = found["metrics"].as_array().unwrap();
    let primary: Vec<_> = metrics
        .iter()
        .filter(|metric| metric["primary"] == true)
        .collect();
    let names: Vec<_> = primary
        .iter()
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["pipe.time_s", "frames.frame_p99_ms"]);
    // Equal things give equal values, in the simulator.
    let values = |variant: &str| -> Vec<_> {
        let mut runs: Vec<_> = runs
            .iter()
            .filter(|run| run["variant"] == variant)
            .collect();
        runs.sort_by_key(|run| (run["round"].as_u64(), run["workload"].to_string()));
        runs.iter().map(|run| run["values"].clone()).collect()
    };
    assert_eq!(values("kernel"), values("kernel-again"));
    assert_ne!(values("kernel"), values("fifo"));

    let again = lab("smoke", &out, &["--runs", "2", "--json"]);
    let document: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (&document["made"], &document["planned"]),
        (&16.into(), &16.into())
    );
    assert_eq!(document["ended"], "done");
    assert_eq!(document["judgement"]["cells"][0]["verdict"], "too-few");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("frames.frame_p99_ms") && page.trim_end().ends_with("</html>"));
    assert_eq!(results(&out)["runs"], found["runs"]);
}

/// Waits until so many runs are written down.
fn wait_for_runs(directory: &Path, count: usize) {
    let begin = Instant::now();
    loop {
        let text = fs::read_to_string(directory.join("journal.jsonl")).unwrap_or_default();
        if text
            .lines()
            .filter(|line| line.starts_with("{\"run\""))
            .count()
            >= count
        {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "no {count} runs"
        );
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_experiment_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "long.toml", LONG);
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    assert_eq!(lab(&file, &whole, &[]).status, 0);
    for count in [5, 60, 150] {
        let mut child = command()
            .args(["lab", "run", &file, "--out"])
            .arg(&cut)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_runs(&cut, count);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!cut.join("results.json").exists());
    }
    let journal = || fs::read_to_string(cut.join("journal.jsonl")).unwrap();
    let before = journal();
    let given = lab(&file, &cut, &[]);
    assert_eq!(given.status, 0, "{}", given.stderr);
    // What was made is not made again, and a torn line is all that may be gone.
    let kept = before.rfind('\n').map_or(0, |end| end + 1);
    let after = journal();
    assert!(after.starts_with(&before[..kept]));
    assert_eq!(
        after
            .lines()
            .filter(|line| line.starts_with("{\"session\""))
            .count(),
        4
    );
    assert_eq!(
        after
            .lines()
            .filter(|line| line.starts_with("{\"run\""))
            .count(),
        320
    );
    assert_eq!(timeless(results(&cut)), timeless(results(&whole)));
}

#[test]
fn two_at_once_in_a_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "long.toml", LONG);
    let out = folder.path().join("out");
    let mut first = command()
        .args(["lab", "run", &file, "--runs", "1000", "--out"])
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_runs(&out, 1);
    let second = lab(&file, &out, &["--runs", "1000"]);
    let running = first.try_wait().unwrap().is_none();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(running, "the first was over too soon to tell");
    assert_eq!(second.status, 1, "{}", second.stderr);
    assert!(
        second.stderr.contains("another `baton lab run` works in"),
        "{}",
        second.stderr
    );
}

#[test]
fn ctrl_c_ends_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "long.toml", LONG);
    let out = folder.path().join("out");
    let child = command()
        .args(["lab", "run", &file, "--runs", "200", "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_runs(&out, 3);
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = given(child.wait_with_output().unwrap());
    assert_eq!(ended.status, 130, "{}{}", ended.stdout, ended.stderr);
    let again = format!("--runs 200 --out {}", out.display());
    assert!(ended.stderr.contains(&again), "{}", ended.stderr);
    let notes = results(&out)["notes"].to_string();
    assert!(notes.contains("of 1600 runs were made"), "{notes}");
}

/// One simulated run alone takes minutes here: the first signal waits for it, the second does not.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let endless = LONG
        .replace("pipe:rounds=50", "pipe:rounds=100000000")
        .replace("aa = true", "aa = true\nlimits = { run_s = 3600 }");
    let file = write(folder.path(), "endless.toml", &endless);
    let out = folder.path().join("out");
    let mut child = command()
        .args(["lab", "run", &file, "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !out.join("journal.jsonl").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no journal");
        thread::sleep(Duration::from_millis(10));
    }
    // All threads of the simulator are at it.
    thread::sleep(Duration::from_secs(2));
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let interrupt = || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    interrupt();
    thread::sleep(Duration::from_secs(2));
    let waits = child.try_wait().unwrap().is_none();
    interrupt();
    let begin = Instant::now();
    let ended = given(child.wait_with_output().unwrap());
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(waits, "it ended at the first: {}", ended.stderr);
    assert_eq!(ended.status, 130, "{}{}", ended.stdout, ended.stderr);
    let again = format!("go on with: baton lab run {file} --out {}", out.display());
    assert!(ended.stderr.contains(&again), "{}", ended.stderr);
    assert!(!out.join("results.json").exists());
}

#[test]
fn the_limit_of_all_runs_holds() {
    let folder = tempfile::tempdir().unwrap();
    let text = LONG.replace(
        "[[variant]]\nkernel",
        "[limits]\ntotal_s = 0.5\n[[variant]]\nkernel",
    );
    let file = write(folder.path(), "long.toml", &text);
    let given = lab(&file, &folder.path().join("out"), &["--runs", "2000"]);
    assert_eq!(given.status, 124, "{}{}", given.stdout, given.stderr);
    assert!(given.stdout.contains("runs were made"), "{}", given.stdout);
}

#[test]
fn mistakes_are_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let check = |text: &str, status: i32, words: &str| {
        let file = write(folder.path(), "x.toml", text);
        let given = lab(&file, &out, &[]);
        assert_eq!(given.status, status, "{}", given.stderr);
        assert!(given.stderr.contains(words), "no {words}: {}", given.stderr);
        assert!(!out.exists());
    };
    check(
        &LONG.replace("slice_ms", "slice"),
        2,
        "x.toml:12: edf-hint: ",
    );
    check(
        &LONG.replace("\"sim\"", "\"moon\""),
        2,
        "x.toml:3: `moon` is no backend",
    );
    let given = lab("nothing", &out, &[]);
    assert_eq!(given.status, 2);
    assert!(
        given.stderr.contains("no experiment is called `nothing`"),
        "{}",
        given.stderr
    );
    let given = lab(
        "smoke",
        &out,
        &["--json", "--backend", "sim", "--runs", "0"],
    );
    assert_eq!(given.status, 2);
}

#[test]
fn another_experiment_keeps_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert_eq!(lab("smoke", &out, &["--runs", "1"]).status, 0);
    let given = lab("smoke", &out, &["--runs", "1", "--seed", "9"]);
    assert_eq!(given.status, 2, "{}", given.stderr);
    assert!(
        given.stderr.contains("its seed is 1, and now 9"),
        "{}",
        given.stderr
    );
    let given = lab("smoke", &out, &["--runs", "1", "--seed", "9", "--json"]);
    let document: Value = serde_json::from_str(&given.stdout).unwrap();
    assert_eq!(document["error"]["code"], "another-experiment");
}

/// A baseline alone needs no scheduler, so it can be run on any machine.
const HERE: &str = r#"
name = "here"
backend = "host"
runs = 2
warmup = 1
[limits]
run_s = 5
[[variant]]
kernel = true
[[workload]]
run = "pipe:rounds=30"
[[workload]]
run = "hogs:count=2,seconds=0.3"
[[workload]]
name = "words"
command = ["sh", "-c", "echo '{\"a\": [1, {seed}]}'; echo took 7.5 ms >&2"]
[[workload.metric]]
name = "seed"
unit = "1"
better = "higher"
json = "/a/1"
[[workload.metric]]
name = "took_ms"
unit = "ms"
better = "lower"
primary = true
pattern = 'took ([0-9.]+) ms'
[[workload]]
name = "fails"
command = ["sh", "-c", "echo no luck >&2; exit 3"]
[[workload.metric]]
name = "x"
unit = "s"
better = "lower"
pattern = '(x)'
[[workload]]
name = "hangs"
command = ["sh", "-c", "sleep 600 & wait"]
[[workload.metric]]
name = "x"
unit = "s"
better = "lower"
pattern = '(x)'
"#;

#[test]
fn commands_and_workloads_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let text = HERE.replace("run_s = 5", "run_s = 2");
    let file = write(folder.path(), "here.toml", &text);
    let out = folder.path().join("out");
    let given = lab(&file, &out, &[]);
    assert_eq!(given.status, 1, "{}{}", given.stdout, given.stderr);
    let found = results(&out);
    let runs = found["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    let of = |workload: &'static str| runs.iter().filter(move |run| run["workload"] == workload);
    for run in of("words") {
        assert_eq!(run["status"], "ok", "{run}");
        assert_eq!(run["values"]["took_ms"], 7.5);
        assert_eq!(run["values"]["seed"].as_f64(), run["seed"].as_f64());
    }
    for run in of("fails") {
        assert_eq!(run["status"], "failed", "{run}");
        assert!(
            run["problem"].as_str().unwrap().contains("no luck"),
            "{run}"
        );
    }
    for run in of("hangs") {
        assert_eq!(run["status"], "timeout", "{run}");
        assert!(run["wall_s"].as_f64() < Some(60.0), "{run}");
    }
    for run in of("pipe:rounds=30") {
        assert_eq!(run["status"], "ok", "{run}");
        assert!(run["values"]["pipe.time_s"].as_f64() > Some(0.0), "{run}");
    }
    // By the kernel's account, threads and all: two that compute for 0.3 s have used some of it, and
    // no more than all CPUs had.
    for run in of("hogs:count=2,seconds=0.3") {
        let (cpu_s, wall_s) = (
            run["cpu_s"].as_f64().unwrap(),
            run["wall_s"].as_f64().unwrap(),
        );
        let cpus = found["environment"]["cpus"].as_f64().unwrap();
        assert!(cpu_s > 0.05 && cpu_s < (wall_s + 1.0) * cpus, "{run}");
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(found["environment"]["kernel"], kernel.trim());
    assert_eq!(found["environment"]["machine"], "host");
    assert_eq!(found["environment"]["accelerator"], Value::Null);
}

/// No test of these may load anything: where the machine could, they are not run.
#[test]
fn this_machine_is_not_given_away_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let text = HERE.replace("kernel = true", "policy = \"fifo\"");
    let file = write(folder.path(), "here.toml", &text);
    let given = lab(&file, &folder.path().join("out"), &[]);
    if fs::exists("/sys/kernel/sched_ext").unwrap() {
        // Without root first, and then without a word.
        assert!([2, 3].contains(&given.status), "{}", given.stderr);
        return;
    }
    assert_eq!(given.status, 3, "{}", given.stderr);
    assert!(given.stderr.contains("no sched_ext"), "{}", given.stderr);
    assert!(given.stderr.contains("--backend vm"), "{}", given.stderr);
}

#[test]
fn the_experiments_are_listed() {
    let text = baton(&["lab", "list"]).stdout;
    for name in [
        "demo",
        "interactive",
        "throughput",
        "peers",
        "smoke",
        "slowdown",
        "recording",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "no {name}: {text}"
        );
    }
    let list: Value = serde_json::from_str(&baton(&["lab", "list", "--json"]).stdout).unwrap();
    assert_eq!(list[0]["name"], "demo");
    assert_eq!(
        list[0]["variants"],
        serde_json::json!(["kernel", "fifo", "edf"])
    );
}

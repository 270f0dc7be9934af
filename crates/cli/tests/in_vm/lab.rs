//! Experiments in VMs, and on a host that is one.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    ENABLED,
    common::{baton, command, run},
};

/// One run of each of what can happen: the kernel's own scheduler, a policy, one that leaves while
/// the workload runs, one that does not load, one that is not there; a workload of ours, and a
/// command with its program.
const LAB: &str = r#"
name = "tiny"
backend = "vm"
runs = 2
boots = 2
[limits]
run_s = 30
[[variant]]
kernel = true
[[variant]]
policy = "edf"
[[variant]]
name = "leaves"
command = ["sh", "-c", "exec baton run fifo --for 1s"]
[[variant]]
name = "broken"
command = ["sh", "-c", "echo starting; echo 'no such kfunc' >&2; exit 1"]
[[variant]]
command = ["scx_nowhere"]
optional = true
[[workload]]
run = "frames:seconds=4+hogs"
[[workload]]
name = "sleep"
command = ["bash", "-c", "sleep 3; printf 'seed %s\\n' {seed}"]
[[workload.metric]]
name = "seed"
unit = "1"
better = "higher"
pattern = 'seed (\d+)'
"#;

#[test]
#[ignore = "boots a VM"]
fn an_experiment_reports_what_fails_and_measures_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiny.toml");
    fs::write(&file, LAB).unwrap();
    let out = folder.path().join("out");
    let lab = || {
        let mut command = command();
        command
            .args(["lab", "run"])
            .arg(&file)
            .arg("--out")
            .arg(&out);
        run(&mut command)
    };
    let ran = lab();
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    let results = fs::read_to_string(out.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let environment = &results["environment"];
    assert!(
        environment["kernel"]
            .as_str()
            .is_some_and(|kernel| !kernel.is_empty())
    );
    assert!(environment["accelerator"].is_string(), "{environment}");
    assert!(
        results["notes"]
            .to_string()
            .contains("scx_nowhere is left out"),
        "{results}"
    );
    let runs = results["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 * 4 * 2);
    for run in runs {
        let (status, cpu_s) = (&run["status"], run["cpu_s"].as_f64());
        let problem = run["problem"].as_str().unwrap_or_default();
        assert_eq!(run["boot"], run["round"], "{run}");
        match run["variant"].as_str().unwrap() {
            "leaves" => {
                assert!(
                    status == "ejected" && problem.contains("before the command did"),
                    "{run}"
                );
                continue;
            }
            "broken" => {
                assert!(
                    status == "unloadable" && problem.contains("no such kfunc"),
                    "{run}"
                );
                continue;
            }
            "edf" => assert!(run["counters"]["events"].as_u64() > Some(0), "{run}"),
            _ => assert_eq!(run["counters"], serde_json::json!({}), "{run}"),
        }
        assert_eq!(status, "ok", "{run}");
        if run["workload"] == "sleep" {
            assert_eq!(run["values"]["seed"].as_f64(), run["seed"].as_f64());
            assert!(cpu_s < Some(3.0), "{run}");
        } else {
            assert!(
                run["latencies"]["frames.frame_time"]["points"].is_array(),
                "{run}"
            );
            // Hogs take both CPUs for four seconds.
            assert!(cpu_s > Some(3.0), "{run}");
        }
    }
    // Then one run more was recorded under each that came to its end.
    assert!(!ran.stderr.contains("timeline"), "{}", ran.stderr);
    let before = fs::read_to_string(out.join("report.html")).unwrap();
    let drawn = charts(&before);
    check_timelines(&drawn, &["kernel", "edf"], &["hog", "frame-render"]);
    if let Some(folder) = std::env::var_os("BATON_SCREENSHOTS") {
        fs::write(Path::new(&folder).join("in-vm.html"), &before).unwrap();
    }
    // All is there: nothing is booted again.
    let begin = Instant::now();
    let again = lab();
    assert_eq!(again.status, 1);
    assert!(begin.elapsed() < Duration::from_secs(10));
    let after = fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(charts(&after)["timelines"], drawn["timelines"]);
}

/// What a report draws.
fn charts(page: &str) -> serde_json::Value {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"charts\">")
        .expect("the page has charts");
    let (text, _) = rest.split_once("</script>").expect("the element ends");
    serde_json::from_str(text).unwrap()
}

/// Each of these variants has a timeline on which hogs run on both CPUs, and tasks of these roles, which
/// are not the names that schedulers saw.
fn check_timelines(charts: &serde_json::Value, variants: &[&str], roles: &[&str]) {
    let timelines = charts["timelines"].as_array().unwrap();
    let named: Vec<&str> = timelines
        .iter()
        .map(|timeline| {
            let variant = timeline["variant"].as_u64().unwrap() as usize;
            charts["variants"][variant].as_str().unwrap()
        })
        .collect();
    assert_eq!(named, variants);
    for timeline in timelines {
        assert_eq!(timeline["cpus"], 2);
        assert_eq!(timeline["length_ns"], 200_000_000);
        let task = |index: u64| timeline["tasks"][index as usize][0].as_str().unwrap();
        let slices: Vec<[u64; 4]> = serde_json::from_value(timeline["slices"].clone()).unwrap();
        for cpu in [0, 1] {
            let hogs = slices
                .iter()
                .filter(|slice| slice[0] == cpu && task(slice[3]).starts_with("hog "));
            let busy_ns: u64 = hogs.map(|slice| slice[2]).sum();
            assert!(
                busy_ns > 10_000_000,
                "CPU {cpu}: {busy_ns} ns of {timeline}"
            );
        }
        for role in roles {
            let is_role = |slice: &[u64; 4]| task(slice[3]).starts_with(&format!("{role} "));
            assert!(slices.iter().any(is_role), "no {role}: {timeline}");
        }
        let wakeups = timeline["wakeups"].as_array().unwrap();
        assert!(!wakeups.is_empty(), "{timeline}");
    }
}

/// The host's backend, where the host is a guest that may be scheduled.
#[test]
#[ignore = "boots a VM"]
fn the_lab_on_a_host_gives_the_machine_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.toml");
    let text = "name = \"host\"\nbackend = \"host\"\nruns = 2\n[[variant]]\nkernel = true\n\
        [[variant]]\npolicy = \"edf\"\n[[workload]]\nrun = \"hogs:count=2,seconds=3\"\n";
    fs::write(&file, text).unwrap();
    let (pack, out) = (
        format!("{}:/host.toml", file.display()),
        folder.path().join("out"),
    );
    let out_argument = format!("/out:{}", out.display());
    // Unasked; while another scheduler has the machine; killed in the middle of a run under a policy;
    // interrupted there; to its end.
    let script = format!(
        "baton lab run /host.toml --out /out; echo unasked $?
         baton run fifo >/dev/null 2>&1 & OTHER=$!; {ENABLED}
         baton lab run /host.toml --out /out --yes; echo busy $?; kill -INT $OTHER; wait $OTHER
         baton lab run /host.toml --out /out --yes >/dev/null 2>&1 & LAB=$!; {ENABLED}
         kill -9 $LAB; wait $LAB; sleep 3; echo killed $(cat /sys/kernel/sched_ext/state)
         baton lab run /host.toml --out /out --yes >/dev/null 2>&1 & LAB=$!; {ENABLED}
         kill -INT $LAB; wait $LAB; echo interrupted $? $(cat /sys/kernel/sched_ext/state)
         baton lab run /host.toml --out /out --yes; echo done $? $(cat /sys/kernel/sched_ext/state)"
    );
    let arguments = [
        "vm",
        "--pack",
        &pack,
        "--out",
        &out_argument,
        "--",
        "sh",
        "-c",
        &script,
    ];
    let ran = baton(&arguments);
    for words in [
        "unasked 2",
        "busy 1",
        "killed disabled",
        "interrupted 130 disabled",
        "done 0 disabled",
    ] {
        assert!(
            ran.stdout.contains(words),
            "no {words}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
    assert!(
        ran.stderr.contains("--yes") && ran.stderr.contains("another scheduler"),
        "{}",
        ran.stderr
    );
    let results = fs::read_to_string(out.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let runs = results["runs"].as_array().unwrap();
    assert!(
        runs.len() == 4 && runs.iter().all(|run| run["status"] == "ok"),
        "{results}"
    );
    // It was scheduled once more for the timelines, and given back.
    assert!(!ran.stderr.contains("timeline"), "{}", ran.stderr);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    check_timelines(&charts(&page), &["kernel", "edf"], &["hog"]);
}

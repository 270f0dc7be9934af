//! Tests of experiment files.

use super::*;
use crate::experiment::Runs;

const HEAD: &str = "name = \"x\"\nbackend = \"vm\"\n";
const KERNEL: &str = "[[variant]]\nkernel = true\n";
const PIPE: &str = "[[workload]]\nrun = \"pipe\"\n";

fn read(text: &str) -> Experiment {
    parse("x.toml", text).unwrap()
}

/// The whole sentence about a mistake in this text.
#[track_caller]
fn check_error(text: &str, expected: &str) {
    let error = parse("x.toml", text).unwrap_err().to_string();
    assert_eq!(error, expected, "{text}");
}

/// The sentence about what is wrong with what an experiment names.
#[track_caller]
fn check_checked(text: &str, expected: &str) {
    let error = read(text).check().unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}\n{text}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn what_a_file_leaves_out_has_a_default() {
    let found = read(&[HEAD, KERNEL, PIPE].concat());
    assert_eq!(
        (found.runs, found.warmup, found.boots, found.seed),
        (10, 0, 1, 1)
    );
    assert_eq!(
        (found.machine.as_str(), found.kernel.as_str()),
        ("2-cpu", "default")
    );
    assert_eq!(found.limits.run, Duration::from_secs(120));
    assert_eq!(found.limits.total, None);
    assert_eq!(found.variants[0].name, "kernel");
    assert_eq!(found.workloads[0].name, "pipe");
}

#[test]
fn all_that_a_file_can_say() {
    let text = r#"
name = "all"
description = "everything"
backend = "host"
machine = "4-cpu-smt"
kernel = "6.18"
runs = 20
warmup = 2
boots = 4
seed = 18446744073709551615
aa = true
[limits]
run_s = 2.5
total_s = 600

[[variant]]
policy = "edf"
mode = "hint"
params = { slice_ms = 5, sync = false }
[[variant]]
command = ["scx_rustland", "--verbose"]
crate = "scx_rustland@1.1.4"
optional = true

[[workload]]
run = "frames:load=0.4+hogs"
name = "game"
[[workload]]
name = "perf-pipe"
command = ["perf", "bench", "sched", "pipe"]
pack = ["/etc/hosts"]
[[workload.metric]]
name = "ops"
unit = "1/s"
better = "higher"
pattern = '([0-9]+) ops/sec'
[[workload.metric]]
name = "time_s"
unit = "s"
better = "lower"
primary = true
json = "/time"
"#;
    let found = read(text);
    assert_eq!(found.source, text);
    assert_eq!(
        (found.runs, found.warmup, found.boots, found.seed),
        (20, 2, 4, u64::MAX)
    );
    assert_eq!(found.limits.run, Duration::from_millis(2500));
    assert_eq!(found.limits.total, Some(Duration::from_secs(600)));
    let names: Vec<_> = found
        .variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect();
    assert_eq!(names, ["edf-hint", "scx_rustland", "edf-hint-again"]);
    assert_eq!(
        found.variants[0].scheduler.what(),
        "edf, mode hint, slice_ms=5, sync=false"
    );
    assert_eq!(found.variants[2].scheduler, found.variants[0].scheduler);
    assert_eq!(found.variants[2].same_as.as_deref(), Some("edf-hint"));
    let package = ("scx_rustland".to_owned(), "1.1.4".to_owned());
    assert_eq!(
        found.variants[1].scheduler,
        Scheduler::Command {
            argv: vec!["scx_rustland".into(), "--verbose".into()],
            package: Some(package)
        }
    );
    let names: Vec<_> = found
        .workloads
        .iter()
        .map(|work| work.name.as_str())
        .collect();
    assert_eq!(names, ["game", "perf-pipe"]);
    let Runs::Command { figures, .. } = &found.workloads[1].run else {
        panic!("no command");
    };
    let primary: Vec<_> = figures.iter().map(|figure| figure.primary).collect();
    assert_eq!(primary, [false, true]);
}

#[test]
fn the_documented_example_is_one() {
    let text = include_str!("../../../../docs/experiment.toml");
    let found = read(text);
    assert_eq!((found.variants.len(), found.workloads.len()), (5, 3));
}

#[test]
fn the_first_metric_is_primary_where_none_is() {
    let text = "[[workload]]\nname = \"c\"\ncommand = [\"true\"]\n\
        [[workload.metric]]\nname = \"a\"\nunit = \"s\"\nbetter = \"lower\"\npattern = '(x)'\n\
        [[workload.metric]]\nname = \"b\"\nunit = \"s\"\nbetter = \"lower\"\npattern = '(x)'\n";
    let found = read(&[HEAD, KERNEL, text].concat());
    let Runs::Command { figures, .. } = &found.workloads[0].run else {
        panic!("no command");
    };
    assert!(figures[0].primary && !figures[1].primary);
}

#[test]
fn mistakes_name_line_and_remedy() {
    let body = [KERNEL, PIPE].concat();
    check_error(
        &["name = \"a b\"\nbackend = \"vm\"\n", &body].concat(),
        "x.toml:1: name `a b` must be one word of letters, digits and -_.+:=, at most 64 of them",
    );
    check_error(
        &["name = \"x\"\nbackend = \"moon\"\n", &body].concat(),
        "x.toml:2: `moon` is no backend: write sim, vm or host",
    );
    check_error(
        &[HEAD, "runs = 0\n", &body].concat(),
        "x.toml:3: runs = 0 is outside 1 to 10000",
    );
    check_error(
        &[HEAD, "warmup = 101\n", &body].concat(),
        "x.toml:3: warmup = 101 is outside 0 to 100",
    );
    check_error(
        &[HEAD, "[limits]\nrun_s = 0.0\n", &body].concat(),
        "x.toml:4: run_s = 0 is outside 0 to 86400, in seconds",
    );
    check_error(
        &[HEAD, PIPE].concat(),
        "x.toml:1: an experiment has 1 to 64 variants, and this has 0: begin one with [[variant]]",
    );
    check_error(
        &[HEAD, KERNEL].concat(),
        "x.toml:1: an experiment has 1 to 64 workloads, and this has 0: begin one with \
         [[workload]]",
    );
    check_error(
        &[HEAD, KERNEL, &body].concat(),
        "x.toml:5: there are two variants `kernel`: give one a `name`",
    );
    check_error(
        &[HEAD, &body, PIPE].concat(),
        "x.toml:7: there are two workloads `pipe`: give one a `name`",
    );
    check_error(
        &[
            HEAD,
            "aa = true\n[[variant]]\nkernel = true\nname = \"a\"\n[[variant]]\npolicy = \
          \"edf\"\nname = \"a-again\"\n",
            PIPE,
        ]
        .concat(),
        "x.toml:1: aa = true adds the variant `a-again`: call yours by another name",
    );
    for (text, line) in [
        ("name = x\n", 1),
        ("name = \"x\"\nname = \"y\"\n", 2),
        ("name = \"x\"\nbackend = \"vm\"\nround = 3\n", 3),
        ("", 1),
    ] {
        let error = parse("x.toml", text).unwrap_err().to_string();
        let begins = error.starts_with(&format!("x.toml:{line}: "));
        assert!(begins && !error.contains('\n'), "{error}");
    }
}

#[test]
fn variants_are_one_thing() {
    let check = |variant: &str, expected: &str| {
        check_error(&[HEAD, "[[variant]]\n", variant, PIPE].concat(), expected);
    };
    let one_of =
        "x.toml:3: a variant is one of kernel = true, policy = \"...\" and command = [...]";
    check("", one_of);
    check("kernel = true\npolicy = \"edf\"\n", one_of);
    check(
        "kernel = false\n",
        "x.toml:4: kernel can only be true: leave it out to name a policy or a command",
    );
    check(
        "kernel = true\nmode = \"hint\"\n",
        "x.toml:5: mode, params and model belong to a policy, which this variant is not",
    );
    check(
        "policy = \"edf\"\nmode = \"tell\"\n",
        "x.toml:5: `tell` is no mode: write decide, hint or infer",
    );
    check(
        "policy = \"edf\"\nparams = { slice_ms = [1] }\n",
        "x.toml:5: a parameter is a number, a text in quotes, or true or false",
    );
    check(
        "command = []\n",
        "x.toml:4: command is empty: give the program and its arguments",
    );
    check(
        "command = [\"scx\"]\ncrate = \"scx\"\n",
        "x.toml:5: crate = \"scx\" must be a package and its version, such as scx_rustland@1.1.4",
    );
    check(
        "policy = \"edf\"\ncrate = \"scx@1\"\n",
        "x.toml:5: crate belongs to a command, which this variant has not",
    );
}

#[test]
fn workloads_are_one_thing() {
    let check = |work: &str, expected: &str| {
        check_error(&[HEAD, KERNEL, "[[workload]]\n", work].concat(), expected);
    };
    let one_of = "x.toml:5: a workload is one of run = \"frames+hogs\" and command = [...]";
    check("", one_of);
    check("run = \"pipe\"\ncommand = [\"true\"]\n", one_of);
    check(
        "run = \"pipe:rounds=none\"\n",
        "x.toml:6: `pipe:rounds=none` cannot be: give a whole number from 1 to 100000000",
    );
    check(
        "name = \"c\"\ncommand = [\"true\"]\n",
        "x.toml:5: a command needs a figure to find: add a [[workload.metric]]",
    );
    let metric = |rest: &str| {
        format!(
            "name = \"c\"\ncommand = [\"true\"]\n[[workload.metric]]\nname = \"a\"\nunit = \"s\"\n{rest}"
        )
    };
    check(
        &metric("better = \"more\"\npattern = '(x)'\n"),
        "x.toml:11: better = \"more\" must be lower or higher",
    );
    check(
        &metric("better = \"lower\"\n"),
        "x.toml:8: a metric is found by one of pattern = '...' and json = \"/...\"",
    );
    check(
        &metric("better = \"lower\"\npattern = 'x'\n"),
        "x.toml:12: a pattern needs one group in brackets around the figure, and this has 0; \
         write others as (?:...)",
    );
    check(
        &metric("better = \"lower\"\njson = \"a.b\"\n"),
        "x.toml:12: `a.b` is no JSON pointer: write it with slashes, such as /jobs/0/usec",
    );
    let twice = metric("better = \"lower\"\npattern = '(x)'\n");
    let twice = format!(
        "{twice}[[workload.metric]]\nname = \"a\"\nunit = \"s\"\nbetter = \"lower\"\njson = \"/a\"\n"
    );
    check(&twice, "x.toml:13: there are two metrics `a`");
    let text = metric("better = \"lower\"\npattern = '(x)'\n");
    check(
        &text.replace("name = \"c\"\n", ""),
        "x.toml:5: a command needs a `name`, such as name = \"perf-pipe\"",
    );
    check(
        "run = \"pipe\"\n[[workload.metric]]\nname = \"a\"\nunit = \"s\"\nbetter = \"lower\"\njson = \
         \"/a\"\n",
        "x.toml:7: one of our workloads has its own metrics: [[workload.metric]] belongs to a \
         command",
    );
}

/// A plan and results of more would take gigabytes.
#[test]
fn there_are_not_more_runs_than_results_can_hold() {
    let many = |name: &str| {
        let variant = |at| format!("[[variant]]\npolicy = \"fifo\"\nname = \"{name}-{at}\"\n");
        (0..10).map(variant).collect::<String>()
    };
    let text = |runs: u32| format!("{HEAD}runs = {runs}\n{}{}{PIPE}", many("a"), many("b"));
    assert_eq!(
        parse("x.toml", &text(5000)).unwrap().shape().cells().len(),
        100_000
    );
    check_error(
        &text(5001),
        "x.toml:3: 5001 runs of 20 variants on 1 workloads are 100020 in all, and there can be 100000: ask \
         for fewer, or share them out among several files",
    );
    let mut asked = parse("x.toml", &text(1)).unwrap();
    asked.runs = 10_000;
    let error = asked.check().unwrap_err().to_string();
    assert!(
        error.contains("x.toml:3: 10000 runs of 20 variants"),
        "{error}"
    );
}

#[test]
fn what_is_named_must_exist_and_fit_the_backend() {
    let body = [KERNEL, PIPE].concat();
    let sim = "name = \"x\"\nbackend = \"sim\"\n";
    check_checked(
        &[HEAD, "machine = \"none\"\n", &body].concat(),
        "x.toml:3: no machine is called `none`",
    );
    check_checked(
        &[HEAD, "machine = \"1024-cpu\"\n", &body].concat(),
        "x.toml:3: no VM can be 1024-cpu",
    );
    check_checked(
        &[HEAD, "kernel = \"new\"\n", &body].concat(),
        "x.toml:3: `new` names no kernel",
    );
    check_checked(
        &[HEAD, "runs = 2\nboots = 3\n", &body].concat(),
        "x.toml:4: boots = 3 is more than the 2 runs",
    );
    let policy = |rest: &str| [HEAD, KERNEL, "[[variant]]\n", rest, PIPE].concat();
    check_checked(
        &policy("policy = \"lottery\"\n"),
        "x.toml:5: lottery: there is no policy `lottery`: choose from fifo, edf",
    );
    check_checked(
        &policy("policy = \"edf\"\nparams = { slice = 3 }\n"),
        "x.toml:5: edf: ",
    );
    check_checked(
        &policy("policy = \"eevdf\"\nmode = \"hint\"\n"),
        "x.toml:5: eevdf-hint: ",
    );
    check_checked(
        &policy("command = [\"scx_nowhere\"]\n"),
        "x.toml:5: scx_nowhere: there is no program scx_nowhere here",
    );
    let command = "[[workload]]\nname = \"c\"\ncommand = [\"no-such-program\"]\n\
        [[workload.metric]]\nname = \"a\"\nunit = \"s\"\nbetter = \"lower\"\npattern = '(x)'\n";
    check_checked(
        &[HEAD, KERNEL, command].concat(),
        "x.toml:5: c: there is no program no-such-program here",
    );
    check_checked(
        &[sim, KERNEL, command].concat(),
        "x.toml:5: c: the simulator runs no commands",
    );
    check_checked(
        &[sim, KERNEL, "[[workload]]\nrun = \"compile\"\n"].concat(),
        "x.toml:5: compile: `compile` cannot be simulated",
    );
    check_checked(
        &[sim, "[[variant]]\npolicy = \"./mine\"\n", PIPE].concat(),
        "x.toml:3: mine: there is no policy `./mine`",
    );
}

#[test]
fn optional_variants_are_left_out_with_a_note() {
    let absent = "[[variant]]\ncommand = [\"scx_nowhere\"]\noptional = true\n";
    let edf = "[[variant]]\npolicy = \"edf\"\n";
    let mut found = read(&[HEAD, KERNEL, absent, edf, PIPE].concat());
    let notes = found.check().unwrap();
    assert_eq!(found.variants.len(), 2);
    assert!(
        notes[0].starts_with("scx_nowhere is left out: there is no program"),
        "{notes:?}"
    );
    // A mistake is one whether or not the variant is optional.
    let bad = "[[variant]]\npolicy = \"edf\"\nparams = { slice = 3 }\noptional = true\n";
    check_checked(&[HEAD, KERNEL, bad, PIPE].concat(), "x.toml:5: edf: ");
    let first = [HEAD, absent, KERNEL, edf, PIPE].concat();
    check_checked(&first, "x.toml:3: the first variant is what the others");
    // Nothing is left to compare, or only a variant with itself.
    let lone = [HEAD, KERNEL, absent, PIPE].concat();
    check_checked(
        &lone,
        "x.toml:3: there are no two variants left to compare: scx",
    );
    let mut alone = read(&[HEAD, KERNEL, PIPE].concat());
    assert!(alone.check().is_ok());
    // What is found missing later, when programs are built.
    let notes = ["edf is left out: it cannot be built".to_owned()];
    let error = alone.check_variants(&notes).unwrap_err().to_string();
    assert!(
        error.ends_with("to compare: edf is left out: it cannot be built"),
        "{error}"
    );
    let mut twice = read(&[HEAD, "aa = true\n", KERNEL, absent, PIPE].concat());
    assert_eq!(twice.check().unwrap().len(), 1);
}

#[test]
fn a_prefix_belongs_to_a_variant_of_any_kind() {
    let recorded = "[[variant]]\nname = \"recorded\"\nkernel = true\n\
                    prefix = [\"baton\", \"record\", \"--\"]\n";
    let mut found = read(&[HEAD, KERNEL, recorded, PIPE].concat());
    assert_eq!(found.check().unwrap(), [""; 0]);
    assert!(found.variants[0].prefix.is_empty());
    assert_eq!(found.variants[1].prefix, ["baton", "record", "--"]);
    assert_eq!(
        found.variants[1].what(),
        "the kernel's own scheduler; workloads by baton record --"
    );
    let simulated = [HEAD, KERNEL, recorded, PIPE].concat();
    let simulated = simulated.replace("\"vm\"", "\"sim\"");
    check_checked(
        &simulated,
        "x.toml:5: recorded: the simulator runs no commands",
    );
    let absent = recorded.replace("baton", "no-such-program");
    let absent = [HEAD, KERNEL, &absent, PIPE].concat();
    check_checked(&absent, "x.toml:5: recorded: there is no program no-such");
    check_error(
        &[HEAD, KERNEL, "prefix = []\n", PIPE].concat(),
        "x.toml:5: prefix is empty: give the program and its arguments",
    );
}

#[test]
fn paths_and_names() {
    let error = Experiment::find("/nowhere/x.toml").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read the experiment /nowhere/x.toml: "),
        "{error}"
    );
    let error = Experiment::find("nothing").unwrap_err().to_string();
    assert!(error.contains("no experiment is called `nothing`") && error.contains("smoke"));
}

//! Tests of recorders, by shell scripts that stand for one.

use std::{
    fs,
    io::{Seek as _, Write as _},
};

use baton_policy::Machine;
use baton_trace::{Event, Header, Left, TaskInfo, Trailer, What, Writer};
use baton_workload::Calibration;

use super::*;
use crate::{
    Experiment,
    engine::{Ended, Launch, Local, Told},
};

static NEVER: AtomicBool = AtomicBool::new(false);

/// When the recordings below began.
const BEGUN_NS: u64 = 5_000_000_000_000;
const MS: u64 = 1_000_000;

/// Writes a recording of two CPUs, which began then and took so long: in each second another task runs
/// on both, for 10 ms at a time, and its pid is 100 plus that second. Whether it has an end.
fn write(path: &Path, begun_ns: u64, length_ms: u64, whole: bool) {
    let header = Header {
        began_monotonic_ns: begun_ns,
        ..Header::new("test", Machine::uniform("two", 2))
    };
    let mut writer = Writer::new(File::create(path).unwrap(), &header).unwrap();
    for second in 0..=length_ms / 1000 {
        let mut name = [0; 16];
        name[..4].copy_from_slice(b"task");
        let info = TaskInfo {
            pid: 100 + second as u32,
            tgid: 1,
            name,
            prio: 120,
            kernel: false,
        };
        let event = |time_ns, cpu, what| Event { time_ns, cpu, what };
        let begin_ns = second * 1000 * MS;
        writer.push(&event(begin_ns, 0, What::Task(info))).unwrap();
        for at in 0..50 {
            let time_ns = begin_ns + at * 20 * MS;
            for (time_ns, prev, next) in [(time_ns, 0, info.pid), (time_ns + 10 * MS, info.pid, 0)]
            {
                let left = Left::Sleeps;
                let what = What::Switch { prev, left, next };
                for cpu in [0, 1] {
                    if time_ns < length_ms * MS {
                        writer.push(&event(time_ns, cpu, what)).unwrap();
                    }
                }
            }
        }
    }
    if whole {
        let trailer = Trailer {
            duration_ns: length_ms * MS,
            ..Trailer::default()
        };
        writer.finish(&trailer).unwrap();
    } else {
        writer.flush().unwrap();
    }
}

/// A recording as if it had been made.
fn made(length_ms: u64, whole: bool) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    write(&file_in(&folder), BEGUN_NS, length_ms, whole);
    Recorded { folder }
}

/// The piece of a run that ended so many milliseconds after the recording's begin, and took so long.
fn piece(recorded: &Recorded, end_ms: u64, wall_ms: u64) -> Timeline {
    recorded
        .piece(BEGUN_NS + end_ms * MS, wall_ms * MS)
        .unwrap()
}

fn tasks(timeline: &Timeline) -> Vec<&str> {
    let tasks = timeline.tasks.iter();
    tasks.map(|task| task.name.as_str()).collect()
}

#[test]
fn the_middle_of_the_run_is_shown() {
    let recorded = made(10_000, true);
    let shown = piece(&recorded, 9_000, 6_000);
    assert_eq!((shown.cpus, shown.length_ns), (2, LENGTH_NS));
    assert_eq!(tasks(&shown), ["task 105", "task 106"]);
    // Half of the time, each: what runs there at the piece's begin runs to its end.
    for cpu in [0, 1] {
        let of_cpu = shown.slices.iter().filter(|slice| slice.cpu == cpu);
        let busy_ns: u64 = of_cpu.map(|slice| slice.end_ns - slice.begin_ns).sum();
        assert_eq!(busy_ns, LENGTH_NS / 2);
    }
    // What went before the workload does not count.
    assert_eq!(tasks(&piece(&recorded, 9_000, 800)), ["task 108"]);
}

#[test]
fn a_short_run_is_shown_whole() {
    let shown = piece(&made(2_000, true), 1_500, 40);
    assert_eq!(shown.length_ns, 40 * MS);
    assert_eq!(tasks(&shown), ["task 101"]);
}

/// As where the file was full, or the recorder killed.
#[test]
fn of_a_recording_that_was_cut_off_the_end_is_shown() {
    let recorded = made(3_100, false);
    let shown = piece(&recorded, 9_000, 8_000);
    assert_eq!(shown.length_ns, LENGTH_NS);
    assert_eq!(tasks(&shown), ["task 102", "task 103"]);
    // If it has the middle, that.
    assert_eq!(tasks(&piece(&recorded, 3_800, 3_000)), ["task 102"]);
}

#[test]
fn a_damaged_recording_is_told() {
    let recorded = made(30_000, true);
    let mut file = File::options()
        .write(true)
        .open(file_in(&recorded.folder))
        .unwrap();
    file.seek(SeekFrom::End(-4000)).unwrap();
    file.write_all(&[0xff; 16]).unwrap();
    let said = recorded.piece(BEGUN_NS + 30_000 * MS, 10 * MS).unwrap_err();
    assert!(said.contains("run.rec"), "{said}");
    fs::remove_file(file_in(&recorded.folder)).unwrap();
    assert!(recorded.piece(BEGUN_NS, 10).is_err());
}

/// A script as a recorder; `$0` is a file to give as what it recorded, `$1` where.
fn script(text: &str, source: &Path) -> Vec<OsString> {
    let words = ["sh", "-c", text].map(OsString::from);
    words.into_iter().chain([source.into()]).collect()
}

/// Puts the file into its place and waits for SIGTERM.
const GOOD: &str = "trap 'exit 0' TERM; cp \"$0\" \"$1.new\"; mv \"$1.new\" \"$1\"; \
     while :; do sleep 0.02; done";

#[test]
fn a_recorder_records_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    write(&source, BEGUN_NS, 2_000, true);
    let recorder = Recorder::start(&script(GOOD, &source), &NEVER).unwrap();
    let place = file_in(&recorder.folder);
    let recorded = recorder.finish().unwrap();
    assert_eq!(tasks(&piece(&recorded, 1_500, 100)), ["task 101"]);
    drop(recorded);
    assert!(!place.exists());
}

#[test]
fn a_recorder_that_cannot_says_why() {
    let none = Path::new("none");
    let check = |text: &str, words: &str| {
        let started = Recorder::start(&script(text, none), &NEVER);
        let said = started.unwrap_err();
        assert!(said.contains(words), "{said}");
    };
    check(
        "echo 'error: recording needs root: use sudo' >&2; echo more >&2; exit 3",
        "recording needs root: use sudo",
    );
    check("echo panicked >&2; exit 101", "panicked");
    check("exit 4", "exit status: 4");
    let said = Recorder::start(&[], &NEVER).unwrap_err();
    assert!(said.contains("cannot record"), "{said}");
    let said = Recorder::start(&["/nonexistent".into()], &NEVER).unwrap_err();
    assert!(said.contains("cannot start"), "{said}");
    // One that fails at its end, too.
    let text =
        "trap 'echo error: no room >&2; exit 1' TERM; : >\"$1\"; while :; do sleep 0.02; done";
    let recorder = Recorder::start(&script(text, none), &NEVER).unwrap();
    let said = recorder.finish().unwrap_err();
    assert!(said.contains("no room"), "{said}");
}

fn is_gone(pid: u32) -> bool {
    nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), None).is_err()
}

#[test]
fn nothing_is_left_of_a_recorder() {
    let none = Path::new("none");
    // One that is dropped, as after an error.
    let waits = ": >\"$1\"; exec sleep 600";
    let recorder = Recorder::start(&script(waits, none), &NEVER).unwrap();
    let (pid, place) = (recorder.process.child.id(), file_in(&recorder.folder));
    drop(recorder);
    assert!(is_gone(pid) && !place.exists());
    // One that does not begin, nor end, where all shall stop.
    let stop = AtomicBool::new(true);
    let said = Recorder::start(&script("exec sleep 600", none), &stop).unwrap_err();
    assert!(said.contains("stopped"), "{said}");
    let deaf = "trap '' TERM; : >\"$1\"; exec sleep 600";
    let stop = AtomicBool::new(false);
    let recorder = Recorder::start(&script(deaf, none), &stop).unwrap();
    let pid = recorder.process.child.id();
    stop.store(true, Ordering::Relaxed);
    let begin = Instant::now();
    recorder.finish().unwrap();
    assert!(is_gone(pid) && begin.elapsed() < END_LIMIT / 2);
}

#[test]
fn the_file_grows_to_its_bound_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    write(&source, BEGUN_NS, 2_000, true);
    let text = "cp \"$0\" \"$1\"; exec head -c 200000000 /dev/zero >>\"$1\"";
    let recorder = Recorder::start(&script(text, &source), &NEVER).unwrap();
    let length = || fs::metadata(file_in(&recorder.folder)).unwrap().len();
    let begin = Instant::now();
    while length() < BYTES_MAX {
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", length());
        thread::sleep(LOOK_INTERVAL);
    }
    assert_eq!(length(), BYTES_MAX);
    let recorded = recorder.finish().unwrap();
    assert_eq!(tasks(&piece(&recorded, 1_500, 100)), ["task 101"]);
}

const EXPERIMENT: &str = "name = \"x\"\nbackend = \"host\"\nruns = 1\n[[variant]]\nkernel = true\n\
     [[workload]]\nname = \"other\"\ncommand = [\"true\"]\n[[workload.metric]]\nname = \"v\"\n\
     unit = \"s\"\nbetter = \"lower\"\npattern = '(v)'\n[[workload]]\nname = \"words\"\n\
     command = [\"sh\", \"-c\", \"COMMAND\"]\n[[workload.metric]]\nname = \"v\"\nunit = \"s\"\n\
     better = \"lower\"\npattern = 'v ([0-9.]+)'\n";

/// What is told of the recording of a run of this command, beside this recorder.
fn told(command: &str, record: Vec<OsString>) -> Vec<Told> {
    let text = EXPERIMENT.replace("COMMAND", command);
    let experiment = Experiment::parse("x.toml", &text).unwrap();
    let launch = Launch {
        argv: Vec::new(),
        reports: false,
        prefix: Vec::new(),
    };
    let mut assignment = experiment.assignment(vec![launch]);
    let cells = assignment.shape.cells();
    let place = cells.iter().position(|cell| cell.workload == 1).unwrap();
    (assignment.from, assignment.to, assignment.warmup) = (0, 0, 1);
    assignment.recordings = vec![place];
    let local = Local {
        cell: Vec::new(),
        record,
        calibrate: &|| Calibration {
            units_per_ms: 1.0,
            spread: 0.0,
        },
        stop: &NEVER,
        hurry: &NEVER,
        is_guest: false,
    };
    let mut all = Vec::new();
    let ended = local.make(&assignment, &mut |told| {
        all.push(told);
        Ok(())
    });
    assert_eq!(ended.unwrap(), Ended::Done);
    assert!(matches!(all[0], Told::Boot(_)));
    assert_eq!(
        all[1..3],
        [Told::Warming { workload: 1 }, Told::Recording(place)]
    );
    all.split_off(3)
}

fn timeline(told: &[Told]) -> Result<Timeline, String> {
    match told {
        [Told::Recorded(recording)] => recording.timeline.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_made_beside_a_recorder_and_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    write(&source, monotonic_ns(), 60_000, true);
    let ran = folder.path().join("ran");
    let command = format!("echo once >>{}; sleep 0.3; echo v 1", ran.display());
    let shown = timeline(&told(&command, script(GOOD, &source))).unwrap();
    assert_eq!((shown.cpus, shown.length_ns), (2, LENGTH_NS));
    assert!(!shown.slices.is_empty());
    // A report tells nobody what else ran on the machine.
    assert!(
        tasks(&shown)
            .iter()
            .all(|name| name.starts_with("another 1")),
        "{shown:?}"
    );
    // A warm-up run, and the recorded one.
    assert_eq!(fs::read_to_string(&ran).unwrap(), "once\nonce\n");

    let said = timeline(&told("echo no luck >&2; exit 3", script(GOOD, &source))).unwrap_err();
    assert!(said.contains("no luck"), "{said}");
    let said = timeline(&told("echo v 1", script("exit 4", &source))).unwrap_err();
    assert!(said.contains("exit status: 4"), "{said}");
    let said = timeline(&told("echo v 1", Vec::new())).unwrap_err();
    assert!(said.contains("cannot record"), "{said}");
}

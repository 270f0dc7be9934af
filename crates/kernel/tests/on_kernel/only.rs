//! A part of the machine: that the policy has the tasks of one cgroup and no others, and that
//! they are at the end what they were.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use baton_kernel::{control::Request, takeover::Running};
use serde_json::Value;

use crate::{
    charge::{Charge, state},
    guest::{Outcome, check, counter},
    weights::{Hog, ticks_of},
};

const CGROUPS: &str = "/sys/fs/cgroup";
/// The cgroup that policies named `only:` have.
pub const PART: &str = "/part";
const SCHED_EXT: i32 = 7;
/// How long a change may take to be seen: twenty looks.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process in a cgroup, with a thread beside its first one, that works a little all the time.
struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(cgroup: &str, policy: &str, nice: i32) -> Result<Self, String> {
        let directory = format!("{CGROUPS}{cgroup}");
        fs::create_dir_all(&directory).map_err(|error| format!("{directory}: {error}"))?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(own)
            .args(["worker", &directory, policy, &nice.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a worker: {error}"))?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new);
        let answers = answers.ok_or("a worker has no output")?;
        let mut worker = Self {
            child,
            orders,
            answers,
        };
        match worker.answer()?.as_str() {
            "ready" => Ok(worker),
            problem => Err(format!("a worker: {problem}")),
        }
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        Ok(line.trim().to_owned())
    }

    /// Has it start a process of its own, with two threads as well; that one's number.
    fn fork(&mut self) -> Result<u32, String> {
        let orders = self.orders.as_mut().ok_or("a worker takes no orders")?;
        writeln!(orders, "fork").map_err(|error| error.to_string())?;
        let answer = self.answer()?;
        let pid = answer.parse().map_err(|_| format!("a worker: {answer}"))?;
        let began = Instant::now();
        while policies(pid).len() < 2 && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(pid)
    }

    fn move_to(&self, cgroup: &str) -> Result<(), String> {
        let file = format!("{CGROUPS}{cgroup}/cgroup.procs");
        fs::write(&file, self.child.id().to_string()).map_err(|error| format!("{file}: {error}"))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends its children, then itself.
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// What such a process does, until its standard input ends.
#[allow(unsafe_code)]
pub fn work(cgroup: &str, policy: &str, nice: &str) {
    let nice = nice.parse().expect("a nice value");
    if cgroup != "-" {
        let file = Path::new(cgroup).join("cgroup.procs");
        fs::write(file, std::process::id().to_string()).expect("the cgroup takes it");
        let (policy, sched_priority) = match policy {
            "batch" => (libc::SCHED_BATCH, 0),
            "idle" => (libc::SCHED_IDLE, 0),
            "fifo" => (libc::SCHED_FIFO, 5),
            _ => (libc::SCHED_OTHER, 0),
        };
        let param = libc::sched_param { sched_priority };
        // SAFETY: a valid parameter; 0 is the calling thread.
        unsafe {
            assert_eq!(libc::sched_setscheduler(0, policy, &param), 0);
            assert_eq!(libc::setpriority(libc::PRIO_PROCESS, 0, nice), 0);
        }
    }
    thread::spawn(|| {
        loop {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            thread::sleep(Duration::from_millis(9));
        }
    });
    println!("ready");
    let mut children = Vec::new();
    for _ in std::io::stdin().lines() {
        let own = std::env::current_exe().expect("a program");
        let child = Command::new(own)
            .args(["worker", "-", "", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a child");
        println!("{}", child.id());
        children.push(child);
    }
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The scheduling policies of a process's threads, and their nice values.
#[allow(unsafe_code)]
fn policies(pid: u32) -> Vec<(i32, i32)> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let threads = names.filter_map(|name| name.parse::<i32>().ok());
    threads
        // SAFETY: no pointers.
        .map(|tid| unsafe {
            let nice = libc::getpriority(libc::PRIO_PROCESS, tid as libc::id_t);
            (libc::sched_getscheduler(tid), nice)
        })
        .collect()
}

/// Whether all threads of each process have this policy and nice value; the first that does not.
fn all_are(expected: &[(u32, i32, i32)]) -> Result<(), String> {
    for &(pid, policy, nice) in expected {
        let found = policies(pid);
        if found.is_empty() || found.iter().any(|found| *found != (policy, nice)) {
            return Err(format!(
                "process {pid}: {found:?} instead of {policy}, {nice}"
            ));
        }
    }
    Ok(())
}

/// Whether all threads of a process are the policy's of a part of the machine.
pub fn is_of_part(pid: u32) -> bool {
    let found = policies(pid);
    !found.is_empty() && found.iter().all(|(policy, _)| *policy == SCHED_EXT)
}

fn soon(what: &str, expected: &[(u32, i32, i32)]) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match all_are(expected) {
            Ok(()) => return Ok(()),
            Err(problem) if began.elapsed() > PATIENCE => return Err(format!("{what}: {problem}")),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The threads that the relay has scheduled, by process.
fn scheduled() -> Result<Vec<u64>, String> {
    let answer = Running::connect().and_then(|mut running| running.ask(&Request::Tasks));
    let answer = answer.map_err(|error| error.to_string())?;
    let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
    Ok(tasks
        .iter()
        .filter_map(|task| task["tgid"].as_u64())
        .collect())
}

/// The policy has the cgroup's tasks, and those that come; a second policy has the same; at the
/// end each is what it was.
pub fn only() -> Outcome {
    let mut other = Worker::start(PART, "other", 5)?;
    let mut batch = Worker::start(&format!("{PART}/deep"), "batch", 0)?;
    let idle = Worker::start(PART, "idle", 0)?;
    let fifo = Worker::start(PART, "fifo", 0)?;
    let outside = Worker::start("/elsewhere", "batch", 3)?;
    let (ext, own) = (SCHED_EXT, std::process::id());
    let charge = Charge::take("only:edf", 240)?;
    let part = [
        (other.pid(), ext, 5),
        (batch.pid(), ext, 0),
        (idle.pid(), ext, 0),
    ];
    let rest = [
        (fifo.pid(), libc::SCHED_FIFO, 0),
        (outside.pid(), libc::SCHED_BATCH, 3),
        (own, libc::SCHED_OTHER, 0),
    ];
    soon("at the start", &part)?;
    all_are(&rest)?;
    if policies(charge.pid())
        .iter()
        .any(|(policy, _)| *policy == ext)
    {
        return Err("Baton's own threads are SCHED_EXT".into());
    }
    let children = [(other.fork()?, ext, 5), (batch.fork()?, ext, 0)];
    soon("children", &children)?;
    outside.move_to(PART)?;
    soon("moved there", &[(outside.pid(), ext, 3)])?;
    outside.move_to("/elsewhere")?;
    soon("moved away", &rest)?;
    // Only what ran since counts here.
    thread::sleep(Duration::from_secs(1));
    let insiders: Vec<u64> = part
        .iter()
        .chain(&children)
        .map(|(pid, ..)| u64::from(*pid))
        .chain([u64::from(outside.pid())])
        .collect();
    let ran = scheduled()?;
    if ran.is_empty() || ran.iter().any(|process| !insiders.contains(process)) {
        return Err(format!("scheduled {ran:?}, of the part are {insiders:?}"));
    }
    let (first, second) = switch_over(charge)?;
    all_are(&part).and(all_are(&children)).and(all_are(&rest))?;
    let late = (batch.fork()?, ext, 0);
    soon("a child of the second policy's", &[late])?;
    let last = second.stop()?;
    all_are(&[
        (other.pid(), libc::SCHED_OTHER, 5),
        (batch.pid(), libc::SCHED_BATCH, 0),
        (idle.pid(), libc::SCHED_IDLE, 0),
        (children[0].0, libc::SCHED_OTHER, 5),
        (children[1].0, libc::SCHED_BATCH, 0),
        (late.0, libc::SCHED_BATCH, 0),
    ])?;
    all_are(&rest)?;
    let text = format!(
        "first {}, second {}; {} and {} decisions",
        first["only"],
        last["only"],
        counter(&first, "decisions"),
        counter(&last, "decisions")
    );
    let took = |report: &Value, name: &str| report["only"][name].as_u64().unwrap_or(0);
    // Two threads each: five processes, and the one that came and went.
    let counted = took(&first, "taken") == 12
        && took(&first, "given_back") == 2
        && took(&last, "given_back") == 12
        && took(&last, "left_alone") == 2
        && took(&last, "foreign") == 0;
    let decided = counter(&first, "decisions") > 20 && counter(&last, "decisions") > 20;
    check(counted && decided, text)
}

/// Another policy takes over; the first one's report, and the second one in charge.
pub fn switch_over(first: Charge) -> Result<(Value, Charge), String> {
    let mut second = Charge::start("switch:fifo", 240, None)?;
    let mut first = first;
    let began = Instant::now();
    while first.is_running() {
        if began.elapsed() > Duration::from_secs(60) || !second.is_running() {
            second.signal("-KILL");
            return Err(format!("did not take over: {}", second.output()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    let (report, code) = first.finish()?;
    if code != Some(0) || report["exit"]["kind"] != "switched" {
        return Err(format!("the first policy ended with {code:?}: {report}"));
    }
    thread::sleep(Duration::from_secs(1));
    Ok((report, second))
}

/// However the policy ends, the tasks are what they were; but for a process that is killed,
/// which leaves them the name.
pub fn only_ends() -> Outcome {
    let worker = Worker::start(PART, "batch", 4)?;
    // So that there is something to decide, and a policy that fails does so soon.
    let _hogs = [hog_in(PART, 0)?, hog_in(PART, 0)?, hog_in(PART, 0)?];
    let (ext, batch) = (
        [(worker.pid(), SCHED_EXT, 4)],
        [(worker.pid(), libc::SCHED_BATCH, 4)],
    );
    for (policy, signal, code) in [
        ("only:fifo", Some("-TERM"), 0),
        ("only:fifo", Some("-INT"), 0),
        ("only:panics", None, 101),
        ("only:loops", None, 70),
        ("only:sleeps", None, 71),
    ] {
        let charge = Charge::take(policy, 60)?;
        if let Some(signal) = signal {
            soon(policy, &ext)?;
            charge.signal(signal);
        }
        let (report, ended) = charge.finish()?;
        if ended != Some(code) {
            return Err(format!(
                "{policy} {signal:?}: ended with {ended:?}: {report}"
            ));
        }
        all_are(&batch).map_err(|problem| format!("{policy} {signal:?}: {problem}"))?;
        wait_disabled(policy)?;
    }
    let charge = Charge::take("only:fifo", 60)?;
    soon("before the kill", &ext)?;
    charge.signal("-KILL");
    let _ = charge.finish()?;
    wait_disabled("killed")?;
    all_are(&ext)?;
    let before = ticks_of(worker.pid())?;
    thread::sleep(Duration::from_secs(2));
    let worked = ticks_of(worker.pid())? - before;
    check(
        worked > 2,
        format!("given back after every end; after SIGKILL it worked on for {worked} ticks"),
    )
}

fn wait_disabled(what: &str) -> Result<(), String> {
    let began = Instant::now();
    while state() != "disabled" {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(format!("{what}: {}", state()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A process that computes without end, in a cgroup.
pub fn hog_in(cgroup: &str, nice: i32) -> Result<Hog, String> {
    let directory = format!("{CGROUPS}{cgroup}");
    fs::create_dir_all(&directory).map_err(|error| format!("{directory}: {error}"))?;
    let hog = Hog::start(nice)?;
    let file = format!("{directory}/cgroup.procs");
    fs::write(&file, hog.pid().to_string()).map_err(|error| format!("{file}: {error}"))?;
    Ok(hog)
}

/// CPU time of hogs, in ticks.
fn ticks(hogs: &[Hog]) -> Result<u64, String> {
    hogs.iter().map(Hog::ticks).sum()
}

/// Where the kernel has no server for SCHED_EXT, hogs of the part get nothing beside others: in the
/// end the kernel ejects the policy, and the tasks are what they were.
pub fn only_starved() -> Outcome {
    let inside = [hog_in(PART, 0)?, hog_in(PART, 0)?];
    let mut charge = Charge::take("only:edf", 240)?;
    let outside = [
        hog_in("/elsewhere", 0)?.pinned(0)?,
        hog_in("/elsewhere", 0)?.pinned(1)?,
    ];
    let began = Instant::now();
    while charge.is_running() && began.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(100));
    }
    let after_s = began.elapsed().as_secs_f64();
    let back: Result<(), String> = inside
        .iter()
        .try_for_each(|hog| all_are(&[(hog.pid(), libc::SCHED_OTHER, 0)]));
    drop((inside, outside));
    charge.signal("-INT");
    let (report, _) = charge.finish()?;
    let text = format!("after {after_s:.0} s: {}", report["exit"]);
    let stalled = report["exit"]["reason"] == "runnable task stall";
    back.and(check(stalled && after_s > 29.0, text))
}

/// Hogs of the part where every CPU has a hog of the kernel's own scheduler: they get what the
/// kernel's server for SCHED_EXT leaves them, and the policy stays.
pub fn only_crowded() -> Outcome {
    let inside = [hog_in(PART, 0)?, hog_in(PART, 0)?];
    let charge = Charge::take("only:edf", 120)?;
    let outside = [
        hog_in("/elsewhere", 0)?.pinned(0)?,
        hog_in("/elsewhere", 0)?.pinned(1)?,
    ];
    thread::sleep(Duration::from_secs(1));
    let before = (ticks(&inside)?, ticks(&outside)?);
    let seconds = std::env::var("BATON_TEST_CROWDED").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(10);
    thread::sleep(Duration::from_secs(seconds));
    let after = (ticks(&inside)?, ticks(&outside)?);
    let still = state();
    drop(outside);
    let (ours, theirs) = (after.0 - before.0, after.1 - before.1);
    let share = ours as f64 / (ours + theirs) as f64 * 100.0;
    charge.signal("-INT");
    let (report, code) = charge.finish()?;
    let text = format!(
        "{share:.1} % of two CPUs that the kernel's own scheduler wants whole; {still}; {code:?}, \
         {}; {} rescues, {} starved, {} to idle CPUs, longest wait {:.1} ms",
        report["exit"],
        counter(&report, "rescues"),
        counter(&report, "starved"),
        counter(&report, "to_idle"),
        report["stats"]["wait_max_ns"].as_f64().unwrap_or(0.0) / 1e6,
    );
    check(still == "enabled" && code == Some(0), text)
}

//! Policies to put in charge: the real ones, and some that misbehave.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use baton_kernel::{Cgroup, ClassFile, Error, RunConfig, RunReport, run as run_policy};
use baton_policy::{
    Context, Decision, Enqueue, Interests, MS, Mode, Options, Placement, Policy, SEC, Setup,
    TaskId, TaskKey,
};

use crate::{only::PART, performance::Tempo};

/// Where a policy's process logs, if the variable is set.
pub const LOG_VARIABLE: &str = "BATON_TEST_LOG";

/// Runs a policy by its name and prints its report as JSON.
pub fn run(name: &str, seconds: &str) {
    let seconds = seconds.parse().expect("a number of seconds");
    let (takeover, name) = match name.strip_prefix("switch:") {
        Some(name) => (true, name),
        None => (false, name),
    };
    let (only, name) = match name.strip_prefix("only:") {
        Some(name) => (Some(Cgroup::find(PART).expect("the cgroup")), name),
        None => (None, name),
    };
    let config = RunConfig {
        seed: 42,
        takeover,
        only,
        duration: Some(Duration::from_secs_f64(seconds)),
        log: std::env::var_os(LOG_VARIABLE).map(PathBuf::from),
        ..RunConfig::default()
    };
    let guessing = name.strip_prefix(crate::learned::PREFIX);
    let suite = name.strip_prefix(crate::conform::PREFIX);
    let report = match name {
        _ if suite.is_some() => {
            baton_conformance::with_policy(suite.unwrap_or(""), OfSuite(&config))
                .expect("a policy of the suite")
        }
        _ if guessing.is_some() => {
            let config = crate::learned::config(guessing.unwrap_or(""), config);
            run_policy::<baton_policies::Learned>(&config, &mut |_| {})
        }
        "fifo" => run_policy::<baton_policies::Fifo>(&config, &mut |_| {}),
        "edf" => run_policy::<baton_policies::Edf>(&config, &mut |_| {}),
        "eevdf" => run_policy::<baton_policies::Eevdf>(&config, &mut |_| {}),
        "edf-hinting" => {
            let config = RunConfig {
                mode: Mode::Hint,
                ..config
            };
            run_policy::<baton_policies::Edf>(&config, &mut |_| {})
        }
        "edf-spinning" => {
            let config = RunConfig {
                spin_cpu: Some(1),
                ..config
            };
            run_policy::<baton_policies::Edf>(&config, &mut |_| {})
        }
        "tempo" => run_policy::<Tempo>(&config, &mut |_| {}),
        "tempo-hinting" => {
            let config = RunConfig {
                mode: Mode::Hint,
                ..config
            };
            run_policy::<Tempo>(&config, &mut |_| {})
        }
        "tempo-unsaid" => {
            let config = RunConfig {
                params: vec![("says_so".into(), "false".into())],
                ..config
            };
            run_policy::<Tempo>(&config, &mut |_| {})
        }
        "priority" => run_policy::<baton_policies::Priority>(&classed(config), &mut |_| {}),
        "priority-classless" => run_policy::<baton_policies::Priority>(&config, &mut |_| {}),
        "hybrid" => run_policy::<baton_policies::Hybrid>(&sized(config), &mut |_| {}),
        "mute" => run_policy::<Mute>(&config, &mut |_| {}),
        "loops" => run_policy::<Loops>(&config, &mut |_| {}),
        "sleeps" => run_policy::<Sleeps>(&config, &mut |_| {}),
        "dawdles" => run_policy::<Dawdles>(&config, &mut |_| {}),
        "panics" => run_policy::<Panics>(&config, &mut |_| {}),
        "lies" => run_policy::<Lies>(&config, &mut |_| {}),
        "holds" => run_policy::<Holds>(&config, &mut |_| {}),
        "counts" => {
            // Some 160 events: soon full.
            let config = RunConfig {
                ring_bytes: Some(16 << 10),
                ..config
            };
            run_policy::<Counts>(&config, &mut |_| {})
        }
        "lifo" => run_policy::<Lifo>(&config, &mut |_| {}),
        _ => panic!("no policy {name}"),
    };
    match report {
        Ok(report) => {
            let mut report = serde_json::to_value(&report).expect("plain data");
            report["heard"] = HEARD.load(Ordering::Relaxed).into();
            println!("{report}");
        }
        Err(error) => {
            println!("{}", serde_json::json!({ "error": error.to_string() }));
            std::process::exit(if matches!(error, Error::Panicked(_)) {
                101
            } else {
                1
            });
        }
    }
}

/// Runs a policy of the conformance suite.
struct OfSuite<'a>(&'a RunConfig);

impl baton_conformance::Visitor for OfSuite<'_> {
    type Output = Result<RunReport, Error>;

    fn visit<P: Policy + 'static>(self) -> Self::Output {
        run_policy::<P>(self.0, &mut |_| {})
    }
}

/// With classes: by name and by cgroup, and for chaos one that is bound to a CPU.
fn classed(config: RunConfig) -> RunConfig {
    let classes = ClassFile::parse("classes.toml", CLASSES).expect("a good file");
    RunConfig {
        classes: Some(classes),
        ..config
    }
}

const CLASSES: &str = r#"
[[class]]
name = "urgent"
cgroup = "/urgent/**"
priority = 10
[[class]]
name = "batch"
cgroup = "/batch/**"
priority = -10
[[class]]
name = "frames"
task = "frame-*"
priority = 10
[[class]]
name = "background"
task = ["hog", "victim"]
priority = -10
[[class]]
name = "bound"
task = "storm"
allowed = "1"
"#;

/// With a machine of one large and one small CPU, which they are to the policy alone.
fn sized(config: RunConfig) -> RunConfig {
    let mut machine = baton_machine::read_sys(Path::new("/sys")).expect("a machine");
    for cpu in &mut machine.cpus[1..] {
        cpu.capacity = 512;
    }
    RunConfig {
        machine: Some(machine),
        ..config
    }
}

macro_rules! misbehaving {
    ($policy:ident, $name:literal, |$self:ident, $cx:ident, $task:ident, $enqueue:ident| $body:expr) => {
        #[derive(Default)]
        pub struct $policy {
            calls: u64,
        }

        impl Policy for $policy {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = "misbehaves";
            type Task = ();

            fn new(_: &Setup<'_>) -> Self {
                Self::default()
            }

            fn options(&self) -> Options {
                Options { interests: Interests::ALL, ..Options::default() }
            }

            fn enqueue(&mut $self, $cx: &mut Context<'_, ()>, $task: TaskId, $enqueue: &Enqueue) {
                $self.calls += 1;
                if !$enqueue.decided {
                    $body
                }
            }
        }
    };
}

/// After so many calls a policy that fails does so.
const CALLS_BEFORE: u64 = 200;

misbehaving!(Mute, "mute", |self, _cx, _task, enqueue| {});

misbehaving!(Loops, "loops", |self, cx, task, enqueue| {
    let now = cx.now_ns();
    cx.ready(task, now);
    if self.calls > CALLS_BEFORE {
        loop {
            std::hint::spin_loop();
        }
    }
});

misbehaving!(Sleeps, "sleeps", |self, cx, task, enqueue| {
    let now = cx.now_ns();
    cx.ready(task, now);
    if self.calls > CALLS_BEFORE {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
});

// Too late for a takeover, and then like any other.
misbehaving!(Dawdles, "dawdles", |self, cx, task, enqueue| {
    if self.calls == 1 {
        std::thread::sleep(Duration::from_secs(3));
    }
    let now = cx.now_ns();
    cx.ready(task, now);
});

misbehaving!(Panics, "panics", |self, cx, task, enqueue| {
    let now = cx.now_ns();
    cx.ready(task, now);
    assert!(self.calls < CALLS_BEFORE, "as the test asked");
});

// Everything that a decision can get wrong, in turn, and now and then a right one.
misbehaving!(Lies, "lies", |self, cx, task, enqueue| {
    let key = cx.task(task).key;
    let seq = enqueue.seq;
    let random = cx.rng().next_u64();
    let nobody = TaskKey {
        pid: 4_000_000 + (random % 1000) as u32,
        start_ns: random,
    };
    let ready = |key| Placement::Ready { key };
    let mut decision = match self.calls % 9 {
        0 => Decision::new(
            key,
            seq,
            Placement::Cpu {
                cpu: 1 + random as u32 % 5000,
            },
        ),
        1 => Decision::new(key, seq, Placement::Cpu { cpu: u32::MAX }),
        2 => Decision::new(nobody, seq, ready(random)),
        3 => Decision::new(TaskKey { start_ns: 1, ..key }, seq, ready(random)),
        4 => Decision::new(key, seq.wrapping_sub(1), ready(random)),
        5 => Decision::new(key, u64::MAX, ready(random)),
        6 => Decision::new(key, seq, Placement::Hold { lease_ns: u64::MAX }),
        _ => Decision::new(key, seq, ready(random)),
    };
    decision
        .slice_ns(if random & 1 == 0 { u64::MAX } else { 1 })
        .preempt(random & 2 == 0);
    decision.key_offset(if random & 4 == 0 { i64::MIN } else { i64::MAX });
    cx.decide(decision);
    // Twice: the second is always stale.
    cx.decide(decision);
});

// Newest first: with hogs about, some task is always the last.
misbehaving!(Lifo, "lifo", |self, cx, task, enqueue| {
    let key = 0_u64.wrapping_sub(cx.now_ns());
    cx.ready(task, key).slice_ns(5 * MS);
});

/// How often [`Counts`] was told that a CPU went offline.
static HEARD: AtomicU64 = AtomicU64::new(0);

/// First come, first served, with an ear for everything.
pub struct Counts;

impl Policy for Counts {
    const NAME: &'static str = "counts";
    const SUMMARY: &'static str = "asks for every event";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self
    }

    fn options(&self) -> Options {
        Options {
            interests: Interests::ALL,
            ..Options::default()
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, _: &Enqueue) {
        let now = cx.now_ns();
        cx.ready(task, now).slice_ns(5 * MS);
    }

    fn cpu_online(&mut self, _: &mut Context<'_, ()>, _: u32, online: bool) {
        HEARD.fetch_add(u64::from(!online), Ordering::Relaxed);
    }
}

/// Keeps every task in hand for a while, then decides; forgets each tenth.
#[derive(Default)]
pub struct Holds {
    held: std::collections::VecDeque<(TaskId, u64)>,
    calls: u64,
}

impl Policy for Holds {
    const NAME: &'static str = "holds";
    const SUMMARY: &'static str = "queues for itself";
    type Task = ();

    fn new(_: &Setup<'_>) -> Self {
        Self {
            held: std::collections::VecDeque::with_capacity(4096),
            calls: 0,
        }
    }

    fn enqueue(&mut self, cx: &mut Context<'_, ()>, task: TaskId, enqueue: &Enqueue) {
        self.calls += 1;
        cx.hold(task, 50 * MS);
        if !self.calls.is_multiple_of(10) && self.held.len() < 4096 {
            self.held.push_back((task, enqueue.seq));
        }
    }

    fn batch_end(&mut self, cx: &mut Context<'_, ()>) {
        let key = cx.now_ns();
        while let Some((task, seq)) = self.held.pop_front() {
            if cx.tasks().get(task).is_some_and(|task| task.seq == seq) {
                cx.ready(task, key).slice_ns(5 * MS);
            }
        }
        debug_assert!(key < u64::MAX - SEC);
    }
}

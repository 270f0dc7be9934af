//! Recordings: that they hold what happened, under the kernel's own scheduler and a policy.

use std::{
    fs::{self, File},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use baton_kernel::{
    realtime::bind_to,
    recorder::{RecordConfig, Recorder},
};
use baton_trace::{
    Audit, Ending, Losses, NameHider, Recording, RelayEvent, Summary, Trailer, What,
};

use crate::{
    charge::Charge,
    guest::{CPU_1, Outcome, check, counter, load},
};

const FILE: &str = "/tmp/scheduling.rec";

/// What a recording was found to hold.
struct Found {
    summary: Summary,
    audit: Audit,
    trailer: Trailer,
    absent: Vec<String>,
    /// CPU time by thread, between its first switch and its last.
    runtime_ns: std::collections::BTreeMap<u32, u64>,
    rescued: u64,
    /// Forks, exits, names and the relay's events that were lost.
    lost_tasks: u64,
    /// Wakeups of this process's threads; those of them by its threads.
    woken_own: u64,
    woken_by_own: u64,
    /// And those by nobody while its CPU ran somebody.
    woken_by_none: u64,
}

fn config() -> RecordConfig {
    RecordConfig::new("a test")
}

/// Records while `work` is done on another thread.
fn record<T: Send>(
    config: RecordConfig,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<(T, Found), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let file = File::create(FILE).map_err(|error| text(&error))?;
    let mut recorder = Recorder::start(config, file).map_err(|error| text(&error))?;
    let header = recorder.header().clone();
    let done = thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            let pause = recorder.poll().map_err(|error| text(&error))?;
            thread::sleep(pause);
        }
        work.join().map_err(|_| "the work panicked".to_owned())?
    })?;
    let trailer = recorder.finish().map_err(|error| text(&error))?;
    let absent = header.absent.iter().map(|absent| absent.kind.clone());
    let found = read(trailer, absent.collect()).map_err(|error| text(&error))?;
    Ok((done, found))
}

fn read(trailer: Trailer, absent: Vec<String>) -> Result<Found, baton_trace::ReadError> {
    let mut audit = Audit::default();
    let mut runtime_ns = std::collections::BTreeMap::new();
    let mut came = std::collections::BTreeMap::new();
    let (mut rescued, mut woken_own, mut woken_by_own, mut woken_by_none) = (0, 0, 0, 0);
    let mut lost_tasks = 0;
    let mut own = std::collections::BTreeSet::new();
    let mut recording = Recording::open(FILE)?;
    for event in recording.by_ref() {
        let event = event?;
        audit.add(&event);
        match event.what {
            What::Switch { prev, next, .. } => {
                if let Some((task, since)) = came.insert(event.cpu, (next, event.time_ns))
                    && task == prev
                {
                    *runtime_ns.entry(prev).or_insert(0) += event.time_ns - since;
                }
            }
            What::Lost {
                of: Losses::Any, ..
            } => {
                came.remove(&event.cpu);
            }
            What::Lost { count, .. } => lost_tasks += count,
            What::Relay(RelayEvent::Rescued { .. }) => rescued += 1,
            What::Task(info) if info.tgid == std::process::id() => {
                own.insert(info.pid);
            }
            What::Wakeup { pid, waker, .. } if own.contains(&pid) => {
                woken_own += 1;
                woken_by_own += u64::from(own.contains(&waker));
                let busy = came.get(&event.cpu).is_some_and(|(task, _)| *task != 0);
                woken_by_none += u64::from(waker == 0 && busy);
            }
            _ => {}
        }
    }
    assert!(matches!(recording.ending(), Some(Ending::Whole(end)) if *end == trailer));
    Ok(Found {
        summary: Summary::of(&mut Recording::open(FILE)?)?,
        audit,
        trailer,
        absent,
        runtime_ns,
        rescued,
        lost_tasks,
        woken_own,
        woken_by_own,
        woken_by_none,
    })
}

impl Found {
    fn text(&self) -> String {
        let counts = self
            .summary
            .kinds
            .list()
            .map(|(name, count)| format!("{name} {count}"));
        let Audit {
            out_of_turn,
            unwoken,
            twice,
            untold,
            unmade,
            examples,
            ..
        } = &self.audit;
        format!(
            "{}; lost {}, late {}, absent {:?}; out of turn {out_of_turn}, unwoken {unwoken}, twice \
             {twice}, untold {untold}, unmade {unmade} {examples:?}",
            counts.join(", "),
            self.trailer.lost,
            self.trailer.late,
            self.absent,
        )
    }
}

/// CPU time of the calling thread, as the kernel accounts it.
fn own_runtime_ns() -> Result<(u32, u64), String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let stat = read("/proc/thread-self/schedstat")?;
    let link = fs::read_link("/proc/thread-self").map_err(|error| error.to_string())?;
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    let pid = number(link.file_name().and_then(|name| name.to_str()));
    let runtime = number(stat.split(' ').next());
    Ok((
        pid.ok_or("no number of a thread")? as u32,
        runtime.ok_or("no CPU time")?,
    ))
}

/// Does the work and computes on this thread; its number and what the kernel accounted meanwhile.
fn compute(work: impl FnOnce() -> Result<(), String>) -> Result<(u32, u64), String> {
    let (pid, before) = own_runtime_ns()?;
    work()?;
    let mut sum = 0_u64;
    for step in 0..200_000_000_u64 {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(step));
    }
    let (_, after) = own_runtime_ns()?;
    Ok((pid, after - before))
}

/// Under the kernel's own scheduler: nothing is missing, and CPU time is what the kernel says.
pub fn records() -> Outcome {
    let ((pid, accounted_ns), found) = record(config(), || {
        compute(|| load("messaging:groups=2,loops=40", None).map(|_| ()))
    })?;
    let kinds = &found.summary.kinds;
    let recorded_ns = found.runtime_ns.get(&pid).copied().unwrap_or(0);
    let ratio = recorded_ns as f64 / accounted_ns as f64;
    let whole = found.audit.holds() && found.trailer.lost == 0;
    let plenty = kinds.switch > 1000 && kinds.wakeup > 1000 && kinds.fork > 20 && kinds.exit > 20;
    let asked = kinds.can_migrate > 0 || found.absent.contains(&"can_migrate".to_owned());
    let told = found
        .summary
        .tasks
        .iter()
        .all(|tasks| !tasks.name.is_empty());
    // The thread did a little else while it was recorded, and interrupts are not its CPU time.
    let accounted = (0.97..1.15).contains(&ratio);
    let text = format!(
        "{}; CPU time {ratio:.3} of what was accounted",
        found.text()
    );
    check(
        whole && plenty && asked && told && accounted && found.trailer.late == 0,
        text,
    )
}

/// Where the trampoline is refused, probes see the balancer's questions.
pub fn records_by_probes() -> Outcome {
    let config = RecordConfig {
        trampolines: false,
        ..config()
    };
    let (_, found) = record(config, || load("messaging:groups=2,loops=20", None))?;
    let asked = found.summary.kinds.can_migrate > 0 && found.absent.is_empty();
    check(found.audit.holds() && asked, found.text())
}

/// With hardly any room much is lost, and each loss is counted where it was.
pub fn records_losses() -> Outcome {
    let config = || RecordConfig {
        ring_bytes: 4096,
        ..config()
    };
    let (_, found) = record(config(), || load("messaging:groups=2,loops=40", None))?;
    let told: u64 = found.summary.per_cpu.iter().map(|cpu| cpu.lost).sum();
    let counted = told == found.trailer.lost && told > found.lost_tasks;
    // A loss is told where it was on its CPU, but later than what other CPUs tell of it.
    let text = check(counted && found.audit.out_of_turn == 0, found.text())?;
    // More forks than have room, and nobody who looks meanwhile.
    let file = File::create(FILE).map_err(|error| error.to_string())?;
    let recorder = Recorder::start(config(), file).map_err(|error| error.to_string())?;
    for _ in 0..60 {
        let ended = thread::spawn(|| ()).join();
        ended.map_err(|_| "a thread panicked".to_owned())?;
    }
    let trailer = recorder.finish().map_err(|error| error.to_string())?;
    let forks = read(trailer, Vec::new()).map_err(|error| error.to_string())?;
    let Audit {
        out_of_turn,
        untold,
        unmade,
        ..
    } = forks.audit;
    check(
        forks.lost_tasks > 20 && out_of_turn + untold + unmade == 0,
        format!(
            "{text}; then {} of tasks lost: {}",
            forks.lost_tasks,
            forks.text()
        ),
    )
}

/// Under a policy: each task that was published is decided or rescued, and is named.
pub fn records_relay() -> Outcome {
    let charge = Charge::take("edf", 120)?;
    let recorded = record(config(), || {
        load("messaging:groups=2,loops=40+hogs:count=4", None)
    });
    let report = charge.stop()?;
    let (_, found) = recorded?;
    let kinds = &found.summary.kinds;
    let decided = kinds.relay_decided + found.rescued;
    let text = format!(
        "{}; the relay counted {} held, {} decisions",
        found.text(),
        counter(&report, "held"),
        counter(&report, "decisions"),
    );
    // The relay counts from before the recording to after it.
    let heard = kinds.relay_enqueue > 100
        && kinds.relay_enqueue <= counter(&report, "held") + 1
        && decided.abs_diff(kinds.relay_enqueue) < 100 + kinds.relay_enqueue / 20;
    check(
        heard && found.audit.holds() && found.trailer.lost == 0,
        text,
    )
}

/// A policy that begins later is heard, and one that ends is let go.
pub fn records_a_policy_that_comes() -> Outcome {
    let (_, found) = record(config(), || {
        thread::sleep(Duration::from_millis(200));
        for _ in 0..2 {
            let charge = Charge::take("edf", 120)?;
            thread::sleep(Duration::from_millis(1500));
            load("messaging:groups=2,loops=20+hogs:count=4", None)?;
            charge.stop()?;
        }
        Ok(())
    })?;
    let heard = found.summary.kinds.relay_enqueue > 100 && found.summary.kinds.relay_decided > 100;
    check(heard && found.audit.out_of_turn == 0, found.text())
}

/// Two threads on a CPU each, which wake each other in turn.
fn ping_pong(rounds: u32) -> Result<(), String> {
    let (ping, pinged) = std::sync::mpsc::channel::<()>();
    let (pong, ponged) = std::sync::mpsc::channel::<()>();
    let bind = |cpu| bind_to(cpu).map_err(|error| error.to_string());
    thread::scope(|scope| {
        let other = scope.spawn(move || -> Result<(), String> {
            bind(1)?;
            while pinged.recv().is_ok() {
                pong.send(()).map_err(|error| error.to_string())?;
            }
            Ok(())
        });
        bind(0)?;
        for _ in 0..rounds {
            ping.send(()).map_err(|error| error.to_string())?;
            ponged.recv().map_err(|error| error.to_string())?;
        }
        drop(ping);
        other.join().map_err(|_| "a thread panicked".to_owned())?
    })
}

/// Who wakes whom across CPUs is told, by either way of looking.
pub fn records_wakers() -> Outcome {
    let mut texts = Vec::new();
    for trampolines in [true, false] {
        let config = RecordConfig {
            trampolines,
            ..config()
        };
        let (_, found) = record(config, || ping_pong(1000))?;
        let share = found.woken_by_own as f64 / found.woken_own.max(1) as f64;
        let text = format!(
            "trampolines {trampolines}: {share:.3} of {} wakeups",
            found.woken_own
        );
        if found.woken_own < 500 || share < 0.9 || !found.audit.holds() {
            return Err(format!("{text}; {}", found.text()));
        }
        texts.push(text);
    }
    Ok(texts.join("; "))
}

/// A thread that computes on the CPU where another's timer ends its sleeps woke nobody.
pub fn records_interrupts() -> Outcome {
    const SLEEPS: u32 = 200;
    let mut texts = Vec::new();
    for trampolines in [true, false] {
        let config = RecordConfig {
            trampolines,
            ..config()
        };
        let (_, found) = record(config, || {
            let done = AtomicBool::new(false);
            let bind = || bind_to(0).map_err(|error| error.to_string());
            thread::scope(|scope| {
                let computes = scope.spawn(|| -> Result<(), String> {
                    bind()?;
                    while !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                    Ok(())
                });
                let bound = bind();
                for _ in 0..SLEEPS {
                    thread::sleep(Duration::from_millis(2));
                }
                done.store(true, Ordering::Relaxed);
                bound?;
                computes
                    .join()
                    .map_err(|_| "a thread panicked".to_owned())?
            })
        })?;
        let text = format!(
            "trampolines {trampolines}: of {} wakeups {} by a thread, {} by nobody on a busy CPU",
            found.woken_own, found.woken_by_own, found.woken_by_none
        );
        // Threads wake each other when they end.
        if found.woken_by_own > 20 || found.woken_by_none < 100 || !found.audit.holds() {
            return Err(format!("{text}; {}", found.text()));
        }
        texts.push(text);
    }
    Ok(texts.join("; "))
}

/// Bytes that the recorder's rings take, as the kernel counts them, the shared one left out.
fn ring_bytes(each: u64) -> Result<u64, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut bytes = 0;
    for entry in fs::read_dir("/proc/self/fdinfo").map_err(text)?.flatten() {
        let info = fs::read_to_string(entry.path()).unwrap_or_default();
        let number = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim().parse::<u64>().ok())
        };
        if number("value_size:") == Some(each) {
            bytes += number("memlock:").unwrap_or(0);
        }
    }
    Ok(bytes)
}

/// A CPU that is offline takes no memory, and is recorded all the same when it comes.
pub fn records_a_cpu_that_comes() -> Outcome {
    const EACH: u32 = 1 << 18;
    let config = RecordConfig {
        ring_bytes: EACH,
        ..config()
    };
    let set = |value: &str| fs::write(CPU_1, value).map_err(|error| format!("{CPU_1}: {error}"));
    set("0")?;
    let recorded = record(config, || {
        let bytes = ring_bytes(EACH.into());
        set("1")?;
        load("messaging:groups=1,loops=20+hogs:count=2", None)?;
        bytes
    });
    set("1")?;
    let (bytes, found) = recorded?;
    let came = found.summary.per_cpu[1].switches;
    let text = format!(
        "{bytes} bytes for rings of {EACH} each; {came} switches of CPU 1; {}",
        found.text()
    );
    // Pages of its own stand before the rings.
    let one = u64::from(EACH)..u64::from(EACH) * 3 / 2;
    check(
        one.contains(&bytes) && came > 100 && found.audit.holds() && found.trailer.lost == 0,
        text,
    )
}

/// No name is left, and tasks are told apart.
pub fn records_hidden() -> Outcome {
    let hider = NameHider::random().map_err(|error| error.to_string())?;
    let config = RecordConfig {
        hider: Some(hider),
        ..config()
    };
    let (_, found) = record(config, || load("messaging:groups=1,loops=10", None))?;
    let tasks = &found.summary.tasks;
    let hashed = |name: &String| name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let hidden = tasks
        .iter()
        .all(|tasks| tasks.name.is_empty() || hashed(&tasks.name));
    let bytes = fs::read(Path::new(FILE)).map_err(|error| error.to_string())?;
    let told = bytes.windows(7).any(|window| window == b"kworker");
    check(hidden && tasks.len() > 3 && !told, found.text())
}

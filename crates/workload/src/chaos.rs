//! Disturbs a scheduler in every way that user space can, while witnesses measure who waits.
//!
//! Victims, processes that compute, sleep and yield, are moved between CPUs, nice values, classes
//! and cgroups; storms of short-lived children come and go; CPUs go offline and return. Meanwhile
//! witnesses run, which nobody may slow down for long by right: spinning ones notice how long they were kept
//! off a CPU, sleeping ones how late they were woken. One spinning witness is pinned to each CPU,
//! so that a scheduler which forgets a single queue is found out.
//!
//! Each kind of disturbance has its own thread and its own random sequence from the seed, so a
//! seed gives the same sequences again, though not the same interleaving. What cannot be done here
//! is counted as refused or named in a note; nothing is left out in silence.

mod cgroups;
mod disturb;
mod hotplug;
mod report;
mod tally;
mod victims;
mod witness;

pub use report::{ChaosReport, Disturbed, WitnessReport};

use crate::calibration::Calibration;
use crate::cgroups::Cgroups;
use crate::error::{Error, TOO_MANY_TASKS};
use crate::names;
use crate::report::seconds;
use crate::stop::NEVER;
use crate::sys::{clock, sched};
use hotplug::Hotplug;
use report::compile;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;
use tally::Tallies;
use witness::{Duty, Testimony};

const PART: &str = "chaos";
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How to disturb.
#[derive(Clone, Debug)]
pub struct ChaosOptions<'a> {
    /// The seed of all random sequences.
    pub seed: u64,
    /// How long to disturb.
    pub duration: Duration,
    /// The capacity of a CPU; measured before if not given.
    pub calibration: Option<Calibration>,
    /// Replaces the tasks' names by ones that say nothing and depend on this.
    pub salt: Option<String>,
    /// Ends it early when set, see [`crate::stop::on_signals`].
    pub stop: &'a AtomicBool,
    /// The victims, at least one.
    pub victims: u32,
    /// Whether to change victims' scheduling classes.
    pub classes: bool,
    /// Whether to use the real-time classes too, one victim at a time, which needs root.
    pub realtime: bool,
    /// Whether to move victims between cgroups and to change weights, which needs root.
    pub cgroups: bool,
    /// Where cgroup v2 is mounted; looked up if not given.
    pub cgroup_root: Option<PathBuf>,
    /// Whether to take CPUs offline and online, which needs root. Never CPU 0. Everything on the
    /// machine notices this, so it must be asked for.
    pub hotplug: bool,
    /// Where the CPUs' directories are.
    pub cpu_root: PathBuf,
}

impl Default for ChaosOptions<'_> {
    /// Seed 1, 10 s, 6 victims, everything but hotplug.
    fn default() -> Self {
        Self {
            seed: 1,
            duration: Duration::from_secs(10),
            calibration: None,
            salt: None,
            stop: &NEVER,
            victims: 6,
            classes: true,
            realtime: true,
            cgroups: true,
            cgroup_root: None,
            hotplug: false,
            cpu_root: PathBuf::from("/sys/devices/system/cpu"),
        }
    }
}

/// What the threads of one run share.
struct Scene<'a> {
    options: &'a ChaosOptions<'a>,
    calibration: Calibration,
    cpus: Vec<usize>,
    tallies: Tallies,
    /// Thread ids of witnesses that may be restricted to some CPUs like a victim.
    movable: Mutex<Vec<i32>>,
    /// Ends the disturbances.
    calm: AtomicBool,
    /// Ends the witnesses, later: they must see the end of the last disturbance.
    end: AtomicBool,
    start_ns: u64,
}

/// Disturbs for the given time, or until stopped, and reports. Then all is as before: children
/// reaped, cgroups removed, CPUs back.
///
/// # Errors
/// When the kernel refuses a victim or a witness. Refused disturbances are no errors.
pub fn chaos(options: &ChaosOptions<'_>) -> Result<ChaosReport, Error> {
    let scene = Scene {
        options,
        calibration: options.calibration.unwrap_or_else(Calibration::measure),
        cpus: sched::allowed_cpus(),
        tallies: Tallies::default(),
        movable: Mutex::default(),
        calm: AtomicBool::new(false),
        end: AtomicBool::new(false),
        start_ns: clock::now_ns(),
    };
    let mut notes = Vec::new();
    let cgroups = enabled(options.cgroups, "cgroups", &mut notes, || {
        Cgroups::create(options.cgroup_root.as_deref(), PART, &cgroups::CHILDREN)
    });
    let mut hotplug = enabled(options.hotplug, "hotplug", &mut notes, || {
        Hotplug::find(&options.cpu_root)
    });
    if cgroups.as_ref().is_some_and(|made| !made.has_weights()) {
        notes.push("no cgroup weights: the cpu controller is not to be had".to_owned());
    }
    let victims = victims::spawn(&scene)?;
    let pids: Vec<i32> = victims.iter().map(|victim| victim.pid()).collect();
    let testimonies =
        thread::scope(|scope| perform(scope, &scene, &pids, cgroups.as_ref(), hotplug.as_mut()));
    // Victims first, so that their cgroups are empty.
    drop(victims);
    notes.extend(cgroups.and_then(Cgroups::remove));
    notes.extend(hotplug.and_then(Hotplug::restore));
    let testimonies = testimonies?;
    let wall_s = seconds(clock::now_ns() - scene.start_ns);
    Ok(compile(&scene, testimonies, wall_s, notes))
}

/// Makes a means of disturbance, or notes why there is none.
fn enabled<T>(
    wanted: bool,
    name: &str,
    notes: &mut Vec<String>,
    make: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let made = if wanted {
        make()
    } else {
        Err("not asked for".to_owned())
    };
    made.map_err(|reason| notes.push(format!("no {name}: {reason}")))
        .ok()
}

/// Runs witnesses and disturbers for the given time.
fn perform<'scope>(
    scope: &'scope Scope<'scope, '_>,
    scene: &'scope Scene<'_>,
    pids: &'scope [i32],
    cgroups: Option<&'scope Cgroups>,
    hotplug: Option<&'scope mut Hotplug>,
) -> Result<Vec<Testimony>, Error> {
    let witnesses = Duty::all(&scene.cpus)
        .map(|duty| spawn(scope, scene, "witness", move || witness::watch(scene, duty)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut disturbers = vec![
        spawn(scope, scene, "affinity", || {
            disturb::affinities(scene, pids);
        })?,
        spawn(scope, scene, "nice", || disturb::nice_values(scene, pids))?,
        spawn(scope, scene, "forks", || victims::storms(scene))?,
    ];
    if scene.options.classes {
        disturbers.push(spawn(scope, scene, "classes", || {
            disturb::classes(scene, pids);
        })?);
    }
    if let Some(made) = cgroups {
        disturbers.push(spawn(scope, scene, "cgroups", || {
            cgroups::shuffle(made, scene, pids);
        })?);
    }
    if let Some(hotplug) = hotplug {
        disturbers.push(spawn(scope, scene, "hotplug", || hotplug.toggle(scene))?);
    }
    let end_ns = scene.start_ns + scene.options.duration.as_nanos() as u64;
    while clock::now_ns() < end_ns && !scene.options.stop.load(Ordering::Relaxed) {
        let left_ns = end_ns.saturating_sub(clock::now_ns());
        clock::sleep(LOOK_INTERVAL.min(Duration::from_nanos(left_ns)));
    }
    scene.calm.store(true, Ordering::Relaxed);
    let disturbed: Vec<_> = disturbers.into_iter().map(ScopedJoinHandle::join).collect();
    scene.end.store(true, Ordering::Relaxed);
    if disturbed.iter().any(Result::is_err) {
        return Err(Error::worker(PART, "a disturber died"));
    }
    let testimonies = witnesses.into_iter().map(|witness| witness.join());
    testimonies
        .map(|testimony| testimony.map_err(|_| Error::worker(PART, "a witness died")))
        .collect()
}

/// A thread of this run. If there can be none, all others are told to end.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    scene: &Scene<'_>,
    role: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let name = names::task_name(role, scene.options.salt.as_deref());
    thread::Builder::new()
        .name(name)
        .spawn_scoped(scope, work)
        .map_err(|error| {
            scene.calm.store(true, Ordering::Relaxed);
            scene.end.store(true, Ordering::Relaxed);
            Error::os(PART, "thread", TOO_MANY_TASKS)(error)
        })
}

impl Scene<'_> {
    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// The random sequence of one disturber.
    fn random(&self, disturber: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.options.seed.wrapping_mul(31).wrapping_add(disturber))
    }

    /// Waits this long, or until calm.
    fn pause(&self, duration: Duration) {
        let end_ns = clock::now_ns() + duration.as_nanos() as u64;
        while !self.is_calm() && clock::now_ns() < end_ns {
            let left_ns = end_ns.saturating_sub(clock::now_ns());
            clock::sleep(LOOK_INTERVAL.min(Duration::from_nanos(left_ns)));
        }
    }
}

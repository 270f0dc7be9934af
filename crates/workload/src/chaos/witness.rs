//! Tasks that measure how long they are made to wait.

use super::Scene;
use crate::histogram::Durations;
use crate::real::spinner;
use crate::sys::{clock, sched};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// How many spin and how many sleep, beside one pinned to each CPU.
const SPINNING: usize = 2;
const SLEEPING: usize = 2;
/// A pinned witness looks after its pinning once in so many chunks of work, about 50 ms: the
/// kernel drops a pinning when the CPU goes offline.
const CHUNKS_PER_PINNING: u32 = 512;

/// What a witness does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    Spin,
    SpinOn(usize),
    Sleep,
}

/// What a witness saw.
pub(super) struct Testimony {
    pub(super) duty: Duty,
    pub(super) waits: Durations,
    /// When the longest one ended.
    pub(super) max_at_ns: u64,
    /// What a hypervisor took.
    pub(super) stolen_ns: u64,
}

impl Duty {
    pub(super) fn all(cpus: &[usize]) -> impl Iterator<Item = Self> {
        let spinning = std::iter::repeat_n(Self::Spin, SPINNING);
        let sleeping = std::iter::repeat_n(Self::Sleep, SLEEPING);
        spinning
            .chain(cpus.iter().map(|&cpu| Self::SpinOn(cpu)))
            .chain(sleeping)
    }
}

/// Watches until the end.
pub(super) fn watch(scene: &Scene<'_>, duty: Duty) -> Testimony {
    match duty {
        Duty::Spin => {
            enrol(scene);
            spin(scene, duty, || {})
        }
        Duty::SpinOn(cpu) => {
            let mut chunks = 0;
            spin(scene, duty, || {
                if chunks % CHUNKS_PER_PINNING == 0 && (chunks == 0 || scene.options.hotplug) {
                    // Refused while the CPU is offline; the next look pins again.
                    let _ = sched::set_affinity(0, &[cpu]);
                }
                chunks = chunks.wrapping_add(1);
            })
        }
        Duty::Sleep => {
            enrol(scene);
            sleep(scene)
        }
    }
}

fn enrol(scene: &Scene<'_>) {
    let mut movable = scene.movable.lock().unwrap_or_else(PoisonError::into_inner);
    movable.push(sched::thread_id());
}

fn spin(scene: &Scene<'_>, duty: Duty, each: impl FnMut()) -> Testimony {
    let found = spinner::spin(clock::now_ns(), &scene.calibration, &scene.end, each);
    Testimony {
        duty,
        waits: found.gaps,
        max_at_ns: found.max_at_ns,
        stolen_ns: found.stolen_ns,
    }
}

fn sleep(scene: &Scene<'_>) -> Testimony {
    let mut random = fastrand::Rng::with_seed(scene.options.seed);
    let mut testimony = Testimony {
        duty: Duty::Sleep,
        waits: Durations::new(),
        max_at_ns: 0,
        stolen_ns: 0,
    };
    let mut max_ns = 0;
    while !scene.end.load(Ordering::Relaxed) {
        let wake_ns = clock::now_ns() + random.u64(1_000_000..=8_000_000);
        clock::sleep_until_ns(wake_ns);
        let now_ns = clock::now_ns();
        let late_ns = now_ns.saturating_sub(wake_ns);
        testimony.waits.record_ns(late_ns);
        if late_ns > max_ns {
            max_ns = late_ns;
            testimony.max_at_ns = now_ns;
        }
    }
    testimony
}

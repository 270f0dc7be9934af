//! Processes that are disturbed, and storms of short-lived ones.
//!
//! They live in forked processes and so must not allocate or lock, see [`Child::fork`].

use super::tally::Disturbance;
use super::{PART, Scene};
use crate::calibration::{Calibration, compute};
use crate::error::{Error, TOO_MANY_TASKS};
use crate::names;
use crate::sys::child::Child;
use crate::sys::{clock, sched};
use std::time::Duration;

/// The longest a victim computes at a stretch. It then sleeps at least twice as long, so that one
/// in a real-time class takes at most a third of a CPU: others wait for it, but not for ever.
const BURST_MAX_US: u64 = 5000;
/// The most children of one storm.
const STORM_MAX: usize = 24;

/// The victims; dropping them ends them.
pub(super) fn spawn(scene: &Scene<'_>) -> Result<Vec<Child>, Error> {
    let name = names::task_name_c("victim", scene.options.salt.as_deref());
    let calibration = scene.calibration;
    let victims = (0..u64::from(scene.options.victims.max(1))).map(|victim| {
        let random = scene.random(1000 + victim);
        Child::fork(&name, &[], || live(random, &calibration))
    });
    let victims: Result<Vec<_>, _> = victims.collect();
    victims.map_err(Error::os(PART, "process", TOO_MANY_TASKS))
}

/// A victim's life: computes, sleeps and yields until it is killed.
fn live(mut random: fastrand::Rng, calibration: &Calibration) -> i32 {
    loop {
        let burst_us = random.u64(50..=BURST_MAX_US);
        if random.u8(..4) == 0 {
            for _ in 0..random.u32(1..20) {
                sched::yield_now();
            }
        } else {
            compute_for(Duration::from_micros(burst_us), calibration);
        }
        clock::sleep(Duration::from_micros(
            2 * burst_us + random.u64(50..=BURST_MAX_US),
        ));
    }
}

/// Computes for this long by the clock on the wall, so that a wait for a CPU shortens it.
fn compute_for(duration: Duration, calibration: &Calibration) {
    let end_ns = clock::now_ns() + duration.as_nanos() as u64;
    while clock::now_ns() < end_ns {
        compute(calibration.units(50_000.0));
    }
}

/// Starts many children at once, which soon end, and waits for them; over and over.
pub(super) fn storms(scene: &Scene<'_>) {
    let mut random = scene.random(1);
    let name = names::task_name_c("storm", scene.options.salt.as_deref());
    let calibration = scene.calibration;
    let mut children = Vec::with_capacity(STORM_MAX);
    while !scene.is_calm() {
        for _ in 0..random.usize(1..=STORM_MAX) {
            let (life, duration) = (random.u8(..3), Duration::from_micros(random.u64(..1000)));
            let child = Child::fork(&name, &[], || {
                match life {
                    0 => {}
                    1 => compute_for(duration, &calibration),
                    _ => clock::sleep(duration),
                }
                0
            });
            match child {
                Ok(child) => {
                    children.push(child);
                    scene.tallies.count(Disturbance::Fork, &Ok(()));
                }
                Err(error) => scene.tallies.count(Disturbance::Fork, &Err(error)),
            }
        }
        for child in &mut children {
            // Whoever cannot be waited for is killed and reaped by its drop.
            let _ = child.wait();
        }
        children.clear();
        scene.pause(Duration::from_millis(random.u64(5..60)));
    }
}

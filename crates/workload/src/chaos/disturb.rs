//! Changes where, how much and in which class tasks may run.
//!
//! A witness that waits must never do so by right. Therefore at most one victim at a time is in a
//! real-time class and one has a negative nice value, and each computes for at most a third of the
//! time: wherever they meet, a third of that CPU is left.

use super::Scene;
use super::tally::Disturbance;
use crate::sys::sched::{self, Class};
use std::sync::PoisonError;
use std::time::Duration;

/// Restricts victims and witnesses to random sets of CPUs.
pub(super) fn affinities(scene: &Scene<'_>, pids: &[i32]) {
    let mut random = scene.random(2);
    let mut mask = Vec::with_capacity(scene.cpus.len());
    while !scene.is_calm() {
        let target = {
            let movable = scene.movable.lock().unwrap_or_else(PoisonError::into_inner);
            let choice = random.usize(..pids.len() + movable.len());
            pids.get(choice)
                .copied()
                .unwrap_or_else(|| movable[choice - pids.len()])
        };
        mask.clear();
        mask.extend(scene.cpus.iter().copied().filter(|_| random.bool()));
        if mask.is_empty() {
            mask.push(scene.cpus[random.usize(..scene.cpus.len())]);
        }
        let result = sched::set_affinity(target, &mask);
        scene.tallies.count(Disturbance::Affinity, &result);
        scene.pause(Duration::from_micros(random.u64(500..10_000)));
    }
    // Whoever is witness to the end may run anywhere again.
    for &witness in scene
        .movable
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        // Refused only if none of these CPUs is online.
        let _ = sched::set_affinity(witness, &scene.cpus);
    }
}

/// Gives victims random nice values, a negative one to one victim at a time.
pub(super) fn nice_values(scene: &Scene<'_>, pids: &[i32]) {
    let mut random = scene.random(3);
    let mut favoured: Option<i32> = None;
    while !scene.is_calm() {
        let victim = pids[random.usize(..pids.len())];
        let nice = random.i32(-20..=19);
        if let Some(former) = favoured.take_if(|former| nice < 0 || *former == victim) {
            scene
                .tallies
                .count(Disturbance::Nice, &sched::set_nice(former, 0));
        }
        let result = sched::set_nice(victim, nice);
        if nice < 0 && result.is_ok() {
            favoured = Some(victim);
        }
        scene.tallies.count(Disturbance::Nice, &result);
        scene.pause(Duration::from_micros(random.u64(500..10_000)));
    }
}

const CLASSES: [(Class, Disturbance); 6] = [
    (Class::Other, Disturbance::ClassOther),
    (Class::Batch, Disturbance::ClassBatch),
    (Class::Idle, Disturbance::ClassIdle),
    (Class::Ext, Disturbance::ClassExt),
    (Class::Fifo, Disturbance::ClassFifo),
    (Class::RoundRobin, Disturbance::ClassRoundRobin),
];
/// How many of these are not real-time classes.
const ORDINARY: usize = 4;

/// Puts victims into random classes, into a real-time one only one victim at a time.
pub(super) fn classes(scene: &Scene<'_>, pids: &[i32]) {
    let mut random = scene.random(4);
    let mut realtime: Option<i32> = None;
    let choices = if scene.options.realtime {
        CLASSES.len()
    } else {
        ORDINARY
    };
    while !scene.is_calm() {
        let victim = pids[random.usize(..pids.len())];
        let choice = random.usize(..choices);
        let (class, disturbance) = CLASSES[choice];
        let is_realtime = choice >= ORDINARY;
        if let Some(former) = realtime.take_if(|former| is_realtime || *former == victim) {
            let result = sched::set_class(former, Class::Other, 0);
            scene.tallies.count(Disturbance::ClassOther, &result);
        }
        let priority = if is_realtime { random.i32(1..=50) } else { 0 };
        let result = sched::set_class(victim, class, priority);
        if is_realtime && result.is_ok() {
            realtime = Some(victim);
        }
        scene.tallies.count(disturbance, &result);
        scene.pause(Duration::from_micros(random.u64(500..15_000)));
    }
}

//! Moves victims between cgroups and changes the cgroups' weights.

use super::Scene;
use super::tally::Disturbance;
use crate::cgroups::Cgroups;
use std::time::Duration;

/// The cgroups that victims are moved between.
pub(super) const CHILDREN: [&str; 4] = ["0", "1", "2", "3"];
/// The default, which is also the witnesses' own: above it they would wait by right.
const WEIGHT_MAX: u32 = 100;

/// Moves victims and changes weights, until calm.
pub(super) fn shuffle(cgroups: &Cgroups, scene: &Scene<'_>, pids: &[i32]) {
    let mut random = scene.random(6);
    let count = |disturbance, result| scene.tallies.count(disturbance, &result);
    while !scene.is_calm() {
        let victim = pids[random.usize(..pids.len())];
        let child = random.usize(..CHILDREN.len());
        match random.u8(..8) {
            0..4 => count(Disturbance::CgroupMove, cgroups.enter(child, victim)),
            4 => count(Disturbance::CgroupMove, cgroups.send_home(victim)),
            5 => {
                let brief = cgroups.brief();
                let visits = brief.as_ref().map(|brief| brief.visit(victim));
                for moved in visits.into_iter().flatten() {
                    count(Disturbance::CgroupMove, moved);
                }
                count(Disturbance::CgroupCreate, brief.map(drop));
            }
            _ if cgroups.has_weights() => {
                let weight = random.u32(1..=WEIGHT_MAX);
                count(Disturbance::CgroupWeight, cgroups.set_weight(child, weight));
            }
            _ => {}
        }
        scene.pause(Duration::from_micros(random.u64(1000..15_000)));
    }
}

//! How often each disturbance was done, and how often the kernel refused it.

use super::report::Disturbed;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    Fork,
    Affinity,
    Nice,
    ClassOther,
    ClassBatch,
    ClassIdle,
    ClassFifo,
    ClassRoundRobin,
    ClassExt,
    CgroupCreate,
    CgroupMove,
    CgroupWeight,
    CpuOffline,
    CpuOnline,
}

const NAMES: [&str; 14] = [
    "fork",
    "affinity",
    "nice",
    "class_other",
    "class_batch",
    "class_idle",
    "class_fifo",
    "class_rr",
    "class_ext",
    "cgroup_create",
    "cgroup_move",
    "cgroup_weight",
    "cpu_offline",
    "cpu_online",
];

/// The tallies of one run.
#[derive(Default)]
pub(super) struct Tallies {
    tallies: [Tally; NAMES.len()],
}

#[derive(Default)]
struct Tally {
    done: AtomicU64,
    refused: AtomicU64,
    first_refusal: Mutex<Option<String>>,
}

impl Tallies {
    pub(super) fn count(&self, disturbance: Disturbance, result: &io::Result<()>) {
        let tally = &self.tallies[disturbance as usize];
        match result {
            Ok(()) => {
                tally.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
                let mut first = tally
                    .first_refusal
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// All kinds, also those that did not occur.
    pub(super) fn compile(&self) -> Vec<Disturbed> {
        let named = NAMES.iter().zip(&self.tallies);
        named
            .map(|(name, tally)| Disturbed {
                name: (*name).to_owned(),
                done: tally.done.load(Ordering::Relaxed),
                refused: tally.refused.load(Ordering::Relaxed),
                refusal: tally
                    .first_refusal
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_name_and_counts() {
        assert_eq!(NAMES[Disturbance::CpuOnline as usize], "cpu_online");
        let tallies = Tallies::default();
        tallies.count(Disturbance::Nice, &Ok(()));
        tallies.count(Disturbance::Nice, &Err(io::Error::other("first")));
        tallies.count(Disturbance::Nice, &Err(io::Error::other("second")));
        let found = tallies.compile();
        let nice = found
            .iter()
            .find(|disturbed| disturbed.name == "nice")
            .unwrap();
        assert_eq!((nice.done, nice.refused), (1, 2));
        assert_eq!(nice.refusal.as_deref(), Some("first"));
    }
}

//! [`Hogs`]: tasks that compute and never sleep.

use baton_workload::{Better, Hogs, PartReport, millis, names, seconds};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Spawn, Stage, Step};

const WORKING_SET_KIB: u32 = 256;

struct Hog;

impl Actor for Hog {
    fn step(&mut self, _: &mut Stage) -> Step {
        Step::Compute(u64::MAX)
    }

    fn burst_ns(&self) -> u64 {
        u64::MAX
    }
}

/// A task that computes for ever.
pub(super) fn spawn(name: &str, part: u32) -> Spawn {
    Spawn::new(name, part, Hog).working_set_kib(WORKING_SET_KIB)
}

/// The hogs that were started.
pub(super) struct Herd;

pub(super) fn install(hogs: &Hogs, stage: &mut Stage, setting: &Setting) -> Herd {
    for _ in 0..hogs.count.on(setting.cpus) {
        stage.spawn(spawn(names::HOG, setting.part));
    }
    Herd
}

impl Played for Herd {
    fn report(&self, _: &Stage, view: &PartView) -> PartReport {
        let mut report = PartReport::new("hogs");
        // The real hogs count units of calibration; here a unit is a nanosecond's work.
        let per_second = view.worked_ns as f64 / seconds(view.end_ns.max(1));
        report.metric("work_per_s", "units/s", per_second, Better::Higher);
        report.metric("max_gap_ms", "ms", millis(view.wait_max_ns), Better::Lower);
        report
    }
}

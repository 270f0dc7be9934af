//! What a report shows of one run under each variant, simulated: such a run can be had again, exactly
//! as it was, this time with a trace.

use std::sync::atomic::{AtomicBool, Ordering};

use baton_sim::simulate;

use super::{recorder::LENGTH_NS, sim::prepared};
use crate::{
    Experiment,
    experiment::Backend,
    judge::{Judgement, Scale},
    report::{Timeline, Window},
    results::{Results, Status},
};

/// A piece of the first round of the workload on which the variants differ most, under each of them;
/// A/A checks are left out. None where the backend is not the simulator, which has
/// [`record`](super::record), and no more once `stop` is set: they take as long as the runs did.
#[must_use]
pub fn timelines(
    experiment: &Experiment,
    results: &Results,
    judgement: &Judgement,
    stop: &AtomicBool,
) -> Vec<Timeline> {
    if experiment.backend != Backend::Sim {
        return Vec::new();
    }
    let Some(workload) = most_different(experiment, judgement) else {
        return Vec::new();
    };
    let name = &experiment.workloads[workload].name;
    let begin_ns = middle_ns(results, name).saturating_sub(LENGTH_NS / 2);
    let window = Window {
        begin_ns,
        length_ns: LENGTH_NS,
    };
    let variants = experiment.variants.iter().enumerate();
    let shown = variants.filter(|(_, variant)| variant.same_as.is_none());
    shown
        .take_while(|_| !stop.load(Ordering::Relaxed))
        .filter_map(|(index, variant)| {
            let run = &experiment.workloads[workload].run;
            let seed = experiment.shape().run_seed(0);
            let (scheduler, config) = prepared(experiment, index, run, seed).ok()?;
            let trace = simulate(scheduler, &config, true).ok()?.trace?;
            let made = Timeline::of(trace.events(), trace.cpus(), window);
            Some(made.named(&variant.name, name, 0))
        })
        .collect()
}

/// The workload whose primary metric has the largest ratio, in either direction; else the first.
pub(super) fn most_different(experiment: &Experiment, judgement: &Judgement) -> Option<usize> {
    let size = |workload: &str| {
        let cells = judgement.cells.iter();
        let of_it = cells.filter(|cell| cell.primary && cell.workload == workload);
        let effects = of_it.filter_map(|cell| cell.effect);
        let ratios = effects.filter(|effect| effect.scale == Scale::Ratio);
        ratios.map(|effect| effect.size()).fold(1.0, f64::max)
    };
    let workloads = experiment.workloads.iter().enumerate();
    let sizes = workloads.map(|(index, work)| (index, size(&work.name)));
    // Of equal ones the first.
    let most = sizes.reduce(|most, other| if other.1 > most.1 { other } else { most });
    most.map(|(index, _)| index)
}

/// The middle of the workload's shortest run, so that all variants are still at work.
fn middle_ns(results: &Results, workload: &str) -> u64 {
    let runs = results.runs.iter();
    let well = runs.filter(|run| run.workload == workload && run.status == Status::Ok);
    let shortest_s = well.map(|run| run.wall_s).reduce(f64::min).unwrap_or(0.0);
    (shortest_s / 2.0 * 1e9) as u64
}

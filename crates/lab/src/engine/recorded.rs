//! Each variant run once more, recorded, for the timelines of a report. That comes after all that is
//! measured, and what goes wrong in it is only told: no run depends on it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use super::{
    Assignment, Backend, Ended, Error, Recording, Seen, Told,
    drive::{DEATHS_MAX, check_kernel},
    timelines::most_different,
};
use crate::{
    Experiment,
    experiment::Backend as Kind,
    journal::{Journal, Line},
    judge::Judgement,
    plan::Cell,
    report::Timeline,
    results::{Results, Status},
};

const LATE: &str = "no time is left of the experiment's limit, total_s";

/// Has those runs recorded that the journal has not, of the workload on which the variants differ most:
/// one under each variant that came to its end there, A/A checks left out. What came of each is written
/// down, and it is not made again. `see` is told what happens.
///
/// Returns how it ended, and what kept it from going on, if something did.
///
/// The simulator records nothing: its runs can be had again, see [`timelines`](super::timelines).
pub fn record(
    experiment: &Experiment,
    assignment: &Assignment,
    journal: &mut Journal,
    judged: (&Results, &Judgement),
    backend: &mut dyn Backend,
    stop: &AtomicBool,
    see: &mut dyn FnMut(Seen<'_>),
) -> (Ended, Option<String>) {
    let begin = Instant::now();
    let before_s = journal.wall_s();
    let cells = assignment.shape.cells();
    let wanted = wanted(experiment, &cells, journal, judged);
    let mut deaths = Vec::new();
    loop {
        let todo = left(&wanted, journal);
        let Some(&first) = todo.first() else {
            return (Ended::Done, None);
        };
        if stop.load(Ordering::Relaxed) {
            return (Ended::Stopped, None);
        }
        let spent_s = before_s + begin.elapsed().as_secs_f64();
        let left_s = assignment.total_left_s.map(|total_s| total_s - spent_s);
        if left_s.is_some_and(|left_s| left_s <= 0.0) {
            return (Ended::Limit, Some(LATE.to_owned()));
        }
        let mut scribe = Scribe {
            journal: &mut *journal,
            assignment,
            cells: &cells,
            todo: &todo,
            under_way: None,
            see: &mut *see,
        };
        let stretch = stretch(assignment, scribe.journal, &todo, left_s);
        let ended = backend.make(&[], &stretch, &mut |told| scribe.write(told));
        let under_way = scribe.under_way;
        let went_on = left(&wanted, journal).first() != Some(&first);
        let problem = match ended {
            Ok(Ended::Done) if went_on => continue,
            Ok(Ended::Done) => "the guest ended and told of none".to_owned(),
            Ok(Ended::Limit) => return (Ended::Limit, Some(LATE.to_owned())),
            Ok(Ended::Stopped) => return (Ended::Stopped, None),
            Ok(Ended::Died(why)) => {
                see(Seen::Died(&why));
                match (under_way, format!("the guest died: {why}")) {
                    // Only a run that began is to blame.
                    (None, problem) => problem,
                    (Some(position), problem) => {
                        deaths.push(position);
                        match give_up(journal, &deaths, position, problem) {
                            Ok(()) => continue,
                            Err(error) => error.to_string(),
                        }
                    }
                }
            }
            Err(error) => error.to_string(),
        };
        return (Ended::Done, Some(problem));
    }
}

/// What a backend is told.
fn stretch(
    assignment: &Assignment,
    journal: &Journal,
    todo: &[usize],
    left_s: Option<f64>,
) -> Assignment {
    Assignment {
        from: 0,
        to: 0,
        recordings: todo.to_vec(),
        // A machine that was just booted is warmed, if it was for the others.
        warmup: assignment.warmup.min(1),
        total_left_s: left_s,
        calibration: journal.boots().find_map(|booted| booted.calibration),
        ..assignment.clone()
    }
}

/// Writes down that a recording came to nothing, if the guest died in it too often.
fn give_up(
    journal: &mut Journal,
    deaths: &[usize],
    position: usize,
    problem: String,
) -> Result<(), Error> {
    if deaths.iter().filter(|died| **died == position).count() >= DEATHS_MAX {
        let timeline = Err(problem);
        journal.add(Line::Timeline(Box::new(Recording { position, timeline })))?;
    }
    Ok(())
}

/// The timelines that the journal has, in the order of the variants.
#[must_use]
pub fn recorded_timelines(assignment: &Assignment, journal: &Journal) -> Vec<Timeline> {
    let made = of_plan(assignment, journal).filter_map(|(cell, recording)| {
        let timeline = recording.timeline.clone().ok()?;
        let (variant, workload) = names(assignment, &cell);
        let mut timeline = timeline.named(variant, workload, cell.round);
        timeline.recorded = true;
        Some((cell.variant, timeline))
    });
    let mut made: Vec<(usize, Timeline)> = made.collect();
    made.sort_by_key(|(variant, _)| *variant);
    made.into_iter().map(|(_, timeline)| timeline).collect()
}

/// Of each variant whose recording was tried and came to nothing, a sentence that says why.
#[must_use]
pub fn missing_timelines(assignment: &Assignment, journal: &Journal) -> Vec<String> {
    let missing = of_plan(assignment, journal).filter_map(|(cell, recording)| {
        let why = recording.timeline.as_ref().err()?;
        let (variant, workload) = names(assignment, &cell);
        Some(format!(
            "the report has no timeline of {variant}, {workload}: {why}"
        ))
    });
    missing.collect()
}

fn of_plan<'a>(
    assignment: &Assignment,
    journal: &'a Journal,
) -> impl Iterator<Item = (Cell, &'a Recording)> {
    let cells = assignment.shape.cells();
    let recordings = journal.recordings();
    recordings.filter_map(move |recording| Some((*cells.get(recording.position)?, recording)))
}

fn names<'a>(assignment: &'a Assignment, cell: &Cell) -> (&'a str, &'a str) {
    let variant = &assignment.variants[cell.variant];
    (variant, &assignment.workloads[cell.workload])
}

/// The places of the runs of the first round that are to be recorded, in the order of the variants.
fn wanted(
    experiment: &Experiment,
    cells: &[Cell],
    journal: &Journal,
    (results, judgement): (&Results, &Judgement),
) -> Vec<usize> {
    // All timelines are of one workload: that of those that are there.
    let known = journal.recordings().next();
    let known = known.and_then(|recording| Some(cells.get(recording.position)?.workload));
    let workload = known.or_else(|| most_different(experiment, judgement));
    let (Some(workload), true) = (workload, experiment.backend != Kind::Sim) else {
        return Vec::new();
    };
    let name = &experiment.workloads[workload].name;
    let comes_to_its_end = |variant: &str| {
        let mut runs = results.runs.iter();
        runs.any(|run| run.workload == *name && run.variant == variant && run.status == Status::Ok)
    };
    let variants = experiment.variants.iter().enumerate();
    let shown = variants
        .filter(|(_, variant)| variant.same_as.is_none() && comes_to_its_end(&variant.name));
    let place = |variant| {
        let mut places = cells.iter();
        places.position(|cell| {
            cell.round == 0 && cell.variant == variant && cell.workload == workload
        })
    };
    shown.filter_map(|(variant, _)| place(variant)).collect()
}

/// Those that were not tried.
fn left(wanted: &[usize], journal: &Journal) -> Vec<usize> {
    let tried = |place: &usize| {
        let mut recordings = journal.recordings();
        recordings.any(|recording| recording.position == *place)
    };
    let left = wanted.iter().copied().filter(|place| !tried(place));
    left.collect()
}

/// Writes what a backend says into the journal.
struct Scribe<'a> {
    journal: &'a mut Journal,
    assignment: &'a Assignment,
    cells: &'a [Cell],
    todo: &'a [usize],
    under_way: Option<usize>,
    see: &'a mut dyn FnMut(Seen<'_>),
}

impl Scribe<'_> {
    fn write(&mut self, told: Told) -> Result<(), Error> {
        match told {
            // No run is of this boot: it is not written down.
            Told::Boot(booted) => {
                check_kernel(self.journal, &booted)?;
                (self.see)(Seen::Boot(&booted));
            }
            Told::Warming { workload } => {
                let name = self.assignment.workloads.get(workload);
                (self.see)(Seen::Warming(name.map_or("", String::as_str)));
            }
            Told::Recording(position) => {
                let cell = self.asked_for(position)?;
                self.under_way = Some(position);
                (self.see)(Seen::Recording(cell));
            }
            Told::Recorded(recording) => {
                self.asked_for(recording.position)?;
                self.under_way = None;
                self.journal.add(Line::Timeline(recording))?;
            }
            Told::Limit => {}
            Told::Begin(_) | Told::Run(_) => {
                return Err(Error::Guest("makes runs that it was not asked for".into()));
            }
        }
        Ok(())
    }

    fn asked_for(&self, position: usize) -> Result<Cell, Error> {
        let cell = self.cells.get(position).copied();
        cell.filter(|_| self.todo.contains(&position))
            .ok_or_else(|| Error::Guest("records a run that it was not asked for".into()))
    }
}

#[cfg(test)]
#[path = "recorded_tests.rs"]
mod tests;

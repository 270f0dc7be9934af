//! Goes through the plan: what is to be made next, what is written of it, and when a run or all of them
//! are given up.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use super::{Assignment, Backend, Ended, Error, Outcome, Seen, Told};
use crate::{
    journal::{Booted, Journal, Line, Made},
    plan::Cell,
    results::{Run, Status},
};

/// A run in which the guest dies so often is given up.
pub(super) const DEATHS_MAX: usize = 2;
/// And all, when it does so as often before any run begins.
const IDLE_DEATHS_MAX: u32 = 4;

/// Makes the runs that the journal has not, and writes each down. `see` is told what happens.
///
/// # Errors
/// What keeps the experiment from going on. What was made before is in the journal.
pub fn run(
    assignment: &Assignment,
    journal: &mut Journal,
    backend: &mut dyn Backend,
    stop: &AtomicBool,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<Ended, Error> {
    let begin = Instant::now();
    journal.check(assignment)?;
    let cells = assignment.shape.cells();
    let before_s = journal.wall_s();
    let mut idle_deaths = 0;
    loop {
        let todo = todo(&cells, journal, backend.is_free());
        let Some(&first) = todo.first() else {
            return Ok(Ended::Done);
        };
        if stop.load(Ordering::Relaxed) {
            return Ok(Ended::Stopped);
        }
        let spent_s = before_s + begin.elapsed().as_secs_f64();
        let left_s = assignment.total_left_s.map(|total_s| total_s - spent_s);
        if left_s.is_some_and(|left_s| left_s <= 0.0) {
            return Ok(Ended::Limit);
        }
        let stretch = Assignment {
            from: first,
            to: todo.last().map_or(first, |last| last + 1),
            total_left_s: left_s,
            calibration: journal.boots().find_map(|booted| booted.calibration),
            ..assignment.clone()
        };
        let (mut began, mut under_way) = (false, None);
        let made_before = journal.made_count();
        let mut scribe = Scribe {
            journal: &mut *journal,
            cells: &cells,
            assignment,
            free: backend.is_free(),
            begin,
            see: &mut *see,
        };
        let ended = backend.make(&todo, &stretch, &mut |told| {
            match told {
                Told::Begin(position) => (began, under_way) = (true, Some(position)),
                Told::Run(_) => under_way = None,
                _ => {}
            }
            scribe.write(told)
        })?;
        let why = match ended {
            // What it said of its runs was lost on the way. They would be lost for ever.
            Ended::Done if journal.made_count() == made_before => {
                "it ended and told of no run".to_owned()
            }
            Ended::Done => continue,
            Ended::Died(why) => why,
            Ended::Limit if journal.made_count() == cells.len() => return Ok(Ended::Done),
            ended => return Ok(ended),
        };
        see(Seen::Died(&why));
        journal.add(Line::Died(under_way.unwrap_or(first)))?;
        idle_deaths = if began { 0 } else { idle_deaths + 1 };
        if idle_deaths >= IDLE_DEATHS_MAX {
            return Err(Error::Guest(format!("dies again and again: {why}")));
        }
        // Only a run that began, and did not come to its end, is to blame.
        if let Some(position) = under_way
            && journal.deaths(position) >= DEATHS_MAX
        {
            let run = assignment.failed(
                &cells[position],
                Status::Failed,
                format!("the guest died {DEATHS_MAX} times: {why}"),
            );
            give_up(journal, position, run, begin)?;
        }
    }
}

/// Writes down that a run came to nothing.
fn give_up(
    journal: &mut Journal,
    position: usize,
    mut run: Run,
    begin: Instant,
) -> Result<(), Error> {
    run.boot = last_boot(journal);
    journal.add(Line::Run(Box::new(Made {
        position,
        at_s: begin.elapsed().as_secs_f64(),
        run,
        metrics: Vec::new(),
    })))?;
    Ok(())
}

/// The boot that is under way, from 0.
fn last_boot(journal: &Journal) -> u32 {
    let boots = journal.boots().count();
    u32::try_from(boots.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// The places that are to be made next: those of one boot up to the first that was made, or all.
fn todo(cells: &[Cell], journal: &Journal, free: bool) -> Vec<usize> {
    let left = (0..cells.len()).filter(|&place| !journal.has_made(place));
    if free {
        return left.collect();
    }
    let mut stretch: Vec<usize> = Vec::new();
    for place in left {
        let goes_on = stretch
            .last()
            .is_none_or(|&last| place == last + 1 && cells[place].boot == cells[stretch[0]].boot);
        if !goes_on {
            break;
        }
        stretch.push(place);
    }
    stretch
}

/// Writes what a backend says into the journal.
struct Scribe<'a> {
    journal: &'a mut Journal,
    cells: &'a [Cell],
    assignment: &'a Assignment,
    free: bool,
    begin: Instant,
    see: &'a mut dyn FnMut(Seen<'_>),
}

impl Scribe<'_> {
    fn write(&mut self, told: Told) -> Result<(), Error> {
        match told {
            Told::Boot(booted) => {
                check_kernel(self.journal, &booted)?;
                (self.see)(Seen::Boot(&booted));
                // Of a simulated machine one line says all.
                if !self.free || self.journal.boots().next().is_none() {
                    self.journal.add(Line::Boot(booted))?;
                }
            }
            Told::Warming { workload } => {
                let name = self
                    .assignment
                    .workloads
                    .get(workload)
                    .map_or("", String::as_str);
                (self.see)(Seen::Warming(name));
            }
            Told::Begin(position) => {
                let made = self.journal.made_count();
                let Some(&cell) = self.cells.get(position) else {
                    return Err(Error::Guest("names a run that is not in the plan".into()));
                };
                (self.see)(Seen::Begin { cell, made });
            }
            Told::Run(outcome) => {
                let Outcome {
                    position,
                    mut run,
                    metrics,
                } = *outcome;
                let plan = self.assignment;
                if let Some(problem) = plan.mismatch(self.cells, position, &run, &metrics) {
                    let problem = format!("names a run that is not in the plan: {problem}");
                    return Err(Error::Guest(problem));
                }
                run.boot = last_boot(self.journal);
                self.journal.add(Line::Run(Box::new(Made {
                    position,
                    at_s: self.begin.elapsed().as_secs_f64(),
                    run: run.clone(),
                    metrics,
                })))?;
                let (made, all) = (self.journal.made_count(), self.cells.len());
                (self.see)(Seen::Made {
                    run: &run,
                    made,
                    all,
                });
            }
            Told::Recording(_) | Told::Recorded(_) => {
                return Err(Error::Guest("records what it was not asked for".into()));
            }
            Told::Limit => {}
        }
        Ok(())
    }
}

/// Whether the machine has the kernel of the boots before.
pub(super) fn check_kernel(journal: &Journal, booted: &Booted) -> Result<(), Error> {
    match journal.boots().next() {
        Some(before) if before.kernel != booted.kernel => Err(Error::Elsewhere {
            before: format!("Linux {}", before.kernel),
            now: format!("Linux {}", booted.kernel),
        }),
        _ => Ok(()),
    }
}

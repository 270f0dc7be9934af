//! Runs the programs of a build, up to so many at a time, as `make -jN` does.
//!
//! One thread starts programs, waits for any of them to end and starts the next. Links come after
//! the units of their build, and before the units of the next one, so that with several builds
//! there is always something to start.

use crate::error::{Error, TOO_MANY_TASKS};
use crate::histogram::Durations;
use crate::spec::Builds;
use crate::sys::program::Program;
use crate::sys::{clock, poll};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

/// One program of a build. Builds, and the units and links of each, are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Unit { build: u32, index: u32 },
    Link { build: u32, index: u32 },
}

/// What is built, and how a step's program is started.
pub(crate) trait Maker {
    /// The kind of the part, for errors.
    const PART: &'static str;

    /// The program of a step. `slot` is its place among those that run at a time.
    fn command(&self, step: Step, slot: usize) -> Command;

    /// What a program that failed has said.
    fn complaint(&self) -> String;

    /// Called now and then: how long to wait at most until the next call, or none to end early.
    fn look(&self) -> Option<Duration>;
}

/// What was made.
pub(crate) struct Made {
    /// When the last program ended, or when the build was ended early.
    pub(crate) end_ns: u64,
    /// From the start of each unit's program to when its end was seen.
    pub(crate) unit_times: Durations,
    /// Whether everything was made.
    pub(crate) complete: bool,
}

/// The steps in their order.
pub(crate) struct Steps {
    units: u32,
    links: u32,
    builds: Builds,
    /// The build whose units are being started, and the next of them.
    build: u32,
    unit: u32,
    /// The builds that are not done, oldest first.
    open: VecDeque<Open>,
}

/// A build that is not done.
struct Open {
    build: u32,
    units_left: u32,
    next_link: u32,
    links_left: u32,
}

struct Running {
    step: Step,
    start_ns: u64,
    program: Program,
}

/// Makes all steps, `jobs` at a time.
///
/// # Errors
/// When a program cannot be started, or fails.
pub(crate) fn make<M: Maker>(maker: &M, mut steps: Steps, jobs: usize) -> Result<Made, Error> {
    let mut slots: Vec<Option<Running>> = (0..jobs).map(|_| None).collect();
    let mut made = Made {
        end_ns: clock::now_ns(),
        unit_times: Durations::new(),
        complete: false,
    };
    loop {
        for (slot, place) in slots.iter_mut().enumerate() {
            if place.is_none() {
                let Some(step) = steps.next() else { break };
                *place = Some(start(maker, step, slot)?);
            }
        }
        if slots.iter().all(Option::is_none) {
            made.complete = true;
            return Ok(made);
        }
        let Some(limit) = maker.look() else {
            made.end_ns = clock::now_ns();
            return Ok(made);
        };
        let running = slots
            .iter()
            .flatten()
            .map(|running| running.program.as_fd());
        poll::any_readable(running, limit).map_err(lost::<M>)?;
        for place in &mut slots {
            if let Some(step) = finish::<M>(maker, place, &mut made)? {
                steps.done(step);
            }
        }
    }
}

fn start<M: Maker>(maker: &M, step: Step, slot: usize) -> Result<Running, Error> {
    let start_ns = clock::now_ns();
    let program = Program::start(&mut maker.command(step, slot));
    Ok(Running {
        step,
        start_ns,
        program: program.map_err(Error::os(M::PART, "process", TOO_MANY_TASKS))?,
    })
}

/// Takes note of a program that has ended well, and frees its place.
fn finish<M: Maker>(
    maker: &M,
    place: &mut Option<Running>,
    made: &mut Made,
) -> Result<Option<Step>, Error> {
    let Some(running) = place else {
        return Ok(None);
    };
    match running.program.try_wait().map_err(lost::<M>)? {
        None => Ok(None),
        Some(0) => {
            made.end_ns = clock::now_ns();
            if matches!(running.step, Step::Unit { .. }) {
                made.unit_times.record_ns(made.end_ns - running.start_ns);
            }
            Ok(place.take().map(|running| running.step))
        }
        Some(status) => {
            let (what, said) = (format!("a process ended with {status}"), maker.complaint());
            let told = if said.is_empty() {
                what
            } else {
                format!("{what} ({said})")
            };
            Err(Error::worker(M::PART, told))
        }
    }
}

fn lost<M: Maker>(error: std::io::Error) -> Error {
    Error::worker(M::PART, format!("a process is lost ({error})"))
}

impl Steps {
    /// The steps of builds of so many units and links each; at least one of both.
    pub(crate) fn new(units: u32, links: u32, builds: Builds) -> Self {
        Self {
            units,
            links,
            builds,
            build: 0,
            unit: 0,
            open: VecDeque::new(),
        }
    }

    /// The next step that can be started now.
    fn next(&mut self) -> Option<Step> {
        if let Some(open) = self.open.iter_mut().find(|open| open.units_left == 0)
            && open.next_link < self.links
        {
            let (build, index) = (open.build, open.next_link);
            open.next_link += 1;
            return Some(Step::Link { build, index });
        }
        if self.unit == self.units {
            self.build = self.build.wrapping_add(1);
            self.unit = 0;
        }
        let (build, index) = (self.build, self.unit);
        if self.builds == Builds::Fixed(build) {
            // Stays where it is: there is no next one.
            return None;
        }
        if index == 0 {
            self.open.push_back(Open {
                build,
                units_left: self.units,
                next_link: 0,
                links_left: self.links,
            });
        }
        self.unit += 1;
        Some(Step::Unit { build, index })
    }

    fn done(&mut self, step: Step) {
        let (Step::Unit { build, .. } | Step::Link { build, .. }) = step;
        for open in self.open.iter_mut().filter(|open| open.build == build) {
            match step {
                Step::Unit { .. } => open.units_left -= 1,
                Step::Link { .. } => open.links_left -= 1,
            }
        }
        self.open.retain(|open| open.links_left > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts steps until there is none, and tells them as text: build, then `u` or `l`, index.
    fn start_all(steps: &mut Steps) -> Vec<String> {
        let text = |step| match step {
            Step::Unit { build, index } => format!("{build}u{index}"),
            Step::Link { build, index } => format!("{build}l{index}"),
        };
        std::iter::from_fn(|| steps.next()).map(text).collect()
    }

    #[test]
    fn links_wait_for_their_units_and_the_next_units_for_nothing() {
        let mut steps = Steps::new(2, 2, Builds::Fixed(2));
        assert_eq!(start_all(&mut steps), ["0u0", "0u1", "1u0", "1u1"]);
        let unit = |build, index| Step::Unit { build, index };
        steps.done(unit(0, 1));
        assert!(start_all(&mut steps).is_empty());
        steps.done(unit(1, 0));
        steps.done(unit(1, 1));
        // The later build is complete first.
        assert_eq!(start_all(&mut steps), ["1l0", "1l1"]);
        steps.done(unit(0, 0));
        assert_eq!(start_all(&mut steps), ["0l0", "0l1"]);
        for build in [0, 1] {
            for index in [0, 1] {
                steps.done(Step::Link { build, index });
            }
        }
        assert!(steps.open.is_empty() && start_all(&mut steps).is_empty());
    }

    #[test]
    fn endless_builds_go_on() {
        let mut steps = Steps::new(1, 1, Builds::Endless);
        for build in 0..1000 {
            assert_eq!(steps.next(), Some(Step::Unit { build, index: 0 }));
            steps.done(Step::Unit { build, index: 0 });
            assert_eq!(steps.next(), Some(Step::Link { build, index: 0 }));
            steps.done(Step::Link { build, index: 0 });
        }
    }
}

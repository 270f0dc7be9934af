//! Runs [`Build`]: programs that are executed, up to so many at a time, and a link.
//!
//! The programs are this very one again, see [`crate::run_if_child`]. They find their inputs in a
//! directory of this run, leave their objects there, and count their work in shared memory as they
//! go, so that what was done is known also when a build is ended in the middle.

mod shop;
mod task;

use super::make::{Made, Maker, Step, Steps, make};
use super::{Context, LOOK_INTERVAL};
use crate::error::Error;
use crate::report::{Better, PartReport, millis, seconds};
use crate::spec::{Build, Builds};
use crate::sys::clock;
use shop::Shop;
use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

pub(crate) use task::be_child;

const PART: &str = "build";
/// How often to look while the first programs come to their CPUs.
const START_LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The build of one run.
struct Site<'a> {
    build: &'a Build,
    context: &'a Context<'a>,
    shop: Shop,
    jobs: usize,
    /// In the background: whether the gate knows that it runs.
    announced: Cell<bool>,
}

pub(crate) fn run(build: &Build, context: &Context<'_>) -> Result<PartReport, Error> {
    let site = Site {
        build,
        context,
        jobs: build.jobs.on(context.cpus),
        shop: Shop::open(build, context)?,
        announced: Cell::new(false),
    };
    context.gate.ready();
    let start_ns = if site.is_background() {
        context.gate.wait_background()
    } else {
        context.gate.wait_foreground().then(clock::now_ns)
    };
    let made = match start_ns {
        Some(_) => Some(make(
            &site,
            Steps::new(build.units, 1, build.builds),
            site.jobs,
        )?),
        None => None,
    };
    site.check(made.as_ref())?;
    let work = site.shop.work();
    let mut report = site.report(start_ns.unwrap_or(0), made, work);
    report.notes.extend(site.shop.close());
    Ok(report)
}

impl Maker for Site<'_> {
    const PART: &'static str = PART;

    fn command(&self, step: Step, slot: usize) -> Command {
        self.shop.command(step, slot)
    }

    fn complaint(&self) -> String {
        self.shop.complaint()
    }

    fn look(&self) -> Option<Duration> {
        let gate = &self.context.gate;
        let over = if self.is_background() {
            gate.is_background_over()
        } else {
            gate.is_cancelled()
        };
        if over {
            return None;
        }
        if !self.is_background() || self.announced.get() {
            return Some(LOOK_INTERVAL);
        }
        if self.shop.started() >= self.jobs.min(self.build.units as usize) as u64 {
            self.announced.set(true);
            gate.background_running();
        }
        Some(START_LOOK_INTERVAL)
    }
}

impl Site<'_> {
    /// Whether it goes on until the other parts have ended.
    fn is_background(&self) -> bool {
        self.build.builds == Builds::Endless
    }

    /// Whether the programs that ended so well were the right ones.
    fn check(&self, made: Option<&Made>) -> Result<(), Error> {
        let ended = made.map_or(0, |made| made.unit_times.count());
        if self.shop.started() >= ended {
            return Ok(());
        }
        Err(Error::missing(
            PART,
            "the program given for units did nothing",
            "it must call baton_workload::run_if_child() first thing in main",
        ))
    }

    fn report(&self, start_ns: u64, made: Option<Made>, work: u64) -> PartReport {
        let mut report = PartReport::new(PART);
        let Some(made) = made else {
            report.metric("time_s", "s", 0.0, Better::Lower);
            report.unfinished = Some("not started".to_owned());
            return report;
        };
        let elapsed_ns = made.end_ns.saturating_sub(start_ns);
        let per_second = |count: u64| count as f64 / seconds(elapsed_ns.max(1));
        let (units, times) = (made.unit_times.count(), &made.unit_times);
        if !self.is_background() {
            report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
        }
        // As for hogs: what was computed, also by programs that were ended in the middle.
        report.metric("work_per_s", "units/s", per_second(work), Better::Higher);
        report.metric("units_per_s", "1/s", per_second(units), Better::Higher);
        for (name, quantile) in [("unit_p50_ms", 0.5), ("unit_p99_ms", 0.99)] {
            let value = millis(times.quantile_ns(quantile));
            report.metric(name, "ms", value, Better::Lower);
        }
        report.metric("units", "units", units as f64, Better::Higher);
        report.histogram("unit", times);
        report.unfinished = match self.build.builds {
            Builds::Fixed(_) if made.complete => None,
            Builds::Fixed(builds) => {
                let all = u64::from(builds) * u64::from(self.build.units);
                Some(format!("{units} of {all} units"))
            }
            Builds::Endless => (self.context.gate.is_cancelled()).then(|| "ended early".to_owned()),
        };
        report
    }
}

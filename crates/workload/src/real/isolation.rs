//! Runs [`Isolation`]: a polite and a hostile cgroup of the same weight.
//!
//! The processes are forked, wait until they are in their cgroups, and start on a byte in a pipe.
//! They tell what they do through shared memory, which the supervisor, outside of both cgroups,
//! reads now and then.

use super::crowd::{self, Board, Sample};
use super::{Context, LOOK_INTERVAL};
use crate::cgroups::Cgroups;
use crate::error::{Error, TOO_MANY_FILES, TOO_MANY_TASKS};
use crate::isolation::Seen;
use crate::names;
use crate::report::{PartReport, seconds};
use crate::spec::Isolation;
use crate::sys::child::Child;
use crate::sys::clock;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

const PART: &str = "isolation";
/// The cgroups, by their places in [`CGROUPS`].
const POLITE: usize = 0;
const HOSTILE: usize = 1;
const CGROUPS: [&str; 2] = ["polite", "hostile"];
/// The same for both: the default.
const WEIGHT: u32 = 100;
/// How long the hostile processes get to come to their CPUs before the polite one starts.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// The processes of one run and where they are. Dropped in this order.
struct Scene<'a> {
    isolation: &'a Isolation,
    context: &'a Context<'a>,
    children: Vec<Child>,
    board: Board,
    cgroups: Cgroups,
    polite_start: (PipeReader, PipeWriter),
    hostile_start: (PipeReader, PipeWriter),
}

/// What the supervisor saw.
struct Watched {
    seen: Seen,
    /// Samples that were overwritten before they were read.
    lost: u64,
}

pub(crate) fn run(isolation: &Isolation, context: &Context<'_>) -> Result<PartReport, Error> {
    let mut scene = Scene::new(isolation, context)?;
    scene.populate()?;
    context.gate.ready();
    let seen = if context.gate.wait_foreground() {
        Some(scene.watch()?)
    } else {
        None
    };
    let Scene {
        children, cgroups, ..
    } = scene;
    // The hostile ones fork: none may escape between two looks.
    cgroups.kill(HOSTILE);
    drop(children);
    let mut report = report(isolation, context, seen.as_ref());
    report.notes.extend(cgroups.remove());
    Ok(report)
}

impl<'a> Scene<'a> {
    fn new(isolation: &'a Isolation, context: &'a Context<'a>) -> Result<Self, Error> {
        let remedy = "run it as root where cgroup v2 has the cpu controller, as it has in a VM";
        let cgroups = Cgroups::create(None, PART, &CGROUPS)
            .map_err(|reason| Error::missing(PART, reason, remedy))?;
        if !cgroups.has_weights() {
            let what = "the cpu controller of cgroup v2 is not to be had";
            return Err(Error::missing(PART, what, remedy));
        }
        for child in [POLITE, HOSTILE] {
            let set = cgroups.set_weight(child, WEIGHT);
            set.map_err(Error::os(PART, "cpu.weight", remedy))?;
        }
        let pipe = || io::pipe().map_err(Error::os(PART, "pipe", TOO_MANY_FILES));
        let board = Board::new(isolation.hogs.on(context.cpus)).map_err(Error::os(
            PART,
            "shared memory",
            TOO_MANY_TASKS,
        ))?;
        Ok(Self {
            isolation,
            context,
            children: Vec::new(),
            board,
            cgroups,
            polite_start: pipe()?,
            hostile_start: pipe()?,
        })
    }

    /// Makes all processes, each in its cgroup.
    fn populate(&mut self) -> Result<(), Error> {
        let (board, calibration) = (&self.board, self.context.calibration);
        let salt = self.context.salt;
        let (polite, hostile) = (&self.polite_start.0, &self.hostile_start.0);
        let name = names::task_name_c(names::POLITE, salt);
        let period_ns = self.isolation.period_ns();
        let burst = match self.isolation.burst_us {
            0 => 0,
            burst_us => calibration.units(f64::from(burst_us) * 1000.0),
        };
        let polite = Child::fork(&name, &[polite.as_raw_fd()], || {
            crowd::be_polite(board, polite, period_ns, burst)
        });
        let mut made = vec![(POLITE, polite)];
        let keep = [hostile.as_raw_fd()];
        let name = names::task_name_c(names::HOSTILE_HOG, salt);
        for hog in 0..self.isolation.hogs.on(self.context.cpus) {
            let work = || crowd::be_a_hog(board, hostile, hog, &calibration);
            made.push((HOSTILE, Child::fork(&name, &keep, work)));
        }
        if self.isolation.forks > 0 {
            let name = names::task_name_c(names::HOSTILE_STORM, salt);
            let fork_name = names::task_name_c(names::HOSTILE_FORK, salt);
            let (forks, seed) = (self.isolation.forks as usize, self.context.seed);
            let work = || crowd::be_a_storm(board, hostile, &fork_name, forks, seed, &calibration);
            made.push((HOSTILE, Child::fork(&name, &keep, work)));
        }
        for (cgroup, child) in made {
            let child = child.map_err(Error::os(PART, "process", TOO_MANY_TASKS))?;
            let entered = self.cgroups.enter(cgroup, child.pid());
            self.children.push(child);
            entered.map_err(Error::os(PART, "entering a cgroup", "be root"))?;
        }
        Ok(())
    }

    /// Lets the hostile ones go, then the polite one, and watches for the whole time.
    fn watch(&mut self) -> Result<Watched, Error> {
        let lost = |error: io::Error| Error::worker(PART, format!("a process is lost ({error})"));
        let go = vec![1; self.children.len() - 1];
        (&self.hostile_start.1).write_all(&go).map_err(lost)?;
        clock::sleep(SETTLE_TIME);
        let before = self.account()?;
        let start_ns = clock::now_ns();
        (&self.polite_start.1).write_all(&[1]).map_err(lost)?;
        let mut watched = Watched {
            seen: Seen::default(),
            lost: 0,
        };
        let end_ns = start_ns + (self.isolation.seconds * 1e9) as u64;
        let mut read = 0;
        while clock::now_ns() < end_ns && !self.context.gate.is_cancelled() {
            let left_ns = end_ns.saturating_sub(clock::now_ns());
            clock::sleep(LOOK_INTERVAL.min(Duration::from_nanos(left_ns)));
            self.check_health()?;
            self.read(&mut read, &mut watched);
        }
        let after = self.account()?;
        watched.seen.elapsed_ns = clock::now_ns() - start_ns;
        self.board.end();
        self.read(&mut read, &mut watched);
        let seen = &mut watched.seen;
        seen.polite_ns = after.0[POLITE] - before.0[POLITE];
        seen.hostile_ns = after.0[HOSTILE] - before.0[HOSTILE];
        seen.work = after.1 - before.1;
        seen.forks = after.2 - before.2;
        seen.missed = self.board.missed();
        Ok(watched)
    }

    /// The CPU time of both cgroups, the hogs' work, and the forks, until now.
    fn account(&self) -> Result<([u64; 2], u64, u64), Error> {
        let cpu_ns = |child| {
            let remedy = "use a kernel whose cgroups tell their CPU time";
            let read = self.cgroups.cpu_ns(child);
            read.map_err(Error::os(PART, "cpu.stat", remedy))
        };
        let times = [cpu_ns(POLITE)?, cpu_ns(HOSTILE)?];
        Ok((times, self.board.work(), self.board.forks()))
    }

    fn check_health(&mut self) -> Result<(), Error> {
        for child in &mut self.children {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(code)) => {
                    let what = format!("a process ended with {code}");
                    return Err(Error::worker(PART, what));
                }
                Err(error) => {
                    let what = format!("a process is lost ({error})");
                    return Err(Error::worker(PART, what));
                }
            }
        }
        Ok(())
    }

    fn read(&self, read: &mut u64, watched: &mut Watched) {
        let (wakeups, responses) = (&mut watched.seen.wakeups, &mut watched.seen.responses);
        watched.lost += self.board.read(read, |sample: Sample| {
            wakeups.record_ns(sample.late_ns);
            responses.record_ns(sample.response_ns);
        });
    }
}

fn report(isolation: &Isolation, context: &Context<'_>, watched: Option<&Watched>) -> PartReport {
    let Some(Watched { seen, lost }) = watched else {
        let mut report = Seen::default().report(context.cpus);
        report.unfinished = Some("not started".to_owned());
        return report;
    };
    let mut report = seen.report(context.cpus);
    if context.gate.is_cancelled() {
        let (elapsed_s, all_s) = (seconds(seen.elapsed_ns), isolation.seconds);
        report.unfinished = Some(format!("{elapsed_s:.2} of {all_s} s"));
    }
    if *lost > 0 {
        let note = format!("{lost} wakeups are not in the figures: the supervisor had no CPU");
        report.notes.push(note);
    }
    report
}

//! Runs [`Tenants`]: a cgroup for each, with the processes of [`crowd`](super::crowd).
//!
//! The processes are forked, wait until they are in their cgroups, and start on a byte in a pipe. They
//! tell what they do through shared memory, which the supervisor, outside of all cgroups, reads now and
//! then.

use super::crowd::{self, Board, Sample};
use super::{Context, LOOK_INTERVAL};
use crate::cgroups::Cgroups;
use crate::error::{Error, TOO_MANY_FILES, TOO_MANY_TASKS};
use crate::names;
use crate::report::{PartReport, seconds};
use crate::sys::child::Child;
use crate::sys::clock;
use crate::tenants::{self, Tenant, Tenants};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

const PART: &str = "tenants";
/// How long the hogs get to come to their CPUs before anything is measured.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// The processes of one run and where they are. Dropped in this order.
struct House<'a> {
    tenants: &'a Tenants,
    context: &'a Context<'a>,
    children: Vec<Child>,
    /// One for each tenant.
    boards: Vec<Board>,
    cgroups: Cgroups,
    start: (PipeReader, PipeWriter),
}

/// What the supervisor saw.
struct Seen {
    tenants: Vec<Tenant>,
    /// Samples that were overwritten before they were read.
    lost: u64,
    elapsed_ns: u64,
    work: u64,
}

pub(crate) fn run(tenants: &Tenants, context: &Context<'_>) -> Result<PartReport, Error> {
    let mut house = House::new(tenants, context)?;
    house.populate()?;
    context.gate.ready();
    let seen = if context.gate.wait_foreground() {
        Some(house.watch()?)
    } else {
        None
    };
    let House {
        children, cgroups, ..
    } = house;
    drop(children);
    let mut report = report(tenants, context, seen.as_ref());
    report.notes.extend(cgroups.remove());
    Ok(report)
}

impl<'a> House<'a> {
    fn new(tenants: &'a Tenants, context: &'a Context<'a>) -> Result<Self, Error> {
        let remedy = "run it as root where cgroup v2 has the cpu controller, as it has in a VM";
        let names: Vec<String> = (1..=tenants.weights.len())
            .map(|number| format!("tenant{number}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let cgroups = Cgroups::create(None, PART, &names)
            .map_err(|reason| Error::missing(PART, reason, remedy))?;
        if !cgroups.has_weights() {
            let what = "the cpu controller of cgroup v2 is not to be had";
            return Err(Error::missing(PART, what, remedy));
        }
        let mut boards = Vec::with_capacity(names.len());
        for (child, weight) in tenants.weights.iter().enumerate() {
            let set = cgroups.set_weight(child, *weight);
            set.map_err(Error::os(PART, "cpu.weight", remedy))?;
            let board = Board::new(tenants.hogs.on(context.cpus));
            boards.push(board.map_err(Error::os(PART, "shared memory", TOO_MANY_TASKS))?);
        }
        Ok(Self {
            tenants,
            context,
            children: Vec::new(),
            boards,
            cgroups,
            start: io::pipe().map_err(Error::os(PART, "pipe", TOO_MANY_FILES))?,
        })
    }

    /// Makes all processes, each in its cgroup.
    fn populate(&mut self) -> Result<(), Error> {
        let (calibration, salt) = (self.context.calibration, self.context.salt);
        let start = &self.start.0;
        let keep = [start.as_raw_fd()];
        let service = names::task_name_c(names::TENANT_SERVICE, salt);
        let hog = names::task_name_c(names::TENANT_HOG, salt);
        let period_ns = self.tenants.period_ns();
        let burst = match self.tenants.burst_us {
            0 => 0,
            burst_us => calibration.units(f64::from(burst_us) * 1000.0),
        };
        for (tenant, board) in self.boards.iter().enumerate() {
            let serve = || crowd::be_polite(board, start, period_ns, burst);
            let mut made = vec![Child::fork(&service, &keep, serve)];
            for number in 0..self.tenants.hogs.on(self.context.cpus) {
                let work = || crowd::be_a_hog(board, start, number, &calibration);
                made.push(Child::fork(&hog, &keep, work));
            }
            for child in made {
                let child = child.map_err(Error::os(PART, "process", TOO_MANY_TASKS))?;
                let entered = self.cgroups.enter(tenant, child.pid());
                self.children.push(child);
                entered.map_err(Error::os(PART, "entering a cgroup", "be root"))?;
            }
        }
        Ok(())
    }

    /// Lets all go, and watches for the whole time.
    fn watch(&mut self) -> Result<Seen, Error> {
        let lost = |error: io::Error| Error::worker(PART, format!("a process is lost ({error})"));
        let go = vec![1; self.children.len()];
        (&self.start.1).write_all(&go).map_err(lost)?;
        clock::sleep(SETTLE_TIME);
        let mut read = vec![0; self.boards.len()];
        let fresh = |weight: &u32| Tenant::new(*weight);
        let mut seen = Seen {
            tenants: self.tenants.weights.iter().map(fresh).collect(),
            lost: 0,
            elapsed_ns: 0,
            work: 0,
        };
        // What was before does not count.
        self.read(&mut read, &mut seen);
        seen.tenants = self.tenants.weights.iter().map(fresh).collect();
        seen.lost = 0;
        let (before, missed) = (self.account()?, self.missed());
        let start_ns = clock::now_ns();
        let end_ns = start_ns + (self.tenants.seconds * 1e9) as u64;
        while clock::now_ns() < end_ns && !self.context.gate.is_cancelled() {
            let left_ns = end_ns.saturating_sub(clock::now_ns());
            clock::sleep(LOOK_INTERVAL.min(Duration::from_nanos(left_ns)));
            self.check_health()?;
            self.read(&mut read, &mut seen);
        }
        let after = self.account()?;
        seen.elapsed_ns = clock::now_ns() - start_ns;
        self.read(&mut read, &mut seen);
        let gone = self.missed();
        self.boards.iter().for_each(Board::end);
        for (index, tenant) in seen.tenants.iter_mut().enumerate() {
            tenant.cpu_ns = after.0[index] - before.0[index];
            tenant.missed = gone[index] - missed[index];
        }
        seen.work = after.1 - before.1;
        Ok(seen)
    }

    /// The CPU time of each cgroup, and the hogs' work, until now.
    fn account(&self) -> Result<(Vec<u64>, u64), Error> {
        let cpu_ns = |child| {
            let remedy = "use a kernel whose cgroups tell their CPU time";
            let read = self.cgroups.cpu_ns(child);
            read.map_err(Error::os(PART, "cpu.stat", remedy))
        };
        let times = (0..self.boards.len())
            .map(cpu_ns)
            .collect::<Result<_, _>>()?;
        Ok((times, self.boards.iter().map(Board::work).sum()))
    }

    fn missed(&self) -> Vec<u64> {
        self.boards.iter().map(Board::missed).collect()
    }

    fn check_health(&mut self) -> Result<(), Error> {
        let lost = |error: io::Error| Error::worker(PART, format!("a process is lost ({error})"));
        for child in &mut self.children {
            if let Some(code) = child.try_wait().map_err(lost)? {
                return Err(Error::worker(PART, format!("a process ended with {code}")));
            }
        }
        Ok(())
    }

    fn read(&self, read: &mut [u64], seen: &mut Seen) {
        for (index, board) in self.boards.iter().enumerate() {
            let tenant = &mut seen.tenants[index];
            seen.lost += board.read(&mut read[index], |sample: Sample| {
                tenant.woke(sample.late_ns, sample.response_ns);
            });
        }
    }
}

fn report(tenants: &Tenants, context: &Context<'_>, seen: Option<&Seen>) -> PartReport {
    let Some(seen) = seen else {
        let nothing = tenants.weights.iter().map(|weight| Tenant::new(*weight));
        let nothing: Vec<Tenant> = nothing.collect();
        let mut report = tenants::report(&nothing, 1, 0);
        report.unfinished = Some("not started".to_owned());
        return report;
    };
    let mut report = tenants::report(&seen.tenants, seen.elapsed_ns, seen.work);
    if context.gate.is_cancelled() {
        let (elapsed_s, all_s) = (seconds(seen.elapsed_ns), tenants.seconds);
        report.unfinished = Some(format!("{elapsed_s:.2} of {all_s} s"));
    }
    if seen.lost > 0 {
        let note = format!(
            "{} wakeups are not in the figures: the supervisor had no CPU",
            seen.lost
        );
        report.notes.push(note);
    }
    report
}

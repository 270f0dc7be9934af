//! [`Build`]: a maker that starts a process for each unit, so many at a time, and then one that links.

use baton_workload::{Better, Build, Builds, PartReport, millis, names, seconds};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Channel, Counter, Series, Spawn, Stage, Step, Wakeups};

/// A compiler's working set.
const WORKING_SET_KIB: u32 = 4096;
/// A unit writes in so many steps, with its computation between them.
const WRITES: u64 = 4;
/// Files that a unit opens, reads and closes before it computes: six headers and its source.
const READS: u64 = 7 * 3;
/// Tells the maker that a link ended.
const LINK: u64 = u64::MAX;

/// A process of the build.
struct Unit {
    work_ns: u64,
    /// Steps that are left, of which the first is to execute the program and read.
    left: u64,
    /// What it says at its end: its start, or that it links.
    says: u64,
    ended: Channel,
}

impl Actor for Unit {
    fn step(&mut self, stage: &mut Stage) -> Step {
        let costs = stage.costs();
        let (exec_ns, syscall_ns, exit_ns) = (costs.exec_ns, costs.syscall_ns, costs.exit_ns);
        self.left = self.left.saturating_sub(1);
        match self.left {
            0 => {
                stage.send(self.ended, self.says);
                Step::Exit
            }
            1 => Step::Compute(exit_ns),
            left if left == WRITES + 2 => Step::Compute(exec_ns + READS * syscall_ns),
            _ => Step::Compute(self.work_ns / WRITES + syscall_ns),
        }
    }

    fn burst_ns(&self) -> u64 {
        self.work_ns / WRITES * self.left.saturating_sub(2).min(WRITES)
    }
}

/// What the maker is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    /// Looks whether something can be started.
    Look,
    /// Has paid for a process, and starts it.
    Start,
}

/// `make -jN`.
struct Maker {
    site: Site,
    state: State,
    /// The build under way, and the units of it that are started and ended.
    build: u32,
    lengths_ns: Vec<u64>,
    started: usize,
    ended: usize,
    running: usize,
    linking: bool,
    ends: Channel,
}

impl Maker {
    fn is_over(&self) -> bool {
        self.site.build.builds == Builds::Fixed(self.build)
    }

    /// Takes note of what ended.
    fn reap(&mut self, stage: &mut Stage) {
        while let Some(said) = stage.receive(self.ends) {
            self.running -= 1;
            if said == LINK {
                self.linking = false;
                self.build += 1;
                self.begin_build();
                continue;
            }
            self.ended += 1;
            stage.count(self.site.units, 1);
            stage.sample(self.site.unit_times, stage.now_ns() - said);
        }
    }

    fn begin_build(&mut self) {
        self.started = 0;
        self.ended = 0;
        if !self.is_over() {
            self.lengths_ns = self.site.build.units_ns(self.site.seed, self.build);
        }
    }

    fn can_start(&self) -> bool {
        let is_room = self.running < self.site.jobs && !self.linking;
        is_room && (self.started < self.lengths_ns.len() || self.ended == self.lengths_ns.len())
    }

    fn start(&mut self, stage: &mut Stage) {
        let links = self.started == self.lengths_ns.len();
        let (name, work_ns, says) = if links {
            self.linking = true;
            (names::BUILD_LINK, self.site.build.link_ns(), LINK)
        } else {
            let work_ns = self.lengths_ns[self.started];
            self.started += 1;
            (names::BUILD_UNIT, work_ns, stage.now_ns())
        };
        self.running += 1;
        let unit = Unit {
            work_ns,
            left: WRITES + 3,
            says,
            ended: self.ends,
        };
        let mut spawn = Spawn::new(name, self.site.part, unit).working_set_kib(WORKING_SET_KIB);
        spawn.is_thread = false;
        stage.spawn(spawn);
    }
}

impl Actor for Maker {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Begin => {
                self.state = State::Look;
                Step::SleepUntil(self.site.start_ns)
            }
            State::Look => {
                self.reap(stage);
                if self.is_over() {
                    stage.end_part(self.site.part);
                    return Step::Exit;
                }
                if !self.can_start() {
                    return Step::Receive(self.ends);
                }
                self.state = State::Start;
                Step::Compute(stage.costs().fork_ns)
            }
            State::Start => {
                self.start(stage);
                self.state = State::Look;
                Step::Compute(0)
            }
        }
    }
}

/// Where the build is made.
#[derive(Clone)]
pub(super) struct Site {
    build: Build,
    part: u32,
    seed: u64,
    jobs: usize,
    start_ns: u64,
    units: Counter,
    unit_times: Series,
}

pub(super) fn install(build: &Build, stage: &mut Stage, setting: &Setting) -> Site {
    let site = Site {
        build: build.clone(),
        part: setting.part,
        seed: setting.seed,
        jobs: build.jobs.on(setting.cpus),
        start_ns: setting.start_ns,
        units: stage.counter(),
        unit_times: stage.series(),
    };
    let ends = stage.channel(site.jobs, site.jobs, Wakeups::Plain);
    let mut maker = Maker {
        site: site.clone(),
        state: State::Begin,
        build: 0,
        lengths_ns: Vec::new(),
        started: 0,
        ended: 0,
        running: 0,
        linking: false,
        ends,
    };
    maker.begin_build();
    stage.spawn(Spawn::new("make", setting.part, maker));
    site
}

impl Played for Site {
    fn report(&self, stage: &Stage, view: &PartView) -> PartReport {
        let mut report = PartReport::new("build");
        let elapsed_ns = view.end_ns.saturating_sub(self.start_ns);
        let per_second = |count: u64| count as f64 / seconds(elapsed_ns.max(1));
        let units = stage.counted(self.units);
        let times = stage.durations(self.unit_times);
        if let Builds::Fixed(builds) = self.build.builds {
            report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
            let all = u64::from(builds) * u64::from(self.build.units);
            if units < all {
                report.unfinished = Some(format!("{units} of {all} units"));
            }
        }
        let work = per_second(view.worked_ns);
        report.metric("work_per_s", "units/s", work, Better::Higher);
        report.metric("units_per_s", "1/s", per_second(units), Better::Higher);
        for (name, quantile) in [("unit_p50_ms", 0.5), ("unit_p99_ms", 0.99)] {
            let value = millis(times.quantile_ns(quantile));
            report.metric(name, "ms", value, Better::Lower);
        }
        report.metric("units", "units", units as f64, Better::Higher);
        report.histogram("unit", times);
        report
    }
}

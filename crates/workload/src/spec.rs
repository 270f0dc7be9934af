//! The description of a workload: plain data, the same for real runs and simulated actors.

use crate::kinds::{self, Kind};
use crate::lengths;
use crate::periodic::Periodic;
use crate::requests::Requests;
use crate::tenants::Tenants;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What to run: one or more parts, side by side.
///
/// The first part is the one whose primary metric stands for the workload. Text is the form for
/// people and files: `messaging`, `pipe+hogs`, `frames:load=0.4,seconds=2+hogs:count=4`.
/// `Display` writes what differs from the defaults, with `{:#}` every parameter; both parse back
/// to an equal workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Workload {
    pub(crate) parts: Vec<Part>,
}

/// One part of a workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Many tasks, many wakeups.
    Messaging(Messaging),
    /// Two tasks, wakeup latency.
    Pipe(Pipe),
    /// A periodic pipeline with deadlines.
    Frames(Frames),
    /// Background that never sleeps.
    Hogs(Hogs),
    /// Programs that are started, compute, read and write.
    Build(Build),
    /// A real compilation.
    Compile(Compile),
    /// A polite cgroup beside a hostile one.
    Isolation(Isolation),
    /// Message threads that wake workers.
    Requests(Requests),
    /// A short buffer of sound each period.
    Audio(Periodic),
    /// An encoder of video.
    Stream(Periodic),
    /// Cgroups with weights.
    Tenants(Tenants),
}

/// Groups of `fan` senders and `fan` receivers.
///
/// Each receiver has one socket; each sender of the group writes `loops` messages of
/// [`Messaging::MESSAGE_BYTES`] to each of these sockets, going round the receivers. The structure
/// is that of hackbench (Rusty Russell), known as `perf bench sched messaging`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messaging {
    /// Groups.
    pub groups: u32,
    /// Messages from each sender to each receiver of its group.
    pub loops: u32,
    /// Senders in a group, and as many receivers.
    pub fan: u32,
    /// Threads of one process, or else processes.
    pub threads: bool,
}

/// Two tasks, one token, two pipes: the first writes it and waits until the second returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Round trips.
    pub rounds: u32,
    /// Threads of one process, or else processes.
    pub threads: bool,
}

/// A game: each frame passes the four [`FrameStage`]s, each stage a task of its own.
///
/// Frame `k` has its tick at `k / fps`. Its frame time runs from that tick, not from when the first
/// task got to it, to the end of its presentation; it is on time if that is at most `deadline`
/// periods. A frame that the first stage meets with its deadline already behind it is dropped, as a
/// game would to catch up, and counts as missed; its frame time runs to the presentation of the
/// frame that is shown in its place. So every tick is in the figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// Frames per second.
    pub fps: u32,
    /// The work of one frame, all stages together, as a share of what one CPU does in a period.
    pub load: f64,
    /// Each stage's work varies evenly by up to this share, up or down.
    pub jitter: f64,
    /// Periods from tick to presentation, at most.
    pub deadline: u32,
    /// Duration in seconds.
    pub seconds: f64,
}

/// A stage of [`Frames`], in the order of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStage {
    /// Reads the tick.
    Input,
    /// Moves the world on.
    Simulate,
    /// Draws it.
    Render,
    /// Shows it.
    Present,
}

/// Threads that compute and never sleep.
#[derive(Clone, Debug, PartialEq)]
pub struct Hogs {
    /// Threads.
    pub count: Count,
    /// Duration in seconds where no other part bounds the run.
    pub seconds: f64,
}

/// A build of a program, as `make -jN` does it: each unit is a process of its own, forked and
/// executed, that reads a source and headers, computes and writes an object; when all units are
/// done another process links the objects.
///
/// The CPU times of the units differ widely, see [`Build::units_ns`].
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// Processes at a time.
    pub jobs: Count,
    /// Units of one build.
    pub units: u32,
    /// The CPU time of a unit on an undisturbed CPU, on average, in milliseconds. What starting a
    /// process and its files cost comes on top.
    pub unit_ms: u32,
    /// How many builds. The units of the next may be compiled while one is linked.
    pub builds: Builds,
    /// Duration in seconds where builds are endless and no other part bounds the run.
    pub seconds: f64,
}

/// A number of builds, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builds {
    /// This many.
    Fixed(u32),
    /// As many as there is time for.
    Endless,
}

/// The compilation of a real program, Lua, by gcc, `jobs` units at a time as `make -jN` does.
///
/// Lua is some 30 files of standard C that need neither configuration nor other libraries. Its
/// source is not part of this crate, see [`RunOptions::source`](crate::RunOptions::source).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compile {
    /// Compilers at a time.
    pub jobs: Count,
    /// The compiler's level of optimization, 0 to 3.
    pub optimize: u32,
}

/// Two cgroups of the same weight: a polite one, whose only process wakes at a rate and computes a
/// little each time, and a hostile one, with hogs and a storm of forks.
///
/// The polite one asks for far less than its half, so that whatever the hostile one does, it should
/// get all of it at once. Needs root and cgroup v2 with its cpu controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Isolation {
    /// Hostile processes that compute and never sleep.
    pub hogs: Count,
    /// Hostile processes at a time that are forked, compute for at most a millisecond, and end;
    /// 0: none.
    pub forks: u32,
    /// The polite process's wakeups a second.
    pub rate: u32,
    /// What it computes each time, in microseconds on an undisturbed CPU.
    pub burst_us: u32,
    /// Duration in seconds.
    pub seconds: f64,
}

/// A number of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// This many.
    Fixed(u32),
    /// This many for each CPU.
    PerCpu(u32),
}

impl Workload {
    /// No parts: for a simulation whose tasks come from elsewhere. Has no text.
    #[must_use]
    pub const fn none() -> Self {
        Self { parts: Vec::new() }
    }

    /// The parts, the measured foreground first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The same workload, with this duration for each part that is bounded by time. Parts bounded
    /// by a number of rounds or messages stay as they are.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        for part in &mut self.parts {
            match part {
                Part::Frames(frames) => frames.seconds = duration.as_secs_f64(),
                Part::Hogs(hogs) => hogs.seconds = duration.as_secs_f64(),
                Part::Build(build) => build.seconds = duration.as_secs_f64(),
                Part::Isolation(isolation) => isolation.seconds = duration.as_secs_f64(),
                Part::Requests(requests) => requests.seconds = duration.as_secs_f64(),
                Part::Audio(periodic) | Part::Stream(periodic) => {
                    periodic.seconds = duration.as_secs_f64();
                }
                Part::Tenants(tenants) => tenants.seconds = duration.as_secs_f64(),
                Part::Messaging(_) | Part::Pipe(_) | Part::Compile(_) => {}
            }
        }
        self
    }

    /// The Debian source package whose upstream source a run needs, see
    /// [`RunOptions::source`](crate::RunOptions::source).
    pub fn source_package(&self) -> Option<&'static str> {
        let compiles = |part: &Part| matches!(part, Part::Compile(_));
        self.parts
            .iter()
            .any(compiles)
            .then_some(Compile::SOURCE_PACKAGE)
    }

    /// Where the part of this index stands, which changes some defaults.
    pub(crate) fn place(&self, index: usize) -> Place {
        Place::of(index, self.parts.len())
    }
}

/// Where a part stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// There is no other.
    Alone,
    /// Others are beside this one, which is the one that is measured for the whole.
    First,
    /// It stands behind another.
    Behind,
}

impl Place {
    pub(crate) fn of(index: usize, parts: usize) -> Self {
        match (index, parts) {
            (0, 1) => Self::Alone,
            (0, _) => Self::First,
            _ => Self::Behind,
        }
    }
}

impl Part {
    /// The kind, with name and parameters.
    pub fn kind(&self) -> &'static Kind {
        match self {
            Self::Messaging(_) => &kinds::MESSAGING,
            Self::Pipe(_) => &kinds::PIPE,
            Self::Frames(_) => &kinds::FRAMES,
            Self::Hogs(_) => &kinds::HOGS,
            Self::Build(_) => &kinds::BUILD,
            Self::Compile(_) => &kinds::COMPILE,
            Self::Isolation(_) => &kinds::ISOLATION,
            Self::Requests(_) => &kinds::REQUESTS,
            Self::Audio(_) => &kinds::AUDIO,
            Self::Stream(_) => &kinds::STREAM,
            Self::Tenants(_) => &kinds::TENANTS,
        }
    }

    /// Whether the part ends by itself. One that does not ends with those that do.
    pub fn is_bounded(&self) -> bool {
        self.unbounded_seconds().is_none()
    }

    /// The duration of a part that does not end by itself, for when no other part ends.
    pub fn unbounded_seconds(&self) -> Option<f64> {
        match self {
            Self::Hogs(hogs) => Some(hogs.seconds),
            Self::Audio(periodic) | Self::Stream(periodic) => Some(periodic.seconds),
            Self::Build(build) => (build.builds == Builds::Endless).then_some(build.seconds),
            Self::Messaging(_)
            | Self::Pipe(_)
            | Self::Frames(_)
            | Self::Compile(_)
            | Self::Isolation(_)
            | Self::Requests(_)
            | Self::Tenants(_) => None,
        }
    }
}

impl Messaging {
    /// The size of a message.
    pub const MESSAGE_BYTES: usize = 100;

    /// All messages of a full run.
    pub fn messages(&self) -> u64 {
        u64::from(self.groups) * u64::from(self.fan) * u64::from(self.fan) * u64::from(self.loops)
    }
}

impl Frames {
    /// The time between two ticks.
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.fps)
    }

    /// How many ticks a full run has, at least one.
    pub fn frames(&self) -> u64 {
        ((f64::from(self.fps) * self.seconds).round() as u64).max(1)
    }

    /// The CPU time of one stage of one frame, on an undisturbed CPU. The same seed and frame give
    /// the same time, whatever happened to other frames.
    pub fn stage_ns(&self, seed: u64, frame: u64, stage: FrameStage) -> f64 {
        let mixed = seed ^ frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((stage as u64 + 1) << 56);
        let varied = 1.0 + self.jitter * (2.0 * fastrand::Rng::with_seed(mixed).f64() - 1.0);
        self.load * self.period_ns() as f64 * stage.share() * varied
    }
}

impl Build {
    /// The CPU time of each unit of a build, counted from 0, on an undisturbed CPU. They sum up to
    /// the same for every seed. Most are shorter than the average and a few many times as long, as
    /// the files of a project are: log-normal, with a standard deviation of 1 in the logarithm.
    pub fn units_ns(&self, seed: u64, build: u32) -> Vec<u64> {
        let mixed = seed ^ (u64::from(build) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let total_ns = u64::from(self.units) * self.link_ns();
        lengths::heavy_tailed(mixed, self.units as usize, total_ns)
    }

    /// The CPU time of the link: that of an average unit.
    pub fn link_ns(&self) -> u64 {
        u64::from(self.unit_ms) * 1_000_000
    }
}

impl Compile {
    /// The Debian source package of the program that is compiled.
    pub const SOURCE_PACKAGE: &str = "lua5.4";
}

impl Isolation {
    /// The most hostile forks at a time.
    pub const MAX_FORKS: u32 = 64;

    /// The time between two wakeups of the polite process.
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.rate)
    }
}

impl FrameStage {
    /// All stages, in the order of the pipeline.
    pub const ALL: [Self; 4] = [Self::Input, Self::Simulate, Self::Render, Self::Present];

    /// The stage's share of a frame's work: the world and its picture are most of it.
    pub fn share(self) -> f64 {
        match self {
            Self::Input | Self::Present => 0.1,
            Self::Simulate | Self::Render => 0.4,
        }
    }
}

impl Count {
    /// The number on a machine with this many CPUs.
    pub fn on(self, cpus: usize) -> usize {
        match self {
            Self::Fixed(count) => count as usize,
            Self::PerCpu(count) => count as usize * cpus,
        }
    }
}

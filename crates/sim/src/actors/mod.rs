//! The workloads of `baton-workload` as simulated tasks: a file each, with the names of the real tasks
//! and the metrics of the real reports.
//!
//! Background parts begin at once, the foreground a little later, as in a real run. What is simulated is
//! the structure: who computes how long, who wakes whom and how, who waits for what. A system call costs
//! [`Costs::syscall_ns`](baton_machine::Costs::syscall_ns).

mod build;
mod crowd;
mod frames;
mod hogs;
mod isolation;
mod messaging;
mod noise;
mod periodic;
mod pipe;
mod requests;
mod tenants;

use baton_policy::MS;
use baton_workload::{Part, PartReport, Workload, names};

use std::sync::Arc;

use crate::{Error, Replay, actor::Stage, replay};

/// When the foreground begins where nothing is behind it.
const START_NS: u64 = MS;
/// When it begins before a background, which has come to its CPUs by then.
const START_BESIDE_NS: u64 = 50 * MS;

/// What a part is set up for.
struct Setting {
    part: u32,
    seed: u64,
    cpus: usize,
    start_ns: u64,
}

/// What happened to the tasks of a part, as the engine knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartView {
    pub(crate) end_ns: u64,
    /// Work of all its tasks, nanoseconds of a CPU of full capacity.
    pub(crate) worked_ns: u64,
    /// Of that, by tasks that live and never slept.
    pub(crate) hogs_ns: u64,
    pub(crate) wait_max_ns: u64,
    /// CPU time of all tasks, by the paths of their cgroups.
    pub(crate) cgroups: Vec<(String, u64)>,
}

impl PartView {
    fn cgroup_ns(&self, path: &str) -> u64 {
        let mut cgroups = self.cgroups.iter();
        let found = cgroups.find(|(other, _)| other == path);
        found.map_or(0, |(_, cpu_ns)| *cpu_ns)
    }
}

/// What the tasks of periodic parts are called.
const AUDIO: periodic::Roles = periodic::Roles {
    kind: "audio",
    lead: names::AUDIO,
    helper: names::AUDIO,
};
const STREAM: periodic::Roles = periodic::Roles {
    kind: "stream",
    lead: names::ENCODER,
    helper: names::ENCODER_SLICE,
};

/// A part on the stage.
pub(crate) trait Played {
    /// What it measured.
    fn report(&self, stage: &Stage, view: &PartView) -> PartReport;
}

/// All parts of a workload on a stage.
pub(crate) struct Play {
    pub(crate) parts: Vec<Box<dyn Played>>,
    /// Those that end by themselves.
    pub(crate) bounded: Vec<u32>,
}

pub(crate) use noise::install as install_noise;

/// Puts a recording's tasks on the stage.
pub(crate) fn install_replay(replay: &Arc<Replay>, stage: &mut Stage, play: &mut Play) {
    let part = play.parts.len() as u32;
    play.parts
        .push(replay::install(replay, stage, part, START_NS));
    if replay.tasks() > 0 {
        play.bounded.push(part);
    }
}

/// Puts a workload's tasks on the stage.
pub(crate) fn install(
    workload: &Workload,
    stage: &mut Stage,
    seed: u64,
    cpus: usize,
) -> Result<Play, Error> {
    let background = workload.parts().iter().any(|part| !part.is_bounded());
    let mut play = Play {
        parts: Vec::new(),
        bounded: Vec::new(),
    };
    for (index, part) in workload.parts().iter().enumerate() {
        let setting = Setting {
            part: index as u32,
            seed,
            cpus,
            start_ns: match (part.is_bounded(), background) {
                (false, _) => 0,
                (true, false) => START_NS,
                (true, true) => START_BESIDE_NS,
            },
        };
        if part.is_bounded() {
            play.bounded.push(index as u32);
        }
        play.parts.push(match part {
            Part::Messaging(messaging) => Box::new(messaging::install(messaging, stage, &setting)),
            Part::Pipe(pipe) => Box::new(pipe::install(pipe, stage, &setting)),
            Part::Frames(frames) => Box::new(frames::install(frames, stage, &setting)),
            Part::Hogs(hogs) => Box::new(hogs::install(hogs, stage, &setting)),
            Part::Build(build) => Box::new(build::install(build, stage, &setting)),
            Part::Requests(requests) => Box::new(requests::install(requests, stage, &setting)),
            Part::Audio(audio) => Box::new(periodic::install(audio, &AUDIO, stage, &setting)),
            Part::Stream(stream) => Box::new(periodic::install(stream, &STREAM, stage, &setting)),
            Part::Tenants(tenants) => Box::new(tenants::install(tenants, stage, &setting)),
            Part::Isolation(isolation) => Box::new(isolation::install(isolation, stage, &setting)),
            Part::Compile(_) => {
                return Err(Error::NotSimulated {
                    kind: part.kind().name,
                });
            }
        });
    }
    Ok(play)
}

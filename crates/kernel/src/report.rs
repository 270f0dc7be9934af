//! What a run was: its report.

use std::fmt;

use serde::Serialize;

use crate::{
    arena::ArenaUse, exit::ExitReason, part::PartReport, process::ProcessStats, stats::Stats,
};

/// What a run was.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The policy's name.
    pub policy: String,
    /// The kernel's release.
    pub kernel: String,
    /// Why it ended.
    pub exit: ExitReason,
    /// How long it scheduled.
    pub wall_s: f64,
    /// The relay's counters.
    pub stats: Stats,
    /// The scheduling thread's counters.
    pub process: ProcessStats,
    /// How often the relay's timer was late by more than 200 ms and armed again.
    pub timers_lost: u64,
    /// From whom it took over, if it did.
    pub takeover: Option<Takeover>,
    /// The part of the machine that it scheduled; without, all of it.
    pub only: Option<PartReport>,
    /// The scheduling thread's memory.
    pub arena: ArenaUse,
    /// Why the log is not whole, where one was asked for and it is not.
    pub log_problem: Option<String>,
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, wall_s, exit) = (&self.policy, self.wall_s, &self.exit);
        match &self.only {
            None => writeln!(
                f,
                "{policy} scheduled this machine for {wall_s:.1} s: {exit}"
            )?,
            Some(only) => writeln!(
                f,
                "{policy} scheduled {only} for {wall_s:.1} s: {exit}\n  tasks: {} taken in all, {} \
                 given back",
                only.taken, only.given_back
            )?,
        }
        writeln!(f, "{}", self.stats)?;
        write!(
            f,
            "  page faults of the scheduling thread: {} minor, {} major; timers lost: {}",
            self.process.faults_minor, self.process.faults_major, self.timers_lost
        )?;
        let counts = self.process.policy.iter();
        let counts: Vec<_> = counts
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if counts.is_empty() {
            return Ok(());
        }
        write!(f, "\n  counted by the policy: {}", counts.join(", "))
    }
}

impl RunReport {
    /// What explains the end where the kernel's words do not: a stall of a part of the
    /// machine may be no fault of the policy's.
    #[must_use]
    pub fn explanation(&self) -> Option<&'static str> {
        let stalled =
            matches!(&self.exit, ExitReason::Ejected { reason, .. } if reason.contains("stall"));
        (stalled && self.only.is_some()).then_some(
            "the kernel runs SCHED_EXT tasks only where no ordinary task wants the CPU, and those of \
             the cgroup got none for 30 s: give them CPUs of their own, or schedule the whole machine",
        )
    }
}

/// How another policy's process was taken over from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Takeover {
    /// The policy that scheduled before.
    pub from: String,
    /// Time without a policy: from when the last one was told to pause to this one's first
    /// decisions.
    pub gap_ns: u64,
    /// Tasks that waited for a decision then, and were told to this policy.
    pub held: u64,
}

/// How a run began.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// From whom the policy took over, if it did.
    pub takeover: Option<&'a Takeover>,
    /// The tasks that it schedules; without, all of the machine's.
    pub part: Option<&'a PartReport>,
}

//! What is counted of a run, whoever schedules.

use baton_policy::TaskName;
use baton_workload::Durations;

use super::topology::Distance;

/// The wait that was longest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LongestWait {
    pub(crate) wait_ns: u64,
    pub(crate) pid: u32,
    pub(crate) name: TaskName,
}

/// What is known of a part of the workload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PartStats {
    pub(crate) end_ns: Option<u64>,
    /// Work of its tasks that ended.
    pub(crate) worked_ns: u64,
    pub(crate) wait_max_ns: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) events: u64,
    /// From waking to running.
    pub(crate) wakeup: Durations,
    /// From runnable to running, whatever the reason.
    pub(crate) wait: Durations,
    /// What is known of each part.
    pub(crate) parts: Vec<PartStats>,
    pub(crate) longest: LongestWait,
    pub(crate) switches: u64,
    pub(crate) migrations: [u64; Distance::COUNT],
    /// What migrations cost in cold caches.
    pub(crate) cold_ns: u64,
    /// Time of CPUs that idled while tasks waited.
    pub(crate) wasted_ns: u64,
    pub(crate) ticks: u64,
    pub(crate) wakeups: u64,
}

impl Stats {
    pub(crate) fn waited(
        &mut self,
        wait_ns: u64,
        woken: bool,
        part: u32,
        pid: u32,
        name: TaskName,
    ) {
        self.wait.record_ns(wait_ns);
        if woken {
            self.wakeup.record_ns(wait_ns);
        }
        if wait_ns > self.longest.wait_ns {
            self.longest = LongestWait { wait_ns, pid, name };
        }
        let part = self.part(part);
        part.wait_max_ns = part.wait_max_ns.max(wait_ns);
    }

    pub(crate) fn part(&mut self, part: u32) -> &mut PartStats {
        let part = part as usize;
        if self.parts.len() <= part {
            self.parts.resize(part + 1, PartStats::default());
        }
        &mut self.parts[part]
    }
}

//! What a run of `isolation` found.

use crate::histogram::Durations;
use crate::report::{Better, PartReport, micros, seconds};

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// From the time the polite process was to wake until it ran.
    pub wakeups: Durations,
    /// From the time it was to wake until its burst was done.
    pub responses: Durations,
    /// Wakeups that were due while a burst still lasted.
    pub missed: u64,
    /// How long it was watched.
    pub elapsed_ns: u64,
    /// CPU time of the polite cgroup.
    pub polite_ns: u64,
    /// CPU time of the hostile one.
    pub hostile_ns: u64,
    /// What the hostile hogs computed, in units.
    pub work: u64,
    /// Processes that were forked.
    pub forks: u64,
}

impl Seen {
    /// The figures, on a machine with so many CPUs.
    pub fn report(&self, cpus: usize) -> PartReport {
        let mut report = PartReport::new("isolation");
        let (wakeups, responses) = (&self.wakeups, &self.responses);
        let us = |durations: &Durations, quantile| micros(durations.quantile_ns(quantile));
        report.metric("wakeup_p99_us", "us", us(wakeups, 0.99), Better::Lower);
        report.metric("wakeup_p50_us", "us", us(wakeups, 0.5), Better::Lower);
        let max_us = micros(wakeups.max_ns());
        report.metric("wakeup_max_us", "us", max_us, Better::Lower);
        report.metric("response_p99_us", "us", us(responses, 0.99), Better::Lower);
        let served = wakeups.count() as f64 / (wakeups.count() + self.missed).max(1) as f64;
        report.metric("served_share", "1", served, Better::Higher);
        let capacity_ns = (self.elapsed_ns.max(1) * cpus as u64) as f64;
        for (name, cpu_ns) in [
            ("polite_cpu_share", self.polite_ns),
            ("hostile_cpu_share", self.hostile_ns),
        ] {
            report.metric(name, "1", cpu_ns as f64 / capacity_ns, Better::Higher);
        }
        let per_second = |count: u64| count as f64 / seconds(self.elapsed_ns.max(1));
        let work = per_second(self.work);
        report.metric("work_per_s", "units/s", work, Better::Higher);
        let forks = per_second(self.forks);
        report.metric("forks_per_s", "1/s", forks, Better::Higher);
        report.histogram("wakeup", wakeups);
        report.histogram("response", responses);
        report
    }
}

//! `tenants`: what it is and what is measured.

use crate::histogram::Durations;
use crate::report::{Better, PartReport, micros, seconds};
use crate::spec::Count;

/// Several tenants of one machine, each a cgroup with a weight. In each, processes compute without end,
/// and one wakes at a rate and computes a little each time, as a service does.
///
/// All want more than they can have, so each should get CPU time by its weight. Needs root and cgroup
/// v2 with its cpu controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenants {
    /// The weight of each tenant's cgroup, 1 to 10000; 100 is the kernel's default.
    pub weights: Vec<u32>,
    /// Processes of each tenant that compute and never sleep. With fewer than there are CPUs a heavy
    /// tenant cannot use its share.
    pub hogs: Count,
    /// Wakeups of each tenant's service a second.
    pub rate: u32,
    /// What it computes each time, in microseconds on an undisturbed CPU.
    pub burst_us: u32,
    /// Duration in seconds.
    pub seconds: f64,
}

impl Tenants {
    /// The fewest and the most tenants.
    pub const COUNT: std::ops::RangeInclusive<usize> = 2..=16;

    /// The time between two wakeups of a service.
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.rate)
    }

    /// The weights as they are written.
    pub fn weights_text(&self) -> String {
        let weights: Vec<String> = self.weights.iter().map(u32::to_string).collect();
        weights.join("/")
    }
}

/// What one tenant got.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    /// Its weight.
    pub weight: u32,
    /// CPU time of all its tasks.
    pub cpu_ns: u64,
    /// From the time its service was to wake until it ran.
    pub wakeups: Durations,
    /// From the time it was to wake until its burst was done.
    pub responses: Durations,
    /// Wakeups that were due while a burst still lasted.
    pub missed: u64,
}

impl Tenant {
    /// Nothing yet.
    pub fn new(weight: u32) -> Self {
        Self {
            weight,
            ..Self::default()
        }
    }

    /// One wakeup.
    pub fn woke(&mut self, late_ns: u64, response_ns: u64) {
        self.wakeups.record_ns(late_ns);
        self.responses.record_ns(response_ns);
    }
}

/// The distance of what tenants got of all that they got from their shares by weight: half the sum of
/// the differences. 0 is fair, 1 the worst.
pub fn share_error(tenants: &[Tenant]) -> f64 {
    let all_ns: u64 = tenants.iter().map(|tenant| tenant.cpu_ns).sum();
    let weights: u64 = tenants.iter().map(|tenant| u64::from(tenant.weight)).sum();
    let apart = |tenant: &Tenant| {
        let share = tenant.cpu_ns as f64 / all_ns.max(1) as f64;
        (share - f64::from(tenant.weight) / weights.max(1) as f64).abs()
    };
    tenants.iter().map(apart).sum::<f64>() / 2.0
}

/// The figures of a run that took so long, in which the hogs computed `work` units.
pub fn report(tenants: &[Tenant], elapsed_ns: u64, work: u64) -> PartReport {
    let mut report = PartReport::new("tenants");
    report.metric("share_error", "1", share_error(tenants), Better::Lower);
    let us = |durations: &Durations, quantile| micros(durations.quantile_ns(quantile));
    let (mut wakeups, mut served, mut missed) = (Durations::new(), 0, 0);
    for tenant in tenants {
        wakeups.add(&tenant.wakeups);
        served += tenant.wakeups.count();
        missed += tenant.missed;
    }
    report.metric("wakeup_p99_us", "us", us(&wakeups, 0.99), Better::Lower);
    let served_share = served as f64 / (served + missed).max(1) as f64;
    report.metric("served_share", "1", served_share, Better::Higher);
    let work_per_s = work as f64 / seconds(elapsed_ns.max(1));
    report.metric("work_per_s", "units/s", work_per_s, Better::Higher);
    let all_ns: u64 = tenants.iter().map(|tenant| tenant.cpu_ns).sum();
    for (index, tenant) in tenants.iter().enumerate() {
        let name = |what: &str| format!("tenant{}_{what}", index + 1);
        let share = tenant.cpu_ns as f64 / all_ns.max(1) as f64;
        report.metric(&name("share"), "1", share, Better::Higher);
        let late_us = us(&tenant.wakeups, 0.99);
        report.metric(&name("wakeup_p99_us"), "us", late_us, Better::Lower);
        let response_us = us(&tenant.responses, 0.99);
        report.metric(&name("response_p99_us"), "us", response_us, Better::Lower);
        report.histogram(&name("wakeup"), &tenant.wakeups);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(weight: u32, cpu_ns: u64) -> Tenant {
        Tenant {
            cpu_ns,
            ..Tenant::new(weight)
        }
    }

    #[test]
    fn shares_are_compared_with_weights() {
        assert_eq!(share_error(&[tenant(100, 1), tenant(300, 3)]), 0.0);
        assert_eq!(share_error(&[tenant(100, 2), tenant(300, 2)]), 0.25);
        assert_eq!(share_error(&[tenant(100, 0), tenant(100, 0)]), 0.5);
    }

    #[test]
    fn each_tenant_has_its_figures() {
        let mut tenants = [tenant(100, 25), tenant(300, 75)];
        tenants[1].woke(2000, 5000);
        tenants[1].missed = 1;
        let report = report(&tenants, 1_000_000_000, 7);
        let value = |name: &str| {
            let mut metrics = report.metrics.iter();
            metrics.find(|metric| metric.name == name).unwrap().value
        };
        assert_eq!((value("share_error"), value("tenant2_share")), (0.0, 0.75));
        assert_eq!(
            (value("tenant2_wakeup_p99_us"), value("work_per_s")),
            (2.0, 7.0)
        );
        assert_eq!(
            (value("served_share"), value("tenant1_wakeup_p99_us")),
            (0.5, 0.0)
        );
    }
}

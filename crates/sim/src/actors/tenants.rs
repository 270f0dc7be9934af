//! [`Tenants`]: a cgroup for each, with hogs and a service that wakes at a rate.

use baton_policy::SEC;
use baton_workload::{
    PartReport, Tenants, names,
    tenants::{self, Tenant},
};

use super::{
    PartView, Played, Setting,
    crowd::{self, Service, Shared},
    hogs,
};
use crate::actor::Stage;

/// The tenants on the stage.
pub(super) struct House {
    /// Weights, paths of cgroups, and what the services measure.
    tenants: Vec<(u32, String, Shared)>,
    end_ns: u64,
}

pub(super) fn install(tenants: &Tenants, stage: &mut Stage, setting: &Setting) -> House {
    let mut house = House {
        tenants: Vec::new(),
        end_ns: setting.start_ns + (tenants.seconds * SEC as f64) as u64,
    };
    let (period_ns, burst_ns) = (tenants.period_ns(), u64::from(tenants.burst_us) * 1000);
    let count = tenants.weights.len() as u64;
    for (number, weight) in (1..).zip(&tenants.weights) {
        let cgroup = format!("/tenants/tenant{number}");
        stage.weigh_cgroup(cgroup.as_str(), *weight);
        for _ in 0..tenants.hogs.on(setting.cpus) {
            stage.spawn(hogs::spawn(names::TENANT_HOG, setting.part).cgroup(cgroup.as_str()));
        }
        let log = Shared::default();
        // Not all at once, as real ones never are.
        let wake_ns = setting.start_ns + period_ns * number / count;
        let service = Service::new(wake_ns, period_ns, burst_ns, &log);
        let spawn = service.spawn(names::TENANT_SERVICE, setting.part);
        stage.spawn(spawn.cgroup(cgroup.as_str()));
        house.tenants.push((*weight, cgroup, log));
    }
    crowd::end_at(house.end_ns, "tenants", stage, setting);
    house
}

impl Played for House {
    fn report(&self, _: &Stage, view: &PartView) -> PartReport {
        let got = self.tenants.iter().map(|(weight, cgroup, log)| {
            let log = log.read();
            Tenant {
                weight: *weight,
                cpu_ns: view.cgroup_ns(cgroup),
                wakeups: log.wakeups.clone(),
                responses: log.responses.clone(),
                missed: log.missed,
            }
        });
        let got: Vec<Tenant> = got.collect();
        let mut report = tenants::report(&got, view.end_ns, view.hogs_ns);
        if view.end_ns < self.end_ns {
            report.unfinished = Some("ended early".to_owned());
        }
        report
    }
}

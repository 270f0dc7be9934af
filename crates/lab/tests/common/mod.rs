//! Results made for tests.
// Not every test file looks at everything.
#![allow(dead_code)]

use std::collections::BTreeMap;

use baton_lab::results::{Environment, Metric, Results, Run, SCHEMA, Status, Variant, Workload};
use baton_workload::Better;

/// The primary metric of [`results`].
pub const TIME: &str = "pipe.time_s";

/// An experiment with these variants, the baseline first, on one workload; no runs. `x/2` is an A/A check
/// of `x`.
pub fn results(variants: &[&str]) -> Results {
    let variant = |name: &&str| Variant {
        name: (*name).into(),
        what: String::new(),
        same_as: name.strip_suffix("/2").map(str::to_owned),
        prefix: false,
    };
    Results {
        schema: SCHEMA,
        experiment: "made".into(),
        description: String::new(),
        source: String::new(),
        seed: 1,
        runs_planned: 0,
        environment: Environment {
            backend: "vm".into(),
            kernel: "7.0".into(),
            machine: "2-cpu".into(),
            cpus: 2,
            processor: "any".into(),
            accelerator: Some("emulation".into()),
            versions: BTreeMap::new(),
            git: None,
        },
        variants: variants.iter().map(variant).collect(),
        workloads: vec![workload("pipe", "pipe:rounds=3000,threads=yes")],
        metrics: vec![metric("pipe", TIME, "s", Better::Lower, true)],
        runs: Vec::new(),
        notes: Vec::new(),
        started: "2026-11-26T10:00:00Z".into(),
        wall_s: 1.0,
    }
}

/// A workload.
pub fn workload(name: &str, what: &str) -> Workload {
    Workload {
        name: name.into(),
        what: what.into(),
    }
}

/// A metric.
pub fn metric(workload: &str, name: &str, unit: &str, better: Better, primary: bool) -> Metric {
    Metric {
        workload: workload.into(),
        name: name.into(),
        unit: unit.into(),
        better,
        primary,
    }
}

/// Adds a run of each round with these values of a metric.
pub fn add(results: &mut Results, variant: &str, workload: &str, metric: &str, values: &[f64]) {
    for (round, &value) in values.iter().enumerate() {
        let mut run = run(round as u32, variant, workload);
        run.values.insert(metric.into(), value);
        results.runs.push(run);
    }
}

/// A run that ended well, with no values.
pub fn run(round: u32, variant: &str, workload: &str) -> Run {
    Run {
        round,
        boot: 0,
        variant: variant.into(),
        workload: workload.into(),
        seed: 1,
        status: Status::Ok,
        problem: None,
        values: BTreeMap::new(),
        latencies: BTreeMap::new(),
        cpu_s: None,
        wall_s: 1.0,
        counters: BTreeMap::new(),
    }
}

/// Values about `middle`, by up to `spread` of it, in another order for each seed.
pub fn about(middle: f64, spread: f64, n: usize, seed: u64) -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let value = |_| middle * (1.0 + spread * (2.0 * rng.f64() - 1.0));
    (0..n).map(value).collect()
}

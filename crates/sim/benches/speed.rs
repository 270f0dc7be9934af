//! How fast the simulator is: events per second, and cost per event by the size of the machine.
//!
//! `cargo bench -p baton-sim`; `thrpt` is events per second.
// The macros at the end make items that nobody documents.
#![allow(missing_docs)]

use std::{hint::black_box, time::Duration};

use baton_machine::MachineFile;
use baton_sim::{Config, run_named};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Scheduler, machine, workload.
const RUNS: &[(&str, &str, &str)] = &[
    ("fifo", "2-cpu", "messaging:loops=300"),
    ("fifo", "2-cpu", "hogs:seconds=200"),
    ("edf", "2-cpu", "frames:seconds=100+hogs"),
    ("edf", "2-socket-48-core", "messaging:groups=24,loops=50"),
    ("edf", "2-socket-48-core", "frames:seconds=20+hogs"),
    // The same load for each CPU on 8 and on 1,024.
    (
        "fifo",
        "8-cpu-2-socket-numa",
        "messaging:groups=3,loops=200",
    ),
    ("fifo", "1024-cpu", "messaging:groups=384,loops=5"),
    ("edf", "8-cpu-2-socket-numa", "hogs:seconds=100"),
    ("edf", "1024-cpu", "hogs:seconds=1"),
    ("kernel", "2-cpu", "messaging:loops=300"),
    // It queues for itself, so each event is the policy's work, too.
    (
        "eevdf",
        "8-cpu-2-socket-numa",
        "hogs:count=2/cpu,seconds=20",
    ),
    ("eevdf", "8-node-numa", "hogs:count=2/cpu,seconds=2"),
    ("eevdf", "8-node-numa", "messaging:groups=32,loops=20"),
];

fn speed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sim");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4));
    for (scheduler, machine, workload) in RUNS {
        let file = MachineFile::find(machine).expect("a built-in machine");
        let config = Config::on(&file, workload.parse().expect("a workload"));
        let events = run_named(scheduler, &config).expect("a run").events;
        group.throughput(Throughput::Elements(events));
        group.bench_function(format!("{scheduler} {machine} {workload}"), |bencher| {
            bencher.iter(|| {
                run_named(scheduler, black_box(&config))
                    .expect("a run")
                    .events
            });
        });
    }
    group.finish();
}

criterion_group!(benches, speed);
criterion_main!(benches);

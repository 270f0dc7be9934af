//! Recordings played again by the simulator: whatever was recorded, its invariants hold, and the run
//! comes to an end.
#![no_main]

use std::{convert::Infallible, sync::Arc};

use baton_fuzz::{Words, machine_file, recording};
use baton_policy::{MS, Mode};
use baton_sim::{Config, Replay, simulate};
use baton_workload::Workload;
use libfuzzer_sys::fuzz_target;

/// Long enough for any order of events, and short enough for many runs in a second.
const LIMIT_NS: u64 = 200 * MS;

fuzz_target!(|bytes: &[u8]| {
    let mut words = Words::new(bytes);
    let schedulers: Vec<&str> = baton_sim::schedulers().collect();
    let scheduler = words.one_of(&schedulers);
    let mut config = Config::on(&machine_file(&mut words), Workload::none());
    let mode = *words.one_of(&[Mode::Decide, Mode::Hint]);
    // The recorded machine may be smaller than the one that plays it, and larger.
    let capacities = [1024, 512, 1, 1024];
    let events = recording::events(&mut words, capacities.len() as u32);
    let events = events.into_iter().map(Ok::<_, Infallible>);
    let Ok(replay) = Replay::new("fuzz", &capacities, u64::MAX, events);
    config.replay = Some(Arc::new(replay));
    config.limit_ns = LIMIT_NS;
    config.audit_each = 16;
    config.mode = mode;
    if let Err(error) = simulate(scheduler, &config, false) {
        // Not every policy has a hint mode.
        assert!(mode == Mode::Hint, "{error}");
        assert!(
            !matches!(error, baton_sim::Error::Violation { .. }),
            "{error}"
        );
    }
});

//! The reader of perf's files.
#![no_main]

use std::io::Cursor;

use baton_trace::{Bursts, perf::import_from};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(imported) = import_from(Cursor::new(bytes)) else {
        return;
    };
    let cpus = imported.header.cpus();
    assert!(imported.events.is_sorted_by_key(|event| event.time_ns));
    assert!(imported.events.iter().all(|event| event.cpu < cpus));
    for burst in Bursts::of(imported.events) {
        assert!(burst.ran_ns + burst.waited_ns <= burst.ended_ns - burst.began_ns);
    }
});

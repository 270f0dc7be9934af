//! The reader of recordings, and what is made of their events.
#![no_main]

use baton_fuzz::recording::as_blocks;
use baton_trace::{Audit, Bursts, Recording, Summary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if let Some(file) = as_blocks(bytes) {
        read(&file);
    }
});

fn read(bytes: &[u8]) {
    let Ok(recording) = Recording::read_from(bytes, "fuzz") else {
        return;
    };
    let cpus = recording.header().cpus();
    let mut audit = Audit::default();
    let (mut bursts, mut found) = (Bursts::new(), Vec::new());
    let mut time_ns = 0;
    for event in recording.map_while(Result::ok) {
        assert!(event.cpu < cpus && event.time_ns >= time_ns);
        time_ns = event.time_ns;
        audit.add(&event);
        bursts.event(&event, &mut found);
    }
    bursts.finish(&mut found);
    if let Ok(mut recording) = Recording::read_from(bytes, "fuzz") {
        let _ = Summary::of(&mut recording);
    }
}

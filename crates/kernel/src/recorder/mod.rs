//! Records what the scheduler does, whichever it is: `bpf/record.bpf.c` writes records into
//! memory, and here they become a recording's file.
//!
//! - `load`: the programs, loaded and attached;
//! - `rings`: the memory that they write;
//! - `merge`: records of all CPUs, merged by time, as events; `known`: the tasks that were told;
//! - `relay`: the relay's events, where a policy runs;
//! - `abi`: the records.
//!
//! ```no_run
//! use std::{fs::File, thread::sleep, time::{Duration, Instant}};
//!
//! use baton_kernel::recorder::{Recorder, RecordConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = File::create("scheduling.rec")?;
//! let mut recorder = Recorder::start(RecordConfig::new("example"), file)?;
//! let end = Instant::now() + Duration::from_secs(1);
//! while Instant::now() < end {
//!     sleep(recorder.poll()?);
//! }
//! let totals = recorder.finish()?;
//! println!("{} events, {} lost", totals.events, totals.lost);
//! # Ok(()) }
//! ```

mod abi;
mod error;
mod known;
mod load;
mod merge;
mod relay;
mod rings;

use std::{
    fs::File,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use baton_trace::{Absent, Header, NameHider, Trailer, Writer};

pub use error::RecordError;

use crate::{realtime::now_ns, relay::kernel_release, ring::Ring};
use load::Programs;
use merge::Merge;
use relay::RelayListener;
use rings::{Rings, Sizes};

/// How long nobody looks at the rings, at most and at least.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// What was recorded is in the file after this.
const FLUSH_NS: u64 = 1_000_000_000;

const RING_BYTES: u32 = 1 << 20;
const RING_BYTES_MIN: u32 = 4096;
const RING_BYTES_MAX: u32 = 4 << 20;

/// How to record.
#[derive(Clone, Debug)]
pub struct RecordConfig {
    /// What the file says wrote it.
    pub writer: String,
    /// Puts salted hashes in the place of tasks' names.
    pub hider: Option<NameHider>,
    /// Room for records of each CPU that is online at the beginning, in bytes; rounded up to a power of
    /// two between 4 KiB and 4 MiB. A switch or a wakeup takes 16. Forks, names and the relay's events
    /// of all CPUs have as much once more; CPUs that come online later share that, at 64 bytes a record.
    pub ring_bytes: u32,
    /// Whether the balancer's questions may be seen by trampolines; else by probes alone, which cost
    /// more. For tests.
    pub trampolines: bool,
}

impl RecordConfig {
    /// With names, and 1 MiB for each CPU.
    #[must_use]
    pub fn new(writer: &str) -> Self {
        Self {
            writer: writer.into(),
            hider: None,
            ring_bytes: RING_BYTES,
            trampolines: true,
        }
    }

    fn sizes(&self, cpus: u32, rings: u32) -> Sizes {
        let bytes = self.ring_bytes.clamp(RING_BYTES_MIN, RING_BYTES_MAX);
        let bytes = bytes.next_power_of_two();
        Sizes {
            cpus,
            rings,
            words: u64::from(bytes) / 8,
            shared_bytes: bytes,
        }
    }
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events in the file.
    pub events: u64,
    /// Events that found no room.
    pub lost: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A recording in progress. Dropping it stops the programs; the file then has no end.
#[derive(Debug)]
pub struct Recorder {
    programs: Programs,
    rings: Rings,
    shared: Ring,
    merge: Merge,
    writer: Writer<File>,
    header: Header,
    began_ns: u64,
    flushed_ns: u64,
    relay: RelayListener,
}

impl Recorder {
    /// Whether this machine can be recorded, as far as can be seen without trying.
    ///
    /// # Errors
    /// What it lacks, with the remedy.
    pub fn check() -> Result<(), RecordError> {
        load::check()
    }

    /// Starts to record into a file.
    ///
    /// # Errors
    /// What this machine lacks, with the remedy; or that the file cannot be written.
    pub fn start(config: RecordConfig, file: File) -> Result<Self, RecordError> {
        load::check()?;
        let machine = baton_machine::read_sys(Path::new("/sys"));
        let machine = machine.map_err(|error| RecordError::Machine(error.to_string()))?;
        let cpus = machine.cpus.len() as u32;
        if cpus as usize > abi::MAX_CPUS {
            return Err(RecordError::Machine(format!(
                "this machine has {cpus} CPUs, and the recorder takes {} at most",
                abi::MAX_CPUS
            )));
        }
        let online: Vec<u32> = (0..cpus)
            .filter(|cpu| machine.cpus[*cpu as usize].online)
            .collect();
        let sizes = config.sizes(cpus, online.len() as u32);
        let attached = load::attach(sizes, &online, config.trampolines)?;
        let mut relay = RelayListener::default();
        relay.look(&attached.programs);
        let mut absent = attached.absent;
        if let Some(why) = relay.unheard() {
            absent.push(Absent {
                kind: "relay".into(),
                why: format!("at the beginning, the relay could not be listened to: {why}"),
            });
        }
        let mut header = Header {
            kernel: kernel_release(),
            names_hidden: config.hider.is_some(),
            absent,
            ..Header::new(&config.writer, machine)
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let began_ns = now_ns();
        header.began_unix_ns = wall.map_or(0, |wall| wall.as_nanos() as u64);
        header.began_monotonic_ns = began_ns;
        let mut writer = Writer::new(file, &header)?;
        let mut merge = Merge::new(cpus, config.hider);
        attached.rings.begin(began_ns);
        let tasks = attached.programs.tasks();
        let tasks = tasks.map_err(RecordError::system("cannot list the tasks"))?;
        merge.introduce(&tasks, &mut writer)?;
        Ok(Self {
            programs: attached.programs,
            rings: attached.rings,
            shared: attached.shared,
            merge,
            writer,
            header,
            began_ns,
            flushed_ns: 0,
            relay,
        })
    }

    /// What the file says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Writes what was recorded; after how long to do it again, at the latest.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn poll(&mut self) -> Result<Duration, RecordError> {
        let now = now_ns() - self.began_ns;
        let fullest = self.drain(Some(now))?;
        if now - self.flushed_ns > FLUSH_NS {
            self.flushed_ns = now;
            self.writer.flush()?;
            self.relay.look(&self.programs);
        }
        Ok(pause(fullest))
    }

    fn drain(&mut self, now_ns: Option<u64>) -> Result<f64, RecordError> {
        let Self {
            merge,
            rings,
            shared,
            writer,
            ..
        } = self;
        Ok(merge.drain(rings, shared, now_ns, writer)?)
    }

    /// Whether a relay schedules this machine and its events are recorded.
    #[must_use]
    pub fn hears_relay(&self) -> bool {
        self.relay.listens()
    }

    /// Why the relay that schedules this machine is not heard, if it is not. It is tried again while
    /// the recording goes on.
    #[must_use]
    pub fn relay_unheard(&self) -> Option<&str> {
        self.relay.unheard()
    }

    /// What was written so far.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            events: self.writer.events(),
            lost: self.writer.lost(),
            bytes: self.writer.bytes(),
        }
    }

    /// Stops, writes what is left and ends the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<Trailer, RecordError> {
        self.programs.detach();
        self.relay.stop();
        let duration_ns = now_ns() - self.began_ns;
        self.drain(None)?;
        self.merge
            .tell_last_losses(&self.rings, duration_ns, &mut self.writer)?;
        let trailer = Trailer {
            duration_ns,
            late: self.merge.late,
            ..Trailer::default()
        };
        let (_, trailer) = self.writer.finish(&trailer)?;
        Ok(trailer)
    }
}

/// How long nobody need look, after the fullest ring was found as full as this. Half full is soon
/// enough to look more often, and the fuller the sooner.
fn pause(fullest: f64) -> Duration {
    PAUSE.div_f64((fullest * 4.0).max(1.0)).max(PAUSE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_sooner() {
        assert_eq!(pause(0.0), PAUSE);
        assert_eq!(pause(0.25), PAUSE);
        assert_eq!(pause(0.5), PAUSE / 2);
        assert_eq!(pause(1.0), PAUSE / 4);
        assert_eq!(pause(1e9), PAUSE_MIN);
    }

    #[test]
    fn the_shared_ring_is_as_large_as_asked() {
        for (asked, given) in [
            (1, 4096),
            (5000, 8192),
            (1 << 20, 1 << 20),
            (u32::MAX, 4 << 20),
        ] {
            let config = RecordConfig {
                ring_bytes: asked,
                ..RecordConfig::new("test")
            };
            let sizes = config.sizes(4, 2);
            assert_eq!(
                (sizes.rings, sizes.words * 8, sizes.shared_bytes),
                (2, u64::from(given), given)
            );
        }
    }
}

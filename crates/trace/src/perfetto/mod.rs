//! Traces for Perfetto (<https://ui.perfetto.dev>).
//!
//! Each recording is a group of tracks: two counters, then a track for each CPU with a slice for each
//! stay of a task, arrows from wakeups to what they led to, and marks for migrations, the balancer's
//! questions, and the relay's decisions. Several recordings in one file stand below each other, each
//! with its own begin at 0.

mod group;
mod message;

use std::io::{self, Write};

pub use group::Group;
use message::{Message, field};

/// A trace file under way.
pub struct Perfetto<W> {
    out: W,
    groups: u64,
    flows: u64,
}

impl<W: Write> Perfetto<W> {
    /// Begins a trace.
    pub const fn new(out: W) -> Self {
        Self {
            out,
            groups: 0,
            flows: 0,
        }
    }

    /// Begins a recording of a machine with so many CPUs, under a name.
    ///
    /// # Errors
    /// Those of the file.
    pub fn group(&mut self, name: &str, cpus: u32) -> io::Result<Group<'_, W>> {
        self.groups += 1;
        Group::new(self, name, cpus)
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn packet(&mut self, packet: Message) -> io::Result<()> {
        let packet = packet.number(field::SEQUENCE_ID, self.groups);
        let packet = Message::default().message(field::TRACE_PACKET, &packet);
        self.out.write_all(packet.content())
    }
}

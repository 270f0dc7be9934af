//! Writes a recording, block by block.

use std::io::Write;

use crate::{
    codec::{ROOM, State},
    error::WriteError,
    event::{Event, RelayEvent, What},
    frame::{self, Kind},
    header::{self, Header, MAGIC, TEXT_MAX, Trailer, VERSION},
};

/// A block is written when it has this many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes a recording. What was written before a crash can be read up to the last block:
/// [`flush`](Self::flush) ends one.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    cpus: u32,
    state: State,
    /// Of which `filled` bytes are the block's.
    block: Box<[u8]>,
    filled: usize,
    block_events: u32,
    block_time_ns: u64,
    time_ns: u64,
    events: u64,
    lost: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header. The output need not be buffered: each block is one or two calls.
    ///
    /// # Errors
    /// When the output cannot be written, the header is too long, or its machine is none that a
    /// policy could take.
    pub fn new(mut out: W, header: &Header) -> Result<Self, WriteError> {
        header.machine.check().map_err(WriteError::Machine)?;
        let text = serde_json::to_vec(header).map_err(|_| WriteError::Description)?;
        if text.len() > TEXT_MAX {
            return Err(WriteError::Description);
        }
        let mut bytes = Vec::with_capacity(text.len() + 20);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        let crc = header::checksum(&bytes, &text);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&text);
        out.write_all(&bytes)?;
        Ok(Self {
            out,
            cpus: header.cpus(),
            state: State::new(header.cpus()),
            block: vec![0; BLOCK_BYTES + ROOM].into_boxed_slice(),
            filled: 0,
            block_events: 0,
            block_time_ns: 0,
            time_ns: 0,
            events: 0,
            lost: 0,
            bytes: bytes.len() as u64,
        })
    }

    /// Adds an event, which is no earlier than the one before.
    ///
    /// # Errors
    /// When the event is earlier, names a CPU that the header does not have, or a block
    /// cannot be written.
    pub fn push(&mut self, event: &Event) -> Result<(), WriteError> {
        self.check(event)?;
        // Where it could not be written before.
        if self.filled >= BLOCK_BYTES {
            self.end_block()?;
        }
        if self.filled == 0 {
            self.block_time_ns = event.time_ns;
            self.state.reset(event.time_ns);
        }
        let room = self.block[self.filled..].first_chunk_mut();
        let room = room.expect("a block ends before its room does");
        self.filled += self.state.encode(event, room);
        self.block_events += 1;
        self.time_ns = event.time_ns;
        self.events += 1;
        if let What::Lost { count, .. } = event.what {
            self.lost = self.lost.saturating_add(count);
        }
        if self.filled >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn check(&self, event: &Event) -> Result<(), WriteError> {
        let named = match event.what {
            What::Wakeup { target, .. } => target,
            What::Migrate { from, to, .. } | What::CanMigrate { from, to, .. } => from.max(to),
            What::Relay(RelayEvent::Decided { cpu: Some(cpu), .. }) => cpu,
            _ => 0,
        };
        let cpu = named.max(event.cpu);
        if cpu >= self.cpus {
            let cpus = self.cpus;
            return Err(WriteError::Cpu { cpu, cpus });
        }
        if event.time_ns < self.time_ns {
            return Err(WriteError::Order {
                time_ns: event.time_ns,
                before_ns: self.time_ns,
            });
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), WriteError> {
        if self.filled == 0 {
            return Ok(());
        }
        self.bytes += frame::write(
            &mut self.out,
            Kind::Events,
            self.block_events,
            self.block_time_ns,
            &self.block[..self.filled],
        )?;
        self.filled = 0;
        self.block_events = 0;
        Ok(())
    }

    /// Ends the block and flushes the output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.end_block()?;
        Ok(self.out.flush()?)
    }

    /// Ends the recording. `events` and `lost` of the trailer are the writer's own counts. Gives the
    /// output back with the trailer that was written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, trailer: &Trailer) -> Result<(W, Trailer), WriteError> {
        self.end_block()?;
        let trailer = Trailer {
            events: self.events,
            lost: self.lost,
            ..trailer.clone()
        };
        let text = serde_json::to_vec(&trailer).map_err(|_| WriteError::Description)?;
        frame::write(&mut self.out, Kind::End, 0, self.time_ns, &text)?;
        self.out.flush()?;
        Ok((self.out, trailer))
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Events lost so far.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The time of the last event.
    #[must_use]
    pub const fn time_ns(&self) -> u64 {
        self.time_ns
    }
}

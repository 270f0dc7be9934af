//! Frames of the file: a header, then blocks, then the trailer, each with its length
//! and a checksum.

use std::io::{self, Read, Write};

/// Bytes before a block's payload.
pub(crate) const BLOCK_PREFIX: usize = 24;
/// Longest payload of a block.
pub(crate) const BLOCK_MAX: usize = 1 << 20;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Events,
    End,
}

impl Kind {
    const fn mark(self) -> [u8; 4] {
        match self {
            Self::Events => *b"EVTS",
            Self::End => *b"END\0",
        }
    }

    fn of(mark: [u8; 4]) -> Option<Self> {
        [Self::Events, Self::End]
            .into_iter()
            .find(|kind| kind.mark() == mark)
    }
}

/// A block's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) kind: Kind,
    pub(crate) length: u32,
    pub(crate) events: u32,
    /// The time that the first event's counts from.
    pub(crate) time_ns: u64,
    /// Of all of the prefix before it, and the payload.
    pub(crate) crc: u32,
}

impl Prefix {
    pub(crate) fn new(kind: Kind, events: u32, time_ns: u64, payload: &[u8]) -> Self {
        let mut prefix = Self {
            kind,
            length: payload.len() as u32,
            events,
            time_ns,
            crc: 0,
        };
        prefix.crc = prefix.checksum(payload);
        prefix
    }

    pub(crate) fn checksum(&self, payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.bytes()[..BLOCK_PREFIX - 4]);
        hasher.update(payload);
        hasher.finalize()
    }

    pub(crate) fn bytes(&self) -> [u8; BLOCK_PREFIX] {
        let mut bytes = [0; BLOCK_PREFIX];
        bytes[..4].copy_from_slice(&self.kind.mark());
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.events.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[20..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8; BLOCK_PREFIX]) -> Result<Self, &'static str> {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let length = u32::from_le_bytes(word(4));
        if length as usize > BLOCK_MAX {
            return Err("a block longer than blocks are");
        }
        let time = [word(12), word(16)].concat();
        Ok(Self {
            kind: Kind::of(word(0)).ok_or("no block begins here")?,
            length,
            events: u32::from_le_bytes(word(8)),
            time_ns: u64::from_le_bytes(time.try_into().unwrap_or_default()),
            crc: u32::from_le_bytes(word(20)),
        })
    }
}

/// Writes a block.
pub(crate) fn write(
    out: &mut impl Write,
    kind: Kind,
    events: u32,
    time_ns: u64,
    payload: &[u8],
) -> io::Result<u64> {
    let prefix = Prefix::new(kind, events, time_ns, payload);
    out.write_all(&prefix.bytes())?;
    out.write_all(payload)?;
    Ok((BLOCK_PREFIX + payload.len()) as u64)
}

/// Fills the buffer as far as the input goes; how many bytes that were.
pub(crate) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

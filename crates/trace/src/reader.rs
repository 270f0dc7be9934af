//! Reads a recording, block by block: the memory that it takes does not grow with the
//! file.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    codec::State,
    error::{Fault, ReadError},
    event::Event,
    frame::{self, BLOCK_PREFIX, Kind, Prefix},
    header::{self, Ending, Header, MAGIC, TEXT_MAX, VERSION},
};

/// Bytes before the header's text.
const FILE_PREFIX: usize = 20;

/// A recording that is read: an iterator over its events, in the order of their time. It ends after
/// the last whole block, or with the first error.
///
/// Whatever the file's bytes are, every CPU that an event names is one of the header's, and no event
/// is earlier than the one before it; tasks may be any.
///
/// ```
/// # use baton_trace::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("baton-doc-{}.rec", std::process::id()));
/// # let header = Header::new("doc", baton_policy::Machine::uniform("two", 2));
/// # let mut writer = Writer::new(std::fs::File::create(&path)?, &header)?;
/// # writer.push(&Event { time_ns: 5, cpu: 1, what: What::Exit { pid: 7 } })?;
/// # writer.finish(&Trailer::default())?;
/// let mut recording = Recording::open(&path)?;
/// println!("{} CPUs", recording.header().cpus());
/// for event in recording.by_ref() {
///     println!("{:?}", event?);
/// }
/// if let Some(Ending::Cut { offset }) = recording.ending() {
///     eprintln!("the recording was cut off at byte {offset}");
/// }
/// # std::fs::remove_file(&path)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Recording<R = BufReader<File>> {
    input: R,
    path: PathBuf,
    header: Header,
    state: State,
    /// Of the file up to the end of the current block.
    offset: u64,
    block: Vec<u8>,
    /// Of the current block, how much was decoded.
    read: usize,
    /// Events that are left in it.
    left: u32,
    ending: Option<Ending>,
    failed: bool,
}

impl Recording {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, is no recording, is of a newer format, or its header is damaged or
    /// tells of a machine that cannot be: one of no CPU or more than
    /// [`MAX_CPUS`](baton_policy::MAX_CPUS), or whose CPUs' numbers do not fit together.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let input = File::open(path).map_err(|error| ReadError {
            path: path.into(),
            fault: error.into(),
        })?;
        Self::read_from(BufReader::with_capacity(1 << 17, input), path)
    }
}

impl<R: Read> Recording<R> {
    /// Reads the header from any input; `path` is what errors call it.
    ///
    /// # Errors
    /// As for [`Recording::open`].
    pub fn read_from(mut input: R, path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        match read_header(&mut input) {
            Ok((header, offset)) => Ok(Self {
                input,
                path,
                state: State::new(header.cpus()),
                header,
                offset,
                block: Vec::new(),
                read: 0,
                left: 0,
                ending: None,
                failed: false,
            }),
            Err(fault) => Err(ReadError { path, fault }),
        }
    }

    /// What the recording says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How the recording ends; known once all of its events were read, and none where it is damaged.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Bytes of the file up to the end of the block that is being read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next block; false at the end of the recording.
    fn next_block(&mut self) -> Result<bool, Fault> {
        let start = self.offset;
        let damaged = |what| Fault::Damaged {
            offset: start,
            what,
        };
        let mut prefix = [0; BLOCK_PREFIX];
        let filled = frame::fill(&mut self.input, &mut prefix)?;
        if filled < BLOCK_PREFIX {
            self.ending = Some(Ending::Cut { offset: start });
            return Ok(false);
        }
        let prefix = Prefix::parse(&prefix).map_err(damaged)?;
        self.block.resize(prefix.length as usize, 0);
        let filled = frame::fill(&mut self.input, &mut self.block)?;
        if filled < self.block.len() {
            self.ending = Some(Ending::Cut { offset: start });
            return Ok(false);
        }
        if prefix.checksum(&self.block) != prefix.crc {
            return Err(damaged("a block's checksum"));
        }
        self.offset += (BLOCK_PREFIX + self.block.len()) as u64;
        if prefix.kind == Kind::End {
            let trailer = serde_json::from_slice(&self.block);
            let trailer = trailer.map_err(|_| damaged("the totals at the end"))?;
            self.ending = Some(Ending::Whole(trailer));
            return Ok(false);
        }
        if prefix.time_ns < self.state.time_ns() {
            return Err(damaged(
                "a block that begins before the one ahead of it ends",
            ));
        }
        self.state.reset(prefix.time_ns);
        self.read = 0;
        self.left = prefix.events;
        Ok(true)
    }

    fn next_event(&mut self) -> Result<Option<Event>, Fault> {
        while self.left == 0 {
            if self.read < self.block.len() {
                return Err(self.damaged("a block with more than its events"));
            }
            if self.ending.is_some() || !self.next_block()? {
                self.block.clear();
                self.read = 0;
                return Ok(None);
            }
        }
        let mut rest = &self.block[self.read..];
        let before = rest.len();
        let event = self.state.decode(&mut rest);
        let taken = before - rest.len();
        let event = event.map_err(|what| self.damaged(what))?;
        self.read += taken;
        self.left -= 1;
        Ok(Some(event))
    }

    /// Damage at the place in the block that was read to.
    fn damaged(&self, what: &'static str) -> Fault {
        Fault::Damaged {
            offset: self.offset - (self.block.len() - self.read) as u64,
            what,
        }
    }
}

impl<R: Read> Iterator for Recording<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.next_event()
            .map_err(|fault| {
                self.failed = true;
                ReadError {
                    path: self.path.clone(),
                    fault,
                }
            })
            .transpose()
    }
}

fn read_header(input: &mut impl Read) -> Result<(Header, u64), Fault> {
    let mut prefix = [0; FILE_PREFIX];
    let filled = frame::fill(input, &mut prefix)?;
    let known = filled.min(MAGIC.len());
    if prefix[..known] != MAGIC[..known] || filled == 0 {
        return Err(Fault::Foreign);
    }
    if filled < FILE_PREFIX {
        let offset = filled as u64;
        return Err(Fault::NoHeader { offset });
    }
    let word = |at: usize| [prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]];
    let found = u16::from_le_bytes([prefix[8], prefix[9]]);
    if found > VERSION {
        return Err(Fault::Newer { found });
    }
    let damaged = |offset, what| Fault::Damaged { offset, what };
    if found == 0 {
        return Err(damaged(8, "a format that never was"));
    }
    let length = u32::from_le_bytes(word(12)) as usize;
    if length > TEXT_MAX {
        return Err(damaged(12, "a header longer than headers are"));
    }
    let mut text = vec![0; length];
    let filled = frame::fill(input, &mut text)?;
    let end = (FILE_PREFIX + filled) as u64;
    if filled < length {
        return Err(Fault::NoHeader { offset: end });
    }
    if header::checksum(&prefix[..16], &text) != u32::from_le_bytes(word(16)) {
        return Err(damaged(0, "the header's checksum"));
    }
    let header = serde_json::from_slice::<Header>(&text);
    let header = header.map_err(|_| damaged(FILE_PREFIX as u64, "the header's text"))?;
    header.machine.check().map_err(Fault::Machine)?;
    Ok((header, end))
}

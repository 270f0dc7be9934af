//! Logs what the policy saw and decided, without ever making it wait.
//!
//! The scheduling thread writes into a ring in memory; another thread writes that
//! to the file. Should the file be too slow, records are lost, the log says where,
//! and replay ends there.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use baton_policy::{Decision, Event, log};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::Error;

const RING_BYTES: usize = 16 << 20;
const RECORD_ROOM: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(5);

/// The scheduling thread's end.
#[derive(Debug)]
pub struct Recorder {
    ring: Producer<u8>,
    scratch: Vec<u8>,
    gap: u64,
}

impl Recorder {
    /// Takes its memory; to be called on the scheduling thread.
    #[must_use]
    pub fn new(ring: Producer<u8>) -> Self {
        Self {
            ring,
            scratch: Vec::with_capacity(RECORD_ROOM),
            gap: 0,
        }
    }

    /// An event, before the policy sees it.
    pub fn event(&mut self, event: &Event) {
        self.scratch.clear();
        log::encode_event(event, &mut self.scratch);
        self.write();
    }

    /// The end of a batch and what was decided in it.
    pub fn batch(&mut self, now_ns: u64, decisions: &[Decision]) {
        self.scratch.clear();
        log::encode_batch_end(now_ns, &mut self.scratch);
        log::encode_decisions(decisions, &mut self.scratch);
        self.write();
    }

    fn write(&mut self) {
        if self.gap > 0 {
            let mut mark = Vec::with_capacity(32);
            log::encode_gap(self.gap, &mut mark);
            if self.push(&mark) {
                self.gap = 0;
            }
        }
        let scratch = std::mem::take(&mut self.scratch);
        if self.gap > 0 || !self.push(&scratch) {
            self.gap += 1;
        }
        self.scratch = scratch;
    }

    /// Tells of what was lost at the very end; waits for room, for a second at most.
    pub fn finish(&mut self) {
        let mut mark = Vec::with_capacity(32);
        log::encode_gap(self.gap, &mut mark);
        for _ in 0..200 {
            if self.gap == 0 || self.push(&mark) {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let Ok(chunk) = self.ring.write_chunk_uninit(bytes.len()) else {
            return false;
        };
        chunk.fill_from_iter(bytes.iter().copied());
        true
    }
}

/// The thread that writes the file.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<u64>>>,
}

impl LogWriter {
    /// Creates the file, writes the header and starts the thread.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start(path: &Path, header: &log::Header) -> Result<(Self, Producer<u8>), Error> {
        let failed = |source| Error::Log {
            path: path.to_path_buf(),
            source,
        };
        let mut bytes = Vec::new();
        log::encode_header(header, &mut bytes);
        let mut file = BufWriter::new(File::create(path).map_err(failed)?);
        file.write_all(&bytes).map_err(failed)?;
        let (producer, consumer) = RingBuffer::new(RING_BYTES);
        let done = Arc::new(AtomicBool::new(false));
        let thread = {
            let done = Arc::clone(&done);
            thread::Builder::new()
                .name("baton-log".into())
                .spawn(move || drain(consumer, file, &done))
                .map_err(failed)?
        };
        Ok((
            Self {
                path: path.to_path_buf(),
                done,
                thread: Some(thread),
            },
            producer,
        ))
    }

    /// Writes what is left and closes the file; its records' bytes.
    ///
    /// # Errors
    /// When the file could not be written.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.done.store(true, Ordering::Release);
        let thread = self.thread.take().expect("finished once");
        let result = thread
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("panicked")));
        result.map_err(|source| Error::Log {
            path: self.path.clone(),
            source,
        })
    }
}

fn drain(
    mut ring: Consumer<u8>,
    mut file: BufWriter<File>,
    done: &AtomicBool,
) -> std::io::Result<u64> {
    let mut written = 0;
    loop {
        let last = done.load(Ordering::Acquire);
        let ready = ring.slots();
        if let Ok(chunk) = ring.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            file.write_all(first)?;
            file.write_all(second)?;
            if ready > 0 {
                // What is in the file survives the process.
                file.flush()?;
            }
            written += ready as u64;
            chunk.commit_all();
        }
        if last {
            let mut end = Vec::new();
            log::encode_end(&mut end);
            file.write_all(&end)?;
            file.flush()?;
            return Ok(written);
        }
        thread::sleep(PAUSE);
    }
}

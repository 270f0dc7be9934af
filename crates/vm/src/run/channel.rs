//! The byte streams between a VM and its run: one thread each, so that none waits for another.

use std::{
    io::{BufReader, Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Sender,
    },
};

use crate::protocol::{self, FromGuest};

/// What the threads of a run tell the one that waits.
pub(crate) enum Event {
    Guest(FromGuest),
    /// The control port closed: QEMU has ended.
    Closed,
    /// A signal of this process.
    Signal(i32),
    /// The command's output could not be passed on.
    OutputFailed(std::io::Error),
    /// The stream of files ended, well or not.
    FilesDone(Result<(), String>),
}

/// Bytes that a stream has carried.
#[derive(Clone, Default)]
pub(crate) struct Count {
    bytes: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Count {
    pub(crate) fn get(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Whether the stream is closed and everything in it was passed on.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// Passes output on, as it comes, until the port closes.
pub(crate) fn pump(
    mut from: UnixStream,
    mut to: Box<dyn Write + Send>,
    count: &Count,
    events: &Sender<Event>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut failed = false;
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        // After a failure the rest is still drained, or the guest would block.
        if !failed && let Err(error) = to.write_all(&buffer[..length]).and_then(|()| to.flush()) {
            failed = true;
            let _ = events.send(Event::OutputFailed(error));
        }
        count.bytes.fetch_add(length as u64, Ordering::Release);
    }
    count.ended.store(true, Ordering::Release);
}

/// Passes the guest's messages on until the port closes.
pub(crate) fn listen(from: UnixStream, events: &Sender<Event>) {
    let mut reader = BufReader::new(from);
    while let Some(message) = protocol::next(&mut reader) {
        if events.send(Event::Guest(message)).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Closed);
}

//! Recordings of a machine's scheduling, opened for commands.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use baton_sim::Replay;
use baton_trace::{Fault, ReadError, Recording, header::MAGIC};

use super::{Code, Failure};

/// First bytes of perf's files.
const PERF: [u8; 8] = *b"PERFILE2";

/// Opens a recording.
///
/// # Errors
/// It cannot be read or is none; a file of perf's is told how to become one.
pub fn open_recording(path: &Path) -> Result<Recording, Failure> {
    Recording::open(path).map_err(|error| match error.fault {
        Fault::Foreign if begins_with(path, PERF) => {
            let path = path.display();
            let message = format!(
                "{path} is a file of perf's: make a recording of it with `baton trace import {path} -o \
                 imported.rec`"
            );
            Failure::new(Code::BadRecording, message)
        }
        _ => error.into(),
    })
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let code = match error.fault {
            Fault::Io(_) => Code::Io,
            _ => Code::BadRecording,
        };
        Self::new(code, error.to_string())
    }
}

/// The file that a workload's text names, if it is a recording: by its ending `.rec`, or by what it
/// begins with.
pub(super) fn named(workload: &str) -> Option<PathBuf> {
    let path = Path::new(workload);
    let is_one = path.extension().is_some_and(|ending| ending == "rec")
        || begins_with(path, MAGIC)
        || begins_with(path, PERF);
    is_one.then(|| path.to_owned())
}

/// Reads a recording up to this time to be played again, and what it says of its machine.
pub(super) fn replay(
    path: &Path,
    until_ns: u64,
) -> Result<(Replay, baton_policy::Machine), Failure> {
    let mut recording = open_recording(path)?;
    let machine = recording.header().machine.clone();
    let capacities: Vec<u32> = machine.cpus.iter().map(|cpu| cpu.capacity).collect();
    let name = path.display().to_string();
    let replay = Replay::new(name, &capacities, until_ns, recording.by_ref())?;
    if replay.tasks() == 0 {
        let message = format!("{}: nothing runs in this recording", path.display());
        return Err(Failure::new(Code::BadRecording, message));
    }
    Ok((replay, machine))
}

fn begins_with(path: &Path, magic: [u8; 8]) -> bool {
    let mut found = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut found));
    read.is_ok() && found == magic
}

//! What the stages of a sandbox tell each other: frames of JSON with a length before them.
//!
//! The contained program is never on one of these lines. The order goes in and the report comes out
//! through a socket that only the caller, the outer stage and the supervisor hold; how far the child
//! got, through a pipe that is closed when it becomes the program.

use crate::{How, Limits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// No frame is longer.
const FRAME_BYTES: usize = 4 << 20;

/// Something that is put into the new root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// A file or directory, read-only.
    Read {
        /// Where the host has it, without symbolic links.
        from: PathBuf,
        /// Where it is inside.
        at: PathBuf,
        /// Whether it is a directory.
        dir: bool,
    },
    /// A directory whose files come out, at the same path inside.
    Write {
        /// Where the host has it, without symbolic links.
        at: PathBuf,
    },
    /// A symbolic link, as the host has it.
    Link {
        /// The link.
        at: PathBuf,
        /// What it says.
        to: PathBuf,
    },
}

impl Place {
    /// Where it is inside.
    pub(crate) fn at(&self) -> &PathBuf {
        match self {
            Self::Read { at, .. } | Self::Write { at } | Self::Link { at, .. } => at,
        }
    }
}

/// The one user that there is inside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    /// User inside.
    pub(crate) uid: u32,
    /// Group inside.
    pub(crate) gid: u32,
    /// The user as the supervisor's user namespace has it.
    pub(crate) outer_uid: u32,
    /// The group as the supervisor's user namespace has it.
    pub(crate) outer_gid: u32,
    /// Whether the caller is root, who can and must leave its groups.
    pub(crate) from_root: bool,
}

/// All that the supervisor has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The new root, parents before children, links last.
    pub(crate) places: Vec<Place>,
    /// Who is inside.
    pub(crate) ids: Ids,
    /// How many bytes of input follow the order.
    pub(crate) stdin_bytes: u64,
    /// What the child does.
    pub(crate) task: Task,
}

/// What the child contains itself to, and what it becomes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The program; none where only the containing is tried.
    pub(crate) program: Option<OsString>,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Its environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub(crate) dir: PathBuf,
    /// What it may use.
    pub(crate) limits: Limits,
    /// Who it is.
    pub(crate) ids: Ids,
    /// Paths that it may read and execute.
    pub(crate) reads: Vec<PathBuf>,
    /// Directories that it may write.
    pub(crate) writes: Vec<PathBuf>,
}

/// What was attempted when containing failed; each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Namespaces of its own.
    Namespaces,
    /// Users of the namespace.
    Users,
    /// The new root.
    Root,
    /// Limits of the kernel's own.
    Limits,
    /// Giving up privileges.
    Privileges,
    /// Landlock.
    Landlock,
    /// The list of refused system calls.
    Calls,
    /// The working directory.
    Dir,
    /// Becoming the program.
    Exec,
    /// Bringing files out.
    Files,
    /// Anything else.
    Stage,
}

/// Why containing failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// At what.
    pub(crate) step: Step,
    /// What was attempted, as a phrase.
    pub(crate) what: String,
    /// The kernel's error number, or 0.
    pub(crate) errno: i32,
    /// Its words, where there is no number.
    pub(crate) words: String,
}

impl Fault {
    /// A fault of this step.
    pub(crate) fn new(step: Step, what: impl Into<String>, error: &io::Error) -> Self {
        Self {
            step,
            what: what.into(),
            errno: error.raw_os_error().unwrap_or(0),
            words: error.to_string(),
        }
    }

    /// The error that the kernel gave.
    pub(crate) fn source(&self) -> io::Error {
        match self.errno {
            0 => io::Error::other(self.words.clone()),
            errno => io::Error::from_raw_os_error(errno),
        }
    }
}

/// Turns errors into faults, with what was attempted.
pub(crate) trait Blame<T> {
    /// Says what was attempted.
    fn blame<W: Into<String>>(self, step: Step, what: impl FnOnce() -> W) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Blame<T> for Result<T, E> {
    fn blame<W: Into<String>>(self, step: Step, what: impl FnOnce() -> W) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(step, what(), &error.into()))
    }
}

/// What the child says before it becomes the program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Status {
    /// All of its own code is loaded, and it is in a user namespace.
    Ready,
    /// All is done and nothing is to be executed.
    Contained {
        /// Landlock's version.
        landlock_abi: u32,
    },
    /// It failed.
    Fault(Fault),
}

/// What the supervisor says at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Containing failed; nothing was run.
    Fault(Fault),
    /// Containing was tried, and works.
    Contained {
        /// Landlock's version.
        landlock_abi: u32,
    },
    /// The program has ended.
    Ended {
        /// How.
        how: How,
        /// Time from its start to its end.
        wall: Duration,
        /// Processor time of all processes.
        cpu: Duration,
        /// The most memory that was seen.
        peak_memory_bytes: u64,
    },
}

/// Writes a frame.
pub(crate) fn send<T: Serialize>(mut line: impl Write, value: &T) -> io::Result<()> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    line.write_all(&frame)?;
    line.flush()
}

/// Reads a frame and not one byte more; none at the end.
pub(crate) fn receive<T: DeserializeOwned>(mut line: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match line.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut body = vec![0; length];
    line.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_nothing_after_them_is_read() {
        let mut line = Vec::new();
        send(&mut line, &Status::Contained { landlock_abi: 7 }).unwrap();
        line.extend_from_slice(b"input");
        let mut rest = line.as_slice();
        let status: Option<Status> = receive(&mut rest).unwrap();
        assert!(matches!(
            status,
            Some(Status::Contained { landlock_abi: 7 })
        ));
        assert_eq!(rest, b"input");
    }

    #[test]
    fn a_length_that_is_too_long_or_cut_is_refused() {
        assert!(receive::<Status>(&[0xff, 0xff, 0xff, 0xff][..]).is_err());
        assert!(receive::<Status>(&[9, 0, 0, 0, b'1'][..]).is_err());
        assert!(receive::<Status>(&[][..]).unwrap().is_none());
    }
}

//! The ledger's file.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{
    Accepted, Line, Record, View,
    files::{self, io_error},
};

/// The number of this format.
const SCHEMA: u32 = 1;
const FILE: &str = "ledger.jsonl";

/// Why a workspace cannot be used. Each message is one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The directory or a file cannot be read or written.
    #[error("cannot use {}: {source}; make it writable, or give another --out", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is none.
    #[error(
        "{} has no {FILE}: begin one with `baton author REQUIREMENT`, or give another --out",
        directory.display()
    )]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process writes it.
    #[error(
        "another `baton author` works in {}: wait for its end, or give another --out",
        directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// It is of another version.
    #[error(
        "{} is of format {schema}, and this Baton knows {SCHEMA}: use the Baton that wrote it, or \
         give another --out",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its number.
        schema: u32,
    },
    /// A line that is none.
    #[error("{}:{line}: {problem}; give another --out", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A record that cannot follow those that are there.
    #[error("this cannot be recorded in {}: {problem}; this is a defect of Baton", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A name that no file can have.
    #[error("`{name}` cannot name a file: take up to 64 letters, digits, `-` and `_`")]
    Name {
        /// The name.
        name: String,
    },
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    schema: u32,
}

/// A ledger that was only read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// What it says.
    pub view: View,
    /// Sentences for the user, such as that the last line is torn.
    pub notes: Vec<String>,
}

/// A workspace that this process alone writes.
#[derive(Debug)]
pub struct Ledger {
    file: Flock<File>,
    directory: PathBuf,
    path: PathBuf,
    length: u64,
    view: View,
    notes: Vec<String>,
}

impl Ledger {
    /// Opens the ledger of this directory, or begins one. A torn last line, where the machine or
    /// the process died, is cut off, and [`Ledger::notes`] says so.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        fs::create_dir_all(directory).map_err(io_error(directory))?;
        let path = directory.join(FILE);
        let mut options = File::options();
        options.read(true).append(true).create(true);
        let file = options.open(&path).map_err(io_error(&path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let mut file = lock.map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => LedgerError::InUse {
                directory: directory.to_owned(),
            },
            errno => io_error(&path)(errno.into()),
        })?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(io_error(&path))?;
        file.read_to_end(&mut bytes).map_err(io_error(&path))?;
        let (read, whole) = parse(&path, &bytes)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io_error(&path))?;
        }
        let mut ledger = Self {
            file,
            directory: directory.to_owned(),
            path,
            length: whole as u64,
            view: read.view,
            notes: read.notes,
        };
        if whole == 0 {
            ledger.write_line(&Head { schema: SCHEMA })?;
        }
        Ok(ledger)
    }

    /// Reads the ledger of this directory, also while another process writes it.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn read(directory: &Path) -> Result<Read, LedgerError> {
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let directory = directory.to_owned();
                return Err(LedgerError::Missing { directory });
            }
            Err(error) => return Err(io_error(&path)(error)),
        };
        Ok(parse(&path, &bytes)?.0)
    }

    /// Adds a record, which is on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written, or cannot follow what is there; then nothing is.
    pub fn append(&mut self, record: Record, at: SystemTime) -> Result<(), LedgerError> {
        if let Err(problem) = self.view.check(&record) {
            let path = self.path.clone();
            return Err(LedgerError::Order { path, problem });
        }
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let line = Line { at_ms, record };
        self.write_line(&line)?;
        let path = &self.path;
        let applied = self.view.apply(&line);
        applied.map_err(|problem| LedgerError::Order {
            path: path.clone(),
            problem,
        })
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<(), LedgerError> {
        let io = io_error(&self.path);
        let mut bytes = match serde_json::to_vec(line) {
            Ok(bytes) => bytes,
            Err(error) => return Err(io(error.into())),
        };
        bytes.push(b'\n');
        let written = self.file.write_all(&bytes);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // What is there of it must not be in the way of the next.
            let _ = self.file.set_len(self.length);
            return Err(io(error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// What all records come to.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Sentences for the user about what was found at [`Ledger::open`].
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The workspace.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The first candidate with this source, by its [`super::source_digest`].
    #[must_use]
    pub fn same(&self, digest: &str) -> Option<u32> {
        self.view.same(digest)
    }

    /// Writes one of a candidate's files, such as `policy.rs`; returns where. The candidate's
    /// record may come after, so that it never lacks its files.
    ///
    /// # Errors
    /// It cannot be written, or the name is none.
    pub fn write(&self, id: u32, name: &str, text: &str) -> Result<PathBuf, LedgerError> {
        files::write(&self.directory, id, name, text)
    }

    /// Keeps a candidate: copies its `policy.rs` to `accepted/NAME.rs`, under a comment that tells
    /// where it comes from, and records that. If another policy has the name, the file's name gets
    /// the candidate's number. Returns the file.
    ///
    /// # Errors
    /// There is no such candidate, it has no `policy.rs`, or the name is none.
    pub fn accept(
        &mut self,
        id: u32,
        name: &str,
        by: &str,
        at: SystemTime,
    ) -> Result<PathBuf, LedgerError> {
        let Some(entry) = self.view.candidates.get(&id) else {
            let path = self.path.clone();
            let problem = format!("there is no candidate {id}");
            return Err(LedgerError::Order { path, problem });
        };
        let file = files::keep(&self.directory, &self.view, entry, name, by)?;
        let path = self.directory.join(&file);
        let record = Accepted {
            id,
            name: name.to_owned(),
            by: by.to_owned(),
            file,
        };
        self.append(Record::Accepted(record), at)?;
        Ok(path)
    }
}

/// What the bytes say, and how many of them are whole lines.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Read, usize), LedgerError> {
    let damaged = |line: usize, problem: String| LedgerError::Damaged {
        path: path.to_owned(),
        line,
        problem,
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |end| end + 1);
    let mut read = Read::default();
    if whole < bytes.len() {
        let path = path.display();
        read.notes.push(format!(
            "the last line of {path} is torn and does not count: what it told of is done again"
        ));
    }
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    for (index, line) in lines.enumerate() {
        let number = index + 1;
        if index == 0 {
            let head: Head = serde_json::from_slice(line)
                .map_err(|error| damaged(number, format!("this begins no ledger: {error}")))?;
            if head.schema != SCHEMA {
                let (path, schema) = (path.to_owned(), head.schema);
                return Err(LedgerError::Schema { path, schema });
            }
            continue;
        }
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| damaged(number, format!("this is no line of a ledger: {error}")))?;
        let applied = read.view.apply(&line);
        applied.map_err(|problem| damaged(number, problem))?;
    }
    Ok((read, whole))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

//! Reads what `perf sched record` wrote, as a recording.
//!
//! - `check`: whether a file can be given to the library that reads records;
//! - `format`: what fields tracepoints have, as the file itself tells;
//! - `convert`: from records to events; `early`: wakings that were met before their task had left its
//!   CPU.
//!
//! A file of perf's has no questions of the balancer and nothing of Baton's relay. A wakeup by an
//! interrupt has no waker there: perf tells interrupts from tasks.

mod check;
mod convert;
mod early;
mod format;

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use baton_policy::Machine;
use linux_perf_data::{Feature, PerfFile, PerfFileReader, PerfFileRecord};

use self::{convert::Converter, format::Tracepoints};
use crate::{Absent, Event, Header, Trailer};

/// CPUs that a recording may have.
const MOST_CPUS: u32 = baton_policy::MAX_CPUS as u32;

/// A file of perf's, read.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What is known of the machine. The clock at the beginning is not.
    pub header: Header,
    /// What happened, in the order of time.
    pub events: Vec<Event>,
    /// Totals.
    pub trailer: Trailer,
    /// Records that have no event here, by what they are, such as `sched_stat_runtime`.
    pub passed_over: Vec<(String, u64)>,
}

/// Why a file of perf's cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct ImportError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: ImportFault,
}

/// What is wrong with a file of perf's.
#[derive(Debug, thiserror::Error)]
pub enum ImportFault {
    /// It could not be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no file of perf's: it does not begin with PERFILE2")]
    Foreign,
    /// It was written on a machine of the other byte order.
    #[error("this file comes from a big-endian machine, which cannot be imported")]
    BigEndian,
    /// It was written into a pipe.
    #[error("this file was written to a pipe: record with `perf sched record -o FILE`")]
    Pipe,
    /// perf was killed before it wrote the file's end.
    #[error("perf did not finish this file: record again, and end perf with Ctrl-C")]
    Unfinished,
    /// Records are packed.
    #[error("its records are compressed: record without -z")]
    Compressed,
    /// It has no scheduling.
    #[error("it has no {0}: record with `perf sched record`")]
    Missing(&'static str),
    /// A tracepoint does not have a field that it should.
    #[error("its kernel's tracepoint {tracepoint} has no usable field {field}")]
    Field {
        /// The tracepoint.
        tracepoint: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A record is not what its head says.
    #[error("one of its records cannot be read ({what}): record again")]
    Record {
        /// What is wrong.
        what: String,
    },
    /// Some of its bytes cannot be.
    #[error("the file is damaged at byte {offset}: {what}; record again")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

/// Reads a `perf.data` as `perf sched record` writes it.
///
/// # Errors
/// It cannot be read, is something else, or has no switches.
pub fn import(path: impl AsRef<Path>) -> Result<Imported, ImportError> {
    let path = path.as_ref();
    let read = || {
        let file = File::open(path)?;
        import_from(BufReader::with_capacity(1 << 17, file))
    };
    read().map_err(|fault| ImportError {
        path: path.to_owned(),
        fault,
    })
}

/// As [`import`], from any input.
///
/// # Errors
/// As [`import`].
pub fn import_from(input: impl Read + Seek) -> Result<Imported, ImportFault> {
    let mut input = BufReader::new(input);
    check::check(&mut input)?;
    input.seek(SeekFrom::Start(0))?;
    let PerfFileReader {
        mut perf_file,
        mut record_iter,
    } = PerfFileReader::parse_file(input).map_err(|error| damaged(0, error))?;
    let tracing = perf_file.feature_section_data(Feature::TRACING_DATA);
    let tracing = tracing.ok_or(ImportFault::Missing("descriptions of tracepoints"))?;
    let tracepoints = Tracepoints::parse(tracing)?;
    let mut converter = Converter::new(tracepoints);
    let unreadable = |what: String| ImportFault::Record { what };
    while let Some(record) = record_iter
        .next_record(&mut perf_file)
        .map_err(|error| unreadable(error.to_string()))?
    {
        if let PerfFileRecord::EventRecord { record, .. } = record {
            converter.record(&record).map_err(unreadable)?;
        }
    }
    converter.finish(&header(&perf_file))
}

fn damaged(offset: u64, what: impl ToString) -> ImportFault {
    let what = what.to_string();
    ImportFault::Damaged { offset, what }
}

/// What the file says of the machine; how many CPUs is settled by the events.
fn header(file: &PerfFile) -> Header {
    let version = file.perf_version().ok().flatten().unwrap_or("perf");
    let cpus = file.nr_cpus().ok().flatten();
    let cpus = cpus.map_or(1, |cpus| cpus.nr_cpus_available);
    let machine = Machine::uniform("perf", cpus.clamp(1, MOST_CPUS));
    let mut header = Header::new(&format!("perf sched record, perf {version}"), machine);
    header.kernel = file.os_release().ok().flatten().unwrap_or("").to_owned();
    let absent = |kind: &str, why: &str| Absent {
        kind: kind.to_owned(),
        why: why.to_owned(),
    };
    header.absent = vec![
        absent("can_migrate", "perf sched record does not ask for it"),
        absent("relay", "perf sched record does not know it"),
    ];
    header
}

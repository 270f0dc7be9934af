//! `baton trace export`: recordings for other programs.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    process::ExitCode,
};

use baton::app::{Code, Failure, open_recording};
use baton_trace::{Ending, Perfetto, Recording};

use crate::failures::fail;

/// Write recordings as Parquet tables, for pandas and DuckDB, or as a trace for Perfetto
///
/// docs/recording-schema.md tells the tables' columns. In a trace for Perfetto
/// (ui.perfetto.dev) several recordings stand below each other, each with its own begin at 0.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  baton trace export build.rec --parquet build.parquet --bursts bursts.parquet
  baton trace export eevdf.rec edf.rec --perfetto both.pftrace")]
#[command(group(clap::ArgGroup::new("out").required(true).multiple(true)))]
pub(crate) struct Args {
    /// Recordings; for tables, one
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write a table of events
    #[arg(long, value_name = "OUT", group = "out")]
    parquet: Option<PathBuf>,
    /// Write a table of bursts: CPU time between two sleeps
    #[arg(long, value_name = "OUT", group = "out")]
    bursts: Option<PathBuf>,
    /// Write a trace for ui.perfetto.dev
    #[arg(long, value_name = "OUT", group = "out")]
    perfetto: Option<PathBuf>,
    /// Print JSON: what was written
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let outputs = [&args.parquet, &args.bursts, &args.perfetto];
    for out in outputs.into_iter().flatten() {
        for file in &args.files {
            not_the_same(file, out)?;
        }
    }
    not_twice(&outputs)?;
    if args.files.len() > 1 && (args.parquet.is_some() || args.bursts.is_some()) {
        return fail(
            Code::Usage,
            "a table is of one recording: name one, or call this once for each",
        );
    }
    let mut events = 0;
    if let Some(path) = &args.perfetto {
        events = perfetto(&args.files, path)?;
    }
    if args.parquet.is_some() || args.bursts.is_some() {
        events = tables(
            &args.files[0],
            args.parquet.as_deref(),
            args.bursts.as_deref(),
        )?;
    }
    let written = outputs.into_iter().flatten();
    if args.json {
        let written: Vec<_> = written.collect();
        outln!(
            "{}",
            serde_json::json!({"events": events, "files": written})
        );
    } else {
        for path in written {
            outln!("{}: from {events} events", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses to write over what is read.
pub(crate) fn not_the_same(file: &Path, out: &Path) -> anyhow::Result<()> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(file).is_some_and(|file| real(out) == Some(file)) {
        let message = format!(
            "{} is what is read: name another file to write",
            out.display()
        );
        return fail(Code::Usage, message);
    }
    Ok(())
}

/// Refuses to write two things to one file.
fn not_twice(outputs: &[&Option<PathBuf>]) -> anyhow::Result<()> {
    let outputs: Vec<&PathBuf> = outputs.iter().copied().flatten().collect();
    for (at, out) in outputs.iter().enumerate() {
        if outputs[..at].iter().any(|other| place(other) == place(out)) {
            let message = format!(
                "{} is named for two outputs: name a file for each",
                out.display()
            );
            return fail(Code::Usage, message);
        }
    }
    Ok(())
}

/// Where a file is or will be.
fn place(path: &Path) -> PathBuf {
    let real = |path: &Path| std::fs::canonicalize(path);
    if let Ok(found) = real(path) {
        return found;
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match (real(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let created = File::create(path).map_err(|error| Failure::io("write", path, &error))?;
    Ok(BufWriter::with_capacity(1 << 17, created))
}

/// Writes what is still held back.
fn end(path: &Path, out: BufWriter<File>) -> Result<(), Failure> {
    let flushed = out.into_inner();
    flushed.map_err(|error| Failure::io("write", path, error.error()))?;
    Ok(())
}

/// One trace of all recordings; how many events it has.
fn perfetto(files: &[PathBuf], path: &Path) -> Result<u64, Failure> {
    let cannot = |error: std::io::Error| Failure::io("write", path, &error);
    let mut recordings = Vec::new();
    for file in files {
        recordings.push((file, open_recording(file)?));
    }
    let mut trace = Perfetto::new(create(path)?);
    let mut events = 0;
    let mut damage = None;
    for (file, mut recording) in recordings {
        let cpus = recording.header().cpus();
        let name = file.display().to_string();
        let mut group = trace.group(&name, cpus).map_err(cannot)?;
        for event in recording.by_ref() {
            match event {
                Ok(event) => group.event(&event).map_err(cannot)?,
                Err(error) => {
                    damage.get_or_insert(error);
                    break;
                }
            }
            events += 1;
        }
        group.finish().map_err(cannot)?;
        tell_cut(file, &recording);
    }
    end(path, trace.finish().map_err(cannot)?)?;
    damage.map_or(Ok(events), |error| Err(error.into()))
}

/// A recording that was cut off is exported up to there.
fn tell_cut(file: &Path, recording: &Recording) {
    if let Some(Ending::Cut { offset }) = recording.ending() {
        let file = file.display();
        eprintln!("{file} was cut off at byte {offset}: what lies before is exported");
    }
}

#[cfg(feature = "parquet")]
fn tables(file: &Path, events: Option<&Path>, bursts: Option<&Path>) -> Result<u64, Failure> {
    use baton_trace::parquet::{BurstTable, EventTable, TableError};

    let cannot = |path: &Path, error: TableError| {
        Failure::new(
            Code::Io,
            format!("cannot write {}: {error}", path.display()),
        )
    };
    let mut recording = open_recording(file)?;
    let header = recording.header().clone();
    let mut event_table = None;
    if let Some(path) = events {
        let table = EventTable::new(create(path)?, &header);
        event_table = Some((path, table.map_err(|error| cannot(path, error))?));
    }
    let mut burst_table = None;
    if let Some(path) = bursts {
        let table = BurstTable::new(create(path)?, &header);
        burst_table = Some((path, table.map_err(|error| cannot(path, error))?));
    }
    let mut count = 0;
    let mut damage = None;
    for event in recording.by_ref() {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        count += 1;
        if let Some((path, table)) = &mut event_table {
            table.event(&event).map_err(|error| cannot(path, error))?;
        }
        if let Some((path, table)) = &mut burst_table {
            table.event(&event).map_err(|error| cannot(path, error))?;
        }
    }
    if let Some((path, table)) = event_table {
        let out = table.finish().map_err(|error| cannot(path, error))?;
        end(path, out)?;
    }
    if let Some((path, table)) = burst_table {
        let out = table.finish().map_err(|error| cannot(path, error))?;
        end(path, out)?;
    }
    tell_cut(file, &recording);
    damage.map_or(Ok(count), |error| Err(error.into()))
}

#[cfg(not(feature = "parquet"))]
fn tables(_: &Path, _: Option<&Path>, _: Option<&Path>) -> Result<u64, Failure> {
    Err(Failure::new(
        Code::NotBuilt,
        "this program was built without Parquet: build it with --features parquet",
    ))
}

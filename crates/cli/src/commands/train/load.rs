//! Recordings and data sets as one data set.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use baton::app::{Code, Failure, open_recording};
use baton_trace::header::MAGIC;
use baton_train::{Builder, Data, DataError, machine_name};

pub(crate) fn io(path: &Path, what: &str, error: &dyn Display) -> Failure {
    Failure::new(
        Code::Io,
        format!("cannot {what} {}: {error}", path.display()),
    )
}

/// The samples of all files.
pub(crate) fn all(files: &[PathBuf]) -> anyhow::Result<Data> {
    let mut all = Data::default();
    for path in files {
        let data = if is_recording(path)? {
            recording(path)?
        } else {
            Data::read(path).map_err(|error| bad_data(path, &error))?
        };
        all.append(&data).map_err(|error| bad_data(path, &error))?;
    }
    Ok(all)
}

fn is_recording(path: &Path) -> anyhow::Result<bool> {
    use std::io::Read as _;
    let mut begin = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begin))
        .map_err(|error| io(path, "read", &error))?;
    Ok(begin == MAGIC)
}

fn recording(path: &Path) -> anyhow::Result<Data> {
    let mut recording = open_recording(path)?;
    let header = recording.header();
    let machine = machine_name(header);
    if header.names_hidden {
        eprintln!(
            "{}: names are hidden, by a key of this recording alone: what is learned from them holds \
             for no other",
            path.display()
        );
    }
    let application = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut builder = Builder::new(&application, &machine);
    for event in &mut recording {
        builder.event(&event.map_err(Failure::from)?);
    }
    Ok(builder.finish())
}

pub(super) fn bad_data(path: &Path, error: &DataError) -> Failure {
    match error {
        DataError::Io(error) => io(path, "read", error),
        DataError::Malformed(_) => {
            let message = format!("{}: {error}", path.display());
            Failure::new(Code::Other("bad-data", 2), message)
        }
        DataError::TooSmall(_) => {
            let message = format!("{}: {error}", path.display());
            Failure::new(Code::Usage, message)
        }
    }
}

//! Files for the host, as a tar stream.

use std::{
    fs::File,
    io::{self, Cursor, Read, Write},
    path::{Path, PathBuf},
};

use super::ports;
use crate::protocol::{Config, port};

/// Files up to this size are read whole, as those of /proc and /sys tell a wrong size.
const WHOLE_BYTES: u64 = 8 << 20;
/// Directories nest less deeply than this.
const MAX_DEPTH: u32 = 64;

/// Sends what the host asked for. Returns the stream's length and what does not exist.
pub(super) fn send(config: &Config) -> Result<(u64, Vec<String>), String> {
    let paths: Vec<PathBuf> = config
        .out
        .iter()
        .map(|out| Path::new(&config.cwd).join(out))
        .collect();
    let (present, missing): (Vec<_>, Vec<_>) = paths
        .iter()
        .enumerate()
        .partition(|(_, path)| path.exists());
    let missing = missing
        .into_iter()
        .map(|(index, _)| config.out[index].clone())
        .collect();
    if present.is_empty() {
        return Ok((0, missing));
    }
    let stream = Counting {
        inner: ports::open(port::FILES)?,
        count: 0,
    };
    let mut builder = tar::Builder::new(stream);
    for (index, path) in present {
        add(&mut builder, path, Path::new(&index.to_string()), 0)
            .map_err(|error| format!("cannot send {}: {error}", path.display()))?;
    }
    let stream = builder
        .into_inner()
        .map_err(|error| format!("cannot send files: {error}"))?;
    Ok((stream.count, missing))
}

fn add(
    builder: &mut tar::Builder<impl Write>,
    path: &Path,
    name: &Path,
    depth: u32,
) -> io::Result<()> {
    let data = path.metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata_in_mode(&data, tar::HeaderMode::Complete);
    if data.is_dir() && depth < MAX_DEPTH {
        header.set_size(0);
        builder.append_data(&mut header, name, io::empty())?;
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let (path, name) = (entry.path(), name.join(entry.file_name()));
            let Ok(data) = path.metadata() else { continue }; // a link to nowhere
            // Links to directories make cycles, in /sys above all; links to files are followed.
            let is_link_to_dir = data.is_dir() && path.is_symlink();
            // Some files of /sys can only be written, or answer with an error.
            let is_unreadable = data.is_file() && !is_readable(&path);
            if !is_link_to_dir && !is_unreadable {
                add(builder, &path, &name, depth + 1)?;
            }
        }
    } else if data.is_file() {
        let mut file = File::open(path)?;
        let mut start = Vec::new();
        Read::by_ref(&mut file)
            .take(WHOLE_BYTES)
            .read_to_end(&mut start)?;
        if (start.len() as u64) < WHOLE_BYTES {
            header.set_size(start.len() as u64);
            builder.append_data(&mut header, name, start.as_slice())?;
        } else {
            header.set_size(data.len());
            // All processes are gone, so the file does not change any more.
            builder.append_data(&mut header, name, Cursor::new(start).chain(file))?;
        }
    }
    Ok(())
}

fn is_readable(path: &Path) -> bool {
    File::open(path)
        .and_then(|mut file| file.read(&mut [0]))
        .is_ok()
}

struct Counting<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

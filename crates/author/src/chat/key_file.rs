//! Files that hold a key.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Longest file with a key, bytes.
const BYTES_MAX: u64 = 64 << 10;

/// Why the key's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the key's file {}: {source}; correct --key-file, or make it readable", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Its text, and whether others than its owner can read it.
pub(super) fn read_text(path: &Path) -> io::Result<(String, bool)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let open_to_others = metadata.is_file() && metadata.permissions().mode() & 0o044 != 0;
    let mut text = String::new();
    file.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        let too_long = format!("it has more than {} KiB", BYTES_MAX >> 10);
        return Err(io::Error::new(io::ErrorKind::InvalidData, too_long));
    }
    Ok((text, open_to_others))
}

/// The same of the key's file.
pub(super) fn read(path: &Path) -> Result<(String, bool), KeyFileError> {
    read_text(path).map_err(|source| KeyFileError {
        path: path.to_owned(),
        source,
    })
}

/// What to tell of a file with a key that others can read.
pub(super) fn open_to_others(path: &Path) -> String {
    let path = path.display();
    format!("others can read the key in {path}: take that from them (chmod 600 {path})")
}

//! Files from the guest, stored on the host. The guest may run anything, so its stream is not
//! trusted: only plain files and directories below the paths that the caller named are written.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
};

/// Bytes that a guest may send.
const MAX_BYTES: u64 = 4 << 30;

/// Unpacks the guest's tar stream. `outs` are pairs of guest path and host path; the stream's top
/// directories are named by their index.
pub(crate) fn unpack(from: impl Read, outs: &[(String, PathBuf)]) -> Result<(), String> {
    let mut from = from.take(MAX_BYTES);
    let mut archive = tar::Archive::new(&mut from);
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.into_owned();
        let target =
            target(&name, entry.header().entry_type().is_dir(), outs).ok_or_else(|| {
                format!(
                    "the guest sent a file that was not asked for: {}",
                    name.display()
                )
            })?;
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        store(&mut entry, &target, mode)
            .map_err(|error| format!("{}: {error}", target.display()))?;
    }
    if from.limit() == 0 {
        Err(format!("the guest sent more than {MAX_BYTES} bytes"))
    } else {
        Ok(())
    }
}

fn broken(error: io::Error) -> String {
    format!("the guest's stream is broken: {error}")
}

fn store(entry: &mut tar::Entry<'_, impl Read>, target: &Path, mode: u32) -> io::Result<()> {
    match entry.header().entry_type() {
        tar::EntryType::Directory => std::fs::create_dir_all(target),
        tar::EntryType::Regular => {
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut file = File::create(target)?;
            io::copy(entry, &mut file)?;
            file.set_permissions(std::fs::Permissions::from_mode(mode | 0o600))
        }
        other => Err(io::Error::other(format!(
            "the guest sent an entry of type {other:?}"
        ))),
    }
}

/// Where on the host the stream's entry `name` belongs.
fn target(name: &Path, is_dir: bool, outs: &[(String, PathBuf)]) -> Option<PathBuf> {
    let mut components = name.components();
    let Component::Normal(index) = components.next()? else {
        return None;
    };
    let (guest, host) = outs.get(index.to_str()?.parse::<usize>().ok()?)?;
    let mut target = host.clone();
    let mut depth = 0;
    for component in components {
        let Component::Normal(name) = component else {
            return None;
        };
        target.push(name);
        depth += 1;
    }
    if depth == 0 && !is_dir && host.is_dir() {
        target.push(Path::new(guest).file_name()?);
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            // Set by hand: the crate refuses to write `..`, and a hostile guest does not.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_and_directories_arrive() {
        let dir = TempDir::new().unwrap();
        let outs = [
            ("/tmp/a".to_owned(), dir.path().join("b")),
            ("/tmp/d".to_owned(), dir.path().join("e")),
            ("/tmp/f".to_owned(), dir.path().to_owned()),
        ];
        let stream = archive(&[
            ("0", tar::EntryType::Regular, "hello"),
            ("1/", tar::EntryType::Directory, ""),
            ("1/x/y", tar::EntryType::Regular, "deep"),
            ("2", tar::EntryType::Regular, "named"),
        ]);
        unpack(stream.as_slice(), &outs).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (read("b"), read("e/x/y"), read("f")),
            ("hello".into(), "deep".into(), "named".into())
        );
    }

    #[test]
    fn a_hostile_stream_is_refused() {
        let dir = TempDir::new().unwrap();
        let outs = [("/tmp/d".to_owned(), dir.path().join("d"))];
        for (name, kind) in [
            ("0/../../x", tar::EntryType::Regular),
            ("/etc/x", tar::EntryType::Regular),
            ("1", tar::EntryType::Regular),
            ("x", tar::EntryType::Regular),
            ("0/link", tar::EntryType::Symlink),
            ("0/fifo", tar::EntryType::Fifo),
        ] {
            let stream = archive(&[(name, kind, "")]);
            assert!(unpack(stream.as_slice(), &outs).is_err(), "{name} {kind:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

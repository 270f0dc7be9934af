//! What a program needs to run: its interpreter and its shared libraries.
//!
//! Which library a name means depends on run paths, the loader's cache and its configuration. Only
//! the program's own loader knows all of that, so it is asked (`--list`, as ldd(1) does); a program
//! is among the things that the caller runs anyway.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

/// Bytes that hold the headers of every real program.
const HEAD_BYTES: u64 = 64 * 1024;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// What the first bytes of a file say about how it is run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program for the dynamic loader `interpreter`.
    Dynamic { interpreter: PathBuf },
    /// A shared library: needs other libraries, names no loader.
    Library,
    /// `#!interpreter arguments...`
    Script { words: Vec<String> },
    /// Needs nothing: a static program or data.
    Plain,
}

pub(crate) fn kind(path: &Path) -> std::io::Result<Kind> {
    let mut head = Vec::new();
    std::fs::File::open(path)?
        .take(HEAD_BYTES)
        .read_to_end(&mut head)?;
    Ok(kind_of(&head))
}

fn kind_of(head: &[u8]) -> Kind {
    if let Some(rest) = head.strip_prefix(b"#!") {
        let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let words = String::from_utf8_lossy(line)
            .split_whitespace()
            .map(Into::into)
            .collect();
        return Kind::Script { words };
    }
    elf_kind(head).unwrap_or(Kind::Plain)
}

/// Reads the program headers of a 64-bit little-endian ELF file; elf(5).
fn elf_kind(head: &[u8]) -> Option<Kind> {
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let offset = number::<8>(head, 32)?;
    let size = number::<2>(head, 54)?;
    let count = number::<2>(head, 56)?;
    let mut kind = Kind::Plain;
    for index in 0..count {
        let header = offset.checked_add(index * size)?;
        match number::<4>(head, header)? as u32 {
            PT_INTERP => {
                let start = usize::try_from(number::<8>(head, header + 8)?).ok()?;
                let text = head.get(start..)?.split(|&byte| byte == 0).next()?;
                let interpreter = PathBuf::from(std::str::from_utf8(text).ok()?);
                return Some(Kind::Dynamic { interpreter });
            }
            PT_DYNAMIC => kind = Kind::Library,
            _ => {}
        }
    }
    Some(kind)
}

fn number<const N: usize>(head: &[u8], offset: u64) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let bytes = head.get(start..start.checked_add(N)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)),
    )
}

/// The shared libraries of `binary`, its loader included, as paths on the host.
pub(crate) fn libraries(binary: &Path, interpreter: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |problem: String| Error::Library {
        binary: binary.into(),
        problem,
    };
    let output = Command::new(interpreter)
        .arg("--list")
        .arg(binary)
        .env_remove("LD_PRELOAD")
        .output()
        .map_err(|error| failed(format!("its loader {}: {error}", interpreter.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut libraries = parse_list(&text).map_err(|library| {
        failed(format!(
            "it needs {library}, which is not installed or not found by the loader"
        ))
    })?;
    // A library without dependencies is "statically linked" to the loader, with failure.
    if !output.status.success() && libraries.is_empty() && !text.contains("statically linked") {
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !complaint.contains("not a dynamic") {
            return Err(failed(format!("its loader says: {}", complaint.trim())));
        }
    }
    libraries.push(interpreter.into());
    Ok(libraries)
}

/// Paths in a loader's list, or the name of a library that it does not find.
fn parse_list(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut libraries = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        if place.starts_with("not found") {
            return Err(name.into());
        }
        let path = place.rsplit_once(" (").map_or(place, |(path, _)| path);
        if path.starts_with('/') {
            libraries.push(path.into());
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(kind_of(b"hello"), Kind::Plain);
        assert_eq!(kind_of(b"\x7fELF\x02\x01"), Kind::Plain);
        let words = vec!["/usr/bin/env".to_owned(), "python3".to_owned()];
        assert_eq!(
            kind_of(b"#! /usr/bin/env python3\nx"),
            Kind::Script { words }
        );
        let Kind::Dynamic { interpreter } = kind(&std::env::current_exe().unwrap()).unwrap() else {
            panic!("a test is dynamically linked");
        };
        assert!(interpreter.exists());
    }

    #[test]
    fn a_loader_list_is_read() {
        let list = "\tlinux-vdso.so.1 (0x7ffc)\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            parse_list(list).unwrap(),
            [
                PathBuf::from("/lib/libc.so.6"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ]
        );
        assert_eq!(
            parse_list("\tlibx.so.1 => not found\n").unwrap_err(),
            "libx.so.1"
        );
    }

    #[test]
    fn this_test_has_a_c_library() {
        let binary = std::env::current_exe().unwrap();
        let Kind::Dynamic { interpreter } = kind(&binary).unwrap() else {
            panic!()
        };
        let libraries = libraries(&binary, &interpreter).unwrap();
        assert!(
            libraries
                .iter()
                .any(|path| path.to_string_lossy().contains("libc.so"))
        );
    }
}

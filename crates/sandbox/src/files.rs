//! Brings files out of the sandbox, when no process is left that could change them.
//!
//! Their names and sizes are the program's choice. So no path is followed, only names in directories
//! that are open; what is neither a file nor a directory stays; and depth, number and bytes have
//! bounds.

use crate::root::Out;
use crate::wire::{Blame, Fault, Step};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// Directories in directories.
const DEPTH: usize = 32;

/// Copies a written directory into the host's; false if it does not fit the budget, which is less by
/// what was copied.
pub(crate) fn bring_out(out: &Out, budget: &mut u64) -> Result<bool, Fault> {
    copy_dir(&out.scratch, &out.host, budget, DEPTH)
        .blame(Step::Files, || format!("copy into {}", out.path.display()))
}

fn copy_dir(from: &OwnedFd, to: &OwnedFd, budget: &mut u64, depth: usize) -> io::Result<bool> {
    for (name, kind) in names(from)? {
        let fits = match kind {
            Some(Type::File) => copy_file(from, to, &name, budget)?,
            Some(Type::Directory) if depth > 0 => {
                match mkdirat(to, name.as_c_str(), Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
                let inner = open(from, &name, flags)?;
                copy_dir(&inner, &open(to, &name, flags)?, budget, depth - 1)?
            }
            Some(Type::Directory) => false,
            _ => true,
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The names of a directory, in order, with what they are.
fn names(dir: &OwnedFd) -> io::Result<Vec<(CString, Option<Type>)>> {
    let dot = CString::from(c".");
    let mut open = Dir::from_fd(open(dir, &dot, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
    let mut names = Vec::new();
    for entry in open.iter() {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(names)
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CString, budget: &mut u64) -> io::Result<bool> {
    let source = File::from(open(from, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?);
    let data = fstat(&source)?;
    let length = u64::try_from(data.st_size).unwrap_or(u64::MAX);
    let Some(rest) = budget.checked_sub(length) else {
        return Ok(false);
    };
    *budget = rest;
    // Nothing of what is there is written into: it may have another name, or lead elsewhere.
    if fstatat(to, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
        unlinkat(to, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
    }
    let executable = Mode::from_bits_truncate(data.st_mode).contains(Mode::S_IXUSR);
    let mode = if executable { 0o755 } else { 0o644 };
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | SAFE;
    let target = openat(to, name.as_c_str(), flags, Mode::from_bits_truncate(mode))?;
    let mut source = io::Read::take(source, length);
    io::copy(&mut source, &mut File::from(target))?;
    Ok(true)
}

/// Neither through links nor for others.
const SAFE: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_CLOEXEC);

fn open(dir: &OwnedFd, name: &CString, flags: OFlag) -> io::Result<OwnedFd> {
    Ok(openat(dir, name.as_c_str(), flags | SAFE, Mode::empty())?)
}

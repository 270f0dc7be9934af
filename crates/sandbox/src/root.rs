//! The new root: a tmpfs with what was asked for, and nothing else of the host.

use crate::wire::{Blame, Fault, Order, Place, Step};
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Gid, Uid, chown, pivot_root};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where the base is put for a moment; it is there, for this process was started by it.
const BASE: &str = "/proc";
/// The host's root, until all is made.
const OLD: &str = "/old";
/// The root to be.
const NEW: &str = "/new";
/// All that is written: one file system, so that one size bounds it.
const SCRATCH: &str = "/scratch";
/// Files and directories that can be written.
const SCRATCH_INODES: u32 = 16384;

/// A directory that is written, and where its files shall go.
pub(crate) struct Out {
    /// In memory.
    pub(crate) scratch: OwnedFd,
    /// The host's.
    pub(crate) host: OwnedFd,
    /// Its path, for messages.
    pub(crate) path: PathBuf,
}

/// Makes the new root, and moves to it every process of this mount namespace; what is written there.
pub(crate) fn build(order: &Order) -> Result<Vec<Out>, Fault> {
    let hosts = hosts(order)?;
    base(order)?;
    fixed(order)?;
    let mut outs = Vec::new();
    let mut hosts = hosts.into_iter();
    for (number, place) in order.places.iter().enumerate() {
        match place {
            Place::Read { from, at, dir } => show(from, at, *dir)?,
            Place::Write { at } => {
                let scratch = scratch(order, &format!("write{number}"), 0o755)?;
                bind(&scratch, at, true, MsFlags::MS_NOSUID | MsFlags::MS_NODEV)?;
                outs.extend(hosts.next().map(|host| (scratch, host, at.clone())));
            }
            Place::Link { at, to } => link(to, at)?,
        }
    }
    let outs = outs
        .into_iter()
        .map(|(scratch, host, path)| {
            Ok(Out {
                scratch: directory(&scratch)?,
                host,
                path,
            })
        })
        .collect();
    leave()?;
    outs
}

/// Seals `/proc`, once the supervisor has written into it what it must.
pub(crate) fn seal_proc() -> Result<(), Fault> {
    remount(
        Path::new("/proc"),
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
    )
}

/// The host's directories that are to get files, opened while they can be reached.
fn hosts(order: &Order) -> Result<Vec<OwnedFd>, Fault> {
    let written = order.places.iter().filter_map(|place| match place {
        Place::Write { at } => Some(at),
        _ => None,
    });
    written.map(|at| directory(at)).collect()
}

fn directory(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty())
        .blame(Step::Root, || format!("open {}", path.display()))
}

/// Moves to a tmpfs in which the host's root lies for a while.
fn base(order: &Order) -> Result<(), Fault> {
    let what = || "make a root of its own";
    let none: Option<&str> = None;
    let (kind, fixed) = (Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV);
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).blame(Step::Root, what)?;
    mount(kind, BASE, kind, fixed, Some("mode=0755,size=1m")).blame(Step::Root, what)?;
    std::env::set_current_dir(BASE).blame(Step::Root, what)?;
    for dir in [OLD, NEW, SCRATCH] {
        fs::create_dir(&dir[1..]).blame(Step::Root, what)?;
    }
    pivot_root(".", &OLD[1..]).blame(Step::Root, what)?;
    std::env::set_current_dir("/").blame(Step::Root, what)?;
    let size = format!(
        "mode=0755,size={},nr_inodes={SCRATCH_INODES}",
        order.task.limits.written_bytes.max(4096)
    );
    mount(kind, NEW, kind, fixed, Some("mode=0755,size=4m")).blame(Step::Root, what)?;
    mount(kind, SCRATCH, kind, fixed, Some(size.as_str())).blame(Step::Root, what)
}

/// What is in every sandbox: `/tmp`, `/proc`, `/dev`.
fn fixed(order: &Order) -> Result<(), Fault> {
    let tmp = scratch(order, "tmp", 0o1777)?;
    bind(
        &tmp,
        Path::new("/tmp"),
        true,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
    )?;
    let proc = inside(Path::new("/proc"));
    fs::create_dir(&proc).blame(Step::Root, || "make /proc")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let kind = Some("proc");
    // Before 5.8 the kernel's own files cannot be left out of it; they are Landlock's then.
    mount(kind, &proc, kind, flags, Some("hidepid=2,subset=pid"))
        .or_else(|_| mount(kind, &proc, kind, flags, Some("hidepid=2")))
        .blame(Step::Root, || "show its own processes (/proc)")?;
    for device in ["null", "zero", "full", "random", "urandom"] {
        let path = Path::new("/dev").join(device);
        bind(
            &host(&path),
            &path,
            false,
            MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        )?;
    }
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        link(Path::new(to), &Path::new("/dev").join(name))?;
    }
    Ok(())
}

/// Shows what the host has, read-only, with all that is mounted below it.
fn show(from: &Path, at: &Path, dir: bool) -> Result<(), Fault> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    bind(&host(from), at, dir, flags)?;
    let table = fs::read(Path::new(OLD).join("proc/self/mountinfo"))
        .blame(Step::Root, || "list what is mounted")?;
    let top = inside(at);
    for below in mount_points(&table) {
        if below != top && below.starts_with(&top) {
            match remount(&below, flags) {
                // Hidden below another mount: nobody gets there.
                Err(fault) if [libc::ENOENT, libc::EINVAL].contains(&fault.errno) => {}
                result => result?,
            }
        }
    }
    Ok(())
}

/// Mounts a path of this root at a path inside, with these flags.
fn bind(from: &Path, at: &Path, dir: bool, flags: MsFlags) -> Result<(), Fault> {
    let what = || format!("show {}", at.display());
    let target = inside(at);
    let point = || {
        fs::create_dir_all(target.parent().unwrap_or(Path::new(NEW)))?;
        if dir {
            fs::create_dir_all(&target)
        } else {
            fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(&target)
                .map(drop)
        }
    };
    if !target.exists() {
        point().blame(Step::Root, what)?;
    }
    let none: Option<&str> = None;
    let how = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), &target, none, how, none).blame(Step::Root, what)?;
    remount(&target, flags)
}

/// Sets flags of one mount. What programs cannot be executed from stays so: the kernel insists.
fn remount(target: &Path, mut flags: MsFlags) -> Result<(), Fault> {
    let what = || format!("protect {}", target.display());
    let has = statvfs(target).blame(Step::Root, what)?.flags();
    for (is, keep) in [
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
    ] {
        if has.contains(is) {
            flags |= keep;
        }
    }
    let none: Option<&str> = None;
    let how = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags;
    mount(none, target, none, how, none).blame(Step::Root, what)
}

/// A directory that the user inside owns, in memory.
fn scratch(order: &Order, name: &str, mode: u32) -> Result<PathBuf, Fault> {
    let path = Path::new(SCRATCH).join(name);
    let (uid, gid) = (order.ids.outer_uid, order.ids.outer_gid);
    fs::create_dir(&path)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
        .and_then(|()| {
            chown(&path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(Into::into)
        })
        .blame(Step::Root, || "make a directory to write into")?;
    Ok(path)
}

fn link(to: &Path, at: &Path) -> Result<(), Fault> {
    let path = inside(at);
    let make = || -> io::Result<()> {
        if path.read_link().is_ok_and(|there| there == to) {
            return Ok(());
        }
        fs::create_dir_all(path.parent().unwrap_or(Path::new(NEW)))?;
        symlink(to, &path)
    };
    make().blame(Step::Root, || format!("make the link {}", at.display()))
}

/// Moves into the new root, seals it, and lets go of everything else.
fn leave() -> Result<(), Fault> {
    let what = || "leave the host's root";
    remount(
        Path::new(NEW),
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
    )?;
    umount2(OLD, MntFlags::MNT_DETACH).blame(Step::Root, what)?;
    std::env::set_current_dir(NEW).blame(Step::Root, what)?;
    pivot_root(".", ".").blame(Step::Root, what)?;
    umount2(".", MntFlags::MNT_DETACH).blame(Step::Root, what)?;
    std::env::set_current_dir("/").blame(Step::Root, what)
}

/// A path of the host, as it is reached from the base.
fn host(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

/// A path inside, as it is reached from the base.
fn inside(path: &Path) -> PathBuf {
    Path::new(NEW).join(path.strip_prefix("/").unwrap_or(path))
}

/// Where something is mounted, from the kernel's table, in which odd characters are octal.
fn mount_points(table: &[u8]) -> Vec<PathBuf> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| {
            let mut path = Vec::new();
            let mut rest = field;
            while let [first, tail @ ..] = rest {
                let octal = tail.get(..3).and_then(|digits| {
                    let digits = std::str::from_utf8(digits).ok()?;
                    u8::from_str_radix(digits, 8).ok()
                });
                match octal {
                    Some(byte) if *first == b'\\' => {
                        path.push(byte);
                        rest = &tail[3..];
                    }
                    _ => {
                        path.push(*first);
                        rest = tail;
                    }
                }
            }
            PathBuf::from(std::ffi::OsString::from_vec(path))
        })
        .filter(|path| path.as_os_str().as_bytes().starts_with(b"/"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_of_a_table() {
        let table = b"36 35 98:0 / / rw - ext4 /dev/a rw\n37 36 0:1 / /a\\040b\\134c rw - tmpfs t rw\n\nshort\n";
        assert_eq!(
            mount_points(table),
            [PathBuf::from("/"), PathBuf::from("/a b\\c")]
        );
    }
}

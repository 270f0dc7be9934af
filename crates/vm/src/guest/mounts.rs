//! The file systems that programs expect.

use std::path::Path;

use nix::mount::{MsFlags, mount};

/// Type and place; the ones without `must` may be missing from a kernel.
const MOUNTS: &[(&str, &str, bool)] = &[
    ("proc", "/proc", true),
    ("sysfs", "/sys", true),
    ("devtmpfs", "/dev", true),
    ("devpts", "/dev/pts", false),
    ("tmpfs", "/dev/shm", false),
    ("cgroup2", "/sys/fs/cgroup", false),
    ("bpf", "/sys/fs/bpf", false),
    ("debugfs", "/sys/kernel/debug", false),
    ("tracefs", "/sys/kernel/tracing", false),
];

/// Mounts everything. The root is a tmpfs already, so /tmp and /run need none of their own, and
/// files packed below them stay visible.
pub(super) fn prepare() -> Result<(), String> {
    for (kind, place, must) in MOUNTS {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        let made = Path::new(place).is_dir() || std::fs::create_dir(place).is_ok();
        let mounted = mount(Some(*kind), *place, Some(*kind), flags, None::<&str>);
        if let (true, Err(errno)) = (*must, mounted) {
            return Err(format!(
                "cannot mount {kind} on {place} (there: {made}): {errno}"
            ));
        }
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        let _ = std::os::unix::fs::symlink(target, link);
    }
    // One by one: a kernel that lacks one controller would refuse all of them.
    for controller in ["+cpu", "+cpuset", "+memory", "+pids"] {
        let _ = std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", controller);
    }
    Ok(())
}

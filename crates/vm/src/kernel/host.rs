//! The kernel that the host runs.

use std::{fs::File, io::Read as _, path::PathBuf, process::Command};

use super::{Kernel, Origin};
use crate::Error;

const OPTION: &str = "CONFIG_SCHED_CLASS_EXT=y";

/// The host's own kernel, if it has `sched_ext` and its image can be read.
pub(super) fn kernel() -> Result<Kernel, Error> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    if !has_sched_ext(&release) {
        return Err(Error::HostWithoutSchedExt { release });
    }
    let path = PathBuf::from(format!("/boot/vmlinuz-{release}"));
    match File::open(&path) {
        Ok(_) => Ok(Kernel {
            image: path,
            release,
            origin: Origin::Host,
        }),
        Err(source) => Err(Error::KernelUnreadable {
            path,
            host: true,
            source,
        }),
    }
}

fn has_sched_ext(release: &str) -> bool {
    let has = |text: &str| text.lines().any(|line| line == OPTION);
    if let Ok(text) = std::fs::read_to_string(format!("/boot/config-{release}")) {
        return has(&text);
    }
    if let Ok(mut file) = File::open("/proc/config.gz") {
        let mut start = [0; 1];
        if file.read_exact(&mut start).is_ok()
            && let Ok(output) = Command::new("gzip")
                .args(["-dc", "/proc/config.gz"])
                .output()
        {
            return has(&String::from_utf8_lossy(&output.stdout));
        }
    }
    // Without a configuration to read, the running kernel shows it itself.
    std::path::Path::new("/sys/kernel/sched_ext").is_dir()
}

//! QEMU's arguments for a machine.

use std::{
    fs::File,
    os::{fd::RawFd, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use baton_machine::MachineFile;

use crate::{Error, initramfs::find_in_path, protocol::port};

/// A guest under KVM that says nothing for this long will never do: a KVM that opens may still not
/// run guests, where the host is itself a guest.
pub(crate) const KVM_PATIENCE: Duration = Duration::from_secs(30);

/// Who runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// The processor.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    /// KVM where the processor offers it and its device opens.
    pub(crate) fn detect() -> Self {
        let opens = || {
            let file: std::io::Result<File> = File::options()
                .read(true)
                .write(true)
                .custom_flags(libc::O_CLOEXEC)
                .open("/dev/kvm");
            file.is_ok()
        };
        if Self::processor_virtualises() && opens() {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }

    /// The device alone proves nothing: it may exist where the processor has no such mode.
    fn processor_virtualises() -> bool {
        if cfg!(target_arch = "aarch64") {
            return true;
        }
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        info.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| {
                line.split_whitespace()
                    .any(|flag| flag == "vmx" || flag == "svm")
            })
    }
}

/// QEMU's major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QemuVersion(u32, u32);

impl QemuVersion {
    /// The first whose translator locks the pages that it reads. Before, with several threads, it
    /// keeps now and then an `int3` that the kernel had placed only while it patched its code; 10.0
    /// did so once in hours.
    pub(crate) const SOUND: Self = Self(8, 1);

    /// What to do when this version ran code that the kernel had patched since.
    pub(crate) fn against_stale_code(self) -> String {
        if self >= Self::SOUND {
            return "run again".to_owned();
        }
        format!(
            "install QEMU {} or later (on Debian 12 from bookworm-backports; `make setup` does \
             it), or run again",
            Self::SOUND
        )
    }

    /// Asks the program, which takes some 20 ms: only a failure needs to know.
    pub(crate) fn of(program: &Path) -> Option<Self> {
        let output = std::process::Command::new(program)
            .arg("--version")
            .output();
        Self::parse(&String::from_utf8_lossy(&output.ok()?.stdout))
    }

    /// From `QEMU emulator version 7.2.18 (Debian ...)`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (_, after) = text.split_once("version ")?;
        let mut numbers = after
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|number| number.parse().ok());
        Some(Self(numbers.next()?, numbers.next()?))
    }
}

impl std::fmt::Display for QemuVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Descriptors that QEMU inherits.
pub(crate) struct Descriptors {
    pub(crate) initramfs: RawFd,
    pub(crate) console: RawFd,
    pub(crate) control: RawFd,
    pub(crate) stdout: RawFd,
    pub(crate) stderr: RawFd,
    pub(crate) files: RawFd,
}

/// Finds the QEMU of this processor's architecture.
pub(crate) fn find_qemu() -> Result<PathBuf, Error> {
    let (tool, package) = match std::env::consts::ARCH {
        "aarch64" => ("qemu-system-aarch64", "qemu-system-arm"),
        _ => ("qemu-system-x86_64", "qemu-system-x86"),
    };
    find_in_path(tool).ok_or_else(|| Error::MissingTool {
        tool: tool.into(),
        package,
    })
}

/// All arguments of a run.
pub(crate) fn arguments(
    machine: &MachineFile,
    memory_mib: u32,
    kernel: &Path,
    accel: Accel,
    fds: &Descriptors,
) -> Vec<String> {
    let mut args: Vec<String> = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-name",
        "baton",
    ]
    .map(Into::into)
    .into();
    let mut add = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
    let (board, console) = match std::env::consts::ARCH {
        "aarch64" => ("virt,gic-version=max", "ttyAMA0"),
        _ => ("q35,smm=off,vmport=off,hpet=off", "ttyS0"),
    };
    add("-machine", board.into());
    match accel {
        Accel::Kvm => {
            add("-accel", "kvm".into());
            add("-cpu", host_cpu().into());
        }
        Accel::Tcg => {
            add("-accel", "tcg,thread=multi".into());
            add("-cpu", emulated_cpu().into());
        }
    }
    add(
        "-smp",
        format!(
            "{},sockets={},{}={},cores={},threads={}",
            machine.cpu_count(),
            machine.sockets,
            cache_level(),
            machine.llcs_per_socket,
            machine.cores_per_llc,
            machine.threads_per_core
        ),
    );
    let nodes = machine.numa.nodes;
    let node_mib = memory_mib / nodes;
    add("-m", format!("{}M", node_mib * nodes));
    for node in 0..nodes {
        let cpus = machine.node_cpus(node).to_string();
        add(
            "-object",
            format!("memory-backend-ram,id=ram{node},size={node_mib}M"),
        );
        add(
            "-numa",
            format!("node,nodeid={node},cpus={cpus},memdev=ram{node}"),
        );
    }
    for (from, row) in machine.numa.distances.iter().enumerate() {
        for (to, distance) in row.iter().enumerate().filter(|_| nodes > 1) {
            add("-numa", format!("dist,src={from},dst={to},val={distance}"));
        }
    }
    add("-kernel", kernel.display().to_string());
    add("-initrd", format!("/proc/self/fd/{}", fds.initramfs));
    add("-append", kernel_arguments(console, accel));
    add("-chardev", format!("socket,id=console,fd={}", fds.console));
    add("-serial", "chardev:console".into());
    add("-device", "virtio-serial-pci".into());
    for (name, fd) in [
        (port::CONTROL, fds.control),
        (port::STDOUT, fds.stdout),
        (port::STDERR, fds.stderr),
        (port::FILES, fds.files),
    ] {
        add("-chardev", format!("socket,id={name},fd={fd}"));
        add(
            "-device",
            format!("virtserialport,chardev={name},name={name}"),
        );
    }
    args
}

/// The level of QEMU's topology that shares a last-level cache.
fn cache_level() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "clusters",
        _ => "dies",
    }
}

/// The host's processor. AMD's needs a feature bit more to tell siblings, and Intel's has no such bit.
fn host_cpu() -> &'static str {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if info.contains("AuthenticAMD") {
        "host,topoext=on"
    } else {
        "host"
    }
}

/// Everything that can be emulated, but for page tables of five levels: each miss of the translation
/// cache would walk one level more.
fn emulated_cpu() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "max",
        _ => "max,la57=off",
    }
}

fn kernel_arguments(console: &str, accel: Accel) -> String {
    // A kernel that is in trouble ends, so that the run does: -no-reboot makes QEMU exit.
    let mut text = format!("console={console} quiet panic=-1 oops=panic");
    // A fast start: the clock and the random generator are trusted, no keyboard is waited for.
    text += " random.trust_cpu=on rcupdate.rcu_expedited=1";
    text += " i8042.noaux i8042.nokbd i8042.nopnp";
    if accel == Accel::Tcg {
        // Nothing here leaks through a translated pipeline, and calibrations measure the emulator.
        text += " mitigations=off nokaslr no_timer_check tsc=reliable";
        // The ciphers' self-tests are a sixth of a boot.
        text += " cryptomgr.notests=1";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let parse = |text: &str| QemuVersion::parse(text);
        let old = parse("QEMU emulator version 7.2.18 (Debian 1:7.2+dfsg-7+deb12u15)\nCopyright");
        let new = parse("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)");
        assert_eq!(old, Some(QemuVersion(7, 2)));
        assert_eq!(
            parse("QEMU emulator version 8.1.0"),
            Some(QemuVersion::SOUND)
        );
        assert!(old < Some(QemuVersion::SOUND) && new > Some(QemuVersion::SOUND));
        assert_eq!(parse("QEMU emulator version eight"), None);
        assert_eq!(parse(""), None);
    }
}

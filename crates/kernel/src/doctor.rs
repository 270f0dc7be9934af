//! What this machine's kernel can do for the relay.

use std::path::Path;

use baton_policy::Options;
use serde::Serialize;

use crate::{
    abi, convert,
    relay::{Open, kernel_release, loaded_scheduler},
};

/// One thing that a policy on this kernel needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is looked at.
    pub name: &'static str,
    /// Whether it is as needed.
    pub ok: bool,
    /// Whether policies run without it.
    pub optional: bool,
    /// What was found.
    pub detail: String,
    /// What to do, where it is not as needed.
    pub remedy: Option<String>,
}

impl Check {
    fn new(name: &'static str, ok: bool, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            name,
            ok,
            optional: false,
            detail: detail.into(),
            remedy: (!ok).then(|| remedy.to_string()),
        }
    }
}

/// Looks at all that a policy on this kernel needs. Nothing is attached: the relay
/// is loaded, if that is allowed, and dropped again.
#[must_use]
pub fn doctor() -> Vec<Check> {
    let in_vm = "or run in a VM: baton vm --policy fifo -- sh";
    let sched_ext = Path::new("/sys/kernel/sched_ext").exists();
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let root = crate::relay::is_root();
    let mut checks = vec![
        Check::new(
            "sched_ext",
            sched_ext,
            format!("Linux {}", kernel_release()),
            &format!("use Linux 6.16 or later with CONFIG_SCHED_CLASS_EXT=y, {in_vm}"),
        ),
        Check::new(
            "kernel types (BTF)",
            btf,
            if btf {
                "/sys/kernel/btf/vmlinux"
            } else {
                "no /sys/kernel/btf/vmlinux"
            },
            &format!("use a kernel with CONFIG_DEBUG_INFO_BTF=y, {in_vm}"),
        ),
        Check::new(
            "root",
            root,
            if root { "yes" } else { "no" },
            &format!("run with sudo, {in_vm}"),
        ),
    ];
    if sched_ext {
        let loaded = loaded_scheduler();
        let detail = loaded.clone().unwrap_or_else(|| "none loaded".to_string());
        let remedy = "stop the scheduler that is loaded: sched_ext takes one at a time";
        checks.push(Check::new(
            "other schedulers",
            loaded.is_none(),
            detail,
            remedy,
        ));
    }
    if checks.iter().all(|check| check.ok) {
        checks.extend(relay_loads());
    }
    checks
}

/// Whether the relay loads; and if it does, what it found.
fn relay_loads() -> Vec<Check> {
    let name = "the relay loads";
    let failed = |problem: String| vec![Check::new(name, false, problem, "see the error")];
    let machine = match baton_machine::read_sys(Path::new("/sys")) {
        Ok(machine) => machine,
        Err(error) => return failed(error.to_string()),
    };
    let options = convert::options(&Options::default());
    let config = match convert::config(&machine) {
        Ok(config) => config,
        Err(error) => return failed(error),
    };
    let loaded = Open::new().and_then(|open| open.load(&config, &options));
    match loaded.and_then(|loaded| loaded.shared()) {
        Ok(shared) => vec![
            Check::new(name, true, "yes", ""),
            performance(shared.abilities() & abi::CAN_PERF != 0),
        ],
        Err(error) => failed(error.to_string()),
    }
}

/// Whether a policy can set CPU performance targets.
fn performance(can: bool) -> Check {
    let detail = match can {
        true => "taken by the kernel",
        false => "not taken by the kernel",
    };
    let remedy = "policies run without; use another kernel, such as 7.0, if yours sets targets";
    Check {
        optional: true,
        ..Check::new("CPU performance targets", can, detail, remedy)
    }
}

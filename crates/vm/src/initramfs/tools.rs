//! A shell and the usual tools for the guest.

use std::{path::Path, process::Command, sync::OnceLock};

use super::{path::find_in_path, tree::Tree};
use crate::Error;

/// What is packed from the host when it has no busybox.
const HOST_TOOLS: &[&str] = &[
    "sh", "awk", "basename", "cat", "chmod", "chrt", "cp", "cut", "date", "dd", "df", "dirname",
    "dmesg", "echo", "env", "expr", "false", "find", "free", "grep", "head", "hostname", "id",
    "ip", "kill", "ln", "ls", "mkdir", "mktemp", "mount", "mv", "nice", "nproc", "od", "pidof",
    "printf", "ps", "pwd", "readlink", "realpath", "renice", "rm", "sed", "seq", "setsid", "sleep",
    "sort", "stat", "sync", "sysctl", "tail", "taskset", "tee", "test", "timeout", "touch", "tr",
    "true", "umount", "uname", "uniq", "uptime", "wc", "which", "xargs", "yes",
];

/// Adds a shell and tools for whatever is not packed yet: from busybox, one small program, where
/// the host has it, else the host's own.
pub(crate) fn add_tools(tree: &mut Tree) -> Result<(), Error> {
    if let (Some(busybox), [_, ..]) = (find_in_path("busybox"), applets()) {
        tree.pack(&busybox, Path::new("/usr/bin/busybox"))?;
        for applet in applets() {
            tree.link(&format!("usr/bin/{applet}"), "busybox");
        }
        return Ok(());
    }
    for tool in HOST_TOOLS {
        if let Some(path) = find_in_path(tool)
            && !tree.has(&Path::new("/usr/bin").join(tool))
        {
            tree.pack(&path, &Path::new("/usr/bin").join(tool))?;
        }
    }
    Ok(())
}

/// Whether `name` is a program that every guest has.
pub(crate) fn is_tool(name: &str) -> bool {
    let tools = applets();
    if tools.is_empty() {
        HOST_TOOLS.contains(&name)
    } else {
        tools.iter().any(|tool| tool == name)
    }
}

/// What the host's busybox can do; nothing if it has none.
fn applets() -> &'static [String] {
    static APPLETS: OnceLock<Vec<String>> = OnceLock::new();
    APPLETS.get_or_init(|| {
        let output =
            find_in_path("busybox").map(|busybox| Command::new(busybox).arg("--list").output());
        let Some(Ok(output)) = output else {
            return Vec::new();
        };
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(Into::into)
            .collect()
    })
}

//! What a workload needs beside this program: on this machine, and packed into a VM.

use std::path::PathBuf;

use baton_vm::{Sinks, Vm};
use baton_workload::Workload;

/// Names the directory of the source that a workload compiles, where it is not to be fetched; and
/// in a VM, where it was packed.
const SOURCE_VARIABLE: &str = "BATON_WORKLOAD_SOURCE";

/// The source that the workload compiles, if it compiles one; fetched into the cache if need be.
pub(crate) fn source(workload: &Workload) -> anyhow::Result<Option<PathBuf>> {
    let Some(package) = workload.source_package() else {
        return Ok(None);
    };
    if let Some(given) = std::env::var_os(SOURCE_VARIABLE).filter(|given| !given.is_empty()) {
        return Ok(Some(std::path::absolute(given)?));
    }
    let instead = format!("name the directory of its source in {SOURCE_VARIABLE}");
    let progress = Sinks::inherit().progress;
    Ok(Some(baton_vm::find_source(package, &instead, &progress)?))
}

/// Packs into a VM what these workloads need.
pub(crate) fn pack(mut vm: Vm, workloads: &[Workload]) -> anyhow::Result<Vm> {
    for workload in workloads {
        let source = source(workload)?;
        for file in baton_workload::files(workload, source.as_deref())? {
            vm = vm.pack(&file, &file);
        }
        if let Some(source) = source {
            vm = vm.env(SOURCE_VARIABLE, source.to_string_lossy());
            vm = vm.pack(&source, &source);
        }
    }
    Ok(vm)
}

/// The workloads that a command may run: all that its words name, or those of a script in it, if
/// `workload` is among them. A word too many costs some memory of the guest.
pub(crate) fn workloads_in(command: &[String]) -> Vec<Workload> {
    let words: Vec<&str> = command
        .iter()
        .flat_map(|word| word.split_whitespace())
        .map(|word| word.trim_matches(['"', '\'', ';', '(', ')']))
        .collect();
    if !words.contains(&"workload") {
        return Vec::new();
    }
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::workloads_in;

    #[test]
    fn workloads_of_commands() {
        let check = |command: &[&str], expected: &[&str]| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            let found = workloads_in(&command);
            let names: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(names, expected, "{command:?}");
        };
        check(&["baton", "workload", "compile"], &["compile"]);
        check(
            &[
                "baton",
                "workload",
                "--seed",
                "3",
                "frames+compile:jobs=4",
                "--json",
            ],
            &["frames+compile:jobs=4"],
        );
        let script = "for w in pipe frames+compile; do baton workload $w; done";
        check(&["sh", "-c", script], &["pipe", "frames+compile"]);
        let script = "uptime; (baton workload 'compile:jobs=2'; baton workload hogs)";
        check(&["sh", "-c", script], &["compile:jobs=2", "hogs"]);
        check(&["echo", "compile"], &[]);
    }
}

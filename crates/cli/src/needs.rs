//! What a workload needs beside this program: on this machine, and packed into a VM.

use std::path::{Path, PathBuf};

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

/// What a command in a VM may run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Workloads.
    pub(crate) workloads: Vec<Workload>,
    /// Files that its words name, workload files among them.
    pub(crate) files: Vec<PathBuf>,
}

/// What a command may run, or a script in it, if `workload` is among its words: all that they name. A
/// word too many costs some memory of the guest. A file with a mistake is packed too; `baton workload`
/// tells of it.
pub(crate) fn run_by(command: &[String]) -> Run {
    let words: Vec<&str> = command
        .iter()
        .flat_map(|word| word.split_whitespace())
        .map(|word| word.trim_matches(['"', '\'', ';', '(', ')']))
        .collect();
    let mut run = Run::default();
    if !words.contains(&"workload") {
        return run;
    }
    for word in words {
        run.workloads.extend(Workload::find(word));
        let path = Path::new(word);
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
            && path.is_file()
        {
            run.files.push(path.to_owned());
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::run_by;

    #[test]
    fn workloads_of_commands() {
        let check = |command: &[&str], expected: &[&str]| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            let found = run_by(&command);
            let names: Vec<String> = found.workloads.iter().map(ToString::to_string).collect();
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

    #[test]
    fn files_of_commands() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("good.toml"), "[[part]]\nkind = \"pipe\"\n").unwrap();
        std::fs::write(path("bad.toml"), "[[part]]\nkind = \"pope\"\n").unwrap();
        let script = format!(
            "baton workload {}; cat {}",
            path("good.toml"),
            path("no.toml")
        );
        let run = run_by(&["sh".to_owned(), "-c".to_owned(), script]);
        assert_eq!(run.workloads.len(), 1);
        assert_eq!(run.files, [PathBuf::from(path("good.toml"))]);
        let run = run_by(&["baton".to_owned(), "workload".to_owned(), path("bad.toml")]);
        assert_eq!(run.workloads.len(), 0);
        assert_eq!(run.files, [PathBuf::from(path("bad.toml"))]);
    }
}

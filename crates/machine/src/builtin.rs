//! The machine files that come with Baton, in the binary so that an installed one finds them.

/// Name and text of each file in `machines/`.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("2-cpu", include_str!("../../../machines/2-cpu.toml")),
    (
        "2-cpu-emulated",
        include_str!("../../../machines/2-cpu-emulated.toml"),
    ),
    (
        "4-cpu-smt",
        include_str!("../../../machines/4-cpu-smt.toml"),
    ),
    (
        "8-cpu-2-socket-numa",
        include_str!("../../../machines/8-cpu-2-socket-numa.toml"),
    ),
    (
        "laptop-hybrid",
        include_str!("../../../machines/laptop-hybrid.toml"),
    ),
    (
        "2-socket-48-core",
        include_str!("../../../machines/2-socket-48-core.toml"),
    ),
    (
        "8-node-numa",
        include_str!("../../../machines/8-node-numa.toml"),
    ),
    ("1024-cpu", include_str!("../../../machines/1024-cpu.toml")),
];

/// Names that [`MachineFile::find`](crate::MachineFile::find) knows without a file.
#[must_use]
pub fn builtin_names() -> Vec<&'static str> {
    FILES.iter().map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use crate::MachineFile;

    #[test]
    fn every_file_is_valid_and_bears_its_name() {
        for (name, text) in super::FILES {
            let file = MachineFile::parse(&format!("{name}.toml"), text).unwrap();
            assert_eq!(file.name, *name);
            assert!(!file.description.is_empty(), "{name} has no description");
            assert_eq!(file.machine().cpus.len(), file.cpu_count() as usize);
        }
    }

    #[test]
    fn every_file_in_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../machines");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()?
                    .strip_suffix(".toml")
                    .map(String::from)
            })
            .collect();
        names.sort();
        let mut known = super::builtin_names();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}

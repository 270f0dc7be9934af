//! The experiments that come with Baton, in the binary so that an installed one finds them.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../experiments/", $name, ".toml")))),+]
    };
}

/// Name and text of each file in `experiments/`.
const FILES: &[(&str, &str)] = files![
    "demo",
    "interactive",
    "throughput",
    "peers",
    "smoke",
    "slowdown",
    "recording",
    "learned",
    "learned-simulated"
];

/// Names that [`Experiment::find`](super::Experiment::find) knows without a file.
#[must_use]
pub fn builtin_names() -> Vec<&'static str> {
    FILES.iter().map(|(name, _)| *name).collect()
}

/// The file of this name.
pub(super) fn file(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().copied().find(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::super::Experiment;

    #[test]
    fn every_file_is_valid_and_bears_its_name() {
        for name in super::builtin_names() {
            let mut experiment = Experiment::find(name).unwrap();
            assert_eq!(experiment.name, name);
            assert!(!experiment.description.is_empty(), "{name}");
            experiment.check().unwrap();
        }
    }

    #[test]
    fn every_file_in_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
        let names = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
            let name = entry.unwrap().file_name();
            name.to_str()?.strip_suffix(".toml").map(String::from)
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        let mut known = super::builtin_names();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}

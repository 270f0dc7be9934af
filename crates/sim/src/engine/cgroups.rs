//! Cgroups as far as the simulator knows them: a path, and by it, the classes of their tasks.

use baton_machine::{CgroupMatches, ClassFile};
use baton_policy::ClassId;

/// The cgroups that tasks are in, and the classes if there are any.
pub(crate) struct Cgroups {
    file: Option<ClassFile>,
    /// Each with the classes whose patterns match it.
    known: Vec<(String, CgroupMatches)>,
}

impl Cgroups {
    /// Number of the root, as in the kernel.
    pub(crate) const ROOT: u64 = 1;

    pub(crate) fn new(file: Option<ClassFile>) -> Self {
        let known = Vec::new();
        let mut cgroups = Self { file, known };
        cgroups.number("/");
        cgroups
    }

    /// The number of the cgroup at this path below the root.
    pub(crate) fn number(&mut self, path: &str) -> u64 {
        let found = self.known.iter().position(|(known, _)| known == path);
        let index = found.unwrap_or_else(|| {
            let file = self.file.as_ref();
            let matches = file.map_or_else(CgroupMatches::default, |file| file.match_cgroup(path));
            self.known.push((path.to_owned(), matches));
            self.known.len() - 1
        });
        index as u64 + Self::ROOT
    }

    /// The class of a task of this name in this cgroup.
    pub(crate) fn class(&self, name: &[u8], cgroup: u64) -> Option<ClassId> {
        let (_, matches) = self.known[(cgroup - Self::ROOT) as usize];
        self.file.as_ref()?.classify(name, Some(matches)).class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: &str = "[[class]]\nname = \"games\"\ncgroup = \"/games/**\"\ntask = \"g*\"\n\
                           [[class]]\nname = \"rest\"\ntask = \"*\"\n";

    #[test]
    fn name_and_path_must_both_match() {
        let file = ClassFile::parse("classes.toml", CLASSES).unwrap();
        let mut cgroups = Cgroups::new(Some(file));
        let (root, games) = (cgroups.number("/"), cgroups.number("/games/chess"));
        assert_eq!((root, games, cgroups.number("/games/chess")), (1, 2, 2));
        let class = |name: &str, cgroup| cgroups.class(name.as_bytes(), cgroup).unwrap().index();
        assert_eq!((class("go", games), class("go", root)), (0, 1));
        assert_eq!(class("wine", games), 1);
        assert_eq!(Cgroups::new(None).class(b"go", root), None);
    }
}

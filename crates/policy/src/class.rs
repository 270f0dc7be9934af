//! Task classes: what a user says of some tasks beyond what the kernel knows.
//!
//! Which task belongs to which class is the backend's to find out; see
//! [`crate::TaskInfo::class`].

use alloc::{string::String, vec::Vec};

use crate::CpuSet;

/// Classes that one table can hold.
pub const CLASSES_MAX: usize = 64;

/// Names a class: its place in [`Classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassId(u8);

impl ClassId {
    /// The class at this place of the table; `None` at [`CLASSES_MAX`] and beyond.
    #[must_use]
    pub const fn new(index: usize) -> Option<Self> {
        if index < CLASSES_MAX {
            Some(Self(index as u8))
        } else {
            None
        }
    }

    /// Its place in the table.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is asked for the tasks of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Class {
    /// What people call it.
    pub name: String,
    /// A task wants to run within this time after waking; relative, nanoseconds.
    pub deadline_ns: Option<u64>,
    /// Replaces a task's own weight, 1 to 10,000.
    pub weight: Option<u32>,
    /// Larger goes first; a task without a class has 0.
    pub priority: i32,
    /// CPUs that a policy may choose, beside what the task's affinity allows.
    pub allowed: Option<CpuSet>,
    /// CPUs to choose while they are free.
    pub preferred: Option<CpuSet>,
}

impl Class {
    /// The CPUs of `affinity` that the class may use. Where it would leave none, all of
    /// them: a class must not strand a task.
    #[must_use]
    pub fn cpus(&self, affinity: &CpuSet) -> CpuSet {
        let Some(allowed) = &self.allowed else {
            return *affinity;
        };
        let cpus = allowed.intersection(affinity);
        if cpus.is_empty() { *affinity } else { cpus }
    }
}

/// All classes of a run, fixed while it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Classes(Vec<Class>);

impl Classes {
    /// No classes.
    pub const NONE: Self = Self(Vec::new());

    /// A table of these classes; `None` if they are more than [`CLASSES_MAX`].
    #[must_use]
    pub fn new(classes: Vec<Class>) -> Option<Self> {
        (classes.len() <= CLASSES_MAX).then_some(Self(classes))
    }

    /// The class with this name in the table.
    #[must_use]
    pub fn get(&self, id: ClassId) -> Option<&Class> {
        self.0.get(id.index())
    }

    /// Every class, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Class> {
        self.0.iter()
    }

    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a class says on which CPUs its tasks run.
    #[must_use]
    pub fn name_cpus(&self) -> bool {
        self.iter()
            .any(|class| class.allowed.is_some() || class.preferred.is_some())
    }

    /// Whether a class replaces its tasks' weight.
    #[must_use]
    pub fn set_weights(&self) -> bool {
        self.iter().any(|class| class.weight.is_some())
    }

    /// The settings, by their names in a file of classes, that some class has and a
    /// policy of this use does not heed.
    #[must_use]
    pub fn unheeded(&self, heeded: ClassUse) -> Vec<&'static str> {
        type Given = fn(&Class) -> bool;
        let settings: [(&str, bool, Given); 5] = [
            ("deadline_ms", heeded.deadline, |class| {
                class.deadline_ns.is_some()
            }),
            ("weight", heeded.weight, |class| class.weight.is_some()),
            ("priority", heeded.priority, |class| class.priority != 0),
            ("allowed", heeded.cpus, |class| class.allowed.is_some()),
            ("preferred", heeded.cpus, |class| class.preferred.is_some()),
        ];
        let unheeded = settings
            .iter()
            .filter(|(_, heeded, given)| !heeded && self.0.iter().any(given));
        unheeded.map(|(name, ..)| *name).collect()
    }
}

/// Which of a class's settings a policy heeds: what a user is told, and what the
/// backend's fast paths must leave to the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassUse {
    /// [`Class::weight`], by way of [`crate::TaskInfo::weight`].
    pub weight: bool,
    /// [`Class::deadline_ns`].
    pub deadline: bool,
    /// [`Class::priority`].
    pub priority: bool,
    /// [`Class::allowed`] and [`Class::preferred`].
    pub cpus: bool,
}

impl ClassUse {
    /// None of them.
    pub const NONE: Self = Self {
        weight: false,
        deadline: false,
        priority: false,
        cpus: false,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};

    #[test]
    fn a_class_restricts_but_does_not_strand() {
        let class = Class {
            allowed: Some("4-7".parse().unwrap()),
            ..Class::default()
        };
        let check = |affinity: &str, expected: &str| {
            let cpus = class.cpus(&affinity.parse().unwrap());
            assert_eq!(cpus.to_string(), expected);
        };
        check("0-7", "4-7");
        check("0-4", "4");
        check("0-3", "0-3");
        let free = Class::default();
        assert_eq!(free.cpus(&CpuSet::first(3)), CpuSet::first(3));
    }

    #[test]
    fn a_table_has_an_end() {
        let many = |count| Classes::new(vec![Class::default(); count]);
        assert_eq!(many(CLASSES_MAX).unwrap().len(), CLASSES_MAX);
        assert!(many(CLASSES_MAX + 1).is_none());
        assert!(ClassId::new(CLASSES_MAX).is_none());
        assert!(Classes::NONE.get(ClassId::new(0).unwrap()).is_none());
    }

    #[test]
    fn what_a_policy_does_not_heed_is_told() {
        let classes = Classes::new(vec![
            Class {
                weight: Some(5),
                priority: -1,
                ..Class::default()
            },
            Class {
                preferred: Some(CpuSet::first(1)),
                ..Class::default()
            },
        ])
        .unwrap();
        assert_eq!(
            classes.unheeded(ClassUse::NONE),
            ["weight", "priority", "preferred"]
        );
        let heeded = ClassUse {
            weight: true,
            cpus: true,
            ..ClassUse::NONE
        };
        assert_eq!(classes.unheeded(heeded), ["priority"]);
    }
}

//! What a value says of a task, as a set.

use std::ops::{BitAnd, BitOr, BitOrAssign};

/// What a value says of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taint(u8);

impl Taint {
    pub(super) const NONE: Self = Self(0);
    /// A number that the kernel gives: pid, tgid, cgroup.
    pub(super) const ID: Self = Self(1);
    /// The task's name.
    pub(super) const NAME: Self = Self(2);
    /// Something that has the name in it.
    pub(super) const INFO: Self = Self(4);
    /// Not of a task at all: it stands in the source.
    pub(super) const CONSTANT: Self = Self(8);

    /// How much it says.
    pub(super) const fn weight(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Taint {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Taint {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOrAssign for Taint {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

//! Kernel versions: compared number by number, not letter by letter.

/// The numbers at the start of a release, such as 7.0.13 of `7.0.13+deb13-cloud-amd64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u32>);

/// The last minor version of major version 6: with it, versions lie on a line.
const LAST_OF_6: u32 = 19;
/// The oldest version that has the `sched_ext` this project needs.
const OLDEST: [u32; 2] = [6, 16];
/// Versions that no substitution picks: 7.1 cannot create dispatch queues, by a defect in its BTF.
const DEFECTIVE: [u32; 2] = [7, 1];

impl Version {
    /// Reads a release; what comes after the numbers is left out.
    pub(super) fn of_release(release: &str) -> Option<Self> {
        let end = release
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(release.len());
        Self::prefix(release[..end].trim_end_matches('.'))
    }

    /// Reads the start of a version: numbers and dots alone.
    pub(super) fn prefix(text: &str) -> Option<Self> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        numbers.map(Self)
    }

    /// Whether `self` is the start of `version`.
    pub(super) fn starts(&self, version: &Self) -> bool {
        version.0.starts_with(&self.0)
    }

    /// Whether this kernel may stand in for one that has vanished.
    pub(super) fn is_usable(&self) -> bool {
        self.0.as_slice() >= OLDEST.as_slice() && !self.0.starts_with(&DEFECTIVE)
    }

    /// How many minor versions apart two versions are.
    pub(super) fn distance(&self, other: &Self) -> u32 {
        self.place().abs_diff(other.place())
    }

    fn place(&self) -> u32 {
        let minor = self.0.get(1).copied().unwrap_or(0);
        match self.0.first().copied().unwrap_or(0) {
            major @ ..=6 => (major * 100 + minor).saturating_sub(600),
            major => (major - 7) * 20 + LAST_OF_6 + 1 + minor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::of_release(text).unwrap()
    }

    #[test]
    fn order_is_numeric() {
        assert!(version("7.0.13+deb13-cloud-amd64") > version("7.0.9+deb13-cloud-amd64"));
        assert!(version("6.19.2") < version("7.0"));
        assert_eq!(version("7.2-rc1"), version("7.2"));
        assert!(Version::of_release("cloud").is_none());
    }

    #[test]
    fn prefixes_stop_at_dots() {
        let prefix = |text| Version::prefix(text).unwrap();
        assert!(prefix("7.0").starts(&version("7.0.13+deb13")));
        assert!(!prefix("7.0.1").starts(&version("7.0.13")));
        assert!(!prefix("6.1").starts(&version("6.18.15")));
        assert!(Version::prefix("7.").is_none() && Version::prefix("").is_none());
    }

    #[test]
    fn stand_ins() {
        assert!(!version("6.12.3").is_usable() && version("6.16.3").is_usable());
        assert!(!version("7.1.13").is_usable() && version("7.2.12").is_usable());
        assert_eq!(version("7.0.1").distance(&version("6.19.4")), 1);
        assert_eq!(version("7.0").distance(&version("7.2")), 2);
    }
}

//! A fixed-size set of CPU numbers, shaped like the kernel's `cpumask`.

use core::fmt;

/// CPUs that one machine can have. The same number bounds every mask that
/// crosses between the kernel and a policy.
pub const MAX_CPUS: usize = 1024;

const WORDS: usize = MAX_CPUS / 64;

/// A set of CPU numbers below [`MAX_CPUS`]. `Copy`, no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct CpuSet {
    words: [u64; WORDS],
}

impl CpuSet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; WORDS] };

    /// The set `0..count`; `count` above [`MAX_CPUS`] is cut to it.
    #[must_use]
    pub fn first(count: usize) -> Self {
        (0..count.min(MAX_CPUS) as u32).collect()
    }

    /// The set whose 64-bit words, lowest CPUs first, are `words`.
    #[must_use]
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        Self { words }
    }

    /// The 64-bit words of the set, lowest CPUs first.
    #[must_use]
    pub const fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// Adds `cpu`. A number of [`MAX_CPUS`] or more is ignored and answered with `false`.
    pub fn insert(&mut self, cpu: u32) -> bool {
        match self.words.get_mut(cpu as usize / 64) {
            Some(word) => {
                *word |= 1 << (cpu % 64);
                true
            }
            None => false,
        }
    }

    /// Takes `cpu` out.
    pub fn remove(&mut self, cpu: u32) {
        if let Some(word) = self.words.get_mut(cpu as usize / 64) {
            *word &= !(1 << (cpu % 64));
        }
    }

    /// Whether `cpu` is in the set.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.words
            .get(cpu as usize / 64)
            .is_some_and(|word| word & (1 << (cpu % 64)) != 0)
    }

    /// Number of CPUs in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether the set has no CPU.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The lowest CPU of the set.
    #[must_use]
    pub fn lowest(&self) -> Option<u32> {
        self.iter().next()
    }

    /// The CPUs that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut words = self.words;
        for (word, theirs) in words.iter_mut().zip(&other.words) {
            *word &= theirs;
        }
        Self { words }
    }

    /// Whether every CPU of `self` is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words
            .iter()
            .zip(&other.words)
            .all(|(ours, theirs)| ours & !theirs == 0)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            core::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(index as u32 * 64 + bit)
            })
        })
    }
}

impl Default for CpuSet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut set = Self::EMPTY;
        for cpu in cpus {
            set.insert(cpu);
        }
        set
    }
}

/// The kernel's list notation: `0-3,8`.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(start) = cpus.next() {
            let mut end = start;
            while cpus.next_if_eq(&(end + 1)).is_some() {
                end += 1;
            }
            if end > start {
                write!(f, "{separator}{start}-{end}")?;
            } else {
                write!(f, "{separator}{start}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

/// Text that is not a CPU list such as `0-3,8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCpuSetError;

impl fmt::Display for ParseCpuSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a CPU list: expected numbers below {MAX_CPUS} and ranges, such as 0-3,8"
        )
    }
}

impl core::error::Error for ParseCpuSetError {}

impl core::str::FromStr for CpuSet {
    type Err = ParseCpuSetError;

    fn from_str(text: &str) -> Result<Self, ParseCpuSetError> {
        let number = |text: &str| match text.trim().parse::<u32>() {
            Ok(cpu) if (cpu as usize) < MAX_CPUS => Ok(cpu),
            _ => Err(ParseCpuSetError),
        };
        let mut set = Self::EMPTY;
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            let (start, end) = (number(start)?, number(end)?);
            if start > end {
                return Err(ParseCpuSetError);
            }
            for cpu in start..=end {
                set.insert(cpu);
            }
        }
        Ok(set)
    }
}

#[cfg(feature = "serde")]
mod serde_impl {
    use super::CpuSet;
    use alloc::string::{String, ToString};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    impl Serialize for CpuSet {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if serializer.is_human_readable() {
                serializer.serialize_str(&self.to_string())
            } else {
                self.words.serialize(serializer)
            }
        }
    }

    impl<'de> Deserialize<'de> for CpuSet {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            if deserializer.is_human_readable() {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(D::Error::custom)
            } else {
                Ok(Self {
                    words: Deserialize::deserialize(deserializer)?,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_goes_both_ways() {
        for text in ["", "0", "0-3", "0-3,8", "63-64,1023"] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), text);
        }
        for text in ["x", "3-1", "1024", "-1", "1-"] {
            assert_eq!(text.parse::<CpuSet>(), Err(ParseCpuSetError), "{text}");
        }
    }

    #[test]
    fn set_operations() {
        let set: CpuSet = "1-2,64,1023".parse().unwrap();
        assert_eq!(set.len(), 4);
        assert!(set.contains(1023) && !set.contains(0) && !set.contains(5000));
        assert!(set.is_subset(&CpuSet::first(MAX_CPUS)));
        assert_eq!(set.intersection(&CpuSet::first(3)).to_string(), "1-2");
        assert!(!CpuSet::default().insert(1024));
    }
}

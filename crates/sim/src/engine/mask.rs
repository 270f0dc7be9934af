//! Sets of CPUs in which the lowest member is found without looking at every CPU.

use baton_policy::{CpuSet, MAX_CPUS};

const WORDS: usize = MAX_CPUS / 64;

/// A set of CPUs; knows which of its words are not empty.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    words: [u64; WORDS],
    filled: u32,
}

/// A fixed group of CPUs and the words that it spans.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    words: [u64; WORDS],
    spans: u32,
}

impl Group {
    pub(crate) fn new(cpus: &CpuSet) -> Self {
        let words = *cpus.words();
        let spans = spans(&words);
        Self { words, spans }
    }
}

fn spans(words: &[u64; WORDS]) -> u32 {
    let filled = words.iter().enumerate().filter(|(_, word)| **word != 0);
    filled.fold(0, |bits, (index, _)| bits | 1 << index)
}

impl Mask {
    pub(crate) const EMPTY: Self = Self {
        words: [0; WORDS],
        filled: 0,
    };

    pub(crate) const fn insert(&mut self, cpu: u32) {
        let word = cpu as usize / 64;
        self.words[word] |= 1 << (cpu % 64);
        self.filled |= 1 << word;
    }

    /// Whether it was a member.
    pub(crate) const fn remove(&mut self, cpu: u32) -> bool {
        let word = cpu as usize / 64;
        let was = self.words[word] >> (cpu % 64) & 1 == 1;
        self.words[word] &= !(1 << (cpu % 64));
        if self.words[word] == 0 {
            self.filled &= !(1 << word);
        }
        was
    }

    pub(crate) const fn contains(&self, cpu: u32) -> bool {
        self.words[cpu as usize / 64] >> (cpu % 64) & 1 == 1
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The lowest member that is in the group and in the set, where these are given.
    pub(crate) fn first(&self, within: Option<&Group>, allowed: Option<&CpuSet>) -> Option<u32> {
        let mut filled = self.filled & within.map_or(u32::MAX, |group| group.spans);
        while filled != 0 {
            let word = filled.trailing_zeros() as usize;
            filled &= filled - 1;
            let mut bits = self.words[word];
            if let Some(group) = within {
                bits &= group.words[word];
            }
            if let Some(allowed) = allowed {
                bits &= allowed.words()[word];
            }
            if bits != 0 {
                return Some(word as u32 * 64 + bits.trailing_zeros());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_several_sets() {
        let mut mask = Mask::EMPTY;
        for cpu in [3, 70, 130, 1023] {
            mask.insert(cpu);
        }
        let llc = Group::new(&(64..192).collect());
        let allowed: CpuSet = (100..1024).collect();
        assert_eq!(mask.first(None, None), Some(3));
        assert_eq!(mask.first(Some(&llc), None), Some(70));
        assert_eq!(mask.first(Some(&llc), Some(&allowed)), Some(130));
        assert_eq!(mask.first(None, Some(&(1000..1024).collect())), Some(1023));
        assert!(mask.remove(70) && !mask.remove(70));
        assert_eq!(mask.first(Some(&llc), None), Some(130));
        for cpu in [3, 130, 1023] {
            assert!(mask.contains(cpu) && mask.remove(cpu));
        }
        assert!(mask.is_empty());
    }
}

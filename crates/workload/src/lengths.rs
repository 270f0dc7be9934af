//! Lengths that differ widely, as those of a project's files do.
//!
//! They are log-normal, the usual model of file sizes and of compilation times, by integer
//! arithmetic alone, so that a seed gives the same lengths on every machine. With a standard
//! deviation of 1 in the natural logarithm one in a hundred is ten times the median or longer.

/// One in fixed point.
const ONE: i64 = 1 << 16;
/// The binary logarithm of e in fixed point: a standard deviation of 1 in the natural logarithm.
const SIGMA: i64 = 94_548;
/// How far from the median a length may lie, in standard deviations in fixed point.
const FARTHEST: i64 = 3 * ONE + ONE / 2;

/// This many lengths whose sum is `total` but for rounding down; each is at least 1.
pub(crate) fn heavy_tailed(seed: u64, count: usize, total: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let weights: Vec<u64> = (0..count).map(|_| weight(&mut random)).collect();
    let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    weights
        .iter()
        .map(|&weight| ((u128::from(weight) * u128::from(total) / sum.max(1)) as u64).max(1))
        .collect()
}

/// A log-normal number in fixed point, shifted up by ten bits so that small ones keep their digits.
fn weight(random: &mut fastrand::Rng) -> u64 {
    // Twelve even numbers up to one have a variance of one and are all but normal in their sum.
    let sum: i64 = (0..12).map(|_| i64::from(random.u16(..))).sum();
    let normal = (sum - 6 * ONE).clamp(-FARTHEST, FARTHEST);
    let exponent = (normal * SIGMA) >> 16;
    let (whole, part) = (exponent >> 16, exponent & (ONE - 1));
    // Two to a power between 0 and 1 by a parabola through both ends, within 0.3 %.
    let mantissa = ONE + ((part * (43_024 + ((22_512 * part) >> 16))) >> 16);
    let scaled = (mantissa as u64) << 10;
    if whole < 0 {
        scaled >> -whole
    } else {
        scaled << whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_given_and_the_tail_is_heavy() {
        for seed in 0..20 {
            let mut lengths = heavy_tailed(seed, 1000, 1_000_000_000);
            let sum: u64 = lengths.iter().sum();
            assert!((999_999_000..=1_000_000_000).contains(&sum), "seed {seed}");
            lengths.sort_unstable();
            let median = lengths[500] as f64;
            let at = |index: usize| lengths[index] as f64 / median;
            // A log-normal's quantiles at 16, 84 and 99 % are at 1/e, e and 10.2 medians.
            assert!((0.32..0.42).contains(&at(160)), "seed {seed}: {}", at(160));
            assert!((2.4..3.1).contains(&at(840)), "seed {seed}: {}", at(840));
            assert!((7.0..15.0).contains(&at(990)), "seed {seed}: {}", at(990));
            assert!(at(999) <= 34.5, "seed {seed}: {}", at(999));
        }
    }

    #[test]
    fn a_seed_gives_the_same_everywhere() {
        assert_eq!(heavy_tailed(1, 4, 1_000_000), GOLDEN);
        assert_ne!(heavy_tailed(2, 4, 1_000_000), GOLDEN);
        assert_eq!(heavy_tailed(1, 1, 7), [7]);
        assert_eq!(heavy_tailed(1, 3, 0), [1, 1, 1]);
    }

    /// Written down once: a change of it changes every seed's build.
    const GOLDEN: [u64; 4] = [157_911, 313_495, 232_065, 296_527];
}

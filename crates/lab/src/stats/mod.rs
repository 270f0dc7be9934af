//! The arithmetic of the verdicts: what a sample is like, and how far two of them differ.
//!
//! - here: the median and other quantiles, the spread, Holm's correction;
//! - [`bootstrap`]: intervals of medians;
//! - [`ranks`]: the tests of Mann and Whitney and of Wilcoxon.
//!
//! docs/statistics.md has the formulae and what was measured of them. All functions want finite
//! values.

pub mod bootstrap;
pub mod ranks;

pub use bootstrap::{Interval, median_interval, shift_interval};
pub use ranks::{
    MannWhitney, least_p, least_signed_p, least_signed_p_of, mann_whitney, signed_rank,
};

/// Turns the median absolute deviation of normal values into their standard deviation.
const NORMAL_MAD: f64 = 1.482_602_218_505_602;

/// A copy in rising order.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value in the middle, or between the two in the middle; none of no values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which the share `part`, from 0 to 1, of the values lies, between neighbours in
/// proportion (type 7 of Hyndman and Fan, the default of numpy and R); none of no values.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let sorted = sorted(values);
    let last = sorted.len().checked_sub(1)?;
    let place = part.clamp(0.0, 1.0) * last as f64;
    let below = place as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    let share = place.fract();
    // Never beyond a neighbour by rounding, and no overflow between large ones.
    Some((low * (1.0 - share) + high * share).clamp(low, high))
}

/// The lower and the upper quartile.
pub fn quartiles(values: &[f64]) -> Option<[f64; 2]> {
    Some([quantile(values, 0.25)?, quantile(values, 0.75)?])
}

/// The median distance from the median.
pub fn mad(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&distances)
}

/// How far values spread, as a share of their median: the median absolute deviation times 1.4826,
/// which is the standard deviation if they are normal. None of a median of 0.
pub fn spread(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    (middle != 0.0).then_some(NORMAL_MAD * mad(values)? / middle.abs())
}

/// Holm's correction: each p as if it were the only one, so that among all of them a false one is
/// found with at most the probability of the level that they are compared with. In the order given.
///
/// Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
    let mut corrected = vec![1.0; ps.len()];
    let mut least: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        let left = (ps.len() - rank) as f64;
        least = least.max((ps[index] * left).min(1.0));
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
        assert_eq!(quartiles(&[5.0, 1.0, 2.0, 4.0, 3.0]), Some([2.0, 4.0]));
        assert_eq!(quantile(&[1.0, 2.0], 7.0), Some(2.0));
    }

    #[test]
    fn spreads() {
        assert_eq!(mad(&[1.0, 2.0, 4.0]), Some(1.0));
        assert_eq!(spread(&[5.0, 5.0]), Some(0.0));
        assert_eq!(spread(&[0.0, 0.0]), None);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn holm_keeps_the_order() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.04, 0.01, 0.03]), [0.06, 0.03, 0.06]);
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}

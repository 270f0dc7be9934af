//! Tests by ranks, which assume nothing of how values are distributed: of two samples (Mann and Whitney)
//! and of pairs (Wilcoxon).

use statrs::distribution::{ContinuousCDF as _, Normal};

/// Samples that have no equal values are counted out up to this size each.
const EXACT_MAX: usize = 50;

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// How many pairs of a value of the first sample and one of the second have the first greater;
    /// of equal ones a half.
    pub u: f64,
    /// The probability that equal distributions lead to this or more, in either direction.
    pub p: f64,
    /// Whether that was counted, not approximated.
    pub exact: bool,
}

/// Whether values of `first` tend to be greater or smaller than those of `second`; none if one of them is empty.
///
/// Up to 50 values each, all of them different, p is counted. Otherwise it is that of the normal
/// approximation with corrections for ties and for continuity; if all values are equal it is 1.
///
/// Source: H. B. Mann, D. R. Whitney, On a test of whether one of two random variables is
/// stochastically larger than the other, 1947.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<MannWhitney> {
    let (n, m) = (first.len(), second.len());
    if n == 0 || m == 0 {
        return None;
    }
    let (rank_sum, ties) = ranks(first, second);
    let u = rank_sum - (n * (n + 1)) as f64 / 2.0;
    let exact = ties == 0.0 && n.max(m) <= EXACT_MAX;
    let p = match exact {
        true => counted(u, n, m),
        false => approximated(u, n, m, ties),
    };
    Some(MannWhitney { u, p, exact })
}

/// The signed rank test of Wilcoxon: whether the differences of pairs tend to one side. None of no
/// differences; those of 0 say nothing and are left out, and if all are, p is 1.
///
/// Up to 50 differences p is counted, over all ways to choose their signs, equal sizes sharing their
/// rank. Otherwise it is that of the normal approximation with a correction for continuity.
///
/// Source: F. Wilcoxon, Individual comparisons by ranking methods, 1945.
pub fn signed_rank(differences: &[f64]) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let mut moved: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|shift| *shift != 0.0)
        .collect();
    moved.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Twice the ranks, which are whole numbers even where values share theirs.
    let mut ranks: Vec<usize> = Vec::with_capacity(moved.len());
    for group in moved.chunk_by(|a, b| a.abs() == b.abs()) {
        let doubled = 2 * ranks.len() + group.len() + 1;
        ranks.extend(group.iter().map(|_| doubled));
    }
    let up = ranks.iter().zip(&moved).filter(|(_, shift)| **shift > 0.0);
    let up: usize = up.map(|(rank, _)| rank).sum();
    let all: usize = ranks.iter().sum();
    let greater = up.max(all - up);
    if moved.len() > EXACT_MAX {
        let variance: f64 = ranks
            .iter()
            .map(|rank| (*rank as f64 / 2.0).powi(2) / 4.0)
            .sum();
        let z = (greater as f64 / 2.0 - all as f64 / 4.0 - 0.5) / variance.sqrt();
        return Some((2.0 * Normal::standard().sf(z)).min(1.0));
    }
    let mut ways = vec![0.0; all + 1];
    ways[0] = 1.0;
    for rank in ranks {
        for sum in (0..=all).rev() {
            let with = if sum >= rank { ways[sum - rank] } else { 0.0 };
            ways[sum] = f64::midpoint(ways[sum], with);
        }
    }
    let tail: f64 = ways[greater..].iter().sum();
    Some((2.0 * tail).min(1.0))
}

/// The smallest p that [`signed_rank`] can have of `n` differences, if it is counted and none is 0: that
/// of all on one side.
pub fn least_signed_p(n: usize) -> f64 {
    (2.0 * 0.5_f64.powf(n as f64)).min(1.0)
}

/// The smallest p that [`signed_rank`] can have of differences of these sizes, whichever their signs;
/// differences of 0 have none, and leave less to be shown. None of no differences.
pub fn least_signed_p_of(differences: &[f64]) -> Option<f64> {
    let sizes: Vec<f64> = differences.iter().map(|shift| shift.abs()).collect();
    signed_rank(&sizes)
}

/// The smallest p that samples of `n` and `m` values can lead to: that of the two orders in which all
/// of one sample are below all of the other, among all orders.
pub fn least_p(n: usize, m: usize) -> f64 {
    let orders = statrs::function::factorial::ln_binomial((n + m) as u64, n as u64);
    (std::f64::consts::LN_2 - orders).exp().min(1.0)
}

/// The sum of the first sample's ranks, equal values sharing theirs, and the correction for ties: the
/// sum of t^3 - t over groups of t equal values.
fn ranks(first: &[f64], second: &[f64]) -> (f64, f64) {
    let marked = |values: &[f64], is_first| values.iter().map(move |&v| (v, is_first)).collect();
    let mut all: Vec<(f64, bool)> = marked(first, true);
    let others: Vec<(f64, bool)> = marked(second, false);
    all.extend(others);
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut ties, mut begin) = (0.0, 0.0, 0);
    // By `==`, so that both zeros are equal.
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let size = group.len();
        let rank = begin as f64 + (size + 1) as f64 / 2.0;
        sum += rank * group.iter().filter(|value| value.1).count() as f64;
        ties += (size as f64).powi(3) - size as f64;
        begin += size;
    }
    (sum, ties)
}

/// Two-sided p, by counting the orders that lead to each U.
fn counted(u: f64, n: usize, m: usize) -> f64 {
    let greater = u.max((n * m) as f64 - u) as usize;
    // ways[k]: the probability of U = k for samples of sizes that grow; the orders whose last value
    // is of the first sample have U greater by the size of the second.
    let mut by_first: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        let mut row: Vec<Vec<f64>> = vec![vec![1.0]];
        for j in 1..=m {
            let mut ways = vec![0.0; i * j + 1];
            let last_of_first = i as f64 / (i + j) as f64;
            for (k, &way) in by_first[j].iter().enumerate() {
                ways[k + j] += way * last_of_first;
            }
            for (k, &way) in row[j - 1].iter().enumerate() {
                ways[k] += way * (1.0 - last_of_first);
            }
            row.push(ways);
        }
        by_first = row;
    }
    let tail: f64 = by_first[m].iter().skip(greater).sum();
    (2.0 * tail).min(1.0)
}

/// Two-sided p by the normal distribution.
fn approximated(u: f64, n: usize, m: usize, ties: f64) -> f64 {
    let (n, m) = (n as f64, m as f64);
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let greater = u.max(n * m - u);
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (greater - n * m / 2.0 - 0.5) / variance.sqrt();
    (2.0 * Normal::standard().sf(z)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clearest_result_has_the_least_p() {
        for (n, m) in [(3, 3), (5, 10), (10, 10), (50, 50)] {
            let first: Vec<f64> = (0..n).map(f64::from).collect();
            let second: Vec<f64> = (0..m).map(|k| f64::from(100 + k)).collect();
            let test = mann_whitney(&first, &second).unwrap();
            let least = least_p(n as usize, m as usize);
            assert!(
                (test.p / least - 1.0).abs() < 1e-9,
                "{n}, {m}: {} {least}",
                test.p
            );
            assert_eq!(test.u, 0.0);
        }
    }

    #[test]
    fn ten_and_ten() {
        assert!((least_p(10, 10) - 2.0 / 184_756.0).abs() < 1e-15);
        assert_eq!(least_p(1, 1), 1.0);
    }

    #[test]
    fn signs() {
        assert_eq!(signed_rank(&[]), None);
        assert_eq!(signed_rank(&[0.0, 0.0]), Some(1.0));
        let all_up: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(signed_rank(&all_up), Some(least_signed_p(10)));
        assert_eq!(signed_rank(&[3.0; 10]), Some(least_signed_p(10)));
        let many: Vec<f64> = (1..=60).map(f64::from).collect();
        assert!(signed_rank(&many).unwrap() < 1e-10);
        assert_eq!(signed_rank(&[1.0, -1.0]), Some(1.0));
    }

    #[test]
    fn equal_pairs_leave_less_to_be_shown() {
        assert_eq!(least_signed_p_of(&[]), None);
        assert_eq!(least_signed_p_of(&[0.0, -0.0]), Some(1.0));
        assert_eq!(least_signed_p_of(&[3.0, -2.0, 1.0, -1.0]), Some(0.125));
        let mut some = [0.0; 12];
        some[..5].copy_from_slice(&[1.0, -2.0, 3.0, -4.0, 5.0]);
        assert_eq!(least_signed_p_of(&some), Some(least_signed_p(5)));
        // What is approximated is never as small as what is counted.
        let many: Vec<f64> = (1..=60).map(f64::from).collect();
        assert_eq!(least_signed_p_of(&many), signed_rank(&many));
        assert!(least_signed_p_of(&many).unwrap() > least_signed_p(60));
    }

    #[test]
    fn equal_values() {
        let test = mann_whitney(&[1.0; 10], &[1.0; 10]).unwrap();
        assert_eq!((test.p, test.exact), (1.0, false));
        let zeros = mann_whitney(&[0.0, 0.0], &[-0.0, -0.0]).unwrap();
        assert_eq!(zeros.u, 2.0);
        assert_eq!(mann_whitney(&[], &[1.0]), None);
    }
}

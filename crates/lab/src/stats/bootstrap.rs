//! Intervals of medians by the bootstrap.
//!
//! The bootstrap asks what median a sample drawn from the values with replacement has. For the
//! median that distribution is known in closed form (A. Hutson and M. Ernst, The exact bootstrap mean
//! and variance of an L-estimator, 2000), so nothing is drawn: no seed, and no noise of its own.
//!
//! The plain percentile interval is too narrow for few values. The ends are taken further out, as
//! T. Hesterberg advises (What teachers should know about the bootstrap, 2015, "expanded percentile"):
//! by Student's t instead of the normal distribution, and by sqrt(n / (n - 1)). docs/statistics.md has
//! the coverage of this one, of the plain one and of BCa.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use super::{median, sorted};

/// Up to here the closed form is used; beyond it the interval of order statistics, which is the
/// same in the limit.
const EXACT_MAX: usize = 500;

/// Draws for the interval between two samples.
const DRAWS: usize = 20_000;

/// A median and what it may as well be.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies within, the ends included.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Both ends and the median, changed by a rising function.
    #[must_use]
    pub fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            low: change(self.low),
            median: change(self.median),
            high: change(self.high),
        }
    }
}

/// The interval of the median at this confidence, between 0 and 1; none of no values. Of a single value
/// it is the value: nothing is known of its spread.
pub fn median_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let values = sorted(values);
    let middle = median(&values)?;
    let tail = tail(values.len(), confidence);
    if values.len() > EXACT_MAX {
        let place = |part: f64| {
            let n = values.len() as f64;
            let z = normal().inverse_cdf(part);
            let place = (n / 2.0 + z * n.sqrt() / 2.0).clamp(0.0, n - 1.0);
            values[place as usize]
        };
        let (low, high) = (place(tail), place(1.0 - tail));
        return Some(Interval {
            low,
            median: middle,
            high,
        });
    }
    let medians = Medians::of(&values);
    Some(Interval {
        low: medians.quantile(tail).min(middle),
        median: middle,
        high: medians.quantile(1.0 - tail).max(middle),
    })
}

/// The interval of the median of `new` minus that of `old`, which have nothing to do with each other;
/// none if there are no values in one of them. The pairs of medians are drawn by the seed.
pub fn shift_interval(old: &[f64], new: &[f64], confidence: f64, seed: u64) -> Option<Interval> {
    let middle = median(new)? - median(old)?;
    let few = old.len().min(new.len());
    let tail = tail(few, confidence);
    let mut rng = fastrand::Rng::with_seed(seed);
    let [old, new] = [old, new].map(|values| Medians::of(&middle_part(values)));
    let mut shifts: Vec<f64> = (0..DRAWS)
        .map(|_| new.quantile(rng.f64()) - old.quantile(rng.f64()))
        .collect();
    shifts.sort_by(f64::total_cmp);
    let last = (DRAWS - 1) as f64;
    Some(Interval {
        low: shifts[(tail * last) as usize].min(middle),
        median: middle,
        high: shifts[((1.0 - tail) * last).ceil() as usize].max(middle),
    })
}

/// At most [`EXACT_MAX`] values with about the same median and spread of medians: those farthest out
/// cannot be medians, and are left away in equal numbers on both sides.
fn middle_part(values: &[f64]) -> Vec<f64> {
    let values = sorted(values);
    let extra = values.len().saturating_sub(EXACT_MAX) / 2;
    let end = (values.len() - extra).min(extra + EXACT_MAX);
    values[extra..end].to_vec()
}

/// The share of samples drawn from `values` whose median is at most `value`.
pub fn share_at_most(values: &[f64], value: f64) -> f64 {
    let points = Medians::of(&sorted(values)).points;
    let end = points.partition_point(|point| point.0 <= value);
    end.checked_sub(1).map_or(0.0, |last| points[last].1)
}

/// The share of the bootstrap's medians beyond each end of an interval of `n` values.
pub fn tail(n: usize, confidence: f64) -> f64 {
    let outside = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
    if n < 2 {
        return outside;
    }
    let n = n as f64;
    let t = match StudentsT::new(0.0, 1.0, n - 1.0) {
        Ok(student) => student.inverse_cdf(outside),
        Err(_) => normal().inverse_cdf(outside),
    };
    normal().cdf(t * (n / (n - 1.0)).sqrt())
}

fn normal() -> Normal {
    Normal::standard()
}

/// The medians that samples drawn from values with replacement have, in rising order, with the
/// probability that one is at most this.
struct Medians {
    points: Vec<(f64, f64)>,
}

impl Medians {
    /// Of values in rising order.
    fn of(values: &[f64]) -> Self {
        let n = values.len();
        let mut points = match n % 2 {
            1 => odd(values),
            _ => even(values),
        };
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        for point in &mut points {
            sum += point.1;
            point.1 = sum;
        }
        Self { points }
    }

    fn quantile(&self, part: f64) -> f64 {
        // Sums of rounded probabilities must not move an end by a whole step.
        let at = self.points.partition_point(|point| point.1 < part - 1e-12);
        let last = self.points.len().saturating_sub(1);
        self.points.get(at.min(last)).map_or(0.0, |point| point.0)
    }
}

/// The median of an odd number is one of the values: the `k`-th if at least half of the draws are
/// among the first `k`.
fn odd(values: &[f64]) -> Vec<(f64, f64)> {
    let n = values.len();
    let at_most = |k: usize| at_least(n, n / 2 + 1, k as f64 / n as f64);
    let point = |k: usize| (values[k], at_most(k + 1) - at_most(k));
    (0..n).map(point).collect()
}

/// The median of an even number lies between the two in the middle of the draws: the `i`-th and
/// the `j`-th value if half of the draws are at most the one and reach it, and half at least the other.
fn even(values: &[f64]) -> Vec<(f64, f64)> {
    let n = values.len();
    let half = n / 2;
    // The number of ways to choose the lower half of the draws, half of it to each factor.
    let ways = (ln_choose(n, half) / 2.0).exp();
    let share = |k: usize| ways * (k as f64 / n as f64).powi(half as i32);
    let reach = |k: usize| share(k) - share(k - 1);
    let mut points = Vec::with_capacity(n * (n + 1) / 2);
    let at_most = |k: usize| at_least(n, half, k as f64 / n as f64);
    for i in 1..=n {
        // What is left for both being the same value.
        let mut same = at_most(i) - at_most(i - 1);
        for j in i + 1..=n {
            let probability = reach(i) * reach(n + 1 - j);
            same -= probability;
            points.push((f64::midpoint(values[i - 1], values[j - 1]), probability));
        }
        points.push((values[i - 1], same.max(0.0)));
    }
    points
}

/// The probability of at least `k` successes in `n`.
fn at_least(n: usize, k: usize, probability: f64) -> f64 {
    if probability <= 0.0 {
        return 0.0;
    }
    if probability >= 1.0 {
        return 1.0;
    }
    let (yes, no) = (probability.ln(), (-probability).ln_1p());
    let term =
        |hits: usize| (ln_choose(n, hits) + hits as f64 * yes + (n - hits) as f64 * no).exp();
    (k..=n).map(term).sum::<f64>().min(1.0)
}

fn ln_choose(n: usize, k: usize) -> f64 {
    statrs::function::factorial::ln_binomial(n as u64, k as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_ten_values() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let interval = median_interval(&values, 0.95).unwrap();
        assert_eq!(
            (interval.low, interval.median, interval.high),
            (2.5, 5.5, 8.5)
        );
        assert!(interval.holds(8.5) && !interval.holds(8.6));
    }

    #[test]
    fn drawing_agrees_with_the_closed_form() {
        for n in [4_usize, 5, 9, 10] {
            let values: Vec<f64> = (0..n).map(|k| (k * k) as f64).collect();
            let medians = Medians::of(&values);
            let mut rng = fastrand::Rng::with_seed(n as u64);
            let draws = 20_000;
            let below = 0.3 * values[n - 1];
            let mut hits = 0;
            for _ in 0..draws {
                let drawn: Vec<f64> = (0..n).map(|_| values[rng.usize(0..n)]).collect();
                hits += usize::from(median(&drawn).unwrap() <= below);
            }
            let share = hits as f64 / f64::from(draws);
            let at = medians.points.partition_point(|point| point.0 <= below);
            let exact = medians.points[at - 1].1;
            assert!(
                (share - exact).abs() < 0.01,
                "n {n}: drawn {share}, exact {exact}"
            );
            let whole = medians.points.last().unwrap().1;
            assert!((whole - 1.0).abs() < 1e-9, "n {n}: {whole}");
        }
    }

    #[test]
    fn degenerate_samples() {
        assert_eq!(median_interval(&[], 0.95), None);
        let one = median_interval(&[3.0], 0.95).unwrap();
        assert_eq!((one.low, one.high), (3.0, 3.0));
        let constant = median_interval(&[2.0; 12], 0.95).unwrap();
        assert_eq!((constant.low, constant.high), (2.0, 2.0));
        assert_eq!(shift_interval(&[], &[1.0], 0.95, 1), None);
    }

    #[test]
    fn many_values_take_another_way() {
        let values: Vec<f64> = (0..=1000).map(f64::from).collect();
        let many = median_interval(&values, 0.95).unwrap();
        let fewer = median_interval(&values[..499], 0.95).unwrap();
        // 1.96 * sqrt(n) / 2 on each side.
        assert!((many.low - 469.0).abs() <= 2.0, "{many:?}");
        assert!((fewer.median - fewer.low - 21.9).abs() <= 2.0, "{fewer:?}");
        let shift = shift_interval(&values, &values, 0.95, 1).unwrap();
        assert!(
            shift.low < -30.0 && shift.high > 30.0 && shift.holds(0.0),
            "{shift:?}"
        );
    }
}

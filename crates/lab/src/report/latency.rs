//! Distributions of latencies, of several runs together, with their tails.

use serde::Serialize;

use crate::results::Latency;

/// Points of a drawn curve.
const POINTS: usize = 180;
/// The least latency that a logarithmic axis shows, in microseconds.
pub(super) const LEAST_US: f64 = 0.1;

/// The latencies of several runs together.
pub(super) struct Pooled<'a> {
    runs: Vec<Curve<'a>>,
    /// How many latencies there are in all.
    pub(super) count: u64,
}

/// One run's share of latencies that are longer than some length.
struct Curve<'a> {
    count: f64,
    points: &'a [(f64, f64)],
}

/// A drawn curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Drawn {
    /// Microseconds, and the share of latencies that are longer.
    pub(super) points: Vec<(f64, f64)>,
}

impl<'a> Pooled<'a> {
    /// Of these runs; none if they have no latencies. What is not a distribution is left out.
    pub(super) fn of(latencies: impl IntoIterator<Item = &'a Latency>) -> Option<Self> {
        let runs: Vec<Curve<'_>> = latencies
            .into_iter()
            .filter(|latency| latency.count > 0 && !latency.points.is_empty())
            .filter(|latency| {
                let numbers = latency
                    .points
                    .iter()
                    .all(|(share, us)| share.is_finite() && us.is_finite());
                numbers && latency.points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1)
            })
            .map(|latency| Curve {
                count: latency.count as f64,
                points: &latency.points,
            })
            .collect();
        let count: f64 = runs.iter().map(|run| run.count).sum();
        (!runs.is_empty()).then_some(Self {
            runs,
            count: count as u64,
        })
    }

    /// The share of latencies that are longer than this; at the longest one, its own share.
    fn longer(&self, us: f64) -> f64 {
        let all: f64 = self.runs.iter().map(|run| run.count).sum();
        self.runs
            .iter()
            .map(|run| run.longer(us) * run.count)
            .sum::<f64>()
            / all
    }

    fn least(&self) -> f64 {
        let firsts = self.runs.iter().filter_map(|run| run.points.first());
        firsts
            .map(|(_, us)| us.max(LEAST_US))
            .fold(f64::INFINITY, f64::min)
    }

    /// The longest one, in microseconds.
    pub(super) fn longest(&self) -> f64 {
        let lasts = self.runs.iter().filter_map(|run| run.points.last());
        lasts
            .map(|(_, us)| us.max(LEAST_US))
            .fold(LEAST_US, f64::max)
    }

    /// So large a share is at most this long, in microseconds; none if the tail beyond is less
    /// than one latency.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let tail = 1.0 - share;
        if tail * (self.count as f64) < 1.0 - 1e-9 {
            return None;
        }
        let (mut low, mut high) = (self.least().ln(), self.longest().ln());
        if self.longer(low.exp()) <= tail {
            return Some(low.exp());
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            match self.longer(middle.exp()) > tail {
                true => low = middle,
                false => high = middle,
            }
        }
        Some(high.exp())
    }

    /// The curve, from the shortest to the longest latency.
    pub(super) fn draw(&self) -> Drawn {
        let (least, longest) = (self.least(), self.longest());
        let ratio = (longest / least).ln();
        let place = |at: usize| match at {
            0 => least,
            at if at == POINTS => longest,
            at => least * (ratio * at as f64 / POINTS as f64).exp(),
        };
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(POINTS + 1);
        for at in 0..=POINTS {
            let us = place(at);
            let share = self.longer(us).max(1.0 / self.count as f64);
            points.push((rounded(us), rounded(share)));
        }
        points.dedup_by(|b, a| a.0 == b.0);
        Drawn { points }
    }
}

impl Curve<'_> {
    /// Straight between two known points where both axes are logarithmic.
    fn longer(&self, us: f64) -> f64 {
        let tail = |share: f64| (1.0 - share).clamp(1.0 / self.count, 1.0);
        let after = self
            .points
            .partition_point(|(_, known)| known.max(LEAST_US) <= us);
        match (
            after.checked_sub(1).and_then(|at| self.points.get(at)),
            self.points.get(after),
        ) {
            (None, Some((share, _))) => tail(*share),
            (None, None) => 0.0,
            (Some((share, known)), None) if known.max(LEAST_US) >= us => tail(*share),
            (Some(_), None) => 0.0,
            (Some((share, known)), Some((next_share, next))) => {
                let (from, to) = (known.max(LEAST_US).ln(), next.max(LEAST_US).ln());
                let part = ((us.ln() - from) / (to - from)).clamp(0.0, 1.0);
                let (high, low) = (tail(*share).ln(), tail(*next_share).ln());
                (high + (low - high) * part).exp()
            }
        }
    }
}

/// Four digits are more than a screen shows.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(count: u64, points: &[(f64, f64)]) -> Latency {
        Latency {
            count,
            points: points.to_vec(),
        }
    }

    #[test]
    fn quantiles_of_one_run_are_its_points() {
        let run = latency(
            1000,
            &[(0.0, 1.0), (0.5, 10.0), (0.99, 100.0), (1.0, 5000.0)],
        );
        let pooled = Pooled::of([&run]).unwrap();
        let check = |share: f64, us: f64| {
            let found = pooled.quantile(share).unwrap();
            assert!(
                (found / us - 1.0).abs() < 1e-6,
                "{share}: {found}, not {us}"
            );
        };
        check(0.5, 10.0);
        check(0.99, 100.0);
        check(0.999, 5000.0);
        assert_eq!(pooled.quantile(0.9999), None);
        assert!((pooled.longest() - 5000.0).abs() < 1e-9);
    }

    #[test]
    fn runs_count_by_how_many_latencies_they_have() {
        let short = latency(900, &[(0.0, 1.0), (1.0, 2.0)]);
        let long = latency(100, &[(0.0, 100.0), (1.0, 200.0)]);
        let pooled = Pooled::of([&short, &long]).unwrap();
        assert_eq!(pooled.count, 1000);
        assert!((pooled.longer(50.0) - 0.1).abs() < 1e-9);
        assert!(pooled.quantile(0.5).unwrap() < 2.0);
        assert!(pooled.quantile(0.95).unwrap() > 100.0);
    }

    #[test]
    fn a_curve_falls_and_ends_at_the_longest() {
        let run = latency(
            10_000,
            &[
                (0.0, 0.0),
                (0.3, 4.0),
                (0.9, 4.0),
                (0.999, 90.0),
                (1.0, 7e4),
            ],
        );
        let drawn = Pooled::of([&run]).unwrap().draw();
        assert!(
            drawn.points.is_sorted_by(|a, b| a.0 < b.0 && a.1 >= b.1),
            "{drawn:?}"
        );
        assert_eq!(drawn.points.first().map(|(_, share)| *share), Some(1.0));
        assert_eq!(drawn.points.last(), Some(&(7e4, 1e-4)));
    }

    #[test]
    fn what_is_no_distribution_is_left_out() {
        let falling = latency(10, &[(0.5, 3.0), (0.4, 4.0)]);
        let odd = latency(10, &[(0.5, f64::NAN)]);
        let empty = latency(0, &[(1.0, 1.0)]);
        assert!(Pooled::of([&falling, &odd, &empty, &latency(3, &[])]).is_none());
        let single = latency(1, &[(1.0, 5.0)]);
        let drawn = Pooled::of([&falling, &single]).unwrap().draw();
        assert_eq!(drawn.points, [(5.0, 1.0)]);
    }
}

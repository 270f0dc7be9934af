//! Where a ratio, its interval and the band of no difference lie on an axis that many rows share.

use super::numbers::times;
use crate::judge::{Effect, Scale};

/// Beyond this an end of the axis does not go; what lies there is drawn as an arrow.
const FARTHEST: f64 = 5.0;
/// Less than this it never shows.
const NEAREST: f64 = 1.1;

/// An axis of ratios in equal steps of their logarithm, 1 always on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Marks along it.
    pub(super) ticks: Vec<Tick>,
}

/// A mark of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where, in percent of the axis.
    pub(super) at: String,
    /// What it says.
    pub(super) text: String,
    /// Whether it is 1: no change.
    pub(super) one: bool,
}

/// One row's drawing, all places in percent of the axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Forest {
    /// Begin of the interval.
    pub(super) low: String,
    /// End of the interval.
    pub(super) high: String,
    /// The ratio.
    pub(super) at: String,
    /// Whether the interval goes on beyond the axis on the left.
    pub(super) beyond_low: bool,
    /// Whether it does on the right.
    pub(super) beyond_high: bool,
    /// Begin and width of the band of two series of the same.
    pub(super) band: Option<(String, String)>,
    /// The same in words.
    pub(super) label: String,
}

impl Axis {
    /// An axis for these ratios and bands.
    pub(super) fn over(
        effects: impl IntoIterator<Item = Effect>,
        bands: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let (mut low, mut high) = (1.0 / NEAREST, NEAREST);
        let ratios = effects
            .into_iter()
            .filter(|effect| effect.scale == Scale::Ratio);
        let ends = ratios.flat_map(|ratio| [ratio.low, ratio.median, ratio.high]);
        let bands = bands.into_iter().flat_map(|(low, high)| [low, high]);
        for end in ends
            .chain(bands)
            .filter(|end| end.is_finite() && *end > 0.0)
        {
            low = low.min(end / 1.08);
            high = high.max(end * 1.08);
        }
        let (low, high) = (low.max(1.0 / FARTHEST), high.min(FARTHEST));
        let mut axis = Self {
            low,
            high,
            ticks: Vec::new(),
        };
        axis.ticks = axis.make_ticks();
        axis
    }

    fn make_ticks(&self) -> Vec<Tick> {
        let span = (self.high / self.low).ln();
        let steps: &[f64] = match span {
            s if s > 1.1 => &[0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0],
            s if s > 0.4 => &[0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6],
            _ => &[0.8, 0.9, 1.0, 1.1, 1.2],
        };
        let inside = steps
            .iter()
            .filter(|step| **step >= self.low && **step <= self.high);
        let mut ticks: Vec<(f64, f64)> = inside.map(|step| (*step, self.percent(*step))).collect();
        // Their texts must not run into each other; 1 stays.
        let mut last = f64::NEG_INFINITY;
        let one = self.percent(1.0);
        ticks.retain(|(step, at)| {
            let keep = *step == 1.0 || (at - last >= 12.0 && (at - one).abs() >= 12.0);
            if keep {
                last = *at;
            }
            keep
        });
        let tick = |(step, at): &(f64, f64)| Tick {
            at: percent_text(*at),
            text: format!("{step}×"),
            one: *step == 1.0,
        };
        ticks.iter().map(tick).collect()
    }

    /// Where a ratio lies, from 0 to 100.
    fn percent(&self, ratio: f64) -> f64 {
        let within = ratio.clamp(self.low, self.high);
        (within / self.low).ln() / (self.high / self.low).ln() * 100.0
    }

    /// The drawing of one row; none if there is nothing that can be drawn on an axis of ratios.
    pub(super) fn draw(&self, ratio: Effect, band: Option<(f64, f64)>) -> Option<Forest> {
        let is_ratio =
            ratio.scale == Scale::Ratio && ratio.median.is_finite() && ratio.median > 0.0;
        if !is_ratio || ratio.low.is_nan() || ratio.high.is_nan() {
            return None;
        }
        let band = band
            .filter(|(low, high)| low.is_finite() && high.is_finite())
            .map(|(low, high)| {
                let (low, high) = (self.percent(low.min(high)), self.percent(high.max(low)));
                (percent_text(low), percent_text(high - low))
            });
        Some(Forest {
            low: percent_text(self.percent(ratio.low)),
            high: percent_text(self.percent(ratio.high)),
            at: percent_text(self.percent(ratio.median)),
            beyond_low: ratio.low < self.low,
            beyond_high: ratio.high > self.high,
            band,
            label: format!(
                "ratio {}, interval {} to {}",
                times(ratio.median),
                times(ratio.low),
                times(ratio.high)
            ),
        })
    }
}

fn percent_text(percent: f64) -> String {
    format!("{percent:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(median: f64, low: f64, high: f64) -> Effect {
        Effect {
            scale: Scale::Ratio,
            median,
            low,
            high,
        }
    }

    fn number(percent: &str) -> f64 {
        percent.trim_end_matches('%').parse().unwrap()
    }

    #[test]
    fn the_order_of_ratios_is_that_on_the_axis() {
        let (one, two) = (ratio(0.44, 0.41, 0.47), ratio(1.3, 1.1, 1.5));
        let axis = Axis::over([one, two], [(0.97, 1.03)]);
        let first = axis.draw(one, Some((0.97, 1.03))).unwrap();
        let second = axis.draw(two, None).unwrap();
        let at = number(&axis.ticks.iter().find(|tick| tick.one).unwrap().at);
        assert!(number(&first.low) < number(&first.at) && number(&first.at) < number(&first.high));
        assert!(number(&first.high) < at && at < number(&second.low));
        assert!(!first.beyond_low && !second.beyond_high);
        let (begin, width) = first.band.unwrap();
        assert!(number(&begin) < at && number(&begin) + number(&width) > at);
    }

    #[test]
    fn what_is_far_away_is_an_arrow() {
        let far = ratio(216.0, 200.0, 230.0);
        let axis = Axis::over([far, ratio(1.02, 0.99, 1.05)], []);
        let drawn = axis.draw(far, None).unwrap();
        assert!(drawn.beyond_high && !drawn.beyond_low);
        assert_eq!(drawn.at, "100.00%");
        assert!(drawn.label.contains("216×"));
    }

    #[test]
    fn ticks_keep_apart_and_hold_one() {
        let spans = [
            (0.99, 1.01),
            (0.8, 1.3),
            (0.5, 2.0),
            (0.01, 0.5),
            (1.2, 300.0),
            (0.02, 90.0),
        ];
        for (low, high) in spans {
            let axis = Axis::over([ratio(f64::sqrt(low * high), low, high)], []);
            assert_eq!(
                axis.ticks.iter().filter(|tick| tick.one).count(),
                1,
                "{low} {high}"
            );
            assert!(axis.ticks.len() >= 2, "{low} {high}: {:?}", axis.ticks);
            let places: Vec<f64> = axis.ticks.iter().map(|tick| number(&tick.at)).collect();
            assert!(
                places.windows(2).all(|pair| pair[1] - pair[0] >= 8.0),
                "{places:?}"
            );
        }
    }

    #[test]
    fn no_number_is_no_drawing() {
        let axis = Axis::over(
            [ratio(f64::NAN, f64::NAN, f64::INFINITY)],
            [(f64::NAN, 1.0)],
        );
        assert_eq!(axis.draw(ratio(f64::NAN, 1.0, 2.0), None), None);
        assert_eq!(axis.draw(ratio(0.0, 0.0, 0.0), None), None);
        let difference = Effect {
            scale: Scale::Difference,
            ..ratio(3.0, 2.0, 4.0)
        };
        assert_eq!(axis.draw(difference, None), None);
        let open = axis
            .draw(ratio(1.0, 0.5, f64::INFINITY), Some((f64::NAN, 1.0)))
            .unwrap();
        assert!(open.beyond_low && open.beyond_high && open.band.is_none());
    }
}

//! From what a model says to what a scheduler does, and what keeps that in bounds.

use serde::{Deserialize, Serialize};

use crate::{Feature, Features, Model, exp2_q8, scale::TIME_MAX};

/// The greatest value on the scale of [`log2_q8`](crate::log2_q8).
const LOG_MAX: u16 = 40 * 256;

/// Inverted predictions are mirrored here: 1.05 ms.
const MIRROR: i32 = 20 * 256;

/// What is drawn at random lies between 8 us and 33 ms.
const RANDOM_LOW: u16 = 13 * 256;
const RANDOM_SPAN: u64 = 12 * 256;

/// A task is regular from this on: four bursts are known, on the scale of [`Feature::Known`].
const REGULAR_KNOWN: u16 = 2 * 256 + 64;
/// And its bursts are off its average by less than a quarter of that.
const REGULAR_OCTAVES: u16 = 2 * 256;

/// So many bursts are judged together.
pub const DRIFT_WINDOW: u32 = 64;

/// Windows that are judged together once more.
const DRIFT_EPOCH: u32 = 8;

/// Where a guess of a burst comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Predictor {
    /// The exponential average of the task's bursts ([`Feature::Average`]).
    #[default]
    Average,
    /// The model's first output, but for tasks that repeat themselves ([`is_regular`]).
    Model,
    /// The model's first output for all tasks, mirrored about 1.05 ms: what it takes for short counts as long.
    Inverted,
    /// Always this, on the scale of [`log2_q8`](crate::log2_q8).
    Constant(u16),
    /// Anything from 8 us to 33 ms, drawn anew for each burst, each octave as likely as any other.
    Random,
    /// What will be. Only a simulator knows; elsewhere it is the average.
    Truth,
}

/// How bursts are guessed, and what a guess may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// Where guesses come from.
    pub by: Predictor,
    /// Most that a guess delays a task, nanoseconds.
    pub delay_max_ns: u64,
    /// A model whose second output is above its first by more than this, octaves times 256, is not sure
    /// enough: the average counts. A model with one output is always sure.
    pub spread_max: u16,
    /// Whether the average counts from when [`Drift`] finds the model worse than it.
    pub is_guarded: bool,
    /// Whether the model is only watched, and the average counts always.
    pub is_shadow: bool,
    /// Whether slices follow the guess ([`slice_ns`]).
    pub slices: bool,
}

impl Default for Prediction {
    fn default() -> Self {
        Self {
            by: Predictor::Average,
            delay_max_ns: 10_000_000,
            spread_max: 5 * 256,
            is_guarded: true,
            is_shadow: false,
            slices: true,
        }
    }
}

/// Whose guess counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Whose {
    /// Nobody guessed.
    #[default]
    Nobody = 0,
    /// The average's: nothing else was asked for, or the model is only watched.
    Average = 1,
    /// The model's, or what stands for it.
    Model = 2,
    /// The average's: the model was not sure.
    Unsure = 3,
    /// The average's: the model is off.
    Off = 4,
    /// The average's: the task repeats itself, so that there is nothing to ask a model.
    Regular = 5,
}

impl Whose {
    /// The one of this number.
    #[must_use]
    pub const fn of(number: u8) -> Self {
        match number {
            1 => Self::Average,
            2 => Self::Model,
            3 => Self::Unsure,
            4 => Self::Off,
            5 => Self::Regular,
            _ => Self::Nobody,
        }
    }
}

/// A guess of a burst. All values are on the scale of [`log2_q8`](crate::log2_q8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guess {
    /// What counts.
    pub burst: u16,
    /// The model's, or what stands for it; the average's where nothing else was asked.
    pub model: u16,
    /// The average's.
    pub average: u16,
    /// Whose it is.
    pub whose: Whose,
}

/// What a guess is made of beside the task's features.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// Whether [`Drift`] has the model off.
    pub is_off: bool,
    /// What differs from burst to burst, for [`Predictor::Random`]: the enqueue's number and when the task
    /// was created.
    pub draw: (u64, u64),
    /// What the burst will be, nanoseconds, if that is known.
    pub truth_ns: Option<u64>,
}

const fn clamp_log(value: i32) -> u16 {
    if value < 0 {
        0
    } else if value > LOG_MAX as i32 {
        LOG_MAX
    } else {
        value as u16
    }
}

/// Whether a task repeats itself: several bursts are known, and they differ little.
#[must_use]
pub fn is_regular(features: &Features) -> bool {
    let of = |feature: Feature| features[feature as usize];
    of(Feature::Known) >= REGULAR_KNOWN
        && of(Feature::Deviation) + REGULAR_OCTAVES <= of(Feature::Average)
}

/// A number that looks like any other for each pair of numbers.
const fn mixed(draw: (u64, u64)) -> u64 {
    let mut mix = draw.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ draw.1;
    mix ^= mix >> 32;
    mix = mix.wrapping_mul(0xd6e8_feb8_6659_fd93);
    mix ^ (mix >> 32)
}

impl Prediction {
    /// Whether there is something to compute beside the average.
    #[must_use]
    pub const fn has_candidate(&self) -> bool {
        !matches!(self.by, Predictor::Average)
    }

    /// What the burst of a task that was woken will be.
    #[must_use]
    pub fn guess(&self, model: Option<&Model>, features: &Features, given: &Given) -> Guess {
        let average = features[Feature::Average as usize];
        if self.by == Predictor::Model && is_regular(features) {
            return Guess {
                burst: average,
                model: average,
                average,
                whose: Whose::Regular,
            };
        }
        let mut is_sure = true;
        let mut by_model = || {
            let model = model?;
            let outputs = model.infer(features);
            let [middle, high] = [clamp_log(outputs[0]), clamp_log(outputs[1])];
            is_sure = model.outputs() < 2 || high <= middle.saturating_add(self.spread_max);
            Some(middle)
        };
        let candidate = match self.by {
            Predictor::Average => None,
            Predictor::Model => by_model(),
            Predictor::Inverted => by_model().map(|log| clamp_log(2 * MIRROR - i32::from(log))),
            Predictor::Constant(log) => Some(log.min(LOG_MAX)),
            Predictor::Random => Some(RANDOM_LOW + (mixed(given.draw) % RANDOM_SPAN) as u16),
            Predictor::Truth => given.truth_ns.map(crate::log2_q8),
        };
        let whose = match candidate {
            None => Whose::Average,
            Some(_) if self.is_shadow => Whose::Average,
            Some(_) if self.is_guarded && given.is_off => Whose::Off,
            Some(_) if !is_sure => Whose::Unsure,
            Some(_) => Whose::Model,
        };
        let model = candidate.unwrap_or(average);
        Guess {
            burst: if whose == Whose::Model {
                model
            } else {
                average
            },
            model,
            average,
            whose,
        }
    }

    /// How much later a task with this guess is to run than one that sleeps at once, nanoseconds of weighted
    /// CPU time: the guess, at most [`Prediction::delay_max_ns`].
    #[must_use]
    pub fn delay_ns(&self, burst: u16, weight: u32) -> u64 {
        let burst_ns = exp2_q8(i32::from(burst));
        // Below 2^40, so that this cannot overflow.
        (burst_ns * 100 / u64::from(weight.max(1))).min(self.delay_max_ns)
    }
}

/// The slice of a task that is to sleep after a burst of this size, of which it has had `had_ns`: twice what is left
/// by the guess, so that a guess that is a little short costs no switch, and one that is far too
/// short, or a task that goes beyond it, is found out early. A task beyond its guess gets as long again
/// each time. Within `least_ns` and `most_ns`; the latter wins.
#[must_use]
pub fn slice_ns(burst: u16, had_ns: u64, least_ns: u64, most_ns: u64) -> u64 {
    let had_ns = had_ns.min(TIME_MAX);
    let burst_ns = exp2_q8(i32::from(burst));
    let left_ns = if burst_ns > had_ns {
        burst_ns - had_ns
    } else {
        had_ns
    };
    (2 * left_ns).max(least_ns).min(most_ns)
}

/// Whether the model is still better than the average: judged by their distances from what bursts were.
///
/// A model is off once a window of [`DRIFT_WINDOW`] bursts finds it worse by half and an eighth of an octave, which
/// chance alone hardly makes of one that is as good; or eight windows together find it worse by an eighth
/// and the 32nd part of an octave. It is on again after eight windows together in which it was no worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Sums of distances in the window so far.
    model: u32,
    average: u32,
    count: u32,
    /// Sums of the windows before, since they were last judged together.
    epoch_model: u32,
    epoch_average: u32,
    windows: u32,
    is_off: bool,
}

/// What a window led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The model is off from now on.
    Off,
    /// It is on again.
    On,
}

impl Drift {
    /// Whether the model is off.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.is_off
    }

    /// A burst ended of which this was the guess. One of which nothing was known tells nothing of the
    /// average, and is to be left out.
    pub fn ended(&mut self, guess: &Guess, burst: u16) -> Option<Change> {
        self.model += u32::from(guess.model.abs_diff(burst));
        self.average += u32::from(guess.average.abs_diff(burst));
        self.count += 1;
        if self.count < DRIFT_WINDOW {
            return None;
        }
        let (model, average) = (self.model, self.average);
        (self.model, self.average, self.count) = (0, 0, 0);
        self.window(model, average)
    }

    fn window(&mut self, model: u32, average: u32) -> Option<Change> {
        self.epoch_model += model;
        self.epoch_average += average;
        self.windows += 1;
        let is_gross = model > average + average / 2 + DRIFT_WINDOW * 32;
        let is_last = self.windows == DRIFT_EPOCH;
        let (model, average) = (self.epoch_model, self.epoch_average);
        let change = if self.is_off {
            (is_last && model <= average).then_some(Change::On)
        } else {
            let slack = average / 8 + DRIFT_WINDOW * DRIFT_EPOCH * 8;
            (is_gross || is_last && model > average + slack).then_some(Change::Off)
        };
        if is_last || change.is_some() {
            (self.epoch_model, self.epoch_average, self.windows) = (0, 0, 0);
        }
        if let Some(change) = change {
            self.is_off = change == Change::Off;
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, Inputs, Layer, Network, Range, log2_q8};

    /// A model of two outputs that says the same of every task.
    fn always(middle: i32, high: i32) -> Model {
        let input = Input {
            feature: Feature::Last1,
            relative: false,
            range: Range { low: 0, high: 10 },
        };
        let layer = Layer {
            weights: vec![vec![0], vec![0]],
            bias: vec![middle, high],
            shift: 0,
        };
        let inputs = Inputs::plain(vec![input]);
        Model::Network(Network::new(inputs, vec![layer]).expect("a network"))
    }

    fn features(average_ns: u64) -> Features {
        let mut features = Features::default();
        features[Feature::Average as usize] = log2_q8(average_ns);
        features
    }

    fn by(by: Predictor) -> Prediction {
        Prediction {
            by,
            ..Prediction::default()
        }
    }

    #[test]
    fn who_counts() {
        let sure = always(4000, 4100);
        let unsure = always(4000, 4000 + 6 * 256);
        let features = features(1 << 20);
        let of = |prediction: &Prediction, model: Option<&Model>, given: &Given| {
            let guess = prediction.guess(model, &features, given);
            (guess.whose, guess.burst)
        };
        let (given, average) = (Given::default(), 20 * 256);
        let off = Given {
            is_off: true,
            ..given
        };
        let model = by(Predictor::Model);
        assert_eq!(of(&model, Some(&sure), &given), (Whose::Model, 4000));
        assert_eq!(of(&model, Some(&unsure), &given), (Whose::Unsure, average));
        assert_eq!(of(&model, Some(&sure), &off), (Whose::Off, average));
        assert_eq!(of(&model, None, &given), (Whose::Average, average));
        let shadow = Prediction {
            is_shadow: true,
            ..model
        };
        assert_eq!(of(&shadow, Some(&sure), &given), (Whose::Average, average));
        assert_eq!(shadow.guess(Some(&sure), &features, &given).model, 4000);
        let unguarded = Prediction {
            is_guarded: false,
            ..model
        };
        assert_eq!(of(&unguarded, Some(&sure), &off), (Whose::Model, 4000));
        let inverted = by(Predictor::Inverted);
        assert_eq!(of(&inverted, Some(&sure), &given), (Whose::Model, 6240));
        let truth = Given {
            truth_ns: Some(1 << 30),
            ..given
        };
        assert_eq!(
            of(&by(Predictor::Truth), None, &truth),
            (Whose::Model, 30 * 256)
        );
        assert_eq!(
            of(&by(Predictor::Truth), None, &given),
            (Whose::Average, average)
        );
    }

    #[test]
    fn a_task_that_repeats_itself_needs_no_model() {
        let mut features = features(1 << 20);
        let mut set = |feature: Feature, value: u16| features[feature as usize] = value;
        set(Feature::Known, log2_q8(5));
        set(Feature::Deviation, 18 * 256);
        let model = by(Predictor::Model);
        let off = always(4000, 4100);
        let guess = model.guess(Some(&off), &features, &Given::default());
        assert_eq!((guess.burst, guess.whose), (20 * 256, Whose::Regular));
        features[Feature::Deviation as usize] += 1;
        let guess = model.guess(Some(&off), &features, &Given::default());
        assert_eq!((guess.burst, guess.whose), (4000, Whose::Model));
        features[Feature::Deviation as usize] = 0;
        features[Feature::Known as usize] = log2_q8(4);
        let guess = model.guess(Some(&off), &features, &Given::default());
        assert_eq!(guess.whose, Whose::Model, "it is young");
    }

    #[test]
    fn absurd_models_stay_on_the_scale() {
        let features = features(1000);
        for (middle, burst) in [(i32::MIN / 2, 0), (i32::MAX / 2, LOG_MAX)] {
            let model = always(middle, middle);
            let guess = by(Predictor::Model).guess(Some(&model), &features, &Given::default());
            assert_eq!((guess.burst, guess.whose), (burst, Whose::Model));
            assert!(by(Predictor::Model).delay_ns(guess.burst, 1) <= 10_000_000);
        }
    }

    #[test]
    fn random_guesses_are_everywhere_and_repeat_themselves() {
        let of = |seq: u64| {
            let given = Given {
                draw: (seq, 77),
                ..Given::default()
            };
            by(Predictor::Random)
                .guess(None, &features(1), &given)
                .burst
        };
        let all: Vec<u16> = (0..4000).map(of).collect();
        assert!(
            all.iter()
                .all(|log| (RANDOM_LOW..RANDOM_LOW + 3072).contains(log))
        );
        let below = all.iter().filter(|log| **log < RANDOM_LOW + 1536).count();
        assert!((1800..2200).contains(&below), "{below}");
        assert_eq!(of(5), of(5));
    }

    #[test]
    fn delays_and_slices_are_bounded() {
        let prediction = Prediction::default();
        assert_eq!(prediction.delay_ns(20 * 256, 100), 1 << 20);
        assert_eq!(prediction.delay_ns(20 * 256, 200), 1 << 19);
        assert_eq!(prediction.delay_ns(LOG_MAX, 0), 10_000_000);
        assert_eq!(slice_ns(20 * 256, 0, 2_000_000, 20_000_000), 2 << 20);
        assert_eq!(slice_ns(10 * 256, 0, 2_000_000, 20_000_000), 2_000_000);
        assert_eq!(
            slice_ns(10 * 256, 3_000_000, 2_000_000, 20_000_000),
            6_000_000
        );
        assert_eq!(
            slice_ns(LOG_MAX, u64::MAX, 2_000_000, 20_000_000),
            20_000_000
        );
        assert_eq!(
            slice_ns(0, 0, 2_000_000, 1_000_000),
            1_000_000,
            "the rule wins"
        );
    }

    #[test]
    fn a_model_that_drifted_is_off_within_a_window_and_comes_back() {
        let mut drift = Drift::default();
        let guess = |model, average| Guess {
            model,
            average,
            ..Guess::default()
        };
        let mut windows = |count: u32, guess: Guess| {
            let mut changes = Vec::new();
            for _ in 0..count * DRIFT_WINDOW {
                changes.extend(drift.ended(&guess, 5000));
            }
            (changes, drift.is_off())
        };
        let (nothing, off, on) = (vec![], vec![Change::Off], vec![Change::On]);
        assert_eq!(windows(24, guess(5100, 5200)), (nothing.clone(), false));
        assert_eq!(windows(24, guess(5108, 5100)), (nothing.clone(), false));
        // Worse by much, and worse by a little.
        assert_eq!(windows(1, guess(5400, 5100)), (off.clone(), true));
        assert_eq!(windows(7, guess(5050, 5100)), (nothing.clone(), true));
        assert_eq!(windows(1, guess(5050, 5100)), (on.clone(), false));
        assert_eq!(windows(7, guess(5125, 5100)), (nothing.clone(), false));
        assert_eq!(windows(1, guess(5125, 5100)), (off, true));
        assert_eq!(windows(8, guess(5110, 5100)), (nothing, true));
        assert_eq!(windows(8, guess(5090, 5100)), (on, false));
    }
}

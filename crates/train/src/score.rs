//! How good predictions are.

/// The least value of which at least this share are no greater; 0 of none.
///
/// ```
/// # use baton_train::score::quantile;
/// assert_eq!(quantile(&mut [4, 1, 3, 2], 0.5), 2);
/// assert_eq!(quantile(&mut [4, 1, 3, 2], 0.9), 4);
/// assert_eq!(quantile(&mut [], 0.5), 0);
/// ```
#[must_use]
pub fn quantile(values: &mut [i32], share: f64) -> i32 {
    if values.is_empty() {
        return 0;
    }
    let place = (values.len() as f64 * share).ceil() as usize;
    let place = place.clamp(1, values.len()) - 1;
    *values.select_nth_unstable(place).1
}

/// Mean pinball loss in octaves: a guess that is too low by an octave costs `share`, one that is too high
/// `1 - share`. It is least where that share of bursts lies below the guess (Koenker and Bassett,
/// "Regression quantiles", Econometrica 1978). Half the mean absolute error at a share of a half. 0 of none.
#[must_use]
pub fn pinball(pairs: impl Iterator<Item = (u16, i32)>, share: f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u64);
    for (burst, guess) in pairs {
        let error = f64::from(i32::from(burst) - guess) / 256.0;
        sum += if error >= 0.0 {
            share * error
        } else {
            (share - 1.0) * error
        };
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// Which share of bursts is not above the guess.
#[must_use]
pub fn coverage(pairs: impl Iterator<Item = (u16, i32)>) -> f64 {
    let (mut below, mut count) = (0_u64, 0_u64);
    for (burst, guess) in pairs {
        below += u64::from(i32::from(burst) <= guess);
        count += 1;
    }
    if count == 0 {
        0.0
    } else {
        below as f64 / count as f64
    }
}

/// Which share of guesses is within an octave, a factor of 2 either way, of what was. 0 of none.
#[must_use]
pub fn agreement(pairs: impl Iterator<Item = (u16, i32)>) -> f64 {
    let (mut near, mut count) = (0_u64, 0_u64);
    for (found, guess) in pairs {
        near += u64::from((i32::from(found) - guess).abs() <= 256);
        count += 1;
    }
    if count == 0 {
        0.0
    } else {
        near as f64 / count as f64
    }
}

/// How well guesses tell long bursts, those above the limit, from short ones: the probability that a long one
/// has the greater guess, ties by half. `None` where there are only long or only short ones.
#[must_use]
pub fn auc(pairs: impl Iterator<Item = (u16, i32)>, limit: u16) -> Option<f64> {
    let mut by_guess: Vec<(i32, bool)> =
        pairs.map(|(burst, guess)| (guess, burst > limit)).collect();
    by_guess.sort_unstable();
    let long = by_guess.iter().filter(|(_, is_long)| *is_long).count();
    let short = by_guess.len() - long;
    if long == 0 || short == 0 {
        return None;
    }
    // Pairs of a long and a short one in which the long one's guess is greater; ties count half.
    let (mut won, mut short_before) = (0.0, 0_usize);
    for tied in by_guess.chunk_by(|one, other| one.0 == other.0) {
        let long_here = tied.iter().filter(|(_, is_long)| *is_long).count();
        let short_here = tied.len() - long_here;
        won += long_here as f64 * (short_before as f64 + short_here as f64 / 2.0);
        short_before += short_here;
    }
    Some(won / (long as f64 * short as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinball_weighs_both_sides() {
        let loss = |guess, share| pinball([(1024, guess)].into_iter(), share);
        assert_eq!(loss(1024 - 256, 0.9), 0.9);
        assert!((loss(1024 + 256, 0.9) - 0.1).abs() < 1e-12);
        assert_eq!(loss(1024, 0.5), 0.0);
        assert_eq!(pinball(std::iter::empty(), 0.5), 0.0);
    }

    #[test]
    fn the_right_quantile_costs_least() {
        let bursts: Vec<u16> = (0..1000).map(|number| number * 7 % 1000).collect();
        let cost = |guess: i32| pinball(bursts.iter().map(|burst| (*burst, guess)), 0.9);
        let mut values: Vec<i32> = bursts.iter().map(|burst| i32::from(*burst)).collect();
        let best = quantile(&mut values, 0.9);
        assert!((0..1000).all(|guess| cost(guess) >= cost(best) - 1e-12));
        let found = coverage(bursts.iter().map(|burst| (*burst, best)));
        assert!((found - 0.9).abs() < 0.002);
    }

    #[test]
    fn an_octave_either_way_agrees() {
        let of = |guesses: &[i32]| agreement(guesses.iter().map(|guess| (1000, *guess)));
        assert_eq!(of(&[744, 1000, 1256]), 1.0);
        assert_eq!(of(&[743, 1257, 1000, 1001]), 0.5);
        assert_eq!(of(&[]), 0.0);
    }

    #[test]
    fn auc_counts_pairs() {
        let of = |pairs: &[(u16, i32)]| auc(pairs.iter().copied(), 10);
        assert_eq!(of(&[(1, 0), (2, 1), (20, 2), (30, 3)]), Some(1.0));
        assert_eq!(of(&[(1, 3), (2, 2), (20, 1), (30, 0)]), Some(0.0));
        assert_eq!(of(&[(1, 5), (20, 5), (3, 5)]), Some(0.5));
        assert_eq!(of(&[(1, 1), (20, 1), (3, 0), (40, 7)]), Some(0.875));
        assert_eq!(of(&[(1, 5)]), None);
    }
}

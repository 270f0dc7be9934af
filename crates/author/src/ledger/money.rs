//! Money in millionths of a dollar, so that sums are exact.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::chat::Usage;

const MICROS: u64 = 1_000_000;
const TOKENS_PRICED: u128 = 1_000_000;

/// An amount in millionths of a dollar, or of whatever else the prices are in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(pub u64);

/// A text that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount of money: give dollars such as 2 or 0.25, with at most six decimals")]
pub struct MoneyError(pub String);

impl Money {
    /// The sum, or the most there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The rest, or nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut decimals = format!("{:06}", self.0 % MICROS);
        while decimals.len() > 2 && decimals.ends_with('0') {
            decimals.pop();
        }
        f.pad(&format!("${}.{decimals}", self.0 / MICROS))
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let error = || MoneyError(text.chars().take(40).collect());
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let amount = text.trim();
        let amount = amount.strip_prefix('$').unwrap_or(amount);
        let (whole, decimals) = amount.split_once('.').unwrap_or((amount, "0"));
        let empty = whole.is_empty() || decimals.is_empty();
        if empty || decimals.len() > 6 || !digits(whole) || !digits(decimals) {
            return Err(error());
        }
        let whole: u64 = whole.parse().map_err(|_| error())?;
        let micros: u64 = format!("{decimals:0<6}").parse().map_err(|_| error())?;
        let sum = whole
            .checked_mul(MICROS)
            .and_then(|sum| sum.checked_add(micros));
        sum.map(Self).ok_or_else(error)
    }
}

/// What a service takes for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// Of questions.
    pub input: Money,
    /// Of answers.
    pub output: Money,
}

impl Prices {
    /// What this costs, rounded up.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Money {
        let part = |tokens: u64, price: Money| u128::from(tokens) * u128::from(price.0);
        let sum = part(usage.prompt_tokens, self.input)
            .saturating_add(part(usage.completion_tokens, self.output));
        Money(u64::try_from(sum.div_ceil(TOKENS_PRICED)).unwrap_or(u64::MAX))
    }

    /// Tokens that this surely pays for; without limit where they cost nothing.
    #[must_use]
    pub fn tokens_for(&self, money: Money) -> Option<u64> {
        let dearest = u128::from(self.input.max(self.output).0);
        let tokens = (u128::from(money.0) * TOKENS_PRICED).checked_div(dearest)?;
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown() {
        let check = |text: &str, micros, shown: &str| {
            let money: Money = text.parse().unwrap();
            assert_eq!(
                (money, money.to_string().as_str()),
                (Money(micros), shown),
                "{text}"
            );
        };
        check("2", 2_000_000, "$2.00");
        check(" $0.25 ", 250_000, "$0.25");
        check("0.000001", 1, "$0.000001");
        check("0.1234", 123_400, "$0.1234");
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "1.0000001",
            "1e3",
            "99999999999999",
            "1 2",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_cost_by_the_million() {
        let prices = Prices {
            input: Money(3_000_000),
            output: Money(15_000_000),
        };
        let cost = |prompt_tokens, completion_tokens| {
            prices.cost(&Usage {
                prompt_tokens,
                completion_tokens,
                estimated: false,
            })
        };
        assert_eq!(cost(1_000_000, 0), Money(3_000_000));
        assert_eq!(cost(10_000, 1_000), Money(45_000));
        assert_eq!(cost(0, 0), Money(0));
        assert_eq!(cost(u64::MAX, u64::MAX), Money(u64::MAX));
        assert_eq!(prices.tokens_for(Money(15_000_000)), Some(1_000_000));
        assert_eq!(Prices::default().tokens_for(Money(1)), None);
    }
}

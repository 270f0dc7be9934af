//! What may be spent, and what was.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Money, Prices};
use crate::chat::{Allowance, Usage};

/// What was spent, over all runs in a workspace. Sums stop at the most there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Tokens of questions.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// What they cost.
    pub cost: Money,
    /// Time that questions, stages and the rest took, milliseconds.
    pub wall_ms: u64,
    /// Runs of a policy in the lab.
    pub evaluations: u64,
    /// The last round.
    pub rounds: u32,
}

impl Totals {
    /// All tokens.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// Adds a question and its answer.
    pub const fn add(&mut self, usage: &Usage, cost: Money, took_ms: u64) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(usage.prompt_tokens);
        self.completion_tokens = self
            .completion_tokens
            .saturating_add(usage.completion_tokens);
        self.cost = self.cost.plus(cost);
        self.wall_ms = self.wall_ms.saturating_add(took_ms);
    }
}

/// What may be spent in a workspace, by all runs together; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budgets {
    /// Tokens of questions and answers.
    pub tokens: Option<u64>,
    /// Money, by [`Budgets::prices`].
    pub money: Option<Money>,
    /// Time, milliseconds.
    pub wall_ms: Option<u64>,
    /// Runs in the lab.
    pub evaluations: Option<u64>,
    /// Rounds.
    pub rounds: Option<u32>,
    /// What tokens cost.
    pub prices: Option<Prices>,
}

/// What is left of the budgets; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Tokens, what the money pays for included.
    pub tokens: Option<u64>,
    /// Money.
    pub money: Option<Money>,
    /// Time.
    pub wall: Option<Duration>,
    /// Runs in the lab.
    pub evaluations: Option<u64>,
    /// Rounds.
    pub rounds: Option<u32>,
}

impl Left {
    /// What a question and its answer may take.
    #[must_use]
    pub const fn allowance(&self) -> Allowance {
        Allowance {
            tokens: self.tokens,
            time: self.wall,
        }
    }
}

/// A budget that is used up. It tells how to raise it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Exhausted {
    /// One of the budgets.
    #[error(
        "the budget of {what} is used up ({used} of {limit}): raise it ({flag}) and go on \
         (--continue)"
    )]
    Used {
        /// Which.
        what: &'static str,
        /// What was spent.
        used: String,
        /// What may be.
        limit: String,
        /// The flag that raises it.
        flag: &'static str,
    },
    /// Money without prices says nothing.
    #[error(
        "a budget of money (--money) says nothing without prices: give what a million tokens cost \
         (--price-in and --price-out), or a budget of tokens (--tokens)"
    )]
    NoPrices,
}

impl Budgets {
    /// What is left after so much.
    #[must_use]
    pub fn left(&self, totals: &Totals) -> Left {
        let minus = |limit: Option<u64>, used| limit.map(|limit| limit.saturating_sub(used));
        let money = self.money.map(|limit| limit.minus(totals.cost));
        let paid = self.prices.and_then(|prices| prices.tokens_for(money?));
        let tokens = minus(self.tokens, totals.tokens());
        Left {
            tokens: [tokens, paid].into_iter().flatten().min(),
            money,
            wall: minus(self.wall_ms, totals.wall_ms).map(Duration::from_millis),
            evaluations: minus(self.evaluations, totals.evaluations),
            rounds: self.rounds.map(|limit| limit.saturating_sub(totals.rounds)),
        }
    }

    /// What this costs.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Money {
        self.prices.map_or(Money(0), |prices| prices.cost(usage))
    }

    /// Whether something is left of each.
    ///
    /// # Errors
    /// The first that is used up.
    pub fn check(&self, totals: &Totals) -> Result<(), Exhausted> {
        if self.money.is_some() && self.prices.is_none() {
            return Err(Exhausted::NoPrices);
        }
        let seconds = |ms: u64| format!("{} s", ms / 1000);
        within("tokens", "--tokens", self.tokens, totals.tokens(), |n| n)?;
        within("money", "--money", self.money, totals.cost, |money| money)?;
        within("time", "--time", self.wall_ms, totals.wall_ms, seconds)?;
        let evaluations = totals.evaluations;
        within(
            "evaluations",
            "--evaluations",
            self.evaluations,
            evaluations,
            |n| n,
        )?;
        within("rounds", "--rounds", self.rounds, totals.rounds, |n| n)
    }
}

fn within<T: PartialOrd, S: fmt::Display>(
    what: &'static str,
    flag: &'static str,
    limit: Option<T>,
    used: T,
    show: impl Fn(T) -> S,
) -> Result<(), Exhausted> {
    match limit {
        Some(limit) if used >= limit => Err(Exhausted::Used {
            what,
            used: show(used).to_string(),
            limit: show(limit).to_string(),
            flag,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals {
            prompt_tokens: 600,
            completion_tokens: 400,
            cost: Money(2_000_000),
            wall_ms: 61_500,
            evaluations: 7,
            rounds: 2,
        }
    }

    #[test]
    fn what_is_used_up_is_told() {
        let check = |budgets: Budgets, expected: &str| {
            let told = budgets.check(&totals()).map_err(|error| error.to_string());
            let told = told.err().unwrap_or_default();
            assert!(
                told.starts_with(expected) && told.is_empty() == expected.is_empty(),
                "{told}"
            );
        };
        let none = Budgets::default();
        check(none, "");
        let tokens = |tokens| Budgets { tokens, ..none };
        check(tokens(Some(1001)), "");
        check(
            tokens(Some(1000)),
            "the budget of tokens is used up (1000 of 1000): raise it (--tokens)",
        );
        let wall_ms = Some(60_000);
        check(
            Budgets { wall_ms, ..none },
            "the budget of time is used up (61 s of 60 s)",
        );
        let evaluations = Some(5);
        check(
            Budgets {
                evaluations,
                ..none
            },
            "the budget of evaluations is used up (7 of 5)",
        );
        let rounds = Some(2);
        check(
            Budgets { rounds, ..none },
            "the budget of rounds is used up (2 of 2)",
        );
        let money = Some(Money(1_500_000));
        check(
            Budgets { money, ..none },
            "a budget of money (--money) says nothing without prices",
        );
        let prices = Some(Prices::default());
        check(
            Budgets {
                money,
                prices,
                ..none
            },
            "the budget of money is used up ($2.00 of $1.50)",
        );
    }

    #[test]
    fn money_bounds_tokens() {
        let price = Money(10_000_000);
        let mut budgets = Budgets {
            tokens: Some(1_000_000),
            money: Some(Money(3_000_000)),
            wall_ms: Some(60_000),
            prices: Some(Prices {
                input: Money(0),
                output: price,
            }),
            ..Budgets::default()
        };
        let left = budgets.left(&totals());
        assert_eq!(
            (left.tokens, left.money),
            (Some(100_000), Some(Money(1_000_000)))
        );
        assert_eq!(left.wall, Some(Duration::ZERO));
        assert_eq!(left.allowance().time, left.wall);
        budgets.money = None;
        assert_eq!(budgets.left(&totals()).tokens, Some(999_000));
        assert_eq!(Budgets::default().left(&totals()), Left::default());
    }

    #[test]
    fn sums_stop_at_the_most() {
        let mut totals = totals();
        let usage = Usage {
            prompt_tokens: u64::MAX,
            completion_tokens: 1,
            estimated: false,
        };
        totals.add(&usage, Money(u64::MAX), u64::MAX);
        assert_eq!((totals.tokens(), totals.wall_ms), (u64::MAX, u64::MAX));
    }
}

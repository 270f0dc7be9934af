//! What one run of the server may spend, and what it has.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::{Code, Failure};

/// What one run of the server may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Simulated runs of a policy.
    pub evaluations: u64,
    /// Time that jobs take, all together.
    pub wall: Duration,
    /// New candidates.
    pub candidates: u32,
}

impl Default for Limits {
    /// 20,000 evaluations, two hours, 500 candidates.
    fn default() -> Self {
        Self {
            evaluations: 20_000,
            wall: Duration::from_secs(7200),
            candidates: 500,
        }
    }
}

/// What is left of the budgets of this run of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// Simulated runs of a policy.
    pub evaluations: u64,
    /// Time that jobs may still take, all together, seconds.
    pub wall_s: f64,
    /// New candidates.
    pub candidates: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    evaluations: u64,
    wall: Duration,
    candidates: u32,
}

/// Keeps account of what is spent.
#[derive(Debug)]
pub(super) struct Purse {
    limits: Limits,
    spent: Mutex<Spent>,
}

impl Purse {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            spent: Mutex::default(),
        }
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn left(&self) -> Left {
        let (limits, spent) = (&self.limits, *self.spent());
        Left {
            evaluations: limits.evaluations.saturating_sub(spent.evaluations),
            wall_s: limits.wall.saturating_sub(spent.wall).as_secs_f64(),
            candidates: limits.candidates.saturating_sub(spent.candidates),
        }
    }

    /// Takes so many evaluations, all or none, if there is time left too.
    pub(super) fn take(&self, evaluations: u64) -> Result<(), Failure> {
        let mut spent = self.spent();
        if spent.wall >= self.limits.wall {
            return Err(used_up("time", "--budget-time"));
        }
        let sum = spent.evaluations.saturating_add(evaluations);
        if sum > self.limits.evaluations {
            let left = self.limits.evaluations - spent.evaluations;
            let mut failure = used_up("evaluations", "--budget-evaluations");
            failure.message = format!(
                "this takes {evaluations} evaluations, and of the server's budget {left} are left"
            );
            return Err(failure);
        }
        spent.evaluations = sum;
        Ok(())
    }

    /// Gives back what was taken for something that never began.
    pub(super) fn give_back(&self, evaluations: u64) {
        let mut spent = self.spent();
        spent.evaluations = spent.evaluations.saturating_sub(evaluations);
    }

    /// Takes one new candidate.
    pub(super) fn take_candidate(&self) -> Result<(), Failure> {
        let mut spent = self.spent();
        if spent.candidates >= self.limits.candidates {
            return Err(used_up("candidates", "--budget-candidates"));
        }
        spent.candidates += 1;
        Ok(())
    }

    /// Takes note of time that a job took.
    pub(super) fn add_wall(&self, took: Duration) -> Result<(), Failure> {
        let mut spent = self.spent();
        spent.wall = spent.wall.saturating_add(took);
        match spent.wall < self.limits.wall {
            true => Ok(()),
            false => Err(used_up("time", "--budget-time")),
        }
    }
}

fn used_up(what: &str, flag: &str) -> Failure {
    Failure::new(
        Code::Budget,
        format!("the server's budget of {what} is used up"),
        format!("A person can start the server again, with more of it ({flag})."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purse() -> Purse {
        Purse::new(Limits {
            evaluations: 10,
            wall: Duration::from_secs(2),
            candidates: 1,
        })
    }

    #[test]
    fn evaluations_are_taken_all_or_none() {
        let purse = purse();
        purse.take(7).unwrap();
        let failure = purse.take(4).unwrap_err();
        assert_eq!(failure.code, Code::Budget);
        assert!(failure.message.contains("3 are left"), "{failure:?}");
        purse.take(3).unwrap();
        assert!(purse.take(1).is_err());
        purse.give_back(3);
        assert_eq!(purse.left().evaluations, 3);
        assert!(purse.take(u64::MAX).is_err());
    }

    #[test]
    fn time_ends_what_begins_and_what_runs() {
        let purse = purse();
        purse.add_wall(Duration::from_millis(1900)).unwrap();
        purse.take(1).unwrap();
        assert!(purse.add_wall(Duration::from_millis(100)).is_err());
        assert_eq!(purse.take(0).unwrap_err().code, Code::Budget);
        assert_eq!(purse.left().wall_s, 0.0);
    }

    #[test]
    fn candidates_are_counted() {
        let purse = purse();
        purse.take_candidate().unwrap();
        assert_eq!(purse.take_candidate().unwrap_err().code, Code::Budget);
    }
}

//! What the lines of a ledger come to.

use std::{collections::BTreeMap, fmt};

use super::{
    Accepted, Asked, Begun, Candidate, Line, Measured, Money, Record, Refused, StageDone, Totals,
};
use crate::Stage;

/// Where a candidate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written, and not looked at.
    Written,
    /// This stage is passed, and no word yet on the whole.
    Passed(Stage),
    /// Not good enough, for what this stage found.
    Refused(Stage),
    /// Kept.
    Accepted,
    /// The best so far.
    Winner,
}

impl State {
    /// Whether nothing is left to be done with it.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Written | Self::Passed(_))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Written => "written",
            Self::Passed(_) => "passed",
            Self::Refused(_) => "refused",
            Self::Accepted => "accepted",
            Self::Winner => "winner",
        })
    }
}

/// A candidate and all that is recorded of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its record.
    pub candidate: Candidate,
    /// When it came, milliseconds since 1970.
    pub at_ms: u64,
    /// Its stages, in the order in which they ended.
    pub stages: Vec<StageDone>,
    /// What comparisons came to.
    pub measured: Vec<Measured>,
    /// Why it was kept.
    pub accepted: Option<Accepted>,
    /// Why it was not.
    pub refused: Option<Refused>,
    /// Where it stands.
    pub state: State,
}

impl Entry {
    /// The name that it was kept under, or gives itself.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let kept = self
            .accepted
            .as_ref()
            .map(|accepted| accepted.name.as_str());
        kept.or(self.candidate.name.as_deref())
    }

    /// The last stage that it passed.
    #[must_use]
    pub fn passed(&self) -> Option<Stage> {
        let passed = self.stages.iter().filter(|stage| stage.passed);
        passed.map(|stage| stage.stage).max()
    }

    /// How long its stages took, milliseconds.
    #[must_use]
    pub fn stages_ms(&self) -> u64 {
        let took = self.stages.iter().map(|stage| stage.took_ms);
        took.fold(0, u64::saturating_add)
    }
}

/// What the questions for one candidate took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// How many there were.
    pub count: u32,
    /// The round of the last.
    pub round: u32,
    /// Tokens of questions and answers.
    pub tokens: u64,
    /// What they cost.
    pub cost: Money,
    /// How long they took, milliseconds.
    pub took_ms: u64,
}

/// Everything that is recorded, folded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The beginnings of the runs, oldest first, with their times in milliseconds since 1970.
    pub runs: Vec<(u64, Begun)>,
    /// The candidates, by number.
    pub candidates: BTreeMap<u32, Entry>,
    /// What was spent, by all runs.
    pub totals: Totals,
    /// Why the last run ended; `None` while it runs, or if it was killed.
    pub ended: Option<String>,
    winner: Option<u32>,
    asked: BTreeMap<u32, Questions>,
    sources: BTreeMap<String, u32>,
}

impl View {
    /// The last run's beginning: what one that goes on goes on with.
    #[must_use]
    pub fn run(&self) -> Option<&Begun> {
        self.runs.last().map(|(_, begun)| begun)
    }

    /// The number of the next candidate.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        self.candidates
            .keys()
            .next_back()
            .map_or(1, |last| last + 1)
    }

    /// The number of the next round.
    #[must_use]
    pub const fn next_round(&self) -> u32 {
        self.totals.rounds.saturating_add(1)
    }

    /// The best so far: the last winner, or else the last that was accepted.
    #[must_use]
    pub fn best(&self) -> Option<&Entry> {
        let winner = self.winner.and_then(|id| self.candidates.get(&id));
        let accepted = || {
            let mut entries = self.candidates.values().rev();
            entries.find(|entry| entry.state == State::Accepted)
        };
        winner.or_else(accepted)
    }

    /// The one to go on from: the best, or else the last of those that came furthest.
    #[must_use]
    pub fn start(&self) -> Option<&Entry> {
        let furthest = || {
            let passed = self
                .candidates
                .values()
                .filter(|entry| entry.passed().is_some());
            passed.max_by_key(|entry| (entry.passed(), entry.candidate.id))
        };
        self.best().or_else(furthest)
    }

    /// Candidates about which no word was said, such as when a run was killed.
    pub fn unsettled(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.candidates.values();
        entries.filter(|entry| !entry.state.is_settled())
    }

    /// The last candidates that were refused, newest first.
    pub fn refused(&self) -> impl Iterator<Item = (&Entry, &Refused)> {
        let entries = self.candidates.values().rev();
        entries.filter_map(|entry| Some((entry, entry.refused.as_ref()?)))
    }

    /// A candidate and those that it comes from, the first one last.
    #[must_use]
    pub fn line_of(&self, id: u32) -> Vec<u32> {
        // A parent is older than its child, so this ends.
        let parent = |id: &u32| self.candidates.get(id)?.candidate.parent;
        let known = self.candidates.contains_key(&id).then_some(id);
        std::iter::successors(known, parent).collect()
    }

    /// The first candidate whose source has this digest.
    #[must_use]
    pub fn same(&self, digest: &str) -> Option<u32> {
        self.sources.get(digest).copied()
    }

    /// What the questions for this candidate took.
    #[must_use]
    pub fn questions(&self, id: u32) -> Questions {
        self.asked.get(&id).copied().unwrap_or_default()
    }

    /// Looks whether a record can follow those that are there; else what is wrong.
    ///
    /// # Errors
    /// What is wrong, in half a sentence.
    pub fn check(&self, record: &Record) -> Result<(), String> {
        if self.runs.is_empty() && !matches!(record, Record::Begun(_)) {
            return Err("it does not begin with the beginning of a run".into());
        }
        let known = |id: u32| match self.candidates.contains_key(&id) {
            true => Ok(()),
            false => Err(format!("there is no candidate {id} before")),
        };
        let next = self.next_id();
        match record {
            Record::Begun(_) | Record::Spent(_) | Record::Ended { .. } => Ok(()),
            Record::Asked(asked) if asked.candidate == 0 || asked.candidate > next => Err(format!(
                "candidate {} is asked for before {next}",
                asked.candidate
            )),
            Record::Asked(_) => Ok(()),
            Record::Candidate(candidate) if candidate.id != next => Err(format!(
                "candidate {} stands where {next} belongs",
                candidate.id
            )),
            Record::Candidate(candidate) => candidate.parent.map_or(Ok(()), known),
            Record::StageDone(StageDone { id, .. })
            | Record::Measured(Measured { id, .. })
            | Record::Accepted(Accepted { id, .. })
            | Record::Refused(Refused { id, .. })
            | Record::Winner { id } => known(*id),
        }
    }

    /// Takes a line in.
    ///
    /// # Errors
    /// It cannot follow those that are there; see [`View::check`].
    pub fn apply(&mut self, line: &Line) -> Result<(), String> {
        self.check(&line.record)?;
        match &line.record {
            Record::Begun(begun) => {
                self.runs.push((line.at_ms, begun.clone()));
                self.ended = None;
            }
            Record::Asked(asked) => self.ask(asked),
            Record::Candidate(candidate) => self.begin(candidate, line.at_ms),
            Record::Spent(spent) => {
                let totals = &mut self.totals;
                totals.wall_ms = totals.wall_ms.saturating_add(spent.wall_ms);
                totals.evaluations = totals.evaluations.saturating_add(spent.evaluations);
            }
            Record::Ended { why } => self.ended = Some(why.clone()),
            Record::Winner { id } => self.crown(*id),
            Record::StageDone(StageDone { id, .. })
            | Record::Measured(Measured { id, .. })
            | Record::Accepted(Accepted { id, .. })
            | Record::Refused(Refused { id, .. }) => self.tell(*id, &line.record),
        }
        Ok(())
    }

    fn ask(&mut self, asked: &Asked) {
        self.totals.add(&asked.tokens, asked.cost, asked.took_ms);
        self.totals.rounds = self.totals.rounds.max(asked.round);
        let sum = self.asked.entry(asked.candidate).or_default();
        sum.count = sum.count.saturating_add(1);
        sum.round = asked.round;
        sum.tokens = sum.tokens.saturating_add(asked.tokens.total());
        sum.cost = sum.cost.plus(asked.cost);
        sum.took_ms = sum.took_ms.saturating_add(asked.took_ms);
    }

    fn begin(&mut self, candidate: &Candidate, at_ms: u64) {
        let sources = &mut self.sources;
        sources
            .entry(candidate.source.clone())
            .or_insert(candidate.id);
        let entry = Entry {
            candidate: candidate.clone(),
            at_ms,
            stages: Vec::new(),
            measured: Vec::new(),
            accepted: None,
            refused: None,
            state: State::Written,
        };
        self.candidates.insert(candidate.id, entry);
    }

    fn crown(&mut self, id: u32) {
        if let Some(last) = self.winner
            && let Some(entry) = self.candidates.get_mut(&last)
        {
            entry.state = State::Accepted;
        }
        self.winner = Some(id);
        if let Some(entry) = self.candidates.get_mut(&id) {
            entry.state = State::Winner;
        }
    }

    fn tell(&mut self, id: u32, record: &Record) {
        let Some(entry) = self.candidates.get_mut(&id) else {
            return;
        };
        match record {
            Record::StageDone(done) => {
                self.totals.wall_ms = self.totals.wall_ms.saturating_add(done.took_ms);
                if done.passed && !entry.state.is_settled() {
                    entry.state = State::Passed(done.stage);
                }
                entry.stages.push(done.clone());
            }
            Record::Measured(measured) => entry.measured.push(measured.clone()),
            Record::Accepted(accepted) => {
                entry.accepted = Some(accepted.clone());
                if entry.state != State::Winner {
                    entry.state = State::Accepted;
                }
            }
            Record::Refused(refused) => {
                entry.refused = Some(refused.clone());
                entry.state = State::Refused(refused.stage);
                if self.winner == Some(id) {
                    self.winner = None;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
pub(crate) mod tests;

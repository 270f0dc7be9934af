//! The loop around a model: ask, judge, remember, until the budgets are used up. What is accepted is
//! decided here and by the lab, never by the model.

mod judging;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Checker, Diagnostic, Error, Stage,
    benchmark::{Benchmark, Measured, Start},
    chat::{self, Answer, ChatError, Service},
    hidden::Hidden,
    ledger::{
        self, Asked, Author, Begun, Budgets, Candidate, Exhausted, Ledger, LedgerError, Record,
        Refused, Spent, Totals,
    },
    prompt::{self, Attempt, Parts, TooLong},
    source,
};

/// Questions in a row that may fail before all is given up.
const FAILURES_MAX: u32 = 3;
/// A candidate's source in its folder.
const POLICY: &str = "policy.rs";
/// What was measured of a candidate where it could not know; not shown to any author.
const HIDDEN: &str = "hidden.json";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Task {
    /// What the policy is for, in the user's words.
    pub requirement: String,
    /// What candidates are compared with, by the name that the user gave.
    pub from: String,
    /// Its source, for the model to begin with.
    pub from_source: Option<String>,
    /// The same to be measured.
    pub start: Start,
    /// What it is measured by.
    pub benchmark: Benchmark,
    /// What this call may spend.
    pub budgets: Budgets,
    /// Most characters of a question.
    pub chars_max: usize,
}

/// Why the loop came to no end of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorError {
    /// This machine.
    #[error(transparent)]
    Machine(#[from] Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The service.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The question has no room.
    #[error(transparent)]
    Prompt(#[from] TooLong),
    /// A budget that makes no sense.
    #[error(transparent)]
    Budget(Exhausted),
}

/// What happens, for a person to see.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The profile of the workload is measured.
    Profile,
    /// A question goes out, for this candidate in this round.
    Asking(u32, u32),
    /// The answer.
    Answered(&'a Answer),
    /// The question failed; it is asked again.
    Failed(&'a ChatError),
    /// A stage begins, or is done.
    Stage(Stage, Option<&'a ledger::StageDone>),
    /// What was measured.
    Measured(&'a Measured),
    /// The candidate is measured where it could not know.
    Hidden,
    /// It is not accepted.
    Refused(&'a Refused),
    /// It is, as this file.
    Accepted(u32, &'a Path),
    /// It is the best so far.
    Winner(u32),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The best that was accepted, by this call or before.
    pub winner: Option<u32>,
    /// The file of the winner.
    pub file: Option<PathBuf>,
    /// Why it ended.
    pub why: String,
    /// Whether somebody stopped it.
    pub stopped: bool,
}

/// What was measured of a candidate where it could not know.
#[derive(Debug, Serialize, Deserialize)]
struct Unseen {
    mean_ratio: f64,
}

/// Asks and judges.
pub struct Controller<'a> {
    /// Who writes.
    pub service: &'a Service,
    /// Takes candidates through their stages.
    pub checker: &'a Checker<'a>,
    /// The record of all.
    pub ledger: &'a mut Ledger,
    /// Set to stop it.
    pub stop: &'a AtomicBool,
    /// Is told what happens.
    pub see: &'a mut dyn FnMut(Event<'_>),
}

impl std::fmt::Debug for Controller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}

impl Controller<'_> {
    /// Works on the task until a budget is used up, or it is stopped.
    ///
    /// # Errors
    /// This machine, the service or the ledger does not do what it must. All that was done is in the ledger.
    pub fn run(&mut self, task: &Task) -> Result<Outcome, AuthorError> {
        self.begin(task)?;
        let (why, stopped) = match self.work(task) {
            Ok(ended) => ended,
            Err(AuthorError::Machine(Error::Stopped)) => ("stopped".to_owned(), true),
            Err(error) => {
                let why = error.to_string();
                self.append(Record::Ended { why })?;
                return Err(error);
            }
        };
        self.append(Record::Ended { why: why.clone() })?;
        Ok(self.outcome(why, stopped))
    }

    /// Asks and judges; why it ended, and whether somebody stopped it.
    fn work(&mut self, task: &Task) -> Result<(String, bool), AuthorError> {
        let before = self.ledger.view().totals;
        let budgets = beyond(task.budgets, &before);
        let hidden = Hidden::of(self.ledger.directory())?;
        let profile = self.profile(task)?;
        let api = prompt::api();
        let mut failures = 0;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped.into());
            }
            if let Some((id, text)) = self.unsettled() {
                self.judge(task, &hidden, id, &text)?;
                continue;
            }
            match budgets.check(&self.ledger.view().totals) {
                Ok(()) => {}
                Err(error @ Exhausted::NoPrices) => return Err(AuthorError::Budget(error)),
                Err(error) => return Ok((error.to_string(), false)),
            }
            match self.ask(task, &budgets, &api, &profile) {
                Ok(()) => failures = 0,
                Err(AuthorError::Chat(error @ ChatError::OverBudget { .. })) => {
                    return Ok((error.to_string(), false));
                }
                Err(AuthorError::Chat(ChatError::Stopped)) => return Err(Error::Stopped.into()),
                Err(AuthorError::Chat(error))
                    if error.is_of_the_question() && failures + 1 < FAILURES_MAX =>
                {
                    failures += 1;
                    (self.see)(Event::Failed(&error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn outcome(&self, why: String, stopped: bool) -> Outcome {
        let best = self.ledger.view().best();
        let file = best.and_then(|entry| entry.accepted.as_ref());
        Outcome {
            winner: best.map(|entry| entry.candidate.id),
            file: file.map(|accepted| self.ledger.directory().join(&accepted.file)),
            why,
            stopped,
        }
    }

    fn append(&mut self, record: Record) -> Result<(), AuthorError> {
        Ok(self.ledger.append(record, SystemTime::now())?)
    }

    fn begin(&mut self, task: &Task) -> Result<(), AuthorError> {
        self.append(Record::Begun(Begun {
            requirement: task.requirement.clone(),
            from: Some(task.from.clone()),
            settings: json!({
                "benchmark": task.benchmark,
                "depth": self.checker.depth,
                "budgets": task.budgets,
            }),
            service: Some(self.service.into()),
        }))
    }

    /// What the workload is like under what it starts from, beside a model of the kernel's own scheduler.
    fn profile(&mut self, task: &Task) -> Result<String, AuthorError> {
        (self.see)(Event::Profile);
        let begin = Instant::now();
        let directory = self.ledger.directory().join("profile");
        let kernel = Start::BuiltIn("kernel".to_owned());
        let measured = task
            .benchmark
            .measure(&kernel, &task.start, &directory, self.stop)?;
        self.append(Record::Spent(Spent {
            what: "the profile".to_owned(),
            wall_ms: millis(begin),
            evaluations: evaluations(&task.benchmark),
        }))?;
        Ok(format!(
            "Machine: {}, simulated. Figures: workload, metric, under the kernel's own scheduler -> under `{}`, ratio \
             (above 1 is worse).\n{}",
            task.benchmark.machine,
            task.from,
            measured.text()
        ))
    }

    /// One question, and what comes of its answer.
    fn ask(
        &mut self,
        task: &Task,
        budgets: &Budgets,
        api: &str,
        profile: &str,
    ) -> Result<(), AuthorError> {
        let view = self.ledger.view();
        let (id, round) = (view.next_id(), view.next_round());
        let parent = view.start().map(|entry| entry.candidate.id);
        let best = view.best().map(|entry| entry.candidate.id);
        let source = best.and_then(|id| self.file(id, POLICY));
        let mut attempts: Vec<Attempt> = view.candidates.values().rev().map(Attempt::of).collect();
        if let Some(newest) = attempts.first_mut() {
            newest.source = self.file(newest.id, POLICY);
        }
        let messages = prompt::messages(&Parts {
            api,
            requirement: &task.requirement,
            profile: Some(profile),
            start: source.as_deref().or(task.from_source.as_deref()),
            attempts: &attempts,
            chars_max: task.chars_max,
        })?;
        let question: String = messages.iter().map(|message| &*message.content).collect();
        let allowance = budgets.left(&view.totals).allowance();
        (self.see)(Event::Asking(id, round));
        let begin = Instant::now();
        let answered = chat::complete(self.service, &messages, &allowance, self.stop);
        // Nothing was asked.
        if let Err(error @ ChatError::OverBudget { .. }) = answered {
            return Err(AuthorError::Chat(error));
        }
        let tokens = match &answered {
            Ok(answer) => answer.usage,
            Err(error) => self.lost(error, &question),
        };
        self.append(Record::Asked(Asked {
            candidate: id,
            round,
            prompt: ledger::text_digest(&question),
            tokens,
            cost: budgets.cost(&tokens),
            took_ms: millis(begin),
            error: answered.as_ref().err().map(ToString::to_string),
        }))?;
        let answer = answered?;
        (self.see)(Event::Answered(&answer));
        self.ledger.write(id, "prompt.md", &question)?;
        self.ledger.write(id, "answer.md", &answer.text)?;
        self.take(id, parent, &answer.text)
    }

    /// What a question that came to nothing may have cost: of a model that answered without a text, or too
    /// late, all that it may write.
    fn lost(&self, error: &ChatError, question: &str) -> chat::Usage {
        let answered = matches!(
            error,
            ChatError::NoText { .. } | ChatError::Refused { .. } | ChatError::Deadline { .. }
        );
        if !answered {
            return chat::Usage::default();
        }
        chat::Usage {
            prompt_tokens: question.chars().count() as u64 / 4,
            completion_tokens: u64::from(self.service.max_tokens),
            estimated: true,
        }
    }

    /// Makes a candidate of an answer. It is judged when the loop finds it unsettled.
    fn take(&mut self, id: u32, parent: Option<u32>, answer: &str) -> Result<(), AuthorError> {
        let extracted = source::extract(answer);
        let digest = match &extracted {
            Ok(text) => ledger::source_digest(text),
            Err(_) => ledger::text_digest(answer),
        };
        let same = self.ledger.same(&digest);
        if let Ok(text) = &extracted {
            self.ledger.write(id, POLICY, text)?;
        }
        let name = extracted
            .as_ref()
            .ok()
            .and_then(|text| source::parse(text, &[]).ok());
        self.append(Record::Candidate(Candidate {
            id,
            parent,
            source: digest,
            author: Author::Model(self.service.model.clone()),
            name: name.map(|source| source.name),
        }))?;
        let problem = match (extracted, same) {
            (Err(diagnostic), _) => diagnostic,
            (Ok(_), Some(other)) => Diagnostic::new(
                Stage::Parse,
                "repeated",
                format!("it is the same as candidate {other}"),
            )
            .help("Try something else: that one was judged already."),
            (Ok(_), None) => return Ok(()),
        };
        let done = ledger::StageDone {
            id,
            stage: Stage::Parse,
            passed: false,
            took_ms: 0,
            diagnostics: vec![problem],
        };
        (self.see)(Event::Stage(Stage::Parse, Some(&done)));
        self.refuse(id, &done)
    }

    /// A candidate about which no word was said.
    fn unsettled(&self) -> Option<(u32, String)> {
        let view = self.ledger.view();
        let mut open = view.unsettled().map(|entry| entry.candidate.id);
        open.find_map(|id| Some((id, self.file(id, POLICY)?)))
    }

    fn file(&self, id: u32, name: &str) -> Option<String> {
        let folder = ledger::candidate_directory(self.ledger.directory(), id);
        fs::read_to_string(folder.join(name)).ok()
    }
}

fn millis(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Runs of a policy in a benchmark: both sides, and the A/A check.
fn evaluations(benchmark: &Benchmark) -> u64 {
    u64::from(benchmark.runs) * benchmark.workloads.len() as u64 * 3
}

/// What may be spent in all, where this call may spend so much after what was spent before.
fn beyond(budgets: Budgets, before: &Totals) -> Budgets {
    let plus = |limit: Option<u64>, spent: u64| limit.map(|limit| limit.saturating_add(spent));
    Budgets {
        tokens: plus(budgets.tokens, before.tokens()),
        money: budgets.money.map(|limit| limit.plus(before.cost)),
        wall_ms: plus(budgets.wall_ms, before.wall_ms),
        evaluations: plus(budgets.evaluations, before.evaluations),
        rounds: budgets
            .rounds
            .map(|limit| limit.saturating_add(before.rounds)),
        prices: budgets.prices,
    }
}

//! A candidate's way through all stages, to a word on it.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime},
};

use serde_json::json;

use super::{AuthorError, Controller, Event, HIDDEN, Task, Unseen, evaluations, millis};
use crate::{
    Checked, Diagnostic, Stage,
    benchmark::{Benchmark, Figure, Measured, Start},
    hidden::Hidden,
    ledger::{self, Record, Refused, Spent},
};

impl Controller<'_> {
    /// Takes a candidate through all stages, to a word on it.
    pub(super) fn judge(
        &mut self,
        task: &Task,
        hidden: &Hidden,
        id: u32,
        text: &str,
    ) -> Result<(), AuthorError> {
        let folder = ledger::candidate_directory(self.ledger.directory(), id);
        let checked = self.check(id, text, &folder)?;
        if let Some(refused) = checked.refused() {
            // Nobody runs it any more.
            let _ = fs::remove_dir_all(folder.join("build"));
            return self.refuse(id, &of_stage(id, refused));
        }
        let (Some(program), Some(source)) = (checked.program, checked.source) else {
            return Ok(());
        };
        let begin = Instant::now();
        (self.see)(Event::Stage(Stage::Benchmark, None));
        let candidate = Start::Program(program);
        let shown = &task.benchmark;
        let measured = shown.measure(
            &task.start,
            &candidate,
            &folder.join("benchmark"),
            self.stop,
        )?;
        (self.see)(Event::Measured(&measured));
        self.note(id, shown, &measured)?;
        if !measured.is_better() {
            return self.end_benchmark(id, begin, measured.diagnostics);
        }
        (self.see)(Event::Hidden);
        let (ratio, is_general) = self.unseen(id, task, hidden, &candidate)?;
        if !is_general {
            let message = "it is better in the benchmark that it was shown, and not in others of the same kind";
            let diagnostic = Diagnostic::new(Stage::Benchmark, "not-general", message).help(
                "Decide by what tasks do, not by what this benchmark's tasks are like: other rates, counts and \
                 machines must gain as well.",
            );
            return self.end_benchmark(id, begin, vec![diagnostic]);
        }
        self.end_benchmark(id, begin, Vec::new())?;
        let best = self.ledger.view().best().map(|entry| entry.candidate.id);
        let best = best.and_then(|id| self.file(id, HIDDEN));
        let best = best.and_then(|text| serde_json::from_str::<Unseen>(&text).ok());
        let unseen = json!(Unseen { mean_ratio: ratio }).to_string();
        self.ledger.write(id, HIDDEN, &unseen)?;
        let path = self
            .ledger
            .accept(id, &source.name, "lab", SystemTime::now())?;
        (self.see)(Event::Accepted(id, &path));
        if best.is_none_or(|best| ratio < best.mean_ratio) {
            self.append(Record::Winner { id })?;
            (self.see)(Event::Winner(id));
        }
        Ok(())
    }

    fn check(&mut self, id: u32, text: &str, folder: &Path) -> Result<Checked, AuthorError> {
        let mut done = Vec::new();
        let see = &mut *self.see;
        let checked = self.checker.check(
            text,
            Stage::Vm,
            &folder.join("build"),
            self.stop,
            &mut |stage, of| {
                let of = of.map(|of| of_stage(id, of));
                see(Event::Stage(stage, of.as_ref()));
                done.extend(of);
            },
        );
        // What was done counts, also where the next stage could not be.
        for stage in done {
            self.append(Record::StageDone(stage))?;
        }
        Ok(checked?)
    }

    /// Measures a candidate where it could not know; the mean ratio, and whether it is good enough.
    fn unseen(
        &mut self,
        id: u32,
        task: &Task,
        hidden: &Hidden,
        candidate: &Start,
    ) -> Result<(f64, bool), AuthorError> {
        let mut logs = Vec::new();
        let mut is_general = true;
        for benchmark in hidden.benchmarks(&task.benchmark) {
            // Nothing of it stays where an author could read it.
            let directory =
                tempfile::tempdir().map_err(crate::error::file("make", "a temporary directory"))?;
            let measured =
                benchmark.measure(&task.start, candidate, directory.path(), self.stop)?;
            is_general &= measured.is_general();
            logs.extend(measured.mean_ratio.map(f64::ln));
            self.append(Record::Spent(Spent {
                what: format!("candidate {id} where it could not know"),
                wall_ms: 0,
                evaluations: evaluations(&benchmark),
            }))?;
        }
        let ratio = (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp();
        Ok((ratio, is_general))
    }

    fn note(&mut self, id: u32, shown: &Benchmark, measured: &Measured) -> Result<(), AuthorError> {
        use baton_lab::judge::Verdict;
        let list = |verdict: Verdict| {
            let of = |figure: &&Figure| figure.verdict == verdict;
            let line = |figure: &Figure| {
                let ratio = figure
                    .ratio
                    .map_or(String::new(), |ratio| format!(" {ratio:.3}x"));
                format!("{} {}{ratio}", figure.workload, figure.metric)
            };
            let lines: Vec<String> = measured.figures.iter().filter(of).map(line).collect();
            json!(lines)
        };
        self.append(Record::Measured(ledger::Measured {
            id,
            what: format!("{} on {}", shown.workloads.join(", "), shown.machine),
            better: list(Verdict::Better),
            worse: list(Verdict::Worse),
        }))?;
        self.append(Record::Spent(Spent {
            what: format!("candidate {id} in the lab"),
            wall_ms: 0,
            evaluations: evaluations(shown),
        }))
    }

    /// The end of the last stage.
    fn end_benchmark(
        &mut self,
        id: u32,
        begin: Instant,
        diagnostics: Vec<Diagnostic>,
    ) -> Result<(), AuthorError> {
        let done = ledger::StageDone {
            id,
            stage: Stage::Benchmark,
            passed: diagnostics.is_empty(),
            took_ms: millis(begin),
            diagnostics,
        };
        (self.see)(Event::Stage(Stage::Benchmark, Some(&done)));
        match done.passed {
            true => self.append(Record::StageDone(done)),
            false => self.refuse(id, &done),
        }
    }

    /// Writes down that a candidate did not pass a stage.
    pub(super) fn refuse(&mut self, id: u32, done: &ledger::StageDone) -> Result<(), AuthorError> {
        let is_noted = self
            .ledger
            .view()
            .candidates
            .get(&id)
            .is_some_and(|entry| entry.stages.iter().any(|known| known.stage == done.stage));
        if !is_noted {
            self.append(Record::StageDone(done.clone()))?;
        }
        let first = done.diagnostics.first();
        let refused = Refused {
            id,
            stage: done.stage,
            code: first.map_or("refused", |first| &first.code).to_owned(),
            why: first
                .map_or("it did not pass", |first| &first.message)
                .to_owned(),
        };
        self.append(Record::Refused(refused.clone()))?;
        (self.see)(Event::Refused(&refused));
        Ok(())
    }
}

fn of_stage(id: u32, done: &crate::StageDone) -> ledger::StageDone {
    ledger::StageDone {
        id,
        stage: done.stage,
        passed: done.passed,
        took_ms: (done.took_s * 1000.0) as u64,
        diagnostics: done.diagnostics.clone(),
    }
}

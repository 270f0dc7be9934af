//! What became of an attempt, in full or in a line.

use std::fmt::Write as _;

use super::fence::{cut, fence, one_line};
use crate::{Diagnostic, ledger::Entry};

/// Longest line of an attempt, characters.
const LINE_MAX: usize = 200;
/// Longest list of its diagnostics.
const DIAGNOSTICS_MAX: usize = 4000;
/// Longest text of its results.
const RESULTS_MAX: usize = 3000;
/// Longest source.
const SOURCE_MAX: usize = 24_000;

/// An attempt as the next one is to learn from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The candidate's number.
    pub id: u32,
    /// What became of it, in half a sentence, such as `refused at lint [unbounded-loop]: ...`.
    pub outcome: String,
    /// Its source, which is told for the newest attempt alone.
    pub source: Option<String>,
    /// What was wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// What was measured.
    pub results: Option<String>,
}

impl Attempt {
    /// What the ledger tells of a candidate; the source is for the caller to add.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let outcome = match &entry.refused {
            Some(refused) => format!(
                "refused at {} [{}]: {}",
                refused.stage, refused.code, refused.why
            ),
            None => entry.state.to_string(),
        };
        let mut results = String::new();
        for measured in &entry.measured {
            let (what, better, worse) = (&measured.what, &measured.better, &measured.worse);
            let _ = writeln!(results, "{what}\n  better: {better}\n  worse: {worse}");
        }
        let failed = entry.stages.iter().filter(|stage| !stage.passed);
        Self {
            id: entry.candidate.id,
            outcome,
            source: None,
            diagnostics: failed.flat_map(|stage| stage.diagnostics.clone()).collect(),
            results: (!results.is_empty()).then_some(results),
        }
    }

    /// The attempt in a line.
    pub(super) fn line(&self) -> String {
        format!(
            "- candidate {}: {}\n",
            self.id,
            one_line(&self.outcome, LINE_MAX)
        )
    }

    /// The attempt in full, with its source if that is wanted and there is room; `None` if there
    /// is no room even without.
    pub(super) fn full(&self, with_source: bool, room: usize) -> Option<String> {
        let fits = |text: &String| text.chars().count() <= room;
        let source = self.source.as_deref().filter(|_| with_source);
        let with = Some(self.told(source)).filter(fits);
        with.or_else(|| Some(self.told(None)).filter(fits))
    }

    fn told(&self, source: Option<&str>) -> String {
        let outcome = one_line(&self.outcome, LINE_MAX);
        let mut text = format!("## Candidate {}\n\nIt was {outcome}\n\n", self.id);
        if let Some(source) = source {
            let _ = writeln!(text, "{}", fence("rust", &cut(source, SOURCE_MAX)));
        }
        if !self.diagnostics.is_empty() {
            let all: Vec<String> = self
                .diagnostics
                .iter()
                .map(|one| format!("{}: {one}\n", one.stage))
                .collect();
            let all = cut(&all.concat(), DIAGNOSTICS_MAX);
            let _ = writeln!(text, "What was wrong:\n\n{}", fence("text", &all));
        }
        if let Some(results) = &self.results {
            let results = cut(results, RESULTS_MAX);
            let _ = writeln!(text, "What was measured:\n\n{}", fence("text", &results));
        }
        text
    }
}

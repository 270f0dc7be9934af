//! The workspace: its ledger, and the sources that lie beside it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use serde_json::json;

use super::{
    errors::{Code, Failure},
    paths,
};
use crate::{
    Stage,
    ledger::{
        Author, Begun, Candidate, Entry, Ledger, LedgerError, Record, View, candidate_directory,
        source_digest,
    },
    source,
};

/// How often a workspace that is in use is tried, and how long after each other.
const TRIES: u32 = 20;
const TRY_INTERVAL: Duration = Duration::from_millis(100);
/// Longest file of a candidate that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The file that marks a candidate as proposed.
const PROPOSAL: &str = "proposal.json";

/// The workspace of a server. Its ledger is held only while something is written, so that a person can
/// work with it meanwhile.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    writing: Mutex<()>,
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            writing: Mutex::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What the ledger says; nothing, where there is none yet.
    pub(super) fn view(&self) -> Result<View, Failure> {
        match Ledger::read(&self.root) {
            Ok(read) => Ok(read.view),
            Err(LedgerError::Missing { .. }) => Ok(View::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// A candidate.
    pub(super) fn entry(&self, id: u32) -> Result<Entry, Failure> {
        let entry = self.view()?.candidates.remove(&id);
        entry.ok_or_else(|| Failure::unknown_candidate(id))
    }

    /// A candidate's source.
    pub(super) fn source(&self, id: u32) -> Result<String, Failure> {
        self.entry(id)?;
        self.read(&format!("candidates/{id:04}/policy.rs"))
    }

    /// A text of the workspace.
    pub(super) fn read(&self, path: &str) -> Result<String, Failure> {
        paths::read_beneath(&self.root, path, FILE_BYTES_MAX)
    }

    /// Does something with the ledger, which is begun if there is none.
    pub(super) fn change<T>(
        &self,
        mut change: impl FnMut(&mut Ledger) -> Result<T, LedgerError>,
    ) -> Result<T, Failure> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tries = 0;
        let mut ledger = loop {
            match Ledger::open(&self.root) {
                Err(LedgerError::InUse { .. }) if tries < TRIES => {
                    tries += 1;
                    thread::sleep(TRY_INTERVAL);
                }
                opened => break opened?,
            }
        };
        if ledger.view().runs.is_empty() {
            let begun = Begun {
                requirement: "Candidates that a client of `baton mcp` writes.".to_owned(),
                from: None,
                settings: json!({ "by": "mcp" }),
                service: None,
            };
            ledger.append(Record::Begun(begun), SystemTime::now())?;
        }
        Ok(change(&mut ledger)?)
    }

    /// Adds records.
    pub(super) fn append(&self, records: Vec<Record>) -> Result<(), Failure> {
        self.change(|ledger| {
            let mut records = records.iter();
            records.try_for_each(|record| ledger.append(record.clone(), SystemTime::now()))
        })
    }

    /// Takes in a source: its number, and whether it is new. Equal sources have one number.
    pub(super) fn add(
        &self,
        text: &str,
        parent: Option<u32>,
        take: impl Fn() -> Result<(), Failure>,
    ) -> Result<(u32, bool), Failure> {
        let digest = source_digest(text);
        let view = self.view()?;
        if let Some(parent) = parent.filter(|parent| !view.candidates.contains_key(parent)) {
            return Err(Failure::unknown_candidate(parent));
        }
        if let Some(id) = view.same(&digest) {
            return Ok((id, false));
        }
        take()?;
        let name = source::parse(text, &[]).ok().map(|source| source.name);
        self.change(|ledger| {
            if let Some(id) = ledger.same(&digest) {
                return Ok((id, false));
            }
            let id = ledger.view().next_id();
            ledger.write(id, "policy.rs", text)?;
            let candidate = Candidate {
                id,
                parent,
                source: digest.clone(),
                author: Author::Tool,
                name: name.clone(),
            };
            ledger.append(Record::Candidate(candidate), SystemTime::now())?;
            Ok((id, true))
        })
    }

    /// Marks a candidate as proposed.
    pub(super) fn propose(&self, id: u32, text: &str) -> Result<(), Failure> {
        self.change(|ledger| ledger.write(id, PROPOSAL, text).map(drop))
    }

    /// Whether a candidate is proposed.
    pub(super) fn is_proposed(&self, id: u32) -> bool {
        candidate_directory(&self.root, id).join(PROPOSAL).is_file()
    }
}

/// Whether the last of this stage was passed; none if there was none.
pub(super) fn last_passed(entry: &Entry, stage: Stage) -> Option<bool> {
    let mut stages = entry.stages.iter().rev();
    stages
        .find(|done| done.stage == stage)
        .map(|done| done.passed)
}

/// A candidate must have passed the stages of `check` by its last one.
pub(super) fn must_be_checked(entry: &Entry) -> Result<(), Failure> {
    let stages = Stage::ALL.into_iter();
    let mut open = stages
        .take_while(|stage| *stage <= Stage::Invariants)
        .filter(|stage| last_passed(entry, *stage) != Some(true));
    match open.next() {
        None => Ok(()),
        Some(stage) => {
            let id = entry.candidate.id;
            let message = format!("candidate {id} has not passed the stage `{stage}`");
            let help =
                "Call `check` up to `invariants` first, and write a better one if it is refused.";
            Err(Failure::new(Code::NotChecked, message, help))
        }
    }
}

/// The lines around a place, with their numbers, and a mark at it.
pub(super) fn lines_around(text: &str, line: u32, around: u32) -> String {
    let (first, last) = (
        line.saturating_sub(around).max(1),
        line.saturating_add(around),
    );
    let mut shown = String::new();
    for (number, content) in (1_u32..).zip(text.lines()) {
        if (first..=last).contains(&number) {
            let mark = if number == line { '>' } else { ' ' };
            let _ = writeln!(shown, "{mark}{number:>5} | {content}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sources_have_one_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("workspace"));
        let add = |text: &str, parent| store.add(text, parent, || Ok(()));
        assert_eq!(store.view().unwrap(), View::default());
        assert_eq!(add("fn a() {}", None).unwrap(), (1, true));
        assert_eq!(add("fn a() { } // again", None).unwrap(), (1, false));
        assert_eq!(add("fn b() {}", Some(1)).unwrap(), (2, true));
        let unknown = add("fn c() {}", Some(9)).unwrap_err();
        assert_eq!(unknown.code, Code::UnknownCandidate);
        assert_eq!(store.source(1).unwrap(), "fn a() {}");
        let entry = store.entry(2).unwrap();
        assert_eq!(
            (entry.candidate.parent, entry.candidate.author.clone()),
            (Some(1), Author::Tool)
        );
        assert_eq!(must_be_checked(&entry).unwrap_err().code, Code::NotChecked);
        assert!(!store.is_proposed(2));
        store.propose(2, "{}").unwrap();
        assert!(store.is_proposed(2));
    }

    #[test]
    fn what_may_not_be_added_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let refused = store.add("x", None, || Err(Failure::cancelled()));
        assert!(refused.is_err());
        assert_eq!(store.view().unwrap(), View::default());
    }

    #[test]
    fn lines_have_numbers() {
        let text = "a\nb\nc\nd\n";
        assert_eq!(lines_around(text, 1, 1), ">    1 | a\n     2 | b\n");
        assert_eq!(lines_around(text, 4, 1), "     3 | c\n>    4 | d\n");
        assert_eq!(lines_around(text, u32::MAX, 1), "");
    }
}

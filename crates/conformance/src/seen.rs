//! A log, read as what happened to each task.

use std::collections::BTreeMap;

use baton_policy::{
    Decision, EventKind, MS, TaskInfo, TaskKey,
    log::{Reader, Record},
};

use crate::PREFIX;

/// What a policy heard of a task, or said of it.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)] // As large as an event; there are few.
pub enum Note {
    /// It heard this, of this time.
    Heard(u64, EventKind),
    /// It decided this, when it had heard everything up to this time.
    Decided(u64, Decision),
}

/// A task of the suite's.
#[derive(Clone, Debug)]
pub struct Life {
    /// The task.
    pub key: TaskKey,
    /// What it is, as first told.
    pub info: TaskInfo,
    /// What was heard and decided of it, in order.
    pub notes: Vec<Note>,
}

/// Everything that a policy saw of the suite's tasks.
#[derive(Clone, Debug)]
pub struct Seen {
    lives: Vec<Life>,
    all: Vec<(TaskKey, Note)>,
    /// Whether nothing comes between what the suite plays and what is told.
    exact: bool,
}

impl Seen {
    /// Reads a log.
    ///
    /// # Errors
    /// It is damaged, was cut, has gaps, or tells of lost events.
    pub fn read(bytes: &[u8], exact: bool) -> Result<Self, String> {
        let (_, reader) = Reader::open(bytes).map_err(|error| error.to_string())?;
        let mut lives: BTreeMap<TaskKey, Life> = BTreeMap::new();
        let mut all = Vec::new();
        let mut now_ns = 0;
        for record in reader {
            match record.map_err(|error| error.to_string())? {
                Record::Event(event) => match event.kind {
                    EventKind::Lost { count } => return Err(format!("{count} events were lost")),
                    EventKind::Join(info) => {
                        let known = lives.get(&event.task);
                        if known.is_some() {
                            return Err(format!("{:?} joined twice", event.task));
                        }
                        if info.name.as_bytes().starts_with(PREFIX.as_bytes()) {
                            let life = Life {
                                key: event.task,
                                info,
                                notes: Vec::new(),
                            };
                            lives.insert(event.task, life);
                        }
                    }
                    // A thread is named after it began.
                    EventKind::Update(info)
                        if info.name.as_bytes().starts_with(PREFIX.as_bytes()) =>
                    {
                        let life = lives.entry(event.task).or_insert_with(|| Life {
                            key: event.task,
                            info,
                            notes: Vec::new(),
                        });
                        life.notes.push(Note::Heard(event.time_ns, event.kind));
                    }
                    kind => {
                        if let Some(life) = lives.get_mut(&event.task) {
                            let note = Note::Heard(event.time_ns, kind);
                            life.notes.push(note);
                            all.push((event.task, note));
                        }
                    }
                },
                Record::BatchEnd { now_ns: end_ns } => now_ns = end_ns,
                Record::Decisions(decisions) => {
                    for decision in decisions {
                        if let Some(life) = lives.get_mut(&decision.task) {
                            let note = Note::Decided(now_ns, decision);
                            life.notes.push(note);
                            all.push((decision.task, note));
                        }
                    }
                }
                Record::Gap { lost } => return Err(format!("{lost} records are missing")),
                Record::Cut { offset } => return Err(format!("the log is cut at byte {offset}")),
                Record::End => {}
            }
        }
        let lives = lives.into_values().collect();
        Ok(Self { lives, all, exact })
    }

    /// The suite's tasks.
    pub fn lives(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter()
    }

    /// Whether so many exceptions are few enough: none where the run was exact, else one in 20.
    pub(crate) fn is_rare(&self, exceptions: u32, of: u32) -> bool {
        match self.exact {
            true => exceptions == 0,
            false => exceptions * 20 <= of,
        }
    }

    /// As [`Seen::is_rare`], of what a slow process makes without doing wrong: one in 4.
    pub(crate) fn are_few(&self, exceptions: u32, of: u32) -> bool {
        match self.exact {
            true => exceptions == 0,
            false => exceptions * 4 <= of,
        }
    }

    /// How long a decision may be on its way at most.
    pub(crate) fn moment_ns(&self) -> u64 {
        if self.exact { 5 * MS } else { 20 * MS }
    }

    /// What was heard and decided of all of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(TaskKey, Note)> {
        self.all.iter()
    }

    /// Those of this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Life> {
        self.lives()
            .filter(move |life| life.info.name.as_bytes() == name.as_bytes())
    }
}

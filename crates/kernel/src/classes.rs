//! Which task belongs to which class.
//!
//! The scheduling thread knows a task's name and the number of its cgroup; the number's path is a
//! matter of reading directories, which that thread must not do. So another thread walks the cgroup
//! hierarchy at the start and whenever a number is new, matches every path against the classes and
//! leaves a table of the results: number to matches. The scheduling thread takes the table when it
//! is free to be taken, and looks numbers up. A task whose cgroup is not in the table has the class
//! that its name alone gives it, until a table knows better: then its policy gets an update.
//!
//! A cgroup's path is fixed for its life, and the kernel gives a number once. So a task that was
//! found in the table need not be looked at again before its own next update.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use baton_machine::{CgroupMatches, ClassFile, cgroup_root, walk_cgroups};
use baton_policy::{Event, EventKind, TaskInfo, TaskKey};

use crate::{Error, tasks::TaskReport};

/// Cgroups that are known; those beyond have no class by their path.
const CGROUPS_MAX: usize = 16_384;
/// Twice the entries, so that a search ends soon at an empty slot.
const SLOTS: usize = CGROUPS_MAX * 2;
/// Tasks that can wait for their cgroup's path at a time.
const PENDING_MAX: usize = 2048;
/// Tables in which a cgroup is looked for; one that vanished meanwhile is in none.
const TRIES: u8 = 3;
/// Pause between two walks, and at least so many times what the last one took: a storm
/// of new cgroups in a large hierarchy must not keep a CPU busy.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_TIMES: u32 = 10;
/// Pause after a walk that failed.
const PAUSE_UNREADABLE: Duration = Duration::from_millis(500);

/// Numbers of cgroups and their matches: open addressing, never more than half full.
#[derive(Debug)]
struct Table(Box<[(u64, CgroupMatches)]>);

impl Table {
    fn new() -> Self {
        Self(vec![(0, CgroupMatches::default()); SLOTS].into_boxed_slice())
    }

    /// Where the number is, or would be. No cgroup has the number 0.
    fn slot(&self, id: u64) -> usize {
        // Fibonacci hashing: the numbers of a hierarchy are nearly consecutive.
        let mut slot = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SLOTS;
        while self.0[slot].0 != 0 && self.0[slot].0 != id {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }

    fn get(&self, id: u64) -> Option<CgroupMatches> {
        let (found, matches) = self.0[self.slot(id)];
        (found == id && id != 0).then_some(matches)
    }

    fn fill(&mut self, cgroups: &[(u64, CgroupMatches)]) {
        self.0.fill((0, CgroupMatches::default()));
        for &(id, matches) in cgroups.iter().take(CGROUPS_MAX) {
            let slot = self.slot(id);
            self.0[slot] = (id, matches);
        }
    }
}

/// What the two threads share.
#[derive(Debug)]
struct Handover {
    /// The table that the scheduling thread does not use.
    spare: Mutex<Table>,
    /// Whether it is newer than the one in use.
    fresh: AtomicBool,
    /// Whether a number was seen that is not in the table.
    wanted: AtomicBool,
    stop: AtomicBool,
}

/// A task whose cgroup's path is not known yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    task: TaskKey,
    info: TaskInfo,
    tries: u8,
}

/// The scheduling thread's end: gives every task its class.
#[derive(Debug)]
pub struct Classifier {
    file: Arc<ClassFile>,
    /// None where no class names a cgroup.
    cgroups: Option<Cgroups>,
}

#[derive(Debug)]
struct Cgroups {
    table: Table,
    handover: Arc<Handover>,
    watcher: Thread,
    pending: Vec<Pending>,
    overflows: u64,
}

impl Classifier {
    /// Sets the class of a task that joins or changed; takes no memory.
    pub fn classify(&mut self, event: &mut Event) {
        match &mut event.kind {
            EventKind::Join(info) | EventKind::Update(info) => {
                let matches = self.cgroups.as_mut().and_then(|cgroups| {
                    cgroups.forget(event.task);
                    cgroups.table.get(info.cgroup)
                });
                let found = self.file.classify(info.name.as_bytes(), matches);
                info.class = found.class;
                if let (false, Some(cgroups)) = (found.settled, &mut self.cgroups) {
                    cgroups.wait_for(event.task, *info);
                }
            }
            EventKind::Exit => {
                if let Some(cgroups) = &mut self.cgroups {
                    cgroups.forget(event.task);
                }
            }
            _ => {}
        }
    }

    /// Takes a new table if there is one. Then `update` gets every waiting task that
    /// the table gives another class than it had.
    pub fn resolve(&mut self, mut update: impl FnMut(TaskKey, TaskInfo)) {
        let Some(cgroups) = &mut self.cgroups else {
            return;
        };
        if !cgroups.take_table() {
            return;
        }
        let mut index = 0;
        while index < cgroups.pending.len() {
            let mut waiting = cgroups.pending[index];
            let matches = cgroups.table.get(waiting.info.cgroup);
            if matches.is_none() && waiting.tries + 1 < TRIES {
                cgroups.pending[index].tries += 1;
                index += 1;
                continue;
            }
            cgroups.pending.swap_remove(index);
            // In the end its cgroup is taken for one that no class names.
            let matches = matches.unwrap_or_default();
            let name = waiting.info.name;
            let found = self.file.classify(name.as_bytes(), Some(matches)).class;
            if found != waiting.info.class {
                waiting.info.class = found;
                update(waiting.task, waiting.info);
            }
        }
        if !cgroups.pending.is_empty() {
            cgroups.ask();
        }
    }

    /// How often a task kept the class that its name gave it, because too many waited
    /// for their cgroup's path.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.cgroups.as_ref().map_or(0, |cgroups| cgroups.overflows)
    }
}

impl Cgroups {
    fn wait_for(&mut self, task: TaskKey, info: TaskInfo) {
        if self.pending.len() == PENDING_MAX {
            self.overflows += 1;
            return;
        }
        self.pending.push(Pending {
            task,
            info,
            tries: 0,
        });
        self.ask();
    }

    fn forget(&mut self, task: TaskKey) {
        if let Some(index) = self.pending.iter().position(|entry| entry.task == task) {
            self.pending.swap_remove(index);
        }
    }

    fn ask(&self) {
        if !self.handover.wanted.swap(true, Ordering::AcqRel) {
            self.watcher.unpark();
        }
    }

    fn take_table(&mut self) -> bool {
        if !self.handover.fresh.load(Ordering::Acquire) {
            return false;
        }
        let Ok(mut spare) = self.handover.spare.try_lock() else {
            return false;
        };
        std::mem::swap(&mut *spare, &mut self.table);
        self.handover.fresh.store(false, Ordering::Release);
        true
    }
}

/// The thread that reads the cgroup hierarchy; dropping it ends it.
#[derive(Debug)]
pub struct CgroupWatcher {
    handover: Arc<Handover>,
    thread: Option<JoinHandle<()>>,
}

/// Makes a classifier, and the thread that it needs if a class names a cgroup. The
/// hierarchy has been read when this returns.
///
/// # Errors
/// A class names a cgroup and there is no hierarchy to read.
pub fn start(file: Arc<ClassFile>) -> Result<(Classifier, Option<CgroupWatcher>), Error> {
    if !file.names_cgroups() {
        let cgroups = None;
        return Ok((Classifier { file, cgroups }, None));
    }
    let root = cgroup_root().ok_or(Error::NoCgroups)?;
    start_at(file, root).map(|(classifier, watcher)| (classifier, Some(watcher)))
}

fn start_at(file: Arc<ClassFile>, root: PathBuf) -> Result<(Classifier, CgroupWatcher), Error> {
    let handover = Arc::new(Handover {
        spare: Mutex::new(Table::new()),
        fresh: AtomicBool::new(false),
        wanted: AtomicBool::new(false),
        stop: AtomicBool::new(false),
    });
    let mut cgroups = Vec::with_capacity(CGROUPS_MAX);
    read(&file, &root, &mut cgroups).map_err(|source| Error::System {
        what: "cannot read the cgroup hierarchy",
        source,
    })?;
    let mut table = Table::new();
    table.fill(&cgroups);
    let thread = {
        let (handover, file) = (Arc::clone(&handover), Arc::clone(&file));
        thread::Builder::new()
            .name("baton-cgroups".into())
            .spawn(move || watch(&handover, &file, &root, cgroups))
            .map_err(|source| Error::System {
                what: "cannot start the thread that reads the cgroup hierarchy",
                source,
            })?
    };
    let cgroups = Cgroups {
        table,
        handover: Arc::clone(&handover),
        watcher: thread.thread().clone(),
        pending: Vec::with_capacity(PENDING_MAX),
        overflows: 0,
    };
    let watcher = CgroupWatcher {
        handover,
        thread: Some(thread),
    };
    let cgroups = Some(cgroups);
    Ok((Classifier { file, cgroups }, watcher))
}

impl Drop for CgroupWatcher {
    fn drop(&mut self) {
        self.handover.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has nothing left to tell.
            let _ = thread.join();
        }
    }
}

/// Gives tasks the names of their classes, for people: reads the hierarchy anew, so that no
/// number is unknown.
///
/// # Errors
/// The hierarchy cannot be read.
pub(crate) fn name_classes(file: &ClassFile, tasks: &mut [TaskReport]) -> std::io::Result<()> {
    let mut matches = HashMap::new();
    if let (true, Some(root)) = (file.names_cgroups(), cgroup_root()) {
        walk_cgroups(&root, CGROUPS_MAX, |path, id| {
            matches.insert(id, file.match_cgroup(path));
        })?;
    }
    for task in tasks {
        let inside = matches.get(&task.cgroup).copied().unwrap_or_default();
        let class = file.classify(task.name.as_bytes(), Some(inside)).class;
        let class = class.and_then(|id| file.classes().get(id));
        task.class = class.map(|class| class.name.clone());
    }
    Ok(())
}

fn read(
    file: &ClassFile,
    root: &Path,
    cgroups: &mut Vec<(u64, CgroupMatches)>,
) -> std::io::Result<()> {
    cgroups.clear();
    let visit = |path: &str, id| cgroups.push((id, file.match_cgroup(path)));
    walk_cgroups(root, CGROUPS_MAX, visit).map(|_| ())
}

/// Walks the hierarchy whenever somebody asks, until it is told to stop.
fn watch(handover: &Handover, file: &ClassFile, root: &Path, mut found: Vec<(u64, CgroupMatches)>) {
    while !handover.stop.load(Ordering::Acquire) {
        if !handover.wanted.swap(false, Ordering::AcqRel) {
            thread::park();
            continue;
        }
        let began = Instant::now();
        if read(file, root, &mut found).is_err() {
            // Tasks wait for it: perhaps it can be read later.
            handover.wanted.store(true, Ordering::Release);
            thread::park_timeout(PAUSE_UNREADABLE);
            continue;
        }
        {
            let mut spare = handover
                .spare
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            spare.fill(&found);
            handover.fresh.store(true, Ordering::Release);
        }
        thread::sleep(PAUSE_MIN.max(began.elapsed() * PAUSE_TIMES));
    }
}

#[cfg(test)]
#[path = "classes_tests.rs"]
mod tests;

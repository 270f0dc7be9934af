use super::*;
use baton_policy::{ClassId, TaskName};
use std::{fs, os::unix::fs::MetadataExt as _};
use tempfile::TempDir;

const RULES: &str = "
[[class]]
name = \"game\"
cgroup = \"/games/**\"
[[class]]
name = \"audio\"
task = \"jackd\"
";

fn file() -> Arc<ClassFile> {
    Arc::new(ClassFile::parse("c.toml", RULES).unwrap())
}

fn task(pid: u32) -> TaskKey {
    TaskKey { pid, start_ns: 1 }
}

fn info(name: &str, cgroup: u64) -> TaskInfo {
    TaskInfo {
        name: TaskName::new(name),
        cgroup,
        ..TaskInfo::default()
    }
}

fn join(classifier: &mut Classifier, pid: u32, name: &str, cgroup: u64) -> Option<usize> {
    let mut event = Event {
        time_ns: 0,
        task: task(pid),
        kind: EventKind::Join(info(name, cgroup)),
    };
    classifier.classify(&mut event);
    let EventKind::Join(info) = event.kind else {
        unreachable!()
    };
    info.class.map(ClassId::index)
}

/// Updates that come within ten seconds; the pids and their classes.
fn updates(classifier: &mut Classifier, count: usize) -> Vec<(u32, Option<usize>)> {
    let mut updates = Vec::new();
    for _ in 0..1000 {
        classifier.resolve(|task, info| {
            updates.push((task.pid, info.class.map(ClassId::index)));
        });
        if updates.len() >= count {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    updates.sort_unstable();
    updates
}

fn number(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn a_new_cgroup_is_found_and_its_tasks_get_their_class() {
    let tree = TempDir::new().unwrap();
    let games = tree.path().join("games");
    fs::create_dir(&games).unwrap();
    let (mut classifier, _watcher) = start_at(file(), tree.path().into()).unwrap();
    // What the first walk has seen is known at once.
    assert_eq!(join(&mut classifier, 1, "jackd", number(&games)), Some(0));
    assert_eq!(
        join(&mut classifier, 2, "jackd", number(tree.path())),
        Some(1)
    );
    // What is new, once it was looked up.
    let (new, other) = (games.join("chess"), tree.path().join("other"));
    fs::create_dir(&new).unwrap();
    fs::create_dir(&other).unwrap();
    assert_eq!(join(&mut classifier, 3, "jackd", number(&new)), Some(1));
    assert_eq!(join(&mut classifier, 4, "chess", number(&new)), None);
    assert_eq!(join(&mut classifier, 5, "chess", number(&other)), None);
    let found = updates(&mut classifier, 2);
    assert_eq!(found, [(3, Some(0)), (4, Some(0))]);
    let pending = &classifier.cgroups.as_ref().unwrap().pending;
    assert!(pending.is_empty(), "{pending:?}");
    assert_eq!(join(&mut classifier, 6, "chess", number(&new)), Some(0));
}

#[test]
fn a_task_that_ended_or_moved_is_not_updated() {
    let tree = TempDir::new().unwrap();
    let (mut classifier, _watcher) = start_at(file(), tree.path().into()).unwrap();
    let games = tree.path().join("games");
    // Held back until the tasks have done what they do.
    let handover = Arc::clone(&classifier.cgroups.as_ref().unwrap().handover);
    let spare = handover.spare.lock().unwrap();
    fs::create_dir(&games).unwrap();
    for pid in 1..=3 {
        join(&mut classifier, pid, "chess", number(&games));
    }
    classifier.classify(&mut Event {
        time_ns: 0,
        task: task(1),
        kind: EventKind::Exit,
    });
    let moved = info("chess", number(tree.path()));
    classifier.classify(&mut Event {
        time_ns: 0,
        task: task(2),
        kind: EventKind::Update(moved),
    });
    drop(spare);
    assert_eq!(updates(&mut classifier, 1), [(3, Some(0))]);
}

#[test]
fn a_cgroup_that_is_nowhere_is_given_up() {
    let tree = TempDir::new().unwrap();
    let (mut classifier, _watcher) = start_at(file(), tree.path().into()).unwrap();
    assert_eq!(join(&mut classifier, 1, "chess", u64::MAX), None);
    let is_waiting =
        |classifier: &Classifier| !classifier.cgroups.as_ref().unwrap().pending.is_empty();
    for _ in 0..1000 {
        classifier.resolve(|task, info| panic!("{task:?} {info:?}"));
        if !is_waiting(&classifier) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("still looked for after ten seconds");
}

#[test]
fn too_many_that_wait_are_counted() {
    let tree = TempDir::new().unwrap();
    let (mut classifier, _watcher) = start_at(file(), tree.path().into()).unwrap();
    for pid in 0..PENDING_MAX as u32 + 5 {
        join(&mut classifier, pid, "chess", u64::MAX);
    }
    assert_eq!(classifier.overflows(), 5);
}

#[test]
fn a_full_table_knows_all_that_is_in_it() {
    let matches = file().match_cgroup("/games");
    // Consecutive numbers, and the most that fit.
    let cgroups: Vec<_> = (1..=CGROUPS_MAX as u64 + 9)
        .map(|id| (id, matches))
        .collect();
    let mut table = Table::new();
    table.fill(&cgroups);
    let known = cgroups
        .iter()
        .filter(|(id, _)| table.get(*id) == Some(matches));
    assert_eq!(known.count(), CGROUPS_MAX);
    assert_eq!((table.get(0), table.get(u64::MAX)), (None, None));
    table.fill(&[]);
    assert_eq!(table.get(1), None);
}

#[test]
fn without_cgroups_there_is_no_thread() {
    let names = ClassFile::parse("c.toml", "[[class]]\nname = \"a\"\ntask = \"jackd\"\n").unwrap();
    let (mut classifier, watcher) = start(Arc::new(names)).unwrap();
    assert!(watcher.is_none());
    assert_eq!(join(&mut classifier, 1, "jackd", 77), Some(0));
    classifier.resolve(|_, _| panic!("nothing to resolve"));
}

//! A part of the machine: the tasks of one cgroup, for which alone a policy schedules.
//!
//! The kernel gives a scheduler that was loaded with `SCX_OPS_SWITCH_PARTIAL` the tasks whose
//! scheduling policy is `SCHED_EXT`. So every thread of the cgroup and of those below it is given
//! that policy; the one that it had is remembered and given back when the thread leaves the
//! cgroup, and at the end. Threads that are born there have the policy from their parents; those
//! that are moved there are found by looking again and again. Nice values stay, as the kernel
//! keeps them over a change of policy. Real-time and deadline threads are left alone.
//!
//! A process that is killed gives nothing back. Its threads keep the name `SCHED_EXT`, which
//! without a scheduler means what `SCHED_OTHER` does.
#![allow(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    time::{Duration, Instant},
};

use baton_machine::Cgroup;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Error, realtime};

/// `SCHED_EXT` of the kernel's include/uapi/linux/sched.h.
const SCHED_EXT: i32 = 7;
/// Pause between two looks, and at least so many times what the last one took.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_TIMES: u32 = 10;
/// How often threads are looked for that left before anybody had seen them.
const STRAYS_PERIOD: Duration = Duration::from_secs(1);
/// Looks in a row at the beginning and at the end, while each finds threads born meanwhile.
const LOOKS_MAX: u32 = 20;
/// Ancestors that are asked for what a thread's scheduling policy was.
const ANCESTORS_MAX: u32 = 16;

/// What became of the tasks of a part of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// The cgroup, by its path below the hierarchy's root.
    pub cgroup: String,
    /// Threads that are the policy's now, or were at the end.
    pub tasks: usize,
    /// Threads that were taken in all, those that were born there included as far as they
    /// were seen.
    pub taken: u64,
    /// Threads that got their former scheduling policy back, at the end or because they left
    /// the cgroup.
    pub given_back: u64,
    /// Real-time and deadline threads of the cgroup, which were left alone, at the last look.
    pub left_alone: usize,
    /// Threads outside the cgroup that are `SCHED_EXT` by somebody else's doing, as far as
    /// they ran: the kernel has the policy schedule them too.
    pub foreign: usize,
}

impl fmt::Display for PartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.tasks == 1 { "" } else { "s" };
        write!(
            f,
            "{} task{plural} of the cgroup {}",
            self.tasks, self.cgroup
        )?;
        if self.left_alone > 0 {
            write!(f, ", {} real-time ones left alone", self.left_alone)?;
        }
        if self.foreign > 0 {
            write!(f, ", and {} that others made SCHED_EXT", self.foreign)?;
        }
        Ok(())
    }
}

/// The threads of a cgroup, made a policy's; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Part {
    cgroup: Cgroup,
    /// What each thread's scheduling policy was, with its flags.
    former: BTreeMap<u32, i32>,
    /// The same of those that left or ended lately, for their children's sake.
    departed: BTreeMap<u32, i32>,
    report: PartReport,
    /// The threads are another process's now, or nobody's.
    handed_over: bool,
    next_look: Instant,
    next_strays: Instant,
}

impl Part {
    /// Makes the cgroup's threads the policy's.
    ///
    /// # Errors
    /// When the system does not permit it.
    pub(crate) fn take(cgroup: Cgroup) -> Result<Self, Error> {
        let mut part = Self::of(cgroup, BTreeMap::new());
        // Those that are SCHED_EXT before anything was taken are so by their own choice.
        let mut came = part.look(SCHED_EXT)?;
        for _ in 0..LOOKS_MAX {
            if came == 0 {
                break;
            }
            came = part.look(libc::SCHED_OTHER)?;
        }
        Ok(part)
    }

    /// Goes on with what another process began, whose [`Part::record`] this is.
    pub(crate) fn adopt(cgroup: Cgroup, record: &Value) -> Self {
        let entry = |entry: &Value| {
            let tid = u32::try_from(entry[0].as_u64()?).ok()?;
            let policy = i32::try_from(entry[1].as_i64()?).ok()?;
            Some((tid, policy))
        };
        let entries = record.as_array().into_iter().flatten();
        Self::of(cgroup, entries.filter_map(entry).collect())
    }

    fn of(cgroup: Cgroup, former: BTreeMap<u32, i32>) -> Self {
        // A policy that loops is ended by a signal handler, which cannot give tasks back.
        realtime::set_loop_grace(true);
        let now = Instant::now();
        let report = PartReport {
            cgroup: cgroup.path.clone(),
            tasks: former.len(),
            taken: former.len() as u64,
            ..PartReport::default()
        };
        Self {
            cgroup,
            former,
            departed: BTreeMap::new(),
            report,
            handed_over: false,
            next_look: now,
            next_strays: now + STRAYS_PERIOD,
        }
    }

    pub(crate) const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    pub(crate) const fn report(&self) -> &PartReport {
        &self.report
    }

    /// What each thread's scheduling policy was, for [`Part::adopt`].
    pub(crate) fn record(&self) -> Value {
        json!(self.former.iter().collect::<Vec<_>>())
    }

    /// Another process gives the threads back from now on.
    pub(crate) fn hand_over(&mut self) {
        self.handed_over = true;
        realtime::set_loop_grace(false);
    }

    /// Looks for threads that came and went, if it is time. `scheduled` tells which
    /// threads the relay knows.
    pub(crate) fn tend(&mut self, scheduled: impl FnOnce() -> Vec<u32>) {
        let began = Instant::now();
        if began < self.next_look || self.handed_over {
            return;
        }
        // What the system permitted at the start it permits now, or will again.
        let _ = self.look(libc::SCHED_OTHER);
        if began >= self.next_strays {
            self.give_strays_back(&scheduled());
            self.departed.clear();
            self.next_strays = began + STRAYS_PERIOD;
        }
        self.next_look = Instant::now() + PAUSE_MIN.max(began.elapsed() * PAUSE_TIMES);
    }

    /// Gives every thread its former policy back: also those that were born meanwhile, and
    /// those of `scheduled` that left unseen. Nothing is left to do afterwards.
    pub(crate) fn give_back(&mut self, scheduled: &[u32]) {
        if self.handed_over {
            return;
        }
        self.handed_over = true;
        self.give_strays_back(scheduled);
        self.note_born();
        self.report.tasks = self.former.len();
        for _ in 0..LOOKS_MAX {
            for (tid, policy) in self.former.clone() {
                self.restore(tid, policy);
            }
            if !self.note_born() {
                break;
            }
        }
        realtime::set_loop_grace(false);
    }

    /// Looks at all threads of the cgroup, takes those that came, and gives back those that
    /// left; how many came. One that is `SCHED_EXT` already has it from its parent, or was
    /// `unknown` before.
    fn look(&mut self, unknown: i32) -> Result<usize, Error> {
        let (mut came, mut left_alone, mut refused) = (0, 0, None);
        let here = self.threads();
        for &tid in &here {
            let Some(policy) = policy_of(tid) else {
                continue;
            };
            let flags = policy & libc::SCHED_RESET_ON_FORK;
            let former = match policy & !libc::SCHED_RESET_ON_FORK {
                SCHED_EXT if self.former.contains_key(&tid) => continue,
                SCHED_EXT => self.heritage(tid).unwrap_or(unknown) | flags,
                libc::SCHED_OTHER | libc::SCHED_BATCH | libc::SCHED_IDLE => {
                    match set_policy(tid, SCHED_EXT | flags) {
                        Ok(()) => policy,
                        Err(error) => {
                            // One that has ended meanwhile is no failure.
                            let vanished = error.raw_os_error() == Some(libc::ESRCH);
                            refused = refused.or((!vanished).then_some(error));
                            continue;
                        }
                    }
                }
                _ => {
                    left_alone += 1;
                    continue;
                }
            };
            came += usize::from(self.former.insert(tid, former).is_none());
        }
        let gone = self.former.keys().filter(|tid| !here.contains(tid));
        for tid in gone.copied().collect::<Vec<_>>() {
            if let Some(policy) = self.former.remove(&tid) {
                self.departed.insert(tid, policy);
                self.restore(tid, policy);
            }
        }
        self.report.taken += came as u64;
        self.report.left_alone = left_alone;
        self.report.tasks = self.former.len();
        match refused {
            Some(source) => Err(Error::System {
                what: "cannot make the cgroup's tasks SCHED_EXT (needs CAP_SYS_NICE)",
                source,
            }),
            None => Ok(came),
        }
    }

    /// Notes the threads of the cgroup that have the policy from their parents; whether there
    /// are any.
    fn note_born(&mut self) -> bool {
        let mut born = false;
        for tid in self.threads() {
            if is_ext(tid) && !self.former.contains_key(&tid) {
                let policy = self.heritage(tid).unwrap_or(libc::SCHED_OTHER);
                self.former.insert(tid, policy);
                self.report.taken += 1;
                born = true;
            }
        }
        born
    }

    /// Threads that were born in the cgroup and left it between two looks.
    fn give_strays_back(&mut self, scheduled: &[u32]) {
        let (here, own) = (self.threads(), own_threads());
        self.report.foreign = 0;
        for &tid in scheduled {
            let known = self.former.contains_key(&tid) || here.contains(&tid);
            if known || own.contains(&tid) || !is_ext(tid) {
                continue;
            }
            match self.heritage(tid) {
                Some(policy) if policy != SCHED_EXT => self.restore(tid, policy),
                _ => self.report.foreign += 1,
            }
        }
    }

    /// The threads of the cgroup that are not this process's.
    fn threads(&self) -> BTreeSet<u32> {
        let (mut all, own) = (BTreeSet::new(), own_threads());
        self.cgroup.threads(|tid| {
            all.insert(tid);
        });
        &all - &own
    }

    /// What a thread's scheduling policy was that has `SCHED_EXT` from another thread: its
    /// process's first, or that of an ancestor.
    fn heritage(&self, tid: u32) -> Option<i32> {
        let mut process = tid;
        for _ in 0..ANCESTORS_MAX {
            let (first, parent) = family_of(process)?;
            for relative in [first, parent] {
                let known = self.former.get(&relative);
                if let Some(policy) = known.or_else(|| self.departed.get(&relative)) {
                    return Some(policy & !libc::SCHED_RESET_ON_FORK);
                }
            }
            process = parent;
        }
        None
    }

    /// Gives one thread its former policy back, if it is still `SCHED_EXT`.
    fn restore(&mut self, tid: u32, policy: i32) {
        let is_due = policy & !libc::SCHED_RESET_ON_FORK != SCHED_EXT && is_ext(tid);
        // It may end at any moment.
        if is_due && set_policy(tid, policy).is_ok() {
            self.report.given_back += 1;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.give_back(&[]);
    }
}

/// Makes the calling thread an ordinary one, if it was born in a part of the machine that a
/// policy schedules. Threads that it starts are then ordinary too.
pub(crate) fn leave_ext() {
    if is_ext(0) {
        let _ = set_policy(0, libc::SCHED_OTHER);
    }
}

fn own_threads() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The first thread of a thread's process, and the process's parent.
fn family_of(tid: u32) -> Option<(u32, u32)> {
    parse_family(&fs::read_to_string(format!("/proc/{tid}/status")).ok()?)
}

fn parse_family(status: &str) -> Option<(u32, u32)> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((field("Tgid:")?, field("PPid:")?))
}

fn is_ext(tid: u32) -> bool {
    policy_of(tid).is_some_and(|policy| policy & !libc::SCHED_RESET_ON_FORK == SCHED_EXT)
}

/// The thread's scheduling policy with its flags; none if there is no such thread.
fn policy_of(tid: u32) -> Option<i32> {
    // SAFETY: no pointers.
    let policy = unsafe { libc::sched_getscheduler(tid.cast_signed()) };
    (policy >= 0).then_some(policy)
}

/// Sets it; the nice value stays.
fn set_policy(tid: u32, policy: i32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: a valid parameter.
    match unsafe { libc::sched_setscheduler(tid.cast_signed(), policy, &param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup() -> (tempfile::TempDir, Cgroup) {
        let directory = tempfile::TempDir::new().unwrap();
        let cgroup = Cgroup {
            path: "/x".into(),
            directory: directory.path().to_owned(),
        };
        (directory, cgroup)
    }

    #[test]
    fn a_record_comes_through() {
        let (_directory, cgroup) = cgroup();
        let former = BTreeMap::from([(7, libc::SCHED_BATCH), (9, 0x4000_0000)]);
        let mut part = Part::of(cgroup.clone(), former.clone());
        let mut other = Part::adopt(cgroup, &part.record());
        assert_eq!((&other.former, other.report.tasks), (&former, 2));
        // Nobody is to be given anything here.
        part.hand_over();
        other.hand_over();
    }

    #[test]
    fn threads_that_have_ended_are_forgotten() {
        let (directory, cgroup) = cgroup();
        // No kernel gives so high a number.
        let nobody = 1 << 30;
        fs::write(
            directory.path().join("cgroup.threads"),
            format!("{nobody}\n"),
        )
        .unwrap();
        let mut part = Part::of(cgroup, BTreeMap::from([(nobody + 1, libc::SCHED_OTHER)]));
        assert_eq!(part.look(libc::SCHED_OTHER).unwrap(), 0);
        assert_eq!((part.report.tasks, part.report.given_back), (0, 0));
        assert!(part.departed.contains_key(&(nobody + 1)));
    }

    #[test]
    fn policies_come_from_relatives() {
        let (_directory, cgroup) = cgroup();
        let mut part = Part::of(cgroup, BTreeMap::new());
        let own = std::process::id();
        assert_eq!(part.heritage(own), None);
        let (_, parent) = family_of(own).unwrap();
        part.departed.insert(parent, libc::SCHED_IDLE);
        assert_eq!(part.heritage(own), Some(libc::SCHED_IDLE));
        let status = "Name:\tx y\nTgid:\t12\nPid:\t13\nPPid:\t4\n";
        assert_eq!(parse_family(status), Some((12, 4)));
        assert_eq!(parse_family(""), None);
    }
}

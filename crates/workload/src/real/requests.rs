//! Runs [`Requests`]: message threads and workers as threads of one process.
//!
//! A message thread and its workers share a [`Desk`] behind a mutex. A worker without work waits on a
//! condition variable of its own, so that the one which is woken is the one that gets the part.

use super::{Context, LOOK_INTERVAL};
use crate::calibration::compute;
use crate::error::{Error, TOO_MANY_TASKS};
use crate::names;
use crate::report::PartReport;
use crate::requests::{Answers, Desk, Due, Requests};
use crate::sys::clock;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

const PART: &str = "requests";

/// A message thread and its workers.
struct Team {
    state: Mutex<State>,
    /// For the message thread: a request was answered while it waited for that.
    answered: Condvar,
    /// One for each worker: it was handed a part, or the team goes home.
    bells: Vec<Condvar>,
}

struct State {
    desk: Desk,
    /// For each worker, what it was handed: the slot, and when it was woken for it.
    handed: Vec<Option<(u32, u64)>>,
    /// Whether the message thread wants to hear of answers.
    awaited: bool,
    closed: bool,
}

/// What the threads of one run share.
#[derive(Clone, Copy)]
struct Service<'a> {
    requests: &'a Requests,
    context: &'a Context<'a>,
    units: u64,
}

/// What a message thread leaves behind.
struct Closing {
    begun: u64,
    start_ns: u64,
    end_ns: u64,
}

pub(crate) fn run(requests: &Requests, context: &Context<'_>) -> Result<PartReport, Error> {
    let workers = requests.workers.on(context.cpus);
    let teams: Vec<Team> = (0..requests.messengers)
        .map(|_| Team::new(requests.fan, workers))
        .collect();
    let service = Service {
        requests,
        context,
        units: context
            .calibration
            .units(f64::from(requests.work_us) * 1000.0),
    };
    thread::scope(|scope| serve(scope, service, &teams))
}

/// Starts everybody, and sums up what they found.
fn serve<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    service: Service<'env>,
    teams: &'env [Team],
) -> Result<PartReport, Error> {
    // However this is left, nobody may be left waiting: the scope would wait for them.
    let closers: Vec<Closer<'_>> = teams.iter().map(Closer).collect();
    let mut workers = Vec::new();
    for team in teams {
        for worker in 0..team.bells.len() as u32 {
            let work = move || team.work(service, worker);
            workers.push(spawn(scope, service, names::WORKER, work)?);
        }
    }
    let mut messengers = Vec::new();
    for (messenger, team) in (0..).zip(teams) {
        let get = move || team.get_requests(service, messenger);
        match spawn(scope, service, names::MESSENGER, get) {
            Ok(handle) => messengers.push(handle),
            Err(error) => {
                // Those already made wait at the gate.
                service.context.gate.abandon();
                return Err(error);
            }
        }
    }
    service.context.gate.ready();
    let died = |_| Error::worker(PART, "a thread died");
    let closings = messengers.into_iter().map(ScopedJoinHandle::join);
    let closings: Vec<Option<Closing>> = closings.collect::<Result<_, _>>().map_err(died)?;
    drop(closers);
    let mut answers = Answers::default();
    for worker in workers {
        answers.add(&worker.join().map_err(died)?);
    }
    Ok(report(service, teams, &closings, answers))
}

fn report(
    service: Service<'_>,
    teams: &[Team],
    closings: &[Option<Closing>],
    mut answers: Answers,
) -> PartReport {
    let Service {
        requests, context, ..
    } = service;
    let mut elapsed_ns = 0;
    for ((messenger, team), closing) in (0..).zip(teams).zip(closings) {
        let Some(closing) = closing else {
            let mut report = answers.report(1);
            report.unfinished = Some("not started".to_owned());
            return report;
        };
        elapsed_ns = elapsed_ns.max(closing.end_ns - closing.start_ns);
        let due = Due {
            requests,
            seed: context.seed,
            messenger,
            cpus: context.cpus,
            begun: closing.begun,
        };
        let start_ns = closing.start_ns;
        let state = team.lock();
        let open = state.desk.open().map(|due_ns| due_ns - start_ns);
        answers.close(open, &due, closing.end_ns - start_ns);
    }
    let mut report = answers.report(elapsed_ns);
    if context.gate.is_cancelled() {
        let all = requests.requests(context.cpus) * u64::from(requests.messengers);
        report.unfinished = Some(format!("{} of {all} requests", answers.answered));
    }
    report
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    service: Service<'_>,
    role: &str,
    task: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let thread = thread::Builder::new().name(names::task_name(role, service.context.salt));
    thread
        .spawn_scoped(scope, task)
        .map_err(Error::os(PART, "thread", TOO_MANY_TASKS))
}

/// Sends a team home.
struct Closer<'a>(&'a Team);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.bells.iter().for_each(Condvar::notify_one);
    }
}

impl Team {
    fn new(fan: u32, workers: usize) -> Self {
        let state = State {
            desk: Desk::new(fan),
            handed: vec![None; workers],
            awaited: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            answered: Condvar::new(),
            bells: (0..workers).map(|_| Condvar::new()).collect(),
        }
    }

    /// No code that can panic runs under the lock but by a bug, which then shows in the thread's end.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker.
    fn work(&self, service: Service<'_>, worker: u32) -> Answers {
        let mut answers = Answers::default();
        while let Some(slot) = self.next_part(worker, &mut answers) {
            compute(service.units);
            let now_ns = clock::now_ns();
            let mut state = self.lock();
            if let Some(due_ns) = state.desk.done(slot) {
                answers.answer(now_ns.saturating_sub(due_ns));
                if state.awaited {
                    self.answered.notify_one();
                }
            }
        }
        answers
    }

    /// Waits for a part; none if the team goes home.
    fn next_part(&self, worker: u32, answers: &mut Answers) -> Option<u32> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        if let Some(slot) = state.desk.take(worker) {
            return Some(slot);
        }
        loop {
            let bell = &self.bells[worker as usize];
            state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            if let Some((slot, woken_ns)) = state.handed[worker as usize].take() {
                drop(state);
                answers.wakeups.record_ns(clock::now_ns() - woken_ns);
                return Some(slot);
            }
            if state.closed {
                return None;
            }
        }
    }

    /// A message thread; none if there was no start.
    fn get_requests(&self, service: Service<'_>, messenger: u32) -> Option<Closing> {
        let Service {
            requests, context, ..
        } = service;
        if !context.gate.wait_foreground() {
            return None;
        }
        let start_ns = clock::now_ns();
        let limit_ns = start_ns + requests.end_ns(context.cpus) + Requests::DRAIN_NS;
        let mut begun = 0;
        let mut woken = Vec::with_capacity(requests.fan as usize);
        while begun < requests.requests(context.cpus) {
            let due_ns = requests.due_ns(context.seed, messenger, begun, context.cpus);
            clock::sleep_until_ns(start_ns + due_ns);
            let state = self.wait(service, limit_ns, Desk::has_room);
            let Some(mut state) = state else { break };
            woken.clear();
            let State { desk, handed, .. } = &mut *state;
            let now_ns = clock::now_ns();
            desk.begin(start_ns + due_ns, |worker, slot| {
                handed[worker as usize] = Some((slot, now_ns));
                woken.push(worker);
            });
            drop(state);
            for worker in &woken {
                self.bells[*worker as usize].notify_one();
            }
            begun += 1;
        }
        // Those that are not answered in time are counted by whoever sums up.
        drop(self.wait(service, limit_ns, Desk::is_clear));
        Some(Closing {
            begun,
            start_ns,
            end_ns: clock::now_ns(),
        })
    }

    /// Waits until the desk is so; none if the time passed or the run ends.
    fn wait(
        &self,
        service: Service<'_>,
        limit_ns: u64,
        is_so: impl Fn(&Desk) -> bool,
    ) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        while !is_so(&state.desk) {
            if clock::now_ns() >= limit_ns || service.context.gate.is_cancelled() {
                return None;
            }
            state.awaited = true;
            let waited = self.answered.wait_timeout(state, LOOK_INTERVAL);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.awaited = false;
        }
        (!service.context.gate.is_cancelled()).then_some(state)
    }
}

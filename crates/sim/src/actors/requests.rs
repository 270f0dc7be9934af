//! [`Requests`]: message threads that wake workers, by the same [`Desk`] as the real ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_policy::MS;
use baton_workload::{
    PartReport, Requests, names,
    requests::{Answers, Desk, Due},
};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Channel, Spawn, Stage, Step, Wakeups};

const WORKER_SET_KIB: u32 = 512;
const MESSENGER_SET_KIB: u32 = 64;
/// How often a message thread looks that waits for room or for the last answers.
const LOOK_NS: u64 = MS;

/// What a message thread and its workers share.
struct Team {
    desk: Desk,
    begun: u64,
    answers: Answers,
}

/// A run is one thread, so nobody ever waits for the lock, and what it guards is whole.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all tasks of the part know.
#[derive(Clone)]
pub(super) struct Service {
    requests: Requests,
    part: u32,
    seed: u64,
    cpus: usize,
    start_ns: u64,
    teams: Vec<Arc<Mutex<Team>>>,
    /// Message threads that are not done.
    left: Arc<Mutex<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Post {
    Await,
    Get,
    /// All requests were begun.
    Drain,
}

struct Messenger {
    service: Service,
    messenger: u32,
    /// The first worker's channel; the others' follow.
    workers: Channel,
    begun: u64,
    post: Post,
}

impl Messenger {
    fn due_ns(&self) -> u64 {
        let Service {
            requests,
            seed,
            cpus,
            ..
        } = &self.service;
        requests.due_ns(*seed, self.messenger, self.begun, *cpus)
    }

    /// When nobody waits for answers any more.
    fn limit_ns(&self) -> u64 {
        let service = &self.service;
        service.start_ns + service.requests.end_ns(service.cpus) + Requests::DRAIN_NS
    }

    fn team(&self) -> MutexGuard<'_, Team> {
        lock(&self.service.teams[self.messenger as usize])
    }

    /// Looks later again, or ends where it is too late for that.
    fn look_later(&self, stage: &mut Stage) -> Step {
        if stage.now_ns() >= self.limit_ns() {
            return self.end(stage);
        }
        Step::SleepUntil((stage.now_ns() + LOOK_NS).min(self.limit_ns()))
    }

    fn end(&self, stage: &mut Stage) -> Step {
        let mut left = lock(&self.service.left);
        *left -= 1;
        if *left == 0 {
            stage.end_part(self.service.part);
        }
        Step::Exit
    }

    /// Hands a request's parts to workers that wait.
    fn begin(&mut self, stage: &mut Stage) {
        let (due_ns, workers) = (self.due_ns(), self.workers);
        let mut team = self.team();
        let now_ns = stage.now_ns();
        team.desk.begin(due_ns, |worker, slot| {
            let channel = workers.offset(worker);
            stage.send(channel, u64::from(slot));
            stage.send(channel, now_ns);
        });
        team.begun += 1;
        drop(team);
        self.begun += 1;
    }
}

impl Actor for Messenger {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.post {
            Post::Await => {
                if self.begun == self.service.requests.requests(self.service.cpus) {
                    self.post = Post::Drain;
                    return Step::Compute(0);
                }
                self.post = Post::Get;
                Step::SleepUntil(self.service.start_ns + self.due_ns())
            }
            Post::Get => {
                if !self.team().desk.has_room() {
                    return self.look_later(stage);
                }
                self.begin(stage);
                self.post = Post::Await;
                Step::Compute(stage.costs().syscall_ns)
            }
            Post::Drain => {
                if self.team().desk.is_clear() {
                    return self.end(stage);
                }
                self.look_later(stage)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bench {
    Look,
    /// Waits until it is handed a part.
    Wait,
    Done,
}

struct Worker {
    service: Service,
    team: Arc<Mutex<Team>>,
    index: u32,
    inbox: Channel,
    bench: Bench,
    slot: u32,
}

impl Worker {
    fn work_ns(&self) -> u64 {
        u64::from(self.service.requests.work_us) * 1000
    }
}

impl Actor for Worker {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.bench {
            Bench::Look => {
                let taken = lock(&self.team).desk.take(self.index);
                let Some(slot) = taken else {
                    self.bench = Bench::Wait;
                    return Step::Receive(self.inbox);
                };
                self.slot = slot;
            }
            Bench::Wait => {
                let (Some(slot), Some(woken_ns)) =
                    (stage.receive(self.inbox), stage.receive(self.inbox))
                else {
                    return Step::Receive(self.inbox);
                };
                self.slot = slot as u32;
                let late_ns = stage.now_ns() - woken_ns;
                lock(&self.team).answers.wakeups.record_ns(late_ns);
            }
            Bench::Done => {
                let mut team = lock(&self.team);
                if let Some(due_ns) = team.desk.done(self.slot) {
                    let since_start_ns = stage.now_ns() - self.service.start_ns;
                    team.answers.answer(since_start_ns.saturating_sub(due_ns));
                }
                self.bench = Bench::Look;
                return Step::Compute(0);
            }
        }
        self.bench = Bench::Done;
        Step::Compute(self.work_ns())
    }

    fn burst_ns(&self) -> u64 {
        match self.bench {
            Bench::Look | Bench::Wait => self.work_ns(),
            Bench::Done => 0,
        }
    }
}

pub(super) fn install(requests: &Requests, stage: &mut Stage, setting: &Setting) -> Service {
    let team = |_| Team {
        desk: Desk::new(requests.fan),
        begun: 0,
        answers: Answers::default(),
    };
    let teams = (0..requests.messengers).map(|index| Arc::new(Mutex::new(team(index))));
    let service = Service {
        requests: requests.clone(),
        part: setting.part,
        seed: setting.seed,
        cpus: setting.cpus,
        start_ns: setting.start_ns,
        teams: teams.collect(),
        left: Arc::new(Mutex::new(requests.messengers)),
    };
    for (messenger, team) in (0..).zip(&service.teams) {
        let mut inboxes = Vec::new();
        for index in 0..requests.workers.on(setting.cpus) as u32 {
            // A slot and the time of its wakeup.
            let inbox = stage.channel(2, 0, Wakeups::Plain);
            inboxes.push(inbox);
            let worker = Worker {
                service: service.clone(),
                team: Arc::clone(team),
                index,
                inbox,
                bench: Bench::Look,
                slot: 0,
            };
            let spawn = Spawn::new(names::WORKER, setting.part, worker);
            stage.spawn(spawn.working_set_kib(WORKER_SET_KIB));
        }
        let Some(workers) = inboxes.first().copied() else {
            continue;
        };
        let messenger = Messenger {
            service: service.clone(),
            messenger,
            workers,
            begun: 0,
            post: Post::Await,
        };
        let spawn = Spawn::new(names::MESSENGER, setting.part, messenger);
        stage.spawn(spawn.working_set_kib(MESSENGER_SET_KIB));
    }
    service
}

impl Played for Service {
    fn report(&self, _: &Stage, view: &PartView) -> PartReport {
        let elapsed_ns = view.end_ns.saturating_sub(self.start_ns);
        let mut answers = Answers::default();
        for (messenger, team) in (0..).zip(&self.teams) {
            let team = lock(team);
            answers.add(&team.answers);
            let due = Due {
                requests: &self.requests,
                seed: self.seed,
                messenger,
                cpus: self.cpus,
                begun: team.begun,
            };
            answers.close(team.desk.open(), &due, elapsed_ns);
        }
        let mut report = answers.report(elapsed_ns);
        if *lock(&self.left) > 0 {
            let all = self.requests.requests(self.cpus) * u64::from(self.requests.messengers);
            report.unfinished = Some(format!("{} of {all} requests", answers.answered));
        }
        report
    }
}

//! Long work: on threads of its own, few at a time, known by an id for as long as the workspace is there.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{
    budget::Purse,
    errors::{Code, Failure},
    job::{Job, JobView, State, Weight, lock},
    paths,
};

/// Jobs that wait or run; more are refused.
const OPEN_MAX: usize = 16;
/// Ended jobs that are kept in memory.
const KEPT_MAX: usize = 64;
/// Longest file of a job that is read again.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Simulations at a time.
const SIMULATIONS: u32 = 2;
/// How often a running job's time is charged.
const TICK: Duration = Duration::from_millis(100);

/// All jobs of a server.
#[derive(Debug)]
pub(super) struct Jobs {
    purse: Arc<Purse>,
    simulations: Arc<Semaphore>,
    vms: Arc<Semaphore>,
    list: Mutex<BTreeMap<String, Arc<Job>>>,
    /// The workspace, if results are kept there.
    keep: Option<PathBuf>,
    workspace: PathBuf,
}

impl Jobs {
    pub(super) fn new(purse: Arc<Purse>, workspace: PathBuf, keep: bool) -> Self {
        Self {
            purse,
            simulations: Arc::new(Semaphore::new(SIMULATIONS as usize)),
            vms: Arc::new(Semaphore::new(1)),
            list: Mutex::default(),
            keep: keep.then(|| workspace.clone()),
            workspace,
        }
    }

    /// Begins a piece of work, or has it wait for its turn: it takes so many evaluations from the budget,
    /// and as much time at most.
    pub(super) fn start<T: Serialize + 'static>(
        self: &Arc<Self>,
        tool: &str,
        weight: Weight,
        evaluations: u64,
        wall_max: Duration,
        work: impl FnOnce(&Job) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Arc<Job>, Failure> {
        let mut list = lock(&self.list);
        let open = list.values().filter(|job| !job.has_ended()).count();
        if open >= OPEN_MAX {
            return Err(Failure::new(
                Code::Busy,
                format!("{open} jobs wait or run already"),
                "Wait for one of them (`job`), or stop one (`cancel_job`).",
            ));
        }
        self.purse.take(evaluations)?;
        let id = loop {
            let id = format!("{:08x}", fastrand::u32(..));
            if !list.contains_key(&id) && self.read(&id).is_none() {
                break id;
            }
        };
        let job = Arc::new(Job::new(id.clone(), tool));
        list.insert(id, Arc::clone(&job));
        self.forget(&mut list);
        drop(list);
        self.write(&job);
        let (jobs, of) = (Arc::clone(self), Arc::clone(&job));
        tokio::spawn(async move { jobs.run(of, weight, evaluations, wall_max, work).await });
        Ok(job)
    }

    async fn run<T: Serialize + 'static>(
        &self,
        job: Arc<Job>,
        weight: Weight,
        evaluations: u64,
        wall_max: Duration,
        work: impl FnOnce(&Job) -> Result<T, Failure> + Send + 'static,
    ) {
        let (semaphore, count) = match weight {
            Weight::One => (&self.simulations, 1),
            Weight::All => (&self.simulations, SIMULATIONS),
            Weight::Vm => (&self.vms, 1),
        };
        let turn = Arc::clone(semaphore).acquire_many_owned(count);
        let permit = tokio::select! {
            permit = turn => permit,
            () = job.stopped.notified() => {
                self.purse.give_back(evaluations);
                self.end(&job, Err(Failure::cancelled()), Duration::ZERO);
                return;
            }
        };
        let begun = Instant::now();
        job.view.send_modify(|view| view.state = State::Running);
        let of = Arc::clone(&job);
        let made = move || {
            let result = work(&of)?;
            serde_json::to_value(result)
                .map_err(|error| Failure::new(Code::Failure, error.to_string(), "Report it."))
        };
        let mut work = tokio::task::spawn_blocking(made);
        let ended = self.attend(&job, &mut work, begun, wall_max).await;
        let result = ended.unwrap_or_else(|error| {
            let message = format!("the job died: {error}");
            Err(Failure::new(
                Code::Failure,
                message,
                "This is a defect of Baton.",
            ))
        });
        drop(permit);
        self.end(&job, result, begun.elapsed());
    }

    /// Waits for the work, charges its time, and stops it when a limit is reached.
    async fn attend<T>(
        &self,
        job: &Job,
        work: &mut JoinHandle<T>,
        begun: Instant,
        wall_max: Duration,
    ) -> Result<T, tokio::task::JoinError> {
        let mut charged = Duration::ZERO;
        loop {
            let ended = tokio::time::timeout(TICK, &mut *work).await;
            let elapsed = begun.elapsed();
            let budget = self.purse.add_wall(elapsed.saturating_sub(charged));
            charged = elapsed;
            if let Ok(ended) = ended {
                return ended;
            }
            if let Err(failure) = budget {
                job.stop(failure);
            } else if elapsed >= wall_max {
                let message = format!("it was ended after {} s", wall_max.as_secs());
                job.stop(Failure::new(
                    Code::TimeLimit,
                    message,
                    "Ask for less at once.",
                ));
            }
        }
    }

    fn end(&self, job: &Job, result: Result<Value, Failure>, took: Duration) {
        let result = result.map_err(|failure| job.failure(failure));
        // On the disk first: who sees the end may ask for the file.
        let mut view = job.view();
        view.took_s = took.as_secs_f64();
        match result {
            Ok(value) => (view.state, view.result) = (State::Done, Some(value)),
            Err(failure) => {
                view.state = match failure.code {
                    Code::Cancelled => State::Cancelled,
                    _ => State::Failed,
                };
                view.error = Some(failure.of_job(&view.job));
            }
        }
        self.write_view(&view);
        job.view.send_replace(view);
    }

    /// The job of this id, of this server or of an earlier one.
    pub(super) fn find(&self, id: &str) -> Result<JobView, Failure> {
        if let Some(job) = self.own(id) {
            return Ok(job.view());
        }
        self.read(id).ok_or_else(|| {
            Failure::new(
                Code::UnknownJob,
                format!("there is no job `{id}`"),
                "Give the `job` that a tool returned; without --write the server forgets old ones.",
            )
        })
    }

    /// The job of this id, if it is this server's.
    pub(super) fn own(&self, id: &str) -> Option<Arc<Job>> {
        lock(&self.list).get(id).cloned()
    }

    /// Stops all jobs; how many there were.
    pub(super) fn stop_all(&self) -> usize {
        let list = lock(&self.list);
        let open: Vec<&Arc<Job>> = list.values().filter(|job| !job.has_ended()).collect();
        for job in &open {
            let mut why = Failure::cancelled();
            why.message = "the server ended before it did".to_owned();
            job.stop(why);
        }
        open.len()
    }

    /// Whether none waits or runs.
    pub(super) fn are_idle(&self) -> bool {
        lock(&self.list).values().all(|job| job.has_ended())
    }

    /// Drops the oldest of those that ended, where there are many.
    fn forget(&self, list: &mut BTreeMap<String, Arc<Job>>) {
        let mut ended: Vec<(u64, String)> = list
            .iter()
            .filter(|(_, job)| job.has_ended())
            .map(|(id, job)| (job.view.borrow().asked_ms, id.clone()))
            .collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(KEPT_MAX);
        for (_, id) in ended.into_iter().take(surplus) {
            list.remove(&id);
        }
    }

    fn write(&self, job: &Job) {
        self.write_view(&job.view());
    }

    fn write_view(&self, view: &JobView) {
        let Some(workspace) = &self.keep else { return };
        let folder = workspace.join("jobs");
        let path = folder.join(format!("{}.json", view.job));
        let part = path.with_extension("part");
        let text = serde_json::to_vec_pretty(view).unwrap_or_default();
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&part, text))
            .and_then(|()| fs::rename(&part, &path));
        if let Err(error) = written {
            eprintln!("cannot keep job {}: {error}", view.job);
        }
    }

    /// A job from its file.
    fn read(&self, id: &str) -> Option<JobView> {
        let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return None;
        }
        let path = format!("jobs/{id}.json");
        let text = paths::read_beneath(&self.workspace, &path, FILE_BYTES_MAX).ok()?;
        let mut view: JobView = serde_json::from_str(&text).ok()?;
        if !view.state.has_ended() {
            view.state = State::Lost;
        }
        Some(view)
    }
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;

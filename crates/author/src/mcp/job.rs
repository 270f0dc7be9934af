//! One piece of long work, as those see it who wait for it, do it, or stop it.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::errors::{Code, Failure};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// It ended, with a result.
    Done,
    /// It ended, with an error.
    Failed,
    /// It was stopped.
    Cancelled,
    /// The server that ran it is gone, or another server runs it.
    Lost,
}

impl State {
    pub(super) const fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// A job, as far as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its id.
    pub job: String,
    /// The tool that was called.
    pub tool: String,
    /// Where it is.
    pub state: State,
    /// What it does, or did last.
    pub stage: String,
    /// How many stages it has begun.
    pub steps: u32,
    /// When it was asked for, milliseconds since 1970 in UTC.
    pub asked_ms: u64,
    /// How long it has run, seconds.
    pub took_s: f64,
    /// The tool's result, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl JobView {
    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.has_ended()
    }
}

/// What a job needs for itself while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// One simulation at a time.
    One,
    /// As many as the machine has room for.
    All,
    /// The one VM.
    Vm,
}

/// A piece of long work.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) view: watch::Sender<JobView>,
    stop: AtomicBool,
    pub(super) stopped: Notify,
    why: Mutex<Option<Failure>>,
}

impl Job {
    /// A job that waits for its turn.
    pub(super) fn new(id: String, tool: &str) -> Self {
        Self {
            view: watch::Sender::new(JobView {
                job: id,
                tool: tool.to_owned(),
                state: State::Queued,
                stage: "waiting for its turn".to_owned(),
                steps: 0,
                asked_ms: now_ms(),
                took_s: 0.0,
                result: None,
                error: None,
            }),
            stop: AtomicBool::new(false),
            stopped: Notify::new(),
            why: Mutex::default(),
        }
    }

    /// What stops its work, to be looked at often.
    pub(super) const fn stop_flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether it was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Stops it, for this reason; the first counts.
    pub(super) fn stop(&self, why: Failure) {
        lock(&self.why).get_or_insert(why);
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_one();
    }

    /// Tells what it does next.
    pub(super) fn tell(&self, stage: impl Into<String>) {
        let stage = stage.into();
        self.view.send_modify(|view| {
            view.stage = stage;
            view.steps = view.steps.saturating_add(1);
        });
    }

    /// How it is now.
    pub(super) fn view(&self) -> JobView {
        self.view.borrow().clone()
    }

    /// Whether nothing more comes of it.
    pub(super) fn has_ended(&self) -> bool {
        self.view.borrow().is_over()
    }

    pub(super) fn watch(&self) -> watch::Receiver<JobView> {
        self.view.subscribe()
    }

    /// What is told of a failure: why it was stopped, if that is what it failed of.
    pub(super) fn failure(&self, failure: Failure) -> Failure {
        match (failure.code, lock(&self.why).clone()) {
            (Code::Cancelled, Some(why)) => why,
            _ => failure,
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Locks, whoever panicked before.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A call that takes long: it waits for its job, tells how far it is, and is stopped with it.

use std::time::Duration;

use rmcp::{
    RoleServer, handler::server::wrapper::Json, model::ProgressNotificationParam,
    service::RequestContext,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    errors::{Code, Failure},
    job::{Job, JobView, State},
};

/// Longest wait that can be asked for, seconds.
pub(super) const WAIT_MAX_S: f64 = 3600.0;
/// How long a stopped job is waited for, so that the answer tells how it ended.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What a call of a long tool returns: the result, or the job that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Called<T> {
    /// The job; `job` tells of it later, also after the connection was lost.
    pub job: String,
    /// `done`, or `queued` or `running` if `wait_s` was over before.
    pub state: State,
    /// What it does, or did last.
    pub stage: String,
    /// The result, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
}

/// What a long tool gives its client.
type Long<T> = Result<Json<Called<T>>, Failure>;

/// Looks at a `wait_s`.
pub(super) fn wait(wait_s: Option<f64>) -> Result<Option<Duration>, Failure> {
    match wait_s {
        None => Ok(None),
        Some(wait_s) if (0.0..=WAIT_MAX_S).contains(&wait_s) => {
            Ok(Some(Duration::from_secs_f64(wait_s)))
        }
        Some(_) => Err(Failure::argument(
            "wait_s",
            format!("from 0 to {WAIT_MAX_S}"),
        )),
    }
}

/// Waits for the job, at most as long as `wait` says; when the client stops the call, the job is stopped.
pub(super) async fn follow<T: DeserializeOwned>(
    context: &RequestContext<RoleServer>,
    job: &Job,
    wait: Option<Duration>,
) -> Long<T> {
    let mut watch = job.watch();
    let over = async {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut told = 0;
    loop {
        let view = watch.borrow_and_update().clone();
        if view.steps > told {
            told = view.steps;
            tell(context, &view).await;
        }
        if view.is_over() {
            return answer(view);
        }
        tokio::select! {
            changed = watch.changed() => if changed.is_err() {
                return answer(job.view());
            },
            () = context.ct.cancelled() => {
                job.stop(Failure::cancelled());
                let _ = tokio::time::timeout(STOP_WAIT, watch.wait_for(JobView::is_over)).await;
                return Err(Failure::cancelled().of_job(&job.view().job));
            }
            () = &mut over => return answer(job.view()),
        }
    }
}

fn answer<T: DeserializeOwned>(view: JobView) -> Long<T> {
    if let Some(error) = view.error {
        return Err(error);
    }
    let result = view.result.map(serde_json::from_value).transpose();
    let result = result.map_err(|error| {
        let message = format!("the result cannot be read: {error}");
        Failure::new(Code::Failure, message, "This is a defect of Baton.").of_job(&view.job)
    })?;
    Ok(Json(Called {
        job: view.job,
        state: view.state,
        stage: view.stage,
        result,
    }))
}

/// Tells a client that asked to be told.
async fn tell(context: &RequestContext<RoleServer>, view: &JobView) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let progress = ProgressNotificationParam::new(token, f64::from(view.steps));
    let progress = progress.with_message(format!("{} {}: {}", view.tool, view.job, view.stage));
    // A client that is gone needs none.
    let _ = context.peer.notify_progress(progress).await;
}

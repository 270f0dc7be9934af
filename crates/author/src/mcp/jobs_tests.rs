use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::*;
use crate::mcp::budget::Limits;

const LONG: Duration = Duration::from_secs(60);

fn jobs(workspace: &Path, keep: bool, wall: Duration) -> Arc<Jobs> {
    let limits = Limits {
        wall,
        ..Limits::default()
    };
    let purse = Arc::new(Purse::new(limits));
    Arc::new(Jobs::new(purse, workspace.to_owned(), keep))
}

/// Works until it is stopped.
fn endless(job: &Job) -> Result<u32, Failure> {
    job.tell("working");
    while !job.stop_flag().load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(5));
    }
    Err(Failure::cancelled())
}

async fn ended(job: &Job) -> JobView {
    let mut watch = job.watch();
    let wait = watch.wait_for(JobView::is_over);
    let view = tokio::time::timeout(Duration::from_secs(10), wait).await;
    view.unwrap().unwrap().clone()
}

async fn running(job: &Job) {
    let mut watch = job.watch();
    watch
        .wait_for(|view| view.stage == "working")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_result_is_there_for_the_next_server() {
    let folder = tempfile::tempdir().unwrap();
    let first = jobs(folder.path(), true, LONG);
    let job = first
        .start("simulate", Weight::One, 1, LONG, |job| {
            job.tell("playing");
            Ok(42)
        })
        .unwrap();
    let view = ended(&job).await;
    assert_eq!(
        (view.state, view.result.clone()),
        (State::Done, Some(42.into()))
    );
    assert_eq!(view.stage, "playing");
    let next = jobs(folder.path(), false, LONG);
    assert_eq!(next.find(&view.job).unwrap(), view);
    for id in ["00000000", "../jobs/x", "", "zzzzzzzz"] {
        assert_eq!(next.find(id).unwrap_err().code, Code::UnknownJob, "{id}");
    }
}

#[tokio::test]
async fn what_reads_only_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = jobs(folder.path(), false, LONG);
    let job = jobs.start("simulate", Weight::One, 1, LONG, |_| Ok(1));
    ended(&job.unwrap()).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stopped_job_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = jobs(folder.path(), true, LONG);
    let job = jobs
        .start("compare", Weight::All, 5, LONG, endless)
        .unwrap();
    running(&job).await;
    // Another waits; it ends without ever having begun, and gives back what it took.
    let waiting = jobs
        .start("compare", Weight::All, 7, LONG, endless)
        .unwrap();
    let left = jobs.purse.left().evaluations;
    waiting.stop(Failure::cancelled());
    assert_eq!(ended(&waiting).await.state, State::Cancelled);
    assert_eq!(jobs.purse.left().evaluations, left + 7);
    let begun = Instant::now();
    assert_eq!(jobs.stop_all(), 1);
    let view = ended(&job).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(view.state, State::Cancelled);
    assert!(view.error.unwrap().message.contains("the server ended"));
    assert!(jobs.are_idle());
}

#[tokio::test]
async fn few_run_at_a_time_and_few_wait() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = jobs(folder.path(), false, LONG);
    let count = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let mut all = Vec::new();
    for _ in 0..8 {
        let count = Arc::clone(&count);
        let work = move |_: &Job| {
            let now = count.0.fetch_add(1, Ordering::SeqCst) + 1;
            count.1.fetch_max(now, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            count.0.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        all.push(jobs.start("simulate", Weight::One, 1, LONG, work).unwrap());
    }
    for job in &all {
        assert_eq!(ended(job).await.state, State::Done);
    }
    assert_eq!(count.1.load(Ordering::SeqCst), SIMULATIONS);
    for _ in 0..OPEN_MAX {
        jobs.start("vm_test", Weight::Vm, 0, LONG, endless).unwrap();
    }
    let refused = jobs.start("vm_test", Weight::Vm, 0, LONG, endless);
    assert_eq!(refused.unwrap_err().code, Code::Busy);
    jobs.stop_all();
}

#[tokio::test]
async fn limits_end_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(150);
    let limited = jobs(folder.path(), false, LONG);
    let job = limited.start("check", Weight::One, 0, short, endless);
    let view = ended(&job.unwrap()).await;
    assert_eq!(view.state, State::Failed);
    assert_eq!(view.error.unwrap().code, Code::TimeLimit);
    let poor = jobs(folder.path(), false, short);
    let job = poor.start("check", Weight::One, 0, LONG, endless);
    let view = ended(&job.unwrap()).await;
    assert_eq!(view.error.unwrap().code, Code::Budget);
    let next = poor.start("check", Weight::One, 0, LONG, endless);
    assert_eq!(next.unwrap_err().code, Code::Budget);
}

#[tokio::test]
async fn a_panic_is_a_failure_of_the_job_alone() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = jobs(folder.path(), false, LONG);
    let work = |_: &Job| -> Result<(), Failure> { panic!("as a test") };
    let job = jobs.start("check", Weight::One, 0, LONG, work).unwrap();
    assert_eq!(ended(&job).await.error.unwrap().code, Code::Failure);
    let next = jobs
        .start("check", Weight::One, 0, LONG, |_| Ok(1))
        .unwrap();
    assert_eq!(ended(&next).await.state, State::Done);
}

#[tokio::test]
async fn old_jobs_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = jobs(folder.path(), true, LONG);
    let mut ids = Vec::new();
    for _ in 0..KEPT_MAX + 4 {
        let job = jobs.start("x", Weight::One, 0, LONG, |_| Ok(1)).unwrap();
        ids.push(ended(&job).await.job);
    }
    assert!(lock(&jobs.list).len() <= KEPT_MAX + 1);
    // They are in their files still.
    assert!(ids.iter().all(|id| jobs.find(id).is_ok()));
}

//! `baton why`: who decided about a task, and where it waited.

use std::process::ExitCode;

use baton::{
    app::{Code, Failure},
    kernel::{
        abi::BY,
        control::Request,
        takeover::Running,
        tasks::{TaskReport, TaskState},
    },
};

use crate::failures::fail;

/// What each of [`BY`] means.
const MEANINGS: [&str; BY.len()] = [
    "by a decision of the policy",
    "by the policy's rules and hints",
    "on an idle CPU at its wakeup",
    "by the sync fast path, at the policy's key",
    "by the kernel: pinned kernel thread, or its CPU went away",
    "by rescue: no decision came in time",
    "past the process: silent, or its ring was full",
    "by rescue: it stood in ready for too long",
];

/// Tell who decided about a task, where it waits and how long it waited
///
/// Asks the policy that schedules this machine (root). Times and counts are since the
/// relay was loaded.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sudo baton why $(pidof firefox)")]
pub(crate) struct Args {
    /// A thread's or process's number
    pid: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let mut running = Running::connect().map_err(Failure::from)?;
    let status = running.ask(&Request::Status).map_err(Failure::from)?;
    let tasks = tasks(&mut running)?;
    let found: Vec<_> = tasks
        .into_iter()
        .filter(|task| task.pid == args.pid || task.tgid == args.pid)
        .collect();
    if found.is_empty() {
        let message = format!(
            "no task {} has waited for a CPU since the relay was loaded: it has ended, sleeps, or \
             is scheduled by another class (real-time, idle)",
            args.pid
        );
        return fail(Code::Other("no-task", 1), message);
    }
    if args.json {
        outln!("{}", serde_json::to_string(&found)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (policy, mode) = (&status["policy"], &status["mode"]);
    outln!(
        "{}, mode {}",
        policy.as_str().unwrap_or("?"),
        mode.as_str().unwrap_or("?")
    );
    for task in &found {
        out!("\n{}", describe(task));
    }
    Ok(ExitCode::SUCCESS)
}

/// Every task of the running policy's relay.
pub(crate) fn tasks(running: &mut Running) -> anyhow::Result<Vec<TaskReport>> {
    let answer = running.ask(&Request::Tasks).map_err(Failure::from)?;
    Ok(serde_json::from_value(answer["tasks"].clone())?)
}

fn describe(task: &TaskReport) -> String {
    let now = match (task.state, &task.queue) {
        (TaskState::Running, _) => format!("runs on CPU {}", task.cpu),
        (TaskState::Waiting, Some(queue)) => format!("waits in queue {queue}"),
        (TaskState::Waiting, None) => "waits".to_owned(),
        (TaskState::Sleeping, _) => "sleeps".to_owned(),
    };
    let ms = |ns: u64| ns as f64 / 1e6;
    let mean_ms = ms(task.wait_sum_ns) / f64::from(task.waits.max(1));
    let class = task.class.as_ref();
    let class = class.map_or(String::new(), |class| format!("class {class}, "));
    let mut text = format!(
        "{} {}: {now} since {:.1} ms\n  waited {} times, {mean_ms:.3} ms in the mean, {:.1} ms at \
         most; used {:.1} ms of CPU, {:.3} ms since its last sleep\n  {}weight {}, key offset \
         {:.3} ms\n",
        task.pid,
        task.name,
        ms(task.for_ns),
        task.waits,
        ms(task.wait_max_ns),
        ms(task.runtime_ns),
        ms(task.burst_ns),
        class,
        task.weight,
        task.key_offset_ns as f64 / 1e6,
    );
    let placed: u64 = task.placed_by.iter().copied().map(u64::from).sum();
    let mut rows: Vec<_> = task.placed_by.iter().zip(MEANINGS).collect();
    rows.sort_by_key(|(count, _)| std::cmp::Reverse(**count));
    for (count, meaning) in rows.iter().filter(|(count, _)| **count > 0) {
        let share = f64::from(**count) * 100.0 / placed as f64;
        text += &format!("  placed {count:>8} times ({share:>5.1} %) {meaning}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_in_words() {
        let task = TaskReport {
            pid: 7,
            tgid: 7,
            name: "make".into(),
            cpu: 1,
            weight: 100,
            cgroup: 3,
            class: Some("batch".into()),
            state: TaskState::Waiting,
            for_ns: 2_500_000,
            queue: Some("ready of LLC 0".into()),
            runtime_ns: 40_000_000,
            burst_ns: 1_000_000,
            key_offset_ns: -500_000,
            waits: 4,
            wait_sum_ns: 8_000_000,
            wait_max_ns: 5_000_000,
            placed_by: [3, 0, 0, 0, 0, 1, 0, 0],
        };
        let text = describe(&task);
        assert!(text.starts_with("7 make: waits in queue ready of LLC 0 since 2.5 ms\n"));
        assert!(text.contains("waited 4 times, 2.000 ms in the mean, 5.0 ms at most"));
        assert!(text.contains("class batch, weight 100, key offset -0.500 ms"));
        assert!(text.contains("placed        3 times ( 75.0 %) by a decision of the policy"));
    }
}

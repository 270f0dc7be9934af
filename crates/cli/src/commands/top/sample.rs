//! Two looks at the relay, and what happened in between.

use std::{collections::HashMap, time::Instant};

use baton::kernel::{
    abi::BY,
    tasks::{TaskReport, TaskState},
};
use serde_json::Value;

/// One look.
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) status: Value,
    pub(super) tasks: Vec<TaskReport>,
}

/// The table's columns.
pub(super) const COLUMNS: [&str; 10] = [
    "pid",
    "name",
    "class",
    "cpu %",
    "state",
    "waits/s",
    "wait ms",
    "max ms",
    "offset ms",
    "placed by",
];

/// Whether a column holds figures.
pub(super) fn is_figure(column: usize) -> bool {
    !matches!(column, 1 | 2 | 4 | 9)
}

/// What the rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Cpu,
    Wait,
    LongestWait,
    Name,
}

impl Order {
    pub(super) fn of_key(letter: char) -> Option<Self> {
        match letter {
            'c' => Some(Self::Cpu),
            'w' => Some(Self::Wait),
            'm' => Some(Self::LongestWait),
            'n' => Some(Self::Name),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Wait => "wait",
            Self::LongestWait => "longest wait",
            Self::Name => "name",
        }
    }
}

/// A task between two looks.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pid: u32,
    name: String,
    class: String,
    cpu_percent: f64,
    state: String,
    waits_per_s: f64,
    wait_ms: f64,
    wait_max_ms: f64,
    offset_ms: f64,
    placed_by: String,
}

impl Row {
    fn between(before: Option<&TaskReport>, task: &TaskReport, span_s: f64) -> Self {
        let since =
            |now: u64, field: fn(&TaskReport) -> u64| now.saturating_sub(before.map_or(now, field));
        let waits = since(u64::from(task.waits), |task| u64::from(task.waits));
        let waited_ns = since(task.wait_sum_ns, |task| task.wait_sum_ns);
        let used_ns = since(task.runtime_ns, |task| task.runtime_ns);
        let placed: Vec<u32> = std::iter::zip(task.placed_by, 0..)
            .map(|(count, by)| count - before.map_or(0, |before| before.placed_by[by].min(count)))
            .collect();
        let most = std::iter::zip(BY, &placed).max_by_key(|(_, count)| **count);
        let total: u32 = placed.iter().sum();
        let state = match (task.state, &task.queue) {
            (TaskState::Running, _) => format!("on CPU {}", task.cpu),
            (TaskState::Waiting, queue) => queue.clone().unwrap_or_default(),
            (TaskState::Sleeping, _) => "sleeps".to_owned(),
        };
        Self {
            pid: task.pid,
            name: task.name.clone(),
            class: task.class.clone().unwrap_or_default(),
            cpu_percent: used_ns as f64 / (span_s * 1e7),
            state,
            waits_per_s: waits as f64 / span_s,
            wait_ms: waited_ns as f64 / 1e6 / waits.max(1) as f64,
            wait_max_ms: task.wait_max_ns as f64 / 1e6,
            offset_ms: task.key_offset_ns as f64 / 1e6,
            placed_by: match most {
                Some((by, count)) if total > 0 => format!("{by} {} %", count * 100 / total),
                _ => String::new(),
            },
        }
    }

    pub(super) fn cells(&self) -> [String; COLUMNS.len()] {
        [
            self.pid.to_string(),
            self.name.clone(),
            self.class.clone(),
            format!("{:.1}", self.cpu_percent),
            self.state.clone(),
            format!("{:.0}", self.waits_per_s),
            format!("{:.3}", self.wait_ms),
            format!("{:.1}", self.wait_max_ms),
            format!("{:.1}", self.offset_ms),
            self.placed_by.clone(),
        ]
    }
}

/// What happened between two looks.
#[derive(Clone, Debug)]
pub(super) struct View {
    status: Value,
    pub(super) rows: Vec<Row>,
}

impl View {
    pub(super) fn between(before: &Sample, after: &Sample) -> Self {
        let span_s = after.at.duration_since(before.at).as_secs_f64().max(0.001);
        let known: HashMap<u32, &TaskReport> =
            before.tasks.iter().map(|task| (task.pid, task)).collect();
        // A new task of an old pid has used less.
        let earlier = |task: &TaskReport| {
            let before = known.get(&task.pid).copied();
            before.filter(|before| before.runtime_ns <= task.runtime_ns)
        };
        let rows = after.tasks.iter();
        Self {
            status: after.status.clone(),
            rows: rows
                .map(|task| Row::between(earlier(task), task, span_s))
                .collect(),
        }
    }

    pub(super) fn sort(&mut self, order: Order) {
        let key = |row: &Row| match order {
            Order::Cpu => row.cpu_percent,
            Order::Wait => row.wait_ms,
            Order::LongestWait => row.wait_max_ms,
            Order::Name => 0.0,
        };
        self.rows.sort_by(|a, b| {
            key(b)
                .total_cmp(&key(a))
                .then_with(|| a.name.cmp(&b.name))
                .then(a.pid.cmp(&b.pid))
        });
    }

    /// Who schedules, what the relay does in a second, and the latencies.
    pub(super) fn head(&self) -> [String; 3] {
        let text = |name: &str| self.status[name].as_str().unwrap_or("?").to_owned();
        let number = |name: &str| self.status[name].as_f64().unwrap_or(0.0);
        let window = &self.status["window"];
        let window_s = number("window_s").max(0.001);
        let rates = [
            "enqueues",
            "decisions",
            "hinted",
            "fast_idle",
            "fast_sync",
            "preemptions",
            "rescues",
            "bypassed",
            "lost",
        ];
        let rates = rates.map(|name| {
            let count = window["counters"][name].as_f64().unwrap_or(0.0);
            format!("{name} {:.0}", count / window_s)
        });
        let us = |histogram: &str, quantile: &str| {
            window[histogram][quantile].as_f64().unwrap_or(0.0) / 1e3
        };
        let latencies = [
            ("woken to running", "wakeup"),
            ("queue to decision", "queue_to_decision"),
        ];
        let latencies = latencies.map(|(what, name)| {
            let (p50, p99) = (us(name, "p50_ns"), us(name, "p99_ns"));
            format!("{what} p50 {p50:.0} us, p99 {p99:.0} us")
        });
        // Where a policy sets them: each CPU's performance target, of 1024.
        let targets = self.status["performance"].as_object().into_iter().flatten();
        let targets: Vec<_> = targets
            .map(|(cpu, target)| format!("{cpu}: {target}"))
            .collect();
        let targets = match targets.as_slice() {
            [] => String::new(),
            targets => format!("; performance of CPU {}", targets.join(", ")),
        };
        // Where bursts are guessed: how far off, in octaves, and whether the model is heeded.
        let judged = self.status["window"]["counters"]["judged"].as_f64();
        let model = match judged.filter(|judged| *judged > 0.0) {
            Some(judged) => {
                let of = |name: &str| {
                    let sum = self.status["window"]["counters"][name].as_f64();
                    sum.unwrap_or(0.0) / judged / 256.0
                };
                let heeded = match self.status["model_off"].as_bool() {
                    Some(true) => ", and is not heeded",
                    _ => "",
                };
                format!(
                    "; bursts guessed: the model is {:.2} octaves off, the average {:.2}{heeded}",
                    of("error_model"),
                    of("error_average")
                )
            }
            None => String::new(),
        };
        let tasks = match self.rows.len() {
            1 => "1 task".to_owned(),
            count => format!("{count} tasks"),
        };
        let only = match self.status["only"]["cgroup"].as_str() {
            Some(cgroup) => format!(" of cgroup {cgroup}"),
            None => String::new(),
        };
        [
            format!(
                "{}, mode {}, process {}, for {:.0} s; {tasks}{only}{targets}{model}",
                text("policy"),
                text("mode"),
                self.status["pid"],
                number("uptime_s"),
            ),
            format!("per second: {}", rates.join(", ")),
            latencies.join("; "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn task(pid: u32, runtime_ns: u64, waits: u32) -> TaskReport {
        TaskReport {
            pid,
            tgid: pid,
            name: format!("task{pid}"),
            cpu: 0,
            weight: 100,
            cgroup: 0,
            class: (pid == 2).then(|| "batch".to_owned()),
            state: TaskState::Sleeping,
            for_ns: 0,
            queue: None,
            runtime_ns,
            burst_ns: 0,
            key_offset_ns: 0,
            waits,
            wait_sum_ns: u64::from(waits) * 2_000_000,
            wait_max_ns: 3_000_000,
            placed_by: [waits, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    #[test]
    fn differences_and_order() {
        let at = Instant::now();
        let sample = |at, tasks| Sample {
            at,
            status: serde_json::json!({"policy": "edf", "mode": "decide", "pid": 1}),
            tasks,
        };
        let before = sample(at, vec![task(1, 0, 10), task(2, 0, 0)]);
        let tasks = vec![
            task(1, 500_000_000, 30),
            task(2, 1_000_000_000, 5),
            task(3, 7, 1),
        ];
        let after = sample(at + Duration::from_secs(2), tasks);
        let mut view = View::between(&before, &after);
        view.sort(Order::Cpu);
        let rows: Vec<_> = view.rows.iter().map(Row::cells).collect();
        assert_eq!(rows[0][..4], ["2", "task2", "batch", "50.0"]);
        assert_eq!(rows[1][..4], ["1", "task1", "", "25.0"]);
        assert_eq!(rows[1][5..], ["10", "2.000", "3.0", "0.0", "policy 100 %"]);
        // Nothing is known of what a new task did before.
        assert_eq!(rows[2][3..6], ["0.0", "sleeps", "0"]);
        assert!(view.head()[0].starts_with("edf, mode decide, process 1, for 0 s; 3 tasks"));
    }
}

//! Events told one by one, and what was decided at the end of each batch, as text.
#![allow(dead_code)] // Each test file uses its own part.

use std::fmt::Write as _;

use baton_policy::{
    CpuSet, Decision, Driver, Enqueue, EnqueueReason, Event, EventKind, MAX_CPUS, Machine,
    Placement, Policy, Setup, StopReason, TaskInfo, TaskKey, US,
};

/// Tasks `a`, `b`, ... on a machine.
pub struct Tale<P: Policy> {
    driver: Driver<P>,
    now_ns: u64,
    tasks: Vec<(TaskInfo, u64)>,
    decisions: Vec<Decision>,
}

impl<P: Policy> Tale<P> {
    /// Tasks of these weights, known but asleep.
    pub fn new(cpus: u32, weights: &[u32], params: &[(&str, &str)]) -> Self {
        let machine = Machine::uniform("tale", cpus);
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let params: Vec<_> = params.iter().map(owned).collect();
        let driver = Driver::new(&Setup::with_params(&machine, 1, &params)).unwrap();
        let mut tale = Self {
            driver,
            now_ns: 0,
            tasks: Vec::new(),
            decisions: Vec::new(),
        };
        for weight in weights {
            tale.join(*weight, CpuSet::first(MAX_CPUS));
        }
        tale
    }

    pub fn join(&mut self, weight: u32, allowed: CpuSet) {
        let info = TaskInfo {
            weight,
            allowed,
            ..TaskInfo::default()
        };
        self.tasks.push((info, 0));
        let name = (b'a' + self.tasks.len() as u8 - 1) as char;
        self.event(name, EventKind::Join(info));
    }

    fn key(name: char) -> TaskKey {
        TaskKey {
            pid: name as u32,
            start_ns: 0,
        }
    }

    pub fn event(&mut self, name: char, kind: EventKind) -> &mut Self {
        self.driver.event(&Event {
            time_ns: self.now_ns,
            task: Self::key(name),
            kind,
        });
        self
    }

    pub fn machine(&mut self, kind: EventKind) -> &mut Self {
        self.driver.event(&Event {
            time_ns: self.now_ns,
            task: TaskKey::default(),
            kind,
        });
        self
    }

    pub fn after_us(&mut self, us: u64) -> &mut Self {
        self.now_ns += us * US;
        self
    }

    pub fn enqueue(&mut self, name: char, reason: EnqueueReason) -> &mut Self {
        self.enqueue_as(name, reason, false)
    }

    pub fn enqueue_as(&mut self, name: char, reason: EnqueueReason, decided: bool) -> &mut Self {
        let (_, seq) = &mut self.tasks[name as usize - 'a' as usize];
        *seq += 1;
        let enqueue = Enqueue {
            seq: *seq,
            reason,
            decided,
            ..Enqueue::default()
        };
        self.event(name, EventKind::Enqueue(enqueue))
    }

    pub fn runs(&mut self, name: char, cpu: u32) -> &mut Self {
        self.event(name, EventKind::Running { cpu })
    }

    pub fn stops(&mut self, name: char, cpu: u32, ran_us: u64, reason: StopReason) -> &mut Self {
        let kind = EventKind::Stopping {
            cpu,
            runtime_ns: ran_us * US,
            reason,
        };
        self.event(name, kind)
    }

    /// Its slice is over and another's begins.
    pub fn switch(&mut self, from: char, to: char, cpu: u32, ran_us: u64) -> &mut Self {
        self.stops(from, cpu, ran_us, StopReason::SliceOver)
            .enqueue(from, EnqueueReason::SliceOver)
            .runs(to, cpu)
    }

    pub fn sleeps(&mut self, name: char, cpu: u32, ran_us: u64) -> &mut Self {
        self.stops(name, cpu, ran_us, StopReason::Slept)
    }

    /// Ends a batch and says what was decided, times in microseconds.
    pub fn decided(&mut self) -> String {
        self.driver.batch_end(self.now_ns);
        self.decisions = self.driver.decisions().to_vec();
        let mut text = String::new();
        for decision in &self.decisions {
            let separator = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{separator}{}", said(decision));
        }
        self.driver.clear_decisions();
        text
    }

    /// The key offsets of the decisions that were asked for last.
    pub fn key_offsets_us(&self) -> Vec<i64> {
        let offset_us = |decision: &Decision| decision.key_offset / US as i64;
        self.decisions.iter().map(offset_us).collect()
    }

    #[track_caller]
    pub fn expect(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.decided(), expected);
        self
    }
}

fn said(decision: &Decision) -> String {
    let name = decision.task.pid as u8 as char;
    match decision.placement {
        Placement::Ready { key } => format!(
            "{name} ready at {} for {}{}",
            key as i64 / 1000,
            decision.slice_ns / US,
            if decision.preempt { " preempting" } else { "" }
        ),
        Placement::Hold { lease_ns } => format!("{name} held for {}", lease_ns / US),
        Placement::Cpu { cpu } => format!("{name} on {cpu}"),
        Placement::Hint { .. } => format!("{name} hinted"),
    }
}

//! From a recording's events to samples.

use std::collections::HashMap;

use baton_model::{Context, Features, History, Waker, hash_name, log2_q8};
use baton_trace::{Begin, Burst, Bursts, End, Event, Losses, TaskInfo, What};

use crate::{Data, Sample};

/// Tasks of the kernel, and those that were there before: they are the same in every recording.
const KERNEL: &str = "kernel";
const SYSTEM: &str = "system";

/// Values of a histogram's bucket on the scale of logarithms: an eighth of an octave.
const BUCKET: u16 = 32;
const BUCKETS: usize = 10_240 / BUCKET as usize + 1;

/// Makes samples of a recording's events.
///
/// A task that was made while it was recorded belongs to the application that the recording is
/// of; one of the kernel's to `kernel`, and one that was there before to `system`.
pub struct Builder {
    bursts: Bursts,
    tasks: HashMap<u32, Task>,
    ended: Vec<Burst>,
    data: Data,
    /// The task that was told of last, and when.
    told: (u32, u64),
}

struct Task {
    info: TaskInfo,
    history: History,
    /// Counts of its bursts so far.
    histogram: [u32; BUCKETS],
    /// It was made while it was recorded.
    is_own: bool,
    /// When it went to sleep, if that is known.
    asleep_ns: Option<u64>,
    /// The CPU that it has.
    on_cpu: Option<u32>,
    /// It was woken: when, and what was known then.
    woken: Option<(u64, Features, [u16; 2])>,
}

impl Task {
    fn new(pid: u32, is_own: bool) -> Self {
        let info = TaskInfo {
            pid,
            tgid: pid,
            name: [0; 16],
            prio: 120,
            kernel: false,
        };
        Self {
            info,
            history: History::default(),
            histogram: [0; BUCKETS],
            is_own,
            asleep_ns: None,
            on_cpu: None,
            woken: None,
        }
    }

    fn quantile(&self, share: f64) -> u16 {
        let total: u32 = self.histogram.iter().sum();
        let wanted = f64::from(total) * share;
        let mut sum = 0;
        for (bucket, count) in self.histogram.iter().enumerate() {
            sum += count;
            if total > 0 && f64::from(sum) >= wanted {
                return bucket as u16 * BUCKET + BUCKET / 2;
            }
        }
        0
    }
}

impl Builder {
    /// For a recording of this application, on the machine that [`machine_name`](crate::machine_name) names.
    #[must_use]
    pub fn new(application: &str, machine: &str) -> Self {
        let applications = [application, KERNEL, SYSTEM].map(String::from).into();
        let data = Data {
            applications,
            machines: vec![machine.into()],
            recordings: vec![0],
            samples: Vec::new(),
        };
        Self {
            bursts: Bursts::new(),
            tasks: HashMap::new(),
            ended: Vec::new(),
            data,
            told: (0, 0),
        }
    }

    /// Takes an event in. Events come in the order of time.
    pub fn event(&mut self, event: &Event) {
        match event.what {
            What::Task(info) => {
                self.told = (info.pid, event.time_ns);
                self.task(info.pid).info = info;
            }
            What::Fork { parent, child } => {
                // The burst of whoever had this number is cut.
                self.bursts.event(event, &mut self.ended);
                self.take_ended();
                let task = self.forked(event.time_ns, parent, child);
                self.tasks.insert(child, task);
                return;
            }
            What::Switch { prev, next, .. } => {
                self.moved(prev, None);
                self.moved(next, Some(event.cpu));
            }
            What::Lost {
                of: Losses::Any, ..
            } => {
                self.bursts.event(event, &mut self.ended);
                self.take_ended();
                self.lose(event.cpu);
                return;
            }
            What::Wakeup { pid, waker, .. } if pid != 0 => self.wake(event.time_ns, pid, waker),
            _ => {}
        }
        self.bursts.event(event, &mut self.ended);
        self.take_ended();
    }

    /// The samples, when the recording is at its end.
    #[must_use]
    pub fn finish(mut self) -> Data {
        let bursts = std::mem::take(&mut self.bursts);
        bursts.finish(&mut self.ended);
        self.take_ended();
        self.data
    }

    /// A new task. A recorder tells what it is called before it tells of the fork, a simulation after it.
    fn forked(&self, now_ns: u64, parent: u32, child: u32) -> Task {
        let mut task = Task::new(child, true);
        let told = self.told == (child, now_ns);
        let from = self.tasks.get(if told { &child } else { &parent });
        if let Some(from) = from {
            task.info = TaskInfo {
                pid: child,
                ..from.info
            };
        }
        task
    }

    fn moved(&mut self, pid: u32, cpu: Option<u32>) {
        if pid != 0 {
            self.task(pid).on_cpu = cpu;
        }
    }

    /// Events of this CPU were lost: who does not run on another may have done anything.
    fn lose(&mut self, cpu: u32) {
        for task in self.tasks.values_mut() {
            if task.on_cpu.is_none_or(|on| on == cpu) {
                task.asleep_ns = None;
                task.woken = None;
                task.on_cpu = None;
                task.history.lost();
            }
        }
    }

    fn task(&mut self, pid: u32) -> &mut Task {
        self.tasks
            .entry(pid)
            .or_insert_with(|| Task::new(pid, false))
    }

    fn wake(&mut self, now_ns: u64, pid: u32, waker: u32) {
        let waker = self.tasks.get(&waker).filter(|task| task.info.pid != 0);
        let waker = waker.map(|task| (task.history.last()[0], task.info.tgid));
        let task = self.task(pid);
        // Who is awake already is not woken.
        if task.woken.is_some() {
            return;
        }
        let slept_ns = task
            .asleep_ns
            .map(|since_ns| now_ns.saturating_sub(since_ns));
        task.history.woken(now_ns, slept_ns);
        let context = Context {
            waker: waker.map(|(last_ns, tgid)| Waker {
                last_ns,
                is_relative: tgid == task.info.tgid,
            }),
            weight: task.info.weight(),
            is_kernel: task.info.kernel,
            name: hash_name(&task.info.name),
        };
        let histogram = [task.quantile(0.5), task.quantile(0.9)];
        task.woken = Some((now_ns, task.history.features(&context), histogram));
    }

    fn take_ended(&mut self) {
        for burst in std::mem::take(&mut self.ended) {
            self.end(&burst);
        }
    }

    fn end(&mut self, burst: &Burst) {
        let task = self.task(burst.pid);
        let woken = task.woken.take();
        let cut = burst.end == End::Cut;
        let size = log2_q8(burst.ran_ns);
        let (is_kernel, is_own) = (task.info.kernel, task.is_own);
        for _ in 1..burst.pieces {
            task.history.preempted();
        }
        task.history.ran(burst.ran_ns);
        if cut || burst.begin == Begin::Unseen {
            task.history.lost();
        } else {
            task.history.slept();
            let bucket = usize::from(size / BUCKET);
            task.histogram[bucket] += 1;
        }
        task.asleep_ns = (!cut).then_some(burst.ended_ns);
        let Some((_, features, histogram)) = woken.filter(|woken| woken.0 == burst.began_ns) else {
            return;
        };
        let application = match (is_kernel, is_own) {
            (true, _) => 1,
            (false, true) => 0,
            (false, false) => 2,
        };
        self.data.samples.push(Sample {
            features,
            burst: size,
            first: log2_q8(burst.first_ns),
            histogram,
            application,
            recording: 0,
            began_ms: (burst.began_ns / 1_000_000) as u32,
            cut,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_model::Feature;
    use baton_trace::{Left, Woken};

    const MS: u64 = 1_000_000;

    fn at(ms: u64, what: What) -> Event {
        Event {
            time_ns: ms * MS,
            cpu: 0,
            what,
        }
    }

    fn switch(prev: u32, left: Left, next: u32) -> What {
        What::Switch { prev, left, next }
    }

    fn wakeup(pid: u32, waker: u32, how: Woken) -> What {
        What::Wakeup {
            pid,
            waker,
            how,
            target: 0,
        }
    }

    #[test]
    fn features_are_those_of_the_wakeup() {
        let events = [
            at(0, switch(0, Left::Runnable, 7)),
            at(
                1,
                What::Fork {
                    parent: 7,
                    child: 9,
                },
            ),
            at(1, wakeup(9, 7, Woken::New)),
            at(2, switch(7, Left::Sleeps, 9)),
            // 3 ms, in two pieces.
            at(4, switch(9, Left::Runnable, 5)),
            at(6, switch(5, Left::Sleeps, 9)),
            at(7, switch(9, Left::Sleeps, 0)),
            at(10, wakeup(9, 0, Woken::Sleep)),
            at(11, switch(0, Left::Runnable, 9)),
            at(12, switch(9, Left::Sleeps, 0)),
            at(20, wakeup(9, 0, Woken::Sleep)),
            at(21, switch(0, Left::Runnable, 9)),
        ];
        let mut builder = Builder::new("app", "machine");
        for event in &events {
            builder.event(event);
        }
        let data = builder.finish();
        let own: Vec<&Sample> = data
            .samples
            .iter()
            .filter(|sample| sample.application == 0)
            .collect();
        let of = |sample: &Sample, feature: Feature| sample.features[feature as usize];
        assert_eq!(own.len(), 3);
        assert_eq!(of(own[0], Feature::Known), 0);
        assert_eq!(own[0].burst, log2_q8(3 * MS));
        assert_eq!(own[0].first, log2_q8(2 * MS));
        assert_eq!(of(own[1], Feature::Last1), log2_q8(3 * MS));
        assert_eq!(of(own[1], Feature::Slept), log2_q8(3 * MS));
        assert_eq!(of(own[1], Feature::Interrupt), 8192);
        assert_eq!((own[1].burst, own[1].cut), (log2_q8(MS), false));
        assert_eq!(of(own[2], Feature::Last1), log2_q8(MS));
        assert_eq!(
            of(own[2], Feature::Interval),
            log2_q8(9 * MS - 9 * MS / 4 + 10 * MS / 4)
        );
        assert!(own[2].cut);
        assert_eq!(own[2].histogram[0] / BUCKET, log2_q8(MS) / BUCKET);
    }

    fn info(pid: u32, tgid: u32) -> What {
        What::Task(TaskInfo {
            pid,
            tgid,
            name: *b"worker\0\0\0\0\0\0\0\0\0\0",
            prio: 120,
            kernel: false,
        })
    }

    #[test]
    fn a_child_is_told_of_before_or_after_its_fork() {
        let fork = What::Fork {
            parent: 7,
            child: 9,
        };
        for (first, second) in [(info(9, 9), fork), (fork, info(9, 9))] {
            let mut builder = Builder::new("app", "machine");
            for event in [
                at(0, info(7, 7)),
                at(1, first),
                at(1, second),
                at(1, wakeup(9, 7, Woken::New)),
                at(2, switch(0, Left::Runnable, 9)),
                at(3, switch(9, Left::Exits, 0)),
            ] {
                builder.event(&event);
            }
            let data = builder.finish();
            assert_eq!(data.samples.len(), 1);
            let relative = data.samples[0].features[Feature::Relative as usize];
            assert_eq!(relative, 0, "another process made it");
        }
    }

    #[test]
    fn after_a_loss_nothing_is_known_of_a_sleeper() {
        let lost = What::Lost {
            count: 5,
            of: Losses::Any,
        };
        let mut builder = Builder::new("app", "machine");
        for event in [
            at(
                0,
                What::Fork {
                    parent: 1,
                    child: 9,
                },
            ),
            at(0, wakeup(9, 1, Woken::New)),
            at(1, switch(0, Left::Runnable, 9)),
            at(2, switch(9, Left::Sleeps, 0)),
            // It may have run meanwhile.
            at(50, lost),
            at(90, wakeup(9, 0, Woken::Sleep)),
            at(91, switch(0, Left::Runnable, 9)),
            at(93, switch(9, Left::Sleeps, 0)),
        ] {
            builder.event(&event);
        }
        let data = builder.finish();
        assert_eq!(data.samples.len(), 2);
        assert_eq!(data.samples[1].features[Feature::Slept as usize], 0);
        assert_eq!(data.samples[1].burst, log2_q8(2 * MS));
    }

    #[test]
    fn a_number_used_again_is_another_task() {
        let mut builder = Builder::new("app", "machine");
        for round in 0..2 {
            let begin = round * 100;
            for event in [
                at(
                    begin,
                    What::Fork {
                        parent: 1,
                        child: 9,
                    },
                ),
                at(begin, wakeup(9, 1, Woken::New)),
                at(begin + 1, switch(0, Left::Runnable, 9)),
                at(begin + 5, switch(9, Left::Exits, 0)),
            ] {
                builder.event(&event);
            }
        }
        let data = builder.finish();
        assert_eq!(data.samples.len(), 2);
        assert!(
            data.samples
                .iter()
                .all(|sample| sample.features[Feature::Known as usize] == 0)
        );
    }
}

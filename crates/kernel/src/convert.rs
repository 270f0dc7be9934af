//! Between the relay's records and the policy's types. Pure.

use baton_policy::{
    CpuSet, Decision, Enqueue, EnqueueReason, Event, EventKind, Guess, Interests, KeyRule, Machine,
    Mode, Options, Placement, Predictor, SliceRule, StopReason, TaskInfo, TaskKey, TaskName, Whose,
};

use crate::abi;

/// A policy that gives hints hears of each task this often at most.
const HINT_INTERVAL_NS: u64 = 4_000_000;

/// An event without a payload; `None` for a kind that this version does not know.
pub fn event(raw: &abi::Event) -> Option<Event> {
    let kind = match raw.kind {
        abi::EV_ENQUEUE => EventKind::Enqueue(enqueue(raw)),
        abi::EV_RUNNING => EventKind::Running { cpu: raw.cpu },
        abi::EV_STOPPING => EventKind::Stopping {
            cpu: raw.cpu,
            runtime_ns: raw.runtime_ns,
            reason: match raw.reason {
                abi::PREEMPTED => StopReason::Preempted,
                abi::SLICE_OVER => StopReason::SliceOver,
                abi::YIELDED => StopReason::Yielded,
                _ => StopReason::Slept,
            },
        },
        abi::EV_DEQUEUE => EventKind::Dequeue,
        abi::EV_RESCUED => EventKind::Rescued,
        abi::EV_EXIT => EventKind::Exit,
        abi::EV_CPU_DRY => EventKind::CpuDry { cpu: raw.cpu },
        abi::EV_CPU_ONLINE => EventKind::CpuOnline { cpu: raw.cpu },
        abi::EV_CPU_OFFLINE => EventKind::CpuOffline { cpu: raw.cpu },
        _ => return None,
    };
    Some(Event {
        time_ns: raw.time_ns,
        task: key(raw),
        kind,
    })
}

/// An enqueue with what is known of the task's bursts; `None` for another kind.
pub fn event_features(raw: &abi::EventFeatures) -> Option<Event> {
    let event = event(&raw.event)?;
    let EventKind::Enqueue(enqueue) = event.kind else {
        return None;
    };
    let abi::Guess {
        burst,
        model,
        average,
        whose,
    } = raw.guess;
    let kind = EventKind::Enqueue(Enqueue {
        features: raw.features.first_chunk().copied(),
        guess: Guess {
            burst,
            model,
            average,
            whose: Whose::of(whose as u8),
        },
        ..enqueue
    });
    Some(Event { kind, ..event })
}

/// A Join or Update, without a class: the relay knows none.
pub fn event_info(raw: &abi::EventInfo) -> Event {
    let info = TaskInfo {
        tgid: raw.info.tgid,
        name: TaskName(raw.info.name),
        weight: raw.info.weight.max(1),
        allowed: CpuSet::from_words(raw.info.allowed),
        cgroup: raw.info.cgroup,
        kernel_thread: raw.info.kernel_thread != 0,
        class: None,
    };
    let kind = match raw.event.kind {
        abi::EV_UPDATE => EventKind::Update(info),
        _ => EventKind::Join(info),
    };
    Event {
        time_ns: raw.event.time_ns,
        task: key(&raw.event),
        kind,
    }
}

fn key(raw: &abi::Event) -> TaskKey {
    TaskKey {
        pid: raw.pid,
        start_ns: raw.start_ns,
    }
}

fn enqueue(raw: &abi::Event) -> Enqueue {
    Enqueue {
        seq: raw.seq,
        reason: match raw.reason {
            abi::NEW => EnqueueReason::New,
            abi::SLICE_OVER => EnqueueReason::SliceOver,
            abi::PREEMPTED => EnqueueReason::Preempted,
            abi::YIELDED => EnqueueReason::Yielded,
            abi::REQUEUED => EnqueueReason::Requeued,
            _ => EnqueueReason::Wakeup,
        },
        cpu: raw.cpu,
        waker: raw.waker,
        sync: raw.flags & abi::EVF_SYNC != 0,
        decided: raw.flags & abi::EVF_DECIDED != 0,
        burst_ns: raw.burst_ns,
        runtime_ns: raw.runtime_ns,
        slept_ns: raw.slept_ns,
        waiting: raw.waiting,
        ..Enqueue::default()
    }
}

/// The command that carries a decision out.
pub fn command(decision: &Decision) -> abi::Command {
    let mut command = abi::Command {
        start_ns: decision.task.start_ns,
        seq: decision.seq,
        slice_ns: decision.slice_ns,
        key_offset: decision.key_offset,
        pid: decision.task.pid,
        flags: if decision.preempt {
            abi::CMDF_PREEMPT
        } else {
            0
        },
        perf: decision
            .performance
            .map_or(0, |target| u32::from(target) + 1),
        ..abi::Command::default()
    };
    match decision.placement {
        Placement::Ready { key } => {
            command.kind = abi::CMD_READY;
            command.key = key;
        }
        Placement::Cpu { cpu } => {
            command.kind = abi::CMD_CPU;
            command.cpu = cpu;
        }
        Placement::Hold { lease_ns } => {
            command.kind = abi::CMD_HOLD;
            command.lease_ns = lease_ns;
        }
        Placement::Hint { cpu } => {
            command.kind = abi::CMD_HINT;
            command.cpu = cpu.unwrap_or(abi::NO_CPU);
        }
    }
    command
}

/// What the relay is told of a machine.
///
/// # Errors
/// A machine that is larger than the relay's bounds.
pub fn config(machine: &Machine) -> Result<abi::Config, String> {
    let (cpus, llcs) = (machine.cpus.len(), machine.llc_count());
    if cpus == 0 || cpus > abi::MAX_CPUS || llcs > abi::MAX_LLCS {
        return Err(format!(
            "this machine has {cpus} CPUs and {llcs} last-level caches; the relay takes up to {} \
             and {}",
            abi::MAX_CPUS,
            abi::MAX_LLCS
        ));
    }
    let mut config = abi::Config {
        cpus: cpus as u32,
        words: cpus.div_ceil(64) as u32,
        llcs: llcs as u32,
        part: 0,
        online: *machine.online().words(),
        llc_mask: [[0; abi::MASK_WORDS]; abi::MAX_LLCS],
        cpu_llc: [0; abi::MAX_CPUS],
    };
    for llc in 0..llcs {
        config.llc_mask[llc] = *machine.llc_cpus(llc as u32).words();
    }
    for cpu in &machine.cpus {
        config.cpu_llc[cpu.id as usize] = cpu.llc as u8;
    }
    Ok(config)
}

/// What the relay is told of a policy.
#[must_use]
pub fn options(options: &Options) -> abi::Options {
    let options = options.clamped();
    let (key_rule, burst_max_ns) = match options.key_rule {
        KeyRule::EnqueueTime => (abi::KEY_ENQUEUE_TIME, 0),
        KeyRule::Deadline { burst_max_ns } => (abi::KEY_DEADLINE, burst_max_ns),
    };
    abi::Options {
        slice_ns: options.slice_ns,
        slice_min_ns: options.slice_min_ns,
        rescue_after_ns: options.rescue_after_ns,
        rescue_slice_ns: options.rescue_slice_ns,
        starve_after_ns: options.starve_after_ns,
        preempt_min_burst_ns: options.preemption.min_burst_ns,
        preempt_min_lead_ns: options.preemption.min_lead_ns,
        burst_max_ns,
        hint_interval_ns: HINT_INTERVAL_NS,
        requeue_patience_ns: options.requeue_patience_ns,
        mode: match options.mode {
            Mode::Decide => abi::MODE_DECIDE,
            Mode::Hint | Mode::Infer => abi::MODE_HINT,
        },
        key_rule,
        slice_rule: match options.slice_rule {
            SliceRule::Whole => abi::SLICE_WHOLE,
            SliceRule::Waiting => abi::SLICE_WAITING,
            SliceRule::WaitingPerCpu => abi::SLICE_WAITING_PER_CPU,
        },
        wants: wants(&options.interests),
        idle_fast_path: u32::from(options.idle_fast_path),
        sync_fast_path: u32::from(options.sync_fast_path),
        performance: u32::from(options.performance),
        predict: match (options.prediction, options.mode) {
            (None, _) => abi::PREDICT_NOT,
            (Some(_), Mode::Infer) => abi::PREDICT_PLACE,
            (Some(_), Mode::Decide | Mode::Hint) => abi::PREDICT_TELL,
        },
        model: 0,
        pad: 0,
        prediction: prediction(&options),
    }
}

fn prediction(options: &Options) -> abi::Prediction {
    let Some(rule) = options.prediction else {
        return abi::Prediction::default();
    };
    let (by, constant) = match rule.by {
        // What only a simulator knows is the average here.
        Predictor::Average | Predictor::Truth => (abi::BY_AVERAGE, 0),
        Predictor::Model => (abi::BY_MODEL, 0),
        Predictor::Inverted => (abi::BY_INVERTED, 0),
        Predictor::Constant(log) => (abi::BY_CONSTANT, log),
        Predictor::Random => (abi::BY_RANDOM, 0),
    };
    abi::Prediction {
        delay_max_ns: rule.delay_max_ns,
        by,
        constant,
        spread_max: rule.spread_max,
        is_guarded: u8::from(rule.is_guarded),
        is_shadow: u8::from(rule.is_shadow),
        slices: u8::from(rule.slices),
        pad: [0; 5],
    }
}

fn wants(interests: &Interests) -> u32 {
    let flags = [
        (interests.decided, abi::WANT_DECIDED),
        (interests.running, abi::WANT_RUNNING),
        (interests.stopping, abi::WANT_STOPPING),
        (interests.custody, abi::WANT_CUSTODY),
        (interests.dry, abi::WANT_DRY),
        (interests.alone, abi::WANT_ALONE),
    ];
    flags
        .iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |all, (_, flag)| all | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_carry_every_placement() {
        let task = TaskKey {
            pid: 5,
            start_ns: 9,
        };
        let mut decision = Decision::new(task, 3, Placement::Ready { key: u64::MAX });
        decision.preempt(true).slice_ns(7).key_offset(-1);
        let ready = command(&decision);
        assert_eq!(
            (ready.kind, ready.key, ready.flags),
            (abi::CMD_READY, u64::MAX, 1)
        );
        assert_eq!(
            (ready.pid, ready.start_ns, ready.seq, ready.slice_ns),
            (5, 9, 3, 7)
        );
        assert_eq!((ready.key_offset, ready.perf), (-1, 0));
        decision.performance(0);
        assert_eq!(command(&decision).perf, 1);
        let hold = command(&Decision::new(task, 3, Placement::Hold { lease_ns: 4 }));
        assert_eq!((hold.kind, hold.lease_ns), (abi::CMD_HOLD, 4));
        let cpu = command(&Decision::new(task, 3, Placement::Cpu { cpu: 1 }));
        assert_eq!((cpu.kind, cpu.cpu), (abi::CMD_CPU, 1));
    }

    #[test]
    fn absurd_options_are_clamped() {
        let options = Options {
            slice_ns: 0,
            rescue_after_ns: 0,
            ..Options::default()
        };
        let told = super::options(&options);
        assert_eq!(told.slice_ns, Options::SLICE_MIN_NS);
        assert_eq!(told.rescue_after_ns, 1_000_000);
    }

    #[test]
    fn masks_of_a_machine() {
        let config = config(&Machine::uniform("m", 65)).unwrap();
        assert_eq!((config.words, config.llcs), (2, 1));
        assert_eq!(config.llc_mask[0][1], 1);
    }

    #[test]
    fn too_large_a_machine_is_refused() {
        let error = config(&Machine::uniform("m", 2000)).unwrap_err();
        assert!(error.contains("2000 CPUs"), "{error}");
    }

    #[test]
    fn unknown_events_are_passed_over() {
        assert_eq!(
            event(&abi::Event {
                kind: 99,
                ..abi::Event::default()
            }),
            None
        );
    }
}

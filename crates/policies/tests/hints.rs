//! The policies in hint mode: what they say of a task, and that they do not repeat it.

use baton_policies::{Edf, Fifo};
use baton_policy::{
    Decision, Driver, Enqueue, EnqueueReason, Event, EventKind, MS, Machine, Mode, Placement,
    Policy, Setup, TaskInfo, TaskKey,
};

/// A driver in hint mode and one task, which the backend schedules.
struct Hinted<P: Policy> {
    driver: Driver<P>,
    enqueue: Enqueue,
    now_ns: u64,
}

const TASK: TaskKey = TaskKey {
    pid: 1,
    start_ns: 1,
};

impl<P: Policy> Hinted<P> {
    fn new() -> Self {
        let machine = Machine::uniform("hinted", 2);
        let setup = Setup::new(&machine, 1).with_mode(Mode::Hint);
        let mut driver = Driver::new(&setup).unwrap();
        let kind = EventKind::Join(TaskInfo::default());
        driver.event(&Event {
            time_ns: 0,
            task: TASK,
            kind,
        });
        let enqueue = Enqueue {
            decided: true,
            waiting: 3,
            ..Enqueue::default()
        };
        Self {
            driver,
            enqueue,
            now_ns: 0,
        }
    }

    /// The task ran for so long and was enqueued; what the policy says then.
    fn ran(&mut self, ns: u64, reason: EnqueueReason) -> Vec<Decision> {
        self.now_ns += ns + MS;
        self.enqueue.seq += 1;
        self.enqueue.reason = reason;
        self.enqueue.runtime_ns += ns;
        self.enqueue.burst_ns = match reason {
            EnqueueReason::Wakeup => 0,
            _ => self.enqueue.burst_ns + ns,
        };
        self.driver.clear_decisions();
        self.driver.event(&Event {
            time_ns: self.now_ns,
            task: TASK,
            kind: EventKind::Enqueue(self.enqueue),
        });
        self.driver.decisions().to_vec()
    }
}

#[test]
fn fifo_has_one_thing_to_say() {
    let mut hinted = Hinted::<Fifo>::new();
    let first = hinted.ran(MS, EnqueueReason::Wakeup);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].placement, Placement::Hint { cpu: None });
    assert_eq!((first[0].key_offset, first[0].slice_ns), (0, 0));
    for _ in 0..5 {
        assert!(hinted.ran(5 * MS, EnqueueReason::SliceOver).is_empty());
    }
}

#[test]
fn edf_says_how_far_a_task_is_ahead() {
    let mut hinted = Hinted::<Edf>::new();
    let mut offsets = Vec::new();
    for _ in 0..40 {
        for hint in hinted.ran(20 * MS, EnqueueReason::SliceOver) {
            assert_eq!(hint.placement, Placement::Hint { cpu: None });
            assert!(hint.preempt);
            offsets.push(hint.key_offset);
        }
    }
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(*offsets.last().unwrap() > 100 * MS as i64, "{offsets:?}");
}

#[test]
fn a_policy_without_the_mode_says_so() {
    #[derive(Debug)]
    struct Plain;

    impl Policy for Plain {
        const NAME: &'static str = "plain";
        const SUMMARY: &'static str = "decides";
        type Task = ();

        fn new(_: &Setup<'_>) -> Self {
            Self
        }

        fn enqueue(
            &mut self,
            cx: &mut baton_policy::Context<'_, ()>,
            task: baton_policy::TaskId,
            _: &Enqueue,
        ) {
            cx.ready(task, 0);
        }
    }

    let machine = Machine::uniform("plain", 1);
    let setup = Setup::new(&machine, 1).with_mode(Mode::Hint);
    let error = Driver::<Plain>::new(&setup).unwrap_err().to_string();
    assert!(
        error.starts_with("plain has no hint mode, or none on this machine"),
        "{error}"
    );
}

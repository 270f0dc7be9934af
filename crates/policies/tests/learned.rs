//! `learned`: what a guess does to a decision, and what keeps it in bounds.

use baton_model::{Feature, Features, Input, Inputs, Layer, Model, Network, Range, Whose, log2_q8};
use baton_policies::Learned;
use baton_policy::{
    Decision, Driver, Enqueue, EnqueueReason, Event, EventKind, Guess, MS, Machine, Mode, Options,
    Placement, Setup, TaskInfo, TaskKey, US,
};

const TASK: TaskKey = TaskKey {
    pid: 1,
    start_ns: 1,
};

/// A model that says what the last burst was, shifted by so many octaves; and a 90th percentile so
/// many above that.
fn model(octaves: i32, spread: i32) -> Model {
    let input = Input {
        feature: Feature::Last1,
        relative: false,
        range: Range {
            low: 0,
            high: 10_240,
        },
    };
    let layer = Layer {
        weights: vec![vec![1], vec![1]],
        bias: vec![octaves * 256, (octaves + spread) * 256],
        shift: 0,
    };
    let network = Network::new(Inputs::plain(vec![input]), vec![layer]);
    Model::Network(network.expect("a network"))
}

struct Play {
    driver: Driver<Learned>,
    enqueue: Enqueue,
    known: u64,
    now_ns: u64,
}

impl Play {
    fn new(model: Option<&Model>, params: &[(&str, &str)], mode: Mode) -> Self {
        let machine = Machine::uniform("two", 2);
        let params: Vec<(String, String)> = params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let setup = Setup::with_params(&machine, 1, &params)
            .with_mode(mode)
            .with_model(model);
        let mut driver = Driver::new(&setup).expect("a policy");
        let kind = EventKind::Join(TaskInfo::default());
        driver.event(&Event {
            time_ns: 0,
            task: TASK,
            kind,
        });
        let enqueue = Enqueue {
            decided: mode != Mode::Decide,
            waiting: 1,
            ..Enqueue::default()
        };
        Self {
            driver,
            enqueue,
            known: 0,
            now_ns: 0,
        }
    }

    fn woken(&mut self, last_ns: u64, average_ns: u64) -> Decision {
        self.wake(last_ns, average_ns);
        self.driver.decisions()[0]
    }

    /// The task slept after a burst of this length, and is woken; the average of its bursts is this.
    fn wake(&mut self, last_ns: u64, average_ns: u64) {
        let mut features = Features::default();
        let mut set = |feature: Feature, value: u64| features[feature as usize] = log2_q8(value);
        self.known += 1;
        set(Feature::Last1, last_ns);
        set(Feature::Average, average_ns);
        // It does not repeat itself.
        set(Feature::Deviation, average_ns);
        set(Feature::Known, self.known + 1);
        self.now_ns += 100 * MS;
        self.enqueue.seq += 1;
        self.enqueue.runtime_ns += last_ns;
        self.enqueue.burst_ns = 0;
        self.enqueue.slept_ns = 50 * MS;
        self.enqueue.features = Some(features);
        self.tell(EnqueueReason::Wakeup);
    }

    /// It used up its slice.
    fn sliced(&mut self, ran_ns: u64) -> Decision {
        self.now_ns += ran_ns;
        self.enqueue.seq += 1;
        self.enqueue.runtime_ns += ran_ns;
        self.enqueue.burst_ns += ran_ns;
        self.tell(EnqueueReason::SliceOver);
        self.driver.decisions()[0]
    }

    fn tell(&mut self, reason: EnqueueReason) {
        self.enqueue.reason = reason;
        self.driver.clear_decisions();
        self.driver.event(&Event {
            time_ns: self.now_ns,
            task: TASK,
            kind: EventKind::Enqueue(self.enqueue),
        });
    }

    /// How much later than the moment of its wakeup a decision puts it.
    fn delay_ns(&self, decision: &Decision) -> u64 {
        let Placement::Ready { key } = decision.placement else {
            panic!("{decision:?}");
        };
        key - self.now_ns
    }
}

#[test]
fn the_guess_is_the_models_and_the_average_where_it_is_not_sure() {
    let mut play = Play::new(Some(&model(0, 1)), &[], Mode::Decide);
    let decision = play.woken(MS, 4 * MS);
    let delay_ns = play.delay_ns(&decision);
    assert!(delay_ns.abs_diff(MS) < MS / 100, "{delay_ns}");

    let mut play = Play::new(Some(&model(0, 6)), &[], Mode::Decide);
    let decision = play.woken(MS, 4 * MS);
    let delay_ns = play.delay_ns(&decision);
    assert!(delay_ns.abs_diff(4 * MS) < 4 * MS / 100, "{delay_ns}");

    let mut play = Play::new(None, &[], Mode::Decide);
    let decision = play.woken(MS, 4 * MS);
    let delay_ns = play.delay_ns(&decision);
    assert!(
        delay_ns.abs_diff(4 * MS) < 4 * MS / 100,
        "no model: {delay_ns}"
    );
}

#[test]
fn no_guess_delays_by_more_than_the_clamp() {
    let mut play = Play::new(Some(&model(20, 0)), &[("guard", "false")], Mode::Decide);
    let decision = play.woken(MS, MS);
    assert_eq!(play.delay_ns(&decision), 10 * MS);
    let mut play = Play::new(
        Some(&model(20, 0)),
        &[("habit_ms", "3"), ("guard", "false")],
        Mode::Decide,
    );
    let decision = play.woken(MS, MS);
    assert_eq!(play.delay_ns(&decision), 3 * MS);
}

#[test]
fn inverting_turns_the_order_around() {
    let of = |by: &str, last_ns: u64| {
        let params = [("by", by), ("guard", "false")];
        let mut play = Play::new(Some(&model(0, 0)), &params, Mode::Decide);
        let decision = play.woken(last_ns, MS);
        play.delay_ns(&decision)
    };
    assert!(of("model", 100 * US) < of("model", 8 * MS));
    assert!(of("inverted", 100 * US) > of("inverted", 8 * MS));
}

#[test]
fn slices_follow_the_guess_and_double_beyond_it() {
    let mut play = Play::new(Some(&model(0, 0)), &[], Mode::Decide);
    let slice_ms = |decision: Decision| decision.slice_ns as f64 / 1e6;
    let first = slice_ms(play.woken(4 * MS, 4 * MS));
    assert!((7.9..8.1).contains(&first), "{first}");
    let second = slice_ms(play.sliced(8 * MS));
    assert!((15.9..16.1).contains(&second), "{second}");
    let short = slice_ms(play.woken(10 * US, 10 * US));
    assert_eq!(short, 2.0);
    let long = slice_ms(play.woken(50 * MS, 50 * MS));
    assert_eq!(long, 0.0, "the rule's");
    let mut play = Play::new(Some(&model(0, 0)), &[("slices", "false")], Mode::Decide);
    assert_eq!(play.woken(10 * US, 10 * US).slice_ns, 0);
}

#[test]
fn a_model_that_is_wrong_is_off_after_a_window() {
    // Four octaves too long.
    let mut play = Play::new(Some(&model(4, 0)), &[], Mode::Decide);
    let mut delays = Vec::new();
    for _ in 0..80 {
        let decision = play.woken(MS / 4, MS / 4);
        delays.push(play.delay_ns(&decision));
    }
    assert!(delays[0].abs_diff(4 * MS) < MS / 10, "{}", delays[0]);
    assert!(delays[79].abs_diff(MS / 4) < MS / 40, "{}", delays[79]);
    let off = delays.iter().position(|delay| *delay < MS).expect("off");
    assert!((64..=68).contains(&off), "{off}");
}

#[test]
fn a_model_that_is_watched_changes_nothing() {
    let shadow = [("shadow", "true")];
    let mut watched = Play::new(Some(&model(4, 0)), &shadow, Mode::Decide);
    let mut average = Play::new(None, &[("by", "average")], Mode::Decide);
    for _ in 0..5 {
        assert_eq!(watched.woken(MS, 2 * MS), average.woken(MS, 2 * MS));
    }
}

#[test]
fn hints_have_the_guess_and_in_infer_mode_the_share_alone() {
    let mut hinted = Play::new(Some(&model(0, 0)), &[], Mode::Hint);
    let decision = hinted.woken(5 * MS, 9 * MS);
    assert_eq!(decision.placement, Placement::Hint { cpu: None });
    assert!(decision.key_offset.abs_diff(5 * MS as i64) < MS / 2);
    let mut infers = Play::new(Some(&model(0, 0)), &[], Mode::Infer);
    let decision = infers.woken(5 * MS, 9 * MS);
    assert_eq!(decision.key_offset, 0, "{decision:?}");
    assert!(
        infers
            .driver
            .options()
            .prediction
            .is_some_and(|rule| rule.slices)
    );
}

#[test]
fn what_the_backend_guessed_is_made_again() {
    let mut play = Play::new(Some(&model(1, 0)), &[], Mode::Infer);
    play.enqueue.guess = Guess {
        burst: log2_q8(2 * MS),
        model: log2_q8(2 * MS),
        average: log2_q8(3 * MS),
        whose: Whose::Model,
    };
    play.wake(MS, 3 * MS);
    let stats = *play.driver.stats();
    assert_eq!((stats.guesses, stats.guesses_differ), (1, 0));
    play.enqueue.guess.burst += 1;
    play.wake(MS, 3 * MS);
    let stats = *play.driver.stats();
    assert_eq!((stats.guesses, stats.guesses_differ), (2, 1));
}

#[test]
fn only_a_policy_with_predictions_infers() {
    let machine = Machine::uniform("two", 2);
    let setup = Setup::new(&machine, 1).with_mode(Mode::Infer);
    let error = Driver::<baton_policies::Edf>::new(&setup).err();
    let error = error.expect("a refusal").to_string();
    assert!(error.contains("edf has no infer mode"), "{error}");
    assert!(Options::default().prediction.is_none());
}

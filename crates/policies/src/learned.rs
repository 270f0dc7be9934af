//! Earliest deadline first, where a model says how soon a task will sleep.
//!
//! ```text
//! key   = now + burst + guess + lead
//! burst = weighted CPU time since the last sleep,            0 to 100 ms
//! guess = weighted CPU time that the burst will have,        0 to habit_ms
//! lead  = as in edf: weighted CPU time ahead of the average task
//! slice = twice what is left of the guess,                   2 ms to edf's slice
//! ```
//!
//! It is `edf` with one thing replaced: where that has the average of the task's past bursts, this has a
//! guess, which a model makes of 15 features of the task when it is woken ([`baton_model::Feature`]). So
//! what a guess is worth shows by itself: `by=average` is the same policy without a model, and `by=constant`,
//! `by=random`, `by=inverted` and, in the simulator, `by=truth` bound what can be gained and lost.
//!
//! - **A guess is held in bounds.** It delays a task by `habit_ms` at most. Of a task that repeats itself the
//!   average counts, and the model is not asked. A model that is not sure, its 90th
//!   percentile more than `spread` octaves above its median, is not heeded; the average is. And whether it
//!   was right is looked at after each burst: once it is much worse than the average over 64 bursts, or worse over
//!   512, it is off, until it was no worse in 512 ([`baton_model::Drift`]). `shadow=true` looks at it without
//!   heeding it, and counts.
//! - **Slices** follow the guess, but are never longer than those of `edf`: a task that goes beyond its guess is
//!   found out early, and gets as long again each time.
//! - **Who is renamed gains nothing**: a model that looks at names is refused.
//! - **In decide mode** the policy guesses, from features that the backend sends along. **In hint mode** it does so
//!   now and then, and the backend keeps to what it said last. **In infer mode** the backend guesses each burst
//!   at the moment of placing the task, in the kernel, and the policy says no more than who is ahead
//!   of their share; a class's deadline can come late by a guess there.
//!
//! Sources: Andrea Righi's talk "AI-driven scheduler" for the idea to predict slices; what `edf` names for the rest.

use core::str::FromStr;

use baton_model::{
    Change, Drift, Feature, Features, Given, Guess, Model, Prediction, Predictor, Whose, log2_q8,
    slice_ns,
};
use baton_policy::{
    ClassUse, Context, Enqueue, EnqueueReason, MS, Mode, Options, Policy, Setup, TaskId, US,
};

use crate::{
    Edf, Param,
    edf::{self, Asked, EdfTask, HINT_STEP_NS, RULE, SLICE_MIN_NS},
};

pub(crate) const PARAMS: &[Param] = &[
    Param {
        name: "by",
        default: "model",
        meaning: "where guesses come from: model, average, constant, random, inverted, truth (in the simulator)",
    },
    Param {
        name: "habit_ms",
        default: "10",
        meaning: "most that a guess delays",
    },
    Param {
        name: "spread",
        default: "5",
        meaning: "octaves between a model's median and its 90th percentile, beyond which it is not heeded",
    },
    Param {
        name: "guard",
        default: "true",
        meaning: "whether a model that has become worse than the average is off",
    },
    Param {
        name: "shadow",
        default: "false",
        meaning: "whether the model is only watched, and the average counts",
    },
    Param {
        name: "constant_us",
        default: "1000",
        meaning: "the guess of by=constant",
    },
    Param {
        name: "slices",
        default: "true",
        meaning: "whether slices follow the guess",
    },
    Param {
        name: "slice_ms",
        default: "20",
        meaning: "longest slice, when nobody waits",
    },
    Param {
        name: "debt_ms",
        default: "200",
        meaning: "most that using too much delays a task",
    },
    Param {
        name: "credit_ms",
        default: "20",
        meaning: "most that having slept hastens a task",
    },
    Param {
        name: "sync",
        default: "true",
        meaning: "whether a task woken by one that is about to sleep is queued without a decision",
    },
];

/// The parameter `by`.
#[derive(Clone, Copy)]
enum By {
    Model,
    Average,
    Constant,
    Random,
    Inverted,
    Truth,
}

impl FromStr for By {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "model" => Self::Model,
            "average" => Self::Average,
            "constant" => Self::Constant,
            "random" => Self::Random,
            "inverted" => Self::Inverted,
            "truth" => Self::Truth,
            _ => return Err(()),
        })
    }
}

/// Runs tasks in the order of their deadlines, which a model makes.
#[derive(Debug)]
pub struct Learned {
    edf: Edf,
    rule: Prediction,
    model: Option<Model>,
    drift: Drift,
    counts: Counts,
    mode: Mode,
}

/// What the backend counts in infer mode, and the policy in the others.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Guesses, by whose they are.
    guesses: [u64; 6],
    /// The model's was more than an octave from the average's.
    apart: u64,
    off: u64,
    on: u64,
    judged: u64,
    error_model: u64,
    error_average: u64,
}

/// What the policy keeps of a task.
#[derive(Clone, Copy, Debug, Default)]
pub struct LearnedTask {
    edf: EdfTask,
    /// Of the burst that it is in, or of its last one.
    guess: Guess,
}

fn rule(setup: &Setup<'_>) -> Prediction {
    let by = setup.param("by", By::Model);
    let delay_max_ns = setup.param("habit_ms", 10_u64).min(edf::PARAM_MAX_MS) * MS;
    let octaves: f64 = setup.param("spread", 5.0);
    let (is_guarded, is_shadow) = (setup.param("guard", true), setup.param("shadow", false));
    let constant_ns = setup.param("constant_us", 1000_u64).saturating_mul(US);
    Prediction {
        by: match by {
            By::Model | By::Inverted if setup.model.is_none() => Predictor::Average,
            By::Model => Predictor::Model,
            By::Inverted => Predictor::Inverted,
            By::Average => Predictor::Average,
            By::Constant => Predictor::Constant(log2_q8(constant_ns)),
            By::Random => Predictor::Random,
            By::Truth => Predictor::Truth,
        },
        delay_max_ns,
        spread_max: (octaves * 256.0) as u16,
        is_guarded,
        is_shadow,
        slices: setup.param("slices", true),
    }
}

impl Policy for Learned {
    const NAME: &'static str = "learned";
    const SUMMARY: &'static str = "edf, where a model guesses how long each task will compute";
    const CLASS_USE: ClassUse = Edf::CLASS_USE;
    const USES_MODEL: bool = true;
    type Task = LearnedTask;

    fn new(setup: &Setup<'_>) -> Self {
        Self {
            rule: rule(setup),
            edf: Edf::new(setup),
            model: setup.model.cloned(),
            drift: Drift::default(),
            counts: Counts::default(),
            mode: setup.mode,
        }
    }

    fn options(&self) -> Options {
        Options {
            prediction: Some(self.rule),
            ..self.edf.options()
        }
    }

    fn join(&mut self, cx: &mut Context<'_, LearnedTask>, task: TaskId) {
        self.edf.welcome(&mut cx.state(task).edf);
    }

    fn enqueue(&mut self, cx: &mut Context<'_, LearnedTask>, id: TaskId, enqueue: &Enqueue) {
        let asked = Asked::of(cx, id);
        let (now_ns, start_ns) = (cx.now_ns(), cx.task(id).key.start_ns);
        let state = cx.state(id);
        let lead = self.edf.lead(&mut state.edf, asked.weight(), enqueue);
        // In infer mode the backend guesses.
        let delay_ns = match self.mode {
            Mode::Infer => 0,
            Mode::Decide | Mode::Hint => {
                self.guess(state, enqueue, start_ns);
                self.rule.delay_ns(state.guess.burst, asked.weight())
            }
        };
        let burst = state.guess.burst;
        // In the other modes all are decided already. What a sync wakeup placed gets no hint, as
        // it would get no decision in decide mode.
        if enqueue.decided && (enqueue.sync || self.mode == Mode::Decide) {
            return;
        }
        let offset = match asked.deadline_ns() {
            Some(deadline_ns) => deadline_ns as i64,
            None => lead + delay_ns as i64,
        };
        let key = RULE
            .key(now_ns, enqueue.burst_ns, asked.weight())
            .wrapping_add_signed(offset);
        // A hint that says nothing new costs nothing.
        let offset = match self.mode {
            Mode::Decide => offset,
            Mode::Hint | Mode::Infer => offset - offset % HINT_STEP_NS,
        };
        let slice_ns = self.slice_ns(burst, enqueue);
        // Who wakes it leaves its CPU to it; but not for as long as a decision takes.
        let leaves = enqueue.sync && self.edf.heeds_sync();
        let woken = enqueue.reason == EnqueueReason::Wakeup && !leaves;
        cx.ready(id, key)
            .preempt(woken || self.mode != Mode::Decide)
            .slice_ns(slice_ns)
            .key_offset(offset);
    }

    fn cpu_online(&mut self, cx: &mut Context<'_, LearnedTask>, _: u32, _: bool) {
        self.edf.set_cpus(cx.online().len());
    }

    fn counts(&self, tell: &mut dyn FnMut(&'static str, u64)) {
        if self.mode == Mode::Infer {
            return;
        }
        let counts = &self.counts;
        for (name, whose) in [
            ("guess_model", Whose::Model),
            ("guess_average", Whose::Average),
            ("guess_unsure", Whose::Unsure),
            ("guess_off", Whose::Off),
            ("guess_regular", Whose::Regular),
        ] {
            tell(name, counts.guesses[whose as usize]);
        }
        tell("guess_apart", counts.apart);
        tell("model_off", counts.off);
        tell("model_on", counts.on);
        tell("judged", counts.judged);
        tell("error_model", counts.error_model);
        tell("error_average", counts.error_average);
    }
}

impl Learned {
    /// Guesses the burst that a task begins, and looks what became of the last guess.
    fn guess(&mut self, state: &mut LearnedTask, enqueue: &Enqueue, start_ns: u64) {
        let begins = matches!(enqueue.reason, EnqueueReason::Wakeup | EnqueueReason::New);
        let Some(features) = enqueue.features.filter(|_| begins) else {
            return;
        };
        self.judge(&state.guess, &features);
        let given = Given {
            is_off: self.drift.is_off(),
            draw: (enqueue.seq, start_ns),
            truth_ns: enqueue.truth_ns,
        };
        let guess = self.rule.guess(self.model.as_ref(), &features, &given);
        state.guess = guess;
        self.counts.guesses[guess.whose as usize] += 1;
        let is_apart = guess.model.abs_diff(guess.average) > 256;
        self.counts.apart += u64::from(self.rule.has_candidate() && is_apart);
    }

    /// Compares the last guess with the task's last burst. Bursts may have gone past unheard meanwhile; then this is
    /// a later one, for which the guess stood too.
    fn judge(&mut self, guess: &Guess, features: &Features) {
        let is_asked = !matches!(guess.whose, Whose::Nobody | Whose::Regular);
        // Of a task's first burst the average knows nothing.
        let knew = features[Feature::Known as usize] > log2_q8(2);
        if !is_asked || !knew || !self.rule.has_candidate() {
            return;
        }
        let burst = features[Feature::Last1 as usize];
        self.counts.judged += 1;
        self.counts.error_model += u64::from(guess.model.abs_diff(burst));
        self.counts.error_average += u64::from(guess.average.abs_diff(burst));
        match self.drift.ended(guess, burst) {
            Some(Change::Off) => self.counts.off += 1,
            Some(Change::On) => self.counts.on += 1,
            None => {}
        }
    }

    /// The slice; 0 is what the backend's rule makes.
    fn slice_ns(&self, burst: u16, enqueue: &Enqueue) -> u64 {
        if !self.rule.slices || self.mode == Mode::Infer {
            return 0;
        }
        // A hint holds for bursts of which nothing is known yet, and must not be longer than what the rule
        // would give.
        let had_ns = match self.mode {
            Mode::Decide => enqueue.burst_ns,
            Mode::Hint | Mode::Infer => 0,
        };
        let options = self.edf.options();
        let rule_ns = options.granted_slice_ns(0, enqueue.waiting, self.edf.cpus());
        let guessed_ns = slice_ns(burst, had_ns, SLICE_MIN_NS, rule_ns);
        let longest_ns = match self.mode {
            Mode::Decide => rule_ns - 1,
            Mode::Hint | Mode::Infer => SLICE_MIN_NS,
        };
        if guessed_ns <= longest_ns {
            guessed_ns
        } else {
            0
        }
    }
}

//! What is remembered of tasks' bursts, and how the next one is guessed; as `bpf/relay/predict.h`.

use baton_model::{Change, Context, Drift, Given, Guess, History, Waker, hash_name, log2_q8};
use baton_policy::{Enqueue, Mode, Policy, Whose};

use super::{Relay, counters::Count};
use crate::engine::{core::Core, task::WORK_SCALE};

/// What the relay keeps of a task's bursts, if the policy's options ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bursts {
    history: History,
    waker: Option<Waker>,
    /// The waker is that of this burst.
    waker_noted: bool,
    /// Of this burst, or else of the last one that was guessed.
    pub(super) guess: Guess,
    /// Of this burst.
    guessed: bool,
    /// Its burst began before the policy came.
    unseen: bool,
}

impl<P: Policy> Relay<P> {
    const fn predicts(&self) -> bool {
        self.options.prediction.is_some()
    }

    /// Whether what is placed by rule is placed by a guess, too.
    pub(super) fn infers(&self) -> bool {
        self.options.mode == Mode::Infer
    }

    /// A task was created.
    pub(super) fn admit_bursts(&mut self, task: u32) {
        if !self.predicts() {
            return;
        }
        if self.bursts.len() <= task as usize {
            self.bursts.resize(task as usize + 1, Bursts::default());
        }
        self.bursts[task as usize] = Bursts::default();
    }

    pub(super) fn note_waker(&mut self, core: &Core, task: u32, waker: Option<u32>) {
        if !self.predicts() {
            return;
        }
        let waker = waker.map(|waker| Waker {
            last_ns: self
                .bursts
                .get(waker as usize)
                .map_or(0, |bursts| bursts.history.last()[0]),
            is_relative: core.tasks[waker].tgid == core.tasks[task].tgid,
        });
        let bursts = &mut self.bursts[task as usize];
        bursts.waker_noted = true;
        bursts.waker = waker;
    }

    /// A wakeup starts a new burst, and so does a task's creation.
    pub(super) fn burst_begins(&mut self, core: &Core, task: u32) {
        let ctx = &self.tasks[task as usize];
        if !self.predicts() || !ctx.slept && !ctx.fresh {
            return;
        }
        let slept_ns = ctx.slept.then(|| core.now_ns - ctx.stopped_ns);
        let bursts = &mut self.bursts[task as usize];
        bursts.history.woken(core.now_ns, slept_ns);
        if !bursts.waker_noted {
            bursts.waker = None;
        }
        bursts.waker_noted = false;
        bursts.guessed = false;
        bursts.unseen = false;
    }

    /// A task leaves its CPU.
    pub(super) fn note_stop(&mut self, task: u32, runtime_ns: u64, runnable: bool) {
        if !self.predicts() {
            return;
        }
        self.bursts[task as usize].history.ran(runtime_ns);
        if runnable {
            self.bursts[task as usize].history.preempted();
            return;
        }
        if std::mem::take(&mut self.bursts[task as usize].unseen) {
            self.bursts[task as usize].history.lost();
            return;
        }
        self.judge_guess(task);
        self.bursts[task as usize].history.slept();
    }

    fn judge_guess(&mut self, task: u32) {
        let Some(rule) = self.options.prediction else {
            return;
        };
        let Bursts {
            history,
            guess,
            guessed,
            ..
        } = self.bursts[task as usize];
        // Of a task's first burst the average knows nothing, and where nobody was asked there is nothing to compare.
        let is_regular = guess.whose == Whose::Regular;
        if !guessed || !rule.has_candidate() || history.known() == 0 || is_regular {
            return;
        }
        let burst = log2_q8(history.burst_ns());
        self.count(Count::Judged);
        self.counters
            .add(Count::ErrorModel, guess.model.abs_diff(burst).into());
        self.counters
            .add(Count::ErrorAverage, guess.average.abs_diff(burst).into());
        match self.drift.ended(&guess, burst) {
            Some(Change::Off) => self.count(Count::ModelOff),
            Some(Change::On) => self.count(Count::ModelOn),
            None => {}
        }
    }

    fn features(&self, core: &Core, task: u32) -> baton_policy::Features {
        let bursts = &self.bursts[task as usize];
        let told = &core.tasks[task];
        bursts.history.features(&Context {
            waker: bursts.waker,
            weight: told.weight,
            is_kernel: false,
            name: hash_name(&told.name.0),
        })
    }

    /// CPU time that the burst that a task is in will have had in the end, as far as it knows.
    fn truth_ns(&self, core: &Core, task: u32) -> Option<u64> {
        if !self.tells_truth {
            return None;
        }
        let told = &core.tasks[task];
        let more_ns = told.actor.as_ref()?.burst_ns();
        let rest_ns = (told.work / WORK_SCALE).saturating_add(more_ns);
        (rest_ns > 0).then(|| self.tasks[task as usize].burst_ns.saturating_add(rest_ns))
    }

    /// Guesses the burst that the task begins, once, when the guess is wanted.
    pub(super) fn guess_burst(&mut self, core: &Core, task: u32) {
        let Some(rule) = self.options.prediction else {
            return;
        };
        if self.bursts[task as usize].guessed {
            return;
        }
        let given = Given {
            is_off: self.drift.is_off(),
            draw: (self.tasks[task as usize].seq, core.tasks[task].key.start_ns),
            truth_ns: self.truth_ns(core, task),
        };
        let features = self.features(core, task);
        let guess = rule.guess(self.driver.model(), &features, &given);
        let bursts = &mut self.bursts[task as usize];
        bursts.guess = guess;
        bursts.guessed = true;
        self.count(match guess.whose {
            Whose::Model => Count::GuessModel,
            Whose::Unsure => Count::GuessUnsure,
            Whose::Off => Count::GuessOff,
            Whose::Regular => Count::GuessRegular,
            Whose::Average | Whose::Nobody => Count::GuessAverage,
        });
        if rule.has_candidate() && guess.model.abs_diff(guess.average) > 256 {
            self.count(Count::GuessApart);
        }
    }

    /// What goes along with an enqueue that is told of.
    pub(super) fn tell_bursts(&self, core: &Core, task: u32, enqueue: &mut Enqueue) {
        if !self.predicts() {
            return;
        }
        enqueue.features = Some(self.features(core, task));
        enqueue.truth_ns = self.truth_ns(core, task);
        let bursts = &self.bursts[task as usize];
        if bursts.guessed {
            enqueue.guess = bursts.guess;
        }
    }

    /// The policy that takes over may have another model: no guess is its own, and what bursts were so far is
    /// not known if nobody counted.
    pub(super) fn forget_guesses(&mut self) {
        self.drift = Drift::default();
        if self.predicts() {
            self.bursts.resize(self.tasks.len(), Bursts::default());
        }
        for bursts in &mut self.bursts {
            bursts.guessed = false;
            bursts.unseen = true;
            bursts.history.lost();
        }
    }
}

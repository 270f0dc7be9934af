//! [`Frames`]: a game's pipeline of four stages, each a task, with a place for one frame between two.

use baton_workload::{Better, FrameStage, Frames, PartReport, millis, names};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Channel, Counter, Series, Spawn, Stage, Step, Wakeups};

/// A game's working set of each stage.
const WORKING_SET_KIB: u32 = 2048;
/// Handed over after the last frame.
const LAST: u64 = u64::MAX;

/// What the stages share.
#[derive(Clone)]
pub(super) struct Film {
    frames: Frames,
    part: u32,
    seed: u64,
    /// The tick of frame 0.
    first_ns: u64,
    frame_times: Series,
    lateness: Series,
    on_time: Counter,
    missed: Counter,
    dropped: Counter,
}

impl Film {
    fn tick_ns(&self, frame: u64) -> u64 {
        self.first_ns + frame * self.frames.period_ns()
    }

    fn deadline_ns(&self) -> u64 {
        u64::from(self.frames.deadline) * self.frames.period_ns()
    }

    fn work_ns(&self, frame: u64, stage: FrameStage) -> u64 {
        self.frames.stage_ns(self.seed, frame, stage) as u64
    }

    fn work(&self, frame: u64, stage: FrameStage) -> Step {
        Step::Compute(self.work_ns(frame, stage))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for a tick or a frame.
    Await,
    /// Has got it.
    Begin,
    /// Has worked on it.
    Hand,
    Over,
}

/// The first stage: wakes for each tick and starts its frame, unless it cannot be on time any more.
struct Input {
    film: Film,
    state: State,
    frame: u64,
    early: bool,
    to: Channel,
}

impl Actor for Input {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Await => {
                if self.frame == self.film.frames.frames() {
                    self.state = State::Over;
                    return Step::Send(self.to);
                }
                let tick_ns = self.film.tick_ns(self.frame);
                self.early = stage.now_ns() < tick_ns;
                self.state = State::Begin;
                Step::SleepUntil(tick_ns)
            }
            State::Begin => {
                let late_ns = stage.now_ns() - self.film.tick_ns(self.frame);
                if self.early {
                    stage.sample(self.film.lateness, late_ns);
                }
                if late_ns > self.film.deadline_ns() {
                    self.frame += 1;
                    self.state = State::Await;
                    return Step::Compute(0);
                }
                self.state = State::Hand;
                self.film.work(self.frame, FrameStage::Input)
            }
            State::Hand => {
                if !stage.send(self.to, self.frame) {
                    return Step::Send(self.to);
                }
                self.frame += 1;
                self.state = State::Await;
                Step::Compute(0)
            }
            State::Over => {
                if !stage.send(self.to, LAST) {
                    return Step::Send(self.to);
                }
                Step::Exit
            }
        }
    }

    fn burst_ns(&self) -> u64 {
        match self.state {
            State::Begin => self.film.work_ns(self.frame, FrameStage::Input),
            _ => 0,
        }
    }
}

/// A stage behind it; the last one presents.
struct Later {
    film: Film,
    stage: FrameStage,
    state: State,
    frame: u64,
    /// The frame that comes next if none is dropped.
    next: u64,
    from: Channel,
    to: Option<Channel>,
}

impl Actor for Later {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Await => {
                let Some(frame) = stage.receive(self.from) else {
                    return Step::Receive(self.from);
                };
                self.frame = frame;
                self.state = State::Begin;
                Step::Compute(0)
            }
            State::Begin => {
                self.state = State::Hand;
                match self.frame {
                    LAST => Step::Compute(0),
                    frame => self.film.work(frame, self.stage),
                }
            }
            State::Hand => match self.to {
                Some(to) if !stage.send(to, self.frame) => Step::Send(to),
                Some(_) => self.go_on(),
                None => {
                    self.present(stage);
                    self.go_on()
                }
            },
            State::Over => Step::Exit,
        }
    }

    fn burst_ns(&self) -> u64 {
        match self.state {
            // Which frame comes matters little.
            State::Await | State::Begin => self.film.work_ns(self.frame, self.stage),
            _ => 0,
        }
    }
}

impl Later {
    fn go_on(&mut self) -> Step {
        self.state = match self.frame {
            LAST => State::Over,
            _ => State::Await,
        };
        Step::Compute(0)
    }

    /// Counts the frame, and those that were dropped before it.
    fn present(&mut self, stage: &mut Stage) {
        let film = &self.film;
        let shown = match self.frame {
            LAST => film.frames.frames(),
            frame => frame,
        };
        for dropped in self.next..shown {
            let age_ns = stage.now_ns().saturating_sub(film.tick_ns(dropped));
            stage.sample(film.frame_times, age_ns);
            stage.count(film.missed, 1);
            stage.count(film.dropped, 1);
        }
        self.next = shown + 1;
        if self.frame == LAST {
            stage.end_part(film.part);
            return;
        }
        let frame_time_ns = stage.now_ns().saturating_sub(film.tick_ns(shown));
        stage.sample(film.frame_times, frame_time_ns);
        if frame_time_ns <= film.deadline_ns() {
            stage.count(film.on_time, 1);
        } else {
            stage.count(film.missed, 1);
        }
    }
}

pub(super) fn install(frames: &Frames, stage: &mut Stage, setting: &Setting) -> Film {
    let film = Film {
        frames: frames.clone(),
        part: setting.part,
        seed: setting.seed,
        first_ns: setting.start_ns + frames.period_ns(),
        frame_times: stage.series(),
        lateness: stage.series(),
        on_time: stage.counter(),
        missed: stage.counter(),
        dropped: stage.counter(),
    };
    let mut handoff = || stage.channel(1, 0, Wakeups::Plain);
    let [to_simulate, to_render, to_present] = [handoff(), handoff(), handoff()];
    let later = |which, from, to| Later {
        film: film.clone(),
        stage: which,
        state: State::Await,
        frame: 0,
        next: 0,
        from,
        to,
    };
    let input = Input {
        film: film.clone(),
        state: State::Await,
        frame: 0,
        early: true,
        to: to_simulate,
    };
    let part = setting.part;
    let simulate = later(FrameStage::Simulate, to_simulate, Some(to_render));
    let render = later(FrameStage::Render, to_render, Some(to_present));
    let present = later(FrameStage::Present, to_present, None);
    for spawn in [
        Spawn::new(names::FRAME_SIMULATE, part, simulate),
        Spawn::new(names::FRAME_RENDER, part, render),
        Spawn::new(names::FRAME_PRESENT, part, present),
        Spawn::new(names::FRAME_INPUT, part, input),
    ] {
        stage.spawn(spawn.working_set_kib(WORKING_SET_KIB));
    }
    film
}

impl Played for Film {
    fn report(&self, stage: &Stage, _: &PartView) -> PartReport {
        let mut report = PartReport::new("frames");
        let times = stage.durations(self.frame_times);
        let on_time = stage.counted(self.on_time);
        let missed = stage.counted(self.missed);
        let counted = on_time + missed;
        let share = on_time as f64 / counted.max(1) as f64;
        let p99_ms = millis(times.quantile_ns(0.99));
        report.metric("frame_p99_ms", "ms", p99_ms, Better::Lower);
        let p50_ms = millis(times.quantile_ns(0.5));
        report.metric("frame_p50_ms", "ms", p50_ms, Better::Lower);
        report.metric("on_time_share", "1", share, Better::Higher);
        report.metric("frames", "frames", counted as f64, Better::Higher);
        report.metric("on_time", "frames", on_time as f64, Better::Higher);
        report.metric("missed", "frames", missed as f64, Better::Lower);
        let dropped = stage.counted(self.dropped) as f64;
        report.metric("dropped", "frames", dropped, Better::Lower);
        report.histogram("frame_time", times);
        report.histogram("tick_lateness", stage.durations(self.lateness));
        if counted < self.frames.frames() {
            report.unfinished = Some(format!("{counted} of {} frames", self.frames.frames()));
        }
        report
    }
}

//! Recorded tasks as simulated ones.

use std::sync::Arc;

use baton_workload::{Better, PartReport, micros, seconds};

use super::{Act, NONE, Outside, Recorded, Replay};
use crate::{
    actor::{Actor, Channel, Counter, Series, Spawn, Stage, Step, Wakeups},
    actors::{PartView, Played},
};

/// What all tasks share.
#[derive(Clone)]
struct Seat {
    replay: Arc<Replay>,
    /// The first task's channel; others follow in their order.
    channels: Channel,
    part: u32,
    left: Counter,
    responses: Series,
    start_ns: u64,
}

/// One task.
struct Player {
    seat: Seat,
    task: u32,
    /// The next act.
    next: usize,
    /// What the simulator will charge, or has charged, that the recorded times have in them already.
    charged_ns: u64,
    /// When it was woken last.
    woken_ns: Option<u64>,
    /// Whether it waits for this act's end.
    under_way: bool,
}

impl Player {
    fn act(&self) -> Option<Act> {
        let script = &self.seat.replay.scripts[self.task as usize];
        script.acts.get(self.next).copied()
    }

    /// It is about to sleep or to end.
    fn respond(&mut self, stage: &mut Stage) {
        if let Some(woken_ns) = self.woken_ns.take() {
            let response_ns = stage.now_ns().saturating_sub(woken_ns);
            stage.sample(self.seat.responses, response_ns);
        }
    }

    fn compute(&mut self, ran_ns: u64, stays: u32, stage: &Stage) -> Step {
        self.charged_ns += u64::from(stays) * stage.costs().switch_ns;
        let charged_ns = self.charged_ns.min(ran_ns);
        self.charged_ns -= charged_ns;
        // Some time must pass, or two that compute nothing could go on at one instant.
        Step::Compute((ran_ns - charged_ns).max(1))
    }
}

impl Actor for Player {
    fn step(&mut self, stage: &mut Stage) -> Step {
        loop {
            let Some(act) = self.act() else {
                self.respond(stage);
                stage.count(self.seat.left, 1);
                if stage.counted(self.seat.left) == self.seat.replay.scripts.len() as u64 {
                    stage.end_part(self.seat.part);
                }
                return Step::Exit;
            };
            match act {
                Act::Compute { ran_ns, stays } => {
                    self.next += 1;
                    return self.compute(ran_ns, stays, stage);
                }
                Act::Wake(task) => {
                    self.next += 1;
                    self.charged_ns += stage.costs().wake_ns;
                    let now_ns = stage.now_ns();
                    stage.send(self.seat.channels.offset(task), now_ns);
                }
                Act::Fork(task) => {
                    self.next += 1;
                    stage.spawn(self.seat.spawn(task));
                }
                Act::Await { .. } => {
                    let from = self.seat.channels.offset(self.task);
                    if !self.under_way {
                        self.respond(stage);
                    }
                    let Some(woken_ns) = stage.receive(from) else {
                        self.under_way = true;
                        return Step::Receive(from);
                    };
                    self.woken_ns = Some(woken_ns.max(self.seat.start_ns));
                    self.under_way = false;
                    self.next += 1;
                }
                Act::Sleep(outside) => {
                    self.respond(stage);
                    self.next += 1;
                    let until_ns = match outside {
                        Outside::At(time_ns) => self.seat.start_ns.saturating_add(time_ns),
                        Outside::After(slept_ns) => stage.now_ns().saturating_add(slept_ns),
                    };
                    self.woken_ns = Some(until_ns);
                    return Step::SleepUntil(until_ns);
                }
            }
        }
    }

    fn burst_ns(&self) -> u64 {
        let acts = &self.seat.replay.scripts[self.task as usize].acts;
        let rest = acts.get(self.next..).unwrap_or_default().iter();
        rest.map_while(|act| match act {
            Act::Compute { ran_ns, .. } => Some(*ran_ns),
            Act::Wake(_) | Act::Fork(_) => Some(0),
            Act::Await { .. } | Act::Sleep(_) => None,
        })
        .sum()
    }
}

/// A task that was there when the recording began: it does nothing before it was seen.
struct Late {
    at_ns: Option<u64>,
    player: Player,
}

impl Actor for Late {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.at_ns.take() {
            Some(at_ns) => Step::SleepUntil(at_ns),
            None => self.player.step(stage),
        }
    }

    fn burst_ns(&self) -> u64 {
        match self.at_ns {
            Some(_) => 0,
            None => self.player.burst_ns(),
        }
    }
}

impl Seat {
    fn spawn(&self, task: u32) -> Spawn {
        let script = &self.replay.scripts[task as usize];
        let player = Player {
            seat: self.clone(),
            task,
            next: 0,
            charged_ns: 0,
            woken_ns: None,
            under_way: false,
        };
        let parent = self.replay.scripts.get(script.parent as usize);
        let mut spawn = if parent.is_some() {
            Spawn::new(script.name.clone(), self.part, player)
        } else {
            let at_ns = Some(self.start_ns.saturating_add(script.seen_ns));
            Spawn::new(script.name.clone(), self.part, Late { at_ns, player })
        };
        spawn.weight = script.weight;
        spawn.is_thread = parent.is_some_and(|parent| parent.tgid == script.tgid);
        spawn
    }
}

/// The recording on the stage.
struct Recording {
    seat: Seat,
    recorded: Recorded,
}

/// Puts a recording's tasks on the stage.
pub(crate) fn install(
    replay: &Arc<Replay>,
    stage: &mut Stage,
    part: u32,
    start_ns: u64,
) -> Box<dyn Played> {
    let room = |task: usize| {
        let acts = replay.scripts[task].acts.iter();
        acts.filter(|act| matches!(act, Act::Await { .. })).count()
    };
    let mut channels = None;
    for task in 0..replay.scripts.len() {
        let channel = stage.channel(room(task), 0, Wakeups::Plain);
        channels.get_or_insert(channel);
    }
    let seat = Seat {
        replay: Arc::clone(replay),
        channels: channels.unwrap_or_else(|| stage.channel(1, 0, Wakeups::Plain)),
        part,
        left: stage.counter(),
        responses: stage.series(),
        start_ns,
    };
    for (task, script) in replay.scripts.iter().enumerate() {
        if script.parent == NONE {
            stage.spawn(seat.spawn(task as u32));
        }
    }
    Box::new(Recording {
        seat,
        recorded: replay.recorded,
    })
}

impl Played for Recording {
    fn report(&self, stage: &Stage, view: &PartView) -> PartReport {
        let mut report = PartReport::new("replay");
        let elapsed_ns = view.end_ns.saturating_sub(self.seat.start_ns);
        report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
        let responses = stage.durations(self.seat.responses);
        for (name, quantile) in [("response_p50_us", 0.5), ("response_p99_us", 0.99)] {
            let value = micros(responses.quantile_ns(quantile));
            report.metric(name, "us", value, Better::Lower);
        }
        report.histogram("response", responses);
        let recorded = &self.recorded;
        report.notes.push(format!(
            "the recording is {:.3} s long; in it, from waking to running took {} us at p50 and {} us at p99",
            seconds(recorded.duration_ns),
            micros(recorded.wakeup_p50_ns).round(),
            micros(recorded.wakeup_p99_ns).round(),
        ));
        if recorded.lost > 0 {
            let lost = recorded.lost;
            report.notes.push(format!(
                "{lost} events of the recording were lost: what they told is played as sleep"
            ));
        }
        let (left, all) = (
            stage.counted(self.seat.left),
            self.seat.replay.scripts.len(),
        );
        if left < all as u64 {
            report.unfinished = Some(format!("{left} of {all} tasks came to their end"));
        }
        report
    }
}

//! [`Pipe`]: a token to and fro over two pipes.

use baton_workload::{Better, PartReport, Pipe, micros, names, seconds};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Channel, Counter, Series, Spawn, Stage, Step, Wakeups};

/// Values that fit into a pipe: far more than the one token.
const ROOM: usize = 64;

/// Where each of the two tasks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    Write,
    Wait,
    Read,
}

struct Ping {
    state: State,
    start_ns: u64,
    part: u32,
    left: u32,
    sent_ns: u64,
    to: Channel,
    from: Channel,
    played: Ring,
}

impl Actor for Ping {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Begin => {
                self.state = State::Write;
                Step::SleepUntil(self.start_ns)
            }
            State::Write => {
                if self.left == 0 {
                    stage.end_part(self.part);
                    return Step::Exit;
                }
                self.sent_ns = stage.now_ns();
                self.state = State::Wait;
                Step::Compute(stage.costs().syscall_ns)
            }
            State::Wait => {
                stage.send(self.to, 0);
                self.state = State::Read;
                Step::Receive(self.from)
            }
            State::Read => {
                if stage.receive(self.from).is_none() {
                    return Step::Receive(self.from);
                }
                self.left -= 1;
                stage.sample(self.played.round_trips, stage.now_ns() - self.sent_ns);
                stage.count(self.played.rounds, 1);
                self.state = State::Write;
                Step::Compute(stage.costs().syscall_ns)
            }
        }
    }
}

struct Pong {
    state: State,
    to: Channel,
    from: Channel,
}

impl Actor for Pong {
    fn step(&mut self, stage: &mut Stage) -> Step {
        match self.state {
            State::Begin | State::Wait => {
                self.state = State::Read;
                Step::Receive(self.from)
            }
            State::Read => {
                if stage.receive(self.from).is_none() {
                    return Step::Receive(self.from);
                }
                self.state = State::Write;
                // The read and the write that follows it.
                Step::Compute(2 * stage.costs().syscall_ns)
            }
            State::Write => {
                stage.send(self.to, 0);
                self.state = State::Read;
                Step::Receive(self.from)
            }
        }
    }
}

/// What the first task measures.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    round_trips: Series,
    rounds: Counter,
    start_ns: u64,
    expected: u32,
}

pub(super) fn install(pipe: &Pipe, stage: &mut Stage, setting: &Setting) -> Ring {
    let there = stage.channel(ROOM, ROOM - 1, Wakeups::Sync);
    let back = stage.channel(ROOM, ROOM - 1, Wakeups::Sync);
    let ring = Ring {
        round_trips: stage.series(),
        rounds: stage.counter(),
        start_ns: setting.start_ns,
        expected: pipe.rounds,
    };
    let pong = Pong {
        state: State::Begin,
        to: back,
        from: there,
    };
    let ping = Ping {
        state: State::Begin,
        start_ns: setting.start_ns,
        part: setting.part,
        left: pipe.rounds,
        sent_ns: 0,
        to: there,
        from: back,
        played: ring,
    };
    for mut spawn in [
        Spawn::new(names::PONG, setting.part, pong),
        Spawn::new(names::PING, setting.part, ping),
    ] {
        spawn.is_thread = pipe.threads;
        stage.spawn(spawn.working_set_kib(16));
    }
    ring
}

impl Played for Ring {
    fn report(&self, stage: &Stage, view: &PartView) -> PartReport {
        let mut report = PartReport::new("pipe");
        let rounds = stage.counted(self.rounds);
        let elapsed_ns = view.end_ns.saturating_sub(self.start_ns);
        let times = stage.durations(self.round_trips);
        report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
        let rate = rounds as f64 / seconds(elapsed_ns.max(1));
        report.metric("rounds_per_s", "1/s", rate, Better::Higher);
        for (name, quantile) in [("round_trip_p50_us", 0.5), ("round_trip_p99_us", 0.99)] {
            let value = micros(times.quantile_ns(quantile));
            report.metric(name, "us", value, Better::Lower);
        }
        report.histogram("round_trip", times);
        if rounds < u64::from(self.expected) {
            report.unfinished = Some(format!("{rounds} of {} rounds", self.expected));
        }
        report
    }
}

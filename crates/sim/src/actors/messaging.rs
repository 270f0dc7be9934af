//! [`Messaging`]: groups of senders and receivers over sockets.

use baton_workload::{Better, Messaging, PartReport, names, seconds};

use super::{PartView, Played, Setting};
use crate::actor::{Actor, Channel, Counter, Spawn, Stage, Step, Wakeups};

/// Messages that fit into a socket: Linux's default buffer of 212,992 bytes, of which a message of 100
/// bytes takes 768 with its bookkeeping.
const ROOM: usize = 277;
/// A sender that found it full is woken when a quarter is left (`unix_writable`).
const LOW: usize = ROOM / 4;

/// How a task begins: it reads its byte from the start pipe. The pipe wakes one reader when all bytes are
/// written; that one finds more than its own and wakes the next. So tasks begin one after the other, as
/// they get the CPU.
struct Start {
    time_ns: u64,
    pipe: Channel,
    is_first: bool,
    /// How many have begun, of how many.
    begun: Counter,
    tasks: u64,
    state: Begin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Wait,
    Read,
    Begun,
}

impl Start {
    /// The step that is next; none when it has begun.
    fn step(&mut self, stage: &mut Stage) -> Option<Step> {
        match self.state {
            Begin::Begun => None,
            Begin::Wait if self.is_first => {
                self.state = Begin::Read;
                Some(Step::SleepUntil(self.time_ns))
            }
            Begin::Wait if stage.receive(self.pipe).is_none() => Some(Step::Receive(self.pipe)),
            Begin::Wait => {
                self.state = Begin::Read;
                Some(Step::Compute(stage.costs().syscall_ns))
            }
            Begin::Read => {
                self.state = Begin::Begun;
                stage.count(self.begun, 1);
                if stage.counted(self.begun) < self.tasks {
                    stage.send(self.pipe, 0);
                }
                Some(Step::Compute(0))
            }
        }
    }
}

/// A sender: message after message, going round the receivers.
struct Sender {
    start: Start,
    first: Channel,
    fan: u32,
    sent: u64,
    all: u64,
    state: State,
    seat: Seat,
}

/// What all tasks of the part share.
#[derive(Clone, Copy)]
struct Seat {
    part: u32,
    left: Counter,
    received: Counter,
    tasks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Copy,
    Hand,
}

impl Seat {
    /// The task is done; the last one ends the part.
    fn leave(self, stage: &mut Stage) -> Step {
        stage.count(self.left, 1);
        if stage.counted(self.left) == self.tasks {
            stage.end_part(self.part);
        }
        Step::Exit
    }
}

impl Actor for Sender {
    fn step(&mut self, stage: &mut Stage) -> Step {
        if let Some(step) = self.start.step(stage) {
            return step;
        }
        match self.state {
            State::Copy => {
                if self.sent == self.all {
                    return self.seat.leave(stage);
                }
                self.state = State::Hand;
                Step::Compute(stage.costs().message_ns)
            }
            State::Hand => {
                let receiver = self.first.offset((self.sent % u64::from(self.fan)) as u32);
                if !stage.send(receiver, 0) {
                    return Step::Send(receiver);
                }
                self.sent += 1;
                self.state = State::Copy;
                Step::Compute(0)
            }
        }
    }
}

struct Receiver {
    start: Start,
    from: Channel,
    left: u64,
    /// Whether it found nothing when it looked last.
    waited: bool,
    seat: Seat,
}

impl Actor for Receiver {
    fn step(&mut self, stage: &mut Stage) -> Step {
        if let Some(step) = self.start.step(stage) {
            return step;
        }
        if self.left == 0 {
            return self.seat.leave(stage);
        }
        if stage.receive(self.from).is_none() {
            self.waited = true;
            return Step::Receive(self.from);
        }
        self.left -= 1;
        stage.count(self.seat.received, 1);
        let costs = stage.costs();
        let waited_ns = if std::mem::take(&mut self.waited) {
            costs.message_wait_ns
        } else {
            0
        };
        Step::Compute(costs.message_ns + waited_ns)
    }
}

/// The hall with all groups.
pub(super) struct Hall {
    received: Counter,
    expected: u64,
    start_ns: u64,
}

pub(super) fn install(messaging: &Messaging, stage: &mut Stage, setting: &Setting) -> Hall {
    let fan = messaging.fan;
    let seat = Seat {
        part: setting.part,
        left: stage.counter(),
        received: stage.counter(),
        tasks: 2 * u64::from(messaging.groups) * u64::from(fan),
    };
    let each = u64::from(fan) * u64::from(messaging.loops);
    let pipe = stage.channel(seat.tasks as usize, 0, Wakeups::Sync);
    let begun = stage.counter();
    let mut is_first = true;
    let mut start = || Start {
        time_ns: setting.start_ns,
        pipe,
        is_first: std::mem::take(&mut is_first),
        begun,
        tasks: seat.tasks,
        state: Begin::Wait,
    };
    for _ in 0..messaging.groups {
        let sockets: Vec<Channel> = (0..fan)
            .map(|_| stage.channel(ROOM, LOW, Wakeups::Sync))
            .collect();
        let mut add = |name, mut spawn: Spawn| {
            spawn.name = name;
            spawn.is_thread = messaging.threads;
            stage.spawn(spawn.working_set_kib(16));
        };
        for from in &sockets {
            let receiver = Receiver {
                start: start(),
                from: *from,
                left: each,
                waited: false,
                seat,
            };
            add(
                names::RECEIVER.into(),
                Spawn::new("", setting.part, receiver),
            );
        }
        for _ in 0..fan {
            let sender = Sender {
                start: start(),
                first: sockets[0],
                fan,
                sent: 0,
                all: each,
                state: State::Copy,
                seat,
            };
            add(names::SENDER.into(), Spawn::new("", setting.part, sender));
        }
    }
    Hall {
        received: seat.received,
        expected: messaging.messages(),
        start_ns: setting.start_ns,
    }
}

impl Played for Hall {
    fn report(&self, stage: &Stage, view: &PartView) -> PartReport {
        let mut report = PartReport::new("messaging");
        let received = stage.counted(self.received);
        let elapsed_ns = view.end_ns.saturating_sub(self.start_ns);
        let rate = received as f64 / seconds(elapsed_ns.max(1));
        report.metric("time_s", "s", seconds(elapsed_ns), Better::Lower);
        report.metric("messages_per_s", "1/s", rate, Better::Higher);
        report.metric("messages", "messages", received as f64, Better::Higher);
        if received < self.expected {
            report.unfinished = Some(format!("{received} of {} messages", self.expected));
        }
        report
    }
}

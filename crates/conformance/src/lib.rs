//! What every backend must do: tell a policy what happens, in order, and carry out what it decides.
//!
//! One suite, for the kernel and for the simulator. A [`Case`] is a policy made for it, tasks to
//! schedule, and a check of the log that the run leaves. A backend's tests play the tasks under the
//! policy on two equal CPUs, take the log, and give it to [`Case::check`]:
//!
//! ```
//! for case in baton_conformance::CASES {
//!     assert!(case.seconds > 0 && !case.beats.is_empty());
//! }
//! ```
//!
//! Times are judged so that an emulated machine can keep them, and what hangs on them is a [`Fault::Late`],
//! which a host with other work may cause: a backend on a real kernel may try such a case again.
#![forbid(unsafe_code)]

mod checks;
mod policies;
mod rescues;
mod seen;

use std::fmt;

use baton_policy::{MS, Policy};

pub use seen::{Life, Note, Seen};

/// Begins the names of the suite's own tasks; whatever else a machine runs is passed over.
pub const PREFIX: &str = "cf-";

/// Tasks that all do the same: compute, sleep, and again.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// Their name, with [`PREFIX`].
    pub name: &'static str,
    /// How many.
    pub count: u32,
    /// CPU time between two sleeps, nanoseconds; `u64::MAX`: they never sleep.
    pub burst_ns: u64,
    /// How long they sleep, nanoseconds.
    pub sleep_ns: u64,
    /// The only CPU that they may run on.
    pub cpu: Option<u32>,
}

impl Beat {
    const fn hogs(name: &'static str, count: u32) -> Self {
        Self {
            name,
            count,
            burst_ns: u64::MAX,
            sleep_ns: 0,
            cpu: None,
        }
    }

    const fn new(name: &'static str, count: u32, burst_ns: u64, sleep_ns: u64) -> Self {
        Self {
            name,
            count,
            burst_ns,
            sleep_ns,
            cpu: None,
        }
    }

    const fn on(self, cpu: u32) -> Self {
        Self {
            cpu: Some(cpu),
            ..self
        }
    }
}

/// One thing that a backend must do.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// The policy, by the name that [`with_policy`] knows.
    pub policy: &'static str,
    /// The tasks.
    pub beats: &'static [Beat],
    /// Another process with this policy takes over in the middle; its log is the one that is judged.
    pub successor: Option<&'static str>,
    /// How long they are played.
    pub seconds: u64,
    check: fn(&Seen) -> Result<String, Fault>,
}

/// What a backend did otherwise than it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is wrong on any machine.
    Wrong(String),
    /// A machine that stood still for some milliseconds, now and then, looks the same: a virtual one on a
    /// host that has other work. Wrong if it is so again.
    Late(String),
}

impl Fault {
    /// The same, of this task.
    pub(crate) fn of(self, task: &str) -> Self {
        match self {
            Self::Wrong(text) => Self::Wrong(format!("{task}: {text}")),
            Self::Late(text) => Self::Late(format!("{task}: {text}")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) | Self::Late(text) => f.write_str(text),
        }
    }
}

impl Case {
    /// Judges the log of a run: what was found, or what was wrong. In an `exact` run nobody but the
    /// suite disturbs: a simulator's. Elsewhere the process may be late now and then.
    ///
    /// # Errors
    /// The log cannot be read, or the backend did something else than it must.
    pub fn check(&self, log: &[u8], exact: bool) -> Result<String, Fault> {
        let seen = Seen::read(log, exact).map_err(Fault::Wrong)?;
        (self.check)(&seen)
    }
}

/// The suite.
pub const CASES: &[Case] = &[
    Case {
        name: "a task's events come in the order of its life",
        policy: "listen",
        beats: &[
            Beat::hogs("cf-hog", 3),
            Beat::new("cf-short", 3, MS, 10 * MS),
            Beat::new("cf-long", 1, 60 * MS, 20 * MS),
        ],
        successor: None,
        seconds: 3,
        check: checks::lives,
    },
    Case {
        name: "who takes over is told of everything anew",
        policy: "listen",
        beats: &[
            Beat::hogs("cf-hog", 3),
            Beat::new("cf-short", 3, MS, 10 * MS),
            Beat::new("cf-long", 1, 60 * MS, 20 * MS),
        ],
        successor: Some("listen"),
        seconds: 4,
        check: checks::lives,
    },
    Case {
        name: "the earliest key in ready runs first, and nobody starves",
        policy: "ladder",
        beats: &[Beat::hogs("cf-hog", 6)],
        successor: None,
        seconds: 3,
        check: checks::ladder,
    },
    Case {
        name: "a task runs on the CPU that it was sent to",
        policy: "to-cpu",
        beats: &[Beat::new("cf-short", 4, 2 * MS, 5 * MS)],
        successor: None,
        seconds: 2,
        check: checks::sent,
    },
    Case {
        name: "a task in hand does not run before its lease ends",
        policy: "keep",
        beats: &[Beat::new("cf-short", 2, MS, 5 * MS)],
        successor: None,
        seconds: 2,
        check: checks::leases,
    },
    Case {
        name: "what is not decided is rescued, not too early",
        policy: "mute",
        beats: &[Beat::new("cf-short", 2, MS, 5 * MS)],
        successor: None,
        seconds: 2,
        check: checks::rescues,
    },
    Case {
        name: "a decision with preemption takes the CPU",
        policy: "eager",
        beats: &[
            Beat::hogs("cf-hog", 4),
            Beat::new("cf-short", 1, MS, 30 * MS),
        ],
        successor: None,
        seconds: 3,
        check: checks::preempts,
    },
    Case {
        name: "a decision without preemption does not",
        policy: "meek",
        beats: &[
            Beat::hogs("cf-hog", 4),
            Beat::new("cf-short", 1, MS, 30 * MS),
        ],
        successor: None,
        seconds: 3,
        check: checks::waits,
    },
    Case {
        name: "affinity is kept, whatever is decided",
        policy: "astray",
        beats: &[
            Beat::new("cf-pinned", 2, 2 * MS, 5 * MS).on(1),
            Beat::hogs("cf-hog", 2),
        ],
        successor: None,
        seconds: 2,
        check: checks::affinity,
    },
    Case {
        name: "a slice ends a turn",
        policy: "slices",
        beats: &[Beat::hogs("cf-hog", 4)],
        successor: None,
        seconds: 2,
        check: checks::slices,
    },
];

/// What to do with a policy whose type is found by name.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Called with the type.
    fn visit<P: Policy + 'static>(self) -> Self::Output;
}

/// Calls the visitor with the policy of a case; `None` if there is none of this name.
pub fn with_policy<V: Visitor>(name: &str, visitor: V) -> Option<V::Output> {
    Some(match name {
        "listen" => visitor.visit::<policies::Listen>(),
        "ladder" => visitor.visit::<policies::Ladder>(),
        "to-cpu" => visitor.visit::<policies::ToCpu>(),
        "keep" => visitor.visit::<policies::Keep>(),
        "mute" => visitor.visit::<policies::Mute>(),
        "eager" => visitor.visit::<policies::Eager>(),
        "meek" => visitor.visit::<policies::Meek>(),
        "astray" => visitor.visit::<policies::Astray>(),
        "slices" => visitor.visit::<policies::Slices>(),
        _ => return None,
    })
}

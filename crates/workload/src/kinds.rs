//! The kinds of workload part: the one source of their names, parameters, defaults and help.

use crate::spec::Place;
use std::fmt;

/// A kind of workload part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The name in a workload's text.
    pub name: &'static str,
    /// What it does and what it measures.
    pub about: &'static str,
    /// What can be set.
    pub parameters: &'static [Parameter],
    /// A text that can be given to `Workload::from_str`.
    pub example: &'static str,
}

/// A parameter of a [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in a workload's text.
    pub name: &'static str,
    /// The value when none is given.
    pub default: &'static str,
    /// The value when none is given and other parts run beside this one.
    pub default_combined: &'static str,
    /// The value when none is given and this part stands behind another.
    pub default_behind: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
}

/// A parameter whose default is the same alone and beside other parts.
const fn parameter(name: &'static str, default: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        default,
        default_combined: default,
        default_behind: default,
        about,
    }
}

const THREADS: Parameter = parameter("threads", "yes", "threads of one process; `no`: processes");

pub(crate) const MESSAGING: Kind = Kind {
    name: "messaging",
    about: "groups of senders and receivers over socket pairs; the time until all is received",
    parameters: &[
        parameter("groups", "4", "groups"),
        parameter(
            "loops",
            "100",
            "messages from each sender to each receiver of its group",
        ),
        parameter("fan", "20", "senders in a group, and as many receivers"),
        THREADS,
    ],
    example: "messaging:groups=4,loops=100",
};

pub(crate) const PIPE: Kind = Kind {
    name: "pipe",
    about: "two tasks pass one token to and fro over two pipes; time, rates and latencies",
    parameters: &[
        Parameter {
            name: "rounds",
            default: "3000",
            // Beside others a round trip may take many times as long.
            default_combined: "200",
            default_behind: "200",
            about: "round trips",
        },
        THREADS,
    ],
    example: "pipe+hogs",
};

pub(crate) const FRAMES: Kind = Kind {
    name: "frames",
    about: "a game: input, simulate, render and present, in a pipeline; frame times, misses",
    parameters: &[
        parameter("fps", "60", "frames per second"),
        parameter(
            "load",
            "0.5",
            "work of a frame, as a share of what one CPU does in its period",
        ),
        parameter(
            "jitter",
            "0.2",
            "how far a stage's work varies from frame to frame, as a share",
        ),
        parameter(
            "deadline",
            "1",
            "periods from a frame's tick to its presentation, at most",
        ),
        parameter("seconds", "5", "duration in seconds"),
    ],
    example: "frames:fps=60,load=0.5,seconds=5+hogs",
};

pub(crate) const HOGS: Kind = Kind {
    name: "hogs",
    about: "threads that only compute; work done, and the longest time one was kept off a CPU",
    parameters: &[
        parameter(
            "count",
            "2/cpu",
            "threads, as a number or for each CPU (`2/cpu`)",
        ),
        parameter(
            "seconds",
            "3",
            "duration in seconds; beside bounded parts, as long as they",
        ),
    ],
    example: "hogs:count=4",
};

pub(crate) const BUILD: Kind = Kind {
    name: "build",
    about: "as `make -j`: a process for each unit, which reads, computes and writes; then a link; \
            time, rates",
    parameters: &[
        parameter(
            "jobs",
            "2/cpu",
            "processes at a time, as a number or for each CPU (`2/cpu`)",
        ),
        parameter("units", "50", "units of one build"),
        parameter(
            "unit_ms",
            "40",
            "CPU time of a unit in milliseconds, on average; single ones differ widely",
        ),
        Parameter {
            name: "builds",
            default: "1",
            default_combined: "1",
            // Work that goes on as long as the part that is measured.
            default_behind: "endless",
            about: "builds, one after the other; `endless`: as long as the other parts",
        },
        parameter(
            "seconds",
            "3",
            "duration in seconds, where builds are endless and no other part is bounded",
        ),
    ],
    example: "build:jobs=4,units=40",
};

pub(crate) const COMPILE: Kind = Kind {
    name: "compile",
    about: "gcc compiles Lua, as `make -j`; time, rates",
    parameters: &[
        parameter(
            "jobs",
            "2/cpu",
            "compilers at a time, as a number or for each CPU (`2/cpu`)",
        ),
        // Anything above takes minutes on an emulated processor.
        parameter(
            "optimize",
            "0",
            "the compiler's level of optimization, 0 to 3",
        ),
    ],
    example: "compile:jobs=4",
};

pub(crate) const ISOLATION: Kind = Kind {
    name: "isolation",
    about: "a polite cgroup beside a hostile one of the same weight; wakeup latency, shares of CPU; \
            needs root",
    parameters: &[
        parameter(
            "hogs",
            "4/cpu",
            "hostile processes that only compute, as a number or for each CPU (`4/cpu`)",
        ),
        parameter(
            "forks",
            "16",
            "hostile processes at a time that are forked and soon end",
        ),
        parameter("rate", "200", "wakeups of the polite process a second"),
        parameter(
            "burst_us",
            "500",
            "what it computes each time, in microseconds",
        ),
        parameter("seconds", "5", "duration in seconds"),
    ],
    example: "isolation:hogs=8/cpu,seconds=3",
};

pub(crate) const REQUESTS: Kind = Kind {
    name: "requests",
    about: "a service: message threads wake workers, which compute; latencies of requests and wakeups, \
            rates",
    parameters: &[
        parameter("messengers", "2", "message threads"),
        parameter(
            "workers",
            "2/cpu",
            "workers of each message thread, as a number or for each CPU (`2/cpu`)",
        ),
        parameter(
            "fan",
            "2",
            "parts of a request, each for one worker; the last one answers it",
        ),
        parameter(
            "work_us",
            "1000",
            "what a worker computes for a part, in microseconds",
        ),
        parameter(
            "load",
            "0.5",
            "work of all requests, as a share of what all CPUs do",
        ),
        parameter("seconds", "5", "duration in seconds"),
    ],
    example: "requests:load=0.7,fan=4+hogs",
};

/// What parts say that end with the others.
const AS_LONG: &str = "duration in seconds; beside bounded parts, as long as they";

pub(crate) const AUDIO: Kind = Kind {
    name: "audio",
    about: "a thread that mixes a short buffer each period; response times, buffers missed",
    parameters: &[
        parameter("rate", "200", "buffers a second"),
        parameter(
            "load",
            "0.05",
            "work of a buffer, as a share of what one CPU does in its period",
        ),
        parameter("seconds", "5", AS_LONG),
    ],
    example: "audio:rate=375+hogs",
};

pub(crate) const STREAM: Kind = Kind {
    name: "stream",
    about: "an encoder: threads that share each picture of a video; response times, pictures missed",
    parameters: &[
        parameter("rate", "60", "pictures a second"),
        parameter(
            "load",
            "0.5",
            "work of a picture, as a share of what one CPU does in its period",
        ),
        parameter(
            "jitter",
            "0.2",
            "how far the work varies from picture to picture, as a share",
        ),
        parameter("threads", "2", "threads that share a picture"),
        parameter("seconds", "5", AS_LONG),
    ],
    example: "stream:rate=30,threads=4+hogs",
};

pub(crate) const TENANTS: Kind = Kind {
    name: "tenants",
    about: "cgroups of given weights, each with processes that compute and a service; shares against \
            weights, wakeup latencies; needs root",
    parameters: &[
        parameter("weights", "100/300", "the tenants' weights, two or more"),
        parameter(
            "hogs",
            "1/cpu",
            "processes of each tenant that only compute, as a number or for each CPU (`1/cpu`)",
        ),
        parameter("rate", "100", "wakeups of each tenant's service a second"),
        parameter(
            "burst_us",
            "500",
            "what a service computes each time, in microseconds",
        ),
        parameter("seconds", "5", "duration in seconds"),
    ],
    example: "tenants:weights=100/200/400",
};

static KINDS: [Kind; 11] = [
    MESSAGING, PIPE, FRAMES, HOGS, BUILD, COMPILE, ISOLATION, REQUESTS, AUDIO, STREAM, TENANTS,
];

/// A word for several parts with parameters of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The word.
    pub name: &'static str,
    /// What it stands for. Parameters that follow the word belong to the first part.
    pub parts: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    /// What that is.
    pub about: &'static str,
}

static ALIASES: [Alias; 1] = [Alias {
    name: "game",
    parts: &[("frames", &[("load", "0.7")]), ("audio", &[])],
    about: "a game with its sound: heavier frames, and audio",
}];

/// Words for several parts.
pub fn aliases() -> &'static [Alias] {
    &ALIASES
}

/// The kinds of part there are, in the order in which help should show them.
pub fn list() -> &'static [Kind] {
    &KINDS
}

/// The names, for error messages.
pub(crate) fn known() -> String {
    let kinds = KINDS.iter().map(|kind| kind.name);
    let names: Vec<_> = kinds
        .chain(ALIASES.iter().map(|alias| alias.name))
        .collect();
    names.join(", ")
}

impl fmt::Display for Alias {
    /// The text that it stands for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, settings)) in self.parts.iter().enumerate() {
            f.write_str(if index > 0 { "+" } else { "" })?;
            f.write_str(kind)?;
            let mut separator = ':';
            for (name, value) in *settings {
                write!(f, "{separator}{name}={value}")?;
                separator = ',';
            }
        }
        Ok(())
    }
}

impl Kind {
    /// The default of a parameter; empty text if the kind has none of that name.
    pub(crate) fn default(&self, name: &str, place: Place) -> &'static str {
        let parameter = self.parameters.iter().find(|found| found.name == name);
        parameter.map_or("", |found| match place {
            Place::Alone => found.default,
            Place::First => found.default_combined,
            Place::Behind => found.default_behind,
        })
    }

    /// The parameters' names, for error messages.
    pub(crate) fn known_parameters(&self) -> String {
        let names: Vec<_> = self
            .parameters
            .iter()
            .map(|parameter| parameter.name)
            .collect();
        names.join(", ")
    }
}

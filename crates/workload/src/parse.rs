//! Workloads from text, and back.

use crate::error::Error;
use crate::kinds::{self, Kind};
use crate::spec::{
    Build, Builds, Compile, Count, Frames, Hogs, Isolation, Messaging, Part, Pipe, Place, Workload,
};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

impl FromStr for Workload {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Err(Error::Empty {
                known: kinds::known(),
            });
        }
        let texts: Vec<&str> = text.split('+').map(str::trim).collect();
        let mut parts: Vec<Part> = Vec::with_capacity(texts.len());
        for (index, part) in texts.iter().enumerate() {
            let values = Values::read(part, Place::of(index, texts.len()))?;
            if parts
                .iter()
                .any(|other| other.kind().name == values.kind.name)
            {
                return Err(Error::RepeatedKind {
                    kind: values.kind.name,
                });
            }
            parts.push(values.part()?);
        }
        Ok(Self { parts })
    }
}

impl TryFrom<String> for Workload {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Workload> for String {
    fn from(workload: Workload) -> Self {
        format!("{workload:#}")
    }
}

/// What a duration in seconds may be.
const SECONDS: RangeInclusive<f64> = 0.05..=86_400.0;

/// The parameters of one part as written, over its kind's defaults.
struct Values<'a> {
    kind: &'static Kind,
    given: Vec<(&'a str, &'a str)>,
    place: Place,
}

impl<'a> Values<'a> {
    fn read(text: &'a str, place: Place) -> Result<Self, Error> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        let kind = kinds::list()
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| Error::UnknownKind {
                name: name.to_owned(),
                known: kinds::known(),
            })?;
        let mut given: Vec<(&str, &str)> = Vec::new();
        for setting in settings
            .split(',')
            .map(str::trim)
            .filter(|setting| !setting.is_empty())
        {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let (name, value) = (name.trim(), value.trim());
            if !kind
                .parameters
                .iter()
                .any(|parameter| parameter.name == name)
            {
                return Err(Error::UnknownParameter {
                    kind: kind.name,
                    name: name.to_owned(),
                    known: kind.known_parameters(),
                });
            }
            if given.iter().any(|(other, _)| *other == name) {
                return Err(Error::RepeatedParameter {
                    kind: kind.name,
                    name: name.to_owned(),
                });
            }
            given.push((name, value));
        }
        Ok(Self { kind, given, place })
    }

    fn part(&self) -> Result<Part, Error> {
        Ok(match self.kind.name {
            "messaging" => Part::Messaging(Messaging {
                groups: self.integer("groups", 1..=1000)?,
                loops: self.integer("loops", 1..=10_000_000)?,
                fan: self.integer("fan", 1..=100)?,
                threads: self.yes_or_no("threads")?,
            }),
            "pipe" => Part::Pipe(Pipe {
                rounds: self.integer("rounds", 1..=100_000_000)?,
                threads: self.yes_or_no("threads")?,
            }),
            "frames" => self.frames().map(Part::Frames)?,
            "build" => Part::Build(Build {
                jobs: self.count("jobs")?,
                units: self.integer("units", 1..=10_000)?,
                unit_ms: self.integer("unit_ms", 1..=10_000)?,
                builds: self.builds("builds")?,
                seconds: self.real("seconds", SECONDS)?,
            }),
            "compile" => Part::Compile(Compile {
                jobs: self.count("jobs")?,
                optimize: self.integer("optimize", 0..=3)?,
            }),
            "isolation" => self.isolation().map(Part::Isolation)?,
            _ => Part::Hogs(Hogs {
                count: self.count("count")?,
                seconds: self.real("seconds", SECONDS)?,
            }),
        })
    }

    fn frames(&self) -> Result<Frames, Error> {
        let frames = Frames {
            fps: self.integer("fps", 1..=1000)?,
            load: self.real("load", 0.001..=4.0)?,
            jitter: self.real("jitter", 0.0..=0.9)?,
            deadline: self.integer("deadline", 1..=16)?,
            seconds: self.real("seconds", SECONDS)?,
        };
        // A frame passes its stages one after the other, so its work alone may take this long.
        if frames.load * (1.0 + frames.jitter) > f64::from(frames.deadline) {
            let needed = (frames.load * (1.0 + frames.jitter)).ceil();
            let expected = format!("its frames cannot be on time; add deadline={needed}");
            return Err(self.bad("load", expected));
        }
        Ok(frames)
    }

    fn isolation(&self) -> Result<Isolation, Error> {
        let isolation = Isolation {
            hogs: self.count("hogs")?,
            forks: self.integer("forks", 0..=Isolation::MAX_FORKS)?,
            rate: self.integer("rate", 1..=1000)?,
            burst_us: self.integer("burst_us", 0..=1_000_000)?,
            seconds: self.real("seconds", SECONDS)?,
        };
        if u64::from(isolation.burst_us) * 1000 > isolation.period_ns() / 2 {
            let most_us = isolation.period_ns() / 2000;
            let expected = format!("half a CPU is the most: {most_us} at this rate");
            return Err(self.bad("burst_us", expected));
        }
        Ok(isolation)
    }

    /// The value as written, or the default.
    fn text(&self, name: &str) -> &'a str {
        let given = self.given.iter().find(|(other, _)| *other == name);
        given.map_or_else(|| self.kind.default(name, self.place), |(_, value)| value)
    }

    fn integer(&self, name: &str, range: RangeInclusive<u32>) -> Result<u32, Error> {
        let value = self
            .text(name)
            .parse()
            .ok()
            .filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (low, high) = range.into_inner();
            self.bad(name, format!("give a whole number from {low} to {high}"))
        })
    }

    fn real(&self, name: &str, range: RangeInclusive<f64>) -> Result<f64, Error> {
        let value = self
            .text(name)
            .parse()
            .ok()
            .filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (low, high) = range.into_inner();
            self.bad(name, format!("give a number from {low} to {high}"))
        })
    }

    fn yes_or_no(&self, name: &str) -> Result<bool, Error> {
        match self.text(name) {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(self.bad(name, "give yes or no".to_owned())),
        }
    }

    fn count(&self, name: &str) -> Result<Count, Error> {
        let text = self.text(name);
        let (number, per_cpu) = match text.strip_suffix("/cpu") {
            Some(number) => (number, true),
            None => (text, false),
        };
        match number.parse() {
            Ok(number @ 1..=64) if per_cpu => Ok(Count::PerCpu(number)),
            Ok(number @ 1..=4096) if !per_cpu => Ok(Count::Fixed(number)),
            _ => {
                let expected = "give a number from 1 to 4096, or 1/cpu to 64/cpu".to_owned();
                Err(self.bad(name, expected))
            }
        }
    }

    fn builds(&self, name: &str) -> Result<Builds, Error> {
        match self.text(name) {
            "endless" => Ok(Builds::Endless),
            text => match text.parse() {
                Ok(number @ 1..=1_000_000) => Ok(Builds::Fixed(number)),
                _ => {
                    let expected = "give a number from 1 to 1000000, or endless".to_owned();
                    Err(self.bad(name, expected))
                }
            },
        }
    }

    fn bad(&self, name: &str, expected: String) -> Error {
        let value = self.text(name).to_owned();
        Error::BadValue {
            kind: self.kind.name,
            name: name.to_owned(),
            value,
            expected,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str("+")?;
            }
            let kind = part.kind();
            f.write_str(kind.name)?;
            let mut separator = ':';
            for (name, value) in settings(part) {
                if f.alternate() || value != kind.default(name, self.place(index)) {
                    write!(f, "{separator}{name}={value}")?;
                    separator = ',';
                }
            }
        }
        Ok(())
    }
}

/// Every parameter of a part with its value as text.
fn settings(part: &Part) -> Vec<(&'static str, String)> {
    let threads = |threads: bool| if threads { "yes" } else { "no" }.to_owned();
    match part {
        Part::Messaging(messaging) => vec![
            ("groups", messaging.groups.to_string()),
            ("loops", messaging.loops.to_string()),
            ("fan", messaging.fan.to_string()),
            ("threads", threads(messaging.threads)),
        ],
        Part::Pipe(pipe) => {
            vec![
                ("rounds", pipe.rounds.to_string()),
                ("threads", threads(pipe.threads)),
            ]
        }
        Part::Frames(frames) => vec![
            ("fps", frames.fps.to_string()),
            ("load", frames.load.to_string()),
            ("jitter", frames.jitter.to_string()),
            ("deadline", frames.deadline.to_string()),
            ("seconds", frames.seconds.to_string()),
        ],
        Part::Hogs(hogs) => {
            vec![
                ("count", hogs.count.to_string()),
                ("seconds", hogs.seconds.to_string()),
            ]
        }
        Part::Build(build) => vec![
            ("jobs", build.jobs.to_string()),
            ("units", build.units.to_string()),
            ("unit_ms", build.unit_ms.to_string()),
            ("builds", build.builds.to_string()),
            ("seconds", build.seconds.to_string()),
        ],
        Part::Compile(compile) => vec![
            ("jobs", compile.jobs.to_string()),
            ("optimize", compile.optimize.to_string()),
        ],
        Part::Isolation(isolation) => vec![
            ("hogs", isolation.hogs.to_string()),
            ("forks", isolation.forks.to_string()),
            ("rate", isolation.rate.to_string()),
            ("burst_us", isolation.burst_us.to_string()),
            ("seconds", isolation.seconds.to_string()),
        ],
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => write!(f, "{count}"),
            Self::PerCpu(count) => write!(f, "{count}/cpu"),
        }
    }
}

impl fmt::Display for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => write!(f, "{count}"),
            Self::Endless => f.write_str("endless"),
        }
    }
}

//! Workloads from text, and back.

use crate::error::Error;
use crate::kinds::{self, Kind};
use crate::periodic::Periodic;
use crate::requests::Requests;
use crate::spec::{
    Build, Builds, Compile, Count, Frames, Hogs, Isolation, Messaging, Part, Pipe, Place, Workload,
};
use crate::tenants::Tenants;
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
        let parts: Vec<Written<'_>> = text.split('+').flat_map(Written::read).collect();
        let mut workload = Self { parts: Vec::new() };
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            workload.add(&Values::new(part, Place::of(index, count))?)?;
        }
        Ok(workload)
    }
}

impl Workload {
    /// Adds a part; each kind can be there once.
    pub(crate) fn add(&mut self, values: &Values<'_>) -> Result<(), Error> {
        let kind = values.kind.name;
        if self.parts.iter().any(|other| other.kind().name == kind) {
            return Err(Error::RepeatedKind { kind });
        }
        self.parts.push(values.part()?);
        Ok(())
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
pub(crate) struct Values<'a> {
    kind: &'static Kind,
    given: Vec<(&'a str, &'a str)>,
    /// What stands in the place of defaults.
    preset: &'static [(&'static str, &'static str)],
    place: Place,
}

/// One part as written, or as a word for several stands for it.
pub(crate) struct Written<'a> {
    name: &'a str,
    given: Vec<(&'a str, &'a str)>,
    preset: &'static [(&'static str, &'static str)],
}

impl<'a> Written<'a> {
    fn read(text: &'a str) -> Vec<Self> {
        let text = text.trim();
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let settings = settings.split(',').map(str::trim);
        let given = settings.filter(|setting| !setting.is_empty());
        let given = given.map(|setting| {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            (name.trim(), value.trim())
        });
        Self::expand(name.trim(), given.collect())
    }

    /// The part of this name with these parameters, or the parts for which the name stands; the
    /// parameters are the first one's then.
    pub(crate) fn expand(name: &'a str, given: Vec<(&'a str, &'a str)>) -> Vec<Self> {
        let alias = kinds::aliases().iter().find(|alias| alias.name == name);
        let Some(alias) = alias else {
            let preset = &[];
            return vec![Self {
                name,
                given,
                preset,
            }];
        };
        let parts = alias.parts.iter().map(|(name, preset)| Self {
            name,
            given: Vec::new(),
            preset,
        });
        let mut parts: Vec<Self> = parts.collect();
        if let Some(first) = parts.first_mut() {
            first.given = given;
        }
        parts
    }
}

impl<'a> Values<'a> {
    /// Looks whether there is such a part and whether it has these parameters.
    pub(crate) fn new(written: Written<'a>, place: Place) -> Result<Self, Error> {
        let Written {
            name,
            given: parameters,
            preset,
        } = written;
        let kind = kinds::list()
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| Error::UnknownKind {
                name: name.to_owned(),
                known: kinds::known(),
            })?;
        let mut given: Vec<(&str, &str)> = Vec::new();
        for (name, value) in parameters {
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
        Ok(Self {
            kind,
            given,
            preset,
            place,
        })
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
            "requests" => Part::Requests(Requests {
                messengers: self.integer("messengers", 1..=256)?,
                workers: self.count("workers")?,
                fan: self.integer("fan", 1..=64)?,
                work_us: self.integer("work_us", 1..=1_000_000)?,
                load: self.real("load", 0.001..=4.0)?,
                seconds: self.real("seconds", SECONDS)?,
            }),
            "audio" => Part::Audio(Periodic {
                rate: self.integer("rate", 1..=1000)?,
                load: self.real("load", 0.0..=0.9)?,
                jitter: 0.0,
                threads: 1,
                seconds: self.real("seconds", SECONDS)?,
            }),
            "stream" => self.stream().map(Part::Stream)?,
            "tenants" => self.tenants().map(Part::Tenants)?,
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
        self.check_burst(isolation.burst_us, isolation.period_ns())?;
        Ok(isolation)
    }

    fn stream(&self) -> Result<Periodic, Error> {
        let stream = Periodic {
            rate: self.integer("rate", 1..=1000)?,
            load: self.real("load", 0.001..=64.0)?,
            jitter: self.real("jitter", 0.0..=0.9)?,
            threads: self.integer("threads", 1..=64)?,
            seconds: self.real("seconds", SECONDS)?,
        };
        let needed = stream.load * (1.0 + stream.jitter);
        if needed > f64::from(stream.threads) {
            let threads = needed.ceil();
            let expected = format!("its pictures cannot be on time; add threads={threads}");
            return Err(self.bad("load", expected));
        }
        Ok(stream)
    }

    fn tenants(&self) -> Result<Tenants, Error> {
        let weights = self.text("weights").split('/');
        let weights: Vec<u32> = weights
            .map_while(|weight| weight.trim().parse().ok())
            .filter(|weight| (1..=10_000).contains(weight))
            .collect();
        let written = self.text("weights").split('/').count();
        if weights.len() != written || !Tenants::COUNT.contains(&written) {
            let (low, high) = Tenants::COUNT.into_inner();
            let expected = format!("give {low} to {high} weights from 1 to 10000, such as 100/300");
            return Err(self.bad("weights", expected));
        }
        let tenants = Tenants {
            weights,
            hogs: self.count("hogs")?,
            rate: self.integer("rate", 1..=1000)?,
            burst_us: self.integer("burst_us", 0..=1_000_000)?,
            seconds: self.real("seconds", SECONDS)?,
        };
        self.check_burst(tenants.burst_us, tenants.period_ns())?;
        Ok(tenants)
    }

    /// What wakes at a rate must have time to sleep.
    fn check_burst(&self, burst_us: u32, period_ns: u64) -> Result<(), Error> {
        if u64::from(burst_us) * 1000 > period_ns / 2 {
            let most_us = period_ns / 2000;
            let expected = format!("half a CPU is the most: {most_us} at this rate");
            return Err(self.bad("burst_us", expected));
        }
        Ok(())
    }

    /// The value as written, or the default.
    fn text(&self, name: &str) -> &'a str {
        let mut given = self.given.iter().chain(self.preset);
        let given = given.find(|(other, _)| *other == name);
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
        Part::Requests(requests) => vec![
            ("messengers", requests.messengers.to_string()),
            ("workers", requests.workers.to_string()),
            ("fan", requests.fan.to_string()),
            ("work_us", requests.work_us.to_string()),
            ("load", requests.load.to_string()),
            ("seconds", requests.seconds.to_string()),
        ],
        Part::Audio(audio) => vec![
            ("rate", audio.rate.to_string()),
            ("load", audio.load.to_string()),
            ("seconds", audio.seconds.to_string()),
        ],
        Part::Stream(stream) => vec![
            ("rate", stream.rate.to_string()),
            ("load", stream.load.to_string()),
            ("jitter", stream.jitter.to_string()),
            ("threads", stream.threads.to_string()),
            ("seconds", stream.seconds.to_string()),
        ],
        Part::Tenants(tenants) => vec![
            ("weights", tenants.weights_text()),
            ("hogs", tenants.hogs.to_string()),
            ("rate", tenants.rate.to_string()),
            ("burst_us", tenants.burst_us.to_string()),
            ("seconds", tenants.seconds.to_string()),
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

//! Samples, of which application and machine they are, and how they are thinned.

use std::collections::BTreeMap;

use baton_model::Features;
use baton_policy::Rng;
use baton_trace::Header;

use crate::DataError;

/// A burst: what was known when its task was enqueued, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What a model looks at.
    pub features: Features,
    /// The burst, on the scale of [`log2_q8`](baton_model::log2_q8).
    pub burst: u16,
    /// Its first piece, until the task first lost or left a CPU, on the same scale. Under EEVDF with others waiting this is
    /// the slice that it really used; no model looks at it.
    pub first: u16,
    /// The median and the 90th percentile of the task's bursts so far, by a histogram; 0 if none is known.
    pub histogram: [u16; 2],
    /// Which of the data's applications it belongs to.
    pub application: u16,
    /// Which of the data's recordings it is of.
    pub recording: u16,
    /// When it began, milliseconds from the recording's beginning.
    pub began_ms: u32,
    /// The recording's end or a loss cut it: the burst is the least that it can have been.
    pub cut: bool,
}

/// Samples of several recordings.
///
/// [`Data::bytes`] tells how they stand in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// Names of the applications: a recording's, `kernel` and `system`.
    pub applications: Vec<String>,
    /// Names of the machines, as [`machine_name`] makes them.
    pub machines: Vec<String>,
    /// Of each recording, the place of its machine in that list.
    pub recordings: Vec<u16>,
    /// In the order of their ends, recording after recording.
    pub samples: Vec<Sample>,
}

/// A recording's machine, by what its header says: its name, its CPUs that are online, and its kernel's release.
///
/// Two machines for which all of these are equal have the same name, and count as one.
#[must_use]
pub fn machine_name(header: &Header) -> String {
    let online = header.machine.cpus.iter().filter(|cpu| cpu.online).count();
    let kernel = match header.kernel.as_str() {
        "" => "kernel unknown",
        kernel => kernel,
    };
    let cpus = if online == 1 { "CPU" } else { "CPUs" };
    format!("{} {online} {cpus} {kernel}", header.machine.name)
}

impl Data {
    /// Which of the machines a sample is of.
    ///
    /// # Panics
    /// The sample is not of this data.
    #[must_use]
    pub fn machine_of(&self, sample: &Sample) -> u16 {
        self.recordings[usize::from(sample.recording)]
    }

    /// At most so many samples of each application on each machine: one of each stretch, which one by the seed, so
    /// that tasks which take turns are all kept.
    #[must_use]
    pub fn thinned(&self, most: usize, seed: u64) -> Self {
        let mut places: BTreeMap<(u16, u16), Vec<usize>> = BTreeMap::new();
        for (place, sample) in self.samples.iter().enumerate() {
            let of = (sample.application, self.machine_of(sample));
            places.entry(of).or_default().push(place);
        }
        let mut rng = Rng::new(seed);
        let mut kept: Vec<usize> = Vec::new();
        for places in places.values() {
            if places.len() <= most {
                kept.extend(places);
                continue;
            }
            let begin = |stretch: usize| stretch * places.len() / most;
            kept.extend((0..most).map(|stretch| {
                let length = begin(stretch + 1) - begin(stretch);
                places[begin(stretch) + rng.below(length as u64) as usize]
            }));
        }
        kept.sort_unstable();
        Self {
            samples: kept.into_iter().map(|place| self.samples[place]).collect(),
            applications: self.applications.clone(),
            machines: self.machines.clone(),
            recordings: self.recordings.clone(),
        }
    }

    /// The data without these applications' samples; the first name that no application has, if there is one.
    ///
    /// # Errors
    /// An application that is not there.
    pub fn without(mut self, names: &[String]) -> Result<Self, String> {
        let place = |name: &String| {
            let place = self.applications.iter().position(|known| known == name);
            place.map(|place| place as u16).ok_or_else(|| name.clone())
        };
        let left_out: Vec<u16> = names.iter().map(place).collect::<Result<_, _>>()?;
        self.samples
            .retain(|sample| !left_out.contains(&sample.application));
        Ok(self)
    }

    /// Takes another one's samples in. Applications and machines of the same name are the same.
    ///
    /// # Errors
    /// They are of more than 65535 applications, machines or recordings together.
    pub fn append(&mut self, other: &Self) -> Result<(), DataError> {
        let applications = join(&mut self.applications, &other.applications);
        let machines = join(&mut self.machines, &other.machines);
        let first = self.recordings.len();
        let all = first + other.recordings.len();
        let (Some(applications), Some(machines), Ok(_)) =
            (applications, machines, u16::try_from(all))
        else {
            let why = "with the others it is of too many applications, machines or recordings";
            return Err(DataError::Malformed(why.into()));
        };
        let recordings = other.recordings.iter();
        self.recordings
            .extend(recordings.map(|machine| machines[usize::from(*machine)]));
        self.samples
            .extend(other.samples.iter().map(|sample| Sample {
                application: applications[usize::from(sample.application)],
                recording: first as u16 + sample.recording,
                ..*sample
            }));
        Ok(())
    }
}

/// Adds names that are not there yet; tells where each of them is then. `None` if there are too many.
fn join(known: &mut Vec<String>, names: &[String]) -> Option<Vec<u16>> {
    let place = |name: &String| {
        let place = known.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| {
            known.push(name.clone());
            known.len() - 1
        });
        u16::try_from(place).ok()
    };
    names.iter().map(place).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use baton_policy::Rng;

    /// Random samples of three applications, of one recording.
    pub(crate) fn random(count: usize, seed: u64) -> Data {
        let mut rng = Rng::new(seed);
        let samples = (0..count).map(|_| Sample {
            features: std::array::from_fn(|_| rng.below(10_240) as u16),
            burst: rng.below(10_240) as u16,
            first: rng.below(10_240) as u16,
            histogram: [rng.below(100) as u16, rng.below(100) as u16],
            application: rng.below(3) as u16,
            recording: 0,
            began_ms: rng.below(1 << 32) as u32,
            cut: rng.below(10) == 0,
        });
        Data {
            applications: ["a", "b", "c"].map(String::from).into(),
            machines: vec!["one".into()],
            recordings: vec![0],
            samples: samples.collect(),
        }
    }

    /// The same applications on two machines.
    pub(crate) fn two_machines(count: usize, seed: u64) -> Data {
        let mut data = random(count, seed);
        let mut other = random(count, seed + 1);
        other.machines = vec!["two".into()];
        data.append(&other).expect("there are few");
        data
    }

    #[test]
    fn applications_are_joined_by_name() {
        let mut data = random(100, 1);
        let mut other = random(100, 2);
        other.applications = ["c", "d", "a"].map(String::from).into();
        data.append(&other).expect("there are few");
        assert_eq!(data.applications, ["a", "b", "c", "d"]);
        assert!(
            data.samples[100..]
                .iter()
                .all(|sample| sample.recording == 1)
        );
        for (sample, from) in data.samples[100..].iter().zip(&other.samples) {
            let name = &data.applications[usize::from(sample.application)];
            assert_eq!(*name, other.applications[usize::from(from.application)]);
        }
        assert_eq!(
            (&data.machines[..], &data.recordings[..]),
            (&["one".to_owned()][..], &[0, 0][..])
        );
    }

    #[test]
    fn an_application_can_be_of_two_machines() {
        let data = two_machines(1000, 1);
        assert_eq!(data.machines, ["one", "two"]);
        assert_eq!(data.recordings, [0, 1]);
        assert_eq!(data.applications.len(), 3);
        let thin = data.thinned(100, 1);
        for machine in 0..2 {
            let of = |data: &Data| {
                data.samples
                    .iter()
                    .filter(|sample| data.machine_of(sample) == machine)
                    .count()
            };
            assert_eq!((of(&data), of(&thin)), (1000, 300));
        }
        let mut again = Data::default();
        again.append(&data).expect("there are few");
        assert_eq!(again, data, "its digest stays what it was");
    }

    #[test]
    fn machines_have_names() {
        let mut header = Header::new("test", baton_policy::Machine::uniform("host", 3));
        header.machine.cpus[1].online = false;
        assert_eq!(machine_name(&header), "host 2 CPUs kernel unknown");
        header.kernel = "7.0.13".into();
        assert_eq!(machine_name(&header), "host 2 CPUs 7.0.13");
    }

    #[test]
    fn thinning_is_even() {
        let mut data = random(3000, 1);
        for (index, sample) in data.samples[..2500].iter_mut().enumerate() {
            sample.application = 0;
            // Two tasks in turn.
            sample.burst = (index % 2) as u16;
        }
        let thin = data.thinned(1200, 1);
        let of = |data: &Data, application: u16| {
            data.samples
                .iter()
                .filter(|sample| sample.application == application)
                .count()
        };
        assert_eq!(of(&thin, 0), 1200);
        assert_eq!(of(&thin, 1), of(&data, 1));
        let odd = thin
            .samples
            .iter()
            .filter(|sample| sample.burst == 1)
            .count();
        assert!((400..800).contains(&odd), "{odd}");
        assert_eq!(thin, data.thinned(1200, 1));
    }
}

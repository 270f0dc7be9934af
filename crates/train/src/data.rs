//! Samples, and how they are kept and divided.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Read},
    path::Path,
};

use baton_model::{FEATURES, Features, SCHEMA_VERSION, VALUE_MAX};
use baton_policy::Rng;
use sha2::{Digest, Sha256};

/// A burst: what was known when its task was enqueued, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What a model looks at.
    pub features: Features,
    /// The burst, on the scale of [`log2_q8`](baton_model::log2_q8).
    pub burst: u16,
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
/// In a file they stand column by column, after a line of JSON; [`Data::bytes`] tells the format. The
/// digest is of all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// Names of the applications: a recording's, `kernel` and `system`.
    pub applications: Vec<String>,
    /// In the order of their ends, recording after recording.
    pub samples: Vec<Sample>,
}

/// Why a file holds no data.
#[derive(Debug)]
pub enum DataError {
    /// It cannot be read or written.
    Io(io::Error),
    /// It is no data of this version; and why.
    Malformed(String),
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Malformed(why) => write!(f, "not a data set of Baton's: {why}"),
        }
    }
}

impl std::error::Error for DataError {}

impl From<io::Error> for DataError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The first line of a file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    schema: u32,
    samples: u64,
    applications: Vec<String>,
}

const FORMAT: &str = "baton-bursts";
/// Features, burst, histogram, application, recording, two halves of the begin, cut.
const COLUMNS: usize = FEATURES + 1 + 2 + 1 + 1 + 2 + 1;
/// No file has more.
const SAMPLES_MAX: u64 = 100_000_000;

impl Sample {
    fn column(&self, index: usize) -> u16 {
        match index.checked_sub(FEATURES) {
            None => self.features[index],
            Some(0) => self.burst,
            Some(which @ (1 | 2)) => self.histogram[which - 1],
            Some(3) => self.application,
            Some(4) => self.recording,
            Some(5) => self.began_ms as u16,
            Some(6) => (self.began_ms >> 16) as u16,
            Some(_) => u16::from(self.cut),
        }
    }

    fn of(column: impl Fn(usize) -> u16) -> Self {
        Self {
            features: std::array::from_fn(&column),
            burst: column(FEATURES),
            histogram: [column(FEATURES + 1), column(FEATURES + 2)],
            application: column(FEATURES + 3),
            recording: column(FEATURES + 4),
            began_ms: u32::from(column(FEATURES + 5)) | u32::from(column(FEATURES + 6)) << 16,
            cut: column(FEATURES + 7) != 0,
        }
    }
}

impl Data {
    /// The samples as bytes: a line of JSON, then the columns, each value of 16 bits with its low byte first:
    /// the features in their order, the burst, the histogram's two, the application's number, the recording's,
    /// the low and the high half of the begin, and 1 where it was cut.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let head = Head {
            format: FORMAT.into(),
            schema: SCHEMA_VERSION,
            samples: self.samples.len() as u64,
            applications: self.applications.clone(),
        };
        let mut bytes = serde_json::to_vec(&head).expect("text and numbers are JSON");
        bytes.push(b'\n');
        for index in 0..COLUMNS {
            let column = self.samples.iter().map(|sample| sample.column(index));
            bytes.extend(column.flat_map(u16::to_le_bytes));
        }
        bytes
    }

    /// Reads what [`Data::bytes`] wrote.
    ///
    /// # Errors
    /// It is something else, of another version, or cut.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let malformed = |why: String| Err(DataError::Malformed(why));
        let end = bytes.iter().take(1 << 20).position(|byte| *byte == b'\n');
        let Some(end) = end else {
            return malformed("it has no first line".into());
        };
        let head: Head = match serde_json::from_slice(&bytes[..end]) {
            Ok(head) => head,
            Err(error) => return malformed(format!("its first line: {error}")),
        };
        if head.format != FORMAT || head.schema != SCHEMA_VERSION {
            return malformed(format!(
                "it is of format {:?} with features of version {}; this Baton's are of version \
                 {SCHEMA_VERSION}: make it of the recordings again",
                head.format, head.schema
            ));
        }
        let columns = &bytes[end + 1..];
        let count = head.samples.min(SAMPLES_MAX + 1) as usize;
        if head.samples > SAMPLES_MAX || columns.len() != count * COLUMNS * 2 {
            return malformed(format!(
                "{} bytes for {} samples",
                columns.len(),
                head.samples
            ));
        }
        let at = |row: usize, column: usize| {
            let place = (column * count + row) * 2;
            u16::from_le_bytes([columns[place], columns[place + 1]])
        };
        let samples: Vec<Sample> = (0..count)
            .map(|row| Sample::of(|column| at(row, column)))
            .collect();
        let applications = head.applications.len();
        if applications > usize::from(u16::MAX) {
            return malformed(format!("it names {applications} applications"));
        }
        let values = |sample: &Sample| {
            let known = sample
                .features
                .into_iter()
                .chain(sample.histogram)
                .chain([sample.burst]);
            known.max().unwrap_or(0)
        };
        if samples.iter().any(|sample| values(sample) > VALUE_MAX) {
            return malformed(format!("a value is above {VALUE_MAX}"));
        }
        if samples
            .iter()
            .any(|sample| usize::from(sample.application) >= applications)
        {
            return malformed("a sample is of an application that it does not name".into());
        }
        Ok(Self {
            applications: head.applications,
            samples,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or as [`Data::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        let most = SAMPLES_MAX * COLUMNS as u64 * 2 + (1 << 20);
        fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        Ok(fs::write(path, self.bytes())?)
    }

    /// SHA-256 of the file, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let hash = Sha256::digest(self.bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// How many recordings the samples are of.
    fn recordings(&self) -> usize {
        let last = self.samples.iter().map(|sample| sample.recording).max();
        last.map_or(0, |last| usize::from(last) + 1)
    }

    /// At most so many samples of each application: one of each stretch, which one by the seed, so that tasks
    /// which take turns are all kept.
    #[must_use]
    pub fn thinned(&self, most: usize, seed: u64) -> Self {
        let applications = self.applications.len();
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); applications];
        for (place, sample) in self.samples.iter().enumerate() {
            places[usize::from(sample.application)].push(place);
        }
        let mut rng = Rng::new(seed);
        let mut kept: Vec<usize> = Vec::new();
        for places in &places {
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
            applications: self.applications.clone(),
            samples: kept.into_iter().map(|place| self.samples[place]).collect(),
        }
    }

    /// Takes another one's samples in.
    ///
    /// # Errors
    /// They are of more than 65535 applications or recordings together.
    pub fn append(&mut self, other: &Self) -> Result<(), DataError> {
        let places: Option<Vec<u16>> = other
            .applications
            .iter()
            .map(|name| {
                let place = self.applications.iter().position(|known| known == name);
                let place = place.unwrap_or_else(|| {
                    self.applications.push(name.clone());
                    self.applications.len() - 1
                });
                u16::try_from(place).ok()
            })
            .collect();
        let first = self.recordings();
        let (Some(places), Ok(_)) = (places, u16::try_from(first + other.recordings())) else {
            let why = "with the others it is of too many applications or recordings";
            return Err(DataError::Malformed(why.into()));
        };
        self.samples
            .extend(other.samples.iter().map(|sample| Sample {
                application: places[usize::from(sample.application)],
                recording: first as u16 + sample.recording,
                ..*sample
            }));
        Ok(())
    }
}

/// Samples to learn from and samples to be judged by; those that were cut are in neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// To learn from.
    pub train: Vec<Sample>,
    /// To know when to stop: the last fifth of each recording's time.
    pub stop: Vec<Sample>,
    /// To be judged by.
    pub test: Vec<Sample>,
}

impl Split {
    /// Holds these applications out; all their samples, and no others, are for the test.
    #[must_use]
    pub fn by_application(data: &Data, held_out: &BTreeSet<u16>) -> Self {
        Self::of(data, |sample| held_out.contains(&sample.application))
    }

    /// Holds the last part of each recording's time out: `share` of its span.
    #[must_use]
    pub fn by_time(data: &Data, share: f64) -> Self {
        let ends = spans(data.samples.iter(), data.recordings());
        Self::of(data, |sample| {
            let end = ends[usize::from(sample.recording)];
            f64::from(sample.began_ms) > f64::from(end) * (1.0 - share)
        })
    }

    fn of(data: &Data, is_test: impl Fn(&Sample) -> bool) -> Self {
        let mut split = Self::default();
        let whole = data.samples.iter().filter(|sample| !sample.cut);
        let (test, rest): (Vec<&Sample>, Vec<&Sample>) = whole.partition(|sample| is_test(sample));
        split.test = test.into_iter().copied().collect();
        let ends = spans(rest.iter().copied(), data.recordings());
        for sample in rest {
            let end = ends[usize::from(sample.recording)];
            // The last fifth.
            let is_late = u64::from(sample.began_ms) * 5 > u64::from(end) * 4;
            if is_late {
                &mut split.stop
            } else {
                &mut split.train
            }
            .push(*sample);
        }
        split
    }
}

/// The last begin of each recording's samples.
fn spans<'a>(samples: impl Iterator<Item = &'a Sample>, recordings: usize) -> Vec<u32> {
    let mut ends = vec![0_u32; recordings];
    for sample in samples {
        let end = &mut ends[usize::from(sample.recording)];
        *end = (*end).max(sample.began_ms);
    }
    ends
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use baton_policy::Rng;

    /// Random samples of three applications.
    pub(crate) fn random(count: usize, seed: u64) -> Data {
        let mut rng = Rng::new(seed);
        let samples = (0..count).map(|_| Sample {
            features: std::array::from_fn(|_| rng.below(10_240) as u16),
            burst: rng.below(10_240) as u16,
            histogram: [rng.below(100) as u16, rng.below(100) as u16],
            application: rng.below(3) as u16,
            recording: 0,
            began_ms: rng.below(1 << 32) as u32,
            cut: rng.below(10) == 0,
        });
        Data {
            applications: ["a", "b", "c"].map(String::from).into(),
            samples: samples.collect(),
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let data = random(1000, 1);
        assert_eq!(Data::parse(&data.bytes()).expect("it is read"), data);
        assert_ne!(data.digest(), random(1000, 2).digest());
        let empty = Data::default();
        assert_eq!(Data::parse(&empty.bytes()).expect("it is read"), empty);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let bytes = random(20, 1).bytes();
        for length in 0..bytes.len() {
            Data::parse(&bytes[..length]).expect_err("a cut file is refused");
        }
        let mut rng = Rng::new(3);
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            let place = rng.below(damaged.len() as u64) as usize;
            damaged[place] = rng.next_u64() as u8;
            // Read or refused, it must not panic.
            let _ = Data::parse(&damaged);
        }
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

    #[test]
    fn splits_hold_out_what_they_say() {
        let data = random(3000, 4);
        let whole = data.samples.iter().filter(|sample| !sample.cut).count();
        let split = Split::by_application(&data, &BTreeSet::from([1]));
        assert!(split.test.iter().all(|sample| sample.application == 1));
        assert!(
            split
                .train
                .iter()
                .chain(&split.stop)
                .all(|sample| sample.application != 1)
        );
        assert_eq!(
            split.train.len() + split.stop.len() + split.test.len(),
            whole
        );
        let latest = split.train.iter().map(|sample| sample.began_ms).max();
        let earliest = split.stop.iter().map(|sample| sample.began_ms).min();
        assert!(
            latest < earliest,
            "the samples to stop by are the last ones"
        );
        let split = Split::by_time(&data, 0.25);
        assert!((0.2..0.3).contains(&(split.test.len() as f64 / whole as f64)));
    }
}

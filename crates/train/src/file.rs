//! The file of a data set: few bytes for a sample, and equal data give equal ones.
//!
//! A line of JSON says what there is. After it comes one zlib stream (RFC 1950) of planes: for each column the
//! low bytes of all samples, then their high bytes. Values of one kind side by side, and what is the same
//! nearly always by itself, is what makes a compressor find something in them. Python reads it with `json`, `zlib` and
//! `numpy`; `scripts/compare-trainers` does.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use baton_model::{FEATURES, SCHEMA_VERSION, VALUE_MAX};
use miniz_oxide::{
    DataFormat, MZFlush, MZStatus, deflate::compress_to_vec_zlib, inflate::stream as inflate,
};
use sha2::{Digest, Sha256};

use crate::{Data, Sample};

/// Why a file holds no data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no data of this version; and why.
    #[error("not a data set of Baton's: {0}")]
    Malformed(String),
    /// One sample of each group is more than the bytes that were asked for.
    #[error("one sample of each application on each machine takes {0} bytes: allow more")]
    TooSmall(usize),
}

/// What every version's first line has; those before 2 did not say which they were.
#[derive(serde::Deserialize)]
struct Versions {
    format: String,
    #[serde(default = "unnumbered")]
    version: u32,
    schema: u32,
}

const fn unnumbered() -> u32 {
    1
}

/// The first line of a file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    version: u32,
    schema: u32,
    samples: u64,
    applications: Vec<String>,
    machines: Vec<String>,
    /// Of each recording, the place of its machine in that list.
    recordings: Vec<u16>,
}

const FORMAT: &str = "baton-bursts";
/// The format that is written, and the only one that is read.
const VERSION: u32 = 2;
/// Features; burst, and by how much it is above its first piece; histogram; application, recording; two halves of
/// what the begin is later than the one before; cut.
const COLUMNS: usize = FEATURES + 2 + 2 + 2 + 2 + 1;
/// Bytes of a sample before they are compressed.
const SAMPLE_BYTES: usize = COLUMNS * 2;
/// No file has more.
const SAMPLES_MAX: u64 = 100_000_000;
/// No first line is longer, in bytes.
const HEAD_MAX: usize = 1 << 20;
/// A byte of a zlib stream stands for no more than this.
const RATIO_MAX: u64 = 1032;
/// How hard the compressor looks: 0 to 10. What is left are mostly the low bytes of logarithms, in which there is
/// nothing to be found.
const LEVEL: u8 = 6;

impl Sample {
    /// `later`: by how much it began later than the one before.
    fn column(&self, index: usize, later: u32) -> u16 {
        match index.checked_sub(FEATURES) {
            None => self.features[index],
            Some(0) => self.burst,
            // Equal nearly always.
            Some(1) => self.burst.wrapping_sub(self.first),
            Some(which @ (2 | 3)) => self.histogram[which - 2],
            Some(4) => self.application,
            Some(5) => self.recording,
            Some(6) => later as u16,
            Some(7) => (later >> 16) as u16,
            Some(_) => u16::from(self.cut),
        }
    }

    fn of(column: impl Fn(usize) -> u16, before_ms: u32) -> Self {
        let burst = column(FEATURES);
        let later = u32::from(column(FEATURES + 6)) | u32::from(column(FEATURES + 7)) << u16::BITS;
        Self {
            features: std::array::from_fn(&column),
            burst,
            first: burst.wrapping_sub(column(FEATURES + 1)),
            histogram: [column(FEATURES + 2), column(FEATURES + 3)],
            application: column(FEATURES + 4),
            recording: column(FEATURES + 5),
            began_ms: before_ms.wrapping_add(later),
            cut: column(FEATURES + 8) != 0,
        }
    }
}

impl Data {
    fn head(&self) -> Vec<u8> {
        let head = Head {
            format: FORMAT.into(),
            version: VERSION,
            schema: SCHEMA_VERSION,
            samples: self.samples.len() as u64,
            applications: self.applications.clone(),
            machines: self.machines.clone(),
            recordings: self.recordings.clone(),
        };
        let mut bytes = serde_json::to_vec(&head).expect("text and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    fn planes(&self) -> Vec<u8> {
        let began = self.samples.iter().map(|sample| sample.began_ms);
        let before = std::iter::once(0).chain(began.clone());
        let later: Vec<u32> = began
            .zip(before)
            .map(|(began, before)| began.wrapping_sub(before))
            .collect();
        let mut planes = Vec::with_capacity(self.samples.len() * SAMPLE_BYTES);
        for index in 0..COLUMNS {
            for byte in 0..2 {
                let samples = self.samples.iter().zip(&later);
                planes.extend(
                    samples.map(|(sample, later)| sample.column(index, *later).to_le_bytes()[byte]),
                );
            }
        }
        planes
    }

    /// The samples as a file's bytes.
    ///
    /// A line of JSON; then, compressed with zlib, each column's low bytes and its high bytes. The columns, of 16
    /// bits: the features in their order, the burst, by how much it is above its first piece, the histogram's
    /// two, the application's number, the recording's, the low and the high half of how many milliseconds it
    /// began after the sample before, and 1 where it was cut. Differences are taken modulo 2^16 and 2^32.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend(compress_to_vec_zlib(&self.planes(), LEVEL));
        bytes
    }

    /// Reads what [`Data::bytes`] wrote.
    ///
    /// # Errors
    /// It is something else, of another version, or cut.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (head, compressed) = parse_head(bytes)?;
        let planes = expand(compressed, head.samples)?;
        let count = head.samples as usize;
        let at = |row: usize, column: usize| {
            let place = column * 2 * count + row;
            u16::from_le_bytes([planes[place], planes[place + count]])
        };
        let mut before_ms = 0;
        let samples = (0..count).map(|row| {
            let sample = Sample::of(|column| at(row, column), before_ms);
            before_ms = sample.began_ms;
            sample
        });
        let data = Self {
            samples: samples.collect(),
            applications: head.applications,
            machines: head.machines,
            recordings: head.recordings,
        };
        data.check().map_err(DataError::Malformed)?;
        Ok(data)
    }

    /// Whether its parts fit together; else what is wrong.
    fn check(&self) -> Result<(), String> {
        for (count, what) in [
            (self.applications.len(), "applications"),
            (self.machines.len(), "machines"),
            (self.recordings.len(), "recordings"),
        ] {
            if count > usize::from(u16::MAX) {
                return Err(format!("it names {count} {what}"));
            }
        }
        let machines = self.machines.len();
        if self
            .recordings
            .iter()
            .any(|machine| usize::from(*machine) >= machines)
        {
            return Err("a recording is of a machine that it does not name".into());
        }
        for sample in &self.samples {
            let values = sample.features.into_iter().chain(sample.histogram);
            let known = values.chain([sample.burst, sample.first]).max();
            if known.is_some_and(|value| value > VALUE_MAX) {
                return Err(format!("a value is above {VALUE_MAX}"));
            }
            if usize::from(sample.application) >= self.applications.len() {
                return Err("a sample is of an application that it does not name".into());
            }
            if usize::from(sample.recording) >= self.recordings.len() {
                return Err("a sample is of a recording that it does not name".into());
            }
        }
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or as [`Data::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        // What cannot be compressed gets a little longer.
        let most = SAMPLES_MAX * SAMPLE_BYTES as u64 * 2 + HEAD_MAX as u64;
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

    /// SHA-256 of the first line and of all columns before they are compressed, in hexadecimal digits: another
    /// compressor changes the file and not this.
    #[must_use]
    pub fn digest(&self) -> String {
        let hash = Sha256::new()
            .chain_update(self.head())
            .chain_update(self.planes())
            .finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Thinned as little as needed for a file of at most so many bytes; as it is if it has no more.
    ///
    /// # Errors
    /// So few bytes hold not even one sample of each application on each machine.
    pub fn thinned_to(&self, bytes: usize, seed: u64) -> Result<Self, DataError> {
        if self.bytes().len() <= bytes {
            return Ok(self.clone());
        }
        let least = self.thinned(1, seed);
        let size = least.bytes().len();
        if size > bytes {
            return Err(DataError::TooSmall(size));
        }
        // So many fit, and so many do not: from below, as the whole can be much larger.
        let (mut fits, mut kept, mut too_many) = (1, least, None);
        loop {
            let middle = match too_many {
                None => fits * 2,
                Some(too_many) if too_many - fits > 1 => fits + (too_many - fits) / 2,
                Some(_) => return Ok(kept),
            };
            let thin = self.thinned(middle, seed);
            if thin.bytes().len() <= bytes {
                (fits, kept) = (middle, thin);
            } else {
                too_many = Some(middle);
            }
        }
    }
}

/// The first line, and what comes after it.
fn parse_head(bytes: &[u8]) -> Result<(Head, &[u8]), DataError> {
    let malformed = |why: String| Err(DataError::Malformed(why));
    let end = bytes.iter().take(HEAD_MAX).position(|byte| *byte == b'\n');
    let Some(end) = end else {
        return malformed("it has no first line".into());
    };
    let versions: Versions = match serde_json::from_slice(&bytes[..end]) {
        Ok(versions) => versions,
        Err(error) => return malformed(format!("its first line: {error}")),
    };
    let Versions {
        format,
        version,
        schema,
    } = versions;
    if (format.as_str(), version, schema) != (FORMAT, VERSION, SCHEMA_VERSION) {
        return malformed(format!(
            "it is of format {format:?}, version {version}, with features of version {schema}; this Baton reads \
             {FORMAT:?}, version {VERSION}, with features of version {SCHEMA_VERSION}: make it of the \
             recordings again, with `baton train --data`"
        ));
    }
    match serde_json::from_slice(&bytes[..end]) {
        Ok(head) => Ok((head, &bytes[end + 1..])),
        Err(error) => malformed(format!("its first line: {error}")),
    }
}

/// The planes of so many samples.
fn expand(compressed: &[u8], samples: u64) -> Result<Vec<u8>, DataError> {
    let length = samples.saturating_mul(SAMPLE_BYTES as u64);
    // Before there is memory taken for what cannot be in there.
    let possible = compressed.len() as u64 * RATIO_MAX;
    if samples <= SAMPLES_MAX && length <= possible {
        // With a byte more the end is seen.
        let mut planes = vec![0; length as usize + 1];
        let mut state = inflate::InflateState::new_boxed(DataFormat::Zlib);
        let done = inflate::inflate(&mut state, compressed, &mut planes, MZFlush::Finish);
        planes.truncate(length as usize);
        let is_whole = done.status == Ok(MZStatus::StreamEnd)
            && done.bytes_written as u64 == length
            && done.bytes_consumed == compressed.len();
        if is_whole {
            return Ok(planes);
        }
    }
    let length = compressed.len();
    Err(DataError::Malformed(format!(
        "its {length} compressed bytes are not those of {samples} samples"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::random;
    use baton_policy::Rng;

    #[test]
    fn it_comes_back_as_it_was() {
        let data = random(1000, 1);
        assert_eq!(Data::parse(&data.bytes()).expect("it is read"), data);
        assert_eq!(data.bytes(), data.bytes());
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
        Data::parse(&[&bytes[..], b"x"].concat()).expect_err("what follows is refused");
        let mut rng = Rng::new(3);
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            let place = rng.below(damaged.len() as u64) as usize;
            damaged[place] = rng.next_u64() as u8;
            // Read or refused, it must not panic.
            let _ = Data::parse(&damaged);
        }
    }

    /// As the first version wrote it, and with more samples than can be.
    #[test]
    fn other_versions_and_false_sizes_are_told() {
        let told = |head: &str| {
            let error = Data::parse(format!("{head}\n").as_bytes());
            error.expect_err("it is refused").to_string()
        };
        let old = r#"{"format":"baton-bursts","schema":1,"samples":0,"applications":[]}"#;
        let error = told(old);
        assert!(
            error.contains("version 1,") && error.contains("again"),
            "{error}"
        );
        let head = String::from_utf8(Data::default().head()).expect("it is text");
        let error = told(&head.trim().replace("\"samples\":0", "\"samples\":99999999"));
        assert!(error.contains("99999999 samples"), "{error}");
    }

    #[test]
    fn it_is_thinned_to_a_size() {
        let data = random(3000, 1);
        let whole = data.bytes().len();
        assert_eq!(data.thinned_to(whole, 1).expect("it fits"), data);
        let thin = data.thinned_to(whole / 3, 1).expect("it fits");
        let size = thin.bytes().len();
        assert!((whole / 4..=whole / 3).contains(&size), "{size} of {whole}");
        assert_eq!(thin, data.thinned_to(whole / 3, 1).expect("it fits"));
        assert_ne!(thin, data.thinned_to(whole / 3, 2).expect("it fits"));
        let error = data.thinned_to(100, 1).expect_err("it does not fit");
        assert!(
            matches!(error, DataError::TooSmall(size) if size > 100),
            "{error}"
        );
    }
}

//! A model as people keep it.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::Path,
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Model, SCHEMA_VERSION};

/// What the file says that it is.
const FORMAT: &str = "baton-model";

/// A file larger than this is none: the largest model takes a quarter of a megabyte.
const BYTES_MAX: u64 = 4 << 20;

/// A model, where it comes from, and how good it was.
///
/// The file is JSON. Its digest is of everything else in it, so a file that was changed, by accident or
/// by hand, is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// The model.
    pub model: Model,
    /// Where it comes from.
    pub provenance: Provenance,
    /// What its evaluation gave.
    pub scores: Vec<Score>,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What trained it, with its parameters.
    pub trainer: String,
    /// SHA-256 of the data that it was trained on, in hexadecimal digits.
    pub data: String,
    /// Which part of the data was held out.
    pub split: String,
    /// The seed of all that was random.
    pub seed: u64,
}

/// A figure of the model, and the same of what it is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Which.
    pub metric: String,
    /// On which data.
    pub on: String,
    /// The model's.
    pub model: f64,
    /// The baselines', by name.
    pub baselines: Vec<(String, f64)>,
}

/// The file, in the order in which it is written; the digest is of this without it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: String,
    schema: u32,
    provenance: Provenance,
    scores: Vec<Score>,
    model: Model,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// What is read before all else: a file of another version may hold anything.
#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    schema: Option<u32>,
}

/// Why a file holds no model that can be used.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read or written.
    Io(io::Error),
    /// It is larger than any model.
    TooLarge,
    /// It is no JSON, or not a model's; with the place.
    Malformed(serde_json::Error),
    /// It is another kind of file.
    Format(Option<String>),
    /// Its features are of another version.
    Schema(Option<u32>),
    /// This score of it is no number.
    Score(String),
    /// It was changed: what it says, and what it is.
    Digest {
        /// What it says, if anything.
        said: Option<String>,
        /// What it is.
        is: String,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::TooLarge => write!(f, "not a model: it has more than {BYTES_MAX} bytes"),
            Self::Malformed(error) => write!(f, "not a model: {error}"),
            Self::Format(Some(format)) => write!(f, "not a model, but a file of format {format:?}"),
            Self::Format(None) => write!(f, "not a model: it does not say \"format\": {FORMAT:?}"),
            Self::Schema(found) => {
                let found = found.map_or("none".to_owned(), |found| found.to_string());
                write!(
                    f,
                    "made for features of version {found}, and this Baton's are of version \
                     {SCHEMA_VERSION}: train it again"
                )
            }
            Self::Score(metric) => write!(f, "its score {metric:?} is no number"),
            Self::Digest { said, is } => write!(
                f,
                "it was changed after it was written: its digest is {is}, and it says {}",
                said.as_deref().unwrap_or("none")
            ),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<serde_json::Error> for FileError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error)
    }
}

impl ModelFile {
    /// The model that comes with Baton; docs/learned.md tells where it comes from and what it is worth.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<ModelFile> = LazyLock::new(|| {
            let text = include_bytes!("../../../models/bursts.json");
            ModelFile::parse(text).expect("the model that comes with it is one")
        });
        &SHIPPED
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is no model of this version, was changed, or could overflow ([`Defect`](crate::Defect), told as malformed).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        // What says that it has no length, such as a pipe, may have no end either.
        fs::File::open(path)?
            .take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(FileError::TooLarge);
        }
        Self::parse(&bytes)
    }

    /// Reads what a file holds.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format.as_deref() != Some(FORMAT) {
            return Err(FileError::Format(head.format));
        }
        if head.schema != Some(SCHEMA_VERSION) {
            return Err(FileError::Schema(head.schema));
        }
        let mut content: Content = serde_json::from_slice(bytes)?;
        let said = content.digest.take();
        let is = digest(&content)?;
        if said.as_ref() != Some(&is) {
            return Err(FileError::Digest { said, is });
        }
        Ok(Self {
            model: content.model,
            provenance: content.provenance,
            scores: content.scores,
        })
    }

    /// The file's text; equal for equal models.
    ///
    /// # Errors
    /// A score is no number.
    pub fn text(&self) -> Result<String, FileError> {
        Ok(serde_json::to_string(&self.content()?)? + "\n")
    }

    /// Writes a file.
    ///
    /// # Errors
    /// It cannot be written, or a score is no number.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), FileError> {
        Ok(fs::write(path, self.text()?)?)
    }

    /// What tells this model from every other, in hexadecimal digits.
    ///
    /// # Errors
    /// A score is no number.
    pub fn digest(&self) -> Result<String, FileError> {
        Ok(self.content()?.digest.unwrap_or_default())
    }

    fn content(&self) -> Result<Content, FileError> {
        let is_finite = |score: &&Score| {
            let mut all = score
                .baselines
                .iter()
                .map(|(_, value)| value)
                .chain([&score.model]);
            all.all(|value| value.is_finite())
        };
        if let Some(score) = self.scores.iter().find(|score| !is_finite(score)) {
            return Err(FileError::Score(score.metric.clone()));
        }
        let mut content = Content {
            format: FORMAT.to_owned(),
            schema: SCHEMA_VERSION,
            provenance: self.provenance.clone(),
            scores: self.scores.clone(),
            model: self.model.clone(),
            digest: None,
        };
        content.digest = Some(digest(&content)?);
        Ok(content)
    }
}

fn digest(content: &Content) -> Result<String, serde_json::Error> {
    let hash = Sha256::digest(serde_json::to_vec(content)?);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Feature, Input, Inputs, Layer, Network, Range};

    fn file() -> ModelFile {
        let input = Input {
            feature: Feature::Last1,
            relative: false,
            range: Range {
                low: 3,
                high: 10240,
            },
        };
        let layer = Layer {
            weights: vec![vec![-7]],
            bias: vec![12345],
            shift: 3,
        };
        ModelFile {
            model: Model::Network(
                Network::new(Inputs::plain(vec![input]), vec![layer]).expect("a network"),
            ),
            provenance: Provenance {
                trainer: "by hand".to_owned(),
                seed: 5,
                ..Provenance::default()
            },
            scores: vec![Score {
                metric: "pinball".to_owned(),
                on: "nothing".to_owned(),
                model: 0.1 + 0.2,
                baselines: vec![("average".to_owned(), 1.0 / 3.0)],
            }],
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("model.json");
        file().write(&path).expect("it is written");
        let read = ModelFile::read(&path).expect("it is read");
        assert_eq!(read, file());
        assert_eq!(read.digest().expect("a digest").len(), 64);
    }

    #[test]
    fn what_was_changed_is_refused() {
        let text = file().text().expect("a text");
        let of = |text: &str| ModelFile::parse(text.as_bytes()).expect_err("it is refused");
        for (from, to) in [
            ("-7", "-8"),
            ("by hand", "by foot"),
            ("\"seed\":5", "\"seed\":6"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert!(matches!(of(&changed), FileError::Digest { .. }), "{from}");
        }
        let schema = format!("\"schema\":{SCHEMA_VERSION}");
        assert!(matches!(
            of(&text.replace(&schema, "\"schema\":99")),
            FileError::Schema(Some(99))
        ));
        assert!(matches!(
            of("{\"format\":\"x\"}"),
            FileError::Format(Some(_))
        ));
        assert!(matches!(of("[1]"), FileError::Malformed(_)));
        for length in 0..text.len() - 1 {
            ModelFile::parse(&text.as_bytes()[..length]).expect_err("a cut file is refused");
        }
    }

    #[test]
    fn a_model_that_could_overflow_is_refused_whatever_its_digest() {
        let text = file()
            .text()
            .expect("a text")
            .replace("[[-7]]", "[[32767]]");
        let text = text.replace("12345", "2147483647");
        let error = ModelFile::parse(text.as_bytes()).expect_err("it is refused");
        assert!(error.to_string().contains("leaves 32 bits"), "{error}");
    }

    #[test]
    fn a_score_that_is_no_number_is_told() {
        let mut file = file();
        file.scores[0].model = f64::NAN;
        assert!(matches!(file.text(), Err(FileError::Score(metric)) if metric == "pinball"));
    }
}
